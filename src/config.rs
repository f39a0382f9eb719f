//! Every setting: its flag, its environment variable, its default. Never reads anything else.

pub mod delivery;
pub mod files;
pub mod translate;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use chrono::TimeDelta;
use clap::{ArgAction, Parser, Subcommand, ValueEnum};

use self::translate::Translate;
use crate::config::delivery::DeliverySettings;
use crate::config::files::FileSettings;
use crate::db::enums::Role;
use crate::db::search_language::SearchLanguage;

/// A messaging backend that a team runs itself: threads, messages and realtime through one GraphQL
/// schema. Without a command it serves.
#[derive(Debug, Parser)]
#[command(name = "bobbin", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The settings.
    #[command(flatten)]
    pub settings: Settings,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve until SIGTERM, then drain. In development it migrates first and loads demo data.
    Serve,
    /// Apply the migrations and stop.
    Migrate,
    /// Print the GraphQL schema. Needs no database.
    Schema,
    /// Print a JWT for a person, and nothing else. For development and scripts.
    Token(TokenArgs),
    /// Create, list and revoke the API keys of backends.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Load the demo people, threads and messages, or load them anew.
    Demo,
}

/// Whom a token is for.
#[derive(Debug, clap::Args)]
pub struct TokenArgs {
    /// The user's externalId or usr_ id. An unknown externalId makes a user at the first use.
    #[arg(long, value_parser = name)]
    pub user: String,
    /// Bind the token to the organization with this externalId.
    #[arg(long)]
    pub organization: Option<String>,
    /// The user's role there [default: MEMBER for a new member, else unchanged].
    #[arg(long, value_parser = role, requires = "organization")]
    pub role: Option<Role>,
    /// The user's name.
    #[arg(long)]
    pub name: Option<String>,
    /// How long it is valid: 90s, 30m, 24h, 7d.
    #[arg(long, default_value = "24h", value_parser = duration)]
    pub expires: TimeDelta,
}

/// What to do with API keys.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Print a new key as KEYID:SECRET, once. Only a hash of the secret is stored.
    Create {
        /// Bind it to the organization with this externalId or id; without, it is for the whole server.
        #[arg(long)]
        organization: Option<String>,
        /// What it is for.
        #[arg(long, default_value = "unnamed")]
        name: String,
    },
    /// List the keys: id, organization, name, created, revoked.
    List,
    /// End a key. Requests with it are refused from now on.
    Revoke {
        /// The part before the colon.
        key_id: String,
    },
}

/// Whether conveniences that only a developer may have are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Migrations and demo data by themselves, a secret and a token made on the spot.
    Development,
    /// Keys must be set; migrations are a decision.
    Production,
}

/// A text that is never printed.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for those who must have it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl FromStr for Secret {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim().is_empty() {
            return Err("it is empty");
        }
        Ok(Self(text.to_owned()))
    }
}

