//! The one place that decides what a viewer may see. Its answers are proofs: values that only
//! this file can make, and that the query functions of the other files demand.
//!
//! Whatever a viewer may not see is answered as if it did not exist.

pub mod find;

pub mod attachments;

pub mod facts;

pub mod ways;

pub mod manage;

use std::sync::Arc;

use diesel::dsl::{AsExprOf, AsSelect, exists, not, sql};
use diesel::expression::SqlLiteral;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};

use crate::auth::{Viewer, Who, Witness};
use crate::db::access::find::Again;
use crate::db::enums::{Access, MessageStatus, Role};
use crate::db::message::Message;
use crate::db::organization::Organization;
use crate::db::schema::{messages, participants, threads};
use crate::db::thread::Thread;
use crate::db::watermark::OLDEST_RUNNING;
use crate::error::{Error, Result};
use crate::event::Audience;
use crate::ids::{OrganizationId, UserId};

/// Proof that a viewer sees an organization.
#[derive(Debug, Clone)]
pub struct OrganizationAccess {
    organization: Organization,
    who: Who,
    role: Option<Role>,
}

impl OrganizationAccess {
    /// The organization.
    pub fn organization(&self) -> &Organization {
        &self.organization
    }

    /// Whether the viewer may list its members.
    pub fn lists_members(&self) -> bool {
        self.who == Who::Key || self.role.is_some_and(|role| role != Role::Contact)
    }

    /// Whether the viewer decides who belongs to it.
    pub fn manages_members(&self) -> bool {
        self.who == Who::Key || self.role == Some(Role::Admin)
    }
}

/// Proof that a viewer sees a thread, and as what.
#[derive(Debug, Clone)]
pub struct ThreadAccess {
    thread: Arc<Thread>,
    eyes: Eyes,
    oldest_running: i64,
    /// Told when it is asked who the viewer is, beyond whether he is staff.
    witness: Option<Witness>,
}

/// As whom a viewer sees a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Eyes {
    who: Who,
    role: Option<Role>,
}

impl ThreadAccess {
    /// The thread as it was when access was proven.
    pub fn thread(&self) -> &Thread {
        &self.thread
    }

    /// The same proof with the thread as the viewer himself just changed it.
    pub fn with(&self, thread: Thread) -> Self {
        debug_assert_eq!(self.thread.id, thread.id);
        Self {
            thread: Arc::new(thread),
            ..self.clone()
        }
    }

    /// The proof for a backend that reaches the thread, made out of another viewer's.
    pub fn seen_by(&self, backend: &Viewer) -> Self {
        debug_assert!(backend.key_reaches(self.thread.organization_id));
        Self {
            eyes: Eyes {
                who: backend.who,
                role: None,
            },
            ..self.clone()
        }
    }

    /// A backend's proof, narrowed to what a person of that role reads of the thread.
    pub fn narrowed_to(&self, user: UserId, role: Option<Role>) -> Self {
        debug_assert!(self.by_key());
        Self {
            eyes: Eyes {
                who: Who::User(user),
                role,
            },
            ..self.clone()
        }
    }

    /// As whom the viewer sees it.
    pub fn eyes(&self) -> Eyes {
        self.eyes
    }

    /// The proof of another viewer of the same audience, who was proven to see the same thread.
    pub fn seen_as(&self, eyes: Eyes) -> Self {
        Self {
            eyes,
            witness: None,
            ..self.clone()
        }
    }

    /// The same proof; `witness` is told when it is asked who the viewer is.
    pub fn watched_by(&self, witness: &Witness) -> Self {
        Self {
            witness: Some(witness.clone()),
            ..self.clone()
        }
    }

    /// The same proof for the thread as it was read anew, and whether who sees it is decided as
    /// before.
    fn again(&self, (thread, oldest_running): (Thread, i64)) -> Again {
        let now = (thread.id, thread.organization_id, thread.access);
        let then = (
            self.thread.id,
            self.thread.organization_id,
            self.thread.access,
        );
        let access = Self {
            thread: Arc::new(thread),
            oldest_running,
            ..self.clone()
        };
        if now == then {
            Again::Same(access)
        } else {
            Again::Moved(access)
        }
    }

    fn who(&self) -> Who {
        if let Some(witness) = &self.witness {
            witness.note();
        }
        self.eyes.who
    }

    /// The oldest transaction that may still have been running when the thread was read: what is
    /// read later holds at least what older ones did.
    pub fn oldest_running(&self) -> i64 {
        self.oldest_running
    }

    /// The person who sees it; a backend is none.
    pub fn viewer_id(&self) -> Option<UserId> {
        match self.who() {
            Who::User(id) => Some(id),
            Who::Key => None,
        }
    }

