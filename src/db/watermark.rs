//! Up to where people have seen threads: one row per thread and person, from which seenBy and
//! unread counts derive. Moving one locks no thread and writes no log.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;

use crate::auth::Viewer;
use crate::db::access::{ThreadAccess, visible_messages};
use crate::db::enums::Role;
use crate::db::page::Key;
use crate::db::pool::Conn;
use crate::db::schema::{messages, watermarks};
use crate::error::Result;
use crate::ids::{MessageId, OrganizationId, ThreadId, UserId};

/// The oldest transaction that may still be running: what older ones did is visible. A number
/// that a client keeps must not be this one alone: a transaction that leaves nothing behind may
/// use up numbers which the database gives out again after a crash. With what a transaction that
/// did leave something had for its number, plus one, as an upper bound, it is safe.
pub const OLDEST_RUNNING: &str = "pg_snapshot_xmin(pg_current_snapshot())::text::bigint";

/// Most people that a message's list of readers names.
pub const MAX_READERS: i32 = 100;

/// Up to where somebody has seen a thread.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
pub struct Watermark {
    /// The thread.
    pub thread_id: ThreadId,
    /// Who.
    pub user_id: UserId,
    /// The tenant of both.
    pub organization_id: OrganizationId,
    /// The place of the newest message seen: its time.
    pub seen_at: DateTime<Utc>,
    /// The place of the newest message seen: its number.
    pub seen_seq: i64,
    /// When it moved.
    pub moved_at: DateTime<Utc>,
    /// The transaction that moved it.
    pub xid: i64,
    /// When it last moved over a public message.
    pub public_moved_at: Option<DateTime<Utc>>,
    /// The transaction of that move.
    pub public_xid: Option<i64>,
}

impl Watermark {
    /// When it last moved as far as the viewer may know: over a private note it moves for those
    /// alone who see the note.
    pub fn moved_for(&self, access: &ThreadAccess) -> Option<DateTime<Utc>> {
        if access.is_staff() {
            Some(self.moved_at)
        } else {
            self.public_moved_at
        }
    }

    /// The transaction of that move.
    fn xid_for(&self, access: &ThreadAccess) -> Option<i64> {
        if access.is_staff() {
            Some(self.xid)
        } else {
            self.public_xid
        }
    }

    /// The place of the newest message seen.
    pub fn place(&self) -> Key<i64> {
        Key {
            at: self.seen_at,
            tie: self.seen_seq,
        }
    }
}

/// Moves a person's watermark up to a place; whether it moved, since it never moves back.
pub async fn advance(
    conn: &mut Conn,
    access: &ThreadAccess,
    user: UserId,
    place: Key<i64>,
    now: DateTime<Utc>,
) -> Result<bool> {
    let moved = diesel::sql_query(
        "WITH public AS (
           SELECT place_at, place_seq FROM messages
           WHERE thread_id = $1 AND NOT private AND status <> 'DRAFT' AND (place_at, place_seq) <= ($4, $5)
           ORDER BY place_at DESC, place_seq DESC LIMIT 1
         ), moving AS (
           SELECT pg_current_xact_id()::text::bigint AS xid, EXISTS (SELECT FROM public) AS any_public
         )
         INSERT INTO watermarks (thread_id, user_id, organization_id, seen_at, seen_seq, moved_at, xid,
           public_moved_at, public_xid)
         SELECT $1, $2, $3, $4, $5, $6, xid, CASE WHEN any_public THEN $6 END, CASE WHEN any_public THEN xid END
         FROM moving
         ON CONFLICT (thread_id, user_id) DO UPDATE
         SET seen_at = excluded.seen_at, seen_seq = excluded.seen_seq,
             moved_at = excluded.moved_at, xid = excluded.xid,
             (public_moved_at, public_xid) = (
               SELECT CASE WHEN over THEN excluded.public_moved_at ELSE watermarks.public_moved_at END,
                      CASE WHEN over THEN excluded.public_xid ELSE watermarks.public_xid END
               FROM (SELECT EXISTS (SELECT FROM public
                 WHERE (place_at, place_seq) > (watermarks.seen_at, watermarks.seen_seq)) AS over) AS moved
             )
         WHERE (excluded.seen_at, excluded.seen_seq) > (watermarks.seen_at, watermarks.seen_seq)",
    )
    .bind::<SqlUuid, _>(access.thread().id)
    .bind::<SqlUuid, _>(user)
    .bind::<SqlUuid, _>(access.thread().organization_id)
    .bind::<Timestamptz, _>(place.at)
    .bind::<BigInt, _>(place.tie)
    .bind::<Timestamptz, _>(now)
    .execute(conn)
    .await?;
    Ok(moved > 0)
}

