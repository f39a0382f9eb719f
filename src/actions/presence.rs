//! Says that the viewer is online, or is not any more. Held in memory only, and for a moment.

use std::sync::Arc;

use crate::app::App;
use crate::auth::Viewer;
use crate::db::user::{self, User};
use crate::error::{Error, Result};

/// Sets whether the viewer is online.
pub async fn set(app: &Arc<App>, viewer: &Viewer, online: bool) -> Result<User> {
    let Some(id) = viewer.user_id() else {
        return Err(Error::Forbidden("an API key is never online".to_owned()));
    };
    let mut conn = app.conn().await?;
    let user = user::by_id(&mut conn, id).await?;
    drop(conn);
    let user = user.ok_or(Error::NotFound("user"))?;
    app.bus.set_online(id, online);
    Ok(user)
}
