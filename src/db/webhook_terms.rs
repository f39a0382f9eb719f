//! What webhooks want, and wanted before they were changed: that holds for what happened until
//! then, however late the log is read.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::enums::WebhookEvent;
use crate::db::pool::Conn;
use crate::db::schema::{webhook_terms, webhooks};
use crate::db::snapshot::Snapshot;
use crate::db::webhook::columns;
use crate::error::Result;
use crate::ids::{OrganizationId, WebhookId};

/// What a webhook wants.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
#[diesel(table_name = webhooks)]
pub struct Terms {
    /// Of what it is told; nothing named: of everything.
    pub events: Vec<Option<WebhookEvent>>,
    /// Whether it is told at all.
    pub enabled: bool,
}

/// What it wanted before, up to a position in the log.
#[derive(Debug)]
pub struct Former {
    id: i64,
    terms: Terms,
    until: Snapshot,
}

impl Terms {
    /// Whether it is to be told of what a transaction did. `former`: what it wanted before this.
    pub fn want(&self, former: &[Former], xid: i64, event: WebhookEvent) -> bool {
        let then = former.iter().find(|former| former.until.covers(xid));
        let then = then.map_or(self, |former| &former.terms);
        then.enabled && (then.events.is_empty() || then.events.contains(&Some(event)))
    }
}

/// Keeps what a webhook that is locked wanted until now.
pub async fn keep(
    conn: &mut Conn,
    (tenant, webhook): (OrganizationId, WebhookId),
    terms: &Terms,
    until: &Snapshot,
) -> Result<()> {
    let (xmax, xip) = columns(until);
    diesel::insert_into(webhook_terms::table)
        .values((
            webhook_terms::organization_id.eq(tenant),
            webhook_terms::webhook_id.eq(webhook),
            webhook_terms::events.eq(&terms.events),
            webhook_terms::enabled.eq(terms.enabled),
            webhook_terms::until_xmax.eq(xmax),
            webhook_terms::until_xip.eq(xip),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Whether a webhook wanted something else before, of which it is still to be told.
pub async fn any(conn: &mut Conn, webhook: WebhookId) -> Result<bool> {
    let kept = webhook_terms::table.filter(webhook_terms::webhook_id.eq(webhook));
    Ok(diesel::select(diesel::dsl::exists(kept))
        .get_result(conn)
        .await?)
}

/// An id, events, whether it was enabled, and a snapshot.
type Row = (i64, Vec<Option<WebhookEvent>>, bool, i64, Vec<Option<i64>>);

/// What a webhook that is locked wanted before, the oldest first.
pub async fn of(conn: &mut Conn, webhook: WebhookId) -> Result<Vec<Former>> {
    let rows: Vec<Row> = webhook_terms::table
        .filter(webhook_terms::webhook_id.eq(webhook))
        .order(webhook_terms::id)
        .select((
            webhook_terms::id,
            webhook_terms::events,
            webhook_terms::enabled,
            webhook_terms::until_xmax,
            webhook_terms::until_xip,
        ))
        .load(conn)
        .await?;
    let known = rows
        .into_iter()
        .filter_map(|(id, events, enabled, xmax, xip)| {
            Some(Former {
                id,
                terms: Terms { events, enabled },
                until: Snapshot::new(xmax, xip.into_iter().flatten().collect())?,
            })
        });
    Ok(known.collect())
}

/// Drops what holds for nothing any more, since a webhook has come to a position.
pub async fn drop_before(conn: &mut Conn, former: &[Former], position: &Snapshot) -> Result<()> {
    let over = former
        .iter()
        .filter(|former| position.includes(&former.until));
    let over: Vec<i64> = over.map(|former| former.id).collect();
    if !over.is_empty() {
        diesel::delete(webhook_terms::table.filter(webhook_terms::id.eq_any(over)))
            .execute(conn)
            .await?;
    }
    Ok(())
}
