//! What happens, as it happens.

use std::sync::Arc;

use async_graphql::{
    Context, Description, ID, Interface, Object, Subscription as GraphqlSubscription,
};
use futures_util::{Stream, StreamExt};

use crate::db::access::ThreadAccess;
use crate::db::enums::Mark;
use crate::db::message as db;
use crate::error::{Error, Result};
use crate::event::{Appended, Event, Fact};
use crate::graphql::context::{Ask, Target, Told};
use crate::graphql::message::Message;
use crate::graphql::scalars::DateTime;
use crate::graphql::thread::{self, Thread};
use crate::graphql::user::{self, User};
use crate::ids::{Ref, ThreadId, UserId};
use crate::live::replay::{Occurrence, What};
use crate::live::viewer;

/// What all events have in common.
struct Common {
    /// The proof that the viewer sees its thread; none: it tells of a thread that he does not see
    /// any more, or of none.
    access: Option<ThreadAccess>,
    actor: Option<UserId>,
    cursor: Arc<str>,
    at: DateTime,
}

impl Common {
    fn message(&self, row: Arc<db::Message>) -> Result<Message> {
        let access = self.access.as_ref().ok_or(Error::NotFound("message"))?;
        access.message(row).map(Message::new)
    }
}

macro_rules! thread_event {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty),* } $($resolvers:tt)*) => {
        $(#[$doc])*
        #[derive(Description)]
        pub struct $name {
            common: Common,
            $($field: $type),*
        }

        #[Object(use_type_description)]
        impl $name {
            /// The position behind this event: hand it to the `after` of the subscription that
            /// told it to go on there.
            async fn cursor(&self) -> &str {
                &self.common.cursor
            }

            /// When it happened.
            async fn occurred_at(&self) -> DateTime {
                self.common.at
            }

            /// The thread as it is now; null once it is deleted.
            async fn thread(&self, ctx: &Context<'_>) -> Result<Option<Thread>> {
                // The row is read anew; what the subscriber may see of it was proven for this
                // event, which may be long after the request began.
                match &self.common.access {
                    Some(access) => thread::load(ctx, access).await,
                    None => Ok(None),
                }
            }

            /// Who did it; null: a backend or the server.
            async fn actor(&self, ctx: &Context<'_>) -> Result<Option<User>> {
                match self.common.actor {
                    Some(id) => user::load(ctx, id).await,
                    None => Ok(None),
                }
            }

            $($resolvers)*
        }
    };
}

thread_event!(
    /// A message was sent.
    MessageCreated { message: Arc<db::Message> }

    /// The message.
    async fn message(&self) -> Result<Message> {
        self.common.message(Arc::clone(&self.message))
    }
);

thread_event!(
    /// A message was edited, reacted to, answered, deleted or restored, its status moved, it has
    /// other files, or one of its files has come.
    MessageUpdated { message: Arc<db::Message> }

    /// The message.
    async fn message(&self) -> Result<Message> {
        self.common.message(Arc::clone(&self.message))
    }
);

thread_event!(
    /// Text was appended to a message. What stands at and behind the offset already, because the
    /// message was read later than this happened, is replaced by it. If the message was edited
    /// since and is shorter, the MessageUpdated that follows settles it.
    MessageAppended { message: Arc<db::Message>, appended: Appended }

    /// The message's id.
    async fn message_id(&self) -> ID {
        self.message.id.to_string().into()
    }

    /// The text that was appended, alone.
    async fn text(&self) -> &str {
        &self.appended.text
    }

    /// Behind how many characters (Unicode code points) of the message's text.
    async fn offset(&self) -> i32 {
        self.appended.offset
    }
);

thread_event!(
    /// A message was deleted for good.
    MessageRemoved { message_id: ID }

    /// The id that it had.
    async fn message_id(&self) -> &ID {
        &self.message_id
    }
);

thread_event!(
    /// The thread was opened.
    ThreadCreated {}
);

thread_event!(
    /// Something about the thread itself changed.
    ThreadUpdated {}
);

thread_event!(
    /// The thread was deleted for good, with all that was in it; `threadEvents` ends with it. In
    /// `viewerEvents`: deleted for good, or no longer yours to see; `thread` and `actor` are null.
    ThreadDeleted { thread_id: ThreadId }

    /// The id that it had.
    async fn thread_id(&self) -> ID {
        self.thread_id.to_string().into()
    }
);

thread_event!(
    /// Somebody joined.
    ParticipantAdded { user_id: UserId }

    /// Who.
    async fn user(&self, ctx: &Context<'_>) -> Result<User> {
        user::load(ctx, self.user_id).await?.ok_or(Error::NotFound("user"))
    }
);

thread_event!(
    /// Somebody left or was removed.
    ParticipantRemoved { user_id: UserId }

    /// Who.
    async fn user(&self, ctx: &Context<'_>) -> Result<User> {
        user::load(ctx, self.user_id).await?.ok_or(Error::NotFound("user"))
    }
);

