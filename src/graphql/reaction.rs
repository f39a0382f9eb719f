//! Reactions to messages.

use async_graphql::{Context, Description, ID, InputObject, Object, SimpleObject};

use crate::actions;
use crate::db::page::DEFAULT_PAGE;
use crate::db::reaction as db;
use crate::error::{Error, Result};
use crate::graphql::context::Ask;
use crate::graphql::message::Message;
use crate::graphql::scalars::DateTime;
use crate::graphql::user::{self, User};
use crate::ids::Ref;

/// Somebody's reaction to a message.
#[derive(Description)]
pub struct Reaction(db::Reaction);

impl Reaction {
    /// Of a row to whose message the viewer has access.
    pub fn new(row: db::Reaction) -> Self {
        Self(row)
    }
}

#[Object(use_type_description)]
impl Reaction {
    /// What it is: 1 to 127 characters.
    async fn emoji(&self) -> &str {
        &self.0.emoji
    }

    /// Whose it is.
    async fn user(&self, ctx: &Context<'_>) -> Result<User> {
        user::load(ctx, self.0.user_id)
            .await?
            .ok_or(Error::NotFound("user"))
    }

    /// Since when.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }
}

/// The reactions to a message with one emoji.
#[derive(Description)]
pub struct ReactionGroup(Vec<db::Reaction>);

impl ReactionGroup {
    /// A message's reactions, the oldest first, by emoji.
    pub fn group(reactions: Vec<db::Reaction>) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        for reaction in reactions {
            match groups
                .iter_mut()
                .find(|group| group.0[0].emoji == reaction.emoji)
            {
                Some(group) => group.0.push(reaction),
                None => groups.push(Self(vec![reaction])),
            }
        }
        groups
    }
}

#[Object(use_type_description)]
impl ReactionGroup {
    /// The emoji.
    async fn emoji(&self) -> &str {
        &self.0[0].emoji
    }

    /// How many have reacted with it.
    async fn count(&self) -> i32 {
        i32::try_from(self.0.len()).unwrap_or(i32::MAX)
    }

    /// Whether the viewer is one of them.
    async fn viewer_has_reacted(&self, ctx: &Context<'_>) -> Result<bool> {
        let viewer = ctx.viewer()?.user_id();
        Ok(self
            .0
            .iter()
            .any(|reaction| Some(reaction.user_id) == viewer))
    }

    /// Who they are, the first one first.
    async fn users(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "At most this many: 1 to 100, or what the server is set to; 20 if absent."
        )]
        first: Option<i32>,
    ) -> Result<Vec<User>> {
        let longest = i32::from(ctx.app().settings.max_page_size);
        let most = first.unwrap_or(longest.min(DEFAULT_PAGE));
        if !(1..=longest).contains(&most) {
            let why = format!("must be between 1 and {longest}");
            return Err(Error::field("first", why));
        }
        let most = usize::try_from(most).unwrap_or(1);
        let ids: Vec<_> = self
            .0
            .iter()
            .take(most)
            .map(|reaction| reaction.user_id)
            .collect();
        let mut users = ctx.batch()?.load_many(ids.iter().copied()).await?;
        Ok(ids
            .iter()
            .filter_map(|id| users.remove(id))
            .map(User::new)
            .collect())
    }
}

/// A reaction to add.
#[derive(InputObject)]
struct AddReactionInput {
    /// The message's id or externalId.
    message_id: ID,
    /// What it is: 1 to 127 characters.
    emoji: String,
}

/// The outcome of `addReaction`.
#[derive(SimpleObject)]
struct AddReactionPayload {
    /// The message.
    message: Message,
}

/// A reaction to take away.
#[derive(InputObject)]
struct RemoveReactionInput {
    /// The message's id or externalId.
    message_id: ID,
    /// What it is.
    emoji: String,
}

/// The outcome of `removeReaction`.
#[derive(SimpleObject)]
struct RemoveReactionPayload {
    /// The message.
    message: Message,
}

/// Changing reactions.
#[derive(Default)]
pub struct ReactionMutation;

#[Object]
impl ReactionMutation {
    /// Adds a reaction of the viewer; again changes nothing. Anyone who sees the message; API
    /// keys react in somebody's name by `updateMessage`.
    async fn add_reaction(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The message, and the reaction to add.")] input: AddReactionInput,
    ) -> Option<Result<AddReactionPayload>> {
        let name = Ref::parse(&input.message_id);
        let done = async {
            let viewer = ctx.viewer()?;
            let message = actions::reaction::add(ctx.app(), &viewer, &name, &input.emoji).await?;
            Ok(AddReactionPayload {
                message: Message::new(message),
            })
        };
        Some(done.await)
    }

    /// Takes a reaction of the viewer away; no error if there is none.
    async fn remove_reaction(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The message, and the reaction to take away.")] input: RemoveReactionInput,
    ) -> Option<Result<RemoveReactionPayload>> {
        let name = Ref::parse(&input.message_id);
        let done = async {
            let viewer = ctx.viewer()?;
            let message =
                actions::reaction::remove(ctx.app(), &viewer, &name, &input.emoji).await?;
            Ok(RemoveReactionPayload {
                message: Message::new(message),
            })
        };
        Some(done.await)
    }
}
