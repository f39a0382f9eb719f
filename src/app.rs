//! What every request needs, behind one `Arc`: pool, bus, keys, clock, settings.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SubsecRound, Utc};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::keys::Keys;
use crate::config::{Mode, Settings};
use crate::db::pool::{Conn, Pool};
use crate::db::signing_key;
use crate::db::translation::Translation;
use crate::error::{Error, Result};
use crate::ids::MessageId;
use crate::live::bus::Bus;
use crate::live::ephemeral::Lifetimes;
use crate::live::tail::Tail;
use crate::metrics::Metrics;
use crate::storage::Storage;
use crate::translation::Translator;
use crate::translation::flights::Flights;
use crate::trusted::Trusted;

/// Translations being made, by the message, the hash of its text and the language.
pub type Translating = Flights<(MessageId, Vec<u8>, String), Result<Translation>>;

/// The running server, as its parts see it.
pub struct App {
    /// The settings.
    pub settings: Settings,
    /// Development or production.
    pub mode: Mode,
    /// Connections to PostgreSQL.
    pub pool: Pool,
    /// What tells this node's subscribers that something happened.
    pub bus: Arc<Bus>,
    /// What reads the log for all who follow everything that they see.
    pub tail: Arc<Tail>,
    /// Wakes who delivers to webhooks: something may be due.
    pub deliveries: Notify,
    /// What verifies tokens.
    pub keys: Keys,
    /// What the server counts of itself.
    pub metrics: Metrics,
    /// The time.
    pub clock: Clock,
    /// Work that runs to its end even if its client hangs up; the end of the server waits for it.
    pub writes: TaskTracker,
    /// Open WebSockets; the end of the server waits for them.
    pub sockets: TaskTracker,
    /// Cancelled when the server is to end.
    pub shutdown: CancellationToken,
    /// The token that the explorer's page is given; only in development.
    pub page_token: Option<String>,
    /// The documents that alone are executed; none: any.
    pub trusted: Option<Trusted>,
    /// Who translates messages; none: nobody does.
    pub translator: Option<Arc<Translator>>,
    /// What it is being asked for.
    pub translating: Translating,
    storage: Option<Storage>,
}

impl App {
    /// The parts put together.
    pub fn new(settings: Settings, mode: Mode, pool: Pool, keys: Keys) -> Self {
        let bus = Bus::new(Lifetimes {
            typing: Duration::from_millis(settings.typing_lifetime.into()),
            presence: Duration::from_millis(settings.presence_lifetime.into()),
        });
        Self {
            settings,
            mode,
            pool,
            bus: Arc::new(bus),
            tail: Arc::default(),
            deliveries: Notify::new(),
            keys,
            metrics: Metrics::default(),
            clock: Clock,
            writes: TaskTracker::new(),
            sockets: TaskTracker::new(),
            shutdown: CancellationToken::new(),
            page_token: None,
            trusted: None,
            translator: None,
            translating: Translating::default(),
            storage: None,
        }
    }

    /// Opens where files are kept, for a server that listens at this address. The database has
    /// been migrated.
    pub async fn open_storage(&mut self, address: SocketAddr) -> Result<(), String> {
        let said = |error: Error| format!("the key that signs addresses: {error:?}");
        let mut new = [0; 32];
        aws_lc_rs::rand::fill(&mut new).map_err(|error| error.to_string())?;
        let mut conn = self.conn().await.map_err(said)?;
        let secret = signing_key::get_or_keep(&mut conn, &new).await;
        let secret = secret.map_err(said)?;
        let tasks = self.writes.clone();
        let storage = Storage::open(&self.settings, address, &secret, tasks)?;
        let unsaid = self.settings.files.public_url.is_none() && storage.leads_here();
        if self.mode == Mode::Production && address.ip().is_unspecified() && unsaid {
            tracing::warn!(
                "BOBBIN_PUBLIC_URL is not set: the addresses of files lead to this machine itself"
            );
        }
        self.storage = Some(storage);
        Ok(())
    }

    /// Where files are kept.
    pub fn storage(&self) -> &Storage {
        let opened = self.storage.as_ref();
        opened.expect("a server opens its storage before it serves")
    }

    /// A connection to PostgreSQL, waited for at most the pool's timeout.
    pub async fn conn(&self) -> Result<Conn> {
        self.pool.get().await.map_err(Error::internal)
    }

    /// Runs a write to its end, even if who asked for it goes away: a dropped transaction would
    /// keep its locks until its connection is used again, and a publish would be left out.
    pub async fn write<T, F>(self: &Arc<Self>, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        self.writes.spawn(work).await.map_err(Error::internal)?
    }
}

/// Where the time comes from.
#[derive(Debug, Clone, Copy)]
pub struct Clock;

impl Clock {
    /// The time now, in whole microseconds, which is what PostgreSQL keeps.
    pub fn now(self) -> DateTime<Utc> {
        #[expect(clippy::disallowed_methods, reason = "this is the clock")]
        Utc::now().trunc_subsecs(6)
    }
}
