//! Changing threads and who takes part in them.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};

use crate::actions;
use crate::error::Result;
use crate::graphql::context::Ask;
use crate::graphql::message::Message;
use crate::graphql::thread::Thread;
use crate::graphql::thread_inputs::{CreateThreadInput, UpdateThreadInput};
use crate::ids::Ref;

/// The outcome of `createThread`.
#[derive(SimpleObject)]
struct CreateThreadPayload {
    /// The thread.
    thread: Thread,
    /// Its first message, if one was given.
    message: Option<Message>,
}

/// The outcome of `updateThread`.
#[derive(SimpleObject)]
struct UpdateThreadPayload {
    /// The thread.
    thread: Thread,
}

/// Whom to add.
#[derive(InputObject)]
struct AddParticipantsInput {
    /// The thread's id or externalId.
    thread_id: ID,
    /// Members of the organization, by id or externalId: at most 100.
    user_ids: Vec<ID>,
}

/// The outcome of `addParticipants`.
#[derive(SimpleObject)]
struct AddParticipantsPayload {
    /// The thread.
    thread: Thread,
}

/// Whom to remove.
#[derive(InputObject)]
struct RemoveParticipantInput {
    /// The thread's id or externalId.
    thread_id: ID,
    /// The participant, by id or externalId.
    user_id: ID,
}

/// The outcome of `removeParticipant`.
#[derive(SimpleObject)]
struct RemoveParticipantPayload {
    /// The thread as it was seen when the participant went.
    thread: Thread,
}

/// What to leave.
#[derive(InputObject)]
struct LeaveThreadInput {
    /// The thread's id or externalId.
    thread_id: ID,
}

/// The outcome of `leaveThread`.
#[derive(SimpleObject)]
struct LeaveThreadPayload {
    /// The thread that was left.
    thread_id: ID,
}

/// What to delete.
#[derive(InputObject)]
struct DeleteThreadInput {
    /// The thread's id or externalId.
    thread_id: ID,
}

/// The outcome of `deleteThread`.
#[derive(SimpleObject)]
struct DeleteThreadPayload {
    /// The id that it had.
    deleted_thread_id: ID,
}

/// Changing threads.
#[derive(Default)]
pub struct ThreadMutation;

#[Object]
impl ThreadMutation {
    /// Opens a thread, with its first message if there is one. Any member of the organization,
    /// and API keys. The same externalId again answers the same thread.
    async fn create_thread(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The thread to open.")] input: CreateThreadInput,
    ) -> Option<Result<CreateThreadPayload>> {
        let done = async {
            let viewer = ctx.viewer()?;
            let (thread, message) =
                actions::thread::create(ctx.app(), &viewer, input.into()).await?;
            Ok(CreateThreadPayload {
                thread: Thread::new(thread),
                message: message.map(Message::new),
            })
        };
        Some(done.await)
    }

    /// Changes a thread: its creator, agents and admins who see it, API keys. Resolving and
    /// reopening: anyone who sees it.
    async fn update_thread(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The thread, and what to change of it.")] input: UpdateThreadInput,
    ) -> Option<Result<UpdateThreadPayload>> {
        let name = Ref::parse(&input.thread_id);
        let done = async {
            let viewer = ctx.viewer()?;
            let thread =
                actions::thread_update::update(ctx.app(), &viewer, &name, input.into()).await?;
            Ok(UpdateThreadPayload {
                thread: Thread::new(thread),
            })
        };
        Some(done.await)
    }

    /// Deletes a thread for good, with all that is in it. Admins who see it, API keys.
    async fn delete_thread(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The thread to delete.")] input: DeleteThreadInput,
    ) -> Option<Result<DeleteThreadPayload>> {
        let name = Ref::parse(&input.thread_id);
        let done = async {
            let viewer = ctx.viewer()?;
            let id = actions::thread::delete(ctx.app(), &viewer, &name).await?;
            Ok(DeleteThreadPayload {
                deleted_thread_id: id.to_string().into(),
            })
        };
        Some(done.await)
    }

    /// Adds members of the organization to a thread; who takes part already stays. Anyone who
    /// sees the thread.
    async fn add_participants(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The thread, and whom to add.")] input: AddParticipantsInput,
    ) -> Option<Result<AddParticipantsPayload>> {
        let name = Ref::parse(&input.thread_id);
        let users: Vec<_> = input.user_ids.iter().map(|id| Ref::parse(id)).collect();
        let done = async {
            let viewer = ctx.viewer()?;
            let thread = actions::participant::add(ctx.app(), &viewer, &name, &users).await?;
            Ok(AddParticipantsPayload {
                thread: Thread::new(thread),
            })
        };
        Some(done.await)
    }

    /// Removes a participant: its creator, agents and admins who see the thread, API keys.
    async fn remove_participant(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The thread, and whom to remove.")] input: RemoveParticipantInput,
    ) -> Option<Result<RemoveParticipantPayload>> {
        let (name, user) = (Ref::parse(&input.thread_id), Ref::parse(&input.user_id));
        let done = async {
            let viewer = ctx.viewer()?;
            let thread = actions::participant::remove(ctx.app(), &viewer, &name, &user).await?;
            Ok(RemoveParticipantPayload {
                thread: Thread::new(thread),
            })
        };
        Some(done.await)
    }

    /// Leaves a thread. FORBIDDEN to its creator.
    async fn leave_thread(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The thread to leave.")] input: LeaveThreadInput,
    ) -> Option<Result<LeaveThreadPayload>> {
        let name = Ref::parse(&input.thread_id);
        let done = async {
            let viewer = ctx.viewer()?;
            let left = actions::participant::leave(ctx.app(), &viewer, &name).await?;
            Ok(LeaveThreadPayload {
                thread_id: left.to_string().into(),
            })
        };
        Some(done.await)
    }
}
