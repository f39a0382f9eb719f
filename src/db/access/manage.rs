//! What is for those alone who run an organization, its admins and API keys: webhooks and the log
//! of deliveries. Other members are told that it is forbidden; for outsiders there is nothing.

use crate::auth::Viewer;
use crate::db::delivery::Delivery;
use crate::db::delivery_list;
use crate::db::enums::Role;
use crate::db::pool::Conn;
use crate::db::webhook::{self, Webhook};
use crate::error::{Error, Result};
use crate::ids::{DeliveryId, OrganizationId, Ref, WebhookId};

/// Whether the viewer runs an organization.
pub fn runs(viewer: &Viewer, organization: OrganizationId) -> bool {
    viewer.key_reaches(organization) || viewer.role_in(organization) == Some(Role::Admin)
}

/// Fails unless the viewer runs an organization that he sees.
pub fn prove(viewer: &Viewer, organization: OrganizationId) -> Result<()> {
    if runs(viewer, organization) {
        Ok(())
    } else {
        Err(forbidden())
    }
}

/// The webhook.
pub async fn webhook(conn: &mut Conn, viewer: &Viewer, name: &Ref<WebhookId>) -> Result<Webhook> {
    let found = webhook::named_so(conn, name).await?;
    let found = found.into_iter();
    one(
        viewer,
        found.map(|one| (one.organization_id, one)),
        "webhook",
    )
}

/// The delivery.
pub async fn delivery(conn: &mut Conn, viewer: &Viewer, id: DeliveryId) -> Result<Delivery> {
    let found = delivery_list::by_ids(conn, &[id]).await?.into_iter();
    one(
        viewer,
        found.map(|one| (one.organization_id, one)),
        "delivery",
    )
}

/// Those of the webhooks whose organizations the viewer runs.
pub async fn webhooks_by_ids(
    conn: &mut Conn,
    viewer: &Viewer,
    ids: &[WebhookId],
) -> Result<Vec<Webhook>> {
    let mut found = webhook::by_ids(conn, ids).await?;
    found.retain(|webhook| runs(viewer, webhook.organization_id));
    Ok(found)
}

/// Those of the deliveries whose organizations the viewer runs.
pub async fn deliveries_by_ids(
    conn: &mut Conn,
    viewer: &Viewer,
    ids: &[DeliveryId],
) -> Result<Vec<Delivery>> {
    let mut found = delivery_list::by_ids(conn, ids).await?;
    found.retain(|delivery| runs(viewer, delivery.organization_id));
    Ok(found)
}

/// The one of these that the viewer may see: several organizations may use an externalId.
fn one<T>(
    viewer: &Viewer,
    found: impl Iterator<Item = (OrganizationId, T)>,
    kind: &'static str,
) -> Result<T> {
    let sees = |id| viewer.key_reaches(id) || viewer.role_in(id).is_some();
    let (mut seen, rest): (Vec<_>, Vec<_>) = found
        .filter(|(organization, _)| sees(*organization))
        .partition(|(organization, _)| runs(viewer, *organization));
    match (seen.pop(), seen.is_empty()) {
        (Some((_, found)), true) => Ok(found),
        (Some(_), false) => Err(Error::field(
            "id",
            "this externalId is in several organizations: use the id, or a credential bound to one",
        )),
        (None, _) if rest.is_empty() => Err(Error::NotFound(kind)),
        (None, _) => Err(forbidden()),
    }
}

fn forbidden() -> Error {
    Error::Forbidden("only admins and API keys see webhooks and deliveries".to_owned())
}
