//! The log across threads: what has become visible since a position, within a tenant or on the
//! whole server, in the order of the transactions. Never decides who may know of it.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Uuid as SqlUuid};
use diesel_async::{AsyncConnection, RunQueryDsl};

use crate::db::access::facts::Facts;
use crate::db::enums::{EventKind, Mark};
use crate::db::events::{self, Row};
use crate::db::message::{self, Message};
use crate::db::message_list::{self, Reached};
use crate::db::page::Key;
use crate::db::pool::Conn;
use crate::db::snapshot::Snapshot;
use crate::db::watermark::Watermark;
use crate::db::{api_key, organization};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::ids::{MessageId, OrganizationId, ThreadId, UserId};

/// How many events, and how many moved watermarks, are read at once; a transaction's are never
/// taken apart.
const STRETCH: i64 = 500;

const EVENT: &str = "thread_id, seq, organization_id, kind, staff_only, actor_id, message_id,
    user_id, occurred_at, appended_text, appended_at, former_organization_id, former_access, xid";

const MARK: &str = "thread_id, user_id, organization_id, place_at, place_seq, moved_at, xid,
    public_moved_at, public_xid, kind";

/// Where to read.
#[derive(Debug, Clone, Copy)]
pub enum Scope<'a> {
    /// The whole server.
    Everywhere,
    /// These tenants, and what was in them before it moved elsewhere.
    Within(&'a [OrganizationId]),
}

/// Who is to be judged by what is read: of whom a change of rights is looked for.
#[derive(Debug, Clone, Copy)]
pub enum About {
    /// Anybody.
    All,
    /// One person; nobody: a backend.
    One(Option<UserId>),
}

/// What has become visible between two moments.
#[derive(Debug)]
pub struct Reading {
    /// The later one.
    pub now: Snapshot,
    /// Set: there is more than this; only transactions up to this one were read.
    pub cut: Option<i64>,
    /// The newest transaction of which events are no longer kept.
    pub dropped: i64,
    /// Whose memberships have changed, where, and by which transaction.
    pub members: Vec<(OrganizationId, UserId, i64)>,
    /// Which API keys were revoked, and by which transaction.
    pub keys: Vec<(String, i64)>,
    /// What decides who may know.
    pub facts: Facts,
    /// Events of later transactions that were read all the same, since earlier ones of the same
    /// threads follow on them.
    pub early: Vec<(ThreadId, i64, i64)>,
    events: Vec<Logged>,
    moves: Vec<Moved>,
}

/// A row of the log with its transaction.
#[derive(Debug, QueryableByName)]
struct Logged {
    #[diesel(embed)]
    entry: Row,
    #[diesel(sql_type = BigInt)]
    xid: i64,
}

/// A watermark that moved.
#[derive(Debug, Clone, QueryableByName)]
struct Moved {
    #[diesel(embed)]
    mark: Watermark,
    #[diesel(sql_type = BigInt)]
    told_xid: i64,
    #[diesel(sql_type = Bool)]
    public: bool,
}

/// The latest move of somebody's watermark.
#[derive(Debug, Clone)]
pub struct Move {
    /// Whose, in which thread.
    pub thread_id: ThreadId,
    /// Whose.
    pub user_id: UserId,
    /// What it marks.
    pub mark: Mark,
    /// When.
    pub at: DateTime<Utc>,
    /// Who may know of it.
    pub among: Among,
    /// The number in the thread that it came to.
    pub place: i64,
    /// Up to which message.
    pub up_to: Reached,
}

/// Who may know of a move, among those who see the thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Among {
    /// Everyone.
    Everyone,
    /// Staff: it went over nothing but private notes.
    Staff,
    /// All but the staff, who are told of a later move: that one the others must not know.
    Others,
}

