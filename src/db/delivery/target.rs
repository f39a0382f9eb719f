//! Where deliveries go.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::delivery::Delivery;
use crate::db::enums::Channel;
use crate::db::pool::Conn;
use crate::db::schema::{inboxes, webhooks};
use crate::error::Result;
use crate::webhook::secret::WebhookSecret;

/// Where a delivery goes.
#[derive(Debug)]
pub struct Target {
    /// The URL.
    pub url: String,
    /// What signs what goes there.
    pub secret: WebhookSecret,
}

/// Where a delivery goes now; or why it goes nowhere.
pub async fn of(conn: &mut Conn, delivery: &Delivery) -> Result<Result<Target, &'static str>> {
    if let Some(id) = delivery.inbox_id {
        let found: Option<(Channel, Option<String>, Option<String>)> = inboxes::table
            .find(id)
            .select((
                inboxes::channel,
                inboxes::webhook_url,
                inboxes::webhook_secret,
            ))
            .first(conn)
            .await
            .optional()?;
        return Ok(match found {
            Some((Channel::Api, Some(url), secret)) => with(url, secret.as_deref()),
            Some((Channel::Api, None, _)) => Err("the inbox has no webhookUrl any more"),
            Some((Channel::Web, ..)) => Err("the inbox is no API inbox any more"),
            None => Err("the inbox is gone"),
        });
    }
    let found: Option<(String, String)> = webhooks::table
        .filter(webhooks::id.nullable().eq(delivery.webhook_id))
        .select((webhooks::url, webhooks::secret))
        .first(conn)
        .await
        .optional()?;
    Ok(match found {
        Some((url, secret)) => with(url, Some(&secret)),
        None => Err("the webhook is gone"),
    })
}

fn with(url: String, secret: Option<&str>) -> Result<Target, &'static str> {
    // Earlier versions kept whatever they were given.
    let secret = secret.and_then(|text| WebhookSecret::parse(text).ok());
    match secret {
        Some(secret) => Ok(Target { url, secret }),
        None => Err("the inbox has no secret that can sign: set webhookSecret anew"),
    }
}
