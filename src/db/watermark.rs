//! Up to where people have seen threads, and up to where threads have reached their devices: one
//! row per thread, person and mark, from which seenBy, receipts and unread counts derive. Moving
//! one locks no thread and writes no log.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::dsl::{not, sql};
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;

use crate::auth::Viewer;
use crate::db::access::ways::Way;
use crate::db::access::{self, ThreadAccess, visible_threads};
use crate::db::enums::Mark;
use crate::db::hidden::hidden_by;
use crate::db::page::Key;
use crate::db::pool::Conn;
use crate::db::prepared::Prepare;
use crate::db::schema::{threads, watermarks};
use crate::db::several::{Part, Totals};
use crate::error::{Error, Result};
use crate::ids::{MessageId, OrganizationId, ThreadId, UserId};

/// The oldest transaction that may still be running: what older ones did is visible. A number
/// that a client keeps must not be this one alone: a transaction that leaves nothing behind may
/// use up numbers which the database gives out again after a crash. With what a transaction that
/// did leave something had for its number, plus one, as an upper bound, it is safe.
pub const OLDEST_RUNNING: &str = "pg_snapshot_xmin(pg_current_snapshot())::text::bigint";

/// Most people that a message's list of readers names.
pub const MAX_READERS: i32 = 100;

/// Up to where somebody has seen a thread, or it has reached a device of theirs.
#[derive(Debug, Clone, PartialEq, Queryable, QueryableByName, Selectable)]
#[diesel(table_name = watermarks)]
pub struct Watermark {
    /// The thread.
    pub thread_id: ThreadId,
    /// Who.
    pub user_id: UserId,
    /// The tenant of both.
    pub organization_id: OrganizationId,
    /// The place of the newest message: its time.
    pub place_at: DateTime<Utc>,
    /// The place of the newest message: its number.
    pub place_seq: i64,
    /// When it moved.
    pub moved_at: DateTime<Utc>,
    /// The transaction that moved it.
    pub xid: i64,
    /// When it last moved over a public message.
    pub public_moved_at: Option<DateTime<Utc>>,
    /// The transaction of that move.
    pub public_xid: Option<i64>,
    /// What it marks.
    pub kind: Mark,
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
    pub fn xid_for(&self, access: &ThreadAccess) -> Option<i64> {
        if access.is_staff() {
            Some(self.xid)
        } else {
            self.public_xid
        }
    }

    /// The place of the newest message.
    pub fn place(&self) -> Key<i64> {
        Key {
            at: self.place_at,
            tie: self.place_seq,
        }
    }
}

/// Moves a person's watermarks up to places of threads; answers the threads where it moved, since
/// it never moves back.
pub async fn advance(
    conn: &mut Conn,
    places: &[(&ThreadAccess, Key<i64>)],
    (user, kind): (UserId, Mark),
    now: DateTime<Utc>,
) -> Result<Vec<ThreadId>> {
    // What is told to those who may not see private notes moves only over public messages.
    let moved: Vec<Moved> = diesel::sql_query(
        "WITH moving AS (
           SELECT g.*, p.place_at AS public_at, p.place_seq AS public_seq
           FROM unnest($1, $2, $3, $4) AS g (thread_id, organization_id, place_at, place_seq)
           LEFT JOIN LATERAL (
             SELECT place_at, place_seq FROM messages
             WHERE thread_id = g.thread_id AND NOT private AND status <> 'DRAFT'
               AND (place_at, place_seq) <= (g.place_at, g.place_seq)
             ORDER BY place_at DESC, place_seq DESC LIMIT 1
           ) p ON true
         )
         INSERT INTO watermarks (thread_id, user_id, organization_id, place_at, place_seq, kind,
           moved_at, xid, public_moved_at, public_xid)
         SELECT thread_id, $5, organization_id, place_at, place_seq, $6,
           $7, pg_current_xact_id()::text::bigint,
           CASE WHEN public_at IS NOT NULL THEN $7 END,
           CASE WHEN public_at IS NOT NULL THEN pg_current_xact_id()::text::bigint END
         FROM moving
         ON CONFLICT (thread_id, user_id, kind) DO UPDATE
         SET place_at = excluded.place_at, place_seq = excluded.place_seq,
             moved_at = excluded.moved_at, xid = excluded.xid,
             (public_moved_at, public_xid) = (
               SELECT CASE WHEN over THEN excluded.public_moved_at ELSE watermarks.public_moved_at END,
                      CASE WHEN over THEN excluded.public_xid ELSE watermarks.public_xid END
               FROM (SELECT EXISTS (SELECT FROM moving WHERE thread_id = watermarks.thread_id
                 AND (public_at, public_seq) > (watermarks.place_at, watermarks.place_seq)) AS over) AS moved
             )
         WHERE (excluded.place_at, excluded.place_seq) > (watermarks.place_at, watermarks.place_seq)
         RETURNING thread_id",
    )
    .bind::<Array<SqlUuid>, _>(ids(places))
    .bind::<Array<SqlUuid>, _>(organizations(places))
    .bind::<Array<Timestamptz>, _>(times(places))
    .bind::<Array<BigInt>, _>(ties(places))
    .bind::<SqlUuid, _>(user)
    .bind::<Text, _>(kind)
    .bind::<Timestamptz, _>(now)
    .prepared()
    .load(conn)
    .await
    .map_err(gone)?;
    Ok(moved.into_iter().map(|moved| moved.thread_id).collect())
}

