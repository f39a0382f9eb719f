//! Changing what the viewer, or whom a backend names, has of a thread: seen, delivered, unseen,
//! subscribed, hidden.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};

use crate::actions;
use crate::db::enums::Mark;
use crate::error::Result;
use crate::graphql::context::Ask;
use crate::graphql::enums::ThreadInboxState;
use crate::graphql::thread::Thread;
use crate::ids::Ref;

/// Up to where a thread has been seen.
#[derive(InputObject)]
struct MarkThreadSeenInput {
    /// The thread's id or externalId.
    thread_id: ID,
    /// The newest message seen, by id or externalId; the latest one if absent.
    message_id: Option<ID>,
    /// By whom, by id or externalId; API key only, and required with one.
    user_id: Option<ID>,
}

/// The outcome of `markThreadSeen`.
#[derive(SimpleObject)]
struct MarkThreadSeenPayload {
    /// The thread.
    thread: Thread,
}

/// From where on a thread has not been seen.
#[derive(InputObject)]
struct MarkThreadUnseenInput {
    /// The thread's id or externalId.
    thread_id: ID,
    /// The oldest message not seen, by id or externalId; the latest one by somebody else if absent.
    from_message_id: Option<ID>,
    /// By whom, by id or externalId; API key only, and required with one.
    user_id: Option<ID>,
}

/// The outcome of `markThreadUnseen`.
#[derive(SimpleObject)]
struct MarkThreadUnseenPayload {
    /// The thread.
    thread: Thread,
}

/// Up to where a thread has come to a device.
#[derive(InputObject)]
struct MarkThreadDeliveredInput {
    /// The thread's id or externalId.
    thread_id: ID,
    /// The newest message that has come, by id or externalId; the latest one if absent.
    message_id: Option<ID>,
    /// To whom, by id or externalId; API key only, and required with one.
    user_id: Option<ID>,
}

/// The outcome of `markThreadDelivered`.
#[derive(SimpleObject)]
struct MarkThreadDeliveredPayload {
    /// The thread.
    thread: Thread,
}

/// Whether to be notified of a thread.
#[derive(InputObject)]
struct SetThreadSubscriptionInput {
    /// The thread's id or externalId.
    thread_id: ID,
    /// Whether to be notified of what is new.
    subscribed: bool,
    /// Who, by id or externalId; API key only, and required with one.
    user_id: Option<ID>,
}

/// The outcome of `setThreadSubscription`.
#[derive(SimpleObject)]
struct SetThreadSubscriptionPayload {
    /// The thread.
    thread: Thread,
}

/// Where to put threads.
#[derive(InputObject)]
struct UpdateThreadInboxStateInput {
    /// The threads, by id or externalId: 1 to 100.
    thread_ids: Vec<ID>,
    /// UNREAD: not seen from the latest message by somebody else on. READ: seen. HIDDEN: out of
    /// the default list and of the counts until another state is set.
    state: ThreadInboxState,
}

/// The outcome of `updateThreadInboxState`.
#[derive(SimpleObject)]
struct UpdateThreadInboxStatePayload {
    /// The threads, each once, in the order in which they were named.
    threads: Vec<Thread>,
}

/// Changing what somebody has of a thread.
#[derive(Default)]
pub struct InboxStateMutation;

#[Object]
impl InboxStateMutation {
    /// Marks a thread as seen up to a message; never backwards. Whoever sees the thread.
    async fn mark_thread_seen(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The thread, and up to where it has been seen.")]
        input: MarkThreadSeenInput,
    ) -> Option<Result<MarkThreadSeenPayload>> {
        let marked = mark(
            ctx,
            Mark::Seen,
            input.thread_id,
            input.message_id,
            input.user_id,
        );
        let thread = marked.await;
        Some(thread.map(|thread| MarkThreadSeenPayload { thread }))
    }

    /// Marks a thread as not seen from a message on. Whoever sees the thread.
    async fn mark_thread_unseen(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The thread, and from where on it has not been seen.")]
        input: MarkThreadUnseenInput,
    ) -> Option<Result<MarkThreadUnseenPayload>> {
        let name = Ref::parse(&input.thread_id);
        let from = input.from_message_id.map(|id| Ref::parse(&id));
        let user = input.user_id.map(|id| Ref::parse(&id));
        let done = async {
            let (app, viewer) = (ctx.app(), ctx.viewer()?);
            let thread =
                actions::seen::unmark(app, &viewer, &name, from.as_ref(), user.as_ref()).await?;
            Ok(MarkThreadUnseenPayload {
                thread: Thread::new(thread),
            })
        };
        Some(done.await)
    }

    /// Marks a thread as delivered to a device up to a message; never backwards. Whoever sees
    /// the thread.
    async fn mark_thread_delivered(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The thread, and up to where it has come.")]
        input: MarkThreadDeliveredInput,
    ) -> Option<Result<MarkThreadDeliveredPayload>> {
        let marked = mark(
            ctx,
            Mark::Delivered,
            input.thread_id,
            input.message_id,
            input.user_id,
        );
        let thread = marked.await;
        Some(thread.map(|thread| MarkThreadDeliveredPayload { thread }))
    }

    /// Sets whether to be notified of what is new in a thread. Whoever sees it; who subscribes
    /// takes part from then on.
    async fn set_thread_subscription(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The thread, and whether to be notified of it.")]
        input: SetThreadSubscriptionInput,
    ) -> Option<Result<SetThreadSubscriptionPayload>> {
        let name = Ref::parse(&input.thread_id);
        let user = input.user_id.map(|id| Ref::parse(&id));
        let (user, subscribed) = (user.as_ref(), input.subscribed);
        let done = async {
            let (app, viewer) = (ctx.app(), ctx.viewer()?);
            let set = actions::participant::set_subscribed(app, &viewer, &name, user, subscribed);
            let thread = Thread::new(set.await?);
            Ok(SetThreadSubscriptionPayload { thread })
        };
        Some(done.await)
    }

    /// Puts threads into a state of the viewer's own inbox: all of them, or none if one is
    /// NOT_FOUND. FORBIDDEN to API keys, which have no inbox.
    async fn update_thread_inbox_state(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The threads, and where to put them.")] input: UpdateThreadInboxStateInput,
    ) -> Option<Result<UpdateThreadInboxStatePayload>> {
        let names: Vec<_> = input.thread_ids.iter().map(|id| Ref::parse(id)).collect();
        let done = async {
            let (app, viewer) = (ctx.app(), ctx.viewer()?);
            let state = input.state.into();
            let threads = actions::inbox_state::set(app, &viewer, &names, state).await?;
            Ok(UpdateThreadInboxStatePayload {
                threads: threads.into_iter().map(Thread::new).collect(),
            })
        };
        Some(done.await)
    }
}

async fn mark(
    ctx: &Context<'_>,
    mark: Mark,
    thread: ID,
    message: Option<ID>,
    user: Option<ID>,
) -> Result<Thread> {
    let message = message.map(|id| Ref::parse(&id));
    let user = user.map(|id| Ref::parse(&id));
    let (app, viewer) = (ctx.app(), ctx.viewer()?);
    let up_to = (message.as_ref(), user.as_ref());
    actions::seen::mark(app, &viewer, mark, &Ref::parse(&thread), up_to)
        .await
        .map(Thread::new)
}