/// How long something is kept; none: for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention(pub Option<TimeDelta>);

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The settings. Each is a flag and an environment variable; the flag wins.
#[derive(Debug, Clone, Parser)]
#[command(next_help_heading = "Settings")]
pub struct Settings {
    /// PostgreSQL 15 or newer [default: a private one in the data directory].
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, global = true)]
    pub database_url: Option<Secret>,
    /// Where a private PostgreSQL, secrets made in development and the bound address are kept.
    #[arg(
        long,
        env = "BOBBIN_DATA_DIR",
        default_value = ".bobbin",
        global = true
    )]
    pub data_dir: PathBuf,
    /// Directory of the PostgreSQL programs for the private one [default: found by itself].
    #[arg(long, env = "BOBBIN_POSTGRES_BIN", global = true)]
    pub postgres_bin: Option<PathBuf>,
    /// Address and port to listen on; port 0 takes a free one (see DATA_DIR/address).
    #[arg(
        long,
        env = "BOBBIN_LISTEN",
        default_value = "127.0.0.1:8080",
        global = true
    )]
    pub listen: SocketAddr,
    /// Development or production [default: development without keys or without DATABASE_URL].
    #[arg(long, env = "BOBBIN_MODE", value_enum, global = true)]
    pub mode: Option<Mode>,
    /// The secret that signs tokens (HS256), 32 bytes or more.
    #[arg(long, env = "BOBBIN_JWT_SECRET", hide_env_values = true, allow_hyphen_values = true, value_parser = jwt_secret, global = true)]
    pub jwt_secret: Option<Secret>,
    /// A JWK set that verifies tokens (RS256, ES256, EdDSA): a file or an http(s) URL.
    #[arg(long, env = "BOBBIN_JWT_JWKS", global = true)]
    pub jwt_jwks: Option<String>,
    /// NATS servers that tell other nodes on the same database what happens, separated by commas
    /// [default: none, there is one node].
    #[arg(long, env = "BOBBIN_NATS_URL", hide_env_values = true, global = true)]
    pub nats_url: Option<Secret>,
    /// What the NATS subjects begin with, so that several installations can share a server.
    #[arg(long, env = "BOBBIN_NATS_PREFIX", default_value = "bobbin", value_parser = subject, global = true)]
    pub nats_prefix: String,
    /// Migrate before serving, also in production.
    #[arg(long, env = "BOBBIN_MIGRATE", action = ArgAction::SetTrue, global = true)]
    pub migrate: bool,
    /// Connections to PostgreSQL.
    #[arg(long, env = "BOBBIN_DATABASE_CONNECTIONS", default_value = "16", value_parser = clap::value_parser!(u16).range(2..=1000), global = true)]
    pub database_connections: u16,
    /// Largest request body and WebSocket message, in bytes.
    #[arg(long, env = "BOBBIN_MAX_REQUEST_BYTES", default_value = "2000000", value_parser = clap::value_parser!(u32).range(1_000..=1_000_000_000), global = true)]
    pub max_request_bytes: u32,
    /// Deepest selection of a document.
    #[arg(long, env = "BOBBIN_MAX_DEPTH", default_value = "20", value_parser = clap::value_parser!(u16).range(5..=100), global = true)]
    pub max_depth: u16,
    /// Most fields of a document, a page's fields counted once an item.
    #[arg(long, env = "BOBBIN_MAX_COMPLEXITY", default_value = "100000", value_parser = clap::value_parser!(u32).range(100..=10_000_000), global = true)]
    pub max_complexity: u32,
    /// Most tokens of a document: names, values, punctuation.
    #[arg(long, env = "BOBBIN_MAX_TOKENS", default_value = "5000", value_parser = clap::value_parser!(u32).range(100..=1_000_000), global = true)]
    pub max_tokens: u32,
    /// Most aliases of an operation, every fragment written out.
    #[arg(long, env = "BOBBIN_MAX_ALIASES", default_value = "100", value_parser = clap::value_parser!(u32).range(0..=100_000), global = true)]
    pub max_aliases: u32,
    /// Most directives of an operation, every fragment written out.
    #[arg(long, env = "BOBBIN_MAX_DIRECTIVES", default_value = "100", value_parser = clap::value_parser!(u32).range(0..=100_000), global = true)]
    pub max_directives: u32,
    /// Most operations of a batch, which is a JSON array of requests; 0 refuses batches.
    #[arg(long, env = "BOBBIN_MAX_BATCH", default_value = "10", value_parser = clap::value_parser!(u16).range(0..=1_000), global = true)]
    pub max_batch: u16,
    /// Most items of a page.
    #[arg(long, env = "BOBBIN_MAX_PAGE_SIZE", default_value = "100", value_parser = clap::value_parser!(u16).range(1..=1_000), global = true)]
    pub max_page_size: u16,
    /// Memory for parsed documents and automatic persisted queries, in bytes.
    #[arg(long, env = "BOBBIN_DOCUMENT_CACHE_BYTES", default_value = "64000000", value_parser = clap::value_parser!(u32).range(1_000_000..=4_000_000_000), global = true)]
    pub document_cache_bytes: u32,
    /// A JSON manifest of the documents that alone are executed [default: any document is].
    #[arg(long, env = "BOBBIN_TRUSTED_DOCUMENTS", global = true)]
    pub trusted_documents: Option<PathBuf>,
    /// Most WebSockets and streams that are open at once on this server.
    #[arg(long, env = "BOBBIN_MAX_SOCKETS", default_value = "100000", value_parser = clap::value_parser!(u32).range(1..), global = true)]
    pub max_sockets: u32,
    /// Most WebSockets and streams that one viewer has open at once.
    #[arg(long, env = "BOBBIN_MAX_SOCKETS_PER_VIEWER", default_value = "10000", value_parser = clap::value_parser!(u32).range(1..), global = true)]
    pub max_sockets_per_viewer: u32,
    /// Most new WebSockets a second from an address, ten times as many at once; 0: any number.
    /// This machine itself is not counted.
    #[arg(long, env = "BOBBIN_MAX_CONNECTION_RATE", default_value = "100", value_parser = clap::value_parser!(u32).range(0..=1_000_000), global = true)]
    pub max_connection_rate: u32,
    /// Most operations a second of a viewer, ten times as many at once; 0: any number.
    #[arg(long, env = "BOBBIN_MAX_OPERATION_RATE", default_value = "0", value_parser = clap::value_parser!(u32).range(0..=1_000_000), global = true)]
    pub max_operation_rate: u32,
    /// Header in which a proxy tells the client's address, such as X-Forwarded-For. Only for
    /// servers that nobody reaches but through that proxy [default: the address itself].
    #[arg(long, env = "BOBBIN_CLIENT_ADDRESS_HEADER", value_parser = header_name, global = true)]
    pub client_address_header: Option<String>,
    /// Serve /metrics, to whoever asks.
    #[arg(long, env = "BOBBIN_METRICS", default_value = "true", action = ArgAction::Set, global = true)]
    pub metrics: bool,
    /// Longest time for a query or mutation, in seconds.
    #[arg(long, env = "BOBBIN_OPERATION_TIMEOUT", default_value = "30", value_parser = clap::value_parser!(u16).range(1..=3600), global = true)]
    pub operation_timeout: u16,
    /// Most operations at once on a WebSocket.
    #[arg(long, env = "BOBBIN_MAX_SOCKET_OPERATIONS", default_value = "200", value_parser = clap::value_parser!(u16).range(1..=10_000), global = true)]
    pub max_socket_operations: u16,
    /// Time for a WebSocket client to send connection_init, in milliseconds.
    #[arg(long, env = "BOBBIN_INIT_TIMEOUT", default_value = "3000", value_parser = clap::value_parser!(u32).range(10..=600_000), global = true)]
    pub init_timeout: u32,
    /// Time between pings on a WebSocket, in milliseconds; a pong must come before the next one.
    #[arg(long, env = "BOBBIN_PING_INTERVAL", default_value = "12000", value_parser = clap::value_parser!(u32).range(10..=600_000), global = true)]
    pub ping_interval: u32,
    /// How long somebody types who does not say so again, in milliseconds.
    #[arg(long, env = "BOBBIN_TYPING_LIFETIME", default_value = "5000", value_parser = clap::value_parser!(u32).range(10..=600_000), global = true, hide = true)]
    pub typing_lifetime: u32,
    /// How long somebody is online who does not say so again, in milliseconds.
    #[arg(long, env = "BOBBIN_PRESENCE_LIFETIME", default_value = "30000", value_parser = clap::value_parser!(u32).range(10..=600_000), global = true, hide = true)]
    pub presence_lifetime: u32,
    /// Time for a WebSocket client to take what is written, in milliseconds; a slower one is cut off with 4508.
    #[arg(long, env = "BOBBIN_WRITE_TIMEOUT", default_value = "30000", value_parser = clap::value_parser!(u32).range(100..=600_000), global = true)]
    pub write_timeout: u32,
    /// Origins whose pages may call, separated by commas, or * [default: * in development, else none].
    #[arg(long, env = "BOBBIN_CORS_ORIGINS", value_parser = origins, global = true)]
    pub cors_origins: Option<String>,
    /// Language of threads that name none, by which words are stemmed for the search; simple: not stemmed.
    #[arg(
        long,
        env = "BOBBIN_SEARCH_LANGUAGE",
        default_value = "en",
        global = true
    )]
    pub search_language: SearchLanguage,
    /// How long events are kept for clients that were away: 12h, 30d, or off for ever. Who was away for longer reads everything anew.
    #[arg(
        long,
        env = "BOBBIN_EVENT_RETENTION",
        default_value = "30d",
        value_parser = retention,
        global = true
    )]
    pub event_retention: Retention,
    /// Who translates messages.
    #[command(flatten)]
    pub translate: Translate,
    /// The settings of files.
    #[command(flatten)]
    pub files: FileSettings,
    /// How deliveries to URLs are made.
    #[command(flatten)]
    pub delivery: DeliverySettings,
    /// Let clients read the schema.
    #[arg(long, env = "BOBBIN_INTROSPECTION", default_value = "true", action = ArgAction::Set, global = true)]
    pub introspection: bool,
    /// What to log: error, warn, info, debug, or a tracing filter.
    #[arg(long, env = "BOBBIN_LOG", default_value = "info", value_parser = log_filter, global = true)]
    pub log: String,
    /// How to log.
    #[arg(
        long,
        env = "BOBBIN_LOG_FORMAT",
        value_enum,
        default_value = "text",
        global = true
    )]
    pub log_format: LogFormat,
}

