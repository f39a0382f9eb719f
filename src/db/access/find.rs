//! Looks things up by id or externalId, for a viewer: answers with a proof, or as if there were
//! nothing.

use std::collections::HashMap;

use diesel::dsl::not;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::join;

use crate::auth::Viewer;
use crate::db::access::ways::Way;
use crate::db::access::{
    MessageAccess, OrganizationAccess, ThreadAccess, organization_access, thread_access,
    thread_columns, visible_threads,
};
use crate::db::enums::{MessageStatus, Role};
use crate::db::inbox::{self, Inbox};
use crate::db::message::Message;
use crate::db::organization;
use crate::db::pool::Conn;
use crate::db::prepared::Prepare;
use crate::db::schema::{memberships, messages, participants, threads, users};
use crate::db::thread::Thread;
use crate::db::user::{self, User};
use crate::error::{Error, Result};
use crate::ids::{InboxId, MessageId, OrganizationId, Ref, ThreadId, UserId};

/// How many objects of different organizations may share an externalId before a search for it
/// stops looking: it is ambiguous from two on.
const AMBIGUOUS: i64 = 2;

/// The organization, if the viewer sees it: its members and API keys that reach it.
pub async fn organization(
    conn: &mut Conn,
    viewer: &Viewer,
    name: &Ref<OrganizationId>,
) -> Result<OrganizationAccess> {
    let found = organization::named(conn, name).await?;
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

/// The thread, if the viewer sees it.
pub async fn thread(
    mut conn: &AsyncPgConnection,
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
    let mut found: Vec<(Thread, i64)> = query.prepared().load(&mut conn).await?;
    if found.len() > 1 {
        return Err(ambiguous("threadId"));
    }
    let found = found.pop().ok_or(Error::NotFound("thread"))?;
    Ok(thread_access(viewer, found))
}

/// What has become of a thread since it was proven that somebody sees it.
#[derive(Debug, Clone)]
pub enum Again {
    /// Who sees it is decided as before.
    Same(ThreadAccess),
    /// It has moved, or is open to others: whoever sees it is to be asked anew.
    Moved(ThreadAccess),
    /// It is deleted.
    Gone,
}

/// The thread as it is now, for whom it was proven to be visible.
pub async fn again(conn: &mut Conn, access: &ThreadAccess) -> Result<Again> {
    let mut found = threads_again(conn, std::slice::from_ref(access)).await?;
    Ok(found.remove(&access.thread.id).unwrap_or(Again::Gone))
}

/// The same for several threads.
pub async fn threads_again(
    conn: &mut Conn,
    proofs: &[ThreadAccess],
) -> Result<HashMap<ThreadId, Again>> {
    let ids: Vec<ThreadId> = proofs.iter().map(|access| access.thread.id).collect();
    let rows: Vec<(Thread, i64)> = threads::table
        .filter(threads::id.eq_any(ids))
        .select(thread_columns())
        .prepared()
        .load(conn)
        .await?;
    let of = |row: (Thread, i64)| {
        let id = row.0.id;
        let access = proofs.iter().find(|access| access.thread.id == id)?;
        Some((id, access.again(row)))
    };
    Ok(rows.into_iter().filter_map(of).collect())
}

/// The thread, locked until the transaction ends: its events get their numbers under this lock.
pub async fn thread_locked(
    conn: &mut Conn,
    viewer: &Viewer,
    name: &Ref<ThreadId>,
) -> Result<ThreadAccess> {
    let conn: &Conn = conn;
    let id = match name {
        Ref::Id(id) => *id,
        Ref::External(_) => thread(conn, viewer, name).await?.thread.id,
    };
    // The lock may have been waited for, and who takes part was read before the wait: only a
    // statement of its own sees what the transaction that held the lock has done. Both are sent at
    // once; the database begins the second one when the first one has the lock.
    let name = Ref::Id(id);
    let (locked, seen) = join!(lock(conn, viewer, id), thread(conn, viewer, &name));
    match locked? {
        true => seen,
        false => Err(Error::NotFound("thread")),
    }
}

/// Locks a thread that the viewer sees; false: he sees none.
async fn lock(mut conn: &AsyncPgConnection, viewer: &Viewer, id: ThreadId) -> Result<bool> {
    let locked: Option<ThreadId> = threads::table
        .filter(threads::id.eq(id))
        .filter(visible_threads(viewer))
        .select(threads::id)
        .for_no_key_update()
        .first(&mut conn)
        .await
        .optional()?;
    Ok(locked.is_some())
}

/// The threads that are named so, each once; one that the viewer does not see fails all.
pub async fn threads(
    conn: &mut Conn,
    viewer: &Viewer,
    names: &[Ref<ThreadId>],
) -> Result<Vec<ThreadAccess>> {
    let (mut ids, mut external) = (Vec::new(), Vec::new());
    for name in names {
        match name {
            Ref::Id(id) => ids.push(*id),
            Ref::External(id) => external.push(id.clone()),
        }
    }
    let seen: Vec<(Thread, i64)> = threads::table
        .filter(visible_threads(viewer))
        .filter(
            threads::id
                .eq_any(ids)
                .or(threads::external_id.eq_any(external).assume_not_null()),
        )
        .select(thread_columns())
        .load(conn)
        .await?;
    let mut found: Vec<ThreadAccess> = Vec::new();
    for name in names {
        let named = |(thread, _): &&(Thread, i64)| match name {
            Ref::Id(id) => thread.id == *id,
            Ref::External(id) => thread.external_id.as_ref() == Some(id),
        };
        let mut matching = seen.iter().filter(named);
        let row = matching.next().ok_or(Error::NotFound("thread"))?;
        if matching.next().is_some() {
            return Err(ambiguous("threadIds"));
        }
        if found.iter().all(|known| known.thread.id != row.0.id) {
            found.push(thread_access(viewer, row.clone()));
        }
    }
    Ok(found)
}

/// The inbox, if the viewer is a member of its organization, or an API key that reaches it.
pub async fn inbox(conn: &mut Conn, viewer: &Viewer, name: &Ref<InboxId>) -> Result<Inbox> {
    let mut seen = inbox::named(conn, name).await?;
    seen.retain(|inbox| reaches(viewer, inbox));
    if seen.len() > 1 {
        return Err(ambiguous("id"));
    }
    seen.pop().ok_or(Error::NotFound("inbox"))
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
    let found: Vec<(Message, (Thread, i64))> = query.prepared().load(conn).await?;
    let mut seen: Vec<MessageAccess> = found
        .into_iter()
        .filter_map(|(message, thread)| thread_access(viewer, thread).message(message).ok())
        .collect();
    if seen.len() > 1 {
        return Err(ambiguous("messageId"));
    }
    seen.pop().ok_or(Error::NotFound("message"))
}

/// Those of the organizations that the viewer sees.
pub async fn organizations_by_ids(
    conn: &mut Conn,
    viewer: &Viewer,
    ids: &[OrganizationId],
) -> Result<Vec<OrganizationAccess>> {
    let found = organization::by_ids(conn, ids).await?.into_iter();
    Ok(found
        .filter_map(|found| organization_access(viewer, found))
        .collect())
}

/// Those of the inboxes that the viewer sees.
pub async fn inboxes_by_ids(
    conn: &mut Conn,
    viewer: &Viewer,
    ids: &[InboxId],
) -> Result<Vec<Inbox>> {
    let mut found = inbox::by_ids(conn, ids).await?;
    found.retain(|inbox| reaches(viewer, inbox));
    Ok(found)
}

/// Those of the messages that the viewer sees.
pub async fn messages_by_ids(
    conn: &mut Conn,
    viewer: &Viewer,
    ids: &[MessageId],
) -> Result<Vec<MessageAccess>> {
    let found: Vec<(Message, (Thread, i64))> = messages::table
        .inner_join(threads::table.on(threads::id.eq(messages::thread_id)))
        .filter(visible_threads(viewer))
        .filter(messages::id.eq_any(ids))
        .select((Message::as_select(), thread_columns()))
        .load(conn)
        .await?;
    let proof = |(message, thread)| thread_access(viewer, thread).message(message).ok();
    Ok(found.into_iter().filter_map(proof).collect())
}

/// Those of the users whom the viewer sees.
pub async fn users_by_ids(conn: &mut Conn, viewer: &Viewer, ids: &[UserId]) -> Result<Vec<User>> {
    let found = user::by_ids(conn, ids).await?;
    seen_users(conn, viewer, found).await
}

/// The user, if the viewer sees them.
pub async fn user(conn: &mut Conn, viewer: &Viewer, name: &Ref<UserId>) -> Result<User> {
    let found = user::named(conn, name).await?;
    let found = found.into_iter().collect();
    let mut seen = seen_users(conn, viewer, found).await?;
    seen.pop().ok_or(Error::NotFound("user"))
}

/// Those whom the viewer sees: oneself; for members of an organization everyone who is or was in
/// it; for contacts those who take part in, or wrote into, their threads.
async fn seen_users(conn: &mut Conn, viewer: &Viewer, found: Vec<User>) -> Result<Vec<User>> {
    let known = |user: &User| {
        viewer.user_id() == Some(user.id) || (viewer.is_key() && viewer.bound.is_none())
    };
    let others = found.iter().filter(|user| !known(user));
    let mut others: Vec<UserId> = others.map(|user| user.id).collect();
    if others.is_empty() {
        return Ok(found);
    }
    let inside = match viewer.bound.filter(|_| viewer.is_key()) {
        Some(bound) => vec![bound],
        None => viewer.organizations(|role| role != Role::Contact),
    };
    let mut seen: Vec<UserId> = memberships::table
        .filter(memberships::user_id.eq_any(&others))
        .filter(memberships::organization_id.eq_any(inside))
        .select(memberships::user_id)
        .distinct()
        .load(conn)
        .await?;
    others.retain(|id| !seen.contains(id));
    if !others.is_empty() {
        seen.extend(met_by(conn, viewer, &others).await?);
    }
    let mut found = found;
    found.retain(|user| known(user) || seen.contains(&user.id));
    Ok(found)
}

/// Those of the users whom the viewer meets in his threads: who takes part there or wrote there,
/// and the viewer himself.
pub async fn met_by(conn: &mut Conn, viewer: &Viewer, users: &[UserId]) -> Result<Vec<UserId>> {
    let mut met = users::table
        .filter(users::id.eq(viewer.user_id().unwrap_or(UserId::NOBODY)))
        .select(users::id)
        .into_boxed();
    for way in Way::of(viewer, None) {
        let shared = threads::table
            .filter(visible_threads(viewer))
            .filter(way.threads())
            .select(threads::id)
            .into_boxed();
        let takes_part = participants::table
            .filter(participants::user_id.eq_any(users))
            .filter(participants::thread_id.eq_any(shared))
            .select(participants::user_id);
        let wrote = messages::table
            .filter(messages::sender_id.eq_any(users))
            .filter(messages::status.ne(MessageStatus::Draft))
            .filter(not(messages::private))
            .filter(way.messages())
            .select(messages::sender_id)
            .into_boxed();
        met = met
            .or_filter(users::id.eq_any(takes_part))
            .or_filter(users::id.nullable().eq_any(wrote).assume_not_null());
    }
    let met = met.filter(users::id.eq_any(users));
    Ok(met.load(conn).await?)
}

/// Whether the viewer sees an inbox: members of its organization, API keys that reach it.
fn reaches(viewer: &Viewer, inbox: &Inbox) -> bool {
    let organization = inbox.organization_id;
    viewer.key_reaches(organization) || viewer.role_in(organization).is_some()
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
    let found = user::named(conn, name).await?;
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
