//! A fact that happened to a thread, as the log keeps it and the bus carries it.
//!
//! Never decides who receives it: it names its audience, `live` and `db/access` apply it.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::db::enums::{Access, EventKind};
use crate::db::lookups::Lookups;
use crate::db::message::Message;
use crate::ids::{MessageId, OrganizationId, ThreadId, UserId};

/// One entry of a thread's log.
#[derive(Debug, Clone)]
pub struct Event {
    /// The organization that the thread belonged to then.
    pub organization_id: OrganizationId,
    /// The thread.
    pub thread_id: ThreadId,
    /// Its place in the thread's log: 1, 2, 3 ... without gaps, in commit order.
    pub seq: i64,
    /// What happened.
    pub fact: Fact,
    /// Who did it; nobody: an API key or the server.
    pub actor_id: Option<UserId>,
    /// When.
    pub occurred_at: DateTime<Utc>,
    /// Who may know.
    pub audience: Audience,
    /// Who saw the thread before, if this may have changed who does.
    pub former: Option<Former>,
    /// What was looked up to tell of it.
    pub lookups: Lookups,
}

/// Who saw a thread before a change, its participants aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Former {
    /// The organization that it belonged to.
    pub organization_id: OrganizationId,
    /// Whom it was open to there.
    pub access: Access,
}

/// Who may know of a fact, among those who see the thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// All of them.
    Everyone,
    /// Agents, admins and API keys.
    Staff,
}

/// What happened, with the row that the write had in hand, so that telling it asks for nothing.
#[derive(Debug, Clone)]
pub enum Fact {
    /// A message was sent.
    MessageCreated(Arc<Message>),
    /// A message was edited, reacted to, deleted or restored, or its files are others.
    MessageUpdated(Arc<Message>),
    /// Text was appended to a message.
    MessageAppended(Arc<Message>, Appended),
    /// A message was deleted for good.
    MessageRemoved(MessageId),
    /// The thread came to be.
    ThreadCreated,
    /// Something about the thread itself changed.
    ThreadUpdated,
    /// The thread was deleted for good, with all that was in it.
    ThreadDeleted,
    /// Somebody joined.
    ParticipantAdded(UserId),
    /// Somebody left or was removed.
    ParticipantRemoved(UserId),
}

/// A text that was appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The text.
    pub text: Arc<str>,
    /// Behind how many characters of the message's text.
    pub offset: i32,
}

impl Fact {
    /// The kind that the log stores.
    pub fn kind(&self) -> EventKind {
        match self {
            Self::MessageCreated(_) => EventKind::MessageCreated,
            Self::MessageUpdated(_) => EventKind::MessageUpdated,
            Self::MessageAppended(..) => EventKind::MessageAppended,
            Self::MessageRemoved(_) => EventKind::MessageRemoved,
            Self::ThreadCreated => EventKind::ThreadCreated,
            Self::ThreadUpdated => EventKind::ThreadUpdated,
            Self::ThreadDeleted => EventKind::ThreadDeleted,
            Self::ParticipantAdded(_) => EventKind::ParticipantAdded,
            Self::ParticipantRemoved(_) => EventKind::ParticipantRemoved,
        }
    }

    /// The message that it is about.
    pub fn message_id(&self) -> Option<MessageId> {
        match self {
            Self::MessageCreated(message)
            | Self::MessageUpdated(message)
            | Self::MessageAppended(message, _) => Some(message.id),
            Self::MessageRemoved(id) => Some(*id),
            _ => None,
        }
    }

    /// What it appended.
    pub fn appended(&self) -> Option<&Appended> {
        match self {
            Self::MessageAppended(_, appended) => Some(appended),
            _ => None,
        }
    }

    /// The user that it is about.
    pub fn user_id(&self) -> Option<UserId> {
        match self {
            Self::ParticipantAdded(id) | Self::ParticipantRemoved(id) => Some(*id),
            _ => None,
        }
    }
}
