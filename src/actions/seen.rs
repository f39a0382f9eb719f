//! Writes on up to where people have seen threads, and up to where threads have come to their
//! devices. They lock no thread and write no log.

use std::sync::Arc;

use crate::actions::participant::person;
use crate::app::App;
use crate::auth::Viewer;
use crate::db::access::{ThreadAccess, find};
use crate::db::enums::Mark;
use crate::db::message::Message;
use crate::db::message_list::{self, Pick};
use crate::db::pool::Conn;
use crate::db::{organization, watermark};
use crate::error::{Error, Result};
use crate::ids::{MessageId, Ref, ThreadId, UserId};

/// Marks a thread as seen, or as delivered, up to a message, by default the newest one; never
/// backwards.
pub async fn mark(
    app: &Arc<App>,
    viewer: &Viewer,
    mark: Mark,
    thread: &Ref<ThreadId>,
    (message, user): (Option<&Ref<MessageId>>, Option<&Ref<UserId>>),
) -> Result<ThreadAccess> {
    let mut conn = app.conn().await?;
    let access = find::thread(&conn, viewer, thread).await?;
    let reader = person(&mut conn, viewer, &access, user).await?;
    let sight = sight_of(&mut conn, &access, reader).await?;
    let message = match message {
        Some(name) => Some(of_thread(&mut conn, viewer, &sight, name, "messageId").await?),
        None => pick(&mut conn, &sight, Pick::Latest).await?,
    };
    // A thread without messages has nothing to see.
    if let Some(message) = message {
        let places = [(&access, message.place())];
        let now = app.clock.now();
        let moved = watermark::advance(&mut conn, &places, (reader, mark), now).await?;
        tell(app, &moved);
    }
    Ok(access)
}

/// Marks a thread as not seen from a message on, by default from the newest one by somebody else.
pub async fn unmark(
    app: &Arc<App>,
    viewer: &Viewer,
    thread: &Ref<ThreadId>,
    from: Option<&Ref<MessageId>>,
    user: Option<&Ref<UserId>>,
) -> Result<ThreadAccess> {
    let mut conn = app.conn().await?;
    let access = find::thread(&conn, viewer, thread).await?;
    let reader = person(&mut conn, viewer, &access, user).await?;
    let sight = sight_of(&mut conn, &access, reader).await?;
    let from = match from {
        Some(name) => Some(of_thread(&mut conn, viewer, &sight, name, "fromMessageId").await?),
        None => {
            let thread = std::slice::from_ref(&sight);
            let mut newest = message_list::latest_not_by(&mut conn, thread, reader).await?;
            newest.remove(&access.thread().id)
        }
    };
    if let Some(from) = from {
        let places = [(&access, from.place())];
        let moved = watermark::withdraw(&mut conn, &places, reader, app.clock.now()).await?;
        tell(app, &moved);
    }
    Ok(access)
}

/// Says that watermarks of these threads have moved.
pub fn tell(app: &App, threads: &[ThreadId]) {
    for thread in threads {
        app.bus.publish_seen(*thread);
    }
}

/// What the person sees of the thread for whom it is marked: a backend reads notes, and whom it
/// names may not.
async fn sight_of(conn: &mut Conn, access: &ThreadAccess, reader: UserId) -> Result<ThreadAccess> {
    if !access.by_key() {
        return Ok(access.clone());
    }
    let organization = access.thread().organization_id;
    let membership = organization::membership(conn, organization, reader).await?;
    Ok(access.narrowed_to(reader, membership.map(|membership| membership.role)))
}

async fn of_thread(
    conn: &mut Conn,
    viewer: &Viewer,
    sight: &ThreadAccess,
    name: &Ref<MessageId>,
    path: &str,
) -> Result<Message> {
    let (message, _) = find::message(conn, viewer, name).await?.into_parts();
    if message.thread_id == sight.thread().id && !message.is_draft() && sight.sees(&message) {
        Ok(message)
    } else {
        Err(Error::field(path, "is not a message of this thread"))
    }
}

async fn pick(conn: &mut Conn, access: &ThreadAccess, which: Pick) -> Result<Option<Message>> {
    let mut found = message_list::pick(conn, std::slice::from_ref(access), which).await?;
    Ok(found.remove(&access.thread().id))
}
