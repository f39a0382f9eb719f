//! What one viewer is told of what happened: all that is in threads that he sees and does not
//! hide, and that a thread is no longer his to see. Asks nobody.

use std::sync::Arc;

use crate::auth::Viewer;
use crate::db::access::ThreadAccess;
use crate::db::access::facts::Facts;
use crate::db::enums::Mark;
use crate::db::log::Among;
use crate::db::message::Message;
use crate::event::{Event, Fact};
use crate::ids::{ThreadId, UserId};
use crate::live::stretch::{Entry, Happening};

/// What to tell.
#[derive(Debug, Clone)]
pub enum What {
    /// An event of a thread's log.
    Event(Arc<Event>, ThreadAccess),
    /// Up to which message somebody has seen a thread, or it has reached a device of theirs.
    Moved(Mark, UserId, Option<Arc<Message>>, ThreadAccess),
    /// Who types in a thread now, and who of them began or ended if it was one alone.
    Typing(Vec<UserId>, Option<UserId>, ThreadAccess),
    /// Somebody came online, or went, who takes part in a thread that the viewer sees.
    Presence(UserId, bool),
    /// The thread is gone, or is no longer the viewer's to see.
    Lost(ThreadId),
    /// What was told so far is not all that the viewer must know; why.
    Resync(&'static str),
}

impl What {
    /// The proof that the viewer may know it, where it tells of a thread that he sees.
    pub fn access_mut(&mut self) -> Option<&mut ThreadAccess> {
        match self {
            Self::Event(_, access) | Self::Moved(.., access) | Self::Typing(.., access) => {
                Some(access)
            }
            Self::Presence(..) | Self::Lost(_) | Self::Resync(_) => None,
        }
    }

    /// Whether it is told to him as one of the staff; none: it is told to him alone.
    pub fn is_for_staff(&self) -> Option<bool> {
        match self {
            Self::Event(_, access) | Self::Moved(.., access) | Self::Typing(.., access) => {
                Some(access.is_staff())
            }
            // To whom it is told makes no difference to what it says.
            Self::Presence(..) => Some(false),
            Self::Lost(_) | Self::Resync(_) => None,
        }
    }
}

/// What a viewer is told of an entry, by what is known of its thread.
pub fn told(viewer: &Viewer, facts: &Facts, entry: &Entry) -> Option<What> {
    match &entry.what {
        Happening::Event(event) => {
            let thread = event.thread_id;
            if facts.is_hidden(viewer, thread) {
                return None;
            }
            if facts.loses(viewer, event) {
                return Some(What::Lost(thread));
            }
            if matches!(event.fact, Fact::ThreadDeleted) {
                return None;
            }
            let access = facts.access(viewer, thread)?;
            access
                .hears_of(event)
                .then(|| What::Event(Arc::clone(event), access))
        }
        Happening::Moved(moved) => {
            let thread = moved.thread_id;
            if facts.is_hidden(viewer, thread) {
                return None;
            }
            let access = facts.access(viewer, thread)?;
            let (may_know, up_to) = match moved.among {
                Among::Everyone => (true, access.is_staff()),
                Among::Staff => (access.is_staff(), true),
                Among::Others => (!access.is_staff(), false),
            };
            if !may_know {
                return None;
            }
            let up_to = if up_to {
                &moved.up_to.any
            } else {
                &moved.up_to.public
            };
            let up_to = up_to.clone().filter(|message| access.sees(message));
            Some(What::Moved(moved.mark, moved.user_id, up_to, access))
        }
    }
}
