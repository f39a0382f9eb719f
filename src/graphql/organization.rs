//! Organizations and their members.

use async_graphql::{Context, Description, ID, InputObject, Object, SimpleObject};
use uuid::Uuid;

use crate::actions;
use crate::db::access::{self, OrganizationAccess, find};
use crate::db::organization::{self as db, Membership};
use crate::db::page::{List, PageArgs, Slice};
use crate::db::user as db_user;
use crate::error::{Error, Result};
use crate::graphql::connection::{PageInfo, total};
use crate::graphql::context::Ask;
use crate::graphql::enums::Role;
use crate::graphql::scalars::{DateTime, Metadata};
use crate::graphql::user::User;
use crate::ids::{OrganizationId, Ref};

/// A tenant: everything in it is invisible to all others.
#[derive(Description, Clone)]
pub struct Organization(OrganizationAccess);

impl Organization {
    /// Of one that the viewer sees.
    pub fn new(access: OrganizationAccess) -> Self {
        Self(access)
    }
}

#[Object(use_type_description)]
impl Organization {
    /// The id, `org_...`.
    pub async fn id(&self) -> ID {
        self.0.organization().id.to_string().into()
    }

    /// The id that a backend gave it; unique on this server.
    async fn external_id(&self) -> Option<&str> {
        self.0.organization().external_id.as_deref()
    }

    /// Its name.
    async fn name(&self) -> &str {
        &self.0.organization().name
    }

    /// A backend's own facts.
    async fn metadata(&self) -> Metadata {
        Metadata(self.0.organization().metadata.clone())
    }

    /// When it came to be.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.organization().created_at)
    }

    /// Its members, those who joined first first. FORBIDDEN to contacts.
    async fn members(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only members of this role.")] role: Option<Role>,
        #[graphql(
            desc = "At most this many, from the front: 1 to 100, or what the server is set to."
        )]
        first: Option<i32>,
        #[graphql(desc = "Behind this cursor.")] after: Option<String>,
        #[graphql(
            desc = "At most this many, from the back: 1 to 100, or what the server is set to."
        )]
        last: Option<i32>,
        #[graphql(desc = "Before this cursor.")] before: Option<String>,
    ) -> Result<MemberConnection> {
        if !self.0.lists_members() {
            return Err(Error::Forbidden("contacts do not list members".to_owned()));
        }
        let args = PageArgs {
            first,
            after,
            last,
            before,
        };
        let page = ctx.page::<Uuid>(&args, List::Members)?;
        let role = role.map(Into::into);
        let conn = &mut ctx.app().conn().await?;
        let slice = db::members(conn, &self.0, role, &page).await?;
        Ok(MemberConnection {
            access: self.0.clone(),
            role,
            slice,
        })
    }
}

/// A page of members.
#[derive(Description)]
pub struct MemberConnection {
    access: OrganizationAccess,
    role: Option<crate::db::enums::Role>,
    slice: Slice<(Membership, db_user::User)>,
}

#[Object(use_type_description)]
impl MemberConnection {
    /// The members with their cursors and roles.
    async fn edges(&self) -> Vec<MemberEdge> {
        let edge = |(membership, user): &(Membership, db_user::User)| MemberEdge {
            cursor: membership.key().encode(List::Members),
            node: User::new(user.clone()),
            role: membership.role.into(),
        };
        self.slice.rows.iter().map(edge).collect()
    }

    /// The members.
    async fn nodes(&self) -> Vec<User> {
        let node = |(_, user): &(Membership, db_user::User)| User::new(user.clone());
        self.slice.rows.iter().map(node).collect()
    }

    /// Where this page stands in the list.
    async fn page_info(&self) -> PageInfo {
        PageInfo::of(&self.slice, |(membership, _)| {
            membership.key().encode(List::Members)
        })
    }

    /// How many there are in all.
    async fn total_count(&self, ctx: &Context<'_>) -> Result<i32> {
        let conn = &mut ctx.app().conn().await?;
        db::member_count(conn, &self.access, self.role)
            .await
            .map(total)
    }
}

