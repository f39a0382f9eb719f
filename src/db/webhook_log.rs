//! Up to where of the log each webhook's deliveries have been made. A position moves on in the
//! transaction that makes them, and only from where it was when the log was read: so each event
//! becomes one delivery, whoever reads at the same time and whoever dies.

use chrono::{DateTime, Utc};
use diesel::dsl::exists;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Uuid as SqlUuid};
use diesel_async::{AsyncConnection, RunQueryDsl};

use crate::db::delivery::{self, NewDelivery};
use crate::db::pool::Conn;
use crate::db::prepared::Prepare;
use crate::db::schema::{webhook_terms as terms, webhooks};
use crate::db::snapshot::Snapshot;
use crate::db::webhook::columns;
use crate::db::webhook_terms::{self, Terms};
use crate::error::Result;
use crate::ids::{OrganizationId, WebhookId};

/// How many webhooks are looked after at once, those first that are furthest behind.
const MOST: i64 = 1_000;

/// A webhook for which there is something in the log, and where it is.
#[derive(Debug, Clone)]
pub struct Behind {
    /// Which.
    pub id: WebhookId,
    /// Of which tenant it is told.
    pub organization_id: OrganizationId,
    /// What has become deliveries.
    pub position: Snapshot,
}

/// Whether any webhook is told of anything, or is still to be told of what was before it was
/// disabled.
pub async fn any(conn: &mut Conn) -> Result<bool> {
    let found: Any = diesel::sql_query(
        "SELECT EXISTS (SELECT FROM webhooks WHERE enabled)
           OR EXISTS (SELECT FROM webhook_terms) AS found",
    )
    .prepared()
    .get_result(conn)
    .await?;
    Ok(found.found)
}

/// The webhooks in whose tenants something has happened behind their positions; with `stale`
/// those, too, whose positions name an older transaction than that.
pub async fn behind(conn: &mut Conn, stale: Option<i64>) -> Result<Vec<Behind>> {
    // As in `log`: a range in the order of the tenant's index, of which the first row is enough.
    // Without an order the whole table might be read for the sake of finding none.
    let news = |table: &str, tenant: &str| {
        let first = |condition: String| {
            format!(
                "(SELECT l.xid FROM {table} l WHERE {condition}
                  ORDER BY l.{tenant}, l.xid LIMIT 1) IS NOT NULL"
            )
        };
        let later = first(format!(
            "l.{tenant} <= w.organization_id
             AND (l.{tenant}, l.xid) >= (w.organization_id, w.position_xmax)"
        ));
        let running = first(format!(
            "l.{tenant} = w.organization_id AND l.xid = ANY (w.position_xip)"
        ));
        format!("{later} OR {running}")
    };
    let (here, away) = (
        news("events", "organization_id"),
        news("events", "former_organization_id"),
    );
    let moved = news("watermarks", "organization_id");
    let rows: Vec<Row> = diesel::sql_query(format!(
        "SELECT id, organization_id, position_xmax, position_xip FROM webhooks w
         WHERE (enabled OR EXISTS (SELECT FROM webhook_terms t WHERE t.webhook_id = w.id))
           AND ({here} OR {away} OR {moved}
           OR least(position_xmax, position_xip[1]) < $1)
         ORDER BY position_xmax, id LIMIT $2"
    ))
    .bind::<Nullable<BigInt>, _>(stale)
    .bind::<BigInt, _>(MOST)
    .load(conn)
    .await?;
    let known = rows.into_iter().filter_map(|row| {
        Some(Behind {
            id: row.id,
            organization_id: row.organization_id,
            position: Snapshot::new(row.position_xmax, row.position_xip)?,
        })
    });
    Ok(known.collect())
}

/// Makes deliveries of what a webhook wants, or wanted when it happened, and moves its position on;
/// nothing if somebody else has moved it, or is about to. `told`: what happened, with the
/// transactions that did it. Answers how many deliveries were made.
pub async fn take(
    conn: &mut Conn,
    webhook: &Behind,
    told: Vec<(i64, NewDelivery)>,
    after: &Snapshot,
) -> Result<usize> {
    conn.transaction(async |conn| {
        // What it wants is read under the lock: whoever was answered that it wants something from
        // now on has been answered before this.
        let Some(terms) = locked(conn, webhook).await? else {
            return Ok(0);
        };
        let former = webhook_terms::of(conn, webhook.id).await?;
        let wanted = told.into_iter();
        let wanted = wanted.filter(|(xid, new)| terms.want(&former, *xid, new.event));
        let wanted: Vec<NewDelivery> = wanted.map(|(_, new)| new).collect();
        delivery::enqueue(conn, &wanted).await?;
        webhook_terms::drop_before(conn, &former, after).await?;
        let (xmax, xip) = columns(after);
        diesel::update(webhooks::table.find(webhook.id))
            .set((
                webhooks::position_xmax.eq(xmax),
                webhooks::position_xip.eq(xip),
            ))
            .execute(conn)
            .await?;
        Ok(wanted.len())
    })
    .await
}

/// Goes on from another position, since what is behind the former one is not in the log any more;
/// whether nobody else has done so.
pub async fn skip(
    conn: &mut Conn,
    webhook: &Behind,
    to: &Snapshot,
    now: DateTime<Utc>,
) -> Result<bool> {
    conn.transaction(async |conn| {
        if locked(conn, webhook).await?.is_none() {
            return Ok(false);
        }
        let former = webhook_terms::of(conn, webhook.id).await?;
        webhook_terms::drop_before(conn, &former, to).await?;
        let (xmax, xip) = columns(to);
        diesel::update(webhooks::table.find(webhook.id))
            .set((
                webhooks::position_xmax.eq(xmax),
                webhooks::position_xip.eq(xip),
                webhooks::missed_at.eq(now),
            ))
            .execute(conn)
            .await?;
        Ok(true)
    })
    .await
}

/// What the webhook wants, and itself locked, if it is where it was and nobody else is at it.
async fn locked(conn: &mut Conn, webhook: &Behind) -> Result<Option<Terms>> {
    let (xmax, xip) = columns(&webhook.position);
    let former = terms::table.filter(terms::webhook_id.eq(webhook.id));
    Ok(webhooks::table
        .find(webhook.id)
        .filter(webhooks::enabled.or(exists(former)))
        .filter(webhooks::position_xmax.eq(xmax))
        .filter(webhooks::position_xip.eq(xip))
        .select(Terms::as_select())
        .for_no_key_update()
        .skip_locked()
        .first(conn)
        .await
        .optional()?)
}

#[derive(QueryableByName)]
struct Any {
    #[diesel(sql_type = Bool)]
    found: bool,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    id: WebhookId,
    #[diesel(sql_type = SqlUuid)]
    organization_id: OrganizationId,
    #[diesel(sql_type = BigInt)]
    position_xmax: i64,
    #[diesel(sql_type = Array<BigInt>)]
    position_xip: Vec<i64>,
}
