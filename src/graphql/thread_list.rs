//! Lists of threads, and reading one.

use async_graphql::{Context, Description, ID, Object};
use uuid::Uuid;

use crate::db::access::{ThreadAccess, find};
use crate::db::page::{PageArgs, Slice};
use crate::db::thread as db;
use crate::db::thread_list::{self, ThreadFilter};
use crate::error::{Error, Result};
use crate::graphql::connection::{PageInfo, total};
use crate::graphql::context::Ask;
use crate::graphql::enums::ThreadOrder;
use crate::graphql::thread::Thread;
use crate::graphql::thread_inputs::{self, ThreadFilterInput};
use crate::ids::{Ref, ThreadId};

/// A page of threads.
#[derive(Description)]
pub struct ThreadConnection {
    filter: ThreadFilter,
    order: thread_list::ThreadOrder,
    slice: Slice<ThreadAccess>,
}

#[Object(use_type_description)]
impl ThreadConnection {
    /// The threads with their cursors.
    async fn edges(&self) -> Vec<ThreadEdge> {
        let edge = |access: &ThreadAccess| ThreadEdge {
            cursor: thread_list::key(access, self.order).encode(self.order.list()),
            node: access.clone(),
        };
        self.slice.rows.iter().map(edge).collect()
    }

    /// The threads.
    async fn nodes(&self) -> Vec<Thread> {
        self.slice.rows.iter().cloned().map(Thread::new).collect()
    }

    /// Where this page stands in the list.
    async fn page_info(&self) -> PageInfo {
        PageInfo::of(&self.slice, |access| {
            thread_list::key(access, self.order).encode(self.order.list())
        })
    }

    /// How many there are in all.
    async fn total_count(&self, ctx: &Context<'_>) -> Result<i32> {
        let viewer = ctx.viewer()?;
        let conn = &mut ctx.app().conn().await?;
        thread_list::count(conn, &viewer, &self.filter)
            .await
            .map(total)
    }
}

/// A thread in a list.
#[derive(Description)]
pub struct ThreadEdge {
    cursor: String,
    node: ThreadAccess,
}

#[Object(use_type_description)]
impl ThreadEdge {
    /// The thread's place in the list.
    async fn cursor(&self) -> &str {
        &self.cursor
    }

    /// The thread.
    async fn node(&self) -> Thread {
        Thread::new(self.node.clone())
    }
}

/// Reading threads.
#[derive(Default)]
pub struct ThreadQuery;

#[Object]
impl ThreadQuery {
    /// A thread that the viewer sees; otherwise NOT_FOUND.
    async fn thread(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The thread's id or externalId.")] id: ID,
    ) -> Option<Result<Thread>> {
        Some(find(ctx, &Ref::parse(&id)).await)
    }

    /// The thread with this display number, if the viewer sees it; otherwise NOT_FOUND.
    async fn thread_by_number(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The organization's id or externalId.")] organization_id: ID,
        #[graphql(desc = "The display number.")] number: i32,
    ) -> Option<Result<Thread>> {
        let find = async {
            let viewer = ctx.viewer()?;
            let conn = &mut ctx.app().conn().await?;
            let name = Ref::parse(&organization_id);
            // Who does not see the organization does not see the thread either.
            let organization = find::organization(conn, &viewer, &name)
                .await
                .map_err(|error| match error {
                    Error::NotFound(_) => Error::NotFound("thread"),
                    other => other,
                })?;
            let id = db::id_by_number(conn, &organization, number)
                .await?
                .ok_or(Error::NotFound("thread"))?;
            find::thread(conn, &viewer, &Ref::Id(id))
                .await
                .map(Thread::new)
        };
        Some(find.await)
    }

    /// The threads that the viewer sees.
    #[expect(clippy::too_many_arguments, reason = "the arguments of a connection")]
    async fn threads(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only those that pass all of these.")] filter: Option<ThreadFilterInput>,
        #[graphql(
            desc = "Their order.",
            default_with = "Some(ThreadOrder::LastMessageDesc)"
        )]
        order_by: Option<ThreadOrder>,
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
    ) -> Result<ThreadConnection> {
        let args = PageArgs {
            first,
            after,
            last,
            before,
        };
        let order: thread_list::ThreadOrder =
            order_by.unwrap_or(ThreadOrder::LastMessageDesc).into();
        let page = ctx.page::<Uuid>(&args, order.list())?;
        let viewer = ctx.viewer()?;
        let conn = &mut ctx.app().conn().await?;
        let filter = thread_inputs::filter(conn, &viewer, filter.unwrap_or_default()).await?;
        let slice = thread_list::page(conn, &viewer, &filter, order, &page).await?;
        Ok(ThreadConnection {
            filter,
            order,
            slice,
        })
    }
}

async fn find(ctx: &Context<'_>, name: &Ref<ThreadId>) -> Result<Thread> {
    let viewer = ctx.viewer()?;
    let conn = &mut ctx.app().conn().await?;
    let found = find::thread(conn, &viewer, name).await;
    found.map(Thread::new).map_err(|error| error.at("id"))
}
