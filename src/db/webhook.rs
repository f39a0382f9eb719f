//! Webhooks: where a backend is told of all that happens in an organization.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::Uuid as SqlUuid;
use diesel_async::{AsyncConnection, RunQueryDsl};
use uuid::Uuid;

use crate::db::access::OrganizationAccess;
use crate::db::enums::WebhookEvent;
use crate::db::page::{Key, Page, Slice, beyond};
use crate::db::pool::Conn;
use crate::db::schema::{delivery_queues, organizations, webhooks};
use crate::db::snapshot::Snapshot;
use crate::db::webhook_terms::{self, Terms};
use crate::error::Result;
use crate::ids::{OrganizationId, Ref, WebhookId};
use crate::webhook::secret::WebhookSecret;

/// Where a backend is told of what happens. Its secret is not part of it: that is read where it
/// signs, and nowhere else.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
pub struct Webhook {
    /// Our id.
    pub id: WebhookId,
    /// The tenant.
    pub organization_id: OrganizationId,
    /// A backend's id; unique per organization.
    pub external_id: String,
    /// Where it is told.
    pub url: String,
    events: Vec<Option<WebhookEvent>>,
    /// Whether it is told at all.
    pub enabled: bool,
    /// When it last missed what the log no longer had.
    pub missed_at: Option<DateTime<Utc>>,
    /// Since when it is there.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

impl Webhook {
    /// The place in the list of webhooks.
    pub fn key(&self) -> Key<Uuid> {
        Key {
            at: self.created_at,
            tie: self.id.uuid(),
        }
    }

    /// Of what it is told; nothing named: of everything.
    pub fn events(&self) -> impl Iterator<Item = WebhookEvent> {
        self.events.iter().copied().flatten()
    }
}

/// What a backend says of a webhook; what is absent stays as it is.
pub struct WebhookValues {
    /// The backend's id.
    pub external_id: String,
    /// Where it is told; required for a new one.
    pub url: Option<String>,
    /// Of what; nothing named: of everything.
    pub events: Option<Vec<WebhookEvent>>,
    /// What signs what it is told.
    pub secret: Option<WebhookSecret>,
    /// Whether it is told.
    pub enabled: Option<bool>,
}

#[derive(AsChangeset)]
#[diesel(table_name = webhooks)]
struct Changed<'a> {
    url: Option<&'a str>,
    secret: Option<&'a str>,
    events: Option<Vec<Option<WebhookEvent>>>,
    enabled: Option<bool>,
    position_xmax: Option<i64>,
    position_xip: Option<Vec<Option<i64>>>,
    updated_at: DateTime<Utc>,
}

/// Makes a webhook with a secret, for a tenant that is held and has none with that externalId. It
/// is told of what is committed from this moment on.
pub async fn insert(
    conn: &mut Conn,
    organization: &OrganizationAccess,
    values: &WebhookValues,
    (url, secret): (&str, &WebhookSecret),
    now: DateTime<Utc>,
) -> Result<Webhook> {
    let (position_xmax, position_xip) = columns(&Snapshot::now(conn).await?);
    let new = (
        webhooks::id.eq(WebhookId::generate()),
        webhooks::organization_id.eq(organization.organization().id),
        webhooks::external_id.eq(&values.external_id),
        webhooks::url.eq(url),
        webhooks::secret.eq(secret.reveal()),
        webhooks::events.eq(named(values.events.as_deref().unwrap_or_default())),
        webhooks::enabled.eq(values.enabled.unwrap_or(true)),
        webhooks::position_xmax.eq(position_xmax),
        webhooks::position_xip.eq(position_xip),
        webhooks::created_at.eq(now),
        webhooks::updated_at.eq(now),
    );
    Ok(diesel::insert_into(webhooks::table)
        .values(new)
        .returning(Webhook::as_returning())
        .get_result(conn)
        .await?)
}

/// Lets nobody else make a webhook in a tenant until the transaction ends.
pub async fn hold_tenant(conn: &mut Conn, organization: &OrganizationAccess) -> Result<()> {
    organizations::table
        .find(organization.organization().id)
        .select(organizations::id)
        .for_no_key_update()
        .first::<OrganizationId>(conn)
        .await?;
    Ok(())
}

/// Lets nobody delete a webhook until the transaction ends; whether it is there.
pub async fn hold(conn: &mut Conn, id: WebhookId) -> Result<bool> {
    let held: Option<WebhookId> = webhooks::table
        .find(id)
        .select(webhooks::id)
        .for_key_share()
        .first(conn)
        .await
        .optional()?;
    Ok(held.is_some())
}

