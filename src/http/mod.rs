//! The server's routes: GraphQL over HTTP and WebSocket, files, pages, health.
//!
//! Never knows what an operation means: it makes the viewer, and hands over.

mod negotiation;

mod limits;

mod documents;

mod rates;

mod credential;

mod operation;

mod asked;

mod incoming;

mod multipart;

mod graphql;

mod websocket;

mod sse;

mod pages;

mod files;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{any, get, put};
use axum::serve::ListenerExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout_at};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::app::App;
use crate::config::Mode;
use crate::db::pool;
use crate::fanout::Fanout;
use crate::graphql::BobbinSchema;
use crate::http::documents::Documents;
use crate::http::limits::Limits;
use crate::http::rates::Rates;
use crate::http::websocket::census::Census;

/// How long the end of the server waits for requests, sockets and writes.
const DRAIN: Duration = Duration::from_secs(20);

/// How long it waits for writes at least, once nothing asks for any.
const WRITES: Duration = Duration::from_secs(5);

/// How many bytes of a connection the system holds that it has not sent.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 16 * 1024;

/// How long a peer may leave what was sent unacknowledged before it counts as gone.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(60);

/// What the routes share.
#[derive(Clone)]
struct Server {
    app: Arc<App>,
    schema: BobbinSchema,
    limits: Arc<Limits>,
    fanout: Arc<Fanout>,
    census: Arc<Census>,
    documents: Arc<Documents>,
    rates: Arc<Rates>,
}

/// Serves until the app's shutdown, then lets every write run to its end.
pub async fn run(app: Arc<App>, listener: TcpListener) -> std::io::Result<()> {
    let router = router(Arc::clone(&app)).into_make_service_with_connect_info::<SocketAddr>();
    let shutdown = app.shutdown.clone();
    // Small frames go out at once, not when the last one is acknowledged.
    let listener = listener.tap_io(|tcp| {
        if let Err(error) = prepare(tcp) {
            tracing::debug!(%error, "a connection keeps the system's defaults");
        }
    });
    let mut served = pin!(
        axum::serve(listener, router)
            .with_graceful_shutdown(async move { shutdown.cancelled().await })
            .into_future()
    );
    tokio::select! {
        biased;
        () = app.shutdown.cancelled() => {}
        result = &mut served => return result,
    }
    let until = Instant::now() + DRAIN;
    app.sockets.close();
    app.writes.close();
    // A client that keeps a request or a socket open does not keep the server from ending.
    let (answered, closed) = tokio::join!(
        timeout_at(until, served),
        timeout_at(until, app.sockets.wait())
    );
    if answered.is_err() || closed.is_err() {
        tracing::warn!("some requests or sockets did not end in time");
    }
    // What those who were answered last have begun is not given up at once.
    let until = until.max(Instant::now() + WRITES);
    if timeout_at(until, app.writes.wait()).await.is_err() {
        tracing::warn!("some writes did not end in time");
    }
    Ok(())
}

/// Small frames go out at once, not when the last one is acknowledged; what a client does not
/// take waits here, where it is bounded, not in megabytes of the system's memory.
fn prepare(tcp: &TcpStream) -> std::io::Result<()> {
    tcp.set_nodelay(true)?;
    #[cfg(target_os = "linux")]
    {
        let socket = socket2::SockRef::from(tcp);
        socket.set_tcp_notsent_lowat(UNSENT)?;
        socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    }
    Ok(())
}

