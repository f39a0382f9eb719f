//! Lists of messages: of a thread, of drafts; first, latest, first unread.
//!
//! The one over all threads is in `message_list/anywhere`.

pub mod anywhere;

use std::collections::HashMap;
use std::sync::Arc;

use diesel::dsl::{not, sql};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::auth::Viewer;
use crate::db::access::{ThreadAccess, visible_threads};
use crate::db::enums::{MessageStatus, Role};
use crate::db::message::Message;
use crate::db::page::{Key, Page, Slice, beyond};
use crate::db::pool::Conn;
use crate::db::prepared::Prepare;
use crate::db::schema::{messages, threads};
use crate::error::Result;
use crate::ids::{ThreadId, UserId};

type Query<'a> = messages::BoxedQuery<'a, Pg>;

/// The same page of the messages of each of these threads, oldest first: tombstones in their
/// places, the viewer's own drafts at the end.
pub async fn in_threads(
    conn: &mut Conn,
    threads: &[ThreadAccess],
    page: &Page<i64>,
) -> Result<HashMap<ThreadId, Slice<Message>>> {
    let listed = "(status <> 'DRAFT' OR sender_id = t.viewer)";
    let part = page.part("place_at", "place_seq");
    let rows = messages::table
        .filter(chosen(threads, &format!("{listed} {part}")))
        .select(Message::as_select())
        .order((messages::place_at, messages::place_seq))
        .load(conn)
        .await?;
    let mut found: HashMap<ThreadId, Vec<Message>> = HashMap::new();
    for message in rows {
        found.entry(message.thread_id).or_default().push(message);
    }
    let cut = |access: &ThreadAccess| {
        let id = access.thread().id;
        (id, page.cut_ordered(found.remove(&id).unwrap_or_default()))
    };
    Ok(threads.iter().map(cut).collect())
}

/// A window of a thread's messages with one of them in its middle; near an end of the list it
/// holds more of the other side.
pub async fn around(
    conn: &mut Conn,
    access: &ThreadAccess,
    middle: &Message,
    limit: i64,
) -> Result<Slice<Message>> {
    let place = middle.place();
    let before = Page {
        after: None,
        before: Some(place),
        backward: true,
        limit,
    };
    // From the message itself on: behind the place just before its own.
    let just_before = Key {
        at: place.at,
        tie: place.tie - 1,
    };
    let from = Page {
        after: Some(just_before),
        before: None,
        backward: false,
        limit,
    };
    let thread = std::slice::from_ref(access);
    let mut before = in_threads(conn, thread, &before).await?;
    let mut from = in_threads(conn, thread, &from).await?;
    let id = access.thread().id;
    let parts = before.remove(&id).zip(from.remove(&id));
    let (before, from) = parts.expect("a page of each thread that was asked for");
    Ok(Slice::around(before, from, limit))
}

/// How many drafts of his own the viewer finds in each of these threads that has any.
pub async fn draft_counts(conn: &mut Conn, of: &[ThreadAccess]) -> Result<HashMap<ThreadId, i64>> {
    let (Some(first), ids) = (of.first(), ids(of)) else {
        return Ok(HashMap::new());
    };
    let Some(user) = first.viewer_id() else {
        return Ok(HashMap::new());
    };
    let staffed: Vec<ThreadId> = of
        .iter()
        .filter(|access| access.is_staff())
        .map(|access| access.thread().id)
        .collect();
    let counts = messages::table
        .filter(messages::thread_id.eq_any(ids))
        .filter(messages::sender_id.eq(user))
        .filter(messages::status.eq(MessageStatus::Draft))
        .filter(not(messages::private).or(messages::thread_id.eq_any(staffed)))
        .group_by(messages::thread_id)
        .select((messages::thread_id, diesel::dsl::count_star()));
    Ok(counts.load(conn).await?.into_iter().collect())
}

/// A page of a person's drafts in threads that he still sees, oldest first.
pub async fn drafts(
    conn: &mut Conn,
    viewer: &Viewer,
    user: UserId,
    page: &Page<Uuid>,
) -> Result<Slice<Message>> {
    const ORDER: &str = "messages.created_at, messages.id";
    let mut query = drafts_of(viewer, user)
        .select(Message::as_select())
        .limit(page.probe());
    if let Some(key) = &page.after {
        query = query.filter(beyond::<SqlUuid, _>(ORDER, ">", key));
    }
    if let Some(key) = &page.before {
        query = query.filter(beyond::<SqlUuid, _>(ORDER, "<", key));
    }
    query = if page.backward {
        query.order((messages::created_at.desc(), messages::id.desc()))
    } else {
        query.order((messages::created_at.asc(), messages::id.asc()))
    };
    Ok(page.cut(query.load(conn).await?))
}

