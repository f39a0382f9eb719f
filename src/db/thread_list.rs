//! Lists of threads: which, in what order, how many.

use chrono::{DateTime, Utc};
use diesel::dsl::{exists, not, sql};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde_json::Value;
use uuid::Uuid;

use crate::auth::Viewer;
use crate::db::access::ways::Way;
use crate::db::access::{self, ThreadAccess};
use crate::db::enums::Role;
use crate::db::hidden::hidden_by;
use crate::db::page::{Key, List, Page, Slice, beyond};
use crate::db::pool::Conn;
use crate::db::schema::{messages, participants, threads};
use crate::db::several::{Among, Part, Totals};
use crate::db::thread::Thread;
use crate::db::watermark;
use crate::error::Result;
use crate::ids::{InboxId, OrganizationId, UserId};

/// Which threads a list holds, of those that the viewer sees.
#[derive(Debug, Clone, Default)]
pub struct ThreadFilter {
    /// Of this organization.
    pub organization: Option<OrganizationId>,
    /// Of this inbox.
    pub inbox: Option<InboxId>,
    /// With this participant.
    pub participant: Option<UserId>,
    /// Resolved, or open.
    pub resolved: Option<bool>,
    /// With all of these pairs.
    pub metadata: Option<Value>,
    /// Subscribed by the viewer, or not.
    pub subscribed: Option<bool>,
    /// With something that the viewer has not seen, or without.
    pub unread: Option<bool>,
    /// Opened within.
    pub created_at: Range,
    /// With the newest message within.
    pub last_message_at: Range,
    /// With the oldest message within.
    pub first_message_at: Range,
    /// In one of these states of the viewer's inbox; none: in it, so not hidden.
    pub inbox_states: Option<Vec<InboxState>>,
}

/// Where a thread stands in somebody's inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InboxState {
    /// With something by others that they have not seen.
    Unread,
    /// Without.
    Read,
    /// Out of it.
    Hidden,
}

/// A stretch of time, its ends included.
#[derive(Debug, Clone, Copy, Default)]
pub struct Range {
    /// From here.
    pub from: Option<DateTime<Utc>>,
    /// To here.
    pub to: Option<DateTime<Utc>>,
}

/// What a list of threads is ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadOrder {
    /// By creation; else by the newest message.
    pub by_creation: bool,
    /// Newest first.
    pub descending: bool,
}

impl ThreadOrder {
    /// Which list it makes, for its cursors.
    pub fn list(self) -> List {
        if self.by_creation {
            List::Creation
        } else {
            List::Activity
        }
    }
}

type Query<'a> = threads::BoxedQuery<'a, Pg>;

/// A page of the threads that the viewer sees.
pub async fn page(
    conn: &mut Conn,
    viewer: &Viewer,
    filter: &ThreadFilter,
    order: ThreadOrder,
    page: &Page<Uuid>,
) -> Result<Slice<ThreadAccess>> {
    // The first ones of each way, which an index has in order; the page is the first of these.
    let ways = Way::of(viewer, filter.organization).into_iter();
    let first = |way: Way| -> Part {
        let at = sort_column(viewer, order, way.organization());
        let query = filtered_by(viewer, filter, &way);
        Box::new(cut(query, &at, order, page).select(threads::id))
    };
    let first: Vec<Part> = ways.flat_map(Way::by_access).map(first).collect();
    if first.is_empty() {
        return Ok(page.cut(Vec::new()));
    }
    let chosen = threads::table
        .filter(Among::new("threads.id", first))
        .into_boxed();
    let at = sort_column(viewer, order, None);
    let rows: Vec<(Thread, i64)> = cut(chosen, &at, order, page)
        .select(access::thread_columns())
        .load(conn)
        .await?;
    Ok(page.cut(rows).map(|row| access::thread_access(viewer, row)))
}

