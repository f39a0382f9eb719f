//! Who takes part in a thread, and what they have seen.

use async_graphql::{Context, Description, Object};

use crate::db::access::ThreadAccess;
use crate::db::page::Slice;
use crate::db::participant::{self as db, Listed};
use crate::db::watermark::Watermark;
use crate::error::Result;
use crate::graphql::connection::{PageInfo, total};
use crate::graphql::context::Ask;
use crate::graphql::loaders::SeenAt;
use crate::graphql::message::Message;
use crate::graphql::scalars::DateTime;
use crate::graphql::user::User;

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
        let node = |(_, user, _): &Listed| User::new(user.clone());
        self.slice.rows.iter().map(node).collect()
    }

    /// Where this page stands in the list.
    async fn page_info(&self) -> PageInfo {
        PageInfo::of(&self.slice, |(part, _, _)| part.key().encode())
    }

    /// How many there are in all.
    async fn total_count(&self, ctx: &Context<'_>) -> Result<i32> {
        let conn = &mut ctx.app().conn().await?;
        db::count(conn, &self.access).await.map(total)
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
    fn watermark(&self) -> Option<&Watermark> {
        self.listed.2.as_ref()
    }
}

#[Object(use_type_description)]
impl ParticipantEdge {
    /// The participant's place in the list.
    async fn cursor(&self) -> String {
        self.listed.0.key().encode()
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
    async fn last_seen_at(&self) -> Option<DateTime> {
        let at = self.watermark()?.moved_for(&self.access)?;
        Some(DateTime(at))
    }

    /// The newest message that the participant has seen, of those that the viewer may see.
    async fn last_seen_message(&self, ctx: &Context<'_>) -> Result<Option<Message>> {
        let Some(mark) = self.watermark() else {
            return Ok(None);
        };
        let key = SeenAt(self.access.clone(), mark.place());
        let found = ctx.batch()?.load_one(key).await?;
        found
            .map(|message| self.access.message(message).map(Message::new))
            .transpose()
    }
}
