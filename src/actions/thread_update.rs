//! Changes of a thread: its facts, its organization, whether it is resolved, in one write.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel_async::AsyncConnection;
use serde_json::Value;

use crate::actions::change::Change;
use crate::actions::posting;
use crate::actions::{check, participant, relocation};
use crate::app::App;
use crate::auth::Viewer;
use crate::db::access::ThreadAccess;
use crate::db::enums::Access;
use crate::db::pool::Conn;
use crate::error::{Error, Faults, Result};
use crate::event::Fact;
use crate::ids::{OrganizationId, Ref, ThreadId, UserId};

/// What to change of a thread. What is absent stays; an inner none clears.
#[derive(Debug, Clone, Default)]
pub struct UpdateThread {
    /// The backend's id.
    pub external_id: Option<Option<String>>,
    /// What it is about.
    pub subject: Option<String>,
    /// Where it belongs in the product.
    pub url: Option<Option<String>>,
    /// The backend's facts, all of them.
    pub metadata: Option<Value>,
    /// CSS classes.
    pub extra_classnames: Option<Option<String>>,
    /// Who sees it besides its participants.
    pub access: Option<Access>,
    /// The organization to move it to, by a backend.
    pub organization: Option<Ref<OrganizationId>>,
    /// Resolve or reopen.
    pub resolved: Option<bool>,
    /// When it was resolved, by a backend; an inner none reopens.
    pub resolved_at: Option<Option<DateTime<Utc>>>,
    /// On whose behalf a backend does it.
    pub actor: Option<Ref<UserId>>,
}

/// Changes a thread. Resolving and reopening leave an ACTION message that names who did it.
pub async fn update(
    app: &Arc<App>,
    viewer: &Viewer,
    name: &Ref<ThreadId>,
    input: UpdateThread,
) -> Result<ThreadAccess> {
    let now = app.clock.now();
    check_update(viewer, &input)?;
    let mut conn = app.conn().await?;
    let (access, told) = conn
        .transaction(async |conn| {
            let target = match &input.organization {
                Some(to) => Some(relocation::target(conn, viewer, to).await?),
                None => None,
            };
            let mut change = Change::lock(conn, viewer, name, now).await?;
            if let Some(actor) = &input.actor {
                // Of the organization that it will be in.
                let here = change.thread.organization_id;
                let organization = target.map_or(here, |target| target.organization());
                let actor = [("actorId".to_owned(), actor.clone())];
                let actor = participant::members_at(conn, viewer, organization, &actor).await?;
                change.set_actor(actor.first().copied());
            }
            if let Some(target) = target {
                relocation::relocate(conn, &mut change, target).await?;
            }
            apply(&mut change, &input)?;
            if let Some(at) = wanted_resolution(&change, &input) {
                set_resolved(conn, &mut change, at).await?;
            }
            change.save(conn).await
        })
        .await?;
    if input.access.is_some() || input.organization.is_some() {
        app.bus.end_typing_in(access.thread().id);
    }
    app.bus.publish(told.events());
    Ok(access)
}

/// The thread's side of a message into it: a resolved one is reopened, just before the message,
/// by its sender. What is imported from before the resolution leaves it.
pub async fn reopen(
    conn: &mut Conn,
    change: &mut Change,
    sender: Option<UserId>,
    sent_at: Option<DateTime<Utc>>,
) -> Result<()> {
    let Some(resolved_at) = change.thread.resolved_at else {
        return Ok(());
    };
    if sent_at.is_some_and(|at| at < resolved_at) {
        return Ok(());
    }
    change.thread.resolved_at = None;
    change.tell_thread(Fact::ThreadUpdated);
    let by = change.actor_id().or(sender);
    post_action(conn, change, by, "reopened", sent_at).await
}

fn check_update(viewer: &Viewer, input: &UpdateThread) -> Result<()> {
    let mut faults = Faults::default();
    let flat = |value: &Option<Option<String>>| value.clone().flatten();
    check::external_id(
        &mut faults,
        "externalId",
        flat(&input.external_id).as_deref(),
    );
    check::line(&mut faults, "subject", input.subject.as_deref());
    check::url(&mut faults, "url", flat(&input.url).as_deref());
    check::metadata(&mut faults, "metadata", input.metadata.as_ref());
    let classnames = flat(&input.extra_classnames);
    check::short(&mut faults, "extraClassnames", classnames.as_deref());
    faults.finish()?;
    let reserved = [
        input.resolved_at.is_some(),
        input.actor.is_some(),
        input.organization.is_some(),
    ];
    if !viewer.is_key() && reserved.contains(&true) {
        return Err(Error::Forbidden(
            "only an API key may set resolvedAt, actorId and organizationId".to_owned(),
        ));
    }
    Ok(())
}

/// Everything but resolving: for those who manage the thread.
fn apply(change: &mut Change, input: &UpdateThread) -> Result<()> {
    let before = change.thread.clone();
    let thread = &mut change.thread;
    if let Some(external_id) = &input.external_id {
        thread.external_id.clone_from(external_id);
    }
    if let Some(subject) = &input.subject {
        thread.subject.clone_from(subject);
    }
    if let Some(url) = &input.url {
        thread.url.clone_from(url);
    }
    if let Some(metadata) = &input.metadata {
        thread.metadata.clone_from(metadata);
    }
    if let Some(classnames) = &input.extra_classnames {
        thread.extra_classnames.clone_from(classnames);
    }
    if let Some(access) = input.access {
        thread.access = access;
    }
    let asked = input.external_id.is_some()
        || input.subject.is_some()
        || input.url.is_some()
        || input.metadata.is_some()
        || input.extra_classnames.is_some()
        || input.access.is_some();
    if asked && !change.access().manages() {
        return Err(Error::Forbidden(
            "only the creator, agents, admins and API keys change the thread".to_owned(),
        ));
    }
    if change.thread != before {
        change.tell_thread(Fact::ThreadUpdated);
    }
    Ok(())
}

/// The resolution to store, if it differs from what is.
fn wanted_resolution(change: &Change, input: &UpdateThread) -> Option<Option<DateTime<Utc>>> {
    let is = change.thread.resolved_at;
    let wanted = match (input.resolved_at, input.resolved) {
        (Some(at), _) => at,
        (None, Some(true)) => is.or(Some(change.now)),
        (None, Some(false)) => None,
        (None, None) => return None,
    };
    (wanted != is).then_some(wanted)
}

/// Resolves or reopens, and leaves an ACTION message if that is a change of state.
pub async fn set_resolved(
    conn: &mut Conn,
    change: &mut Change,
    at: Option<DateTime<Utc>>,
) -> Result<()> {
    let changes_state = at.is_some() != change.thread.resolved_at.is_some();
    change.thread.resolved_at = at;
    change.tell_thread(Fact::ThreadUpdated);
    if changes_state {
        let action = if at.is_some() { "resolved" } else { "reopened" };
        let by = change.actor_id();
        post_action(conn, change, by, action, at).await?;
    }
    Ok(())
}

async fn post_action(
    conn: &mut Conn,
    change: &mut Change,
    by: Option<UserId>,
    action: &str,
    at: Option<DateTime<Utc>>,
) -> Result<()> {
    let name = match by {
        Some(id) => crate::db::user::by_id(conn, id)
            .await?
            .map(|user| user.name),
        None => None,
    };
    let text = match name {
        Some(name) => format!("{name} {action} this thread"),
        None => format!("This thread was {action}"),
    };
    let metadata = serde_json::json!({ "action": action });
    posting::write_action(conn, change, by, text, metadata, at).await
}
