//! Threads: rows and how they change.
//!
//! Lists of them are in `thread_list`.

use chrono::{DateTime, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;

use crate::auth::Viewer;
use crate::db::access::{self, OrganizationAccess, ThreadAccess};
use crate::db::enums::Access;
use crate::db::pool::Conn;
use crate::db::prepared::Prepare;
use crate::db::schema::{events, threads};
use crate::db::search_language::SearchLanguage;
use crate::db::watermark::OLDEST_RUNNING;
use crate::error::Result;
use crate::ids::{InboxId, OrganizationId, ThreadId, UserId};

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
    /// The channel that its contact writes by.
    pub inbox_id: Option<InboxId>,
    /// The language in which its words are searched.
    pub search_language: SearchLanguage,
}

/// A thread to insert.
#[derive(Debug, Insertable)]
#[diesel(table_name = threads, treat_none_as_default_value = false)]
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
    /// The channel that its contact writes by.
    pub inbox_id: Option<InboxId>,
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

#[derive(QueryableByName)]
struct Left {
    #[diesel(sql_type = SqlUuid)]
    user_id: UserId,
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
        .prepared()
        .get_result(conn)
        .await?;
    Ok(access::created_thread(viewer, organization, row))
}

/// Stores a locked thread's row as a write leaves it.
pub async fn save(
    mut conn: &AsyncPgConnection,
    thread: &Thread,
) -> Result<Thread, diesel::result::Error> {
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
        .prepared()
        .get_result(&mut conn)
        .await
}

/// Keeps these threads from being deleted or moved until the transaction ends, in one order for
/// all who do, without keeping anybody from writing into them; answers those that are there.
pub async fn hold(conn: &mut Conn, ids: &[ThreadId]) -> Result<Vec<ThreadId>> {
    Ok(threads::table
        .filter(threads::id.eq_any(ids))
        .order(threads::id)
        .select(threads::id)
        .for_key_share()
        .load(conn)
        .await?)
}

/// Removes a thread for good, with all that is in it; its log stays.
pub async fn remove(conn: &mut Conn, id: ThreadId) -> Result<()> {
    diesel::delete(threads::table.find(id))
        .execute(conn)
        .await?;
    Ok(())
}

/// Moves a locked thread, with all that is in it, to another organization, where it gets a
/// number; answers the participants that it lost: those who are no members there.
pub async fn relocate(
    conn: &mut Conn,
    thread: ThreadId,
    to: OrganizationId,
    number: i32,
    now: DateTime<Utc>,
) -> Result<Vec<UserId>, diesel::result::Error> {
    // Nobody marks anything in it from now on, whom the cascade would not find a member.
    threads::table
        .find(thread)
        .select(threads::id)
        .for_update()
        .load::<ThreadId>(conn)
        .await?;
    // What somebody did not want to hear of there is not known here.
    diesel::sql_query(
        "DELETE FROM hidden_threads h WHERE h.thread_id = $1 AND NOT EXISTS (
           SELECT FROM memberships m
           WHERE m.organization_id = $2 AND m.user_id = h.user_id AND m.removed_at IS NULL)",
    )
    .bind::<SqlUuid, _>(thread)
    .bind::<SqlUuid, _>(to)
    .execute(conn)
    .await?;
    // Whoever wrote in it belongs to it still: as a former member, whom any token of theirs
    // makes a member, and for whom nothing has changed (xid).
    diesel::sql_query(
        "INSERT INTO memberships (organization_id, user_id, role, decided_at, removed_at, created_at, xid)
         SELECT $2, known.id, 'MEMBER', 'epoch', $3, $3, 0 FROM (
           SELECT creator_id FROM threads WHERE id = $1
           UNION SELECT sender_id FROM messages WHERE thread_id = $1
           UNION SELECT r.user_id FROM reactions r JOIN messages m ON m.id = r.message_id WHERE m.thread_id = $1
           UNION SELECT r.editor_id FROM revisions r JOIN messages m ON m.id = r.message_id WHERE m.thread_id = $1
           UNION SELECT a.uploader_id FROM attachments a JOIN messages m ON m.id = a.message_id WHERE m.thread_id = $1
           UNION SELECT user_id FROM watermarks WHERE thread_id = $1
         ) AS known (id) WHERE known.id IS NOT NULL
         ON CONFLICT DO NOTHING",
    )
    .bind::<SqlUuid, _>(thread)
    .bind::<SqlUuid, _>(to)
    .bind::<Timestamptz, _>(now)
    .execute(conn)
    .await?;
    let left: Vec<Left> = diesel::sql_query(
        "DELETE FROM participants p WHERE p.thread_id = $1 AND NOT EXISTS (
           SELECT FROM memberships m
           WHERE m.organization_id = $2 AND m.user_id = p.user_id AND m.removed_at IS NULL)
         RETURNING p.user_id",
    )
    .bind::<SqlUuid, _>(thread)
    .bind::<SqlUuid, _>(to)
    .load(conn)
    .await?;
    diesel::update(threads::table.find(thread))
        .set((
            threads::organization_id.eq(to),
            threads::number.eq(number),
            threads::inbox_id.eq(None::<InboxId>),
        ))
        .execute(conn)
        .await?;
    Ok(left.into_iter().map(|left| left.user_id).collect())
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