/// The part of a query that a page asks for, in the order in which it is read.
fn cut<'a>(query: Query<'a>, at: &str, order: ThreadOrder, page: &Page<Uuid>) -> Query<'a> {
    let columns = format!("{at}, threads.id");
    // "Behind" is downwards in a descending list.
    let (behind, before) = if order.descending {
        ("<", ">")
    } else {
        (">", "<")
    };
    let mut query = query.limit(page.probe());
    if let Some(key) = &page.after {
        query = query.filter(beyond::<SqlUuid, _>(&columns, behind, key));
    }
    if let Some(key) = &page.before {
        query = query.filter(beyond::<SqlUuid, _>(&columns, before, key));
    }
    let sort = sql::<Timestamptz>(at);
    if order.descending == page.backward {
        query.order((sort.asc(), threads::id.asc()))
    } else {
        query.order((sort.desc(), threads::id.desc()))
    }
}

/// How many threads the list holds.
pub async fn count(conn: &mut Conn, viewer: &Viewer, filter: &ThreadFilter) -> Result<i64> {
    let ways = Way::of(viewer, filter.organization).into_iter();
    let number = |way: Way| -> Part { Box::new(filtered_by(viewer, filter, &way).count()) };
    let (_, sum): (i64, i64) = Totals(ways.map(number).collect()).get_result(conn).await?;
    Ok(sum)
}

/// A thread's place in a list of that order.
pub fn key(access: &ThreadAccess, order: ThreadOrder) -> Key<Uuid> {
    let thread = access.thread();
    let at = if order.by_creation {
        thread.created_at
    } else if access.is_staff() {
        thread.staff_sort_at
    } else {
        thread.sort_at
    };
    Key {
        at,
        tie: thread.id.uuid(),
    }
}

/// What a filter lets through of the threads of one way.
fn filtered_by(viewer: &Viewer, filter: &ThreadFilter, way: &Way) -> Query<'static> {
    // A thread with messages is sorted by the newest one, which is what the indexes have.
    let sorted = by_sight(
        viewer,
        way.organization(),
        "threads.staff_sort_at",
        "threads.sort_at",
    );
    let query = filtered(viewer, filter).filter(way.threads());
    within(query, &sorted, filter.last_message_at)
}

fn filtered(viewer: &Viewer, filter: &ThreadFilter) -> Query<'static> {
    let mut query = threads::table
        .filter(access::visible_threads(viewer))
        .into_boxed();
    if let Some(organization) = filter.organization {
        query = query.filter(threads::organization_id.eq(organization));
    }
    if let Some(inbox) = filter.inbox {
        query = query.filter(threads::inbox_id.eq(inbox));
    }
    if let Some(user) = filter.participant {
        query = query.filter(takes_part(user, None));
    }
    match filter.resolved {
        Some(true) => query = query.filter(threads::resolved_at.is_not_null()),
        Some(false) => query = query.filter(threads::resolved_at.is_null()),
        None => {}
    }
    if let Some(metadata) = &filter.metadata {
        query = query.filter(threads::metadata.contains(metadata.clone()));
    }
    if let (Some(subscribed), Some(user)) = (filter.subscribed, viewer.user_id()) {
        query = if subscribed {
            query.filter(takes_part(user, Some(true)))
        } else {
            query.filter(not(takes_part(user, Some(true))))
        };
    }
    if let (Some(unread), Some(user)) = (filter.unread, viewer.user_id()) {
        let has_unread = watermark::has_unread(viewer, user);
        query = if unread {
            query.filter(has_unread)
        } else {
            query.filter(not(has_unread))
        };
    }
    if let Some(from) = filter.created_at.from {
        query = query.filter(threads::created_at.ge(from));
    }
    if let Some(to) = filter.created_at.to {
        query = query.filter(threads::created_at.le(to));
    }
    let newest = message_column(viewer);
    query = within(query, &newest, filter.last_message_at);
    let oldest = oldest_message(viewer);
    query = within(query, &oldest, filter.first_message_at);
    if let (Some(from), Some(to)) = (filter.first_message_at.from, filter.first_message_at.to) {
        // Few threads have a message within a short time: those are looked through.
        let within = messages::table
            .filter(messages::sent_at.between(from, to).assume_not_null())
            .select(messages::thread_id);
        query = query.filter(threads::id.eq_any(within));
    }
    match viewer.user_id() {
        Some(user) => query.filter(in_inbox(viewer, user, filter.inbox_states.as_deref())),
        // For a backend every thread counts as read.
        None if read_ones(filter) => query,
        None => query.filter(sql::<Bool>("false")),
    }
}

