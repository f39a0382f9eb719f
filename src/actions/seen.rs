//! Writes on up to where people have seen threads. They lock no thread and write no log.

use std::sync::Arc;

use crate::app::App;
use crate::auth::Viewer;
use crate::db::access::{ThreadAccess, find};
use crate::db::message_list::{self, Pick};
use crate::db::organization;
use crate::db::watermark;
use crate::error::{Error, Result};
use crate::ids::{MessageId, Ref, ThreadId, UserId};
use crate::live::bus::Signal;

/// Marks a thread as seen up to a message, by default the newest one; never backwards.
pub async fn mark(
    app: &Arc<App>,
    viewer: &Viewer,
    thread: &Ref<ThreadId>,
    message: Option<&Ref<MessageId>>,
    user: Option<&Ref<UserId>>,
) -> Result<ThreadAccess> {
    let mut conn = app.conn().await?;
    let access = find::thread(&mut conn, viewer, thread).await?;
    let id = access.thread().id;
    let reader = reader(&mut conn, viewer, &access, user).await?;
    let place = match message {
        Some(name) => {
            let message = find::message(&mut conn, viewer, name).await?;
            if message.message().thread_id != id || message.message().is_draft() {
                return Err(Error::field("messageId", "is not a message of this thread"));
            }
            Some(message.message().place())
        }
        None => message_list::pick(&mut conn, std::slice::from_ref(&access), Pick::Latest)
            .await?
            .remove(&id)
            .map(|message| message.place()),
    };
    // A thread without messages has nothing to see.
    if let Some(place) = place
        && watermark::advance(&mut conn, &access, reader, place, app.clock.now()).await?
    {
        app.bus.send(id, Signal::Seen);
    }
    Ok(access)
}

/// For whom it is marked: the viewer; a backend names a member of the organization.
async fn reader(
    conn: &mut crate::db::pool::Conn,
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
