//! Who is asking.

use async_graphql::{Context, Description, Object, SimpleObject};
use uuid::Uuid;

use crate::db::message_list;
use crate::db::page::{List, PageArgs, Slice};
use crate::db::snapshot::Snapshot;
use crate::error::{Error, Result};
use crate::graphql::connection::total;
use crate::graphql::context::Ask;
use crate::graphql::enums::Role;
use crate::graphql::message_list::{MessageConnection, Total};
use crate::graphql::organization::{self, Organization};
use crate::graphql::thread_loaders::UnreadTotals;
use crate::graphql::user::{self, User};
use crate::live::cursor::encode_snapshot;

/// Who is asking: the person of a token, or the backend of an API key.
#[derive(Description)]
pub struct Viewer;

#[Object(use_type_description)]
impl Viewer {
    /// The person; null for an API key.
    async fn user(&self, ctx: &Context<'_>) -> Result<Option<User>> {
        match ctx.viewer()?.user_id() {
            Some(id) => user::load(ctx, id).await,
            None => Ok(None),
        }
    }

    /// The organization that the credential is bound to, if it is.
    async fn organization(&self, ctx: &Context<'_>) -> Result<Option<Organization>> {
        match ctx.viewer()?.bound {
            Some(id) => organization::load(ctx, id).await,
            None => Ok(None),
        }
    }

    /// The person's memberships, the oldest first; none for an API key.
    async fn memberships(&self, ctx: &Context<'_>) -> Result<Vec<Membership>> {
        let viewer = ctx.viewer()?;
        let load = |(id, role): &(_, crate::db::enums::Role)| {
            let (id, role) = (*id, (*role).into());
            async move {
                let organization = organization::load(ctx, id).await?;
                Ok::<_, Error>(organization.map(|organization| Membership { organization, role }))
            }
        };
        let loaded = viewer.memberships.iter().map(load);
        let found = futures_util::future::try_join_all(loaded).await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// How many threads hold something by others that the person has not seen. 0 for an API key.
    async fn unread_thread_count(&self, ctx: &Context<'_>) -> Result<i32> {
        unread(ctx).await.map(|(threads, _)| total(threads))
    }

    /// How many messages by others the person has not seen, over all threads. 0 for an API key.
    async fn unread_message_count(&self, ctx: &Context<'_>) -> Result<i32> {
        unread(ctx).await.map(|(_, messages)| total(messages))
    }

    /// The person's drafts in threads that he sees, the oldest first. None for an API key.
    async fn drafts(
        &self,
        ctx: &Context<'_>,
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
    ) -> Result<MessageConnection> {
        let args = PageArgs {
            first,
            after,
            last,
            before,
        };
        let page = ctx.page::<Uuid>(&args, List::Drafts)?;
        let viewer = ctx.viewer()?;
        let slice = match viewer.user_id() {
            Some(user) => {
                let conn = &mut ctx.app().conn().await?;
                message_list::drafts(conn, &viewer, user, &page).await?
            }
            None => Slice {
                rows: Vec::new(),
                has_previous: false,
                has_next: false,
            },
        };
        MessageConnection::anywhere(ctx, slice, Total::Drafts, false).await
    }

    /// The position behind everything that has happened so far in all that the viewer sees: hand
    /// it to `viewerEvents(after:)`. Ask for it before you read the state that the stream is to
    /// keep up to date: alone, or in an earlier request. The position of a single thread is
    /// `Thread.cursor`.
    async fn cursor(&self, ctx: &Context<'_>) -> Result<String> {
        ctx.viewer()?;
        let told = Snapshot::now(&mut ctx.app().conn().await?).await?;
        Ok(encode_snapshot(&told))
    }
}

/// What the viewer is in an organization.
#[derive(SimpleObject)]
pub struct Membership {
    /// The organization.
    organization: Organization,
    /// The role there.
    role: Role,
}

async fn unread(ctx: &Context<'_>) -> Result<(i64, i64)> {
    let found = ctx.batch()?.load_one(UnreadTotals).await?;
    Ok(found.unwrap_or((0, 0)))
}

/// Reading who is asking.
#[derive(Default)]
pub struct ViewerQuery;

#[Object]
impl ViewerQuery {
    /// Who is asking.
    async fn viewer(&self, ctx: &Context<'_>) -> Result<Viewer> {
        ctx.viewer()?;
        Ok(Viewer)
    }
}
