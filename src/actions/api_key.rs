//! Writes on API keys. Only the command line makes them.

use crate::app::App;
use crate::auth;
use crate::db::api_key::{self, ApiKey};
use crate::db::organization;
use crate::error::{Error, Result};
use crate::ids::Ref;

/// Makes a key; answers `KEYID:SECRET`, the only time that the secret is known.
pub async fn create(app: &App, organization: Option<&str>, name: &str) -> Result<String> {
    let mut conn = app.conn().await?;
    let organization_id = match organization {
        None => None,
        Some(name) => organization::named(&conn, &Ref::parse(name))
            .await?
            .map(|known| known.id),
    };
    if organization.is_some() && organization_id.is_none() {
        return Err(Error::NotFound("organization"));
    }
    let (id, secret, secret_hash) = auth::generate_key()?;
    let key = ApiKey {
        id: id.clone(),
        organization_id,
        name: name.to_owned(),
        secret_hash,
        created_at: app.clock.now(),
        revoked_at: None,
    };
    api_key::insert(&mut conn, &key).await?;
    Ok(format!("{id}:{secret}"))
}

/// Ends a key.
pub async fn revoke(app: &App, id: &str) -> Result<()> {
    let mut conn = app.conn().await?;
    if api_key::revoke(&mut conn, id, app.clock.now()).await? {
        Ok(())
    } else {
        Err(Error::NotFound("active API key"))
    }
}