impl Settings {
    /// Whether a key that verifies tokens is set.
    pub fn has_keys(&self) -> bool {
        self.jwt_secret.is_some() || self.jwt_jwks.is_some()
    }

    /// The mode, or why the settings allow none.
    pub fn mode(&self) -> Result<Mode, String> {
        match self.mode {
            Some(Mode::Production) if !self.has_keys() => {
                Err("production needs keys: set BOBBIN_JWT_SECRET or BOBBIN_JWT_JWKS".to_owned())
            }
            Some(mode) => Ok(mode),
            None if self.has_keys() && self.database_url.is_some() => Ok(Mode::Production),
            None if self.has_keys() || self.listen.ip().is_loopback() => Ok(Mode::Development),
            None => Err(format!(
                "{} is open to others and no key is set: set BOBBIN_JWT_SECRET or BOBBIN_JWT_JWKS, or BOBBIN_MODE=development",
                self.listen
            )),
        }
    }

    /// The longest time for a query or mutation.
    pub fn operation_timeout(&self) -> Duration {
        Duration::from_secs(self.operation_timeout.into())
    }

    /// The time that a WebSocket client has for connection_init.
    pub fn init_timeout(&self) -> Duration {
        Duration::from_millis(self.init_timeout.into())
    }

    /// The time that a WebSocket client has to take what is written.
    pub fn write_timeout(&self) -> Duration {
        Duration::from_millis(self.write_timeout.into())
    }

