//! What messages said before they were edited.

use chrono::{DateTime, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde_json::Value;

use crate::db::message::Message;
use crate::db::pool::Conn;
use crate::db::prepared::Prepare;
use crate::db::schema::revisions;
use crate::error::Result;
use crate::ids::{MessageId, OrganizationId, UserId};

/// Most former texts that a message shows: its newest ones.
pub const MAX_REVISIONS: i32 = 100;

/// Most bytes of the former texts that a message shows, but for its newest one.
const MAX_SIZE: i32 = 1_000_000;

/// A former text of a message.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Insertable)]
pub struct Revision {
    /// The tenant.
    pub organization_id: OrganizationId,
    /// Of which message.
    pub message_id: MessageId,
    /// 1, 2, 3 ... for each message, the oldest first.
    pub number: i32,
    /// Who replaced it; nobody: a backend.
    pub editor_id: Option<UserId>,
    /// When it was replaced.
    pub replaced_at: DateTime<Utc>,
    /// The words as they were written.
    pub body: String,
    /// The words as sanitized HTML.
    pub body_html: Option<String>,
    /// The structured content.
    pub content: Option<Value>,
    /// The words alone.
    pub plaintext: String,
}

/// Keeps what a message said until now. Its thread is locked, so nobody else numbers one.
pub async fn keep(
    conn: &mut Conn,
    former: &Message,
    editor_id: Option<UserId>,
    now: DateTime<Utc>,
) -> Result<()> {
    let newest: Option<i32> = revisions::table
        .filter(revisions::message_id.eq(former.id))
        .select(diesel::dsl::max(revisions::number))
        .first(conn)
        .await?;
    let revision = Revision {
        organization_id: former.organization_id,
        message_id: former.id,
        number: newest.unwrap_or(0) + 1,
        editor_id,
        replaced_at: now,
        body: former.body.clone(),
        body_html: former.body_html.clone(),
        content: former.content.clone(),
        plaintext: former.plaintext.clone(),
    };
    diesel::insert_into(revisions::table)
        .values(&revision)
        .execute(conn)
        .await?;
    Ok(())
}

/// The newest former texts of these messages, MAX_REVISIONS and MAX_SIZE each, the oldest first.
pub async fn of_messages(conn: &mut Conn, messages: &[MessageId]) -> Result<Vec<Revision>> {
    // The newest ones first, as long as all of them together are no more than that.
    let newest = sql::<Bool>(
        "(revisions.message_id, revisions.number) IN (
           SELECT sized.message_id, sized.number FROM (
             SELECT message_id, number, row_number() OVER newest AS place,
               sum(octet_length(body) + coalesce(octet_length(body_html), 0)
                 + coalesce(pg_column_size(content), 0) + octet_length(plaintext)) OVER newest AS size
             FROM revisions WHERE message_id = ANY (",
    )
    .bind::<Array<SqlUuid>, _>(messages)
    .sql(&format!(
        ") WINDOW newest AS (PARTITION BY message_id ORDER BY number DESC)
           ) sized
           WHERE sized.place = 1 OR (sized.place <= {MAX_REVISIONS} AND sized.size <= {MAX_SIZE}))"
    ));
    Ok(revisions::table
        .filter(newest)
        .order((revisions::message_id, revisions::number))
        .select(Revision::as_select())
        .prepared()
        .load(conn)
        .await?)
}
