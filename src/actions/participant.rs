//! Writes on who takes part in a thread.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel_async::AsyncConnection;

use crate::actions::change::Change;
use crate::app::App;
use crate::auth::Viewer;
use crate::db::access::{ThreadAccess, find};
use crate::db::enums::Role;
use crate::db::organization;
use crate::db::participant;
use crate::db::pool::Conn;
use crate::db::user;
use crate::error::{Error, Faults, Result};
use crate::event::{Audience, Fact};
use crate::ids::{OrganizationId, Ref, ThreadId, UserId};

/// Most people that one call may name.
const MAX_NAMED: usize = 100;

/// Adds members of the thread's organization to it. Who takes part already stays as they are.
pub async fn add(
    app: &Arc<App>,
    viewer: &Viewer,
    thread: &Ref<ThreadId>,
    users: &[Ref<UserId>],
) -> Result<ThreadAccess> {
    let now = app.clock.now();
    let mut conn = app.conn().await?;
    let (access, told) = conn
        .transaction(async |conn| {
            let mut change = Change::lock(conn, viewer, thread, now).await?;
            let organization = change.thread.organization_id;
            let users = members(conn, viewer, organization, users, "userIds").await?;
            let known = participant::among(conn, change.access(), &users).await?;
            let new = users.into_iter().filter(|id| !known.contains(id));
            let all: Vec<_> = new.map(|id| (id, true)).collect();
            join(conn, &mut change, &all, now).await?;
            change.save(conn).await
        })
        .await?;
    app.bus.publish(told.events());
    Ok(access)
}

/// Removes somebody else from a thread, or oneself.
pub async fn remove(
    app: &Arc<App>,
    viewer: &Viewer,
    thread: &Ref<ThreadId>,
    user: &Ref<UserId>,
) -> Result<ThreadAccess> {
    let now = app.clock.now();
    let mut conn = app.conn().await?;
    let (access, told) = conn
        .transaction(async |conn| {
            let mut change = Change::lock(conn, viewer, thread, now).await?;
            let leaving = user::ids_of(conn, std::slice::from_ref(user)).await?;
            let own = leaving[0].is_some() && leaving[0] == viewer.user_id();
            // Before anything is said of whether there is such a user.
            if !own && !change.access().manages() {
                return Err(Error::Forbidden(
                    "only the creator, agents, admins and API keys remove others".to_owned(),
                ));
            }
            let leaving = leaving[0].ok_or(Error::NotFound("participant"))?;
            if viewer.user_id() == Some(leaving) && change.thread.creator_id == Some(leaving) {
                return Err(creator_stays());
            }
            if participant::remove(conn, change.access(), leaving).await? {
                change.tell_thread(Fact::ParticipantRemoved(leaving));
            } else {
                return Err(Error::NotFound("participant"));
            }
            change.save(conn).await
        })
        .await?;
    app.bus.publish(told.events());
    Ok(access)
}

/// Lets the viewer leave a thread; its creator cannot.
pub async fn leave(app: &Arc<App>, viewer: &Viewer, thread: &Ref<ThreadId>) -> Result<ThreadId> {
    let Some(user) = viewer.user_id() else {
        return Err(Error::Forbidden(
            "an API key takes part in no thread".to_owned(),
        ));
    };
    let access = remove(app, viewer, thread, &Ref::Id(user)).await?;
    Ok(access.thread().id)
}

/// Sets whether somebody is to be notified of what is new in a thread: the viewer, or whom a
/// backend names. Who subscribes takes part from then on.
pub async fn set_subscribed(
    app: &Arc<App>,
    viewer: &Viewer,
    thread: &Ref<ThreadId>,
    user: Option<&Ref<UserId>>,
    subscribed: bool,
) -> Result<ThreadAccess> {
    let now = app.clock.now();
    let mut conn = app.conn().await?;
    let (access, told) = conn
        .transaction(async |conn| {
            let mut change = Change::lock(conn, viewer, thread, now).await?;
            let user = person(conn, viewer, change.access(), user).await?;
            let takes_part = !participant::among(conn, change.access(), &[user])
                .await?
                .is_empty();
            if takes_part {
                if participant::set_subscribed(conn, change.access(), user, subscribed).await? {
                    // Of the list of participants, not of what the thread is about: its
                    // updatedAt stays.
                    change.tell(Fact::ThreadUpdated, Audience::Everyone);
                }
            } else if subscribed {
                join(conn, &mut change, &[(user, true)], now).await?;
            }
            change.save(conn).await
        })
        .await?;
    app.bus.publish(told.events());
    Ok(access)
}