/// Moves back up to where a person has seen threads, to just before places in them; answers the
/// threads where it moved: one that is not as far already stays. What was seen stays delivered.
pub async fn withdraw(
    conn: &mut Conn,
    places: &[(&ThreadAccess, Key<i64>)],
    user: UserId,
    now: DateTime<Utc>,
) -> Result<Vec<ThreadId>> {
    let moved: Vec<Moved> = diesel::sql_query(
        "WITH back AS (
           SELECT g.*, EXISTS (SELECT FROM messages m
             WHERE m.thread_id = g.thread_id AND NOT m.private AND m.status <> 'DRAFT'
               AND (m.place_at, m.place_seq) >= (g.place_at, g.place_seq)) AS over
           FROM unnest($1, $2, $3) AS g (thread_id, place_at, place_seq)
         ), delivered AS (
           INSERT INTO watermarks (thread_id, user_id, organization_id, place_at, place_seq, kind,
             moved_at, xid, public_moved_at, public_xid)
           SELECT s.thread_id, s.user_id, s.organization_id, s.place_at, s.place_seq, 'DELIVERED',
             $5, pg_current_xact_id()::text::bigint,
             CASE WHEN over THEN $5 END,
             CASE WHEN over THEN pg_current_xact_id()::text::bigint END
           FROM watermarks s JOIN back USING (thread_id)
           WHERE s.user_id = $4 AND s.kind = 'SEEN'
             AND (s.place_at, s.place_seq) >= (back.place_at, back.place_seq)
           ON CONFLICT (thread_id, user_id, kind) DO UPDATE
           SET place_at = excluded.place_at, place_seq = excluded.place_seq,
               moved_at = excluded.moved_at, xid = excluded.xid,
               public_moved_at = coalesce(excluded.public_moved_at, watermarks.public_moved_at),
               public_xid = coalesce(excluded.public_xid, watermarks.public_xid)
           WHERE (excluded.place_at, excluded.place_seq) > (watermarks.place_at, watermarks.place_seq)
         )
         UPDATE watermarks w
         SET place_at = back.place_at, place_seq = back.place_seq - 1,
             moved_at = $5, xid = pg_current_xact_id()::text::bigint,
             public_moved_at = CASE WHEN over THEN $5 ELSE w.public_moved_at END,
             public_xid = CASE WHEN over THEN pg_current_xact_id()::text::bigint ELSE w.public_xid END
         FROM back
         WHERE w.thread_id = back.thread_id AND w.user_id = $4 AND w.kind = 'SEEN'
           AND (w.place_at, w.place_seq) >= (back.place_at, back.place_seq)
         RETURNING w.thread_id",
    )
    .bind::<Array<SqlUuid>, _>(ids(places))
    .bind::<Array<Timestamptz>, _>(times(places))
    .bind::<Array<BigInt>, _>(ties(places))
    .bind::<SqlUuid, _>(user)
    .bind::<Timestamptz, _>(now)
    .prepared()
    .load(conn)
    .await
    .map_err(gone)?;
    Ok(moved.into_iter().map(|moved| moved.thread_id).collect())
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
    let rows: Vec<(Watermark, i64)> = query.prepared().load(conn).await?;
    // One transaction may have moved several: whoever has been told of a part of them is told
    // of all of them again.
    let moves: Vec<Option<i64>> = rows.iter().map(|(mark, _)| mark.xid_for(access)).collect();
    let next = |index: usize| {
        let part = moves.get(index + 1) == Some(&moves[index]);
        moves[index].map_or(since, |xid| if part { xid } else { xid + 1 })
    };
    let numbered = rows.into_iter().enumerate();
    Ok(numbered
        .map(|(index, (moved, running))| (moved, running.min(next(index))))
        .collect())
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
    sql(&format!(
        "EXISTS ({})",
        unread(viewer, user, "m.id", "LIMIT 1")
    ))
}

