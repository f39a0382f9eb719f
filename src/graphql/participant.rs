//! Who takes part in a thread, and what they have seen.

use async_graphql::{Context, Description, Object};

use crate::db::access::ThreadAccess;
use crate::db::enums::Mark;
use crate::db::page::{Key, List, Slice};
use crate::db::participant::Participant;
use crate::db::user as db_user;
use crate::db::watermark::Watermark;
use crate::error::Result;
use crate::graphql::connection::{PageInfo, total};
use crate::graphql::context::Ask;
use crate::graphql::message::Message;
use crate::graphql::scalars::DateTime;
use crate::graphql::thread_loaders::{In, MarksOf, ParticipantCountIn};
use crate::graphql::user::User;

/// A row of the list.
type Listed = (Participant, db_user::User);

/// A page of participants.
#[derive(Description)]
pub struct ParticipantConnection {
    access: ThreadAccess,
    slice: Slice<Listed>,
}

#[Object(use_type_description)]
impl ParticipantConnection {
    /// The participants with their cursors and what they have seen.
    async fn edges(&self) -> Vec<ParticipantEdge> {
        let edge = |listed: &Listed| ParticipantEdge {
            access: self.access.clone(),
            listed: listed.clone(),
        };
        self.slice.rows.iter().map(edge).collect()
    }

    /// The participants.
    async fn nodes(&self) -> Vec<User> {
        let node = |(_, user): &Listed| User::new(user.clone());
        self.slice.rows.iter().map(node).collect()
    }

    /// Where this page stands in the list.
    async fn page_info(&self) -> PageInfo {
        PageInfo::of(&self.slice, |(part, _)| {
            part.key().encode(List::Participants)
        })
    }

    /// How many there are in all.
    async fn total_count(&self, ctx: &Context<'_>) -> Result<i32> {
        let key = ParticipantCountIn(self.access.thread().id);
        let count = ctx.batch()?.load_one(key).await?;
        Ok(total(count.unwrap_or(0)))
    }
}

impl ParticipantConnection {
    /// Of a thread that the viewer sees.
    pub fn new(access: ThreadAccess, slice: Slice<Listed>) -> Self {
        Self { access, slice }
    }
}

/// A participant in a list.
#[derive(Description)]
pub struct ParticipantEdge {
    access: ThreadAccess,
    listed: Listed,
}

impl ParticipantEdge {
    async fn marks(&self, ctx: &Context<'_>) -> Result<Vec<Watermark>> {
        let part = &self.listed.0;
        let key = MarksOf(part.thread_id, part.user_id);
        Ok(ctx.batch()?.load_one(key).await?.unwrap_or_default())
    }

    /// The newest message up to a place, of those that the viewer may see.
    async fn message(&self, ctx: &Context<'_>, place: Key<i64>) -> Result<Option<Message>> {
        let found = ctx
            .batch()?
            .load_one(In(self.access.clone(), place))
            .await?;
        found
            .map(|message| self.access.message(message).map(Message::new))
            .transpose()
    }
}

#[Object(use_type_description)]
impl ParticipantEdge {
    /// The participant's place in the list.
    async fn cursor(&self) -> String {
        self.listed.0.key().encode(List::Participants)
    }

    /// The participant.
    async fn node(&self) -> User {
        User::new(self.listed.1.clone())
    }

    /// Whether the participant is to be notified of what is new.
    async fn subscribed(&self) -> bool {
        self.listed.0.subscribed
    }

    /// Since when.
    async fn joined_at(&self) -> DateTime {
        DateTime(self.listed.0.joined_at)
    }

    /// When the participant last marked something as seen that the viewer may see.
    async fn last_seen_at(&self, ctx: &Context<'_>) -> Result<Option<DateTime>> {
        let marks = self.marks(ctx).await?;
        let seen = marks.iter().find(|mark| mark.kind == Mark::Seen);
        Ok(seen
            .and_then(|mark| mark.moved_for(&self.access))
            .map(DateTime))
    }

    /// The newest message that the participant has seen, of those that the viewer may see.
    async fn last_seen_message(&self, ctx: &Context<'_>) -> Result<Option<Message>> {
        let marks = self.marks(ctx).await?;
        match marks.iter().find(|mark| mark.kind == Mark::Seen) {
            Some(mark) => self.message(ctx, mark.place()).await,
            None => Ok(None),
        }
    }

    /// The newest message that has come to a device of the participant, of those that the viewer
    /// may see. What was seen has come.
    async fn delivered_message(&self, ctx: &Context<'_>) -> Result<Option<Message>> {
        let marks = self.marks(ctx).await?;
        let places = marks.iter().map(Watermark::place);
        match places.max_by_key(|place| (place.at, place.tie)) {
            Some(place) => self.message(ctx, place).await,
            None => Ok(None),
        }
    }
}