/// Reads what has become visible since a position, all of it as of one moment. `viewers` is asked
/// once that moment is fixed: whoever begins to listen later begins behind it.
pub async fn read(
    conn: &mut Conn,
    since: &Snapshot,
    (scope, about): (Scope<'_>, About),
    viewers: impl FnOnce() -> Vec<UserId> + Send,
) -> Result<Reading> {
    conn.transaction(async |conn| {
        diesel::sql_query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            .execute(conn)
            .await?;
        let (now, dropped) = Snapshot::read(conn).await?;
        let viewers = viewers();
        let of = match about {
            About::All => None,
            About::One(user) => Some(user.unwrap_or(UserId::NOBODY)),
        };
        let members = organization::changed_since(conn, since, of).await?;
        let keys = api_key::revoked_since(conn, since).await?;
        let mut events = events_since(conn, since, scope).await?;
        let mut moves = moves_since(conn, since, scope).await?;
        // What the node reads for all is in its memory once; what one reads for himself is not.
        let long = match about {
            About::One(_) => too_long(conn, &events).await?,
            About::All => None,
        };
        let full = |read: usize| i64::try_from(read).is_ok_and(|read| read >= STRETCH);
        let last_event = events.last().filter(|_| full(events.len()));
        let last_move = moves.last().filter(|_| full(moves.len()));
        let ends = [
            last_event.map(|event| event.xid),
            long,
            last_move.map(|moved| moved.told_xid),
        ];
        let cut = ends.into_iter().flatten().min();
        let mut early = Vec::new();
        if let Some(end) = cut {
            events.retain(|event| event.xid <= end);
            moves.retain(|moved| moved.told_xid <= end);
            let before = predecessors(conn, since, &events, end).await?;
            let place = |event: &Logged| (event.entry.thread_id, event.entry.seq, event.xid);
            early = before.iter().map(place).collect();
            events.extend(before);
        }
        let facts = facts(conn, &events, &moves, &viewers).await?;
        Ok(Reading {
            now,
            cut,
            dropped,
            members,
            keys,
            facts,
            early,
            events,
            moves,
        })
    })
    .await
}

impl Reading {
    /// Takes the events that can still be told, each with its transaction. What the bus brought
    /// is not loaded again; messages of threads that nobody wants are not loaded at all.
    pub async fn take_events(
        &mut self,
        conn: &mut Conn,
        known: impl Fn(ThreadId, i64) -> Option<Arc<Event>>,
        wanted: impl Fn(&Facts, ThreadId) -> bool,
    ) -> Result<Vec<(i64, Arc<Event>)>> {
        let mut rows = std::mem::take(&mut self.events);
        rows.retain(|logged| {
            logged.entry.message_id.is_none() || wanted(&self.facts, logged.entry.thread_id)
        });
        let rows: Vec<(Logged, Option<Arc<Event>>)> = rows
            .into_iter()
            .map(|logged| {
                let event = known(logged.entry.thread_id, logged.entry.seq);
                (logged, event)
            })
            .collect();
        let unknown = rows.iter().filter(|(_, event)| event.is_none());
        let mut ids: Vec<MessageId> = unknown
            .filter_map(|(row, _)| row.entry.message_id)
            .collect();
        ids.sort_unstable();
        ids.dedup();
        let mut messages: HashMap<MessageId, Arc<Message>> = HashMap::new();
        if !ids.is_empty() {
            for message in message::by_ids(conn, &ids).await? {
                messages.insert(message.id, Arc::new(message));
            }
        }
        let event = |(logged, known): (Logged, Option<Arc<Event>>)| {
            let xid = logged.xid;
            let event = match known {
                Some(event) => Ok(event),
                None => events::event(logged.entry, &messages)?,
            };
            Some(event.map(|event| (xid, event)))
        };
        rows.into_iter().filter_map(event).collect()
    }

    /// Takes the moves of watermarks that somebody wants, each with its transaction.
    pub async fn take_moves(
        &mut self,
        conn: &mut Conn,
        wanted: impl Fn(&Facts, ThreadId) -> bool,
    ) -> Result<Vec<(i64, Move)>> {
        let mut moves = std::mem::take(&mut self.moves);
        moves.retain(|moved| wanted(&self.facts, moved.mark.thread_id));
        let place = |moved: &Moved| (moved.mark.thread_id, moved.mark.place());
        let places: Vec<(ThreadId, Key<i64>)> = moves.iter().map(place).collect();
        let reached = message_list::newest_up_to(conn, &places).await?;
        let told = moves.into_iter().zip(reached).map(|(moved, up_to)| {
            let (mark, public) = (moved.mark, moved.public);
            let among = match (public, mark.public_xid == Some(mark.xid)) {
                (true, _) => Among::Others,
                (false, true) => Among::Everyone,
                (false, false) => Among::Staff,
            };
            let public_at = mark.public_moved_at.filter(|_| public);
            let told = Move {
                thread_id: mark.thread_id,
                user_id: mark.user_id,
                mark: mark.kind,
                at: public_at.unwrap_or(mark.moved_at),
                among,
                place: mark.place_seq,
                up_to,
            };
            (moved.told_xid, told)
        });
        Ok(told.collect())
    }
}

/// The last transaction whose events one reader should keep in memory, if there are more.
async fn too_long(conn: &mut Conn, events: &[Logged]) -> Result<Option<i64>> {
    let rows: Vec<&Row> = events.iter().map(|event| &event.entry).collect();
    let fit = events::fitting(conn, &rows).await?;
    Ok((fit < events.len()).then(|| events[fit - 1].xid))
}

async fn facts(
    conn: &mut Conn,
    events: &[Logged],
    moves: &[Moved],
    viewers: &[UserId],
) -> Result<Facts> {
    let told = events.iter().map(|event| event.entry.thread_id);
    let moved = moves.iter().map(|moved| moved.mark.thread_id);
    let mut ids: Vec<ThreadId> = told.chain(moved).collect();
    ids.sort_unstable();
    ids.dedup();
    let deletions = events
        .iter()
        .filter(|event| event.entry.kind == EventKind::ThreadDeleted);
    let deleted: Vec<ThreadId> = deletions.map(|event| event.entry.thread_id).collect();
    Facts::load(conn, &ids, &deleted, viewers).await
}

/// The events that have become visible since, ordered by their transactions. Each part reads an
/// index from its place on.
async fn events_since(conn: &mut Conn, since: &Snapshot, scope: Scope<'_>) -> Result<Vec<Logged>> {
    let own = |tenant| parts(EVENT, "events", (tenant, "xid"), "true");
    let statement = match scope {
        Scope::Everywhere => one_after_another(EVENT, &own(None), "xid"),
        Scope::Within(_) => {
            let former = (Some("former_organization_id"), "xid");
            let away = parts(EVENT, "events", former, "organization_id <> o.id");
            let parts = format!("{} UNION ALL {away}", own(Some("organization_id")));
            in_each_tenant(EVENT, &parts, "xid")
        }
    };
    let mut found: Vec<Logged> = bound(since, scope, &statement, conn).await?;
    // What moved from one of the tenants to another one was found in both.
    found.sort_by_key(|event| (event.xid, event.entry.thread_id, event.entry.seq));
    found.dedup_by_key(|event| (event.entry.thread_id, event.entry.seq));
    Ok(found)
}

/// The watermarks that have moved since, ordered by the transactions. One that went last over
/// private notes alone is found twice: for the staff, and for the others by its move before.
async fn moves_since(conn: &mut Conn, since: &Snapshot, scope: Scope<'_>) -> Result<Vec<Moved>> {
    let (tenant, inside) = match scope {
        Scope::Everywhere => (None, "true"),
        Scope::Within(_) => (Some("organization_id"), "organization_id = o.id"),
    };
    let columns =
        |xid: &str, public: bool| format!("{MARK}, {xid} AS told_xid, {public} AS public");
    let latest = columns("xid", false);
    let latest = parts(&latest, "watermarks", (tenant, "xid"), "true");
    // Of these there are few: their index knows no tenants.
    let (public, apart) = (
        columns("public_xid", true),
        format!("{inside} AND public_xid <> xid"),
    );
    let public = parts(&public, "watermarks", (None, "public_xid"), &apart);
    let parts = format!("{latest} UNION ALL {public}");
    let columns = format!("{MARK}, told_xid, public");
    let statement = match scope {
        Scope::Everywhere => one_after_another(&columns, &parts, "told_xid"),
        Scope::Within(_) => in_each_tenant(&columns, &parts, "told_xid"),
    };
    bound(since, scope, &statement, conn).await
}

/// What transactions did that were running at the position, and what later ones did; of all
/// tenants, or of the one that a column names.
fn parts(
    columns: &str,
    table: &str,
    (tenant, xid): (Option<&str>, &str),
    condition: &str,
) -> String {
    let (running, later, order) = match tenant {
        None => (
            format!("{xid} = ANY ($2)"),
            format!("{xid} >= $1"),
            xid.to_owned(),
        ),
        // As a range, not as an equality: else the index by transactions alone would have the
        // right order, too, in which the rows of all the other tenants stand between.
        Some(tenant) => (
            format!("{tenant} = o.id AND {xid} = ANY ($2)"),
            format!("({tenant}, {xid}) >= (o.id, $1) AND {tenant} <= o.id"),
            format!("{tenant}, {xid}"),
        ),
    };
    let part = |untold: String| {
        format!(
            "(SELECT {columns} FROM {table} WHERE {untold} AND {condition}
              ORDER BY {order} FETCH FIRST ($3) ROWS WITH TIES)"
        )
    };
    format!("{} UNION ALL {}", part(running), part(later))
}