/// The routes.
pub fn router(app: Arc<App>) -> Router {
    let fanout = Fanout::new(Arc::clone(&app));
    let schema = operation::schema(&app);
    let limits = Arc::new(Limits::new(&schema.sdl(), &app.settings));
    let documents = Arc::new(Documents::new(Arc::clone(&app)));
    let rates = Arc::new(Rates::new(&app.settings));
    let cors = cors(&app);
    Router::new()
        .route("/", get(Redirect::temporary("/graphiql")))
        .route("/graphql", any(graphql::handle))
        .route("/graphiql", get(graphiql))
        .route("/assets/{*path}", get(asset))
        .route("/files/{id}/{name}", get(files::send))
        .route("/uploads/{id}", put(files::receive))
        .route("/healthz", get("ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .fallback(not_found)
        .layer(cors)
        .with_state(Server {
            fanout,
            census: Arc::default(),
            app,
            schema,
            limits,
            documents,
            rates,
        })
}

/// Which other origins' pages may call. Those that are listed by name may also use the cookie;
/// any other page has only the credential that its user gave it.
fn cors(app: &App) -> CorsLayer {
    let listed = app.settings.cors_origins.as_deref();
    let by_name = listed.is_some_and(|list| list.trim() != "*");
    let origins = match (&app.settings.cors_origins, app.mode) {
        (Some(list), _) if list.trim() == "*" => AllowOrigin::any(),
        (Some(list), _) => AllowOrigin::list(
            list.split(',')
                .filter_map(|origin| HeaderValue::from_str(origin.trim()).ok()),
        ),
        (None, Mode::Development) => AllowOrigin::any(),
        (None, Mode::Production) => AllowOrigin::list([]),
    };
    let mut asked_with = vec![
        header::AUTHORIZATION,
        header::CONTENT_TYPE,
        header::ACCEPT,
        header::RANGE,
        header::IF_RANGE,
    ];
    asked_with.extend(multipart::PREFLIGHTED.map(HeaderName::from_static));
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST, Method::PUT])
        .allow_headers(asked_with)
        .allow_credentials(by_name)
        .expose_headers([
            header::RETRY_AFTER,
            header::ACCEPT_RANGES,
            header::CONTENT_DISPOSITION,
            header::CONTENT_RANGE,
            header::ETAG,
        ])
        .max_age(Duration::from_secs(3600))
}

async fn graphiql(
    State(server): State<Server>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    // The development token is for whoever sits at this machine: not for a page of another site
    // that resolves its own name to this address, nor for who comes through a proxy.
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let here = peer.ip().is_loopback()
        && host.is_some_and(is_loopback_host)
        && !headers.contains_key("x-forwarded-for")
        && !headers.contains_key(header::FORWARDED);
    let token = server.app.page_token.as_deref().filter(|_| here);
    pages::graphiql(token)
}

fn is_loopback_host(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, port)| {
        if port.chars().all(|c| c.is_ascii_digit()) {
            name
        } else {
            host
        }
    });
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Response {
    pages::asset(&path, &headers)
}

async fn ready(State(server): State<Server>) -> Response {
    match pool::is_migrated(&server.app.pool).await {
        Ok(true) if !server.app.bus.is_connected() => {
            (StatusCode::SERVICE_UNAVAILABLE, "the bus is away\n").into_response()
        }
        Ok(true) => "ready\n".into_response(),
        Ok(false) => (StatusCode::SERVICE_UNAVAILABLE, "migrations are missing\n").into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the database is away\n").into_response(),
    }
}

/// What is counted, without a credential: Prometheus has none. An operator who does not want
/// that closes the path at the proxy, or turns it off.
async fn metrics(State(server): State<Server>) -> Response {
    let app = &server.app;
    if !app.settings.metrics {
        return not_found().await;
    }
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let text = app.metrics.render(pool::state(&app.pool));
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

async fn not_found() -> Response {
    operation::refusal(StatusCode::NOT_FOUND, "NOT_FOUND", "there is nothing here")
}

#[cfg(test)]
mod tests {
    use super::is_loopback_host;

    #[test]
    fn only_this_machine_is_here() {
        for here in [
            "localhost",
            "localhost:8080",
            "127.0.0.1:1",
            "[::1]:8080",
            "[::1]",
        ] {
            assert!(is_loopback_host(here), "{here}");
        }
        for there in [
            "example.com",
            "localhost.example.com:80",
            "127.0.0.1.nip.io",
        ] {
            assert!(!is_loopback_host(there), "{there}");
        }
    }
}
