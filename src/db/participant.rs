//! Who takes part in a thread.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Uuid as SqlUuid};
use diesel::upsert::excluded;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::db::access::ThreadAccess;
use crate::db::enums::Role;
use crate::db::page::{Key, Page, Slice};
use crate::db::pool::Conn;
use crate::db::schema::{memberships, participants, users};
use crate::db::user::User;
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

/// The same page of the participants of each of these threads, in the order in which they joined.
pub async fn in_threads(
    conn: &mut Conn,
    threads: &[ThreadId],
    page: &Page<Uuid>,
) -> Result<HashMap<ThreadId, Slice<(Participant, User)>>> {
    let part = page.part("joined_at", "user_id");
    let chosen = sql::<Bool>(
        "(participants.thread_id, participants.user_id) IN (SELECT t.id, chosen.user_id FROM unnest(",
    )
    .bind::<Array<SqlUuid>, _>(threads)
    .sql(&format!(
        ") AS t (id) CROSS JOIN LATERAL (
           SELECT user_id FROM participants WHERE thread_id = t.id {part}
         ) chosen)"
    ));
    let rows: Vec<(Participant, User)> = participants::table
        .inner_join(users::table.on(users::id.eq(participants::user_id)))
        .filter(chosen)
        .select((Participant::as_select(), User::as_select()))
        .order((participants::joined_at, participants::user_id))
        .load(conn)
        .await?;
    let mut found: HashMap<ThreadId, Vec<(Participant, User)>> = HashMap::new();
    for row in rows {
        found.entry(row.0.thread_id).or_default().push(row);
    }
    let cut = |id: &ThreadId| (*id, page.cut_ordered(found.remove(id).unwrap_or_default()));
    Ok(threads.iter().map(cut).collect())
}

/// How many take part in each of these threads that has any.
pub async fn counts(conn: &mut Conn, threads: &[ThreadId]) -> Result<HashMap<ThreadId, i64>> {
    let counts: Vec<(ThreadId, i64)> = participants::table
        .filter(participants::thread_id.eq_any(threads))
        .group_by(participants::thread_id)
        .select((participants::thread_id, diesel::dsl::count_star()))
        .load(conn)
        .await?;
    Ok(counts.into_iter().collect())
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

/// Whether somebody who takes part in a thread is to be notified; none: he takes no part.
pub async fn listens(conn: &mut Conn, thread: ThreadId, user: UserId) -> Result<Option<bool>> {
    Ok(participants::table
        .find((thread, user))
        .select(participants::subscribed)
        .get_result(conn)
        .await
        .optional()?)
}

/// Where these users take part, of these threads.
pub async fn parts(
    conn: &mut Conn,
    users: &[UserId],
    threads: &[ThreadId],
) -> Result<Vec<(ThreadId, UserId)>> {
    Ok(participants::table
        .filter(participants::user_id.eq_any(users))
        .filter(participants::thread_id.eq_any(threads))
        .select((participants::thread_id, participants::user_id))
        .load(conn)
        .await?)
}

/// The parts of these users, but of those in threads that are the same to all of these viewers
/// (same tenant and access, same ones who take part, same ones who hide it) one alone.
pub async fn one_of_each_kind(
    conn: &mut Conn,
    users: &[UserId],
    viewers: &[UserId],
) -> Result<Vec<(UserId, ThreadId)>> {
    if users.is_empty() {
        return Ok(Vec::new());
    }
    let parts: Vec<Part> = diesel::sql_query(
        "SELECT DISTINCT ON (p.user_id, t.organization_id, t.access, kind.part, kind.hidden)
           p.user_id, p.thread_id
         FROM participants p
         JOIN threads t ON t.id = p.thread_id
         CROSS JOIN LATERAL (SELECT
           ARRAY(SELECT user_id FROM participants
             WHERE thread_id = t.id AND user_id = ANY ($2) ORDER BY user_id) AS part,
           ARRAY(SELECT user_id FROM hidden_threads
             WHERE thread_id = t.id AND user_id = ANY ($2) ORDER BY user_id) AS hidden
         ) kind
         WHERE p.user_id = ANY ($1)",
    )
    .bind::<Array<SqlUuid>, _>(users)
    .bind::<Array<SqlUuid>, _>(viewers)
    .load(conn)
    .await?;
    let parts = parts.into_iter();
    Ok(parts.map(|part| (part.user_id, part.thread_id)).collect())
}

/// Where somebody takes part.
#[derive(QueryableByName)]
struct Part {
    #[diesel(sql_type = SqlUuid)]
    user_id: UserId,
    #[diesel(sql_type = SqlUuid)]
    thread_id: ThreadId,
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

/// The contact of a thread: its creator if that is one, else the one who joined first.
pub async fn contact(conn: &mut Conn, access: &ThreadAccess) -> Result<Option<UserId>> {
    let contacts: Vec<UserId> = participants::table
        .inner_join(
            memberships::table.on(memberships::organization_id
                .eq(participants::organization_id)
                .and(memberships::user_id.eq(participants::user_id))),
        )
        .filter(participants::thread_id.eq(access.thread().id))
        .filter(memberships::role.eq(Role::Contact))
        .filter(memberships::removed_at.is_null())
        .order((participants::joined_at, participants::user_id))
        .select(participants::user_id)
        .load(conn)
        .await?;
    let creator = access.thread().creator_id;
    let opened = contacts.iter().copied().find(|id| Some(*id) == creator);
    Ok(opened.or(contacts.as_slice().first().copied()))
}

/// Who came to take part.
pub struct Joined {
    /// Those who were no participants before.
    pub new: Vec<UserId>,
    /// Whether somebody who was one is notified from now on, and was not.
    pub resubscribed: bool,
}

/// Adds participants. Whoever is to be notified and was not, is from now on; nobody stops being
/// notified by this.
pub async fn add(
    conn: &mut Conn,
    access: &ThreadAccess,
    users: &[(UserId, bool)],
    now: DateTime<Utc>,
) -> Result<Joined> {
    let ids: Vec<UserId> = users.iter().map(|(id, _)| *id).collect();
    let known: Vec<(UserId, bool)> = participants::table
        .filter(participants::thread_id.eq(access.thread().id))
        .filter(participants::user_id.eq_any(&ids))
        .select((participants::user_id, participants::subscribed))
        .load(conn)
        .await?;
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
    let before = |id: UserId| known.iter().find(|(known, _)| *known == id);
    let turned =
        |(id, wanted): &(UserId, bool)| *wanted && before(*id).is_some_and(|known| !known.1);
    Ok(Joined {
        resubscribed: users.iter().any(turned),
        new: ids.into_iter().filter(|id| before(*id).is_none()).collect(),
    })
}

/// Removes a participant; whether they were one.
pub async fn remove(conn: &mut Conn, access: &ThreadAccess, user: UserId) -> Result<bool> {
    let removed = diesel::delete(participants::table.find((access.thread().id, user)))
        .execute(conn)
        .await?;
    Ok(removed > 0)
}

/// Sets whether a participant is to be notified; whether that changed anything.
pub async fn set_subscribed(
    conn: &mut Conn,
    access: &ThreadAccess,
    user: UserId,
    subscribed: bool,
) -> Result<bool> {
    let changed = diesel::update(participants::table.find((access.thread().id, user)))
        .filter(participants::subscribed.ne(subscribed))
        .set(participants::subscribed.eq(subscribed))
        .execute(conn)
        .await?;
    Ok(changed > 0)
}
