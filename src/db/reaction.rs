//! Reactions: one per message, person and emoji.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::query_dsl::methods;
use diesel_async::RunQueryDsl;

use crate::db::access::MessageAccess;
use crate::db::pool::Conn;
use crate::db::schema::reactions;
use crate::error::Result;
use crate::ids::{MessageId, OrganizationId, UserId};

/// A reaction.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Insertable)]
pub struct Reaction {
    /// The tenant.
    pub organization_id: OrganizationId,
    /// To what.
    pub message_id: MessageId,
    /// Whose.
    pub user_id: UserId,
    /// What it is, 1 to 127 characters.
    pub emoji: String,
    /// Since when.
    pub created_at: DateTime<Utc>,
}

/// The reactions to these messages, oldest first.
pub async fn of_messages(conn: &mut Conn, messages: &[MessageId]) -> Result<Vec<Reaction>> {
    Ok(reactions::table
        .filter(reactions::message_id.eq_any(messages))
        .order((
            reactions::message_id,
            reactions::created_at,
            reactions::user_id,
            reactions::emoji,
        ))
        .select(Reaction::as_select())
        .load(conn)
        .await?)
}

/// Adds a reaction; whether that changed anything. One that is there keeps its time, unless
/// another one is given.
pub async fn add(
    conn: &mut Conn,
    message: &MessageAccess,
    (user, emoji): (UserId, &str),
    at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<bool> {
    let new = Reaction {
        organization_id: message.message().organization_id,
        message_id: message.message().id,
        user_id: user,
        emoji: emoji.to_owned(),
        created_at: at.unwrap_or(now),
    };
    let insert = diesel::insert_into(reactions::table).values(&new);
    let key = (reactions::message_id, reactions::user_id, reactions::emoji);
    let changed = match at {
        None => insert.on_conflict(key).do_nothing().execute(conn).await?,
        Some(at) => {
            let replace = insert
                .on_conflict(key)
                .do_update()
                .set(reactions::created_at.eq(at));
            // The same time again is no change.
            methods::FilterDsl::filter(replace, reactions::created_at.ne(at))
                .execute(conn)
                .await?
        }
    };
    Ok(changed > 0)
}

/// Takes a reaction away; whether there was one.
pub async fn remove(
    conn: &mut Conn,
    message: &MessageAccess,
    user: UserId,
    emoji: &str,
) -> Result<bool> {
    let removed = diesel::delete(reactions::table.find((message.message().id, user, emoji)))
        .execute(conn)
        .await?;
    Ok(removed > 0)
}
