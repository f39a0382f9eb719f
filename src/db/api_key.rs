//! API keys: the credentials of backends. Only a hash of a secret is stored.

use chrono::{DateTime, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};
use diesel_async::RunQueryDsl;

use crate::db::pool::Conn;
use crate::db::schema::{api_keys, organizations};
use crate::db::snapshot::Snapshot;
use crate::error::Result;
use crate::ids::OrganizationId;

/// An API key.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = api_keys)]
pub struct ApiKey {
    /// The part before the colon.
    pub id: String,
    /// The organization that it is bound to; none: the whole server.
    pub organization_id: Option<OrganizationId>,
    /// What it is for.
    pub name: String,
    /// SHA-256 of the secret.
    pub secret_hash: Vec<u8>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ended.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// The key, unless it is unknown or revoked.
pub async fn active(conn: &mut Conn, id: &str) -> Result<Option<ApiKey>> {
    Ok(api_keys::table
        .filter(api_keys::id.eq(id).and(api_keys::revoked_at.is_null()))
        .select(ApiKey::as_select())
        .first(conn)
        .await
        .optional()?)
}

/// Stores a new key.
pub async fn insert(conn: &mut Conn, key: &ApiKey) -> Result<()> {
    diesel::insert_into(api_keys::table)
        .values(key)
        .execute(conn)
        .await?;
    Ok(())
}

/// All keys, newest first, each with its organization's externalId or name.
pub async fn all(conn: &mut Conn) -> Result<Vec<(ApiKey, Option<String>)>> {
    Ok(api_keys::table
        .left_join(organizations::table)
        .order((api_keys::created_at.desc(), api_keys::id))
        .select((ApiKey::as_select(), organizations::name.nullable()))
        .limit(1000)
        .load(conn)
        .await?)
}

/// The keys that ended since a moment, each with the transaction.
pub async fn revoked_since(conn: &mut Conn, since: &Snapshot) -> Result<Vec<(String, i64)>> {
    let xid = api_keys::revoked_xid.assume_not_null();
    Ok(api_keys::table
        .filter(xid.ge(since.xmax()).or(xid.eq_any(since.xip())))
        .select((api_keys::id, xid))
        .load(conn)
        .await?)
}

/// Ends a key; whether there was one to end.
pub async fn revoke(conn: &mut Conn, id: &str, now: DateTime<Utc>) -> Result<bool> {
    let ended = diesel::update(api_keys::table)
        .filter(api_keys::id.eq(id).and(api_keys::revoked_at.is_null()))
        .set((
            api_keys::revoked_at.eq(now),
            api_keys::revoked_xid.eq(sql::<Nullable<BigInt>>(
                "pg_current_xact_id()::text::bigint",
            )),
        ))
        .execute(conn)
        .await?;
    Ok(ended > 0)
}
