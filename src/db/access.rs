//! The one place that decides what a viewer may see. Its answers are proofs: values that only
//! this file can make, and that the query functions of the other files demand.
//!
//! Whatever a viewer may not see is answered as if it did not exist.

use std::collections::HashMap;
use std::sync::Arc;

use diesel::dsl::{AsExprOf, AsSelect, exists, not, sql};
use diesel::expression::SqlLiteral;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use diesel_async::RunQueryDsl;

use crate::auth::{Viewer, Who};
use crate::db::enums::{Access, MessageStatus, Role};
use crate::db::message::Message;
use crate::db::organization::{self, Organization};
use crate::db::pool::Conn;
use crate::db::schema::{memberships, messages, participants, threads, users};
use crate::db::thread::Thread;
use crate::db::user::{self, User};
use crate::db::watermark::OLDEST_RUNNING;
use crate::error::{Error, Result};
use crate::event::Audience;
use crate::ids::{MessageId, OrganizationId, Ref, ThreadId, UserId};

/// How many objects of different organizations may share an externalId before a search for it
/// stops looking: it is ambiguous from two on.
const AMBIGUOUS: i64 = 2;

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
    who: Who,
    role: Option<Role>,
    oldest_running: i64,
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
            who: backend.who,
            role: None,
            ..self.clone()
        }
    }

    /// The oldest transaction that may still have been running when the thread was read: what is
    /// read later holds at least what older ones did.
    pub fn oldest_running(&self) -> i64 {
        self.oldest_running
    }

    /// The person who sees it; a backend is none.
    pub fn viewer_id(&self) -> Option<UserId> {
        match self.who {
            Who::User(id) => Some(id),
            Who::Key => None,
        }
    }

    /// Whether an API key sees it.
    pub fn by_key(&self) -> bool {
        self.who == Who::Key
    }

    /// Whether the viewer reads private notes: agents, admins and API keys.
    pub fn is_staff(&self) -> bool {
        self.by_key() || self.role.is_some_and(Role::is_staff)
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
        self.by_key() || self.role == Some(Role::Admin)
    }

    /// The condition on messages of this thread that the viewer finds in its lists: what was
    /// sent, private notes only for staff, and the viewer's own drafts.
    pub fn listed_messages(&self) -> listed {
        listed(self.is_staff(), self.viewer_id().unwrap_or(UserId::NOBODY))
    }

    /// The same without drafts: what counts.
    pub fn sent_messages(&self) -> listed {
        listed(self.is_staff(), UserId::NOBODY)
    }

    /// Whether the viewer sees a message of this thread. An API key sees a draft that it names
    /// (a backend that writes for a person), though it finds none in lists.
    pub fn sees(&self, message: &Message) -> bool {
        let own = self.viewer_id().is_some() && message.sender_id == self.viewer_id();
        let draft = message.status == MessageStatus::Draft;
        (!draft || own || self.by_key()) && (!message.private || self.is_staff())
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
/// lists, counts and subscriptions all use it.
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
    seen_messages(
        visible_threads(viewer),
        viewer.is_key(),
        viewer.organizations(Role::is_staff),
    )
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
            .and(takes_part.or(as_staff).or(as_insider)))
}

#[diesel::dsl::auto_type]
fn seen_messages(threads: seen_threads, key: bool, staff_of: Vec<OrganizationId>) -> _ {
    let key: AsExprOf<bool, Bool> = key.into_sql::<Bool>();
    let in_seen = messages::thread_id.eq_any(threads::table.filter(threads).select(threads::id));
    let readable = not(messages::private)
        .or(messages::organization_id.eq_any(staff_of))
        .or(key);
    let draft: MessageStatus = MessageStatus::Draft;
    messages::status.ne(draft).and(in_seen).and(readable)
}

