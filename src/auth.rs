//! From a credential to a viewer: who asks, and what they are where. Nothing else knows how.
//!
//! Never decides what the viewer may see: that is `db/access`.

pub mod keys;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};

use aws_lc_rs::{constant_time, digest};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use futures_util::join;

use crate::app::App;
use crate::auth::keys::Claims;
use crate::db::api_key;
use crate::db::enums::Role;
use crate::db::organization::{self, Membership};
use crate::db::pool::Conn;
use crate::db::user::{self, NewUser, Profile, User};
use crate::error::{Error, Result};
use crate::ids::{OrganizationId, Ref, UserId};
use crate::live::bus::Subject;

/// Who is asking, as of this moment.
#[derive(Debug, Clone)]
pub struct Viewer {
    /// A person, or a backend.
    pub who: Who,
    /// The organization that the credential is bound to.
    pub bound: Option<OrganizationId>,
    /// A person's active memberships, within the bound organization if there is one.
    pub memberships: Vec<(OrganizationId, Role)>,
    /// A person's row, if it was read with the rest.
    pub user: Option<Arc<User>>,
}

/// A person or a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// A person, by a token.
    User(UserId),
    /// A backend, by an API key.
    Key,
}

impl Viewer {
    /// One who sees what an API key of an organization sees, or of the whole server: for what the
    /// server does by itself.
    pub fn backend(bound: Option<OrganizationId>) -> Self {
        Self {
            who: Who::Key,
            bound,
            memberships: Vec::new(),
            user: None,
        }
    }

    /// The person; a backend is none.
    pub fn user_id(&self) -> Option<UserId> {
        match self.who {
            Who::User(id) => Some(id),
            Who::Key => None,
        }
    }

    /// Whether a backend asks.
    pub fn is_key(&self) -> bool {
        self.who == Who::Key
    }

    /// The person's role in an organization.
    pub fn role_in(&self, organization: OrganizationId) -> Option<Role> {
        self.memberships
            .iter()
            .find(|(id, _)| *id == organization)
            .map(|(_, role)| *role)
    }

    /// The organizations in which the person has a role that passes a test.
    pub fn organizations(&self, test: impl Fn(Role) -> bool) -> Vec<OrganizationId> {
        self.memberships
            .iter()
            .filter(|(_, role)| test(*role))
            .map(|(id, _)| *id)
            .collect()
    }

    /// Whether an API key reaches an organization.
    pub fn key_reaches(&self, organization: OrganizationId) -> bool {
        self.is_key() && self.bound.is_none_or(|bound| bound == organization)
    }
}

/// Notes that it was asked who the viewer is: what was made out of it is for that viewer alone.
/// What nobody asked for, everybody of the same audience may be given.
#[derive(Debug, Clone, Default)]
pub struct Witness(Arc<AtomicBool>);

impl Witness {
    /// Somebody asks.
    pub fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether somebody has asked since the last time.
    pub fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// The viewer of a running operation. A subscription takes another one for each event, so that
/// everything an event leads to is resolved for whom it is told, as he is at that moment.
#[derive(Debug, Clone)]
pub struct Present {
    viewer: Arc<RwLock<Arc<Viewer>>>,
    witness: Witness,
}

impl Present {
    /// Who he is at the start.
    pub fn new(viewer: impl Into<Arc<Viewer>>) -> Self {
        Self {
            viewer: Arc::new(RwLock::new(viewer.into())),
            witness: Witness::default(),
        }
    }

    /// Who he is now. It is noted that this was asked.
    pub fn get(&self) -> Arc<Viewer> {
        self.witness.note();
        Arc::clone(&self.viewer.read().expect("no holder of this lock panics"))
    }

    /// Who he is from now on.
    pub fn renew(&self, viewer: Arc<Viewer>) {
        *self.viewer.write().expect("no holder of this lock panics") = viewer;
    }

    /// What notes that it was asked who he is.
    pub fn witness(&self) -> &Witness {
        &self.witness
    }
}

/// A credential that was verified. A connection keeps it, and asks for the viewer anew for each
/// operation, since memberships and keys may be taken away meanwhile.
#[derive(Debug, Clone)]
pub enum Credential {
    /// A person's token.
    Token {
        /// Whom it names.
        user: UserId,
        /// The organization that it is bound to.
        bound: Option<OrganizationId>,
        /// When it ends.
        expires_at: DateTime<Utc>,
    },
    /// A backend's key.
    Key {
        /// The part before the colon.
        id: Arc<str>,
    },
}

impl Credential {
    /// Whose changes of access concern it.
    pub fn subject(&self) -> Subject {
        match self {
            Self::Token { user, .. } => Subject::User(*user),
            Self::Key { id } => Subject::Key(Arc::clone(id)),
        }
    }

