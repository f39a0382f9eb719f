//! Looks things up by id or externalId, for a viewer: answers with a proof, or as if there were
//! nothing.

use std::collections::HashMap;

use diesel::dsl::{exists, not};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::auth::Viewer;
use crate::db::access::{
    MessageAccess, OrganizationAccess, ThreadAccess, organization_access, thread_access,
    thread_columns, visible_threads,
};
use crate::db::enums::{MessageStatus, Role};
use crate::db::inbox::{self, Inbox};
use crate::db::message::Message;
use crate::db::organization;
use crate::db::pool::Conn;
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
    let id = match name {
        Ref::Id(id) => *id,
        Ref::External(_) => thread(conn, viewer, name).await?.thread.id,
    };
    let locked: Option<ThreadId> = threads::table
        .filter(threads::id.eq(id))
        .filter(visible_threads(viewer))
        .select(threads::id)
        .for_no_key_update()
        .first(conn)
        .await
        .optional()?;
    let locked = locked.ok_or(Error::NotFound("thread"))?;
    // The lock may have been waited for, and who takes part was read before the wait: only a
    // statement of its own sees what the transaction that held the lock has done.
    thread(conn, viewer, &Ref::Id(locked)).await
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
    seen.retain(|inbox| {
        let organization = inbox.organization_id;
        viewer.key_reaches(organization) || viewer.role_in(organization).is_some()
    });
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
