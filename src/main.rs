//! serve, migrate, schema, token, key, demo: parse, build, run, shut down.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use bobbin::actions;
use bobbin::app::{App, Clock};
use bobbin::auth::keys::{Claims, Keys};
use bobbin::config::{Cli, Command, KeyCommand, LogFormat, Mode, Secret, Settings, TokenArgs};
use bobbin::db::enums::Role;
use bobbin::db::{api_key, pool};
use bobbin::error::Error;
use bobbin::postgres::{self, Postgres};
use bobbin::translation::Translator;
use bobbin::trusted::Trusted;
use bobbin::{delivery, demo, graphql, http, live, secret, sweeper};
use chrono::TimeDelta;
use clap::Parser;
use clap::error::ErrorKind;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long the token that is printed in development is valid.
const PAGE_TOKEN_DAYS: i64 = 30;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misuse(&error),
    };
    init_logs(&cli.settings);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.to_string()),
    };
    match runtime.block_on(run(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => fail(&message),
    }
}

async fn run(cli: Cli) -> Result<(), String> {
    let settings = cli.settings;
    match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => serve(settings).await,
        Command::Schema => print(&graphql::sdl()),
        Command::Token(args) => print(&format!("{}\n", token(&settings, args).await?)),
        Command::Migrate => {
            let (app, database) = connect(settings).await?;
            let done = pool::migrate(&app.pool).await.map_err(said);
            database.stop().await;
            done
        }
        Command::Key(command) => {
            let (app, database) = connect(settings).await?;
            let done = async {
                prepare_for(&app, &database).await?;
                key(&app, command).await
            };
            let done = done.await;
            database.stop().await;
            print(&done?)
        }
        Command::Demo => {
            let (app, database) = connect(settings).await?;
            let done = async {
                prepare_for(&app, &database).await?;
                demo::load(&Arc::new(app)).await.map_err(said)
            };
            let done = done.await;
            database.stop().await;
            done
        }
    }
}

/// Where the rows are.
enum Database {
    Given,
    Private(Postgres),
}

impl Database {
    async fn stop(self) {
        if let Self::Private(postgres) = self {
            postgres.stop().await;
        }
    }

    /// Resolves when a private PostgreSQL has died for good.
    async fn failed(&self) {
        match self {
            Self::Given => std::future::pending().await,
            Self::Private(postgres) => postgres.failed().await,
        }
    }
}

/// For the short commands: joins a running server's private PostgreSQL, or starts it for a while.
async fn connect(settings: Settings) -> Result<(App, Database), String> {
    let mode = settings.mode().unwrap_or(Mode::Development);
    let (url, database) = match &settings.database_url {
        Some(url) => (url.reveal().to_owned(), Database::Given),
        None => {
            let binaries = settings.postgres_bin.as_deref();
            let postgres = postgres::join(&settings.data_dir, binaries)
                .await
                .map_err(|error| error.to_string())?;
            (postgres.url().to_owned(), Database::Private(postgres))
        }
    };
    let pool = pool::build(&url, 4).map_err(said)?;
    pool::reach(&pool).await?;
    let keys = Keys::load(None, None, Clock.now()).await?;
    Ok((App::new(settings, mode, pool, keys), database))
}

