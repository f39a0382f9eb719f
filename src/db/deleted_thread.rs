//! Who saw threads that were deleted for good, kept so that they hear of it.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::{Array, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;

use crate::db::enums::Access;
use crate::db::pool::Conn;
use crate::error::Result;
use crate::ids::{OrganizationId, ThreadId, UserId};

/// A thread that is no more.
#[derive(Debug, Clone, QueryableByName)]
pub struct DeletedThread {
    /// The id that it had.
    #[diesel(sql_type = SqlUuid)]
    pub thread_id: ThreadId,
    /// The tenant that it belonged to.
    #[diesel(sql_type = SqlUuid)]
    pub organization_id: OrganizationId,
    /// Whom it was open to.
    #[diesel(sql_type = Text)]
    pub access: Access,
    /// Who took part.
    #[diesel(sql_type = Array<SqlUuid>)]
    pub participant_ids: Vec<UserId>,
    /// Who did not want to hear of it.
    #[diesel(sql_type = Array<SqlUuid>)]
    pub hidden_by_ids: Vec<UserId>,
}

/// Keeps who sees a thread that is about to be deleted.
pub async fn keep(conn: &mut Conn, thread: ThreadId) -> Result<()> {
    diesel::sql_query(
        "INSERT INTO deleted_threads (thread_id, organization_id, access, participant_ids, hidden_by_ids)
         SELECT id, organization_id, access,
           ARRAY(SELECT user_id FROM participants WHERE thread_id = threads.id),
           ARRAY(SELECT user_id FROM hidden_threads WHERE thread_id = threads.id)
         FROM threads WHERE id = $1",
    )
    .bind::<SqlUuid, _>(thread)
    .execute(conn)
    .await?;
    Ok(())
}

/// Those of the threads that were deleted.
pub async fn by_ids(conn: &mut Conn, ids: &[ThreadId]) -> Result<HashMap<ThreadId, DeletedThread>> {
    if ids.is_empty() {
        // Few stretches of the log tell of a deletion: nothing is asked for the others.
        return Ok(HashMap::new());
    }
    let found: Vec<DeletedThread> = diesel::sql_query(
        "SELECT thread_id, organization_id, access, participant_ids, hidden_by_ids
         FROM deleted_threads WHERE thread_id = ANY ($1)",
    )
    .bind::<Array<SqlUuid>, _>(ids)
    .load(conn)
    .await?;
    let by_id = found.into_iter().map(|thread| (thread.thread_id, thread));
    Ok(by_id.collect())
}
