//! Objects of the storage that belong to nothing, or to nothing yet.
//!
//! A row stands here before the first byte is stored, and goes in the transaction that gives the
//! object a row of its own: whatever fails in between, the object is found and removed.

use chrono::{DateTime, Utc};
use diesel::dsl::not;
use diesel::prelude::*;
use diesel_async::{AsyncConnection, RunQueryDsl};
use uuid::Uuid;

use crate::db::pool::Conn;
use crate::db::schema::unused_files;
use crate::error::Result;

/// Notes objects that are about to be stored, and when they go if nobody claims them.
pub async fn add(conn: &mut Conn, ids: &[Uuid], remove_at: DateTime<Utc>) -> Result<()> {
    let row = |id: &Uuid| {
        (
            unused_files::id.eq(*id),
            unused_files::remove_at.eq(remove_at),
        )
    };
    let rows: Vec<_> = ids.iter().map(row).collect();
    diesel::insert_into(unused_files::table)
        .values(rows)
        .execute(conn)
        .await?;
    Ok(())
}

/// Takes an object for a row of this transaction; whether it was still there, and stays.
pub async fn claim(conn: &mut Conn, id: Uuid) -> Result<bool> {
    let kept = unused_files::table
        .find(id)
        .filter(not(unused_files::removing));
    let claimed = diesel::delete(kept).execute(conn).await?;
    Ok(claimed == 1)
}

/// Has those of these objects that nobody has claimed removed from now on.
pub async fn give_up(conn: &mut Conn, ids: &[Uuid], now: DateTime<Utc>) -> Result<()> {
    diesel::update(unused_files::table.filter(unused_files::id.eq_any(ids)))
        .set(unused_files::remove_at.eq(now))
        .execute(conn)
        .await?;
    Ok(())
}

/// Takes some objects that are due to be removed: until then they are this server's, and nobody
/// claims them any more. What is not forgotten by then is due again.
pub async fn take_due(
    conn: &mut Conn,
    (now, until): (DateTime<Utc>, DateTime<Utc>),
    most: i64,
) -> Result<Vec<Uuid>> {
    conn.transaction(async |conn| {
        let due: Vec<Uuid> = unused_files::table
            .filter(unused_files::remove_at.le(now))
            .order((unused_files::remove_at, unused_files::id))
            .select(unused_files::id)
            .limit(most)
            .for_update()
            .skip_locked()
            .load(conn)
            .await?;
        diesel::update(unused_files::table.filter(unused_files::id.eq_any(&due)))
            .set((
                unused_files::remove_at.eq(until),
                unused_files::removing.eq(true),
            ))
            .execute(conn)
            .await?;
        Ok(due)
    })
    .await
}

/// Forgets objects that were taken until then, and are gone; but not one that was noted anew
/// meanwhile, of which more may come.
pub async fn forget(conn: &mut Conn, ids: &[Uuid], until: DateTime<Utc>) -> Result<()> {
    let gone = unused_files::table
        .filter(unused_files::id.eq_any(ids))
        .filter(unused_files::remove_at.eq(until));
    diesel::delete(gone).execute(conn).await?;
    Ok(())
}
