//! Says that the viewer types, or types no more. Held in memory only, and for a moment.

use std::sync::Arc;

use crate::app::App;
use crate::auth::Viewer;
use crate::db::access::find;
use crate::error::{Error, Result};
use crate::ids::{Ref, ThreadId};

/// Sets whether the viewer types in a thread, and whether what he types is a private note.
pub async fn set(
    app: &Arc<App>,
    viewer: &Viewer,
    thread: &Ref<ThreadId>,
    typing: bool,
    private: bool,
) -> Result<ThreadId> {
    let Some(user) = viewer.user_id() else {
        return Err(Error::Forbidden("an API key does not type".to_owned()));
    };
    let conn = app.conn().await?;
    let access = find::thread(&conn, viewer, thread).await?;
    drop(conn);
    if private && !access.is_staff() {
        return Err(Error::Forbidden(
            "only agents, admins and API keys write private notes".to_owned(),
        ));
    }
    let thread = access.thread().id;
    app.bus.set_typing(thread, user, typing, private);
    Ok(thread)
}