/// How many messages by others a person has not seen, in each of these threads.
pub async fn unread_counts(
    conn: &mut Conn,
    viewer: &Viewer,
    user: UserId,
    of: &[ThreadId],
) -> Result<HashMap<ThreadId, i32>> {
    let counted: Vec<(ThreadId, i64)> = threads::table
        .filter(threads::id.eq_any(of))
        .select((threads::id, unread_count(viewer, user)))
        .load(conn)
        .await?;
    let number = |count: i64| i32::try_from(count).unwrap_or(i32::MAX);
    Ok(counted
        .into_iter()
        .map(|(id, count)| (id, number(count)))
        .collect())
}

/// In how many threads how many messages by others a person has not seen, those aside that he
/// has hidden.
pub async fn unread_totals(conn: &mut Conn, viewer: &Viewer, user: UserId) -> Result<(i64, i64)> {
    let numbers = |way: Way| -> Part {
        Box::new(
            threads::table
                .filter(visible_threads(viewer))
                .filter(way.threads())
                .filter(not(hidden_by(user)))
                .select(unread_count(viewer, user)),
        )
    };
    let ways = Way::of(viewer, None).into_iter();
    Ok(Totals(ways.map(numbers).collect()).get_result(conn).await?)
}

/// How many messages of a thread by others a person has not seen, as a part of a query of threads.
fn unread_count(viewer: &Viewer, user: UserId) -> SqlLiteral<BigInt> {
    let reads = user.uuid();
    let staff = access::staff_of(viewer, "threads.organization_id");
    let after = unread(viewer, user, "count(*)", "");
    // Of a thread that was never looked at the counters know how many messages it has; only
    // those from a watermark on are counted one by one.
    sql(&format!(
        "(CASE WHEN EXISTS (SELECT FROM watermarks w WHERE w.thread_id = threads.id
             AND w.user_id = '{reads}' AND w.kind = 'SEEN') THEN ({after})
           ELSE threads.user_message_count + threads.action_message_count
             + CASE WHEN {staff} THEN threads.private_message_count ELSE 0 END
             - (SELECT count(*) FROM messages m WHERE m.sender_id = '{reads}'
                AND m.thread_id = threads.id AND m.status <> 'DRAFT' AND m.deleted_at IS NULL
                AND (NOT m.private OR {staff}))
         END)"
    ))
}

/// The messages of a thread by others that a person has not seen.
fn unread(viewer: &Viewer, user: UserId, what: &str, end: &str) -> String {
    // Ids print as bare hexadecimal UUIDs: nothing in this text comes from a client.
    let user = user.uuid();
    let staff = access::staff_of(viewer, "m.organization_id");
    // The place is looked up first, so that messages are read from there on alone.
    format!(
        "SELECT {what} FROM (VALUES (threads.id)) AS t (id)
         LEFT JOIN watermarks w ON w.thread_id = t.id AND w.user_id = '{user}' AND w.kind = 'SEEN'
         CROSS JOIN LATERAL (
           SELECT m.id FROM messages m
           WHERE m.thread_id = t.id AND m.status <> 'DRAFT' AND m.deleted_at IS NULL
             AND (m.place_at, m.place_seq)
               > (coalesce(w.place_at, '-infinity'), coalesce(w.place_seq, 0))
             AND m.sender_id IS DISTINCT FROM '{user}' AND (NOT m.private OR {staff}) {end}
         ) m"
    )
}

/// Who has seen each of these messages, its sender aside: at most MAX_READERS each.
pub async fn readers(
    conn: &mut Conn,
    ids: &[MessageId],
) -> Result<HashMap<MessageId, Vec<UserId>>> {
    reached(conn, ids, &[Mark::Seen]).await
}

/// How many have seen each of these messages, its sender aside.
pub async fn reader_counts(conn: &mut Conn, ids: &[MessageId]) -> Result<HashMap<MessageId, i32>> {
    // Each thread's watermarks are read once for all messages, and counted on the way.
    let rows: Vec<ReaderCount> = diesel::sql_query(
        "WITH asked AS (
           SELECT id, thread_id, sender_id, place_at, place_seq FROM messages
           WHERE id = ANY ($1) AND status <> 'DRAFT'
         ), placed AS (
           SELECT id, thread_id, sender_id, place_at, place_seq, 0 AS reader FROM asked
           UNION ALL
           SELECT NULL, thread_id, NULL, place_at, place_seq, 1 FROM watermarks
           WHERE kind = 'SEEN' AND thread_id IN (SELECT thread_id FROM asked)
         ), counted AS (
           SELECT *, sum(reader) OVER (PARTITION BY thread_id ORDER BY place_at DESC, place_seq DESC) AS readers
           FROM placed
         )
         SELECT c.id AS message_id, (c.readers - count(w.user_id))::integer AS readers
         FROM counted c LEFT JOIN watermarks w ON w.thread_id = c.thread_id AND w.user_id = c.sender_id
           AND w.kind = 'SEEN' AND (w.place_at, w.place_seq) >= (c.place_at, c.place_seq)
         WHERE c.id IS NOT NULL GROUP BY c.id, c.readers",
    )
    .bind::<Array<SqlUuid>, _>(ids)
    .prepared()
    .load(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.message_id, row.readers))
        .collect())
}

