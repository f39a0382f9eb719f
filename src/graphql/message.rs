//! Messages.

use async_graphql::{Context, Description, ID, Object, SimpleObject};
use uuid::Uuid;

use crate::db::access::{MessageAccess, ThreadAccess, find};
use crate::db::message as db;
use crate::db::message_list::{self, MessageFilter};
use crate::db::page::{PageArgs, Slice};
use crate::error::{Error, Result};
use crate::graphql::connection::{PageInfo, total};
use crate::graphql::context::Ask;
use crate::graphql::enums::{ContentType, MessageOrder, MessageStatus, MessageType};
use crate::graphql::loaders::{ReactionsTo, ReaderCountOf, ReadersOf, ThreadOf};
use crate::graphql::message_inputs::{self, MessageFilterInput};
use crate::graphql::organization::{self, Organization};
use crate::graphql::reaction::{Reaction, ReactionGroup};
use crate::graphql::scalars::{DateTime, Metadata};
use crate::graphql::thread::Thread;
use crate::graphql::user::{self, User};
use crate::ids::Ref;

/// A message, a draft, a private note, or the tombstone of one that was deleted: its text is
/// empty then, and it has no reactions.
#[derive(Description)]
pub struct Message {
    access: MessageAccess,
    /// Whether a tombstone shows what it said.
    revealed: bool,
}

impl Message {
    /// Of one that the viewer sees.
    pub fn new(access: MessageAccess) -> Self {
        Self {
            access,
            revealed: false,
        }
    }

    /// The same; `revealed`: a tombstone shows what it said.
    pub fn shown(access: MessageAccess, revealed: bool) -> Self {
        Self { access, revealed }
    }

    fn row(&self) -> &db::Message {
        self.access.message()
    }

    /// Whether it only marks the place of what was deleted.
    fn is_tombstone(&self) -> bool {
        self.row().deleted_at.is_some() && !self.revealed
    }
}

#[Object(use_type_description)]
impl Message {
    /// The id, `msg_...`.
    pub async fn id(&self) -> ID {
        self.row().id.to_string().into()
    }

    /// The id that a backend gave it; unique per organization.
    async fn external_id(&self) -> Option<&str> {
        self.row().external_id.as_deref()
    }

    /// The thread that it is in.
    async fn thread(&self) -> Thread {
        Thread::new(self.access.thread().clone())
    }

    /// The organization that it belongs to.
    async fn organization(&self, ctx: &Context<'_>) -> Result<Organization> {
        organization::load(ctx, self.row().organization_id)
            .await?
            .ok_or(Error::NotFound("organization"))
    }

    /// Who wrote it; null: the system.
    async fn sender(&self, ctx: &Context<'_>) -> Result<Option<User>> {
        match self.row().sender_id {
            Some(id) => user::load(ctx, id).await,
            None => Ok(None),
        }
    }

    /// What kind of entry it is.
    #[graphql(name = "type")]
    async fn message_type(&self) -> MessageType {
        self.row().type_.into()
    }

    /// What its content is.
    async fn content_type(&self) -> ContentType {
        self.row().content_type.into()
    }

    /// The words as they were written; empty when only HTML was given.
    async fn body(&self) -> &str {
        if self.is_tombstone() {
            ""
        } else {
            &self.row().body
        }
    }

    /// The words as HTML, sanitized.
    async fn body_html(&self) -> Option<&str> {
        let html = self.row().body_html.as_deref();
        html.filter(|_| !self.is_tombstone())
    }

    /// The words alone, out of whichever form was given.
    async fn plaintext(&self) -> &str {
        if self.is_tombstone() {
            ""
        } else {
            &self.row().plaintext
        }
    }

    /// Whether it is a note that only agents, admins and API keys ever learn of.
    async fn private(&self) -> bool {
        self.row().private
    }

    /// How far it has come.
    async fn status(&self) -> MessageStatus {
        self.row().status.into()
    }

    /// Where it belongs in your product: its own, else its thread's, else empty.
    async fn url(&self) -> &str {
        let own = self.row().url.as_deref();
        own.or(self.access.thread().thread().url.as_deref())
            .unwrap_or_default()
    }

    /// The icon of an ACTION message.
    async fn icon_url(&self) -> Option<&str> {
        self.row().icon_url.as_deref()
    }

    /// CSS classes for its display.
    async fn extra_classnames(&self) -> Option<&str> {
        self.row().extra_classnames.as_deref()
    }

    /// Your own facts.
    async fn metadata(&self) -> Metadata {
        Metadata(self.row().metadata.clone())
    }

    /// When it was begun.
    async fn created_at(&self) -> DateTime {
        DateTime(self.row().created_at)
    }

    /// When it was sent; null: a draft.
    async fn sent_at(&self) -> Option<DateTime> {
        self.row().sent_at.map(DateTime)
    }

    /// When its words last changed; null: never.
    async fn updated_at(&self) -> Option<DateTime> {
        self.row().updated_at.map(DateTime)
    }

    /// When it was deleted; null: it was not.
    async fn deleted_at(&self) -> Option<DateTime> {
        self.row().deleted_at.map(DateTime)
    }