/// A member in a list.
#[derive(SimpleObject)]
pub struct MemberEdge {
    /// The member's place in the list.
    cursor: String,
    /// The member.
    node: User,
    /// As what.
    role: Role,
}

/// The organization with this id, if the viewer sees it.
pub async fn load(ctx: &Context<'_>, id: OrganizationId) -> Result<Option<Organization>> {
    let viewer = ctx.viewer()?;
    let found = ctx.batch()?.load_one(id).await?;
    Ok(found
        .and_then(|row| access::organization_access(&viewer, row))
        .map(Organization))
}

/// Reading organizations.
#[derive(Default)]
pub struct OrganizationQuery;

#[Object]
impl OrganizationQuery {
    /// An organization that the viewer belongs to or whose API key it is; otherwise NOT_FOUND.
    async fn organization(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The organization's id or externalId.")] id: ID,
    ) -> Option<Result<Organization>> {
        let find = async {
            let viewer = ctx.viewer()?;
            let conn = &mut ctx.app().conn().await?;
            let found = find::organization(conn, &viewer, &Ref::parse(&id)).await?;
            Ok(Organization(found))
        };
        Some(find.await)
    }
}

/// An organization as a backend wants it.
#[derive(InputObject)]
struct UpsertOrganizationInput {
    /// Your id for it: 1 to 320 characters, unique on this server.
    external_id: String,
    /// Its name: 1 to 255 characters.
    name: String,
    /// Your facts; replaces all of them, absent leaves them.
    metadata: Option<Metadata>,
}

/// The outcome of `upsertOrganization`.
#[derive(SimpleObject)]
struct UpsertOrganizationPayload {
    /// The organization.
    organization: Organization,
}

/// Who is to be what where.
#[derive(InputObject)]
struct SetMembershipInput {
    /// The organization's id or externalId.
    organization_id: ID,
    /// The user's id or externalId.
    user_id: ID,
    /// The role; null or absent takes the membership away, and at once all that it showed.
    role: Option<Role>,
}

/// The outcome of `setMembership`.
#[derive(SimpleObject)]
struct SetMembershipPayload {
    /// The organization.
    organization: Organization,
    /// The user.
    user: User,
    /// The role now; null: no member.
    role: Option<Role>,
}

/// Changing organizations.
#[derive(Default)]
pub struct OrganizationMutation;

#[Object]
impl OrganizationMutation {
    /// Makes an organization, or changes the one with that externalId. API key only; one that is
    /// bound to an organization changes that one only.
    async fn upsert_organization(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The organization.")] input: UpsertOrganizationInput,
    ) -> Option<Result<UpsertOrganizationPayload>> {
        let input = actions::organization::UpsertOrganization {
            external_id: input.external_id,
            name: input.name,
            metadata: input.metadata.map(|metadata| metadata.0),
        };
        let done = async {
            let viewer = ctx.viewer()?;
            let stored = actions::organization::upsert(ctx.app(), &viewer, input).await?;
            Ok(UpsertOrganizationPayload {
                organization: Organization(stored),
            })
        };
        Some(done.await)
    }

    /// Gives a user a role in an organization, or takes the membership away. Admins and API keys.
    async fn set_membership(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The organization, the user, and the role there.")]
        input: SetMembershipInput,
    ) -> Option<Result<SetMembershipPayload>> {
        let names = (
            &Ref::parse(&input.organization_id),
            &Ref::parse(&input.user_id),
        );
        let done = async {
            let (app, viewer) = (ctx.app(), ctx.viewer()?);
            let role = input.role.map(Into::into);
            let (organization, user) =
                actions::organization::set_membership(app, &viewer, names, role).await?;
            Ok(SetMembershipPayload {
                organization: Organization(organization),
                user: User::new(user),
                role: input.role,
            })
        };
        Some(done.await)
    }
}