/// How many there are.
pub async fn drafts_count(conn: &mut Conn, viewer: &Viewer, user: UserId) -> Result<i64> {
    Ok(drafts_of(viewer, user).count().get_result(conn).await?)
}

/// A draft's place in that list.
pub fn draft_key(message: &Message) -> Key<Uuid> {
    Key {
        at: message.created_at,
        tie: message.id.uuid(),
    }
}

/// One message of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pick {
    /// The oldest.
    First,
    /// The newest.
    Latest,
    /// The oldest one by somebody else that the viewer has not seen.
    FirstUnread,
}

/// That message of each of these threads: sent, not deleted, seen by the viewer.
pub async fn pick(
    conn: &mut Conn,
    threads: &[ThreadAccess],
    pick: Pick,
) -> Result<HashMap<ThreadId, Message>> {
    let unread = "AND sender_id IS DISTINCT FROM t.viewer AND (place_at, place_seq)
        > (coalesce(w.place_at, '-infinity'), coalesce(w.place_seq, 0))";
    let (which, direction) = match pick {
        Pick::First => ("", "ASC"),
        Pick::Latest => ("", "DESC"),
        Pick::FirstUnread => (unread, "ASC"),
    };
    let condition = format!(
        "status <> 'DRAFT' AND deleted_at IS NULL {which}
         ORDER BY place_at {direction}, place_seq {direction} LIMIT 1"
    );
    by_thread(conn, threads, &condition).await
}

/// The newest message of each of these threads that is not by that user.
pub async fn latest_not_by(
    conn: &mut Conn,
    threads: &[ThreadAccess],
    user: UserId,
) -> Result<HashMap<ThreadId, Message>> {
    let condition = format!(
        "status <> 'DRAFT' AND deleted_at IS NULL AND sender_id IS DISTINCT FROM '{}'
         ORDER BY place_at DESC, place_seq DESC LIMIT 1",
        user.uuid()
    );
    by_thread(conn, threads, &condition).await
}

async fn by_thread(
    conn: &mut Conn,
    threads: &[ThreadAccess],
    condition: &str,
) -> Result<HashMap<ThreadId, Message>> {
    let found: Vec<Message> = messages::table
        .filter(chosen(threads, condition))
        .select(Message::as_select())
        .load(conn)
        .await?;
    Ok(found
        .into_iter()
        .map(|message| (message.thread_id, message))
        .collect())
}

type Condition = Box<dyn BoxableExpression<messages::table, Pg, SqlType = Bool>>;

/// The condition on the messages that are chosen for each thread, of those that the viewer may
/// read. `which` goes on from there, about `messages`, with the thread and the viewer `t (id,
/// staff, viewer)` and up to where he has seen it, `w`; it ends with an order and a limit.
fn chosen(threads: &[ThreadAccess], which: &str) -> Condition {
    let staff: Vec<bool> = threads.iter().map(ThreadAccess::is_staff).collect();
    let viewers: Vec<Option<UserId>> = threads.iter().map(ThreadAccess::viewer_id).collect();
    Box::new(
        sql::<Bool>("messages.id IN (SELECT chosen.id FROM unnest(")
            .bind::<Array<SqlUuid>, _>(ids(threads))
            .sql(", ")
            .bind::<Array<Bool>, _>(staff)
            .sql(", ")
            .bind::<Array<Nullable<SqlUuid>>, _>(viewers)
            .sql(&format!(
                ") AS t (id, staff, viewer)
                 LEFT JOIN watermarks w
                   ON w.thread_id = t.id AND w.user_id = t.viewer AND w.kind = 'SEEN'
                 CROSS JOIN LATERAL (
                   SELECT messages.id FROM messages
                   WHERE messages.thread_id = t.id AND (t.staff OR NOT private) AND {which}
                 ) chosen)"
            )),
    )
}

fn ids(threads: &[ThreadAccess]) -> Vec<ThreadId> {
    threads.iter().map(|access| access.thread().id).collect()
}

/// When the newest messages of a thread were sent that are neither drafts nor deleted: the
/// newest public one, and the newest one of all.
pub async fn newest_times(
    conn: &mut Conn,
    thread: ThreadId,
) -> Result<(
    Option<chrono::DateTime<chrono::Utc>>,
    Option<chrono::DateTime<chrono::Utc>>,
)> {
    let sent = || {
        messages::table
            .filter(messages::thread_id.eq(thread))
            .filter(messages::status.ne(MessageStatus::Draft))
            .filter(messages::deleted_at.is_null())
            .order((messages::place_at.desc(), messages::place_seq.desc()))
            .select(messages::place_at)
    };
    let public = sent()
        .filter(not(messages::private))
        .first(conn)
        .await
        .optional()?;
    let any = sent().first(conn).await.optional()?;
    Ok((public, any))
}