fn one_after_another(columns: &str, parts: &str, xid: &str) -> String {
    format!(
        "SELECT {columns} FROM ({parts}) AS picked
         WHERE $4::uuid[] IS NOT NULL ORDER BY {xid} FETCH FIRST ($3) ROWS WITH TIES"
    )
}

fn in_each_tenant(columns: &str, parts: &str, xid: &str) -> String {
    format!(
        "SELECT {columns} FROM unnest($4::uuid[]) AS o (id) CROSS JOIN LATERAL ({parts}) AS picked
         ORDER BY {xid} FETCH FIRST ($3) ROWS WITH TIES"
    )
}

async fn bound<T>(
    since: &Snapshot,
    scope: Scope<'_>,
    statement: &str,
    conn: &mut Conn,
) -> Result<Vec<T>>
where
    T: QueryableByName<diesel::pg::Pg> + Send + 'static,
{
    let tenants = match scope {
        Scope::Everywhere => &[],
        Scope::Within(tenants) => tenants,
    };
    Ok(diesel::sql_query(statement)
        .bind::<BigInt, _>(since.xmax())
        .bind::<Array<BigInt>, _>(since.xip())
        .bind::<BigInt, _>(STRETCH)
        .bind::<Array<SqlUuid>, _>(tenants)
        .load(conn)
        .await?)
}