/// The watermarks of a thread that a transaction from `since` on moved, as far as the viewer may
/// know, in the order of those transactions; each with the transaction from which on to ask by
/// whoever has been told of it and of those before.
pub async fn moved_since(
    conn: &mut Conn,
    access: &ThreadAccess,
    since: i64,
) -> Result<Vec<(Watermark, i64)>> {
    let query = watermarks::table
        .filter(watermarks::thread_id.eq(access.thread().id))
        .select((Watermark::as_select(), sql::<BigInt>(OLDEST_RUNNING)))
        .into_boxed();
    let query = if access.is_staff() {
        query
            .filter(watermarks::xid.ge(since))
            .order_by((watermarks::xid, watermarks::user_id))
    } else {
        query
            .filter(watermarks::public_xid.ge(since))
            .order_by((watermarks::public_xid, watermarks::user_id))
    };
    let rows: Vec<(Watermark, i64)> = query.load(conn).await?;
    let then_from = |(moved, running): (Watermark, i64)| {
        let next = moved.xid_for(access).map_or(since, |xid| xid + 1);
        (moved, running.min(next))
    };
    Ok(rows.into_iter().map(then_from).collect())
}

/// The newest transaction that moved a watermark of each of these threads, as far as the viewer
/// may know.
pub async fn newest_moves(
    conn: &mut Conn,
    threads: &[&ThreadAccess],
) -> Result<HashMap<ThreadId, i64>> {
    let ids: Vec<ThreadId> = threads.iter().map(|access| access.thread().id).collect();
    let newest: Vec<(ThreadId, Option<i64>, Option<i64>)> = watermarks::table
        .filter(watermarks::thread_id.eq_any(ids))
        .group_by(watermarks::thread_id)
        .select((
            watermarks::thread_id,
            diesel::dsl::max(watermarks::xid),
            diesel::dsl::max(watermarks::public_xid),
        ))
        .load(conn)
        .await?;
    let newest_for = |(id, any, public)| {
        let access = threads.iter().find(|access| access.thread().id == id)?;
        let xid = if access.is_staff() { any } else { public };
        Some((id, xid?))
    };
    Ok(newest.into_iter().filter_map(newest_for).collect())
}

/// The condition that a thread holds something by somebody else that a person has not seen.
pub fn has_unread(viewer: &Viewer, user: UserId) -> SqlLiteral<Bool> {
    // Ids print as bare hexadecimal UUIDs: nothing in this text comes from a client.
    sql(&format!(
        "EXISTS (SELECT FROM messages m LEFT JOIN watermarks w
           ON w.thread_id = m.thread_id AND w.user_id = '{user}'
         WHERE m.thread_id = threads.id AND {unread})",
        user = user.uuid(),
        unread = unread_condition(viewer, user),
    ))
}

/// How many messages by others a person has not seen, in each of these threads.
pub async fn unread_counts(
    conn: &mut Conn,
    viewer: &Viewer,
    user: UserId,
    threads: &[ThreadId],
) -> Result<HashMap<ThreadId, i32>> {
    let counted: Vec<UnreadCount> = diesel::sql_query(format!(
        "SELECT m.thread_id, count(*)::integer AS unread FROM messages m
         LEFT JOIN watermarks w ON w.thread_id = m.thread_id AND w.user_id = $1
         WHERE m.thread_id = ANY ($2) AND {}
         GROUP BY m.thread_id",
        unread_condition(viewer, user)
    ))
    .bind::<SqlUuid, _>(user)
    .bind::<Array<SqlUuid>, _>(threads)
    .load(conn)
    .await?;
    Ok(counted
        .into_iter()
        .map(|row| (row.thread_id, row.unread))
        .collect())
}

