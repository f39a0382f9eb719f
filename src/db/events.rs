//! The log of every thread: appended last in the transaction that made the change, read in order.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel::dsl::{exists, sql};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::db::access::ThreadAccess;
use crate::db::enums::{Access, EventKind};
use crate::db::lookups::Lookups;
use crate::db::message::{self, Message};
use crate::db::pool::Conn;
use crate::db::prepared::Prepare;
use crate::db::schema::events;
use crate::db::snapshot::Snapshot;
use crate::error::{Error, Result};
use crate::event::{Appended, Audience, Event, Fact, Former};
use crate::ids::{MessageId, OrganizationId, ThreadId, UserId};

/// How many bytes of messages are read at once, about: who reads slowly keeps them in memory.
const MOST_BYTES: i64 = 1 << 20;

/// A row of the log.
#[derive(Debug, Clone, Queryable, QueryableByName, Selectable, Insertable)]
#[diesel(table_name = events, treat_none_as_default_value = false)]
pub(in crate::db) struct Row {
    pub thread_id: ThreadId,
    pub seq: i64,
    organization_id: OrganizationId,
    pub kind: EventKind,
    staff_only: bool,
    actor_id: Option<UserId>,
    pub message_id: Option<MessageId>,
    user_id: Option<UserId>,
    occurred_at: DateTime<Utc>,
    appended_text: Option<String>,
    appended_at: Option<i32>,
    former_organization_id: Option<OrganizationId>,
    former_access: Option<Access>,
}

/// A part of a thread's log.
pub struct Stretch {
    /// The events that can still be told.
    pub events: Vec<Arc<Event>>,
    /// The number of the first event that was there.
    pub first_seq: Option<i64>,
    /// The log was read up to here.
    pub last_seq: i64,
    /// Whether that was its end.
    pub ended: bool,
}

/// Appends events, as the last statement of the transaction that made the change.
pub async fn append(
    mut conn: &AsyncPgConnection,
    told: &[Event],
) -> Result<(), diesel::result::Error> {
    // Most changes tell one thing: that statement is kept prepared, one of several rows is not.
    if let [only] = told {
        diesel::insert_into(events::table)
            .values(row(only))
            .execute(&mut conn)
            .await?;
        return Ok(());
    }
    let rows: Vec<Row> = told.iter().map(row).collect();
    diesel::insert_into(events::table)
        .values(&rows)
        .execute(&mut conn)
        .await?;
    Ok(())
}

/// Forgets what was appended to a message, which is deleted for good: the log keeps that there
/// was something, not what.
pub async fn forget_appended(conn: &mut Conn, thread: ThreadId, message: MessageId) -> Result<()> {
    let appended = events::table
        .filter(events::thread_id.eq(thread))
        .filter(events::message_id.eq(message))
        .filter(events::appended_text.is_not_null());
    diesel::update(appended)
        .set(events::appended_text.eq(None::<String>))
        .execute(conn)
        .await?;
    Ok(())
}

/// The same of all messages of a thread, which is deleted for good.
pub async fn forget_all_appended(conn: &mut Conn, thread: ThreadId) -> Result<()> {
    let appended = events::table
        .filter(events::thread_id.eq(thread))
        .filter(events::appended_text.is_not_null());
    diesel::update(appended)
        .set(events::appended_text.eq(None::<String>))
        .execute(conn)
        .await?;
    Ok(())
}

