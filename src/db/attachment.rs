//! Attachments: files of messages, and files that are on no message yet or no longer.
//!
//! Their bytes are in the storage, under an id of their own.

use chrono::{DateTime, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Array, Integer, Nullable, Uuid as SqlUuid};
use diesel_async::{AsyncConnection, RunQueryDsl};
use serde_json::Value;
use uuid::Uuid;

use crate::db::enums::{AttachmentKind, UploadStatus};
use crate::db::pool::Conn;
use crate::db::schema::attachments;
use crate::error::Result;
use crate::ids::{AttachmentId, MessageId, OrganizationId, UserId};

/// An attachment.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Insertable)]
#[diesel(table_name = attachments, check_for_backend(diesel::pg::Pg))]
pub struct Attachment {
    /// Our id, under which its uploader may put its bytes.
    pub id: AttachmentId,
    /// Under which its bytes are, once it is UPLOADED.
    pub object_id: Uuid,
    /// The tenant.
    pub organization_id: OrganizationId,
    /// Whose it is; nobody: a backend's.
    pub uploader_id: Option<UserId>,
    /// The message that it is on.
    pub message_id: Option<MessageId>,
    /// Its place there, the least first.
    pub place: Option<i32>,
    /// What it is.
    pub kind: AttachmentKind,
    /// How far the file has come.
    pub status: UploadStatus,
    /// The file's name.
    pub name: String,
    /// Its media type: as declared, then as found.
    pub mime_type: String,
    /// Its bytes: as declared, then as counted.
    pub size: i64,
    /// Of a picture, in pixels.
    pub width: Option<i32>,
    /// Of a picture, in pixels.
    pub height: Option<i32>,
    /// The text that an annotation is about.
    pub text_content: Option<String>,
    /// Where an annotation is.
    pub location: Option<Value>,
    /// Since when we know of it.
    pub created_at: DateTime<Utc>,
    /// Since when it is on no message.
    pub unattached_since: Option<DateTime<Utc>>,
}

/// Stores a new attachment.
pub async fn insert(conn: &mut Conn, new: &Attachment) -> Result<()> {
    diesel::insert_into(attachments::table)
        .values(new)
        .execute(conn)
        .await?;
    Ok(())
}

/// Those of these ids that there are, whoever may see them: `access::attachments` decides that.
pub async fn by_ids(conn: &mut Conn, ids: &[AttachmentId]) -> Result<Vec<Attachment>> {
    Ok(attachments::table
        .filter(attachments::id.eq_any(ids))
        .select(Attachment::as_select())
        .load(conn)
        .await?)
}

/// The same, kept from changing until the transaction ends; in one order for all who do.
pub async fn locked(conn: &mut Conn, ids: &[AttachmentId]) -> Result<Vec<Attachment>> {
    Ok(attachments::table
        .filter(attachments::id.eq_any(ids))
        .order(attachments::id)
        .select(Attachment::as_select())
        .for_update()
        .load(conn)
        .await?)
}

/// The attachments of these messages, of each in their order.
pub async fn of_messages(conn: &mut Conn, messages: &[MessageId]) -> Result<Vec<Attachment>> {
    Ok(attachments::table
        .filter(attachments::message_id.eq_any(messages))
        .order((attachments::message_id, attachments::place))
        .select(Attachment::as_select())
        .load(conn)
        .await?)
}

/// Puts locked attachments on a message, from a place on. Its thread is locked, so nobody else
/// gives out places.
pub async fn attach(
    conn: &mut Conn,
    message: MessageId,
    ids: &[AttachmentId],
    first_place: i32,
) -> Result<Vec<Attachment>> {
    let place = sql::<Nullable<Integer>>("")
        .bind::<Integer, _>(first_place - 1)
        .sql(" + array_position(")
        .bind::<Array<SqlUuid>, _>(ids)
        .sql(", id)");
    let mut attached: Vec<Attachment> = diesel::update(attachments::table)
        .filter(attachments::id.eq_any(ids))
        .set((
            attachments::message_id.eq(message),
            attachments::place.eq(place),
            attachments::unattached_since.eq(None::<DateTime<Utc>>),
        ))
        .returning(Attachment::as_returning())
        .get_results(conn)
        .await?;
    attached.sort_by_key(|attachment| attachment.place);
    Ok(attached)
}

/// Takes those of these attachments off a message that are on it; whether there were any.
pub async fn detach(
    conn: &mut Conn,
    message: MessageId,
    ids: &[AttachmentId],
    now: DateTime<Utc>,
) -> Result<bool> {
    let on_it = attachments::table
        .filter(attachments::message_id.eq(message))
        .filter(attachments::id.eq_any(ids));
    let detached = diesel::update(on_it)
        .set((
            attachments::message_id.eq(None::<MessageId>),
            attachments::place.eq(None::<i32>),
            attachments::unattached_since.eq(now),
        ))
        .execute(conn)
        .await?;
    Ok(detached > 0)
}

/// Stores what has become of a locked attachment's file.
pub async fn save(conn: &mut Conn, attachment: &Attachment) -> Result<()> {
    diesel::update(attachments::table.find(attachment.id))
        .set((
            attachments::object_id.eq(attachment.object_id),
            attachments::status.eq(attachment.status),
            attachments::mime_type.eq(&attachment.mime_type),
            attachments::size.eq(attachment.size),
            attachments::width.eq(attachment.width),
            attachments::height.eq(attachment.height),
            attachments::unattached_since.eq(attachment.unattached_since),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Files that are awaited since before a time, the oldest first.
pub async fn awaited_since(
    conn: &mut Conn,
    before: DateTime<Utc>,
    most: i64,
) -> Result<Vec<AttachmentId>> {
    Ok(attachments::table
        .filter(attachments::status.eq(UploadStatus::Uploading))
        .filter(attachments::created_at.lt(before))
        .order((attachments::created_at, attachments::id))
        .select(attachments::id)
        .limit(most)
        .load(conn)
        .await?)
}

/// Removes attachments that have been on no message since before a time; answers how many. What
/// somebody is just putting on a message is left alone.
pub async fn remove_unattached(conn: &mut Conn, before: DateTime<Utc>, most: i64) -> Result<usize> {
    conn.transaction(async |conn| {
        let chosen: Vec<Uuid> = attachments::table
            .filter(attachments::unattached_since.lt(before))
            .filter(attachments::status.ne(UploadStatus::Uploading))
            .order((attachments::unattached_since, attachments::id))
            .select(attachments::id)
            .limit(most)
            .for_update()
            .skip_locked()
            .load(conn)
            .await?;
        Ok(diesel::delete(attachments::table)
            .filter(attachments::id.eq_any(chosen))
            .execute(conn)
            .await?)
    })
    .await
}
