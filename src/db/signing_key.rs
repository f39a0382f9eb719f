//! The key that signs the addresses of files: made once, the same for all servers.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::pool::Conn;
use crate::db::schema::signing_key;
use crate::error::Result;

/// The key; this one, if there is none yet.
pub async fn get_or_keep(conn: &mut Conn, new: &[u8; 32]) -> Result<Vec<u8>> {
    diesel::insert_into(signing_key::table)
        .values(signing_key::secret.eq(new.as_slice()))
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    Ok(signing_key::table
        .select(signing_key::secret)
        .first(conn)
        .await?)
}
