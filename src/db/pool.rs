//! Connections to PostgreSQL, and the migrations.

use std::time::Duration;

use deadpool::Runtime;
use diesel_async::AsyncPgConnection;
use diesel_async::pooled_connection::deadpool::{Object, Pool as Deadpool};
use diesel_async::pooled_connection::{
    AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod,
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use crate::error::{Error, Result};
use crate::metrics::PoolState;

/// The pool.
pub type Pool = Deadpool<AsyncPgConnection>;

/// A connection taken from it; goes back when dropped.
pub type Conn = Object<AsyncPgConnection>;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!();

/// Who waits longer for a connection than this gets an error instead.
const WAIT: Duration = Duration::from_secs(10);

/// A pool of at most `size` connections to the database at `url`.
pub fn build(url: &str, size: usize) -> Result<Pool> {
    // Verified recycling would cost every checkout a round trip; a dead connection is noticed
    // by diesel-async without it.
    let mut config = ManagerConfig::default();
    config.recycling_method = RecyclingMethod::Fast;
    let manager = AsyncDieselConnectionManager::new_with_config(url, config);
    Deadpool::builder(manager)
        .max_size(size)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(WAIT))
        .create_timeout(Some(WAIT))
        .build()
        .map_err(Error::internal)
}

/// How many connections there are, and who waits for one.
pub fn state(pool: &Pool) -> PoolState {
    let status = pool.status();
    PoolState {
        used: status.size.saturating_sub(status.available),
        idle: status.available,
        max: status.max_size,
        waiting: status.waiting,
    }
}

/// Tries a connection; why there is none, in words for whoever runs the server.
pub async fn reach(pool: &Pool) -> Result<(), String> {
    let Err(cause) = pool.get().await else {
        return Ok(());
    };
    let mut innermost: &dyn std::error::Error = &cause;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    Err(format!("the database cannot be reached: {innermost}"))
}

/// Applies the migrations that are missing; two servers that start at once take turns.
pub async fn migrate(pool: &Pool) -> Result<()> {
    use diesel_async::{RunQueryDsl, SimpleAsyncConnection};

    // Any number that nothing else locks: it makes concurrent migrations wait for each other.
    const LOCK: i64 = 0x626f_6262_696e;

    let mut guard = pool.get().await.map_err(Error::internal)?;
    diesel::sql_query("SELECT pg_advisory_lock($1)")
        .bind::<diesel::sql_types::BigInt, _>(LOCK)
        .execute(&mut guard)
        .await?;
    let conn = pool.get().await.map_err(Error::internal)?;
    let done = tokio::task::spawn_blocking(move || {
        let mut harness = diesel_async::AsyncMigrationHarness::new(conn);
        harness
            .run_pending_migrations(MIGRATIONS)
            .map(|_| ())
            .map_err(|cause| Error::internal(cause.to_string()))
    })
    .await
    .map_err(Error::internal)?;
    guard
        .batch_execute("SELECT pg_advisory_unlock_all()")
        .await?;
    done
}

/// Whether every migration of this program has been applied.
pub async fn is_migrated(pool: &Pool) -> Result<bool> {
    let conn = pool.get().await.map_err(Error::internal)?;
    tokio::task::spawn_blocking(move || {
        let mut harness = diesel_async::AsyncMigrationHarness::new(conn);
        harness
            .has_pending_migration(MIGRATIONS)
            .map(|pending| !pending)
            .map_err(|cause| Error::internal(cause.to_string()))
    })
    .await
    .map_err(Error::internal)?
}