    /// The time between two pings on a WebSocket.
    pub fn ping_interval(&self) -> Duration {
        Duration::from_millis(self.ping_interval.into())
    }
}

fn role(text: &str) -> Result<Role, String> {
    Role::parse(&text.to_ascii_uppercase())
        .ok_or_else(|| "one of ADMIN, AGENT, MEMBER, CONTACT".to_owned())
}

fn jwt_secret(text: &str) -> Result<Secret, String> {
    // RFC 7518, section 3.2: a key of the hash's size or larger must be used.
    if text.len() < 32 {
        return Err("32 bytes or more, as HS256 asks for".to_owned());
    }
    text.parse().map_err(str::to_owned)
}

fn name(text: &str) -> Result<String, String> {
    let fits = (1..=320).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    let wrong = || "1 to 320 characters without control characters".to_owned();
    fits.then(|| text.to_owned()).ok_or_else(wrong)
}

fn subject(text: &str) -> Result<String, String> {
    let token = |part: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        !part.is_empty() && part.chars().all(plain)
    };
    let fits = text.len() <= 100 && text.split('.').all(token);
    let wrong = || "letters, digits, - and _, in parts with a dot between".to_owned();
    fits.then(|| text.to_owned()).ok_or_else(wrong)
}

fn log_filter(text: &str) -> Result<String, String> {
    match tracing_subscriber::EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn origins(text: &str) -> Result<String, String> {
    let is_origin = |origin: &str| {
        origin
            .trim()
            .strip_prefix("https://")
            .or_else(|| origin.trim().strip_prefix("http://"))
            .is_some_and(|host| !host.is_empty() && !host.contains(['/', ' ']))
    };
    if text.trim() == "*" || text.split(',').all(is_origin) {
        Ok(text.to_owned())
    } else {
        Err("* or origins such as https://app.example.com, separated by commas".to_owned())
    }
}

fn header_name(text: &str) -> Result<String, String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if text.is_empty() || !text.chars().all(is_name) {
        return Err("a header's name, such as X-Forwarded-For".to_owned());
    }
    Ok(text.to_ascii_lowercase())
}