fn read_ones(filter: &ThreadFilter) -> bool {
    let states = filter.inbox_states.as_ref();
    states.is_none_or(|states| states.contains(&InboxState::Read))
}

type Condition = Box<dyn BoxableExpression<threads::table, Pg, SqlType = Bool>>;

/// The condition that a thread stands in one of these states of a person's inbox.
fn in_inbox(viewer: &Viewer, user: UserId, states: Option<&[InboxState]>) -> Condition {
    use InboxState::{Hidden, Read, Unread};
    let Some(states) = states else {
        return Box::new(not(hidden_by(user)));
    };
    let among = |state| states.contains(&state);
    let has_unread = || watermark::has_unread(viewer, user);
    let shown: Condition = match (among(Unread), among(Read)) {
        (true, true) => Box::new(not(hidden_by(user))),
        (true, false) => Box::new(not(hidden_by(user)).and(has_unread())),
        (false, true) => Box::new(not(hidden_by(user)).and(not(has_unread()))),
        (false, false) => Box::new(sql::<Bool>("false")),
    };
    match (among(Hidden), states) {
        // For itself, so that the list is read from what is hidden.
        (true, [_]) => Box::new(hidden_by(user)),
        (true, _) => Box::new(shown.or(hidden_by(user))),
        (false, _) => shown,
    }
}

#[diesel::dsl::auto_type(no_type_alias)]
fn takes_part(user: UserId, subscribed: Option<bool>) -> _ {
    let least: bool = subscribed.unwrap_or(false);
    exists(
        participants::table
            .filter(participants::thread_id.eq(threads::id))
            .filter(participants::user_id.eq(user))
            .filter(participants::subscribed.ge(least)),
    )
}

fn within<'a>(mut query: Query<'a>, column: &str, range: Range) -> Query<'a> {
    if let Some(from) = range.from {
        query = query.filter(sql::<Timestamptz>(column).ge(from));
    }
    if let Some(to) = range.to {
        query = query.filter(sql::<Timestamptz>(column).le(to));
    }
    query
}

/// The column that a list is ordered by, or its part of one organization. Agents see private
/// notes move a thread, others do not.
fn sort_column(viewer: &Viewer, order: ThreadOrder, of: Option<OrganizationId>) -> String {
    if order.by_creation {
        return "threads.created_at".to_owned();
    }
    by_sight(viewer, of, "threads.staff_sort_at", "threads.sort_at")
}

fn message_column(viewer: &Viewer) -> String {
    by_sight(
        viewer,
        None,
        "threads.staff_message_at",
        "threads.last_message_at",
    )
}

/// When the oldest message of a thread was sent that the viewer may see.
fn oldest_message(viewer: &Viewer) -> String {
    let of = |private: &str| {
        format!(
            "(SELECT m.place_at FROM messages m
              WHERE m.thread_id = threads.id AND m.status <> 'DRAFT' AND m.deleted_at IS NULL {private}
              ORDER BY m.place_at, m.place_seq LIMIT 1)"
        )
    };
    by_sight(viewer, None, &of(""), &of("AND NOT m.private"))
}

/// One column for staff, another one for others; for threads of one organization, or of any. A
/// viewer who is staff in one and not in another one gets a mixture of any, which no index
/// orders; all others get a bare column.
fn by_sight(viewer: &Viewer, of: Option<OrganizationId>, staff: &str, others: &str) -> String {
    let as_staff = viewer.organizations(Role::is_staff);
    let role = of.and_then(|of| viewer.role_in(of));
    if viewer.is_key() || as_staff.len() == viewer.memberships.len() {
        return staff.to_owned();
    }
    if as_staff.is_empty() {
        return others.to_owned();
    }
    if let Some(role) = role {
        return if role.is_staff() { staff } else { others }.to_owned();
    }
    let reads_notes = access::staff_of(viewer, "threads.organization_id");
    format!("(CASE WHEN {reads_notes} THEN {staff} ELSE {others} END)")
}
