//! The log of deliveries: what goes to a webhook or an inbox, and how that went.

use std::collections::HashMap;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::db::delivery::Delivery;
use crate::db::enums::DeliveryStatus;
use crate::db::page::{Key, Page, Slice};
use crate::db::pool::Conn;
use crate::db::schema::deliveries;
use crate::error::Result;
use crate::ids::{DeliveryId, InboxId, WebhookId};

impl Delivery {
    /// The place in the list of its target, the newest first.
    pub fn key(&self) -> Key<i64> {
        Key {
            at: self.created_at,
            tie: self.place,
        }
    }
}

/// What deliveries are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// An inbox.
    Inbox(InboxId),
    /// A webhook.
    Webhook(WebhookId),
}

impl Target {
    fn uuid(self) -> Uuid {
        match self {
            Self::Inbox(id) => id.uuid(),
            Self::Webhook(id) => id.uuid(),
        }
    }
}

/// What several lists have in common: what kind of target each is for, and which status it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kind {
    /// For inboxes, else for webhooks.
    pub inbox: bool,
    /// Only those of this status.
    pub status: Option<DeliveryStatus>,
}

impl Kind {
    /// The kind of a list.
    pub fn of(target: Target, status: Option<DeliveryStatus>) -> Self {
        let inbox = matches!(target, Target::Inbox(_));
        Self { inbox, status }
    }

    /// The condition on the deliveries of a target `t`, in the words of an index. The text holds
    /// names of ours alone.
    fn condition(self) -> String {
        let column = match (self.inbox, self.status) {
            // Few of many: these have an index of their own.
            (_, Some(DeliveryStatus::Pending | DeliveryStatus::Failed)) => "target_id",
            (true, _) => "inbox_id",
            (false, _) => "webhook_id",
        };
        match self.status {
            Some(status) => format!("d.{column} = t.id AND d.status = '{}'", status.as_str()),
            None => format!("d.{column} = t.id"),
        }
    }
}

/// The deliveries with these ids, in no order.
pub async fn by_ids(conn: &mut Conn, ids: &[DeliveryId]) -> Result<Vec<Delivery>> {
    Ok(deliveries::table
        .filter(deliveries::id.eq_any(ids))
        .select(Delivery::as_select())
        .load(conn)
        .await?)
}

/// The same page of the list of each of these targets, the newest first.
pub async fn pages(
    conn: &mut Conn,
    targets: &[Target],
    kind: Kind,
    page: &Page<i64>,
) -> Result<HashMap<Target, Slice<Delivery>>> {
    let bound = |operator: &str, key: &Option<Key<i64>>| match key {
        Some(key) => format!("AND d.place {operator} {}", key.tie),
        None => String::new(),
    };
    let (after, before) = (bound("<", &page.after), bound(">", &page.before));
    let direction = if page.backward { "ASC" } else { "DESC" };
    let (condition, limit) = (kind.condition(), page.probe());
    let chosen = sql::<Bool>("deliveries.id IN (SELECT chosen.id FROM unnest(")
        .bind::<Array<SqlUuid>, _>(uuids(targets))
        .sql(&format!(
            ") AS t (id) CROSS JOIN LATERAL (
               SELECT d.id FROM deliveries d WHERE {condition} {after} {before}
               ORDER BY d.place {direction} LIMIT {limit}
             ) chosen)"
        ));
    let rows: Vec<Delivery> = deliveries::table
        .filter(chosen)
        .select(Delivery::as_select())
        .order(deliveries::place.desc())
        .load(conn)
        .await?;
    let mut found: HashMap<Uuid, Vec<Delivery>> = HashMap::new();
    for row in rows {
        found.entry(row.target()).or_default().push(row);
    }
    let cut = |target: &Target| {
        let rows = found.remove(&target.uuid()).unwrap_or_default();
        (*target, page.cut_ordered(rows))
    };
    Ok(targets.iter().map(cut).collect())
}

/// How many deliveries the list of each of these targets holds.
pub async fn counts(
    conn: &mut Conn,
    targets: &[Target],
    kind: Kind,
) -> Result<HashMap<Target, i64>> {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }

    let condition = kind.condition();
    let counts: Vec<Count> = diesel::sql_query(format!(
        "SELECT (SELECT count(*) FROM deliveries d WHERE {condition}) AS count
         FROM unnest($1) WITH ORDINALITY AS t (id, number) ORDER BY number"
    ))
    .bind::<Array<SqlUuid>, _>(uuids(targets))
    .load(conn)
    .await?;
    let counted = targets.iter().zip(counts);
    Ok(counted
        .map(|(target, found)| (*target, found.count))
        .collect())
}

fn uuids(targets: &[Target]) -> Vec<Uuid> {
    targets.iter().map(|target| target.uuid()).collect()
}
