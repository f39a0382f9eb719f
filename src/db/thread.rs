//! Threads: rows, lists, counters.

use chrono::{DateTime, Utc};
use diesel::dsl::{exists, sql};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde_json::Value;
use uuid::Uuid;

use crate::auth::Viewer;
use crate::db::access::{self, OrganizationAccess, ThreadAccess};
use crate::db::enums::{Access, Role};
use crate::db::page::{Key, Page, Slice, beyond};
use crate::db::pool::Conn;
use crate::db::schema::{events, participants, threads};
use crate::db::search_language::SearchLanguage;
use crate::db::watermark::{self, OLDEST_RUNNING};
use crate::error::Result;
use crate::ids::{OrganizationId, ThreadId, UserId};

/// A conversation.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
pub struct Thread {
    /// Our id.
    pub id: ThreadId,
    /// The tenant.
    pub organization_id: OrganizationId,
    /// The display number, from 1, per organization.
    pub number: i32,
    /// A backend's id; unique per organization.
    pub external_id: Option<String>,
    /// Hash of the values it was created with, if it has an externalId.
    pub input_hash: Option<Vec<u8>>,
    /// What it is about.
    pub subject: String,
    /// Where it belongs in the product.
    pub url: Option<String>,
    /// A backend's own facts.
    pub metadata: Value,
    /// CSS classes for its display.
    pub extra_classnames: Option<String>,
    /// Who sees it besides its participants.
    pub access: Access,
    /// Who opened it.
    pub creator_id: Option<UserId>,
    /// The department that was written to.
    pub department: Option<String>,
    /// The page that was written from.
    pub source_page: Option<String>,
    /// The first writer's language.
    pub language: Option<String>,
    /// The first writer's program.
    pub user_agent: Option<String>,
    /// Number of its newest event.
    pub seq: i64,
    /// Number of its newest event that is not for staff only.
    pub public_seq: i64,
    /// The newest time that the server gave to one of its messages.
    pub clock_at: DateTime<Utc>,
    /// Public messages by people, sent and not deleted.
    pub user_message_count: i32,
    /// ACTION messages, not deleted.
    pub action_message_count: i32,
    /// Public tombstones.
    pub deleted_message_count: i32,
    /// Private notes, sent and not deleted.
    pub private_message_count: i32,
    /// Tombstones of private notes.
    pub private_deleted_count: i32,
    /// When the newest public message was sent.
    pub last_message_at: Option<DateTime<Utc>>,
    /// When the newest message was sent, private notes included.
    pub staff_message_at: Option<DateTime<Utc>>,
    /// `last_message_at`, else `created_at`.
    pub sort_at: DateTime<Utc>,
    /// `staff_message_at`, else `created_at`.
    pub staff_sort_at: DateTime<Utc>,
    /// When it was resolved; none: it is open.
    pub resolved_at: Option<DateTime<Utc>>,
    /// When it was opened.
    pub created_at: DateTime<Utc>,
    /// When it, or what all its readers see of it, last changed.
    pub updated_at: DateTime<Utc>,
    /// The language in which its words are searched.
    pub search_language: SearchLanguage,
}

/// A thread to insert.
#[derive(Debug, Insertable)]
#[diesel(table_name = threads)]
pub struct NewThread {
    /// Our id.
    pub id: ThreadId,
    /// The tenant.
    pub organization_id: OrganizationId,
    /// The display number.
    pub number: i32,
    /// A backend's id.
    pub external_id: Option<String>,
    /// Hash of the values, if it has an externalId.
    pub input_hash: Option<Vec<u8>>,
    /// What it is about.
    pub subject: String,
    /// Where it belongs in the product.
    pub url: Option<String>,
    /// A backend's own facts.
    pub metadata: Value,
    /// CSS classes.
    pub extra_classnames: Option<String>,
    /// Who sees it besides its participants.
    pub access: Access,
    /// Who opens it.
    pub creator_id: Option<UserId>,
    /// The department.
    pub department: Option<String>,
    /// The page.
    pub source_page: Option<String>,
    /// The language.
    pub language: Option<String>,
    /// The program.
    pub user_agent: Option<String>,
    /// Now.
    pub clock_at: DateTime<Utc>,
    /// Now.
    pub created_at: DateTime<Utc>,
    /// Now.
    pub updated_at: DateTime<Utc>,
    /// The language in which its words are searched.
    pub search_language: SearchLanguage,
}