async fn serve(settings: Settings) -> Result<(), String> {
    let mode = settings.mode()?;
    let secret = signing_secret(&settings, mode)?;
    let keys = Keys::load(secret.as_ref(), settings.jwt_jwks.as_deref(), Clock.now()).await?;
    let trusted = match &settings.trusted_documents {
        Some(path) => Some(Trusted::load(path).await?),
        None => None,
    };
    let translator = Translator::open(&settings.translate)?;
    let (url, database) = match &settings.database_url {
        Some(url) => (url.reveal().to_owned(), Database::Given),
        None => {
            let binaries = settings.postgres_bin.as_deref();
            let postgres = postgres::start(&settings.data_dir, binaries)
                .await
                .map_err(|error| error.to_string())?;
            (postgres.url().to_owned(), Database::Private(postgres))
        }
    };
    // Behind the data directory, which says whose it is: dropped, the database ends by itself.
    let listener = TcpListener::bind(settings.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", settings.listen))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let pool = pool::build(&url, settings.database_connections.into()).map_err(said)?;
    pool::reach(&pool).await?;
    let mut app = App::new(settings, mode, pool, keys);
    app.trusted = trusted;
    app.translator = translator.map(Arc::new);
    prepare(&app).await?;
    app.open_storage(address).await?;
    if mode == Mode::Development && secret.is_some() {
        app.page_token = Some(page_token(&app)?);
    }
    let nats = live::nats::connect(&app).await?;
    let app = Arc::new(app);
    let nats = nats.map(|nats| tokio::spawn(live::nats::run(Arc::clone(&app), nats)));
    if mode == Mode::Development && demo::is_wanted(&app).await.map_err(said)? {
        demo::load(&app).await.map_err(said)?;
    }
    write_address(&app.settings.data_dir, &address.to_string())?;
    announce(&app, &address.to_string())?;
    let tail = tokio::spawn(live::tail::run(Arc::clone(&app)));
    let retention = tokio::spawn(live::retention::run(Arc::clone(&app)));
    let ephemeral = tokio::spawn(live::ephemeral::run(Arc::clone(&app)));
    let sweeper = tokio::spawn(sweeper::run(Arc::clone(&app)));
    let deliveries = tokio::spawn(delivery::run(Arc::clone(&app)));
    let ending = tokio::spawn(end_on_signal(Arc::clone(&app)));
    let served = tokio::select! {
        served = http::run(Arc::clone(&app), listener) => served.map_err(|error| error.to_string()),
        () = database.failed() => Err("the private PostgreSQL has died".to_owned()),
    };
    app.shutdown.cancel();
    if deliveries.await.is_err() {
        tracing::error!("the task that delivers has failed");
    }
    ending.abort();
    // Not before the last write has been told.
    if let Some(nats) = nats {
        nats.abort();
    }
    // Nobody listens there any more, and the next server may listen elsewhere.
    let _ = std::fs::remove_file(app.settings.data_dir.join("address"));
    for task in [tail, retention] {
        if task.await.is_err() {
            tracing::error!("a task that reads the log has failed");
        }
    }
    if ephemeral.await.is_err() {
        tracing::error!("the task that ends what is overdue has failed");
    }
    if sweeper.await.is_err() {
        tracing::error!("the task that clears unused files away has failed");
    }
    app.pool.close();
    database.stop().await;
    served
}

/// Migrations: by themselves in development and where asked for, else they must be there.
async fn prepare(app: &App) -> Result<(), String> {
    if app.mode == Mode::Development || app.settings.migrate {
        return pool::migrate(&app.pool).await.map_err(said);
    }
    if pool::is_migrated(&app.pool).await.map_err(said)? {
        Ok(())
    } else {
        Err(
            "the database lacks migrations: run `bobbin migrate`, or serve with --migrate"
                .to_owned(),
        )
    }
}

/// The same for the short commands: a private database is ours to migrate.
async fn prepare_for(app: &App, database: &Database) -> Result<(), String> {
    match database {
        Database::Private(_) => pool::migrate(&app.pool).await.map_err(said),
        Database::Given => prepare(app).await,
    }
}

/// The secret that signs tokens: the setting; in development one that is made once.
fn signing_secret(settings: &Settings, mode: Mode) -> Result<Option<Secret>, String> {
    match &settings.jwt_secret {
        Some(secret) => Ok(Some(secret.clone())),
        None if mode == Mode::Development && settings.jwt_jwks.is_none() => {
            secret::in_directory(&settings.data_dir).map(Some)
        }
        None => Ok(None),
    }
}

async fn token(settings: &Settings, args: TokenArgs) -> Result<String, String> {
    let mode = settings.mode()?;
    let secret = signing_secret(settings, mode)?;
    let keys = Keys::load(secret.as_ref(), None, Clock.now()).await?;
    let claims = claims(args);
    keys.sign(&claims)
}

fn claims(args: TokenArgs) -> Claims {
    let now = Clock.now();
    #[expect(
        clippy::cast_precision_loss,
        reason = "microseconds since 1970 fit for centuries"
    )]
    let seconds = |at: chrono::DateTime<chrono::Utc>| at.timestamp_micros() as f64 / 1e6;
    Claims {
        sub: args.user,
        exp: seconds(now + args.expires),
        iat: Some(seconds(now)),
        nbf: None,
        org: args.organization,
        role: args.role,
        name: args.name,
        email: None,
        picture: None,
    }
}

