//! Writes on inboxes.

use std::sync::Arc;

use diesel_async::AsyncConnection;

use crate::actions::check;
use crate::app::App;
use crate::auth::Viewer;
use crate::db::access::find;
use crate::db::delivery::queue;
use crate::db::enums::Channel;
use crate::db::inbox::{self, Inbox, InboxValues};
use crate::error::{Error, Faults, Result};
use crate::ids::{OrganizationId, Ref};
use crate::webhook::secret::WebhookSecret;

/// An inbox as a backend wants it. What is absent stays. It does not print: it has a secret.
pub struct UpsertInbox {
    /// The backend's id.
    pub external_id: String,
    /// Its name.
    pub name: String,
    /// What kind of channel it is.
    pub channel: Channel,
    /// Where outgoing messages go; an inner none: nowhere.
    pub webhook_url: Option<Option<String>>,
    /// What signs them; an inner none: a new one.
    pub webhook_secret: Option<Option<String>>,
}

/// Makes an inbox, or changes the one with that externalId; with the secret that was made for it,
/// if one was.
pub async fn upsert(
    app: &Arc<App>,
    viewer: &Viewer,
    organization: &Ref<OrganizationId>,
    input: UpsertInbox,
) -> Result<(Inbox, Option<WebhookSecret>)> {
    let values = checked(app, input)?;
    let mut conn = app.conn().await?;
    let access = find::organization(&mut conn, viewer, organization).await?;
    if !access.manages_members() {
        return Err(Error::Forbidden(
            "only admins and API keys set up inboxes".to_owned(),
        ));
    }
    let done = conn
        .transaction(async |conn| {
            let (inbox, has_secret) =
                inbox::upsert(conn, &access, &values, app.clock.now()).await?;
            // Its row is locked from here on: of two who set it up at once one makes a secret.
            let mut made = None;
            if inbox.webhook_url.is_some() && !has_secret {
                let secret = WebhookSecret::generate()?;
                inbox::set_secret(conn, inbox.id, &secret).await?;
                made = Some(secret);
            }
            // What waits to be tried again may go through by what has changed.
            queue::hasten(conn, inbox.id.uuid(), None).await?;
            Ok::<_, Error>((inbox, made))
        })
        .await?;
    app.deliveries.notify_one();
    Ok(done)
}

fn checked(app: &App, input: UpsertInbox) -> Result<InboxValues> {
    let mut faults = Faults::default();
    check::external_id(&mut faults, "externalId", Some(&input.external_id));
    check::line(&mut faults, "name", Some(&input.name));
    if let Some(Some(url)) = &input.webhook_url {
        check::webhook_url(&mut faults, "webhookUrl", url, &app.settings);
    }
    let secret = input
        .webhook_secret
        .map(|given| check::webhook_secret(&mut faults, "webhookSecret", given.as_deref()));
    faults.finish()?;
    Ok(InboxValues {
        external_id: input.external_id,
        name: input.name,
        channel: input.channel,
        webhook_url: input.webhook_url,
        webhook_secret: secret,
    })
}
