//! Writes on where threads stand in the viewer's own inbox.

use std::collections::HashMap;
use std::sync::Arc;

use diesel_async::AsyncConnection;

use crate::actions::seen;
use crate::app::App;
use crate::auth::Viewer;
use crate::db::access::{ThreadAccess, find};
use crate::db::enums::Mark;
use crate::db::hidden;
use crate::db::message::Message;
use crate::db::message_list::{self, Pick};
use crate::db::page::Key;
use crate::db::thread;
use crate::db::thread_list::InboxState;
use crate::db::watermark;
use crate::error::{Error, Result};
use crate::ids::{Ref, ThreadId};

/// Most threads of one call.
pub const MAX_THREADS: usize = 100;

/// Puts threads into a state of the viewer's inbox: all of them, or none if one cannot be found.
pub async fn set(
    app: &Arc<App>,
    viewer: &Viewer,
    names: &[Ref<ThreadId>],
    state: InboxState,
) -> Result<Vec<ThreadAccess>> {
    if !(1..=MAX_THREADS).contains(&names.len()) {
        let message = format!("must name 1 to {MAX_THREADS} threads");
        return Err(Error::field("threadIds", message));
    }
    let Some(user) = viewer.user_id() else {
        return Err(Error::Forbidden("an API key has no inbox".to_owned()));
    };
    let now = app.clock.now();
    let mut conn = app.conn().await?;
    let (threads, moved) = conn
        .transaction(async |conn| {
            let mut threads = find::threads(conn, viewer, names).await?;
            let ids: Vec<ThreadId> = threads.iter().map(|access| access.thread().id).collect();
            if thread::hold(conn, &ids).await?.len() < ids.len() {
                return Err(Error::NotFound("thread"));
            }
            // Rows are written in one order by all, so that nobody waits for who waits for him.
            threads.sort_by_key(|access| access.thread().id);
            let moved = match state {
                InboxState::Hidden => {
                    hidden::hide(conn, &threads, user, now).await?;
                    Vec::new()
                }
                InboxState::Read => {
                    hidden::show(conn, &threads, user).await?;
                    let newest = message_list::pick(conn, &threads, Pick::Latest).await?;
                    let places = places(&threads, &newest);
                    watermark::advance(conn, &places, (user, Mark::Seen), now).await?
                }
                InboxState::Unread => {
                    hidden::show(conn, &threads, user).await?;
                    let newest = message_list::latest_not_by(conn, &threads, user).await?;
                    watermark::withdraw(conn, &places(&threads, &newest), user, now).await?
                }
            };
            threads.sort_by_key(|access| ids.iter().position(|id| *id == access.thread().id));
            Ok::<_, Error>((threads, moved))
        })
        .await?;
    seen::tell(app, &moved);
    Ok(threads)
}

fn places<'a>(
    threads: &'a [ThreadAccess],
    messages: &HashMap<ThreadId, Message>,
) -> Vec<(&'a ThreadAccess, Key<i64>)> {
    let place = |access: &'a ThreadAccess| {
        let message = messages.get(&access.thread().id)?;
        Some((access, message.place()))
    };
    threads.iter().filter_map(place).collect()
}
