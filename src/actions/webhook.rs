//! Writes on webhooks and on what is delivered to them.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel_async::AsyncConnection;

use crate::actions::{check, status};
use crate::app::App;
use crate::auth::Viewer;
use crate::db::access::{OrganizationAccess, find, manage};
use crate::db::delivery::{self, Delivery, queue};
use crate::db::enums::{DeliveryStatus, WebhookEvent};
use crate::db::pool::Conn;
use crate::db::webhook::{self, Webhook, WebhookValues};
use crate::error::{Error, Faults, Result};
use crate::ids::{DeliveryId, OrganizationId, Ref, WebhookId};
use crate::webhook::secret::WebhookSecret;

/// Most webhooks of an organization: each has a row for every event.
const MAX_WEBHOOKS: i64 = 20;

/// A webhook as a backend wants it. What is absent stays.
pub struct UpsertWebhook {
    /// The backend's id.
    pub external_id: String,
    /// Where it is told; required for a new one.
    pub url: Option<String>,
    /// Of what; nothing named: of everything.
    pub events: Option<Vec<WebhookEvent>>,
    /// What signs what it is told; an inner none, and none for a new one: one is made.
    pub secret: Option<Option<String>>,
    /// Whether it is told.
    pub enabled: Option<bool>,
}

/// Makes a webhook, or changes the one with that externalId; with its secret, if that is new.
pub async fn upsert(
    app: &Arc<App>,
    viewer: &Viewer,
    organization: &Ref<OrganizationId>,
    input: UpsertWebhook,
) -> Result<(Webhook, Option<WebhookSecret>)> {
    let values = checked(app, input)?;
    let mut conn = app.conn().await?;
    let access = find::organization(&mut conn, viewer, organization).await?;
    manage::prove(viewer, access.organization().id)?;
    let now = app.clock.now();
    let done = conn
        .transaction(async |conn| {
            if let Some(changed) = webhook::change(conn, &access, &values, now).await? {
                // What waits to be tried again may go through by what has changed.
                queue::hasten(conn, changed.0.id.uuid(), None).await?;
                return Ok(changed);
            }
            // Those are waited for who make others, or this one, at this moment.
            webhook::hold_tenant(conn, &access).await?;
            match webhook::change(conn, &access, &values, now).await? {
                Some(changed) => Ok(changed),
                None => make(conn, &access, &values, now).await,
            }
        })
        .await?;
    app.deliveries.notify_one();
    Ok(done)
}

async fn make(
    conn: &mut Conn,
    access: &OrganizationAccess,
    values: &WebhookValues,
    now: DateTime<Utc>,
) -> Result<(Webhook, Option<WebhookSecret>)> {
    let Some(url) = &values.url else {
        let missing = "is required: there is no webhook with this externalId yet";
        return Err(Error::field("url", missing));
    };
    if webhook::count(conn, access).await? >= MAX_WEBHOOKS {
        let full = format!("an organization has at most {MAX_WEBHOOKS} webhooks");
        return Err(Error::Conflict(full));
    }
    let secret = match &values.secret {
        Some(secret) => secret.clone(),
        None => WebhookSecret::generate()?,
    };
    let made = webhook::insert(conn, access, values, (url, &secret), now).await?;
    Ok((made, Some(secret)))
}

fn checked(app: &App, input: UpsertWebhook) -> Result<WebhookValues> {
    let mut faults = Faults::default();
    check::external_id(&mut faults, "externalId", Some(&input.external_id));
    if let Some(url) = &input.url {
        check::webhook_url(&mut faults, "url", url, &app.settings);
    }
    let given = input.secret.as_ref().and_then(Option::as_deref);
    let given = check::webhook_secret(&mut faults, "secret", given);
    faults.finish()?;
    let secret = match (given, input.secret) {
        (None, Some(None)) => Some(WebhookSecret::generate()?),
        (given, _) => given,
    };
    Ok(WebhookValues {
        external_id: input.external_id,
        url: input.url,
        events: input.events,
        secret,
        enabled: input.enabled,
    })
}

/// Deletes a webhook, with the log of its deliveries and those that were still to be made.
pub async fn delete(app: &App, viewer: &Viewer, name: &Ref<WebhookId>) -> Result<WebhookId> {
    let mut conn = app.conn().await?;
    let webhook = manage::webhook(&mut conn, viewer, name).await?;
    if webhook::remove(&mut conn, webhook.id).await? {
        Ok(webhook.id)
    } else {
        Err(Error::NotFound("webhook"))
    }
}

/// Begins a FAILED delivery anew, with the same id; for an inbox that is to send its message once
/// more. Any other one stays as it is.
pub async fn retry_delivery(app: &Arc<App>, viewer: &Viewer, id: DeliveryId) -> Result<Delivery> {
    let mut conn = app.conn().await?;
    let found = manage::delivery(&mut conn, viewer, id).await?;
    if found.status != DeliveryStatus::Failed {
        return Ok(found);
    }
    match found.message_id.filter(|_| found.inbox_id.is_some()) {
        Some(message) => {
            drop(conn);
            status::retry(app, viewer, &Ref::Id(message)).await?;
            conn = app.conn().await?;
        }
        None => {
            let now = app.clock.now();
            conn.transaction(async |conn| match found.webhook_id {
                Some(id) if !webhook::hold(conn, id).await? => Err(Error::NotFound("delivery")),
                _ => delivery::put_back(conn, &found, now).await,
            })
            .await?;
            app.deliveries.notify_one();
        }
    }
    let now = delivery::by_id(&mut conn, id).await?;
    now.ok_or(Error::NotFound("delivery"))
}