thread_event!(
    /// Somebody has seen the thread up to a message. Of many moves within a moment only the
    /// latest is told. A resume may tell it again.
    ThreadSeen { user_id: UserId, up_to: Option<Arc<db::Message>> }

    /// Who.
    async fn user(&self, ctx: &Context<'_>) -> Result<User> {
        user::load(ctx, self.user_id).await?.ok_or(Error::NotFound("user"))
    }

    /// The newest message seen, of those that the viewer may see.
    async fn up_to(&self) -> Result<Option<Message>> {
        let prove = |row| self.common.message(row);
        self.up_to.clone().map(prove).transpose()
    }
);

thread_event!(
    /// A thread has come to a device of somebody, up to a message. Of many moves within a moment
    /// only the latest is told. A resume may tell it again.
    ThreadDelivered { user_id: UserId, up_to: Option<Arc<db::Message>> }

    /// Who.
    async fn user(&self, ctx: &Context<'_>) -> Result<User> {
        user::load(ctx, self.user_id).await?.ok_or(Error::NotFound("user"))
    }

    /// The newest message that has come, of those that the viewer may see.
    async fn up_to(&self) -> Result<Option<Message>> {
        let prove = |row| self.common.message(row);
        self.up_to.clone().map(prove).transpose()
    }
);

thread_event!(
    /// Others than before type. Not kept in the log: not told again after a resume, so read
    /// `Thread.typing` then.
    TypingChanged { typing: Vec<UserId> }

    /// Who types now, of those of whom the viewer may know: those first who began first.
    async fn typing(&self, ctx: &Context<'_>) -> Result<Vec<User>> {
        user::load_all(ctx, &self.typing).await
    }
);

thread_event!(
    /// Somebody who takes part came online, or went. Not kept in the log: not told again after a
    /// resume, so read `User.online` then. `viewerEvents` tells it once, with no thread, whatever
    /// the number of threads that the viewer sees and in which the user takes part.
    PresenceChanged { user_id: UserId, online: bool }

    /// Who.
    async fn user(&self, ctx: &Context<'_>) -> Result<User> {
        user::load(ctx, self.user_id).await?.ok_or(Error::NotFound("user"))
    }

    /// Whether the user is online now.
    async fn online(&self) -> bool {
        self.online
    }
);

thread_event!(
    /// The position that was asked for can no longer be served, or in `viewerEvents` what the
    /// viewer may see has changed: read the state again, then go on from this event's cursor. What
    /// happens from here on follows.
    ResyncRequired { reason: &'static str }

    /// Why.
    async fn reason(&self) -> &str {
        self.reason
    }
);

/// Something that happened in a thread.
#[derive(Interface)]
#[graphql(
    field(
        name = "cursor",
        ty = "&str",
        desc = "The position behind this event: hand it to the `after` of the subscription that told it to go on there."
    ),
    field(name = "occurred_at", ty = "DateTime", desc = "When it happened."),
    field(
        name = "thread",
        ty = "Option<Thread>",
        desc = "The thread as it is now; null once it is deleted."
    ),
    field(
        name = "actor",
        ty = "Option<User>",
        desc = "Who did it; null: a backend or the server."
    )
)]
pub enum ThreadEvent {
    /// A message was sent.
    MessageCreated(MessageCreated),
    /// A message changed.
    MessageUpdated(MessageUpdated),
    /// Text was appended to a message.
    MessageAppended(MessageAppended),
    /// A message was deleted for good.
    MessageRemoved(MessageRemoved),
    /// The thread was opened.
    ThreadCreated(ThreadCreated),
    /// The thread changed.
    ThreadUpdated(ThreadUpdated),
    /// The thread was deleted.
    ThreadDeleted(ThreadDeleted),
    /// Somebody joined.
    ParticipantAdded(ParticipantAdded),
    /// Somebody left.
    ParticipantRemoved(ParticipantRemoved),
    /// Somebody has seen it.
    ThreadSeen(ThreadSeen),
    /// It has come to somebody.
    ThreadDelivered(ThreadDelivered),
    /// Others than before type.
    TypingChanged(TypingChanged),
    /// Somebody came online, or went.
    PresenceChanged(PresenceChanged),
    /// A position cannot be served.
    ResyncRequired(ResyncRequired),
}

impl From<Told> for ThreadEvent {
    fn from(told: Told) -> Self {
        match told {
            Told::OfThread(occurrence) => occurrence.into(),
            Told::OfEverything(occurrence) => occurrence.into(),
        }
    }
}

impl From<Occurrence> for ThreadEvent {
    fn from(occurrence: Occurrence) -> Self {
        let Occurrence {
            what,
            cursor,
            at,
            access,
        } = occurrence;
        let common = Common {
            cursor,
            at: DateTime(at),
            actor: None,
            access: Some(access),
        };
        match what {
            What::Resync(reason) => Self::ResyncRequired(ResyncRequired { common, reason }),
            What::Moved(moved) => Self::moved(common, moved.mark, moved.user, moved.up_to),
            What::Event(event) => Self::happened(common, &event),
            What::Typing(typing, actor) => {
                let common = Common { actor, ..common };
                Self::TypingChanged(TypingChanged { common, typing })
            }
            What::Presence(user_id, online) => Self::present(common, user_id, online),
        }
    }
}

