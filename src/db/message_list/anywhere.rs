//! The list of sent messages over all threads that the viewer sees.

use diesel::dsl::{exists, sql};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment};
use diesel::sql_types::{BigInt, Bool, Jsonb, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde_json::Value;
use uuid::Uuid;

use crate::auth::Viewer;
use crate::db::access::ways::Way;
use crate::db::access::{self, readable_messages, visible_messages, visible_threads};
use crate::db::enums::{MessageType, Role};
use crate::db::message::Message;
use crate::db::page::{Key, Page, Slice, beyond};
use crate::db::pool::Conn;
use crate::db::schema::{attachments, messages, threads};
use crate::db::several::{Among, Part, Totals};
use crate::db::thread_list::Range;
use crate::error::Result;
use crate::ids::{OrganizationId, ThreadId, UserId};

/// What the list is ordered by.
const ORDER: (&str, &str) = ("messages.sent_at", "messages.id");

/// The same for messages that are sent.
const PLACE: (&str, &str) = ("messages.place_at", "messages.id");

type Query<'a> = messages::BoxedQuery<'a, Pg>;

/// Which messages a list over several threads holds, of those that the viewer sees.
#[derive(Debug, Clone, Default)]
pub struct MessageFilter {
    /// Of this organization.
    pub organization: Option<OrganizationId>,
    /// Of this thread.
    pub thread: Option<ThreadId>,
    /// By this sender.
    pub sender: Option<UserId>,
    /// Of this type.
    pub message_type: Option<MessageType>,
    /// Private notes, or none of them.
    pub private: Option<bool>,
    /// With files, or without.
    pub has_attachments: Option<bool>,
    /// With all of these pairs.
    pub metadata: Option<Value>,
    /// In threads with all of these pairs.
    pub thread_metadata: Option<Value>,
    /// Sent within.
    pub sent_at: Range,
    /// Deleted ones too.
    pub include_deleted: bool,
}

/// A page of sent messages over all threads that the viewer sees, by the time of sending.
pub async fn page(
    conn: &mut Conn,
    viewer: &Viewer,
    filter: &MessageFilter,
    descending: bool,
    page: &Page<Uuid>,
) -> Result<Slice<Message>> {
    let mut ways = Way::of(viewer, filter.organization);
    if filter.thread.is_some() {
        ways.truncate(1);
    }
    let reads_notes = viewer.is_key() || !viewer.organizations(Role::is_staff).is_empty();
    if ways.is_empty() || (filter.private == Some(true) && !reads_notes) {
        return Ok(page.cut(Vec::new()));
    }
    // The first ones of each way to see their threads; the page is the first of these.
    let first = |way: Way| -> Part {
        let matching = filtered(viewer, filter);
        match way {
            // The index of a thread has its messages by their place, which is the time.
            _ if filter.thread.is_some() => {
                Box::new(cut(matching, PLACE, descending, page).select(messages::id))
            }
            // Whatever few have is looked up by itself, not in each thread.
            Way::Part(_) if filter.metadata.is_none() => Box::new(InEachThread {
                threads: Box::new(threads::table.filter(way.threads()).select(threads::id)),
                first: Box::new(
                    cut(matching, PLACE, descending, page)
                        .filter(sql::<Bool>("messages.thread_id = t.id"))
                        .select((messages::id, messages::place_at)),
                ),
                downwards: descending != page.backward,
                limit: page.probe(),
            }),
            _ => {
                let matching = matching.filter(way.messages());
                Box::new(cut(matching, ORDER, descending, page).select(messages::id))
            }
        }
    };
    let first: Vec<Part> = ways.into_iter().map(first).collect();
    let chosen = messages::table
        .filter(visible_messages(viewer))
        .filter(Among::new("messages.id", first))
        .into_boxed();
    let rows = cut(chosen, ORDER, descending, page)
        .select(Message::as_select())
        .load(conn)
        .await?;
    Ok(page.cut(rows))
}

/// The part of a query that a page asks for, in the order in which it is read.
fn cut<'a>(
    query: Query<'a>,
    (at, id): (&str, &str),
    descending: bool,
    page: &Page<Uuid>,
) -> Query<'a> {
    let order = format!("{at}, {id}");
    let (behind, before) = if descending { ("<", ">") } else { (">", "<") };
    let mut query = query.limit(page.probe());
    if let Some(key) = &page.after {
        query = query.filter(beyond::<SqlUuid, _>(&order, behind, key));
    }
    if let Some(key) = &page.before {
        query = query.filter(beyond::<SqlUuid, _>(&order, before, key));
    }
    let at = sql::<Timestamptz>(at);
    if descending == page.backward {
        query.order((at.asc(), messages::id.asc()))
    } else {
        query.order((at.desc(), messages::id.desc()))
    }
}

/// The first messages of some threads, `t (id)`, out of the first ones of each of them.
struct InEachThread {
    threads: Part,
    first: Part,
    downwards: bool,
    limit: i64,
}

impl QueryFragment<Pg> for InEachThread {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("SELECT first.id FROM (");
        self.threads.walk_ast(out.reborrow())?;
        out.push_sql(") AS t (id) CROSS JOIN LATERAL (");
        self.first.walk_ast(out.reborrow())?;
        let direction = if self.downwards { "DESC" } else { "ASC" };
        out.push_sql(&format!(
            ") AS first (id, at) ORDER BY first.at {direction}, first.id {direction} LIMIT {}",
            self.limit
        ));
        Ok(())
    }
}

