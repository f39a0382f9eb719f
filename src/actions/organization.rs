//! Writes on organizations and their members.

use std::sync::Arc;

use diesel_async::AsyncConnection;
use serde_json::Value;

use crate::actions::check;
use crate::app::App;
use crate::auth::Viewer;
use crate::db::access::{self, OrganizationAccess, find};
use crate::db::enums::Role;
use crate::db::organization;
use crate::db::user::User;
use crate::error::{Error, Faults, Result};
use crate::ids::{OrganizationId, Ref, UserId};
use crate::live::bus::Subject;

/// An organization as a backend wants it.
#[derive(Debug, Clone)]
pub struct UpsertOrganization {
    /// The backend's id.
    pub external_id: String,
    /// Its name.
    pub name: String,
    /// Its facts, all of them; none: as they are.
    pub metadata: Option<Value>,
}

/// Makes an organization, or changes the one with that externalId.
pub async fn upsert(
    app: &Arc<App>,
    viewer: &Viewer,
    input: UpsertOrganization,
) -> Result<OrganizationAccess> {
    let mut faults = Faults::default();
    check::external_id(&mut faults, "externalId", Some(&input.external_id));
    check::line(&mut faults, "name", Some(&input.name));
    check::metadata(&mut faults, "metadata", input.metadata.as_ref());
    faults.finish()?;
    if !viewer.is_key() {
        return Err(Error::Forbidden("only an API key may do this".to_owned()));
    }
    let mut conn = app.conn().await?;
    if viewer.bound.is_some() {
        let known = organization::named(&conn, &Ref::External(input.external_id.clone())).await?;
        if known.map(|known| known.id) != viewer.bound {
            return Err(Error::Forbidden(
                "this API key is bound to another organization".to_owned(),
            ));
        }
    }
    let stored = conn
        .transaction(async |conn| {
            let known = organization::get_or_insert(conn, &input.external_id, &input.name).await?;
            organization::update(conn, known.id, &input.name, input.metadata.as_ref()).await
        })
        .await?;
    access::organization_access(viewer, stored).ok_or(Error::NotFound("organization"))
}

/// Gives a user a role in an organization; none takes the membership away, and with it all that
/// the user sees there, at once.
pub async fn set_membership(
    app: &Arc<App>,
    viewer: &Viewer,
    (organization, user): (&Ref<OrganizationId>, &Ref<UserId>),
    role: Option<Role>,
) -> Result<(OrganizationAccess, User)> {
    let mut conn = app.conn().await?;
    let access = find::organization(&mut conn, viewer, organization).await?;
    if !access.manages_members() {
        return Err(Error::Forbidden(
            "only admins and API keys decide who is a member".to_owned(),
        ));
    }
    let user = find::user_to_manage(&mut conn, viewer, user).await?;
    let now = app.clock.now();
    organization::set_membership(&mut conn, access.organization().id, user.id, role, now).await?;
    app.bus.publish_access(Subject::User(user.id));
    Ok((access, user))
}
