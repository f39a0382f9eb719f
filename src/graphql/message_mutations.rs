//! Changing messages.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};

use crate::actions;
use crate::error::Result;
use crate::graphql::context::Ask;
use crate::graphql::message::Message;
use crate::graphql::message_inputs::{CreateMessageInput, UpdateMessageInput};
use crate::ids::Ref;

/// The outcome of `createMessage`.
#[derive(SimpleObject)]
struct CreateMessagePayload {
    /// The message.
    message: Message,
}

/// The outcome of `updateMessage`.
#[derive(SimpleObject)]
struct UpdateMessagePayload {
    /// The message.
    message: Message,
}

/// What to send.
#[derive(InputObject)]
struct SendMessageInput {
    /// The draft's id or externalId.
    message_id: ID,
}

/// The outcome of `sendMessage`.
#[derive(SimpleObject)]
struct SendMessagePayload {
    /// The message.
    message: Message,
}

/// What to delete.
#[derive(InputObject)]
struct DeleteMessageInput {
    /// The message's id or externalId.
    message_id: ID,
    /// For good, without a tombstone. Admins and API keys; drafts always go for good.
    #[graphql(default_with = "Some(false)")]
    permanently: Option<bool>,
}

/// The outcome of `deleteMessage`.
#[derive(SimpleObject)]
struct DeleteMessagePayload {
    /// The tombstone; null if none is left.
    message: Option<Message>,
    /// The message's id.
    deleted_message_id: ID,
}

/// What to restore.
#[derive(InputObject)]
struct RestoreMessageInput {
    /// The message's id or externalId.
    message_id: ID,
}

/// The outcome of `restoreMessage`.
#[derive(SimpleObject)]
struct RestoreMessagePayload {
    /// The message.
    message: Message,
}

/// Changing messages.
#[derive(Default)]
pub struct MessageMutation;

#[Object]
impl MessageMutation {
    /// Writes a message: anyone who sees the thread, and so takes part in it from then on. Once
    /// it is answered, it is stored, and every subscriber gets it, in order. What goes out of an
    /// API inbox with a URL is SENDING until it was taken there; an import is not sent there.
    async fn create_message(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The message to write, and the thread that it goes to.")]
        input: CreateMessageInput,
    ) -> Option<Result<CreateMessagePayload>> {
        let done = async {
            let viewer = ctx.viewer()?;
            let (destination, new) = input.into();
            let message = actions::message::create(ctx.app(), &viewer, destination, new).await?;
            Ok(CreateMessagePayload {
                message: Message::new(message),
            })
        };
        Some(done.await)
    }

    /// Changes a message. Its words and facts: its sender, API keys. Reactions: anyone who sees
    /// it. All of it is done, or nothing.
    async fn update_message(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The message, and what to change of it.")] input: UpdateMessageInput,
    ) -> Option<Result<UpdateMessagePayload>> {
        let name = Ref::parse(&input.message_id);
        let done = async {
            let (app, viewer) = (ctx.app(), ctx.viewer()?);
            let message =
                actions::message_update::update(app, &viewer, &name, input.into()).await?;
            Ok(UpdateMessagePayload {
                message: Message::new(message),
            })
        };
        Some(done.await)
    }

    /// Sends a draft: its sender, API keys. CONFLICT if it has been sent already. What goes out of
    /// an API inbox with a URL is SENDING until it was taken there.
    async fn send_message(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The draft to send.")] input: SendMessageInput,
    ) -> Option<Result<SendMessagePayload>> {
        let name = Ref::parse(&input.message_id);
        let done = async {
            let viewer = ctx.viewer()?;
            let message = actions::message::send(ctx.app(), &viewer, &name).await?;
            Ok(SendMessagePayload {
                message: Message::new(message),
            })
        };
        Some(done.await)
    }

    /// Deletes a message: its sender, agents and admins who see it, API keys. Leaves a tombstone
    /// that can be restored.
    async fn delete_message(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The message to delete.")] input: DeleteMessageInput,
    ) -> Option<Result<DeleteMessagePayload>> {
        let name = Ref::parse(&input.message_id);
        let done = async {
            let (app, viewer) = (ctx.app(), ctx.viewer()?);
            let permanently = input.permanently.unwrap_or(false);
            let (id, left) = actions::message::delete(app, &viewer, &name, permanently).await?;
            Ok(DeleteMessagePayload {
                message: left.map(Message::new),
                deleted_message_id: id.to_string().into(),
            })
        };
        Some(done.await)
    }

    /// Brings a deleted message back: whoever may delete it.
    async fn restore_message(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The message to restore.")] input: RestoreMessageInput,
    ) -> Option<Result<RestoreMessagePayload>> {
        let name = Ref::parse(&input.message_id);
        let done = async {
            let viewer = ctx.viewer()?;
            let message = actions::message::restore(ctx.app(), &viewer, &name).await?;
            Ok(RestoreMessagePayload {
                message: Message::new(message),
            })
        };
        Some(done.await)
    }
}