/// Those to whose devices each of these messages has come, its sender aside: at most MAX_READERS
/// each. Who has seen a message has it.
pub async fn receivers(
    conn: &mut Conn,
    ids: &[MessageId],
) -> Result<HashMap<MessageId, Vec<UserId>>> {
    reached(conn, ids, &[Mark::Seen, Mark::Delivered]).await
}

/// Whose marks have come to each of these messages: at most MAX_READERS, those who have come
/// furthest.
async fn reached(
    conn: &mut Conn,
    ids: &[MessageId],
    kinds: &[Mark],
) -> Result<HashMap<MessageId, Vec<UserId>>> {
    let rows: Vec<Reader> = diesel::sql_query(
        "SELECT m.id AS message_id, r.user_id FROM messages m
         CROSS JOIN LATERAL (
           SELECT DISTINCT furthest.user_id FROM unnest($3) AS k (kind)
           CROSS JOIN LATERAL (
             SELECT w.user_id FROM watermarks w
             WHERE w.thread_id = m.thread_id AND w.kind = k.kind
               AND (w.place_at, w.place_seq) >= (m.place_at, m.place_seq)
               AND w.user_id IS DISTINCT FROM m.sender_id
             ORDER BY w.place_at DESC, w.place_seq DESC, w.user_id DESC LIMIT $2
           ) furthest
           ORDER BY furthest.user_id LIMIT $2
         ) r
         WHERE m.id = ANY ($1) AND m.status <> 'DRAFT'",
    )
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<Integer, _>(MAX_READERS)
    .bind::<Array<Text>, _>(kinds)
    .prepared()
    .load(conn)
    .await?;
    let mut reached: HashMap<MessageId, Vec<UserId>> = HashMap::new();
    for row in rows {
        reached.entry(row.message_id).or_default().push(row.user_id);
    }
    Ok(reached)
}

/// What these people have seen and received of these threads.
pub async fn of_people(conn: &mut Conn, parts: &[(ThreadId, UserId)]) -> Result<Vec<Watermark>> {
    let (in_threads, people): (Vec<ThreadId>, Vec<UserId>) = parts.iter().copied().unzip();
    let asked = sql::<Bool>(
        "(watermarks.thread_id, watermarks.user_id) IN (SELECT thread_id, user_id FROM unnest(",
    )
    .bind::<Array<SqlUuid>, _>(in_threads)
    .sql(", ")
    .bind::<Array<SqlUuid>, _>(people)
    .sql(") AS asked (thread_id, user_id))");
    Ok(watermarks::table
        .filter(asked)
        .select(Watermark::as_select())
        .prepared()
        .load(conn)
        .await?)
}

/// The thread was deleted, or moved, since it was found.
fn gone(error: diesel::result::Error) -> Error {
    use diesel::result::{DatabaseErrorKind, Error as Sql};
    match error {
        Sql::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _) => Error::NotFound("thread"),
        other => other.into(),
    }
}

fn ids(places: &[(&ThreadAccess, Key<i64>)]) -> Vec<ThreadId> {
    places
        .iter()
        .map(|(access, _)| access.thread().id)
        .collect()
}

fn organizations(places: &[(&ThreadAccess, Key<i64>)]) -> Vec<OrganizationId> {
    let organization = |access: &ThreadAccess| access.thread().organization_id;
    places
        .iter()
        .map(|(access, _)| organization(access))
        .collect()
}

fn times(places: &[(&ThreadAccess, Key<i64>)]) -> Vec<DateTime<Utc>> {
    places.iter().map(|(_, place)| place.at).collect()
}

fn ties(places: &[(&ThreadAccess, Key<i64>)]) -> Vec<i64> {
    places.iter().map(|(_, place)| place.tie).collect()
}

#[derive(QueryableByName)]
struct Moved {
    #[diesel(sql_type = SqlUuid)]
    thread_id: ThreadId,
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
