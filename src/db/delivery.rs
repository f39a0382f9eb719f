//! Deliveries: what is to be told to the URL of an inbox or a webhook, or was, and what became of
//! it. Which of them is whose turn is in `queue`. Never decides what an outcome means.

pub mod queue;

pub mod target;

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::dsl::{self, exists, sql};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Double, Timestamptz};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::db::enums::{DeliveryStatus, WebhookEvent};
use crate::db::inbox::Inbox;
use crate::db::message::Message;
use crate::db::pool::Conn;
use crate::db::schema::{deliveries, delivery_queues};
use crate::error::Result;
use crate::ids::{DeliveryId, InboxId, MessageId, OrganizationId, ThreadId, UserId, WebhookId};

/// How many rows one statement inserts: PostgreSQL counts its parameters with 16 bits.
const AT_ONCE: usize = 2_000;

/// A delivery.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
#[diesel(table_name = deliveries)]
pub struct Delivery {
    /// Our id, the same at each attempt.
    pub id: DeliveryId,
    /// The tenant of the inbox or webhook.
    pub organization_id: OrganizationId,
    /// The inbox whose message it is; none: it is for a webhook.
    pub inbox_id: Option<InboxId>,
    /// The webhook that it is for; none: it is an inbox's.
    pub webhook_id: Option<WebhookId>,
    /// The thread that it is about.
    pub thread_id: ThreadId,
    /// What happened.
    pub event: WebhookEvent,
    /// Number of the event in the thread's log; none: a moved watermark.
    pub seq: Option<i64>,
    /// The message that it is about.
    pub message_id: Option<MessageId>,
    /// Whom it is about; of an inbox's message who sent it.
    pub user_id: Option<UserId>,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// What has become of it.
    pub status: DeliveryStatus,
    /// How often it was tried.
    pub attempts: i32,
    /// When it is to be tried next, once it is its turn.
    pub next_at: DateTime<Utc>,
    /// When it was last tried.
    pub last_attempt_at: Option<DateTime<Utc>>,
    /// HTTP status of the last answer.
    pub response_status: Option<i32>,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// Since when it is to be delivered.
    pub created_at: DateTime<Utc>,
    /// When it was delivered or given up.
    pub finished_at: Option<DateTime<Utc>>,
    /// Its place among all deliveries.
    pub place: i64,
}

/// A delivery to make. Its turn comes after those that its target and thread have already.
#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = deliveries)]
pub struct NewDelivery {
    /// Our id.
    pub id: DeliveryId,
    /// The tenant of the inbox or webhook.
    pub organization_id: OrganizationId,
    /// The inbox; none: it is for a webhook.
    pub inbox_id: Option<InboxId>,
    /// The webhook; none: it is an inbox's.
    pub webhook_id: Option<WebhookId>,
    /// The thread that it is about.
    pub thread_id: ThreadId,
    /// What happened.
    pub event: WebhookEvent,
    /// Number of the event in the thread's log; none: a moved watermark.
    pub seq: Option<i64>,
    /// The message that it is about; of a moved watermark the newest one it has reached.
    pub message_id: Option<MessageId>,
    /// Whom it is about; of an inbox's message who sent it.
    pub user_id: Option<UserId>,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// Now.
    pub created_at: DateTime<Utc>,
}

impl NewDelivery {
    /// A sent message of an API inbox. `actor`: who sent it, if it was no backend.
    pub fn of_message(
        inbox: &Inbox,
        message: &Message,
        actor: Option<UserId>,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            id: DeliveryId::generate(),
            organization_id: inbox.organization_id,
            inbox_id: Some(inbox.id),
            webhook_id: None,
            thread_id: message.thread_id,
            event: WebhookEvent::MessageCreated,
            seq: message.seq,
            message_id: Some(message.id),
            user_id: actor,
            occurred_at: message.sent_at.unwrap_or(now),
            created_at: now,
        }
    }

    fn queue(&self) -> Option<queue::NewQueue> {
        let target = (
            self.inbox_id.map(InboxId::uuid),
            self.webhook_id.map(WebhookId::uuid),
        );
        let target_id = target.0.or(target.1)?;
        Some(queue::NewQueue {
            target_id,
            thread_id: self.thread_id,
            organization_id: self.organization_id,
            inbox_id: self.inbox_id,
            webhook_id: self.webhook_id,
        })
    }
}

/// Stores deliveries in the order in which they are to go out, and queues them. A webhook's event
/// that is there already is left out, so doing it again does nothing. After the commit wake the
/// workers: `App::deliveries`. Waits for whoever holds one of the queues, which is never for long.
pub async fn enqueue(conn: &mut Conn, new: &[NewDelivery]) -> Result<()> {
    for new in new.chunks(AT_ONCE) {
        let mut queues: Vec<queue::NewQueue> = new.iter().filter_map(NewDelivery::queue).collect();
        queue::open(conn, &mut queues).await?;
        diesel::insert_into(deliveries::table)
            .values(new)
            .on_conflict_do_nothing()
            .execute(conn)
            .await?;
    }
    Ok(())
}

/// The delivery with an id, whoever may know of it.
pub async fn by_id(conn: &mut Conn, id: DeliveryId) -> Result<Option<Delivery>> {
    Ok(deliveries::table
        .find(id)
        .select(Delivery::as_select())
        .first(conn)
        .await
        .optional()?)
}

