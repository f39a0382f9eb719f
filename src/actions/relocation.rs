//! Moves a thread to another organization, within a change that somebody else opens and saves.
//! All that is in it goes along; participants who are no members there lose it.

use crate::actions::change::Change;
use crate::auth::Viewer;
use crate::db::access::find;
use crate::db::pool::Conn;
use crate::db::{organization, thread};
use crate::error::{Error, Result, broke_unique};
use crate::event::Fact;
use crate::ids::{OrganizationId, Ref};

/// Where a thread goes: an organization whose display numbers are locked, and its newest one.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    organization: OrganizationId,
    last_number: i32,
}

impl Target {
    /// The organization.
    pub fn organization(self) -> OrganizationId {
        self.organization
    }
}

/// Finds and locks it; before the thread is locked, as whoever opens a thread does.
pub async fn target(
    conn: &mut Conn,
    viewer: &Viewer,
    name: &Ref<OrganizationId>,
) -> Result<Target> {
    let access = find::organization(conn, viewer, name).await?;
    let organization = access.organization().id;
    let last_number = organization::lock_numbers(conn, organization).await?;
    Ok(Target {
        organization,
        last_number,
    })
}

/// Moves the thread, unless it is there already.
pub async fn relocate(conn: &mut Conn, change: &mut Change, target: Target) -> Result<()> {
    let to = target.organization;
    if change.thread.organization_id == to {
        return Ok(());
    }
    let number = target.last_number + 1;
    let left = thread::relocate(conn, change.thread.id, to, number, change.now).await;
    let left = left.map_err(|cause| {
        let taken = |kind| format!("externalId: is taken by another {kind} of that organization");
        if broke_unique(&cause, "threads_organization_id_external_id_key") {
            Error::Conflict(taken("thread"))
        } else if broke_unique(&cause, "messages_organization_id_external_id_key") {
            Error::Conflict(taken("message"))
        } else {
            cause.into()
        }
    })?;
    organization::set_last_number(conn, to, number).await?;
    change.thread.organization_id = to;
    change.thread.number = number;
    change.thread.inbox_id = None;
    for user in left {
        change.tell_thread(Fact::ParticipantRemoved(user));
    }
    change.tell_thread(Fact::ThreadUpdated);
    Ok(())
}
