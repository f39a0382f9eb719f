//! Threads and who takes part in them.

use async_graphql::{Context, Description, ID, Object};
use uuid::Uuid;

use crate::db::access::ThreadAccess;
use crate::db::access::find::{self, Again};
use crate::db::message_list::{self, Pick};
use crate::db::page::{List, PageArgs};
use crate::error::{Error, Result};
use crate::graphql::context::Ask;
use crate::graphql::enums::{self, ThreadInboxState};
use crate::graphql::inbox::{self, Inbox};
use crate::graphql::loaders::ThreadOf;
use crate::graphql::message::Message;
use crate::graphql::message_list::MessageConnection;
use crate::graphql::organization::{self, Organization};
use crate::graphql::participant::ParticipantConnection;
use crate::graphql::scalars::{DateTime, Metadata};
use crate::graphql::thread_loaders::{
    HiddenIs, In, NewestMove, Now, OwnPartIn, ParticipantsIn, UnreadIn,
};
use crate::graphql::user::{self, User};
use crate::ids::Ref;
use crate::live::cursor::Position;

/// A conversation.
#[derive(Description, Clone)]
pub struct Thread(ThreadAccess);

impl Thread {
    /// Of one that the viewer sees.
    pub fn new(access: ThreadAccess) -> Self {
        Self(access)
    }

    async fn pick(&self, ctx: &Context<'_>, pick: Pick) -> Result<Option<Message>> {
        let key = In(self.0.clone(), pick);
        let found = ctx.batch()?.load_one(key).await?;
        found
            .map(|message| self.0.message(message).map(Message::new))
            .transpose()
    }

    async fn unread(&self, ctx: &Context<'_>) -> Result<i32> {
        let found = ctx.batch()?.load_one(UnreadIn(self.0.thread().id)).await?;
        Ok(found.unwrap_or(0))
    }
}

#[Object(use_type_description)]
impl Thread {
    /// The id, `thr_...`.
    pub async fn id(&self) -> ID {
        self.0.thread().id.to_string().into()
    }

    /// The id that a backend gave it; unique per organization.
    async fn external_id(&self) -> Option<&str> {
        self.0.thread().external_id.as_deref()
    }

    /// The number for people: 1, 2, 3 ... per organization, never used again.
    async fn number(&self) -> i32 {
        self.0.thread().number
    }

    /// The organization that it belongs to.
    async fn organization(&self, ctx: &Context<'_>) -> Result<Organization> {
        organization::load(ctx, self.0.thread().organization_id)
            .await?
            .ok_or(Error::NotFound("organization"))
    }

    /// What it is about: 1 to 255 characters.
    async fn subject(&self) -> &str {
        &self.0.thread().subject
    }

    /// Where it belongs in your product.
    async fn url(&self) -> Option<&str> {
        self.0.thread().url.as_deref()
    }

    /// Your own facts.
    async fn metadata(&self) -> Metadata {
        Metadata(self.0.thread().metadata.clone())
    }

    /// CSS classes for its display.
    async fn extra_classnames(&self) -> Option<&str> {
        self.0.thread().extra_classnames.as_deref()
    }

    /// Who sees it besides its participants.
    async fn access(&self) -> enums::ThreadAccess {
        self.0.thread().access.into()
    }

    /// The inbox that its contact writes by, if there is one.
    async fn inbox(&self, ctx: &Context<'_>) -> Result<Option<Inbox>> {
        match self.0.thread().inbox_id {
            Some(id) => inbox::load(ctx, id).await,
            None => Ok(None),
        }
    }

    /// The department that was written to first.
    async fn department(&self) -> Option<&str> {
        self.0.thread().department.as_deref()
    }

    /// The page that was written from first.
    async fn source_page(&self) -> Option<&str> {
        self.0.thread().source_page.as_deref()
    }

    /// The language of whoever wrote first.
    async fn language(&self) -> Option<&str> {
        self.0.thread().language.as_deref()
    }

    /// The program of whoever wrote first.
    async fn user_agent(&self) -> Option<&str> {
        self.0.thread().user_agent.as_deref()
    }

    /// Who opened it; null: a backend.
    async fn creator(&self, ctx: &Context<'_>) -> Result<Option<User>> {
        match self.0.thread().creator_id {
            Some(id) => user::load(ctx, id).await,
            None => Ok(None),
        }
    }