/// For whom something of a thread is set: the viewer; a backend names a member of the
/// organization.
pub async fn person(
    conn: &mut Conn,
    viewer: &Viewer,
    access: &ThreadAccess,
    user: Option<&Ref<UserId>>,
) -> Result<UserId> {
    match (viewer.user_id(), user) {
        (Some(id), None) => Ok(id),
        (None, None) => Err(Error::field("userId", "is required with an API key")),
        (_, Some(name)) => {
            let user = find::user(conn, viewer, name).await?;
            if viewer.user_id().is_some_and(|id| id != user.id) {
                return Err(Error::Forbidden(
                    "only an API key does this for others".to_owned(),
                ));
            }
            let organization = access.thread().organization_id;
            let member = organization::active_members(conn, organization, &[user.id]).await?;
            member.first().copied().ok_or_else(|| {
                Error::field("userId", "is not a member of the thread's organization")
            })
        }
    }
}

/// Makes people participants within a change, each with whether to notify them, and tells of
/// those who were none.
pub async fn join(
    conn: &mut Conn,
    change: &mut Change,
    users: &[(UserId, bool)],
    now: DateTime<Utc>,
) -> Result<()> {
    if users.is_empty() {
        return Ok(());
    }
    let joined = participant::add(conn, change.access(), users, now).await?;
    for user in joined.new {
        change.tell_thread(Fact::ParticipantAdded(user));
    }
    if joined.resubscribed {
        change.tell(Fact::ThreadUpdated, Audience::Everyone);
    }
    Ok(())
}

/// The users that a call names, all of them active members of the organization; those who are
/// none are all named in the error. For a contact only those whom he meets are members.
pub async fn members(
    conn: &mut Conn,
    viewer: &Viewer,
    organization: OrganizationId,
    names: &[Ref<UserId>],
    path: &str,
) -> Result<Vec<UserId>> {
    if names.len() > MAX_NAMED {
        return Err(Error::field(path, format!("at most {MAX_NAMED} at once")));
    }
    let names = names.iter().cloned().enumerate();
    let named: Vec<_> = names
        .map(|(index, name)| (format!("{path}.{index}"), name))
        .collect();
    members_at(conn, viewer, organization, &named).await
}

/// The same, of users who are named at several paths.
pub async fn members_at(
    conn: &mut Conn,
    viewer: &Viewer,
    organization: OrganizationId,
    named: &[(String, Ref<UserId>)],
) -> Result<Vec<UserId>> {
    let names: Vec<Ref<UserId>> = named.iter().map(|(_, name)| name.clone()).collect();
    let found = user::ids_of(conn, &names).await?;
    let ids: Vec<UserId> = found.iter().flatten().copied().collect();
    let mut active = organization::active_members(conn, organization, &ids).await?;
    if viewer.role_in(organization) == Some(Role::Contact) {
        active = find::met_by(conn, viewer, &active).await?;
    }
    let mut faults = Faults::default();
    for ((path, _), user) in named.iter().zip(&found) {
        if !user.is_some_and(|user| active.contains(&user)) {
            faults.add(path, "is not a member of the organization");
        }
    }
    faults.finish()?;
    let mut members = Vec::new();
    for id in ids {
        if !members.contains(&id) {
            members.push(id);
        }
    }
    Ok(members)
}

fn creator_stays() -> Error {
    Error::Forbidden("the creator cannot leave the thread".to_owned())
}
