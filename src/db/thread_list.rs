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
use crate::db::access::{self, ThreadAccess};
use crate::db::enums::Role;
use crate::db::hidden::hidden_by;
use crate::db::page::{Key, List, Page, Slice, beyond};
use crate::db::pool::Conn;
use crate::db::schema::{participants, threads};
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
    let at = sort_column(viewer, order);
    let columns = format!("{at}, threads.id");
    let mut query = filtered(viewer, filter).limit(page.probe());
    // "Behind" is downwards in a descending list.
    let (behind, before) = if order.descending {
        ("<", ">")
    } else {
        (">", "<")
    };
    if let Some(key) = &page.after {
        query = query.filter(beyond::<SqlUuid, _>(&columns, behind, key));
    }
    if let Some(key) = &page.before {
        query = query.filter(beyond::<SqlUuid, _>(&columns, before, key));
    }
    let sort = sql::<Timestamptz>(&at);
    query = if order.descending == page.backward {
        query.order((sort.asc(), threads::id.asc()))
    } else {
        query.order((sort.desc(), threads::id.desc()))
    };
    let rows: Vec<(Thread, i64)> = query.select(access::thread_columns()).load(conn).await?;
    Ok(page.cut(rows).map(|row| access::thread_access(viewer, row)))
}

/// How many threads the list holds.
pub async fn count(conn: &mut Conn, viewer: &Viewer, filter: &ThreadFilter) -> Result<i64> {
    Ok(filtered(viewer, filter).count().get_result(conn).await?)
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
    if let Some(from) = filter.last_message_at.from {
        query = query.filter(sql::<Timestamptz>(&newest).ge(from));
    }
    if let Some(to) = filter.last_message_at.to {
        query = query.filter(sql::<Timestamptz>(&newest).le(to));
    }
    let oldest = oldest_message(viewer);
    if let Some(from) = filter.first_message_at.from {
        query = query.filter(sql::<Timestamptz>(&oldest).ge(from));
    }
    if let Some(to) = filter.first_message_at.to {
        query = query.filter(sql::<Timestamptz>(&oldest).le(to));
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
    if among(Hidden) {
        Box::new(shown.or(hidden_by(user)))
    } else {
        shown
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

/// The column that a list is ordered by. Agents see private notes move a thread, others do not.
fn sort_column(viewer: &Viewer, order: ThreadOrder) -> String {
    if order.by_creation {
        return "threads.created_at".to_owned();
    }
    by_sight(viewer, "threads.staff_sort_at", "threads.sort_at")
}

fn message_column(viewer: &Viewer) -> String {
    by_sight(
        viewer,
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
    by_sight(viewer, &of(""), &of("AND NOT m.private"))
}

/// One column for staff, another one for others. A viewer who is staff in one organization and
/// not in another one gets a mixture, which no index orders; all others get a bare column.
fn by_sight(viewer: &Viewer, staff: &str, others: &str) -> String {
    let as_staff = viewer.organizations(Role::is_staff);
    if viewer.is_key() || (as_staff.len() == viewer.memberships.len()) {
        return staff.to_owned();
    }
    if as_staff.is_empty() {
        return others.to_owned();
    }
    let ids: Vec<String> = as_staff
        .iter()
        .map(|id| format!("'{}'::uuid", id.uuid()))
        .collect();
    let ids = ids.join(", ");
    format!("(CASE WHEN threads.organization_id IN ({ids}) THEN {staff} ELSE {others} END)")
}