/// Changes the webhook with that externalId, if there is one; within a transaction. What it wants
/// holds for what is committed from this moment on; what it wanted before, for what was before. Answers with the secret, if that
/// is another one now.
pub async fn change(
    conn: &mut Conn,
    organization: &OrganizationAccess,
    values: &WebhookValues,
    now: DateTime<Utc>,
) -> Result<Option<(Webhook, Option<WebhookSecret>)>> {
    let tenant = organization.organization().id;
    let known: Option<(WebhookId, String, Terms)> = webhooks::table
        .filter(webhooks::organization_id.eq(tenant))
        .filter(webhooks::external_id.eq(&values.external_id))
        .select((webhooks::id, webhooks::secret, Terms::as_select()))
        .for_no_key_update()
        .first(conn)
        .await
        .optional()?;
    let Some((id, secret, known)) = known else {
        return Ok(None);
    };
    let new = Terms {
        events: values
            .events
            .as_deref()
            .map_or_else(|| known.events.clone(), named),
        enabled: values.enabled.unwrap_or(known.enabled),
    };
    let (mut position_xmax, mut position_xip) = (None, None);
    if new != known {
        let until = Snapshot::now(conn).await?;
        if known.enabled || webhook_terms::any(conn, id).await? {
            webhook_terms::keep(conn, (tenant, id), &known, &until).await?;
        } else {
            // There is nothing that it is still to be told of.
            let (xmax, xip) = columns(&until);
            (position_xmax, position_xip) = (Some(xmax), Some(xip));
        }
    }
    let new_secret = values.secret.clone();
    let new_secret = new_secret.filter(|new| new.reveal() != secret);
    let changed = Changed {
        url: values.url.as_deref(),
        secret: new_secret.as_ref().map(WebhookSecret::reveal),
        events: values.events.as_deref().map(named),
        enabled: values.enabled,
        position_xmax,
        position_xip,
        updated_at: now,
    };
    let webhook = diesel::update(webhooks::table.find(id))
        .set(changed)
        .returning(Webhook::as_returning())
        .get_result(conn)
        .await?;
    Ok(Some((webhook, new_secret)))
}

/// Removes a webhook, with its deliveries; whether it was there.
pub async fn remove(conn: &mut Conn, id: WebhookId) -> Result<bool> {
    conn.transaction(async |conn| {
        let webhook = webhooks::table.find(id);
        let locked: Option<WebhookId> = webhook
            .select(webhooks::id)
            .for_update()
            .first(conn)
            .await
            .optional()?;
        // Its queues before what is in them, as the workers do, so that none waits for the other.
        diesel::delete(delivery_queues::table.filter(delivery_queues::webhook_id.eq(id)))
            .execute(conn)
            .await?;
        diesel::delete(webhook).execute(conn).await?;
        Ok(locked.is_some())
    })
    .await
}

/// The webhooks with these ids, in no order.
pub async fn by_ids(conn: &mut Conn, ids: &[WebhookId]) -> Result<Vec<Webhook>> {
    Ok(webhooks::table
        .filter(webhooks::id.eq_any(ids))
        .select(Webhook::as_select())
        .load(conn)
        .await?)
}

/// The webhooks that are named so; of several organizations, if it is by an externalId.
pub async fn named_so(conn: &mut Conn, name: &Ref<WebhookId>) -> Result<Vec<Webhook>> {
    let mut query = webhooks::table.select(Webhook::as_select()).into_boxed();
    query = match name {
        Ref::Id(id) => query.filter(webhooks::id.eq(*id)),
        Ref::External(id) => query.filter(webhooks::external_id.eq(id.clone())),
    };
    Ok(query.load(conn).await?)
}

/// A page of an organization's webhooks, the oldest first.
pub async fn page(
    conn: &mut Conn,
    organization: &OrganizationAccess,
    page: &Page<Uuid>,
) -> Result<Slice<Webhook>> {
    const ORDER: &str = "webhooks.created_at, webhooks.id";

    let mut query = webhooks::table
        .filter(webhooks::organization_id.eq(organization.organization().id))
        .select(Webhook::as_select())
        .limit(page.probe())
        .into_boxed();
    if let Some(key) = &page.after {
        query = query.filter(beyond::<SqlUuid, _>(ORDER, ">", key));
    }
    if let Some(key) = &page.before {
        query = query.filter(beyond::<SqlUuid, _>(ORDER, "<", key));
    }
    query = if page.backward {
        query.order((webhooks::created_at.desc(), webhooks::id.desc()))
    } else {
        query.order((webhooks::created_at, webhooks::id))
    };
    Ok(page.cut(query.load(conn).await?))
}

/// How many webhooks an organization has.
pub async fn count(conn: &mut Conn, organization: &OrganizationAccess) -> Result<i64> {
    Ok(webhooks::table
        .filter(webhooks::organization_id.eq(organization.organization().id))
        .count()
        .get_result(conn)
        .await?)
}

/// A position as the columns keep it.
pub(in crate::db) fn columns(position: &Snapshot) -> (i64, Vec<Option<i64>>) {
    let running = position.xip().iter().copied().map(Some);
    (position.xmax(), running.collect())
}

fn named(events: &[WebhookEvent]) -> Vec<Option<WebhookEvent>> {
    let mut events = events.to_vec();
    events.sort_unstable();
    events.dedup();
    events.into_iter().map(Some).collect()
}