/// The newest delivery of an inbox's message.
pub async fn of_message(
    conn: &mut Conn,
    inbox: InboxId,
    message: MessageId,
) -> Result<Option<Delivery>> {
    Ok(deliveries::table
        .filter(deliveries::message_id.eq(message))
        .filter(deliveries::inbox_id.eq(inbox))
        .order(deliveries::place.desc())
        .select(Delivery::as_select())
        .first(conn)
        .await
        .optional()?)
}

/// What has become of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// What has become of the delivery.
    pub status: DeliveryStatus,
    /// Whether anything was sent, or tried to be.
    pub tried: bool,
    /// HTTP status of the answer.
    pub response_status: Option<i32>,
    /// Why it failed.
    pub error: Option<String>,
    /// When it began.
    pub at: DateTime<Utc>,
    /// After how long it is to be tried again, if it is pending still.
    pub pause: Duration,
}

/// Counts an attempt that begins now at the first delivery of a queue, and answers with that as it
/// was before; none: there is nothing to deliver, or the claim has ended. It is counted before
/// anything can go wrong, so that nothing is tried for ever.
pub async fn begin(
    conn: &mut Conn,
    claim: &queue::Claim,
    at: DateTime<Utc>,
) -> Result<Option<Delivery>> {
    let Some(first) = queue::first(conn, claim).await? else {
        return Ok(None);
    };
    let held = delivery_queues::table
        .find((claim.target_id, claim.thread_id))
        .filter(delivery_queues::lease.eq(claim.lease));
    let pending = deliveries::table
        .find(first.id)
        .filter(deliveries::status.eq(DeliveryStatus::Pending))
        .filter(exists(held));
    let counted = diesel::update(pending)
        .set((
            deliveries::attempts.eq(deliveries::attempts + 1),
            deliveries::last_attempt_at.eq(at),
        ))
        .execute(conn)
        .await?;
    Ok((counted > 0).then_some(first))
}

/// Notes what came of an attempt at a delivery that is pending; one that is not stays as it is.
pub async fn record(conn: &mut Conn, id: DeliveryId, attempt: &Attempt) -> Result<()> {
    let finished = attempt.status != DeliveryStatus::Pending;
    // By the database's clock, as claims are: it is one for all servers.
    let next_at = sql::<Timestamptz>("now() + make_interval(secs => ")
        .bind::<Double, _>(attempt.pause.as_secs_f64())
        .sql(")");
    let pending = deliveries::table
        .find(id)
        .filter(deliveries::status.eq(DeliveryStatus::Pending));
    diesel::update(pending)
        .set((
            deliveries::status.eq(attempt.status),
            deliveries::attempts.eq(deliveries::attempts - i32::from(!attempt.tried)),
            deliveries::next_at.eq(next_at),
            deliveries::last_attempt_at.eq(Some(attempt.at)),
            deliveries::response_status.eq(attempt.response_status),
            deliveries::error.eq(attempt.error.as_deref()),
            deliveries::finished_at.eq(finished.then_some(attempt.at)),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Puts a delivery that has not arrived back, with the same id and in its old place, as if it had
/// never been tried; whether it was there. What comes of an attempt at it that is under way counts
/// no more. After the commit wake the workers: `App::deliveries`.
pub async fn put_back(conn: &mut Conn, delivery: &Delivery, time: DateTime<Utc>) -> Result<bool> {
    let queue = queue::NewQueue {
        target_id: delivery.target(),
        thread_id: delivery.thread_id,
        organization_id: delivery.organization_id,
        inbox_id: delivery.inbox_id,
        webhook_id: delivery.webhook_id,
    };
    queue::open(conn, &mut [queue]).await?;
    // The queue is held from here on, so nobody settles it.
    let status: Option<DeliveryStatus> = deliveries::table
        .find(delivery.id)
        .filter(deliveries::status.ne(DeliveryStatus::Delivered))
        .select(deliveries::status)
        .for_update()
        .first(conn)
        .await
        .optional()?;
    let Some(status) = status else {
        return Ok(false);
    };
    diesel::update(deliveries::table.find(delivery.id))
        .set((
            deliveries::status.eq(DeliveryStatus::Pending),
            deliveries::attempts.eq(0),
            deliveries::next_at.eq(dsl::now),
            deliveries::response_status.eq(None::<i32>),
            deliveries::error.eq(None::<String>),
            deliveries::created_at.eq(time),
            deliveries::finished_at.eq(None::<DateTime<Utc>>),
        ))
        .execute(conn)
        .await?;
    let (target, thread) = (delivery.target(), delivery.thread_id);
    match status {
        DeliveryStatus::Pending => queue::revoke(conn, (target, thread)).await?,
        _ => queue::hasten(conn, target, Some(thread)).await?,
    }
    Ok(true)
}

/// Drops some deliveries that were finished before a time; answers how many. Whatever another
/// server is dropping, or somebody puts back, is not waited for.
pub async fn drop_finished(conn: &mut Conn, before: DateTime<Utc>, most: i64) -> Result<usize> {
    Ok(diesel::sql_query(
        "WITH old AS MATERIALIZED (
           SELECT id FROM deliveries WHERE finished_at < $1
           ORDER BY finished_at LIMIT $2 FOR UPDATE SKIP LOCKED
         )
         DELETE FROM deliveries d USING old WHERE d.id = old.id",
    )
    .bind::<Timestamptz, _>(before)
    .bind::<BigInt, _>(most)
    .execute(conn)
    .await?)
}

impl Delivery {
    /// The inbox or webhook, as queues know it.
    pub fn target(&self) -> Uuid {
        let inbox = self.inbox_id.map(InboxId::uuid);
        let target = inbox.or(self.webhook_id.map(WebhookId::uuid));
        target.expect("the database has one of the two")
    }
}
