//! Drops what is too old of the log, the oldest first, a little at a time.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Timestamptz};
use diesel_async::{AsyncConnection, RunQueryDsl};

use crate::db::pool::Conn;
use crate::error::Result;

/// What chooses: of the oldest $2 events those before $1, and what is before them in their
/// threads, so that what a thread keeps of its log has no hole.
const OLD: &str = "old AS (
    SELECT thread_id, max(seq) AS upto FROM (
      SELECT thread_id, seq, occurred_at FROM events ORDER BY xid LIMIT $2
    ) AS oldest WHERE occurred_at < $1 GROUP BY thread_id
  )";

/// Drops some events from before a time, with what was kept of deleted threads for their sake;
/// answers how many. None while another server is at it.
pub async fn drop_before(conn: &mut Conn, time: DateTime<Utc>, most: i64) -> Result<i64> {
    // Any number that nothing else locks.
    const LOCK: i64 = 0x626f_6262_696f;

    conn.transaction(async |conn| {
        let mine: Got = diesel::sql_query("SELECT pg_try_advisory_xact_lock($1) AS got")
            .bind::<BigInt, _>(LOCK)
            .get_result(conn)
            .await?;
        if !mine.got {
            return Ok(0);
        }
        // Writes hardly ever touch old events. If one does, this gives way and comes again: it
        // never waits while it holds what others may wait for.
        diesel::sql_query(format!(
            "WITH {OLD} SELECT FROM events e JOIN old USING (thread_id) WHERE e.seq <= old.upto
             FOR UPDATE OF e NOWAIT"
        ))
        .bind::<Timestamptz, _>(time)
        .bind::<BigInt, _>(most)
        .execute(conn)
        .await?;
        let dropped: Dropped = diesel::sql_query(format!(
            "WITH {OLD}, gone AS (
               DELETE FROM events e USING old
               WHERE e.thread_id = old.thread_id AND e.seq <= old.upto
               RETURNING e.thread_id, e.xid, e.kind
             ), forgotten AS (
               DELETE FROM deleted_threads d USING gone
               WHERE gone.kind = 'THREAD_DELETED' AND d.thread_id = gone.thread_id
             ), noted AS (
               UPDATE event_retention SET dropped_xid = newest.xid
               FROM (SELECT max(xid) AS xid FROM gone) AS newest
               WHERE newest.xid > dropped_xid
             )
             SELECT count(*) AS events FROM gone"
        ))
        .bind::<Timestamptz, _>(time)
        .bind::<BigInt, _>(most)
        .get_result(conn)
        .await?;
        Ok(dropped.events)
    })
    .await
}

#[derive(QueryableByName)]
struct Got {
    #[diesel(sql_type = Bool)]
    got: bool,
}

#[derive(QueryableByName)]
struct Dropped {
    #[diesel(sql_type = BigInt)]
    events: i64,
}
