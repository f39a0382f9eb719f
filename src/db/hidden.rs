//! Threads that somebody does not want to hear of until they say otherwise.

use chrono::{DateTime, Utc};
use diesel::dsl::{auto_type, exists};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::access::ThreadAccess;
use crate::db::pool::Conn;
use crate::db::schema::{hidden_threads, threads};
use crate::error::Result;
use crate::ids::{OrganizationId, ThreadId, UserId};

#[derive(Insertable)]
#[diesel(table_name = hidden_threads)]
struct Hidden {
    thread_id: ThreadId,
    user_id: UserId,
    organization_id: OrganizationId,
    hidden_at: DateTime<Utc>,
}

/// Hides threads from a person's inbox.
pub async fn hide(
    conn: &mut Conn,
    threads: &[ThreadAccess],
    user: UserId,
    now: DateTime<Utc>,
) -> Result<()> {
    let row = |access: &ThreadAccess| Hidden {
        thread_id: access.thread().id,
        user_id: user,
        organization_id: access.thread().organization_id,
        hidden_at: now,
    };
    let rows: Vec<Hidden> = threads.iter().map(row).collect();
    diesel::insert_into(hidden_threads::table)
        .values(&rows)
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    Ok(())
}

/// Brings threads back into a person's inbox.
pub async fn show(conn: &mut Conn, threads: &[ThreadAccess], user: UserId) -> Result<()> {
    let ids: Vec<ThreadId> = threads.iter().map(|access| access.thread().id).collect();
    let hidden = hidden_threads::table
        .filter(hidden_threads::thread_id.eq_any(ids))
        .filter(hidden_threads::user_id.eq(user));
    diesel::delete(hidden).execute(conn).await?;
    Ok(())
}

/// Those of the threads that a person has hidden.
pub async fn among(conn: &mut Conn, threads: &[ThreadId], user: UserId) -> Result<Vec<ThreadId>> {
    Ok(hidden_threads::table
        .filter(hidden_threads::thread_id.eq_any(threads))
        .filter(hidden_threads::user_id.eq(user))
        .select(hidden_threads::thread_id)
        .load(conn)
        .await?)
}

/// The condition that a person has hidden a thread.
#[auto_type(no_type_alias)]
pub fn hidden_by(user: UserId) -> _ {
    exists(
        hidden_threads::table
            .filter(hidden_threads::thread_id.eq(threads::id))
            .filter(hidden_threads::user_id.eq(user)),
    )
}
