//! Changing how far messages have come: what is appended, answered, delivered.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};

use crate::actions;
use crate::error::Result;
use crate::graphql::context::Ask;
use crate::graphql::enums::MessageStatus;
use crate::graphql::message::Message;
use crate::graphql::scalars::Json;
use crate::ids::Ref;

/// What to append.
#[derive(InputObject)]
struct AppendMessageInput {
    /// The message's id or externalId.
    message_id: ID,
    /// The text, not empty; the message has at most 150,000 characters then.
    text: String,
    /// How many characters (Unicode code points) you believe the message has; if it has another
    /// number, it is a CONFLICT and nothing is appended.
    offset: Option<i32>,
}

/// The outcome of `appendMessage`.
#[derive(SimpleObject)]
struct AppendMessagePayload {
    /// The message.
    message: Message,
}

/// What to answer.
#[derive(InputObject)]
struct SubmitMessageFormInput {
    /// The message's id or externalId.
    message_id: ID,
    /// `{name: value}` of a FORM's items; `{"value": ...}` of an input or a select.
    values: Json,
}

/// The outcome of `submitMessageForm`.
#[derive(SimpleObject)]
struct SubmitMessageFormPayload {
    /// The message.
    message: Message,
}

/// How far a message has come.
#[derive(InputObject)]
struct UpdateMessageStatusInput {
    /// The message's id or externalId.
    message_id: ID,
    /// How far. A lower one than it has changes nothing.
    status: MessageStatus,
    /// Why it is FAILED: at most 1,000 characters. Left aside with another status.
    error: Option<String>,
}

/// The outcome of `updateMessageStatus`.
#[derive(SimpleObject)]
struct UpdateMessageStatusPayload {
    /// The message.
    message: Message,
}

/// What to send once more.
#[derive(InputObject)]
struct RetryMessageInput {
    /// The message's id or externalId.
    message_id: ID,
}

/// The outcome of `retryMessage`.
#[derive(SimpleObject)]
struct RetryMessagePayload {
    /// The message.
    message: Message,
}

/// Changing how far messages have come.
#[derive(Default)]
pub struct MessageProgressMutation;

#[Object]
impl MessageProgressMutation {
    /// Appends to a message of raw text or of one markdown node: its sender, API keys. Of several
    /// at once none is lost. Subscribers get the text alone, with its place; updatedAt stays.
    async fn append_message(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The message, and what to append.")] input: AppendMessageInput,
    ) -> Option<Result<AppendMessagePayload>> {
        let name = Ref::parse(&input.message_id);
        let done = async {
            let (app, viewer) = (ctx.app(), ctx.viewer()?);
            let (text, offset) = (input.text, input.offset);
            let message = actions::append::append(app, &viewer, &name, &text, offset).await?;
            Ok(AppendMessagePayload {
                message: Message::new(message),
            })
        };
        Some(done.await)
    }

    /// Answers a FORM, an INPUT_SELECT or another input: a participant who did not send it. The
    /// answer is checked against what is asked for; again replaces it.
    async fn submit_message_form(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The message, and the answer to it.")] input: SubmitMessageFormInput,
    ) -> Option<Result<SubmitMessageFormPayload>> {
        let name = Ref::parse(&input.message_id);
        let done = async {
            let (app, viewer) = (ctx.app(), ctx.viewer()?);
            let message = actions::form::submit(app, &viewer, &name, input.values.0).await?;
            Ok(SubmitMessageFormPayload {
                message: Message::new(message),
            })
        };
        Some(done.await)
    }

    /// Reports how far a message of an API inbox has come: agents and admins who see it, API
    /// keys; elsewhere it is API_INBOX_REQUIRED. It moves up only. FAILED takes only what had
    /// not arrived, and is left by `retryMessage`, or when it turns out to have arrived.
    async fn update_message_status(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The message, and how far it has come.")] input: UpdateMessageStatusInput,
    ) -> Option<Result<UpdateMessageStatusPayload>> {
        let name = Ref::parse(&input.message_id);
        let done = async {
            let (app, viewer) = (ctx.app(), ctx.viewer()?);
            let (status, error) = (input.status.into(), input.error.as_deref());
            let message = actions::status::update(app, &viewer, &name, status, error).await?;
            Ok(UpdateMessageStatusPayload {
                message: Message::new(message),
            })
        };
        Some(done.await)
    }

    /// Sends a FAILED message of an API inbox on its way once more: SENDING, without an error. It
    /// goes to the inbox's URL, if there is one, under its former `webhook-id`, unless it was
    /// taken under that one; else it is for a backend to take. Any other message stays as it is.
    /// Agents and admins who see it, API keys.
    async fn retry_message(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The message to send once more.")] input: RetryMessageInput,
    ) -> Option<Result<RetryMessagePayload>> {
        let name = Ref::parse(&input.message_id);
        let done = async {
            let viewer = ctx.viewer()?;
            let message = actions::status::retry(ctx.app(), &viewer, &name).await?;
            Ok(RetryMessagePayload {
                message: Message::new(message),
            })
        };
        Some(done.await)
    }
}