/// The next stretch of a thread's log after a number, at most `limit` events, and fewer if their
/// messages are long.
pub async fn after(
    conn: &mut Conn,
    access: &ThreadAccess,
    seq: i64,
    limit: i64,
) -> Result<Stretch> {
    let mut rows: Vec<Row> = events::table
        .filter(events::thread_id.eq(access.thread().id))
        .filter(events::seq.gt(seq))
        .order(events::seq)
        .limit(limit)
        .select(Row::as_select())
        .load(conn)
        .await?;
    let read = i64::try_from(rows.len()).unwrap_or(limit);
    // The log is read up to a hole at most: what is behind it begins the next stretch.
    let hole = rows.windows(2).position(|two| two[0].seq + 1 != two[1].seq);
    let whole = hole.is_none();
    rows.truncate(hole.map_or(rows.len(), |index| index + 1));
    let fit = fitting(conn, &rows.iter().collect::<Vec<_>>()).await?;
    let whole = whole && fit == rows.len();
    rows.truncate(fit);
    Ok(Stretch {
        first_seq: rows.as_slice().first().map(|row| row.seq),
        last_seq: rows.last().map_or(seq, |row| row.seq),
        ended: read < limit && whole,
        events: complete(conn, rows).await?,
    })
}

/// How many of these events one reader should keep in memory at once: the first ones, one of them
/// at least.
pub(in crate::db) async fn fitting(conn: &mut Conn, rows: &[&Row]) -> Result<usize> {
    let ids: Vec<MessageId> = rows.iter().filter_map(|row| row.message_id).collect();
    if ids.is_empty() {
        return Ok(rows.len());
    }
    let sizes = message::sizes(conn, &ids).await?;
    let mut bytes = 0;
    let fits = rows.iter().take_while(|row| {
        let before = bytes;
        let size = row.message_id.and_then(|id| sizes.get(&id));
        bytes += size.copied().unwrap_or_default();
        before < MOST_BYTES
    });
    Ok(fits.count())
}

/// The events at these places of the logs, in the order of each log; those that cannot be told
/// any more are left out. Who may know them is for who tells them to decide.
pub async fn at(conn: &mut Conn, places: &[(ThreadId, i64)]) -> Result<Vec<Arc<Event>>> {
    let threads: Vec<Uuid> = places.iter().map(|(thread, _)| thread.uuid()).collect();
    let numbers: Vec<i64> = places.iter().map(|(_, seq)| *seq).collect();
    let named = sql::<Bool>("(events.thread_id, events.seq) IN (SELECT * FROM unnest(")
        .bind::<Array<SqlUuid>, _>(threads)
        .sql(", ")
        .bind::<Array<BigInt>, _>(numbers)
        .sql("))");
    let rows: Vec<Row> = events::table
        .filter(named)
        .order((events::thread_id, events::seq))
        .select(Row::as_select())
        .prepared()
        .load(conn)
        .await?;
    complete(conn, rows).await
}

/// Whether the log still has what stood at a place, even if that cannot be told any more.
pub async fn is_kept(conn: &mut Conn, thread: ThreadId, seq: i64) -> Result<bool> {
    let row = events::table.find((thread, seq));
    Ok(diesel::select(exists(row)).get_result(conn).await?)
}

/// The deletion of a thread that a viewer saw at a number of its log; none if the thread is there,
/// or if he had left it before.
pub async fn deletion(
    conn: &mut Conn,
    (thread, viewer): (ThreadId, Option<UserId>),
    seq: i64,
) -> Result<Option<Arc<Event>>> {
    let viewer = viewer.unwrap_or(UserId::NOBODY);
    let left = events::kind
        .eq(EventKind::ParticipantRemoved)
        .and(events::user_id.eq(viewer).assume_not_null());
    let row: Option<Row> = events::table
        .filter(events::thread_id.eq(thread))
        .filter(events::seq.gt(seq))
        .filter(left.or(events::kind.eq(EventKind::ThreadDeleted)))
        .order(events::seq)
        .select(Row::as_select())
        .first(conn)
        .await
        .optional()?;
    let deleted = row.filter(|row| row.kind == EventKind::ThreadDeleted);
    deleted
        .and_then(|row| event(row, &HashMap::new()))
        .transpose()
}