fn drafts_of(viewer: &Viewer, user: UserId) -> Query<'static> {
    messages::table
        .filter(messages::sender_id.eq(user))
        .filter(messages::status.eq(MessageStatus::Draft))
        // Whoever drafted a note as an agent and is none any more has lost it.
        .filter(
            not(messages::private)
                .or(messages::organization_id.eq_any(viewer.organizations(Role::is_staff))),
        )
        .filter(
            messages::thread_id.eq_any(
                threads::table
                    .filter(visible_threads(viewer))
                    .select(threads::id),
            ),
        )
        .into_boxed()
}

/// For each of these places, of one thread or several, the newest sent message up to it that the
/// viewer sees.
pub async fn at_places(
    conn: &mut Conn,
    places: &[(&ThreadAccess, Key<i64>)],
) -> Result<Vec<Option<Message>>> {
    let asked = places
        .iter()
        .map(|(access, key)| (access.thread().id, access.is_staff(), *key));
    let found = newest_at(conn, &asked.collect::<Vec<_>>()).await?;
    let newest_up_to = |(access, place): &(&ThreadAccess, Key<i64>)| {
        found
            .iter()
            .filter(|message| message.thread_id == access.thread().id && access.sees(message))
            .filter(|message| (message.place_at, message.place_seq) <= (place.at, place.tie))
            .max_by_key(|message| (message.place_at, message.place_seq))
            .cloned()
    };
    Ok(places.iter().map(newest_up_to).collect())
}

/// The newest message up to a place, private notes included, and the newest public one.
#[derive(Debug, Clone, Default)]
pub struct Reached {
    /// For staff.
    pub any: Option<Arc<Message>>,
    /// For others.
    pub public: Option<Arc<Message>>,
}

/// The newest messages up to places in threads, whoever is told of them.
pub(in crate::db) async fn newest_up_to(
    conn: &mut Conn,
    places: &[(ThreadId, Key<i64>)],
) -> Result<Vec<Reached>> {
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let both = places
        .iter()
        .flat_map(|(thread, key)| [(*thread, true, *key), (*thread, false, *key)]);
    let found = newest_at(conn, &both.collect::<Vec<_>>()).await?;
    let mut in_threads: HashMap<ThreadId, Vec<Arc<Message>>> = HashMap::new();
    for message in found {
        let those = in_threads.entry(message.thread_id).or_default();
        those.push(Arc::new(message));
    }
    let newest = |(thread, key): &(ThreadId, Key<i64>), staff: bool| {
        let those = in_threads.get(thread).into_iter().flatten();
        those
            .filter(|message| staff || !message.private)
            .filter(|message| (message.place_at, message.place_seq) <= (key.at, key.tie))
            .max_by_key(|message| (message.place_at, message.place_seq))
            .cloned()
    };
    let reached = places.iter().map(|place| Reached {
        any: newest(place, true),
        public: newest(place, false),
    });
    Ok(reached.collect())
}

/// The newest messages up to each of these places, for staff or for others.
async fn newest_at(conn: &mut Conn, places: &[(ThreadId, bool, Key<i64>)]) -> Result<Vec<Message>> {
    let of: Vec<ThreadId> = places.iter().map(|(thread, ..)| *thread).collect();
    let staff: Vec<bool> = places.iter().map(|(_, staff, _)| *staff).collect();
    let (at, seq): (Vec<_>, Vec<_>) = places.iter().map(|(.., key)| (key.at, key.tie)).unzip();
    let up_to: Condition = Box::new(
        sql::<Bool>("messages.id IN (SELECT newest.id FROM unnest(")
            .bind::<Array<SqlUuid>, _>(of)
            .sql(", ")
            .bind::<Array<Bool>, _>(staff)
            .sql(", ")
            .bind::<Array<Timestamptz>, _>(at)
            .sql(", ")
            .bind::<Array<BigInt>, _>(seq)
            .sql(
                ") AS p (thread_id, staff, at, seq)
                 CROSS JOIN LATERAL (
                   SELECT id FROM messages
                   WHERE thread_id = p.thread_id AND status <> 'DRAFT' AND (p.staff OR NOT private)
                     AND (place_at, place_seq) <= (p.at, p.seq)
                   ORDER BY place_at DESC, place_seq DESC LIMIT 1
                 ) newest)",
            ),
    );
    Ok(messages::table
        .filter(up_to)
        .select(Message::as_select())
        .prepared()
        .load(conn)
        .await?)
}

/// The message that was sent first into a thread, whenever it is dated; none if it is gone.
pub async fn first_sent(conn: &mut Conn, access: &ThreadAccess) -> Result<Option<Message>> {
    Ok(messages::table
        .filter(messages::thread_id.eq(access.thread().id))
        .filter(messages::seq.is_not_null())
        .filter(access.listed_messages())
        .order(messages::seq)
        .select(Message::as_select())
        .first(conn)
        .await
        .optional()?)
}