    /// Whether an API key sees it.
    pub fn by_key(&self) -> bool {
        self.who() == Who::Key
    }

    /// Whether the viewer reads private notes: agents, admins and API keys.
    pub fn is_staff(&self) -> bool {
        self.eyes.is_staff()
    }

    /// Whether an event for this audience is for the viewer.
    pub fn hears(&self, audience: Audience) -> bool {
        audience == Audience::Everyone || self.is_staff()
    }

    /// Whether the viewer may change the thread and remove others from it: its creator, agents
    /// and admins, API keys.
    pub fn manages(&self) -> bool {
        self.is_staff()
            || (self.viewer_id().is_some() && self.viewer_id() == self.thread.creator_id)
    }

    /// Whether the viewer deletes for good: admins and API keys.
    pub fn erases(&self) -> bool {
        self.by_key() || self.eyes.role == Some(Role::Admin)
    }

    /// The condition on messages of this thread that the viewer finds in its lists: what was
    /// sent, private notes only for staff, and the viewer's own drafts.
    pub fn listed_messages(&self) -> listed {
        listed(self.is_staff(), self.viewer_id().unwrap_or(UserId::NOBODY))
    }

    /// Whether the viewer sees a message of this thread. An API key sees a draft that it names
    /// (a backend that writes for a person), though it finds none in lists.
    pub fn sees(&self, message: &Message) -> bool {
        let draft = message.status == MessageStatus::Draft;
        let own = || self.viewer_id().is_some() && message.sender_id == self.viewer_id();
        (!draft || own() || self.by_key()) && (!message.private || self.is_staff())
    }

    /// The message with its proof, if the viewer sees it.
    pub fn message(&self, message: impl Into<Arc<Message>>) -> Result<MessageAccess> {
        let message = message.into();
        if message.thread_id == self.thread.id && self.sees(&message) {
            Ok(MessageAccess {
                message,
                thread: self.clone(),
            })
        } else {
            Err(Error::NotFound("message"))
        }
    }
}

impl Eyes {
    /// Whether they read private notes.
    pub fn is_staff(self) -> bool {
        self.who == Who::Key || self.role.is_some_and(Role::is_staff)
    }
}

// The conditions have one shape for every viewer, and take who he is as parameters: so the
// database keeps one prepared statement for each query, not one for each viewer.

#[diesel::dsl::auto_type]
fn listed(staff: bool, drafts_of: UserId) -> _ {
    let staff: AsExprOf<bool, Bool> = staff.into_sql::<Bool>();
    let draft: MessageStatus = MessageStatus::Draft;
    messages::status
        .ne(draft)
        .or(messages::sender_id.eq(drafts_of).assume_not_null())
        .and(not(messages::private).or(staff))
}

/// Proof that a viewer sees a message.
#[derive(Debug, Clone)]
pub struct MessageAccess {
    message: Arc<Message>,
    thread: ThreadAccess,
}

impl MessageAccess {
    /// The message.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// The proof for its thread.
    pub fn thread(&self) -> &ThreadAccess {
        &self.thread
    }

    /// Both, taken apart.
    pub fn into_parts(self) -> (Message, ThreadAccess) {
        (Arc::unwrap_or_clone(self.message), self.thread)
    }

    /// Whether the viewer wrote it.
    pub fn is_own(&self) -> bool {
        self.thread.viewer_id().is_some() && self.message.sender_id == self.thread.viewer_id()
    }

    /// Whether the viewer may change its words: its sender, API keys.
    pub fn may_edit(&self) -> bool {
        self.is_own() || self.thread.by_key()
    }

    /// Whether the viewer may delete and restore it: its sender, agents and admins, API keys.
    pub fn may_delete(&self) -> bool {
        self.is_own() || self.thread.is_staff()
    }
}

/// The condition on threads that the viewer sees. It is the only one there is: single look-ups,
/// lists, counts and subscriptions all use it. Lists narrow it by `ways`, for the sake of speed.
pub fn visible_threads(viewer: &Viewer) -> seen_threads {
    let (everything, keyed) = match (viewer.is_key(), viewer.bound) {
        (true, Some(organization)) => (false, vec![organization]),
        (key, _) => (key, Vec::new()),
    };
    seen_threads(
        everything,
        keyed,
        viewer.user_id().unwrap_or(UserId::NOBODY),
        viewer.organizations(|_| true),
        viewer.organizations(Role::is_staff),
        viewer.organizations(|role| role != Role::Contact),
    )
}

/// The condition on messages, anywhere, that the viewer finds in lists over several threads.
pub fn visible_messages(viewer: &Viewer) -> seen_messages {
    seen_messages(visible_threads(viewer), readable_messages(viewer))
}

