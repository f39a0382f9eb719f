//! Objects of the storage that belong to nothing, or to nothing yet.
//!
//! A row stands here before the first byte is stored, and goes in the transaction that gives the
//! object a row of its own: whatever fails in between, the object is found and removed.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncConnection, RunQueryDsl};
use uuid::Uuid;

use crate::db::pool::Conn;
use crate::db::schema::unused_files;
use crate::error::Result;

/// When an object is tried again that could not be removed.
const TRIED_AGAIN: TimeDelta = TimeDelta::minutes(5);

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

/// Takes an object for a row of this transaction; whether it was still there.
pub async fn claim(conn: &mut Conn, id: Uuid) -> Result<bool> {
    let claimed = diesel::delete(unused_files::table.find(id))
        .execute(conn)
        .await?;
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

/// Removes objects that are due, by `remove`, which says whether it has; answers how many have
/// gone. Nobody claims one meanwhile, and several servers remove different ones. What could not be
/// removed is tried again later.
pub async fn remove_due<F: Future<Output = bool> + Send>(
    conn: &mut Conn,
    now: DateTime<Utc>,
    most: i64,
    remove: impl Fn(Uuid) -> F + Send + Sync,
) -> Result<usize> {
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
        let (mut removed, mut kept) = (Vec::new(), Vec::new());
        for id in due {
            if remove(id).await {
                removed.push(id);
            } else {
                kept.push(id);
            }
        }
        diesel::delete(unused_files::table.filter(unused_files::id.eq_any(&removed)))
            .execute(conn)
            .await?;
        give_up(conn, &kept, now + TRIED_AGAIN).await?;
        Ok(removed.len())
    })
    .await
}
