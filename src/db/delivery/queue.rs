//! Whose turn a delivery is: those of one target and thread go out one after the other, each
//! under a claim that ends by itself. Whoever crashes leaves a claim that somebody else takes up
//! when it has ended. When it ends is by the database's clock, which is one for all servers.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::dsl::{now, sql};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Double, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::db::delivery::Delivery;
use crate::db::pool::Conn;
use crate::db::schema::{deliveries, delivery_queues};
use crate::error::Result;
use crate::ids::{InboxId, OrganizationId, ThreadId, WebhookId};

/// A queue to open, unless it is open already.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::db) struct NewQueue {
    pub target_id: Uuid,
    pub thread_id: ThreadId,
    pub organization_id: OrganizationId,
    pub inbox_id: Option<InboxId>,
    pub webhook_id: Option<WebhookId>,
}

/// The right to deliver the first of a queue, for a while.
#[derive(Debug, Clone, PartialEq, QueryableByName)]
pub struct Claim {
    /// The inbox or webhook.
    #[diesel(sql_type = SqlUuid)]
    pub target_id: Uuid,
    /// The thread.
    #[diesel(sql_type = SqlUuid)]
    pub thread_id: ThreadId,
    /// By what it is known.
    #[diesel(sql_type = SqlUuid)]
    pub lease: Uuid,
}

/// What a server can take on.
#[derive(Debug, Clone, Default)]
pub struct Room {
    /// How many queues in all.
    pub slots: i64,
    /// How many of one target, those counted that it delivers already.
    pub per_target: i64,
    /// How many of which target it delivers already.
    pub busy: Vec<(Uuid, i64)>,
    /// For how long it claims them.
    pub lease: Duration,
}

/// Opens queues, and holds them until the transaction ends: else whoever finishes the last
/// delivery of one would close it without seeing the one that is being added.
pub(in crate::db) async fn open(conn: &mut Conn, queues: &mut [NewQueue]) -> Result<()> {
    // In one order, so that two who open several do not wait for each other.
    queues.sort_unstable();
    let mut before = None;
    let mut rows = Vec::with_capacity(queues.len());
    for queue in &*queues {
        if before.replace(queue) == Some(queue) {
            continue;
        }
        rows.push((
            delivery_queues::thread_id.eq(queue.thread_id),
            delivery_queues::organization_id.eq(queue.organization_id),
            delivery_queues::inbox_id.eq(queue.inbox_id),
            delivery_queues::webhook_id.eq(queue.webhook_id),
        ));
    }
    diesel::insert_into(delivery_queues::table)
        .values(rows)
        .on_conflict((delivery_queues::target_id, delivery_queues::thread_id))
        .do_update()
        .set(delivery_queues::next_at.eq(delivery_queues::next_at))
        .execute(conn)
        .await?;
    Ok(())
}

/// Claims queues that are due, in turn one of each target: those first whose target has least
/// under way here, and among these those that have been due for longest. So however many hang,
/// who takes what he is sent comes next. Never waits. Those of a webhook that is not enabled wait
/// until it is.
pub async fn claim(conn: &mut Conn, room: &Room) -> Result<Vec<Claim>> {
    // From target to target by the index: however much one has that is due, the others are found.
    let (busy, running): (Vec<Uuid>, Vec<i64>) = room.busy.iter().copied().unzip();
    Ok(diesel::sql_query(
        "WITH RECURSIVE targets AS (
           (SELECT target_id AS id FROM delivery_queues ORDER BY target_id LIMIT 1)
           UNION ALL
           SELECT (SELECT target_id FROM delivery_queues WHERE target_id > t.id
                   ORDER BY target_id LIMIT 1)
           FROM targets t WHERE t.id IS NOT NULL
         ), due AS MATERIALIZED (
           SELECT picked.target_id, picked.thread_id
           FROM targets t CROSS JOIN LATERAL (
             SELECT coalesce((
               SELECT b.running FROM unnest($3, $4) AS b (id, running) WHERE b.id = t.id
             ), 0) AS running
           ) AS busy CROSS JOIN LATERAL (
             SELECT target_id, thread_id, next_at FROM delivery_queues
             WHERE target_id = t.id AND next_at <= now()
             ORDER BY next_at
             LIMIT greatest(0, $2 - busy.running)
             FOR UPDATE SKIP LOCKED
           ) AS picked
           WHERE t.id IS NOT NULL
             AND NOT EXISTS (SELECT FROM webhooks w WHERE w.id = t.id AND NOT w.enabled)
           ORDER BY busy.running + row_number() OVER (PARTITION BY t.id ORDER BY picked.next_at),
             picked.next_at
           LIMIT $1
         )
         UPDATE delivery_queues q
         SET lease = gen_random_uuid(), next_at = now() + make_interval(secs => $5), hastened = false
         FROM due WHERE q.target_id = due.target_id AND q.thread_id = due.thread_id
         RETURNING q.target_id, q.thread_id, q.lease",
    )
    .bind::<BigInt, _>(room.slots)
    .bind::<BigInt, _>(room.per_target)
    .bind::<Array<SqlUuid>, _>(busy)
    .bind::<Array<BigInt>, _>(running)
    .bind::<Double, _>(room.lease.as_secs_f64())
    .load(conn)
    .await?)
}

