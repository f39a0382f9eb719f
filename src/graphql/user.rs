//! Users.

use std::sync::Arc;

use async_graphql::{Context, Description, ID, InputObject, MaybeUndefined, Object, SimpleObject};

use crate::actions;
use crate::db::access::find;
use crate::db::enums::Role;
use crate::db::user as db;
use crate::db::user::UserChange;
use crate::error::Result;
use crate::graphql::context::Ask;
use crate::graphql::enums::UserKind;
use crate::graphql::loaders::MembershipsOf;
use crate::graphql::scalars::{DateTime, Metadata};
use crate::ids::{Ref, UserId};

/// A person or a bot; the same one in every organization of this server.
#[derive(Description, Clone)]
pub struct User(Arc<db::User>);

impl User {
    /// Of a row that the viewer may see.
    pub fn new(row: impl Into<Arc<db::User>>) -> Self {
        Self(row.into())
    }
}

#[Object(use_type_description)]
impl User {
    /// The id, `usr_...`.
    pub async fn id(&self) -> ID {
        self.0.id.to_string().into()
    }

    /// The id that a backend gave it; unique on this server.
    async fn external_id(&self) -> Option<&str> {
        self.0.external_id.as_deref()
    }

    /// What it is.
    async fn kind(&self) -> UserKind {
        self.0.kind.into()
    }

    /// The name that others see.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// The e-mail address. Null unless the viewer is the user, an agent or admin of an
    /// organization of the user, or an API key.
    async fn email(&self, ctx: &Context<'_>) -> Result<Option<&str>> {
        let viewer = ctx.viewer()?;
        let own = viewer.user_id() == Some(self.0.id);
        if self.0.email.is_none() || own || viewer.is_key() {
            return Ok(self.0.email.as_deref());
        }
        let staff_of = viewer.organizations(Role::is_staff);
        let of_user = ctx.batch()?.load_one(MembershipsOf(self.0.id)).await?;
        let shared = of_user
            .iter()
            .flatten()
            .filter(|membership| membership.removed_at.is_none())
            .any(|membership| staff_of.contains(&membership.organization_id));
        Ok(self.0.email.as_deref().filter(|_| shared))
    }

    /// The address of the picture.
    async fn avatar_url(&self) -> Option<&str> {
        self.0.avatar_url.as_deref()
    }

    /// Whether the user has said so within the last 30 seconds, by `setPresence`.
    async fn online(&self, ctx: &Context<'_>) -> bool {
        ctx.app().bus.is_online(self.0.id)
    }

    /// A backend's own facts.
    async fn metadata(&self) -> Metadata {
        Metadata(self.0.metadata.clone())
    }

    /// When the user came to be.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }
}

/// The user with this id, which must be there.
pub async fn load(ctx: &Context<'_>, id: UserId) -> Result<Option<User>> {
    let batch = ctx.batch()?;
    let found = match batch.loader().known(|kinds| &kinds.users, id) {
        Some(known) => known,
        None => batch.load_one(id).await?,
    };
    Ok(found.map(User::new))
}

/// The users with these ids, in this order.
pub async fn load_all(ctx: &Context<'_>, ids: &[UserId]) -> Result<Vec<User>> {
    let mut found = ctx.batch()?.load_many(ids.iter().copied()).await?;
    let users = ids.iter().filter_map(|id| found.remove(id));
    Ok(users.map(User::new).collect())
}

/// Reading users.
#[derive(Default)]
pub struct UserQuery;

#[Object]
impl UserQuery {
    /// A user whom the viewer may see: oneself, anyone of a shared organization; a contact sees
    /// those of his threads. Otherwise NOT_FOUND.
    async fn user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The user's id or externalId.")] id: ID,
    ) -> Option<Result<User>> {
        Some(find(ctx, &id).await)
    }
}

async fn find(ctx: &Context<'_>, id: &str) -> Result<User> {
    let viewer = ctx.viewer()?;
    let conn = &mut ctx.app().conn().await?;
    find::user(conn, &viewer, &Ref::parse(id))
        .await
        .map(User::new)
}

/// A user as a backend wants it.
#[derive(InputObject)]
struct UpsertUserInput {
    /// Your id for the user: 1 to 320 characters, unique on this server.
    external_id: String,
    /// The name that others see: 1 to 255 characters. For a new user the externalId if absent.
    name: Option<String>,
    /// The e-mail address; null clears it.
    email: MaybeUndefined<String>,
    /// The address of the picture, http or https; null clears it.
    avatar_url: MaybeUndefined<String>,
    /// What it is; PERSON for a new user if absent.
    kind: Option<UserKind>,
    /// Your facts; replaces all of them.
    metadata: Option<Metadata>,
}

/// The outcome of `upsertUser`.
#[derive(SimpleObject)]
struct UpsertUserPayload {
    /// The user.
    user: User,
}

/// Changing users.
#[derive(Default)]
pub struct UserMutation;

#[Object]
impl UserMutation {
    /// Makes a user, or changes the one with that externalId; what is absent stays. API key
    /// only; one that is bound to an organization reaches its own people and new ones.
    async fn upsert_user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The user.")] input: UpsertUserInput,
    ) -> Option<Result<UpsertUserPayload>> {
        let change = UserChange {
            name: input.name,
            email: input.email.into(),
            avatar_url: input.avatar_url.into(),
            kind: input.kind.map(Into::into),
            metadata: input.metadata.map(|metadata| metadata.0),
        };
        let done = async {
            let viewer = ctx.viewer()?;
            let user =
                actions::user::upsert(ctx.app(), &viewer, &input.external_id, change).await?;
            Ok(UpsertUserPayload {
                user: User::new(user),
            })
        };
        Some(done.await)
    }
}
