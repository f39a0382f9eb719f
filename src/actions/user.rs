//! Writes on users.

use std::sync::Arc;

use diesel_async::AsyncConnection;

use crate::actions::check;
use crate::app::App;
use crate::auth::Viewer;
use crate::db::access::find;
use crate::db::user::{self, NewUser, User, UserChange};
use crate::error::{Error, Faults, Result};
use crate::ids::Ref;

/// Makes a user, or changes the one with that externalId. What is absent stays as it is.
pub async fn upsert(
    app: &Arc<App>,
    viewer: &Viewer,
    external_id: &str,
    change: UserChange,
) -> Result<User> {
    let mut faults = Faults::default();
    check::external_id(&mut faults, "externalId", Some(external_id));
    check::line(&mut faults, "name", change.name.as_deref());
    let email = change.email.as_ref().and_then(Option::as_deref);
    check::email(&mut faults, "email", email);
    let avatar = change.avatar_url.as_ref().and_then(Option::as_deref);
    check::url(&mut faults, "avatarUrl", avatar);
    check::metadata(&mut faults, "metadata", change.metadata.as_ref());
    faults.finish()?;
    if !viewer.is_key() {
        return Err(Error::Forbidden("only an API key may do this".to_owned()));
    }
    let now = app.clock.now();
    let mut conn = app.conn().await?;
    let name = Ref::External(external_id.to_owned());
    if user::named(&conn, &name).await?.is_some() {
        find::user_to_manage(&mut conn, viewer, &name)
            .await
            .map_err(|error| match error {
                Error::NotFound(_) => {
                    Error::Forbidden("this user is not of your organization".to_owned())
                }
                other => other,
            })?;
    }
    conn.transaction(async |conn| {
        let new = NewUser::from_change(external_id, change.clone(), now);
        let known = user::insert_or_get(conn, &new).await?;
        user::update(conn, known.id, &change, now).await
    })
    .await
}