/// The delivery whose turn it is in a queue.
pub async fn first(conn: &mut Conn, claim: &Claim) -> Result<Option<Delivery>> {
    // In the words of the index: of a parameter it would not be known that it is this one.
    let pending = sql::<Bool>("deliveries.status = 'PENDING'");
    Ok(deliveries::table
        .filter(deliveries::target_id.eq(claim.target_id))
        .filter(deliveries::thread_id.eq(claim.thread_id))
        .filter(pending)
        .order(deliveries::place)
        .select(Delivery::as_select())
        .first(conn)
        .await
        .optional()?)
}

/// Holds a queue until the transaction ends, if it is still claimed so.
pub async fn hold(conn: &mut Conn, claim: &Claim) -> Result<bool> {
    let held: Option<Uuid> = delivery_queues::table
        .find((claim.target_id, claim.thread_id))
        .filter(delivery_queues::lease.eq(claim.lease))
        .select(delivery_queues::target_id)
        .for_update()
        .first(conn)
        .await
        .optional()?;
    Ok(held.is_some())
}

/// Ends a claim of a queue that is held: it is due when its first delivery is, or at once if it was
/// hastened meanwhile; it is closed if it has none.
pub async fn release(conn: &mut Conn, claim: &Claim) -> Result<()> {
    let next: Option<DateTime<Utc>> = first(conn, claim).await?.map(|first| first.next_at);
    let queue = delivery_queues::table.find((claim.target_id, claim.thread_id));
    match next {
        Some(next) => {
            let due = sql::<Timestamptz>("CASE WHEN hastened THEN now() ELSE ")
                .bind::<Timestamptz, _>(next)
                .sql(" END");
            diesel::update(queue)
                .set((
                    delivery_queues::lease.eq(None::<Uuid>),
                    delivery_queues::hastened.eq(false),
                    delivery_queues::next_at.eq(due),
                ))
                .execute(conn)
                .await?
        }
        None => diesel::delete(queue).execute(conn).await?,
    };
    Ok(())
}

/// Gives claims back as they are, for somebody else to take up at once.
pub async fn give_back(conn: &mut Conn, leases: &[Uuid]) -> Result<()> {
    let claimed = delivery_queues::table.filter(delivery_queues::lease.eq_any(leases));
    diesel::update(claimed)
        .set((
            delivery_queues::lease.eq(None::<Uuid>),
            delivery_queues::next_at.eq(now),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Makes what a target has due at once that has been left alone for a while: it has just taken
/// something that it had not before. What was tried within `rest` is not: it is that itself which
/// fails, and must not use up its attempts. Passes over what somebody else is at.
pub async fn recover(conn: &mut Conn, target: Uuid, rest: Duration) -> Result<()> {
    diesel::sql_query(
        "UPDATE delivery_queues SET next_at = now() WHERE (target_id, thread_id) IN (
           SELECT q.target_id, q.thread_id FROM delivery_queues q
           CROSS JOIN LATERAL (
             SELECT d.last_attempt_at FROM deliveries d
             WHERE d.target_id = q.target_id AND d.thread_id = q.thread_id AND d.status = 'PENDING'
             ORDER BY d.place LIMIT 1
           ) AS first
           WHERE q.target_id = $1 AND q.next_at > now() AND q.lease IS NULL
             AND first.last_attempt_at < now() - make_interval(secs => $2)
           FOR UPDATE OF q SKIP LOCKED
         )",
    )
    .bind::<SqlUuid, _>(target)
    .bind::<Double, _>(rest.as_secs_f64())
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes a queue that is held from whoever has claimed it: what comes of his attempt is not stored
/// any more, and the first delivery is due at once.
pub(in crate::db) async fn revoke(
    conn: &mut Conn,
    (target, thread): (Uuid, ThreadId),
) -> Result<()> {
    diesel::update(delivery_queues::table.find((target, thread)))
        .set((
            delivery_queues::lease.eq(None::<Uuid>),
            delivery_queues::hastened.eq(false),
            delivery_queues::next_at.eq(now),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Makes what a target has, or has in one thread, due at once, whatever it was waiting for; what
/// is being tried at this moment, once it has failed.
pub async fn hasten(conn: &mut Conn, target: Uuid, thread: Option<ThreadId>) -> Result<()> {
    let waits = delivery_queues::lease
        .is_not_null()
        .or(delivery_queues::next_at.gt(now));
    // A claim holds until it ends.
    let due = sql::<Timestamptz>("CASE WHEN lease IS NULL THEN now() ELSE next_at END");
    let mut waiting = diesel::update(delivery_queues::table)
        .filter(delivery_queues::target_id.eq(target))
        .filter(waits)
        .set((
            delivery_queues::next_at.eq(due),
            delivery_queues::hastened.eq(sql::<Bool>("lease IS NOT NULL")),
        ))
        .into_boxed();
    if let Some(thread) = thread {
        waiting = waiting.filter(delivery_queues::thread_id.eq(thread));
    }
    waiting.execute(conn).await?;
    Ok(())
}