/// The condition on messages that the viewer may read if he sees their thread, drafts aside.
pub fn readable_messages(viewer: &Viewer) -> read_messages {
    read_messages(viewer.is_key(), viewer.organizations(Role::is_staff))
}

/// The organizations beyond which the viewer finds nothing; none: there is no such bound. It only
/// says again what `visible_threads` decides, for a query to begin where there is little to read.
pub fn bounds(viewer: &Viewer) -> Option<Vec<OrganizationId>> {
    match viewer.user_id() {
        Some(_) => Some(viewer.organizations(|_| true)),
        None => viewer.bound.map(|bound| vec![bound]),
    }
}

/// The person who sees nothing but the threads that he takes part in, if the viewer is one.
pub fn only_in_own(viewer: &Viewer) -> Option<UserId> {
    let insider = !viewer
        .organizations(|role| role != Role::Contact)
        .is_empty();
    viewer.user_id().filter(|_| !insider)
}

#[diesel::dsl::auto_type]
fn seen_threads(
    everything: bool,
    keyed: Vec<OrganizationId>,
    user: UserId,
    member_of: Vec<OrganizationId>,
    staff_of: Vec<OrganizationId>,
    insider_of: Vec<OrganizationId>,
) -> _ {
    let everything: AsExprOf<bool, Bool> = everything.into_sql::<Bool>();
    let takes_part = exists(
        participants::table
            .filter(participants::thread_id.eq(threads::id))
            .filter(participants::user_id.eq(user)),
    );
    let agents: Access = Access::Agents;
    let organization: Access = Access::Organization;
    let as_staff = threads::access
        .eq(agents)
        .and(threads::organization_id.eq_any(staff_of));
    let as_insider = threads::access
        .eq(organization)
        .and(threads::organization_id.eq_any(insider_of));
    everything
        .or(threads::organization_id.eq_any(keyed))
        .or(threads::organization_id
            .eq_any(member_of)
            .and(as_staff.or(as_insider).or(takes_part)))
}

#[diesel::dsl::auto_type]
fn seen_messages(threads: seen_threads, readable: read_messages) -> _ {
    messages::thread_id
        .eq_any(threads::table.filter(threads).select(threads::id))
        .and(readable)
}

#[diesel::dsl::auto_type]
fn read_messages(key: bool, staff_of: Vec<OrganizationId>) -> _ {
    let key: AsExprOf<bool, Bool> = key.into_sql::<Bool>();
    let readable = not(messages::private)
        .or(messages::organization_id.eq_any(staff_of))
        .or(key);
    let draft: MessageStatus = MessageStatus::Draft;
    messages::status.ne(draft).and(readable)
}

/// The condition, as SQL, that the viewer reads private notes in the organization of a column.
pub(in crate::db) fn staff_of(viewer: &Viewer, column: &str) -> String {
    if viewer.is_key() {
        return "true".to_owned();
    }
    // Ids print as bare hexadecimal UUIDs: nothing in this text comes from a client.
    let ids = viewer.organizations(Role::is_staff).into_iter();
    let ids: Vec<String> = ids.map(|id| format!("'{}'::uuid", id.uuid())).collect();
    if ids.is_empty() {
        return "false".to_owned();
    }
    format!("{column} IN ({})", ids.join(", "))
}

/// Proofs for those of the organizations that the viewer sees.
pub fn organization_access(
    viewer: &Viewer,
    organization: Organization,
) -> Option<OrganizationAccess> {
    let role = viewer.role_in(organization.id);
    let sees = viewer.key_reaches(organization.id) || role.is_some();
    sees.then_some(OrganizationAccess {
        organization,
        who: viewer.who,
        role,
    })
}

/// What is read of a thread to make its proof.
#[diesel::dsl::auto_type(no_type_alias)]
pub(in crate::db) fn thread_columns() -> _ {
    let columns: AsSelect<Thread, Pg> = Thread::as_select();
    let running: SqlLiteral<BigInt> = sql::<BigInt>(OLDEST_RUNNING);
    (columns, running)
}

/// The proof for a row that was read under `visible_threads`.
pub(in crate::db) fn thread_access(
    viewer: &Viewer,
    (thread, oldest_running): (Thread, i64),
) -> ThreadAccess {
    ThreadAccess {
        eyes: Eyes {
            who: viewer.who,
            role: viewer.role_in(thread.organization_id),
        },
        thread: Arc::new(thread),
        oldest_running,
        witness: None,
    }
}

/// The proof for a thread that the viewer has just made.
pub(in crate::db) fn created_thread(
    viewer: &Viewer,
    organization: &OrganizationAccess,
    row: (Thread, i64),
) -> ThreadAccess {
    debug_assert_eq!(organization.organization.id, row.0.organization_id);
    thread_access(viewer, row)
}
