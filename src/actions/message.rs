//! Writes on messages: create, send, delete, restore.
//!
//! What a message is made of is in `posting`, changes of its words and facts in `message_update`.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel_async::AsyncConnection;

use crate::actions::attaching::check_uploaded;
use crate::actions::change::{Change, audience};
use crate::actions::delivery;
use crate::actions::posting::{self, NewMessage, Sending, before_sending};
use crate::actions::thread::{self, OpenThread};
use crate::app::App;
use crate::auth::Viewer;
use crate::db::access::{MessageAccess, find};
use crate::db::attachment;
use crate::db::enums::MessageStatus;
use crate::db::events;
use crate::db::message::{self, Message};
use crate::db::organization;
use crate::db::pool::Conn;
use crate::db::thread as db_thread;
use crate::error::{Error, Faults, Result};
use crate::event::Fact;
use crate::ids::{MessageId, Ref, ThreadId, UserId};

/// Where a message goes: into a thread, which may be opened for it.
#[derive(Debug, Clone)]
pub struct Destination {
    /// The thread.
    pub thread: Ref<ThreadId>,
    /// What to open if there is no such thread; its externalId is then the thread's name.
    pub open: Option<OpenThread>,
}

/// Makes a message: sends it, or keeps it as a draft.
pub async fn create(
    app: &Arc<App>,
    viewer: &Viewer,
    destination: Destination,
    input: NewMessage,
) -> Result<MessageAccess> {
    let now = app.clock.now();
    let (mut destination, mut faults) = checked(viewer, destination, &input)?;
    if let Some(open) = &mut destination.open {
        open.search_language = app.settings.search_language;
    }
    let mut conn = app.conn().await?;
    let (message, thread, told) = conn
        .transaction(async |conn| {
            let faults = std::mem::take(&mut faults);
            let mut change = match arrive(conn, viewer, &destination, &faults, now).await {
                Ok(change) => change,
                Err(error @ Error::NotFound(_)) => return Err(faults.or(error)),
                Err(error) => return Err(error),
            };
            let message = posting::post(conn, viewer, &mut change, &input, faults).await?;
            let (thread, told) = change.save(conn).await?;
            Ok::<_, Error>((message, thread, told))
        })
        .await?;
    app.bus.publish(told.events());
    delivery::wake(app, &message);
    thread.message(message)
}

/// Sends a draft: from now on the others see it, at the end of the thread.
pub async fn send(app: &Arc<App>, viewer: &Viewer, name: &Ref<MessageId>) -> Result<MessageAccess> {
    let now = app.clock.now();
    let mut conn = app.conn().await?;
    let (message, thread, told) = conn
        .transaction(async |conn| {
            let (mut change, access) = lock(conn, viewer, name, now).await?;
            if !access.may_edit() {
                return Err(Error::Forbidden(
                    "only its sender may send a message".to_owned(),
                ));
            }
            let (mut message, _) = access.into_parts();
            if !message.is_draft() {
                return Err(Error::Conflict(
                    "the message has been sent already".to_owned(),
                ));
            }
            let files = attachment::of_messages(conn, &[message.id]).await?;
            check_uploaded(&files)?;
            if files.is_empty() && posting::is_silent(&message) {
                return Err(Error::Conflict("the draft says nothing".to_owned()));
            }
            let sender: Vec<UserId> = message.sender_id.into_iter().collect();
            let active = organization::active_members(conn, message.organization_id, &sender);
            if active.await?.len() < sender.len() {
                return Err(Error::Conflict(
                    "its sender is no member of the organization any more".to_owned(),
                ));
            }
            let sending = Sending {
                sender: message.sender_id,
                subscribe: true,
                private: message.private,
                content: message.content.as_ref(),
                imported: (None, None),
            };
            before_sending(conn, &mut change, &sending).await?;
            message.set_sent(change.next_seq(), change.sending_time());
            let kind = (message.type_, message.direction, message.private);
            let inbox = delivery::inbox_for(conn, &change.thread, kind).await?;
            if let Some(inbox) = &inbox {
                message.status = MessageStatus::Sending;
                delivery::enqueue(conn, &change, inbox, &message).await?;
            }
            message::save(conn, &message).await?;
            change.count_sent(&message);
            change.tell_sent(&message, files);
            let (thread, told) = change.save(conn).await?;
            Ok((message, thread, told))
        })
        .await?;
    app.bus.publish(told.events());
    delivery::wake(app, &message);
    thread.message(message)
}

/// Deletes a message: leaves a tombstone; nothing if it is a draft or `permanently` is asked for.
pub async fn delete(
    app: &Arc<App>,
    viewer: &Viewer,
    name: &Ref<MessageId>,
    permanently: bool,
) -> Result<(MessageId, Option<MessageAccess>)> {
    let now = app.clock.now();
    let mut conn = app.conn().await?;
    let (message, left, thread, told) = conn
        .transaction(async |conn| {
            let (mut change, access) = lock(conn, viewer, name, now).await?;
            let erases = access.thread().erases();
            check_may_delete(&access)?;
            let (mut message, _) = access.into_parts();
            let left = if message.is_draft() {
                message::remove(conn, message.id).await?;
                false
            } else if permanently && !erases {
                return Err(Error::Forbidden(
                    "only admins and API keys delete for good".to_owned(),
                ));
            } else if permanently {
                message::remove(conn, message.id).await?;
                events::forget_appended(conn, message.thread_id, message.id).await?;
                change.count_removed(conn, &message).await?;
                change.tell(Fact::MessageRemoved(message.id), audience(&message));
                false
            } else {
                let at = message.deleted_at.unwrap_or(now);
                bury(conn, &mut change, &mut message, Some(at)).await?;
                true
            };
            let (thread, told) = change.save(conn).await?;
            Ok((message, left, thread, told))
        })
        .await?;
    app.bus.publish(told.events());
    let id = message.id;
    let left = left.then(|| thread.message(message)).transpose()?;
    Ok((id, left))
}

