//! Who takes part in a thread.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::Uuid as SqlUuid;
use diesel::upsert::excluded;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::db::access::ThreadAccess;
use crate::db::page::{Key, Page, Slice, beyond};
use crate::db::pool::Conn;
use crate::db::schema::{participants, users, watermarks};
use crate::db::user::User;
use crate::db::watermark::Watermark;
use crate::error::Result;
use crate::ids::{OrganizationId, ThreadId, UserId};

/// Somebody's part in a thread.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Insertable)]
pub struct Participant {
    /// The thread.
    pub thread_id: ThreadId,
    /// Who.
    pub user_id: UserId,
    /// The tenant of both.
    pub organization_id: OrganizationId,
    /// Whether they are to be notified.
    pub subscribed: bool,
    /// Since when.
    pub joined_at: DateTime<Utc>,
}

impl Participant {
    /// The place in the list of participants.
    pub fn key(&self) -> Key<Uuid> {
        Key {
            at: self.joined_at,
            tie: self.user_id.uuid(),
        }
    }
}

/// A row of the list of participants.
pub type Listed = (Participant, User, Option<Watermark>);

/// A page of a thread's participants, in the order in which they joined.
pub async fn page(
    conn: &mut Conn,
    access: &ThreadAccess,
    page: &Page<Uuid>,
) -> Result<Slice<Listed>> {
    const ORDER: &str = "participants.joined_at, participants.user_id";
    let mut query = participants::table
        .inner_join(users::table.on(users::id.eq(participants::user_id)))
        .left_join(
            watermarks::table.on(watermarks::thread_id
                .eq(participants::thread_id)
                .and(watermarks::user_id.eq(participants::user_id))),
        )
        .filter(participants::thread_id.eq(access.thread().id))
        .select((
            Participant::as_select(),
            User::as_select(),
            Option::<Watermark>::as_select(),
        ))
        .limit(page.probe())
        .into_boxed();
    if let Some(key) = &page.after {
        query = query.filter(beyond::<SqlUuid, _>(ORDER, ">", key));
    }
    if let Some(key) = &page.before {
        query = query.filter(beyond::<SqlUuid, _>(ORDER, "<", key));
    }
    query = if page.backward {
        query.order((participants::joined_at.desc(), participants::user_id.desc()))
    } else {
        query.order((participants::joined_at.asc(), participants::user_id.asc()))
    };
    Ok(page.cut(query.load(conn).await?))
}

/// How many take part.
pub async fn count(conn: &mut Conn, access: &ThreadAccess) -> Result<i64> {
    Ok(participants::table
        .filter(participants::thread_id.eq(access.thread().id))
        .count()
        .get_result(conn)
        .await?)
}

/// The part of one user in these threads.
pub async fn of_user(
    conn: &mut Conn,
    user: UserId,
    threads: &[ThreadId],
) -> Result<Vec<Participant>> {
    Ok(participants::table
        .filter(participants::user_id.eq(user))
        .filter(participants::thread_id.eq_any(threads))
        .select(Participant::as_select())
        .load(conn)
        .await?)
}

/// Those of the users who take part.
pub async fn among(
    conn: &mut Conn,
    access: &ThreadAccess,
    users: &[UserId],
) -> Result<Vec<UserId>> {
    Ok(participants::table
        .filter(participants::thread_id.eq(access.thread().id))
        .filter(participants::user_id.eq_any(users))
        .select(participants::user_id)
        .load(conn)
        .await?)
}

/// Adds participants; answers those who were none before. Whoever is to be notified and was
/// not, is from now on; nobody stops being notified by this.
pub async fn add(
    conn: &mut Conn,
    access: &ThreadAccess,
    users: &[(UserId, bool)],
    now: DateTime<Utc>,
) -> Result<Vec<UserId>> {
    let ids: Vec<UserId> = users.iter().map(|(id, _)| *id).collect();
    let known = among(conn, access, &ids).await?;
    let rows: Vec<Participant> = users
        .iter()
        .map(|(user_id, subscribed)| Participant {
            thread_id: access.thread().id,
            user_id: *user_id,
            organization_id: access.thread().organization_id,
            subscribed: *subscribed,
            joined_at: now,
        })
        .collect();
    diesel::insert_into(participants::table)
        .values(&rows)
        .on_conflict((participants::thread_id, participants::user_id))
        .do_update()
        .set(
            participants::subscribed
                .eq(participants::subscribed.or(excluded(participants::subscribed))),
        )
        .execute(conn)
        .await?;
    Ok(ids.into_iter().filter(|id| !known.contains(id)).collect())
}

/// Removes a participant; whether they were one.
pub async fn remove(conn: &mut Conn, access: &ThreadAccess, user: UserId) -> Result<bool> {
    let removed = diesel::delete(participants::table.find((access.thread().id, user)))
        .execute(conn)
        .await?;
    Ok(removed > 0)
}
