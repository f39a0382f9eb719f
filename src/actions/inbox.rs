//! Writes on inboxes.

use std::sync::Arc;

use crate::actions::check;
use crate::app::App;
use crate::auth::Viewer;
use crate::db::access::find;
use crate::db::inbox::{self, Inbox, InboxValues};
use crate::error::{Error, Faults, Result};
use crate::ids::{OrganizationId, Ref};

/// Makes an inbox, or changes the one with that externalId.
pub async fn upsert(
    app: &Arc<App>,
    viewer: &Viewer,
    organization: &Ref<OrganizationId>,
    values: &InboxValues,
) -> Result<Inbox> {
    let mut faults = Faults::default();
    check::external_id(&mut faults, "externalId", Some(&values.external_id));
    check::line(&mut faults, "name", Some(&values.name));
    let flat = |value: &Option<Option<String>>| value.clone().flatten();
    check::url(
        &mut faults,
        "webhookUrl",
        flat(&values.webhook_url).as_deref(),
    );
    let secret = flat(&values.webhook_secret);
    check::short(&mut faults, "webhookSecret", secret.as_deref());
    faults.finish()?;
    let mut conn = app.conn().await?;
    let access = find::organization(&mut conn, viewer, organization).await?;
    if !access.manages_members() {
        return Err(Error::Forbidden(
            "only admins and API keys set up inboxes".to_owned(),
        ));
    }
    inbox::upsert(&mut conn, &access, values, app.clock.now()).await
}