/// What a write may leave changed in a thread's row: all of it is stored again.
#[derive(Debug, AsChangeset)]
#[diesel(table_name = threads, treat_none_as_null = true)]
struct Saved<'a> {
    external_id: Option<&'a str>,
    subject: &'a str,
    url: Option<&'a str>,
    metadata: &'a Value,
    extra_classnames: Option<&'a str>,
    access: Access,
    seq: i64,
    public_seq: i64,
    clock_at: DateTime<Utc>,
    user_message_count: i32,
    action_message_count: i32,
    deleted_message_count: i32,
    private_message_count: i32,
    private_deleted_count: i32,
    last_message_at: Option<DateTime<Utc>>,
    staff_message_at: Option<DateTime<Utc>>,
    resolved_at: Option<DateTime<Utc>>,
    updated_at: DateTime<Utc>,
}

/// Which threads a list holds, of those that the viewer sees.
#[derive(Debug, Clone, Default)]
pub struct ThreadFilter {
    /// Of this organization.
    pub organization: Option<OrganizationId>,
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

type Query<'a> = threads::BoxedQuery<'a, diesel::pg::Pg>;

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

/// The thread with a backend's id, whoever may see it: for a check of uniqueness only.
pub async fn id_by_external_id(
    conn: &mut Conn,
    organization: &OrganizationAccess,
    external_id: &str,
) -> Result<Option<ThreadId>> {
    Ok(threads::table
        .filter(threads::organization_id.eq(organization.organization().id))
        .filter(threads::external_id.eq(external_id))
        .select(threads::id)
        .first(conn)
        .await
        .optional()?)
}

/// The thread with a display number.
pub async fn id_by_number(
    conn: &mut Conn,
    organization: &OrganizationAccess,
    number: i32,
) -> Result<Option<ThreadId>> {
    Ok(threads::table
        .filter(threads::organization_id.eq(organization.organization().id))
        .filter(threads::number.eq(number))
        .select(threads::id)
        .first(conn)
        .await
        .optional()?)
}

/// Stores a new thread.
pub async fn insert(
    conn: &mut Conn,
    viewer: &Viewer,
    organization: &OrganizationAccess,
    new: &NewThread,
) -> Result<ThreadAccess> {
    let row: (Thread, i64) = diesel::insert_into(threads::table)
        .values(new)
        .returning((Thread::as_returning(), sql::<BigInt>(OLDEST_RUNNING)))
        .get_result(conn)
        .await?;
    Ok(access::created_thread(viewer, organization, row))
}

/// Stores a locked thread's row as a write leaves it.
pub async fn save(conn: &mut Conn, thread: &Thread) -> Result<Thread, diesel::result::Error> {
    let saved = Saved {
        external_id: thread.external_id.as_deref(),
        subject: &thread.subject,
        url: thread.url.as_deref(),
        metadata: &thread.metadata,
        extra_classnames: thread.extra_classnames.as_deref(),
        access: thread.access,
        seq: thread.seq,
        public_seq: thread.public_seq,
        clock_at: thread.clock_at,
        user_message_count: thread.user_message_count,
        action_message_count: thread.action_message_count,
        deleted_message_count: thread.deleted_message_count,
        private_message_count: thread.private_message_count,
        private_deleted_count: thread.private_deleted_count,
        last_message_at: thread.last_message_at,
        staff_message_at: thread.staff_message_at,
        resolved_at: thread.resolved_at,
        updated_at: thread.updated_at,
    };
    diesel::update(threads::table.find(thread.id))
        .set(saved)
        .returning(Thread::as_returning())
        .get_result(conn)
        .await
}

fn filtered(viewer: &Viewer, filter: &ThreadFilter) -> Query<'static> {
    let mut query = threads::table
        .filter(access::visible_threads(viewer))
        .into_boxed();
    if let Some(organization) = filter.organization {
        query = query.filter(threads::organization_id.eq(organization));
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
            query.filter(diesel::dsl::not(takes_part(user, Some(true))))
        };
    }
    if let (Some(unread), Some(user)) = (filter.unread, viewer.user_id()) {
        let has_unread = watermark::has_unread(viewer, user);
        query = if unread {
            query.filter(has_unread)
        } else {
            query.filter(diesel::dsl::not(has_unread))
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
    query
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

/// Removes the thread with a backend's id, with all that is in it and its log: for data that is
/// loaded anew.
pub async fn remove_by_external_id(
    conn: &mut Conn,
    organization: OrganizationId,
    external_id: &str,
) -> Result<()> {
    let named = threads::table
        .filter(threads::organization_id.eq(organization))
        .filter(threads::external_id.eq(external_id));
    let removed: Vec<ThreadId> = diesel::delete(named)
        .returning(threads::id)
        .get_results(conn)
        .await?;
    diesel::delete(events::table.filter(events::thread_id.eq_any(removed)))
        .execute(conn)
        .await?;
    Ok(())
}

/// Whether there is none at all.
pub async fn none_exists(conn: &mut Conn) -> Result<bool> {
    let any = threads::table.select(threads::id).limit(1);
    Ok(any.load::<ThreadId>(conn).await?.is_empty())
}
