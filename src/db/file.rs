//! Files as the routes need them that hand out and take in their bytes.
//!
//! Never asks who wants them: whoever has a signed address was allowed to see the file.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::db::pool::Conn;
use crate::error::Result;
use crate::ids::AttachmentId;

/// What is known of a file's bytes.
#[derive(Debug, Clone, QueryableByName)]
pub struct File {
    /// Under which they are in the storage.
    #[diesel(sql_type = SqlUuid)]
    pub object_id: Uuid,
    /// Its name.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// Its media type.
    #[diesel(sql_type = Text)]
    pub mime_type: String,
    /// How many bytes it has.
    #[diesel(sql_type = BigInt)]
    pub size: i64,
}

/// A file that is there, and on no message that was deleted.
pub async fn servable(conn: &mut Conn, id: AttachmentId) -> Result<Option<File>> {
    Ok(diesel::sql_query(
        "SELECT a.object_id, a.name, a.mime_type, a.size FROM attachments a
         LEFT JOIN messages m ON m.organization_id = a.organization_id AND m.id = a.message_id
         WHERE a.id = $1 AND a.status = 'UPLOADED' AND m.deleted_at IS NULL",
    )
    .bind::<SqlUuid, _>(id.uuid())
    .get_result(conn)
    .await
    .optional()?)
}

/// A file that is awaited, as it was declared.
pub async fn awaited(conn: &mut Conn, id: AttachmentId) -> Result<Option<File>> {
    Ok(diesel::sql_query(
        "SELECT object_id, name, mime_type, size FROM attachments WHERE id = $1 AND status = 'UPLOADING'",
    )
    .bind::<SqlUuid, _>(id.uuid())
    .get_result(conn)
    .await
    .optional()?)
}