    /// When it was opened.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.thread().created_at)
    }

    /// When it, or what all its readers see of it, last changed. Private notes do not count.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.thread().updated_at)
    }

    /// When the newest message that the viewer may see was sent.
    async fn last_message_at(&self) -> Option<DateTime> {
        let thread = self.0.thread();
        let at = if self.0.is_staff() {
            thread.staff_message_at
        } else {
            thread.last_message_at
        };
        at.map(DateTime)
    }

    /// Whether it is resolved. A new message reopens it.
    async fn resolved(&self) -> bool {
        self.0.thread().resolved_at.is_some()
    }

    /// When it was resolved; null: it is open.
    async fn resolved_at(&self) -> Option<DateTime> {
        self.0.thread().resolved_at.map(DateTime)
    }

    /// Who takes part, in the order in which they joined.
    async fn participants(
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
    ) -> Result<ParticipantConnection> {
        let args = PageArgs {
            first,
            after,
            last,
            before,
        };
        let key = ParticipantsIn(
            self.0.thread().id,
            ctx.page::<Uuid>(&args, List::Participants)?,
        );
        let slice = ctx.batch()?.load_one(key).await?;
        let slice = slice.ok_or(Error::NotFound("thread"))?;
        Ok(ParticipantConnection::new(self.0.clone(), slice))
    }

    /// Its messages by the time of sending, the oldest first. Deleted ones stay as tombstones;
    /// the viewer's own drafts stand at the end.
    async fn messages(
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
        #[graphql(
            desc = "A window of `first` with this message, by id or externalId, in its middle; \
                    not with the other arguments."
        )]
        around: Option<ID>,
    ) -> Result<MessageConnection> {
        let args = PageArgs {
            first,
            after,
            last,
            before,
        };
        let page = ctx.page::<i64>(&args, List::Messages)?;
        let slice = match around {
            None => {
                let key = In(self.0.clone(), page);
                let slice = ctx.batch()?.load_one(key).await?;
                slice.ok_or(Error::NotFound("thread"))?
            }
            Some(_) if args.is_bounded() => {
                return Err(Error::field("around", "goes with first alone"));
            }
            Some(id) => {
                let viewer = ctx.viewer()?;
                let conn = &mut ctx.app().conn().await?;
                let middle = find::message(conn, &viewer, &Ref::parse(&id)).await?;
                if middle.message().thread_id != self.0.thread().id {
                    return Err(Error::NotFound("message"));
                }
                message_list::around(conn, &self.0, middle.message(), page.limit).await?
            }
        };
        MessageConnection::in_thread(&self.0, slice)
    }

    /// How many messages the viewer may see that are sent and not deleted.
    async fn message_count(&self) -> i32 {
        let thread = self.0.thread();
        let public = thread.user_message_count + thread.action_message_count;
        public + self.private_count(thread.private_message_count)
    }

    /// How many of them people wrote.
    async fn user_message_count(&self) -> i32 {
        let thread = self.0.thread();
        thread.user_message_count + self.private_count(thread.private_message_count)
    }

    /// How many of them tell that something happened.
    async fn action_message_count(&self) -> i32 {
        self.0.thread().action_message_count
    }

    /// How many deleted messages have left a tombstone.
    async fn deleted_message_count(&self) -> i32 {
        let thread = self.0.thread();
        thread.deleted_message_count + self.private_count(thread.private_deleted_count)
    }

    /// The oldest message that is not deleted.
    async fn first_message(&self, ctx: &Context<'_>) -> Result<Option<Message>> {
        self.pick(ctx, Pick::First).await
    }

    /// The newest message that is not deleted.
    async fn latest_message(&self, ctx: &Context<'_>) -> Result<Option<Message>> {
        self.pick(ctx, Pick::Latest).await
    }

    /// Who types now, of those of whom the viewer may know: those first who began first.
    async fn typing(&self, ctx: &Context<'_>) -> Result<Vec<User>> {
        let typing = ctx.app().bus.typing(self.0.thread().id, self.0.is_staff());
        user::load_all(ctx, &typing).await
    }

    /// Where it stands in the viewer's inbox. READ for an API key.
    async fn inbox_state(&self, ctx: &Context<'_>) -> Result<ThreadInboxState> {
        let hidden = ctx.batch()?.load_one(HiddenIs(self.0.thread().id)).await?;
        if hidden.is_some() {
            return Ok(ThreadInboxState::Hidden);
        }
        let unread = self.unread(ctx).await?;
        Ok(if unread > 0 {
            ThreadInboxState::Unread
        } else {
            ThreadInboxState::Read
        })
    }

    /// How many messages by others the viewer has not seen. 0 for an API key.
    async fn unread_count(&self, ctx: &Context<'_>) -> Result<i32> {
        self.unread(ctx).await
    }

    /// The oldest message by somebody else that the viewer has not seen.
    async fn first_unread_message(&self, ctx: &Context<'_>) -> Result<Option<Message>> {
        if self.0.viewer_id().is_none() {
            return Ok(None);
        }
        self.pick(ctx, Pick::FirstUnread).await
    }

    /// Whether the viewer is to be notified of what is new.
    async fn subscribed(&self, ctx: &Context<'_>) -> Result<bool> {
        let part = ctx.batch()?.load_one(OwnPartIn(self.0.thread().id)).await?;
        Ok(part.is_some_and(|part| part.subscribed))
    }

    /// Whether the viewer may write into it: whoever sees a thread may.
    async fn can_post(&self) -> bool {
        true
    }

    /// The position of its log. Take it before you read state and hand it to
    /// `threadEvents(after:)`: then nothing that happens after is missed.
    async fn cursor(&self, ctx: &Context<'_>) -> Result<String> {
        let newest = ctx
            .batch()?
            .load_one(In(self.0.clone(), NewestMove))
            .await?;
        Ok(Position::heard(&self.0, newest).encode(self.0.thread().id))
    }
}

impl Thread {
    fn private_count(&self, count: i32) -> i32 {
        if self.0.is_staff() { count } else { 0 }
    }
}

/// A thread that the viewer was proven to see, as it is now.
pub async fn load(ctx: &Context<'_>, access: &ThreadAccess) -> Result<Option<Thread>> {
    match ctx.batch()?.load_one(In(access.clone(), Now)).await? {
        None => Ok(None),
        Some(Again::Gone) => Ok(None),
        Some(Again::Same(access)) => Ok(Some(Thread(access))),
        // It is decided anew who sees it.
        Some(Again::Moved(_)) => {
            let found = ctx.batch()?.load_one(ThreadOf(access.thread().id)).await?;
            Ok(found.map(Thread))
        }
    }
}