/// The token for the explorer's page: of the first demo person.
fn page_token(app: &App) -> Result<String, String> {
    app.keys.sign(&claims(TokenArgs {
        user: demo::FIRST_PERSON.to_owned(),
        organization: Some(demo::ORGANIZATION.to_owned()),
        role: Some(Role::Admin),
        name: None,
        expires: TimeDelta::days(PAGE_TOKEN_DAYS),
    }))
}

async fn key(app: &App, command: KeyCommand) -> Result<String, String> {
    match command {
        KeyCommand::Create { organization, name } => {
            let key = actions::api_key::create(app, organization.as_deref(), &name).await;
            Ok(format!("{}\n", key.map_err(said)?))
        }
        KeyCommand::Revoke { key_id } => {
            actions::api_key::revoke(app, &key_id).await.map_err(said)?;
            Ok(String::new())
        }
        KeyCommand::List => {
            let mut conn = app.conn().await.map_err(said)?;
            let keys = api_key::all(&mut conn).await.map_err(said)?;
            let line = |(key, organization): &(api_key::ApiKey, Option<String>)| {
                let organization = organization.as_deref().unwrap_or("(whole server)");
                let revoked = key.revoked_at.map(|at| format!("  revoked {at:.0?}"));
                format!(
                    "{}  {organization}  {}  created {:.0?}{}\n",
                    key.id,
                    key.name,
                    key.created_at,
                    revoked.unwrap_or_default()
                )
            };
            Ok(keys.iter().map(line).collect())
        }
    }
}

async fn end_on_signal(app: Arc<App>) {
    let signals = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    );
    let (Ok(mut terminate), Ok(mut interrupt)) = signals else {
        tracing::error!("signals cannot be received");
        return;
    };
    let mut wait = async || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    wait().await;
    tracing::info!("ending: no new connections, open ones are drained");
    app.shutdown.cancel();
    // Who asks twice does not want to wait.
    wait().await;
    std::process::exit(1);
}

/// For scripts that let the system choose the port.
fn write_address(data_dir: &Path, address: &str) -> Result<(), String> {
    let path = data_dir.join("address");
    std::fs::create_dir_all(data_dir)
        .and_then(|()| std::fs::write(&path, format!("{address}\n")))
        .map_err(|error| format!("{}: {error}", path.display()))
}

fn announce(app: &App, address: &str) -> Result<(), String> {
    tracing::info!(%address, mode = ?app.mode, "listening");
    match &app.page_token {
        None if app.mode == Mode::Development => print(&format!(
            "\nBobbin is ready. Open http://{address}/graphiql\n\n"
        )),
        None => Ok(()),
        Some(token) => print(&format!(
            "\nBobbin is ready. Open http://{address}/graphiql\n\nA token (Ada, ADMIN of acme, {PAGE_TOKEN_DAYS} days):\n{token}\n\n"
        )),
    }
}

fn init_logs(settings: &Settings) {
    let filter = EnvFilter::try_new(&settings.log).unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match settings.log_format {
        LogFormat::Text => logs.init(),
        LogFormat::Json => logs.json().init(),
    }
}

/// A wrong command line: one line, but for the help that was asked for.
fn misuse(error: &clap::Error) -> ExitCode {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    ) {
        error.exit();
    }
    // The first paragraph says what is wrong, the others how to get help.
    let text = error.to_string();
    let said = text.lines().take_while(|line| !line.trim().is_empty());
    let line = said.map(str::trim).collect::<Vec<_>>().join(" ");
    eprintln!("bobbin: {}", line.trim_start_matches("error: "));
    ExitCode::from(2)
}

fn fail(message: &str) -> ExitCode {
    eprintln!("bobbin: {message}");
    ExitCode::FAILURE
}

/// Who pipes the output away may stop reading it.
fn print(text: &str) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.to_string()),
        _ => Ok(()),
    }
}

/// What a failed action says on the command line, cause and all: here it is our own operator.
fn said(error: Error) -> String {
    match error {
        Error::Internal(cause) => format!("{cause:?}"),
        other => other.message(),
    }
}