/// The events of later transactions than `end` on which some of these follow in their threads: a
/// transaction that began later may have been the first one in a thread.
async fn predecessors(
    conn: &mut Conn,
    since: &Snapshot,
    events: &[Logged],
    end: i64,
) -> Result<Vec<Logged>> {
    let (threads, numbers): (Vec<ThreadId>, Vec<i64>) = events
        .iter()
        .map(|event| (event.entry.thread_id, event.entry.seq))
        .unzip();
    let untold = "xid > $3 AND (xid >= $4 OR xid = ANY ($5))";
    let found = diesel::sql_query(format!(
        "WITH RECURSIVE before AS (
           SELECT e.thread_id, e.seq FROM unnest($1, $2) AS g (thread_id, seq)
           JOIN events e ON e.thread_id = g.thread_id AND e.seq = g.seq - 1 WHERE {untold}
           UNION
           SELECT e.thread_id, e.seq FROM before b
           JOIN events e ON e.thread_id = b.thread_id AND e.seq = b.seq - 1 WHERE {untold}
         )
         SELECT {EVENT} FROM events WHERE (thread_id, seq) IN (SELECT thread_id, seq FROM before)"
    ))
    .bind::<Array<SqlUuid>, _>(threads)
    .bind::<Array<BigInt>, _>(numbers)
    .bind::<BigInt, _>(end)
    .bind::<BigInt, _>(since.xmax())
    .bind::<Array<BigInt>, _>(since.xip())
    .load(conn)
    .await;
    found.map_err(Error::from)
}