/// The threads that were written to since a moment, each with its newest number among that.
pub async fn written_since(conn: &mut Conn, since: &Snapshot) -> Result<Vec<(ThreadId, i64)>> {
    let untold = events::xid
        .ge(since.xmax())
        .or(events::xid.eq_any(since.xip()));
    let written: Vec<(ThreadId, Option<i64>)> = events::table
        .filter(untold)
        .group_by(events::thread_id)
        .select((events::thread_id, diesel::dsl::max(events::seq)))
        .load(conn)
        .await?;
    let numbered = |(thread, seq): (ThreadId, Option<i64>)| Some((thread, seq?));
    Ok(written.into_iter().filter_map(numbered).collect())
}

fn row(event: &Event) -> Row {
    Row {
        thread_id: event.thread_id,
        seq: event.seq,
        organization_id: event.organization_id,
        kind: event.fact.kind(),
        staff_only: event.audience == Audience::Staff,
        actor_id: event.actor_id,
        message_id: event.fact.message_id(),
        user_id: event.fact.user_id(),
        occurred_at: event.occurred_at,
        appended_text: event.fact.appended().map(|text| text.text.to_string()),
        appended_at: event.fact.appended().map(|text| text.offset),
        former_organization_id: event.former.map(|former| former.organization_id),
        former_access: event.former.map(|former| former.access),
    }
}

/// The events of rows, with the messages that they are about.
async fn complete(conn: &mut Conn, rows: Vec<Row>) -> Result<Vec<Arc<Event>>> {
    let mut ids: Vec<MessageId> = rows.iter().filter_map(|row| row.message_id).collect();
    ids.sort_unstable();
    ids.dedup();
    let messages: HashMap<MessageId, Arc<Message>> = message::by_ids(conn, &ids)
        .await?
        .into_iter()
        .map(|message| (message.id, Arc::new(message)))
        .collect();
    let events = rows.into_iter().filter_map(|row| event(row, &messages));
    events.collect()
}

/// The event of a row. One about a message that has been deleted for good since is left out:
/// the event of its deletion follows.
pub(in crate::db) fn event(
    row: Row,
    messages: &HashMap<MessageId, Arc<Message>>,
) -> Option<Result<Arc<Event>>> {
    let message = || row.message_id.and_then(|id| messages.get(&id)).cloned();
    let fact = match row.kind {
        EventKind::MessageCreated => Fact::MessageCreated(message()?),
        EventKind::MessageUpdated => Fact::MessageUpdated(message()?),
        EventKind::MessageAppended => {
            let message = message()?;
            // A tombstone does not tell what it said.
            let text = row.appended_text.as_deref();
            let text = text.filter(|_| message.deleted_at.is_none())?.into();
            let offset = row.appended_at?;
            Fact::MessageAppended(message, Appended { text, offset })
        }
        EventKind::MessageRemoved => match row.message_id {
            Some(id) => Fact::MessageRemoved(id),
            None => return Some(Err(incomplete(&row))),
        },
        EventKind::ThreadCreated => Fact::ThreadCreated,
        EventKind::ThreadUpdated => Fact::ThreadUpdated,
        EventKind::ThreadDeleted => Fact::ThreadDeleted,
        EventKind::ParticipantAdded | EventKind::ParticipantRemoved => match row.user_id {
            Some(id) if row.kind == EventKind::ParticipantAdded => Fact::ParticipantAdded(id),
            Some(id) => Fact::ParticipantRemoved(id),
            None => return Some(Err(incomplete(&row))),
        },
    };
    Some(Ok(Arc::new(Event {
        organization_id: row.organization_id,
        thread_id: row.thread_id,
        seq: row.seq,
        fact,
        actor_id: row.actor_id,
        occurred_at: row.occurred_at,
        audience: if row.staff_only {
            Audience::Staff
        } else {
            Audience::Everyone
        },
        former: row.former_organization_id.zip(row.former_access).map(
            |(organization_id, access)| Former {
                organization_id,
                access,
            },
        ),
        lookups: Lookups::default(),
    })))
}

fn incomplete(row: &Row) -> Error {
    Error::internal(format!(
        "event {} of {} lacks what its kind needs",
        row.seq, row.thread_id
    ))
}