    /// When it ends by itself.
    pub fn expires_at(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Token { expires_at, .. } => Some(*expires_at),
            Self::Key { .. } => None,
        }
    }
}

/// Verifies the value of an `Authorization` header; answers the viewer, too, that it stands for now.
pub async fn verify(app: &App, authorization: &str) -> Result<(Credential, Viewer)> {
    let (scheme, value) = authorization
        .trim()
        .split_once(' ')
        .ok_or_else(|| refused("the Authorization header is neither Bearer nor Basic"))?;
    let value = value.trim();
    if scheme.eq_ignore_ascii_case("basic") {
        let decoded = STANDARD
            .decode(value)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(|| refused("the Basic credential is not base64"))?;
        return verify_key(app, &decoded).await;
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(refused(
            "the Authorization header is neither Bearer nor Basic",
        ));
    }
    // A JWT has no colon, an API key has one.
    if value.contains(':') {
        verify_key(app, value).await
    } else {
        verify_token(app, value).await
    }
}

/// The viewer that a verified credential stands for now.
pub async fn viewer(app: &App, credential: &Credential) -> Result<Viewer> {
    let mut conn = app.conn().await?;
    match credential {
        Credential::Key { id } => {
            let key = api_key::active(&mut conn, id)
                .await?
                .ok_or_else(|| refused("the API key was revoked"))?;
            Ok(Viewer::backend(key.organization_id))
        }
        Credential::Token {
            user,
            bound,
            expires_at,
        } => {
            if *expires_at <= app.clock.now() {
                return Err(refused("the token has expired"));
            }
            let memberships = organization::memberships_of(&mut conn, *user).await?;
            Ok(user_viewer(*user, *bound, &memberships))
        }
    }
}

/// Makes a new API key: its id, its secret, and the hash to store.
pub fn generate_key() -> Result<(String, String, Vec<u8>)> {
    let (mut id, mut secret) = ([0; 9], [0; 32]);
    aws_lc_rs::rand::fill(&mut id).map_err(Error::internal)?;
    aws_lc_rs::rand::fill(&mut secret).map_err(Error::internal)?;
    let (id, secret) = (URL_SAFE_NO_PAD.encode(id), URL_SAFE_NO_PAD.encode(secret));
    let hash = hash_secret(&secret);
    Ok((format!("key_{id}"), secret, hash))
}

fn hash_secret(secret: &str) -> Vec<u8> {
    // The secret is 256 random bits: there is nothing to guess, so a slow hash would only cost.
    digest::digest(&digest::SHA256, secret.as_bytes())
        .as_ref()
        .to_vec()
}

fn refused(message: &str) -> Error {
    Error::Unauthenticated(message.to_owned())
}

async fn verify_key(app: &App, text: &str) -> Result<(Credential, Viewer)> {
    let (id, secret) = text
        .split_once(':')
        .ok_or_else(|| refused("an API key is KEYID:SECRET"))?;
    if id.contains('\0') {
        return Err(refused("unknown or revoked API key"));
    }
    let mut conn = app.conn().await?;
    let key = api_key::active(&mut conn, id).await?;
    let hash = hash_secret(secret);
    match key {
        Some(key) if constant_time::verify_slices_are_equal(&hash, &key.secret_hash).is_ok() => {
            let viewer = Viewer::backend(key.organization_id);
            Ok((Credential::Key { id: key.id.into() }, viewer))
        }
        _ => Err(refused("unknown or revoked API key")),
    }
}

fn user_viewer(user: UserId, bound: Option<OrganizationId>, memberships: &[Membership]) -> Viewer {
    let memberships = memberships
        .iter()
        .filter(|membership| membership.removed_at.is_none())
        .filter(|membership| bound.is_none_or(|bound| bound == membership.organization_id))
        .map(|membership| (membership.organization_id, membership.role))
        .collect();
    Viewer {
        who: Who::User(user),
        bound,
        memberships,
        user: None,
    }
}