/// The organization, if the viewer sees it: its members and API keys that reach it.
pub async fn organization(
    conn: &mut Conn,
    viewer: &Viewer,
    name: &Ref<OrganizationId>,
) -> Result<OrganizationAccess> {
    let found = match name {
        Ref::Id(id) => organization::by_id(conn, *id).await?,
        Ref::External(id) => organization::by_external_id(conn, id).await?,
    };
    let found = found.ok_or(Error::NotFound("organization"))?;
    organization_access(viewer, found).ok_or(Error::NotFound("organization"))
}

/// The organization that a call means: the one it names, else the credential's.
pub async fn organization_or_bound(
    conn: &mut Conn,
    viewer: &Viewer,
    name: Option<&Ref<OrganizationId>>,
) -> Result<OrganizationAccess> {
    let only = || match viewer.memberships.as_slice() {
        [(id, _)] => Some(*id),
        _ => None,
    };
    match (name, viewer.bound.or_else(only)) {
        (Some(name), _) => organization(conn, viewer, name).await,
        (None, Some(id)) => organization(conn, viewer, &Ref::Id(id)).await,
        (None, None) => Err(Error::field(
            "organizationId",
            "is required: the credential is not bound to an organization",
        )),
    }
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

/// The thread, if the viewer sees it.
pub async fn thread(
    conn: &mut Conn,
    viewer: &Viewer,
    name: &Ref<ThreadId>,
) -> Result<ThreadAccess> {
    let mut query = threads::table
        .filter(visible_threads(viewer))
        .select(thread_columns())
        .limit(AMBIGUOUS)
        .into_boxed();
    query = match name {
        Ref::Id(id) => query.filter(threads::id.eq(*id)),
        Ref::External(id) => query.filter(threads::external_id.eq(id.clone())),
    };
    let mut found: Vec<(Thread, i64)> = query.load(conn).await?;
    if found.len() > 1 {
        return Err(ambiguous("threadId"));
    }
    let found = found.pop().ok_or(Error::NotFound("thread"))?;
    Ok(thread_access(viewer, found))
}

/// The thread, locked until the transaction ends: its events get their numbers under this lock.
pub async fn thread_locked(
    conn: &mut Conn,
    viewer: &Viewer,
    name: &Ref<ThreadId>,
) -> Result<ThreadAccess> {
    // Found first and locked by its key then: the lock may have to be waited for, and what is
    // visible must be judged on the row as it is afterwards.
    let id = match name {
        Ref::Id(id) => *id,
        Ref::External(_) => thread(conn, viewer, name).await?.thread.id,
    };
    let locked = threads::table
        .filter(threads::id.eq(id))
        .filter(visible_threads(viewer))
        .select(thread_columns())
        .for_no_key_update()
        .first(conn)
        .await
        .optional()?
        .ok_or(Error::NotFound("thread"))?;
    Ok(thread_access(viewer, locked))
}

/// Proofs for those of the threads that the viewer sees.
pub async fn threads_by_ids(
    conn: &mut Conn,
    viewer: &Viewer,
    ids: &[ThreadId],
) -> Result<HashMap<ThreadId, ThreadAccess>> {
    let found: Vec<(Thread, i64)> = threads::table
        .filter(threads::id.eq_any(ids))
        .filter(visible_threads(viewer))
        .select(thread_columns())
        .load(conn)
        .await?;
    Ok(found
        .into_iter()
        .map(|row| (row.0.id, thread_access(viewer, row)))
        .collect())
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
        role: viewer.role_in(thread.organization_id),
        who: viewer.who,
        thread: Arc::new(thread),
        oldest_running,
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

/// The message, if the viewer sees it.
pub async fn message(
    conn: &mut Conn,
    viewer: &Viewer,
    name: &Ref<MessageId>,
) -> Result<MessageAccess> {
    let mut query = messages::table
        .inner_join(threads::table.on(threads::id.eq(messages::thread_id)))
        .filter(visible_threads(viewer))
        .select((Message::as_select(), thread_columns()))
        .limit(AMBIGUOUS)
        .into_boxed();
    query = match name {
        Ref::Id(id) => query.filter(messages::id.eq(*id)),
        Ref::External(id) => query.filter(messages::external_id.eq(id.clone())),
    };
    let found: Vec<(Message, (Thread, i64))> = query.load(conn).await?;
    let mut seen: Vec<MessageAccess> = found
        .into_iter()
        .filter_map(|(message, thread)| thread_access(viewer, thread).message(message).ok())
        .collect();
    if seen.len() > 1 {
        return Err(ambiguous("messageId"));
    }
    seen.pop().ok_or(Error::NotFound("message"))
}

/// The user, if the viewer sees them: oneself; for members of an organization everyone who is
/// or was in it; for contacts those who take part in, or wrote into, their threads.
pub async fn user(conn: &mut Conn, viewer: &Viewer, name: &Ref<UserId>) -> Result<User> {
    let found = match name {
        Ref::Id(id) => user::by_id(conn, *id).await?,
        Ref::External(id) => user::by_external_id(conn, id).await?,
    };
    let found = found.ok_or(Error::NotFound("user"))?;
    if viewer.user_id() == Some(found.id) || (viewer.is_key() && viewer.bound.is_none()) {
        return Ok(found);
    }
    let inside = match viewer.bound.filter(|_| viewer.is_key()) {
        Some(bound) => vec![bound],
        None => viewer.organizations(|role| role != Role::Contact),
    };
    let shares_organization = diesel::select(exists(
        memberships::table
            .filter(memberships::user_id.eq(found.id))
            .filter(memberships::organization_id.eq_any(inside)),
    ));
    let seen = shares_organization.get_result::<bool>(conn).await?
        || !met_by(conn, viewer, &[found.id]).await?.is_empty();
    if seen {
        Ok(found)
    } else {
        Err(Error::NotFound("user"))
    }
}

/// Those of the users whom the viewer meets in his threads: who takes part there or wrote there,
/// and the viewer himself.
pub async fn met_by(conn: &mut Conn, viewer: &Viewer, users: &[UserId]) -> Result<Vec<UserId>> {
    let takes_part = participants::table
        .filter(participants::thread_id.eq(threads::id))
        .filter(participants::user_id.eq(users::id));
    let wrote = messages::table
        .filter(messages::thread_id.eq(threads::id))
        .filter(messages::sender_id.eq(users::id.nullable()))
        .filter(messages::status.ne(MessageStatus::Draft))
        .filter(not(messages::private));
    let shared = threads::table
        .filter(visible_threads(viewer))
        .filter(exists(takes_part).or(exists(wrote)));
    Ok(users::table
        .filter(users::id.eq_any(users))
        .filter(
            users::id
                .eq(viewer.user_id().unwrap_or(UserId::NOBODY))
                .or(exists(shared)),
        )
        .select(users::id)
        .load(conn)
        .await?)
}

fn ambiguous(field: &str) -> Error {
    Error::field(
        field,
        "this externalId is in several organizations: use the id, or a credential bound to one",
    )
}

/// A user whom the viewer may admit to an organization or describe: one that he sees, or one
/// who belongs nowhere yet. People of other organizations do not exist for him.
pub async fn user_to_manage(conn: &mut Conn, viewer: &Viewer, name: &Ref<UserId>) -> Result<User> {
    let unseen = match user(conn, viewer, name).await {
        Ok(seen) => return Ok(seen),
        Err(unseen) => unseen,
    };
    let found = match name {
        Ref::Id(id) => user::by_id(conn, *id).await?,
        Ref::External(id) => user::by_external_id(conn, id).await?,
    };
    let Some(found) = found else {
        return Err(unseen);
    };
    if organization::memberships_of(conn, found.id)
        .await?
        .is_empty()
    {
        Ok(found)
    } else {
        Err(unseen)
    }
}