/// In how many threads how many messages by others a person has not seen.
pub async fn unread_totals(conn: &mut Conn, viewer: &Viewer, user: UserId) -> Result<(i64, i64)> {
    let seen = diesel::dsl::exists(
        watermarks::table
            .filter(watermarks::thread_id.eq(messages::thread_id))
            .filter(watermarks::user_id.eq(user))
            .filter(sql::<Bool>(
                "(watermarks.seen_at, watermarks.seen_seq) >= (messages.place_at, messages.place_seq)",
            )),
    );
    Ok(messages::table
        .filter(visible_messages(viewer))
        .filter(messages::deleted_at.is_null())
        .filter(messages::sender_id.is_distinct_from(user))
        .filter(diesel::dsl::not(seen))
        .select((
            diesel::dsl::count(messages::thread_id).aggregate_distinct(),
            diesel::dsl::count_star(),
        ))
        .first(conn)
        .await?)
}

/// Who has seen each of these messages, its sender aside: at most MAX_READERS each.
pub async fn readers(
    conn: &mut Conn,
    ids: &[MessageId],
) -> Result<HashMap<MessageId, Vec<UserId>>> {
    let rows: Vec<Reader> = diesel::sql_query(
        "SELECT m.id AS message_id, r.user_id FROM messages m
         CROSS JOIN LATERAL (
           SELECT w.user_id FROM watermarks w
           WHERE w.thread_id = m.thread_id
             AND (w.seen_at, w.seen_seq) >= (m.place_at, m.place_seq)
             AND w.user_id IS DISTINCT FROM m.sender_id
           ORDER BY w.user_id LIMIT $2
         ) r
         WHERE m.id = ANY ($1) AND m.status <> 'DRAFT'",
    )
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<Integer, _>(MAX_READERS)
    .load(conn)
    .await?;
    let mut readers: HashMap<MessageId, Vec<UserId>> = HashMap::new();
    for row in rows {
        readers.entry(row.message_id).or_default().push(row.user_id);
    }
    Ok(readers)
}

/// How many have seen each of these messages, its sender aside.
pub async fn reader_counts(conn: &mut Conn, ids: &[MessageId]) -> Result<HashMap<MessageId, i32>> {
    let rows: Vec<ReaderCount> = diesel::sql_query(
        "SELECT m.id AS message_id, count(*)::integer AS readers FROM messages m
         JOIN watermarks w ON w.thread_id = m.thread_id
           AND (w.seen_at, w.seen_seq) >= (m.place_at, m.place_seq)
           AND w.user_id IS DISTINCT FROM m.sender_id
         WHERE m.id = ANY ($1) AND m.status <> 'DRAFT' GROUP BY m.id",
    )
    .bind::<Array<SqlUuid>, _>(ids)
    .load(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.message_id, row.readers))
        .collect())
}

/// Of a message `m` with the person's watermark `w`, if there is one.
fn unread_condition(viewer: &Viewer, user: UserId) -> String {
    let staff: Vec<String> = viewer
        .organizations(Role::is_staff)
        .iter()
        .map(|id| format!("'{}'", id.uuid()))
        .collect();
    let private = if staff.is_empty() {
        "NOT m.private".to_owned()
    } else {
        format!(
            "(NOT m.private OR m.organization_id IN ({}))",
            staff.join(", ")
        )
    };
    format!(
        "m.status <> 'DRAFT' AND m.deleted_at IS NULL AND m.sender_id IS DISTINCT FROM '{}'
         AND (w.user_id IS NULL OR (m.place_at, m.place_seq) > (w.seen_at, w.seen_seq)) AND {private}",
        user.uuid()
    )
}

#[derive(QueryableByName)]
struct UnreadCount {
    #[diesel(sql_type = SqlUuid)]
    thread_id: ThreadId,
    #[diesel(sql_type = Integer)]
    unread: i32,
}

#[derive(QueryableByName)]
struct Reader {
    #[diesel(sql_type = SqlUuid)]
    message_id: MessageId,
    #[diesel(sql_type = SqlUuid)]
    user_id: UserId,
}

#[derive(QueryableByName)]
struct ReaderCount {
    #[diesel(sql_type = SqlUuid)]
    message_id: MessageId,
    #[diesel(sql_type = Integer)]
    readers: i32,
}
