//! One server for the whole test binary, in this process, on a runtime of its own: a test's
//! runtime ends with the test.

use std::net::SocketAddr;
use std::sync::Arc;

use bobbin::actions;
use bobbin::app::{App, Clock};
use bobbin::auth::keys::{Claims, Keys};
use bobbin::config::{Mode, Settings};
use bobbin::db::pool;
use bobbin::postgres::{self, Postgres};
use bobbin::translation::Translator;
use bobbin::trusted::Trusted;
use bobbin::{delivery, http, live};
use clap::Parser;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::OnceCell;
use tokio_postgres::NoTls;

use super::socket::PATIENCE;

/// What signs the tests' tokens.
pub const SECRET: &str = "a secret of the tests, longer than 32 bytes";

/// The running server.
pub struct Server {
    pub app: Arc<App>,
    pub address: SocketAddr,
    /// A client; it keeps no connection, since one ends with the runtime of the test that made it.
    pub http: reqwest::Client,
    /// An API key for the whole server.
    pub root_key: String,
    /// Where its database is.
    pub database_url: String,
    /// Kept, since it ends with this.
    pub _postgres: Option<Postgres>,
}

impl Server {
    /// The server; the first test to ask starts it.
    pub async fn get() -> &'static Self {
        static SERVER: OnceCell<Server> = OnceCell::const_new();
        SERVER.get_or_init(|| lasting(start)).await
    }

    /// A server that delivers to this machine, and gives up soon, on a database of its own.
    pub async fn delivering() -> &'static Self {
        static SERVER: OnceCell<Server> = OnceCell::const_new();
        let settings = [
            ["--delivery-networks", "127.0.0.0/8"],
            ["--delivery-concurrency", "32"],
            ["--delivery-timeout", "1000"],
            ["--delivery-backoff", "20"],
            ["--delivery-attempts", "4"],
        ];
        SERVER
            .get_or_init(|| Self::with_deliveries(settings.concat()))
            .await
    }

    /// A server that delivers nowhere but to the Internet, on a database of its own.
    pub async fn guarded() -> &'static Self {
        static SERVER: OnceCell<Server> = OnceCell::const_new();
        let settings = [
            ["--delivery-timeout", "1000"],
            ["--delivery-backoff", "20"],
            ["--delivery-attempts", "2"],
            ["--delivery-retention", "2s"],
        ];
        SERVER
            .get_or_init(|| Self::with_deliveries(settings.concat()))
            .await
    }

    /// A server with such deliveries on an empty database. Beside others it would deliver what is
    /// theirs, and they what is its own.
    pub async fn with_deliveries(arguments: Vec<&'static str>) -> Self {
        let first = Self::get().await;
        let database = super::unique("deliveries").replace('-', "_");
        let create = format!("CREATE DATABASE {database}");
        let created = first.sql().await.batch_execute(&create).await;
        created.expect("a database of its own");
        let (cluster, _) = first.database_url.rsplit_once('/').expect("an address");
        let url = format!("{cluster}/{database}");
        let fixed = ["bobbin", "--mode", "development", "--jwt-secret", SECRET];
        let settings = Settings::parse_from([&fixed[..], &arguments].concat());
        lasting(async move || serve(settings, &url, 12, None).await).await
    }

    /// Another server with other settings on the same database; ends with the test.
    pub async fn other(arguments: &[&str]) -> &'static Self {
        let first = Self::get().await;
        let secret = if arguments.contains(&"--jwt-secret") {
            vec![]
        } else {
            vec!["--jwt-secret", SECRET]
        };
        let fixed = [
            "bobbin",
            "--data-dir",
            env!("CARGO_TARGET_TMPDIR"),
            "--mode",
            "development",
            "--event-retention",
            "off",
            "--delivery-concurrency",
            "0",
        ];
        let settings = Settings::parse_from([&fixed, &secret[..], arguments].concat());
        let server = serve(settings, &first.database_url, 4, None).await;
        // Actors refer to their server for as long as they like.
        Box::leak(Box::new(server))
    }

    /// A server on another, empty database beside the first one's; ends with the test.
    pub async fn beside(database: &str) -> &'static Self {
        let first = &Self::get().await.database_url;
        let (cluster, _) = first.rsplit_once('/').expect("an address with a database");
        let server = serve(settings(), &format!("{cluster}/{database}"), 8, None).await;
        Box::leak(Box::new(server))
    }

    /// A connection to the database, behind the server's back.
    pub async fn sql(&self) -> tokio_postgres::Client {
        let connected = tokio_postgres::connect(&self.database_url, NoTls).await;
        let (client, connection) = connected.expect("PostgreSQL answers");
        tokio::spawn(connection);
        client
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A token with these claims, of a day if they do not say.
    pub fn token(&self, claims: Value) -> String {
        let now = now();
        let mut full = json!({ "exp": now + 86_400.0, "iat": now });
        super::merge(&mut full, claims);
        let claims: Claims = serde_json::from_value(full).expect("claims");
        self.app.keys.sign(&claims).expect("a token")
    }

    /// A new API key, for an organization or for the whole server.
    pub async fn key(&self, organization: Option<&str>) -> String {
        actions::api_key::create(&self.app, organization, "test")
            .await
            .expect("a key")
    }
}