/// Brings a deleted message back.
pub async fn restore(
    app: &Arc<App>,
    viewer: &Viewer,
    name: &Ref<MessageId>,
) -> Result<MessageAccess> {
    let now = app.clock.now();
    let mut conn = app.conn().await?;
    let (message, thread, told) = conn
        .transaction(async |conn| {
            let (mut change, access) = lock(conn, viewer, name, now).await?;
            check_may_delete(&access)?;
            let (mut message, _) = access.into_parts();
            bury(conn, &mut change, &mut message, None).await?;
            let (thread, told) = change.save(conn).await?;
            Ok::<_, Error>((message, thread, told))
        })
        .await?;
    app.bus.publish(told.events());
    thread.message(message)
}

/// Locks a message's thread, and reads the message as it is then.
pub async fn lock(
    conn: &mut Conn,
    viewer: &Viewer,
    name: &Ref<MessageId>,
    now: DateTime<Utc>,
) -> Result<(Change, MessageAccess)> {
    let (found, thread) = find::message(conn, viewer, name).await?.into_parts();
    let unseen = |error| match error {
        Error::NotFound(_) => Error::NotFound("message"),
        other => other,
    };
    let change = Change::lock(conn, viewer, &Ref::Id(thread.thread().id), now)
        .await
        .map_err(unseen)?;
    let message = message::by_id(conn, found.id)
        .await?
        .ok_or(Error::NotFound("message"))?;
    let access = change.access().message(message)?;
    Ok((change, access))
}

/// Who may do what only a backend may.
fn check_rights(viewer: &Viewer, input: &NewMessage) -> Result<()> {
    let values = &input.values;
    if viewer.is_key() {
        return Ok(());
    }
    if values.action {
        return Err(Error::InvalidMessageType(
            "only an API key makes ACTION messages".to_owned(),
        ));
    }
    let imports = [values.sent_at, values.updated_at, values.deleted_at];
    if imports.iter().any(Option::is_some) {
        return Err(Error::Forbidden(
            "only an API key sets sentAt, updatedAt and deletedAt".to_owned(),
        ));
    }
    Ok(())
}

/// Checks a call of `create`; the thread to open, if any, gets its name. What is wrong is told
/// once it is known what it names wrongly, too.
fn checked(
    viewer: &Viewer,
    mut to: Destination,
    input: &NewMessage,
) -> Result<(Destination, Faults)> {
    let mut faults = Faults::default();
    posting::check_input(&mut faults, "", viewer, input);
    if let Some(open) = &mut to.open {
        if let Ref::External(name) = &to.thread {
            let given = open.values.external_id.replace(name.clone());
            if given.is_some_and(|given| given != *name) {
                faults.add(
                    "createThread.externalId",
                    "must be absent or the same as threadId",
                );
            }
        }
        thread::check_input(&mut faults, "createThread.", viewer, open);
        if open.message.is_some() {
            faults.add(
                "createThread.message",
                "must be absent: this is the first message",
            );
        }
    }
    match check_rights(viewer, input) {
        Ok(()) => Ok((to, faults)),
        Err(error) => Err(faults.or(error)),
    }
}

/// The locked thread that a message goes to, opened if need be.
async fn arrive(
    conn: &mut Conn,
    viewer: &Viewer,
    to: &Destination,
    faults: &Faults,
    now: DateTime<Utc>,
) -> Result<Change> {
    let missing = match Change::lock(conn, viewer, &to.thread, now).await {
        Err(error @ (Error::NotFound(_) | Error::BadUserInput(_))) => error,
        done => return done,
    };
    let (Some(open), Ref::External(name)) = (&to.open, &to.thread) else {
        return Err(missing);
    };
    if let (Error::BadUserInput(_), Some(organization)) = (&missing, &open.organization) {
        // Several organizations have a thread of that name: the one is meant that is named.
        let organization = find::organization(conn, viewer, organization).await?;
        return match db_thread::id_by_external_id(conn, &organization, name).await? {
            Some(id) => Change::lock(conn, viewer, &Ref::Id(id), now).await,
            None => Err(missing),
        };
    }
    let known = (faults.clone(), "createThread.");
    match thread::open(conn, viewer, open, known, now).await {
        Ok((change, _)) => Ok(change),
        // Somebody opened it a moment ago, with other values or out of the viewer's sight.
        Err(Error::Conflict(_)) => Change::lock(conn, viewer, &to.thread, now).await,
        Err(error) => Err(error),
    }
}

fn check_may_delete(access: &MessageAccess) -> Result<()> {
    if access.may_delete() {
        Ok(())
    } else {
        Err(Error::Forbidden(
            "only its sender, agents and admins delete and restore a message".to_owned(),
        ))
    }
}

/// Makes a message a tombstone, or no longer one.
pub async fn bury(
    conn: &mut Conn,
    change: &mut Change,
    message: &mut Message,
    deleted_at: Option<DateTime<Utc>>,
) -> Result<()> {
    if message.deleted_at == deleted_at {
        return Ok(());
    }
    if message.is_draft() {
        return Err(Error::Conflict(
            "a draft leaves no tombstone: use deleteMessage".to_owned(),
        ));
    }
    let before = message.clone();
    message.deleted_at = deleted_at;
    message::save(conn, message).await?;
    change.count_again(conn, &before, message).await?;
    change.tell_message(message, Fact::MessageUpdated);
    Ok(())
}