fn duration(text: &str) -> Result<TimeDelta, String> {
    let wrong = || "a number and s, m, h or d, as in 24h".to_owned();
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let number: i64 = number.parse().map_err(|_| wrong())?;
    number
        .checked_mul(seconds)
        .filter(|seconds| *seconds <= 100 * 366 * 86_400)
        .map(TimeDelta::seconds)
        .ok_or_else(|| "at most 100 years".to_owned())
}

fn retention(text: &str) -> Result<Retention, String> {
    if matches!(text, "0" | "off") {
        return Ok(Retention(None));
    }
    match duration(text) {
        Ok(time) if time > TimeDelta::zero() => Ok(Retention(Some(time))),
        Ok(_) => Err("0 or off for ever, else more than nothing".to_owned()),
        Err(why) => Err(format!("off, or {why}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(args: &[&str]) -> Settings {
        Settings::parse_from([&["bobbin"], args].concat())
    }

    #[test]
    fn without_keys_only_a_loopback_address_is_development() {
        assert_eq!(settings(&[]).mode(), Ok(Mode::Development));
        assert!(settings(&["--listen", "0.0.0.0:80"]).mode().is_err());
        assert!(settings(&["--mode", "production"]).mode().is_err());
    }

    #[test]
    fn keys_and_a_database_make_production() {
        let secret = "0123456789abcdef0123456789abcdef";
        let args = ["--jwt-secret", secret, "--database-url", "postgres://x"];
        assert_eq!(settings(&args).mode(), Ok(Mode::Production));
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("24h"), Ok(TimeDelta::hours(24)));
        assert!(duration("24").is_err() && duration("h").is_err() && duration("-1h").is_err());
    }

    #[test]
    fn events_are_kept_for_a_time_or_for_ever() {
        let kept = |args: &[&str]| settings(args).event_retention.0;
        assert_eq!(kept(&[]), Some(TimeDelta::days(30)));
        assert_eq!(
            kept(&["--event-retention", "12h"]),
            Some(TimeDelta::hours(12))
        );
        for off in ["0", "off"] {
            assert_eq!(kept(&["--event-retention", off]), None);
        }
        assert!(retention("0d").is_err() && retention("soon").is_err());
    }

    #[test]
    fn a_secret_does_not_print() {
        let secret: Secret = "swordfish".parse().expect("not empty");
        assert!(!format!("{secret:?}").contains("swordfish"));
    }
}