    /// The reactions to it, the oldest first.
    async fn reactions(&self, ctx: &Context<'_>) -> Result<Vec<Reaction>> {
        if self.is_tombstone() {
            return Ok(Vec::new());
        }
        let found = ctx.batch()?.load_one(ReactionsTo(self.row().id)).await?;
        Ok(found
            .unwrap_or_default()
            .into_iter()
            .map(Reaction::new)
            .collect())
    }

    /// The reactions to it by emoji, in the order in which each came up first.
    async fn reaction_groups(&self, ctx: &Context<'_>) -> Result<Vec<ReactionGroup>> {
        if self.is_tombstone() {
            return Ok(Vec::new());
        }
        let found = ctx.batch()?.load_one(ReactionsTo(self.row().id)).await?;
        Ok(ReactionGroup::group(found.unwrap_or_default()))
    }

    /// Who has seen it, its sender among them; at most 101. Nobody, if it is a draft.
    async fn seen_by(&self, ctx: &Context<'_>) -> Result<Vec<User>> {
        if self.row().is_draft() {
            return Ok(Vec::new());
        }
        let readers = ctx.batch()?.load_one(ReadersOf(self.row().id)).await?;
        let ids = self.row().sender_id.into_iter();
        let ids: Vec<_> = ids.chain(readers.unwrap_or_default()).collect();
        let mut users = ctx.batch()?.load_many(ids.iter().copied()).await?;
        Ok(ids
            .iter()
            .filter_map(|id| users.remove(id))
            .map(User::new)
            .collect())
    }

    /// How many have seen it, its sender counted.
    async fn seen_by_count(&self, ctx: &Context<'_>) -> Result<i32> {
        if self.row().is_draft() {
            return Ok(0);
        }
        let readers = ctx.batch()?.load_one(ReaderCountOf(self.row().id)).await?;
        Ok(readers.unwrap_or(0) + i32::from(self.row().sender_id.is_some()))
    }

    /// The quoted message, of the same thread; null also when the viewer may not see it.
    async fn reply_to(&self, ctx: &Context<'_>) -> Result<Option<Message>> {
        let Some(id) = self.row().reply_to_id.filter(|_| !self.is_tombstone()) else {
            return Ok(None);
        };
        let quoted = ctx.batch()?.load_one(id).await?;
        let thread = self.access.thread();
        Ok(quoted
            .and_then(|quoted| thread.message(quoted).ok())
            .map(Message::new))
    }

    /// Whether the viewer may change its words: its sender, API keys.
    async fn can_edit(&self, ctx: &Context<'_>) -> Result<bool> {
        ctx.viewer()?;
        Ok(self.access.may_edit() && self.row().deleted_at.is_none())
    }

    /// Whether the viewer may delete it: its sender, agents and admins, API keys.
    async fn can_delete(&self, ctx: &Context<'_>) -> Result<bool> {
        ctx.viewer()?;
        Ok(self.access.may_delete() && self.row().deleted_at.is_none())
    }

    /// Its place in `thread.messages`.
    async fn cursor(&self) -> String {
        self.row().place().encode()
    }
}

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
            let cursor = row.place().encode();
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
        let key = match total {
            Total::Drafts => message_list::draft_key,
            _ => message_list::anywhere_key,
        };
        let ids = slice.rows.iter().map(|row| ThreadOf(row.thread_id));
        let threads = ctx.batch()?.load_many(ids).await?;
        let Slice {
            rows,
            has_previous,
            has_next,
        } = slice;
        let prove = |row: db::Message| {
            let cursor = key(&row).encode();
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
        Message {
            access: access.clone(),
            revealed: self.revealed,
        }
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
        let conn = &mut ctx.app().conn().await?;
        let count = match &self.total {
            Total::Thread(access) => {
                let thread = access.thread();
                let public = thread.user_message_count
                    + thread.action_message_count
                    + thread.deleted_message_count;
                let private = thread.private_message_count + thread.private_deleted_count;
                let sent = public + if access.is_staff() { private } else { 0 };
                i64::from(sent) + message_list::draft_count(conn, access).await?
            }
            Total::Drafts => match viewer.user_id() {
                Some(user) => message_list::drafts_count(conn, &viewer, user).await?,
                None => 0,
            },
            Total::Filtered(filter) => message_list::anywhere_count(conn, &viewer, filter).await?,
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
            let found = find::message(conn, &viewer, &Ref::parse(&id)).await?;
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
        #[graphql(desc = "At most this many, from the front: 1 to 100.")] first: Option<i32>,
        #[graphql(desc = "Behind this cursor.")] after: Option<String>,
        #[graphql(desc = "At most this many, from the back: 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Before this cursor.")] before: Option<String>,
    ) -> Result<MessageConnection> {
        let args = PageArgs {
            first,
            after,
            last,
            before,
        };
        let page = args.check::<Uuid>()?;
        let viewer = ctx.viewer()?;
        let descending = order_by == Some(MessageOrder::SentDesc);
        let mut conn = ctx.app().conn().await?;
        let filter = message_inputs::filter(&mut conn, &viewer, filter.unwrap_or_default()).await?;
        let slice = message_list::anywhere(&mut conn, &viewer, &filter, descending, &page).await?;
        // The loader that comes next takes a connection of its own.
        drop(conn);
        // What a deleted message said is for backends that ask for it, and for nobody else.
        let revealed = filter.include_deleted && viewer.is_key();
        MessageConnection::anywhere(ctx, slice, Total::Filtered(filter), revealed).await
    }
}
