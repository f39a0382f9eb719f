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

/// What notices that the database's machine has gone without a word: in seconds, unless the
/// address itself says otherwise.
const VIGILANCE: [(&str, u32); 4] = [
    ("keepalives_idle", 10),
    ("keepalives_interval", 5),
    ("keepalives_retries", 3),
    ("tcp_user_timeout", 30),
];

/// A pool of at most `size` connections to the database at `url`.
pub fn build(url: &str, size: usize) -> Result<Pool> {
    // Verified recycling would cost every checkout a round trip; a dead connection is noticed
    // by diesel-async without it.
    let mut config = ManagerConfig::default();
    config.recycling_method = RecyclingMethod::Fast;
    let manager = AsyncDieselConnectionManager::new_with_config(vigilant(url), config);
    Deadpool::builder(manager)
        .max_size(size)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(WAIT))
        .create_timeout(Some(WAIT))
        .build()
        .map_err(Error::internal)
}

/// The address, in either form that PostgreSQL knows, with what it leaves open.
fn vigilant(url: &str) -> String {
    let mut url = url.to_owned();
    let is_uri = url.starts_with("postgres://") || url.starts_with("postgresql://");
    for (name, value) in VIGILANCE {
        if url.contains(name) {
            continue;
        }
        url.push(match (is_uri, url.contains('?')) {
            (false, _) => ' ',
            (true, false) => '?',
            (true, true) => '&',
        });
        url.push_str(&format!("{name}={value}"));
    }
    url
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_completed_in_its_own_form() {
        assert_eq!(
            vigilant("postgres://me@db/bobbin?keepalives_idle=60"),
            "postgres://me@db/bobbin?keepalives_idle=60&keepalives_interval=5\
             &keepalives_retries=3&tcp_user_timeout=30"
        );
        assert!(vigilant("postgres://db/bobbin").contains("/bobbin?keepalives_idle=10&"));
        assert!(vigilant("host=db dbname=bobbin").ends_with(" tcp_user_timeout=30"));
    }
}
