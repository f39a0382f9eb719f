//! Writes on reactions. Anyone who sees a message may react; again, or not any more, is no error.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel_async::AsyncConnection;

use crate::actions::check;
use crate::actions::message::lock;
use crate::app::App;
use crate::auth::Viewer;
use crate::db::access::MessageAccess;
use crate::db::organization;
use crate::db::pool::Conn;
use crate::db::reaction;
use crate::db::user;
use crate::error::{Error, Faults, Result};
use crate::event::Fact;
use crate::ids::{MessageId, OrganizationId, Ref, UserId};

/// A reaction as a call names it.
#[derive(Debug, Clone)]
pub struct Given {
    /// What it is.
    pub emoji: String,
    /// Whose, by a backend.
    pub user: Option<Ref<UserId>>,
    /// Since when, by a backend.
    pub timestamp: Option<DateTime<Utc>>,
}

/// Adds a reaction of the viewer.
pub async fn add(
    app: &Arc<App>,
    viewer: &Viewer,
    message: &Ref<MessageId>,
    emoji: &str,
) -> Result<MessageAccess> {
    change(app, viewer, message, emoji, true).await
}

/// Takes a reaction of the viewer away.
pub async fn remove(
    app: &Arc<App>,
    viewer: &Viewer,
    message: &Ref<MessageId>,
    emoji: &str,
) -> Result<MessageAccess> {
    change(app, viewer, message, emoji, false).await
}

/// The reactions of a call, each in somebody's name: the viewer's, or whom a backend says.
pub fn in_name_of(viewer: &Viewer, given: &[Given]) -> Result<Vec<Given>> {
    let own = |given: &Given| match viewer.user_id() {
        Some(_) if given.user.is_some() || given.timestamp.is_some() => Err(Error::Forbidden(
            "only an API key reacts for others or at another time".to_owned(),
        )),
        Some(id) => Ok(Given {
            user: Some(Ref::Id(id)),
            ..given.clone()
        }),
        None => Ok(given.clone()),
    };
    given.iter().map(own).collect()
}

/// Refuses a reaction that is both added and taken away, by whichever id its person is named.
pub async fn check_disjoint(conn: &mut Conn, add: &[Given], remove: &[Given]) -> Result<()> {
    let named = add.iter().chain(remove);
    let names: Vec<Ref<UserId>> = named.filter_map(|given| given.user.clone()).collect();
    // One without a name is refused where it is added or taken away.
    if add.is_empty() || remove.is_empty() || names.len() < add.len() + remove.len() {
        return Ok(());
    }
    let people = user::ids_of(conn, &names).await?;
    let (adders, removers) = people.split_at(add.len());
    let mut faults = Faults::default();
    for (index, (given, person)) in remove.iter().zip(removers).enumerate() {
        let same = |(other, adder): (&Given, &Option<UserId>)| {
            other.emoji == given.emoji && adder.is_some() && adder == person
        };
        if add.iter().zip(adders).any(same) {
            let path = format!("removeReactions.{index}");
            faults.add(path, "the same reaction is in addReactions");
        }
    }
    faults.finish()
}

/// Whose reactions they are: active members of the organization. Who is none is at fault.
pub async fn reactors(
    conn: &mut Conn,
    organization: OrganizationId,
    given: &[Given],
    path: &str,
    faults: &mut Faults,
) -> Result<Vec<UserId>> {
    let names: Vec<Ref<UserId>> = given
        .iter()
        .filter_map(|given| given.user.clone())
        .collect();
    let mut found = user::ids_of(conn, &names).await?.into_iter();
    let found: Vec<Option<UserId>> = given
        .iter()
        .map(|given| given.user.as_ref().and_then(|_| found.next().flatten()))
        .collect();
    let known: Vec<UserId> = found.iter().flatten().copied().collect();
    let active = organization::active_members(conn, organization, &known).await?;
    for (index, (given, reactor)) in given.iter().zip(&found).enumerate() {
        let path = format!("{path}.{index}.userId");
        if given.user.is_none() {
            faults.add(path, "is required with an API key");
        } else if !reactor.is_some_and(|reactor| active.contains(&reactor)) {
            faults.add(path, "is not a member of the organization");
        }
    }
    Ok(known)
}

/// Adds reactions within a transaction; whether that changed anything. Every name must be a
/// member of the organization.
pub async fn add_all(
    conn: &mut Conn,
    message: &MessageAccess,
    given: &[Given],
    path: &str,
    now: DateTime<Utc>,
) -> Result<bool> {
    let mut faults = Faults::default();
    let organization = message.message().organization_id;
    let known = reactors(conn, organization, given, path, &mut faults).await?;
    faults.finish()?;
    let mut changed = false;
    for (given, reactor) in given.iter().zip(known) {
        let reaction = (reactor, given.emoji.as_str());
        changed |= reaction::add(conn, message, reaction, given.timestamp, now).await?;
    }
    Ok(changed)
}

/// Takes reactions away within a transaction; whether there were any.
pub async fn remove_all(conn: &mut Conn, message: &MessageAccess, given: &[Given]) -> Result<bool> {
    let mut changed = false;
    for (index, given) in given.iter().enumerate() {
        let Some(name) = &given.user else {
            let path = format!("removeReactions.{index}.userId");
            return Err(Error::field(path, "is required with an API key"));
        };
        let known = user::ids_of(conn, std::slice::from_ref(name)).await?;
        if let Some(Some(reactor)) = known.first() {
            changed |= reaction::remove(conn, message, *reactor, &given.emoji).await?;
        }
    }
    Ok(changed)
}

async fn change(
    app: &Arc<App>,
    viewer: &Viewer,
    name: &Ref<MessageId>,
    emoji: &str,
    add: bool,
) -> Result<MessageAccess> {
    let mut faults = Faults::default();
    check::emoji(&mut faults, "emoji", emoji);
    faults.finish()?;
    let Some(user) = viewer.user_id() else {
        return Err(Error::Forbidden(
            "an API key reacts in somebody's name, by updateMessage".to_owned(),
        ));
    };
    let now = app.clock.now();
    let mut conn = app.conn().await?;
    let (message, told) = conn
        .transaction(async |conn| {
            let (mut change, message) = lock(conn, viewer, name, now).await?;
            if message.message().is_draft() || message.message().deleted_at.is_some() {
                return Err(Error::Conflict(
                    "a draft or a deleted message takes no reactions".to_owned(),
                ));
            }
            let changed = if add {
                reaction::add(conn, &message, (user, emoji), None, now).await?
            } else {
                reaction::remove(conn, &message, user, emoji).await?
            };
            if changed {
                change.tell_message(message.message(), Fact::MessageUpdated);
            }
            let (thread, told) = change.save(conn).await?;
            let message = thread.message(message.into_parts().0)?;
            Ok((message, told))
        })
        .await?;
    app.bus.publish(told.events());
    Ok(message)
}