/// Verifies a token and takes over what it claims: whoever holds the signing key is trusted.
async fn verify_token(app: &App, token: &str) -> Result<(Credential, Viewer)> {
    let now = app.clock.now();
    let claims = app.keys.verify(token, now).await?;
    let mut conn = app.conn().await?;
    // All are asked for at once, before anything is written.
    let name = Ref::parse(&claims.sub);
    let (known, memberships, organization) = join!(
        user::named(&conn, &name),
        organization::memberships_named(&conn, &name),
        claimed_organization(&conn, &claims),
    );
    let (known, mut memberships, organization) = (known?, memberships?, organization?);
    let row = claimed_user(&mut conn, &claims, known, now).await?;
    let user = row.id;
    let bound = match organization {
        None => None,
        Some(organization) => {
            let organization = match organization {
                Ok(known) => known,
                Err(name) => {
                    organization::get_or_insert(&mut conn, &name, &name)
                        .await?
                        .id
                }
            };
            let known = memberships
                .iter()
                .find(|membership| membership.organization_id == organization);
            if let Some(role) = claimed_role(&claims, known) {
                let read = known.map(|membership| membership.decided_at);
                let place = (organization, user);
                organization::claim_membership(&mut conn, place, role, read, now).await?;
                // Subscriptions by the person's older tokens see from now on what the new role sees.
                app.bus.publish_access(Subject::User(user));
                memberships = organization::memberships_of(&mut conn, user).await?;
            }
            Some(organization)
        }
    };
    let credential = Credential::Token {
        user,
        bound,
        expires_at: claims.expires_at(),
    };
    let viewer = Viewer {
        user: Some(Arc::new(row)),
        ..user_viewer(user, bound, &memberships)
    };
    Ok((credential, viewer))
}

/// Whom a token names, as the token says that he is.
async fn claimed_user(
    conn: &mut Conn,
    claims: &Claims,
    known: Option<User>,
    now: DateTime<Utc>,
) -> Result<User> {
    let profile = Profile {
        name: claims.name.clone(),
        email: claims.email.clone(),
        avatar_url: claims.picture.clone(),
    };
    let known = match (known, Ref::<UserId>::parse(&claims.sub)) {
        (Some(known), _) => known,
        (None, Ref::Id(_)) => return Err(refused("the token names an unknown user")),
        // Two requests with a new person's first token may come at once: the second one finds the
        // row of the first.
        (None, Ref::External(external_id)) => {
            let new = NewUser::from_claims(&external_id, &profile, now);
            user::insert_or_get(conn, &new).await?
        }
    };
    if profile.is_in(&known) || !claims.is_newer_than(known.profile_set_at) {
        return Ok(known);
    }
    user::set_profile(conn, known.id, &profile, now).await
}

/// The organization that a token is bound to; its name, if there is none of that externalId yet.
async fn claimed_organization(
    conn: &Conn,
    claims: &Claims,
) -> Result<Option<Result<OrganizationId, String>>> {
    let Some(name) = &claims.org else {
        return Ok(None);
    };
    let name = Ref::parse(name);
    let known = organization::named(conn, &name).await?;
    match (known, name) {
        (Some(known), _) => Ok(Some(Ok(known.id))),
        (None, Ref::External(name)) => Ok(Some(Err(name))),
        (None, Ref::Id(_)) => Err(refused("the token names an unknown organization")),
    }
}

/// The role that a token gives, if it changes anything.
fn claimed_role(claims: &Claims, known: Option<&Membership>) -> Option<Role> {
    let Some(membership) = known else {
        return Some(claims.role.unwrap_or(Role::Member));
    };
    match membership.removed_at {
        // The very moment counts here, not the second: an old token must not undo a removal.
        Some(removed_at) if claims.issued_at() > Some(removed_at) => {
            Some(claims.role.unwrap_or(Role::Member))
        }
        Some(_) => None,
        None => claims
            .role
            .filter(|role| *role != membership.role && claims.is_newer_than(membership.decided_at)),
    }
}

impl Claims {
    /// Whether the token was issued no earlier than something was decided. Issuers write whole
    /// seconds, so the second in which it was decided counts as newer.
    fn is_newer_than(&self, decided_at: DateTime<Utc>) -> bool {
        let second = decided_at
            .duration_trunc(TimeDelta::seconds(1))
            .unwrap_or(decided_at);
        self.issued_at().is_some_and(|issued| issued >= second)
    }
}