/// How many there are.
pub async fn count(conn: &mut Conn, viewer: &Viewer, filter: &MessageFilter) -> Result<i64> {
    let ways = Way::of(viewer, filter.organization).into_iter();
    let numbers: Vec<Part> = match counted(viewer, filter) {
        Some(counters) => ways
            .map(|way| {
                let mut of = threads::table
                    .filter(visible_threads(viewer))
                    .filter(way.threads())
                    .select(sql::<BigInt>(&counters))
                    .into_boxed();
                if let Some(thread) = filter.thread {
                    of = of.filter(threads::id.eq(thread));
                }
                Box::new(of) as Part
            })
            .collect(),
        None => ways
            .map(|way| Box::new(filtered(viewer, filter).filter(way.messages()).count()) as Part)
            .collect(),
    };
    let (_, sum): (i64, i64) = Totals(numbers).get_result(conn).await?;
    Ok(sum)
}

/// The sum of a thread's counters that counts what a filter lets through; none if no counter
/// knows.
fn counted(viewer: &Viewer, filter: &MessageFilter) -> Option<String> {
    let unknown = filter.sender.is_some()
        || filter.has_attachments.is_some()
        || filter.metadata.is_some()
        || filter.thread_metadata.is_some()
        || filter.sent_at.from.is_some()
        || filter.sent_at.to.is_some()
        // Tombstones are not counted by their types.
        || (filter.message_type.is_some() && filter.include_deleted);
    if unknown {
        return None;
    }
    let staff = access::staff_of(viewer, "threads.organization_id");
    let mut sum = vec!["0".to_owned()];
    if filter.private != Some(true) {
        if filter.message_type != Some(MessageType::Action) {
            sum.push("threads.user_message_count".to_owned());
        }
        if filter.message_type != Some(MessageType::User) {
            sum.push("threads.action_message_count".to_owned());
        }
        if filter.include_deleted {
            sum.push("threads.deleted_message_count".to_owned());
        }
    }
    // A private note is never an ACTION.
    if filter.private != Some(false) && filter.message_type != Some(MessageType::Action) {
        let deleted = if filter.include_deleted {
            " + threads.private_deleted_count"
        } else {
            ""
        };
        sum.push(format!(
            "CASE WHEN {staff} THEN threads.private_message_count{deleted} ELSE 0 END"
        ));
    }
    Some(format!("({})::bigint", sum.join(" + ")))
}

/// A sent message's place in that list.
pub fn key(message: &Message) -> Key<Uuid> {
    Key {
        at: message.place_at,
        tie: message.id.uuid(),
    }
}

/// The sent messages that pass a filter, of those that the viewer sees.
pub(in crate::db) fn matching(viewer: &Viewer, filter: &MessageFilter) -> Query<'static> {
    filtered(viewer, filter).filter(visible_messages(viewer))
}

/// The messages that a filter lets through, of those that the viewer may read if he sees their
/// threads.
fn filtered(viewer: &Viewer, filter: &MessageFilter) -> Query<'static> {
    let mut query = messages::table
        .filter(readable_messages(viewer))
        // Drafts have no time, and stand in a row at the end of the indexes by it.
        .filter(messages::sent_at.is_not_null())
        .into_boxed();
    if let Some(organization) = filter.organization {
        query = query.filter(messages::organization_id.eq(organization));
    }
    if let Some(thread) = filter.thread {
        query = query.filter(messages::thread_id.eq(thread));
    }
    if let Some(sender) = filter.sender {
        query = query.filter(messages::sender_id.eq(sender));
    }
    if let Some(message_type) = filter.message_type {
        query = query.filter(messages::type_.eq(message_type));
    }
    if let Some(private) = filter.private {
        query = query.filter(messages::private.eq(private));
    }
    match filter.has_attachments {
        Some(true) => {
            let its = attachments::message_id.eq(messages::id.nullable());
            query = query.filter(exists(attachments::table.filter(its)));
            if !viewer.is_key() {
                // A tombstone shows its files to nobody but API keys.
                query = query.filter(messages::deleted_at.is_null());
            }
        }
        Some(false) => {
            // Most messages have none: each is looked at by itself, which the limit says, rather
            // than all attachments before.
            let none =
                "(SELECT true FROM attachments a WHERE a.message_id = messages.id LIMIT 1) IS NULL";
            query = query.filter(sql::<Bool>(&if viewer.is_key() {
                none.to_owned()
            } else {
                format!("(messages.deleted_at IS NOT NULL OR {none})")
            }));
        }
        None => {}
    }
    if let Some(metadata) = &filter.metadata {
        // Written as text, so that the statement is planned anew for these facts each time: a plan
        // for any facts reads all threads first, which is wrong for facts that few messages have.
        query =
            query.filter(sql::<Bool>("messages.metadata @> ").bind::<Jsonb, _>(metadata.clone()));
    }
    if let Some(metadata) = &filter.thread_metadata {
        query = query.filter(
            messages::thread_id.eq_any(
                threads::table
                    .filter(threads::metadata.contains(metadata.clone()))
                    .select(threads::id),
            ),
        );
    }
    if let Some(from) = filter.sent_at.from {
        query = query.filter(messages::sent_at.ge(from));
    }
    if let Some(to) = filter.sent_at.to {
        query = query.filter(messages::sent_at.le(to));
    }
    if !filter.include_deleted {
        query = query.filter(messages::deleted_at.is_null());
    }
    query
}