/// Seconds since 1970.
pub fn now() -> f64 {
    Clock.now().timestamp_micros() as f64 / 1e6
}

/// A server on a runtime of its own, which lives as long as the process.
async fn lasting(start: impl AsyncFnOnce() -> Server + Send + 'static) -> Server {
    let (give, take) = tokio::sync::oneshot::channel();
    std::thread::spawn(|| {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let server = start().await;
            let ended = server.app.shutdown.clone();
            let _ = give.send(server);
            ended.cancelled().await;
        });
    });
    take.await.expect("the server has started")
}

async fn start() -> Server {
    let postgres = postgres::throwaway(None).await.expect("PostgreSQL starts");
    let url = postgres.url().to_owned();
    serve(settings(), &url, 32, Some(postgres)).await
}

fn settings() -> Settings {
    Settings::parse_from([
        "bobbin",
        // Its files are the other servers' as well.
        "--data-dir",
        env!("CARGO_TARGET_TMPDIR"),
        "--mode",
        "development",
        "--jwt-secret",
        SECRET,
        // Nothing ends by itself in the midst of a test that is not about that.
        "--typing-lifetime",
        "600000",
        "--presence-lifetime",
        "600000",
        // Nobody drops anything behind a test's back, nor delivers it.
        "--event-retention",
        "off",
        "--delivery-concurrency",
        "0",
    ])
}

async fn serve(settings: Settings, url: &str, connections: usize, own: Option<Postgres>) -> Server {
    let pool = pool::build(url, connections).expect("a pool");
    pool::migrate(&pool).await.expect("migrations apply");
    let jwks = settings.jwt_jwks.clone();
    let keys = Keys::load(settings.jwt_secret.as_ref(), jwks.as_deref(), Clock.now());
    let keys = keys.await.expect("keys");
    let mut app = App::new(settings, Mode::Development, pool, keys);
    if let Some(manifest) = app.settings.trusted_documents.clone() {
        app.trusted = Some(Trusted::load(&manifest).await.expect("a manifest"));
    }
    let translator = Translator::open(&app.settings.translate);
    app.translator = translator.expect("a provider or none").map(Arc::new);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    app.open_storage(address).await.expect("a storage");
    let app = Arc::new(app);
    tokio::spawn(live::tail::run(Arc::clone(&app)));
    tokio::spawn(live::retention::run(Arc::clone(&app)));
    tokio::spawn(live::ephemeral::run(Arc::clone(&app)));
    tokio::spawn(delivery::run(Arc::clone(&app)));
    tokio::spawn(http::run(Arc::clone(&app), listener));
    let root_key = actions::api_key::create(&app, None, "root").await;
    Server {
        root_key: root_key.expect("a key"),
        app,
        address,
        // A connection ends with the runtime of the test that opened it, so none is kept for others.
        http: reqwest::Client::builder()
            .pool_max_idle_per_host(0)
            .timeout(PATIENCE)
            .build()
            .expect("a client"),
        database_url: url.to_owned(),
        _postgres: own,
    }
}