impl From<viewer::replay::Occurrence> for ThreadEvent {
    fn from(occurrence: viewer::replay::Occurrence) -> Self {
        use viewer::telling::What;

        let common = |access| Common {
            cursor: occurrence.cursor,
            at: DateTime(occurrence.at),
            actor: None,
            access,
        };
        match occurrence.what {
            What::Event(event, access) => Self::happened(common(Some(access)), &event),
            What::Moved(mark, user_id, up_to, access) => {
                Self::moved(common(Some(access)), mark, user_id, up_to)
            }
            What::Typing(typing, actor, access) => Self::TypingChanged(TypingChanged {
                common: Common {
                    actor,
                    ..common(Some(access))
                },
                typing,
            }),
            What::Presence(user_id, online) => Self::present(common(None), user_id, online),
            What::Lost(thread_id) => Self::ThreadDeleted(ThreadDeleted {
                common: common(None),
                thread_id,
            }),
            What::Resync(reason) => Self::ResyncRequired(ResyncRequired {
                common: common(None),
                reason,
            }),
        }
    }
}

impl ThreadEvent {
    fn present(common: Common, user_id: UserId, online: bool) -> Self {
        let common = Common {
            actor: Some(user_id),
            ..common
        };
        Self::PresenceChanged(PresenceChanged {
            common,
            user_id,
            online,
        })
    }

    fn moved(common: Common, mark: Mark, user_id: UserId, up_to: Option<Arc<db::Message>>) -> Self {
        let common = Common {
            actor: Some(user_id),
            ..common
        };
        match mark {
            Mark::Seen => Self::ThreadSeen(ThreadSeen {
                common,
                user_id,
                up_to,
            }),
            Mark::Delivered => Self::ThreadDelivered(ThreadDelivered {
                common,
                user_id,
                up_to,
            }),
        }
    }

    fn happened(common: Common, event: &Event) -> Self {
        let common = Common {
            actor: event.actor_id,
            ..common
        };
        match event.fact.clone() {
            Fact::MessageCreated(message) => {
                Self::MessageCreated(MessageCreated { common, message })
            }
            Fact::MessageUpdated(message) => {
                Self::MessageUpdated(MessageUpdated { common, message })
            }
            Fact::MessageAppended(message, appended) => Self::MessageAppended(MessageAppended {
                common,
                message,
                appended,
            }),
            Fact::MessageRemoved(id) => Self::MessageRemoved(MessageRemoved {
                common,
                message_id: id.to_string().into(),
            }),
            Fact::ThreadCreated => Self::ThreadCreated(ThreadCreated { common }),
            Fact::ThreadUpdated => Self::ThreadUpdated(ThreadUpdated { common }),
            Fact::ThreadDeleted => Self::ThreadDeleted(ThreadDeleted {
                common,
                thread_id: event.thread_id,
            }),
            Fact::ParticipantAdded(user_id) => {
                Self::ParticipantAdded(ParticipantAdded { common, user_id })
            }
            Fact::ParticipantRemoved(user_id) => {
                Self::ParticipantRemoved(ParticipantRemoved { common, user_id })
            }
        }
    }
}

/// What can be followed.
#[derive(Description)]
pub struct Subscription;

#[GraphqlSubscription(use_type_description)]
impl Subscription {
    /// What happens in a thread. Without `after`: from now on. With it: everything after that
    /// position, in order, each once, then what happens. Of a message that was deleted for good
    /// meanwhile only the deletion is told, of one that was deleted not what was appended. A position that can no longer be served
    /// gives one ResyncRequired first. Ends with NOT_FOUND when the viewer loses the thread.
    async fn thread_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The thread's id or externalId.")] thread_id: ID,
        #[graphql(desc = "The cursor of an event, or of the thread.")] after: Option<String>,
    ) -> Result<impl Stream<Item = ThreadEvent> + use<>> {
        ctx.session()?;
        let target = Target::Thread(Ref::parse(&thread_id), after);
        Ok(ctx.follow(target).map(ThreadEvent::from))
    }

    /// What happens in every thread that the viewer sees and has not put to HIDDEN: one stream for
    /// an inbox. Without `after`: from now on. With it: everything after that position, in the
    /// order of each thread, then what happens; a resume may repeat an event, and misses none. Of
    /// a message that was deleted for good meanwhile only the deletion is told, of one that was
    /// deleted not what was appended. A thread that is deleted, or that the viewer loses, is told
    /// as ThreadDeleted; one that he comes to see begins with what happens
    /// about then, at the latest with the event that shows it to him. Of
    /// typing and presence only what happens is told, with the cursor of what came before. When
    /// what he may see changes as a whole (a membership, a role), or a position can no longer be
    /// served, there is one ResyncRequired. Ends with NOT_FOUND when a person loses the last
    /// membership, with UNAUTHENTICATED when an API key is revoked.
    async fn viewer_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The cursor of an event of this stream, or of the viewer.")] after: Option<
            String,
        >,
    ) -> Result<impl Stream<Item = ThreadEvent> + use<>> {
        ctx.session()?;
        Ok(ctx.follow(Target::Everything(after)).map(ThreadEvent::from))
    }
}
