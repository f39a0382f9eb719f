//! Typing and presence: what is true for a moment.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};

use crate::actions;
use crate::error::Result;
use crate::graphql::context::Ask;
use crate::graphql::user::User;
use crate::ids::Ref;

/// Whether the viewer types.
#[derive(InputObject)]
struct SetTypingInput {
    /// The thread's id or externalId.
    thread_id: ID,
    /// Whether the viewer types. True holds for 5 seconds: say it again while it goes on.
    typing: bool,
    /// A private note: only agents, admins and API keys are told, and only they may.
    #[graphql(default_with = "Some(false)")]
    private: Option<bool>,
}

/// The outcome of `setTyping`.
#[derive(SimpleObject)]
struct SetTypingPayload {
    /// The thread's id.
    thread_id: ID,
}

/// Whether the viewer is online.
#[derive(InputObject)]
struct SetPresenceInput {
    /// Whether the viewer is online. True holds for 30 seconds: say it again while it goes on.
    online: bool,
}

/// The outcome of `setPresence`.
#[derive(SimpleObject)]
struct SetPresencePayload {
    /// The viewer.
    user: User,
}

/// Saying what is true for a moment.
#[derive(Default)]
pub struct EphemeralMutation;

#[Object]
impl EphemeralMutation {
    /// Says that the viewer types in a thread, or types no more; a message that he sends ends it,
    /// too. Whoever sees the thread; FORBIDDEN to API keys. Nothing of it is stored.
    async fn set_typing(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The thread, and whether the viewer types in it.")] input: SetTypingInput,
    ) -> Option<Result<SetTypingPayload>> {
        let name = Ref::parse(&input.thread_id);
        let private = input.private.unwrap_or(false);
        let done = async {
            let viewer = ctx.viewer()?;
            let set = actions::typing::set(ctx.app(), &viewer, &name, input.typing, private);
            let thread_id = set.await?.to_string().into();
            Ok(SetTypingPayload { thread_id })
        };
        Some(done.await)
    }

    /// Says that the viewer is online, or is not any more. Those who follow a thread in which he
    /// takes part are told. FORBIDDEN to API keys. Nothing of it is stored.
    async fn set_presence(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whether the viewer is online.")] input: SetPresenceInput,
    ) -> Option<Result<SetPresencePayload>> {
        let done = async {
            let viewer = ctx.viewer()?;
            let user = actions::presence::set(ctx.app(), &viewer, input.online).await?;
            Ok(SetPresencePayload {
                user: User::new(user),
            })
        };
        Some(done.await)
    }
}
