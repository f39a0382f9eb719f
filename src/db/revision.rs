//! What messages said before they were edited.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde_json::Value;

use crate::db::message::Message;
use crate::db::pool::Conn;
use crate::db::schema::revisions;
use crate::error::Result;
use crate::ids::{MessageId, OrganizationId, UserId};

/// Most former texts that a message shows: its newest ones.
pub const MAX_REVISIONS: i32 = 100;

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

/// The newest former texts of these messages, MAX_REVISIONS each, the oldest first.
pub async fn of_messages(conn: &mut Conn, messages: &[MessageId]) -> Result<Vec<Revision>> {
    let newest = diesel::alias!(revisions as newer);
    let behind = newest
        .filter(
            newest
                .field(revisions::message_id)
                .eq(revisions::message_id),
        )
        .filter(
            newest
                .field(revisions::number)
                .ge(revisions::number + MAX_REVISIONS),
        );
    Ok(revisions::table
        .filter(revisions::message_id.eq_any(messages))
        .filter(diesel::dsl::not(diesel::dsl::exists(behind)))
        .order((revisions::message_id, revisions::number))
        .select(Revision::as_select())
        .load(conn)
        .await?)
}
