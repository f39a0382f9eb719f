//! Lists of messages, and reading one.

use async_graphql::{Context, Description, ID, Object, SimpleObject};
use uuid::Uuid;

use crate::db::access::{MessageAccess, ThreadAccess, find};
use crate::db::message as db;
use crate::db::message_list;
use crate::db::message_list::anywhere::{self, MessageFilter};
use crate::db::page::{List, PageArgs, Slice};
use crate::error::Result;
use crate::graphql::connection::{PageInfo, total};
use crate::graphql::context::Ask;
use crate::graphql::enums::MessageOrder;
use crate::graphql::loaders::ThreadOf;
use crate::graphql::message::Message;
use crate::graphql::message_inputs::{self, MessageFilterInput};
use crate::graphql::thread_loaders::{Drafts, In};
use crate::ids::Ref;

/// What the total of a list of messages counts.
pub enum Total {
    /// One thread.
    Thread(ThreadAccess),
    /// The viewer's drafts.
    Drafts,
    /// A filtered list over all threads.
    Filtered(MessageFilter),
}

/// A page of messages.
#[derive(Description)]
pub struct MessageConnection {
    slice: Slice<(MessageAccess, String)>,
    total: Total,
    revealed: bool,
}

impl MessageConnection {
    /// Of one thread.
    pub fn in_thread(access: &ThreadAccess, slice: Slice<db::Message>) -> Result<Self> {
        let Slice {
            rows,
            has_previous,
            has_next,
        } = slice;
        let prove = |row: db::Message| {
            let cursor = row.place().encode(List::Messages);
            access.message(row).map(|message| (message, cursor))
        };
        let rows = rows.into_iter().map(prove).collect::<Result<_>>()?;
        Ok(Self {
            slice: Slice {
                rows,
                has_previous,
                has_next,
            },
            total: Total::Thread(access.clone()),
            revealed: false,
        })
    }

    /// Of several threads, whose proofs are gathered.
    pub async fn anywhere(
        ctx: &Context<'_>,
        slice: Slice<db::Message>,
        total: Total,
        revealed: bool,
    ) -> Result<Self> {
        let (key, list): (fn(&db::Message) -> _, _) = match total {
            Total::Drafts => (message_list::draft_key, List::Drafts),
            _ => (anywhere::key, List::Sent),
        };
        let ids = slice.rows.iter().map(|row| ThreadOf(row.thread_id));
        let threads = ctx.batch()?.load_many(ids).await?;
        let Slice {
            rows,
            has_previous,
            has_next,
        } = slice;
        let prove = |row: db::Message| {
            let cursor = key(&row).encode(list);
            // Whoever lost the thread between the two queries has lost its messages.
            let thread = threads.get(&ThreadOf(row.thread_id))?;
            thread.message(row).ok().map(|message| (message, cursor))
        };
        let rows = rows.into_iter().filter_map(prove).collect();
        Ok(Self {
            slice: Slice {
                rows,
                has_previous,
                has_next,
            },
            total,
            revealed,
        })
    }

    fn node(&self, access: &MessageAccess) -> Message {
        Message::shown(access.clone(), self.revealed)
    }
}

#[Object(use_type_description)]
impl MessageConnection {
    /// The messages with their cursors.
    async fn edges(&self) -> Vec<MessageEdge> {
        let edge = |(access, cursor): &(MessageAccess, String)| MessageEdge {
            cursor: cursor.clone(),
            node: self.node(access),
        };
        self.slice.rows.iter().map(edge).collect()
    }

    /// The messages.
    async fn nodes(&self) -> Vec<Message> {
        let node = |(access, _): &(MessageAccess, String)| self.node(access);
        self.slice.rows.iter().map(node).collect()
    }

    /// Where this page stands in the list.
    async fn page_info(&self) -> PageInfo {
        PageInfo::of(&self.slice, |(_, cursor)| cursor.clone())
    }

    /// How many there are in all.
    async fn total_count(&self, ctx: &Context<'_>) -> Result<i32> {
        let viewer = ctx.viewer()?;
        let count = match &self.total {
            Total::Thread(access) => {
                let thread = access.thread();
                let public = thread.user_message_count
                    + thread.action_message_count
                    + thread.deleted_message_count;
                let private = thread.private_message_count + thread.private_deleted_count;
                let sent = public + if access.is_staff() { private } else { 0 };
                let drafts = ctx.batch()?.load_one(In(access.clone(), Drafts)).await?;
                i64::from(sent) + drafts.unwrap_or(0)
            }
            Total::Drafts => match viewer.user_id() {
                Some(user) => {
                    let conn = &mut ctx.app().conn().await?;
                    message_list::drafts_count(conn, &viewer, user).await?
                }
                None => 0,
            },
            Total::Filtered(filter) => {
                let conn = &mut ctx.app().conn().await?;
                anywhere::count(conn, &viewer, filter).await?
            }
        };
        Ok(total(count))
    }
}

/// A message in a list.
#[derive(SimpleObject)]
pub struct MessageEdge {
    /// The message's place in the list.
    cursor: String,
    /// The message.
    node: Message,
}

/// Reading messages.
#[derive(Default)]
pub struct MessageQuery;

#[Object]
impl MessageQuery {
    /// A message that the viewer sees; otherwise NOT_FOUND.
    async fn message(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The message's id or externalId.")] id: ID,
    ) -> Option<Result<Message>> {
        let find = async {
            let viewer = ctx.viewer()?;
            let conn = &mut ctx.app().conn().await?;
            let found = find::message(conn, &viewer, &Ref::parse(&id)).await;
            let found = found.map_err(|error| error.at("id"))?;
            Ok(Message::new(found))
        };
        Some(find.await)
    }

    /// The sent messages of all threads that the viewer sees, by the time of sending. Deleted
    /// ones only on request.
    #[expect(clippy::too_many_arguments, reason = "the arguments of a connection")]
    async fn messages(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only those that pass all of these.")] filter: Option<MessageFilterInput>,
        #[graphql(desc = "Their order.", default_with = "Some(MessageOrder::SentAsc)")]
        order_by: Option<MessageOrder>,
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
        let page = ctx.page::<Uuid>(&args, List::Sent)?;
        let viewer = ctx.viewer()?;
        let descending = order_by == Some(MessageOrder::SentDesc);
        let mut conn = ctx.app().conn().await?;
        let filter = message_inputs::filter(&mut conn, &viewer, filter.unwrap_or_default()).await?;
        let slice = anywhere::page(&mut conn, &viewer, &filter, descending, &page).await?;
        // The loader that comes next takes a connection of its own.
        drop(conn);
        // What a deleted message said is for backends that ask for it, and for nobody else.
        let revealed = filter.include_deleted && viewer.is_key();
        MessageConnection::anywhere(ctx, slice, Total::Filtered(filter), revealed).await
    }
}
