//! GraphQL over HTTP: `POST /graphql` and `GET /graphql`; an upgrade goes to the WebSocket.

use std::net::SocketAddr;
use std::sync::Arc;

use async_graphql::Response as Answer;
use async_graphql::parser::types::OperationType;
use axum::body::Body;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use futures_util::future::join_all;
use uuid::Uuid;

use crate::app::App;
use crate::auth::{self, Present};
use crate::error::{Error, Result};
use crate::graphql::answer::{count, refused, written};
use crate::graphql::context::{Asking, Session};
use crate::http::asked::{self, Asked};
use crate::http::incoming::Incoming;
use crate::http::multipart::{self, Files};
use crate::http::negotiation::{Accept, retry_after};
use crate::http::operation::{Operation, Params, Refused, refusal};
use crate::http::{Server, credential, files, sse, websocket};

/// Answers whatever comes to `/graphql`.
pub async fn handle(
    State(server): State<Server>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let response = answer(&server, peer, request).await;
    if let Some(Refused(code)) = response.extensions().get() {
        server.app.metrics.failed(code);
    }
    response
}

async fn answer(server: &Server, peer: SocketAddr, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let upgrade = parts.headers.get(header::UPGRADE);
    if upgrade.is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket")) {
        if let Err(error) = server.rates.connection(peer, &parts.headers) {
            let answer = refused(error);
            count(&server.app.metrics, &answer);
            return respond(Accept::Json, &answer);
        }
        return match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
            Ok(upgrade) => match credential::authorization(&server.app, &parts.headers) {
                Ok(given) => websocket::accept(server.clone(), upgrade, given),
                Err(error) => respond(Accept::Json, &refused(error)),
            },
            Err(cause) => refusal(cause.status(), "BAD_REQUEST", &cause.body_text()),
        };
    }
    let headers = parts.headers;
    if parts.method == Method::GET && parts.uri.query().is_none() && takes_html(&headers) {
        // Somebody has opened the address in a browser.
        return Redirect::temporary("/graphiql").into_response();
    }
    let streams = sse::is_wanted(&headers);
    let plain = Accept::of(&headers);
    let accept = plain.or(streams.then_some(Accept::Json));
    let Some(accept) = accept else {
        return refusal(
            StatusCode::NOT_ACCEPTABLE,
            "NOT_ACCEPTABLE",
            "this server writes application/graphql-response+json, application/json and text/event-stream",
        );
    };
    if parts.method == Method::POST && multipart::is_multipart(&headers) {
        return with_files(server, accept, &headers, body).await;
    }
    let asked = match parts.method {
        Method::GET => asked::in_url(&parts.uri),
        Method::POST => asked::in_body(&server.app, &headers, body).await,
        _ => return method_not_allowed("GET, POST", "use GET or POST"),
    };
    match asked {
        Ok(Asked::One(params)) => {
            let operation = Operation::parse(server, params);
            // Who takes both wants a stream for what goes on, and a plain answer else.
            let follows = operation
                .as_ref()
                .is_ok_and(|operation| operation.kind == OperationType::Subscription);
            let streamed = streams && (follows || plain.is_none());
            let by_get = parts.method == Method::GET;
            if by_get
                && operation.as_ref().is_ok_and(|operation| {
                    operation.kind != OperationType::Query && !(follows && streamed)
                })
            {
                return method_not_allowed("POST", "only queries go by GET");
            }
            if streamed {
                let room = server.rates.connection(peer, &headers);
                let session = match room {
                    Ok(()) => asker(server, &headers).await,
                    Err(error) => Err(error),
                };
                return match session {
                    Ok(session) => sse::respond(server, &headers, session, operation).await,
                    Err(error) => {
                        let answer = refused(error);
                        count(&server.app.metrics, &answer);
                        respond(accept, &answer)
                    }
                };
            }
            let answer = execute(server, &headers, operation, Files::new()).await;
            respond(accept, &answer)
        }
        Ok(Asked::Batch(batch)) => {
            let answers = execute_all(server, &headers, batch, &Files::new()).await;
            respond_all(accept, &answers)
        }
        Err(response) => *response,
    }
}

/// Answers a request with files, and has removed what it did not use of them.
async fn with_files(server: &Server, accept: Accept, headers: &HeaderMap, body: Body) -> Response {
    let settings = &server.app.settings;
    let mut incoming = Incoming::new(body);
    let mut keys = Vec::new();
    let answered = answer_with_files(server, accept, headers, &mut incoming, &mut keys).await;
    let mut response = answered.unwrap_or_else(|refused| *refused);
    multipart::give_up(&server.app, &keys).await;
    let rest = match u64::try_from(keys.len()).unwrap_or_default() {
        0 => settings.max_request_bytes.into(),
        files => files * u64::from(settings.files.max_file_size),
    };
    if !incoming.drain(rest).await {
        files::close(&mut response);
    }
    response
}

async fn answer_with_files(
    server: &Server,
    accept: Accept,
    headers: &HeaderMap,
    incoming: &mut Incoming,
    keys: &mut Vec<Uuid>,
) -> Result<Response, Box<Response>> {
    let app = &server.app;
    let failed = |error: Error| {
        let answer = refused(error);
        count(&app.metrics, &answer);
        Box::new(respond(accept, &answer))
    };
    if !multipart::is_preflighted(headers) {
        let why = "a multipart request needs the header Authorization or Apollo-Require-Preflight";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(Box::new(refusal(status, "UNSUPPORTED_MEDIA_TYPE", why)));
    }
    let known = |session: Result<Option<Session>>| {
        let why = "a credential is required to send files";
        let nobody = || Error::Unauthenticated(why.to_owned());
        session.and_then(|session| session.ok_or_else(nobody))
    };
    // Nobody stores anything whom nobody knows.
    known(asker(server, headers).await).map_err(failed)?;
    let request = multipart::read(app, headers, incoming, keys).await;
    let request = request.map_err(|error| {
        let is_malformed = matches!(error, Error::BadUserInput(_));
        let mut response = failed(error);
        if is_malformed {
            *response.status_mut() = StatusCode::BAD_REQUEST;
        }
        response
    })?;
    match asked::in_value(app, request.operations)? {
        Asked::One(params) => {
            // All of that may have taken long: what counts is what the sender may do now.
            let session = known(session(app, headers).await).map_err(failed)?;
            let answer = match Operation::parse(server, params) {
                Ok(operation) => {
                    let asking = Asking::new(Arc::clone(app), Some(session)).with(request.files);
                    operation.execute(app, &server.schema, asking).await
                }
                Err(answer) => *answer,
            };
            Ok(respond(accept, &answer))
        }
        Asked::Batch(batch) => {
            let answers = execute_all(server, headers, batch, &request.files).await;
            Ok(respond_all(accept, &answers))
        }
    }
}

/// Who asks, by the Authorization header or the cookie; nobody without them.
pub async fn session(app: &App, headers: &HeaderMap) -> Result<Option<Session>> {
    let Some(value) = credential::authorization(app, headers)? else {
        return Ok(None);
    };
    let (credential, viewer) = auth::verify(app, &value).await?;
    Ok(Some(Session {
        credential,
        viewer: Present::new(viewer),
    }))
}

/// Executes an operation that was read, for whoever sent these headers and files.
async fn execute(
    server: &Server,
    headers: &HeaderMap,
    operation: Result<Operation, Box<Answer>>,
    files: Files,
) -> Answer {
    let operation = match operation {
        Ok(operation) => operation,
        Err(answer) => return *answer,
    };
    match asking(server, headers).await {
        Ok(asking) => {
            let asking = asking.with(files);
            operation.execute(&server.app, &server.schema, asking).await
        }
        Err(error) => {
            let answer = refused(error);
            count(&server.app.metrics, &answer);
            answer
        }
    }
}

/// Executes a batch. Each operation has its own limits, and sees what those before it have
/// written, the viewer's own memberships included.
async fn execute_all(
    server: &Server,
    headers: &HeaderMap,
    batch: Vec<Params>,
    files: &Files,
) -> Vec<Answer> {
    let operations: Vec<_> = batch
        .into_iter()
        .map(|params| Operation::parse(server, params))
        .collect();
    let mut read = operations.iter().flatten();
    if read.all(|operation| operation.kind == OperationType::Query) {
        let all = operations.into_iter();
        return join_all(all.map(|operation| execute(server, headers, operation, files.clone())))
            .await;
    }
    let mut answers = Vec::with_capacity(operations.len());
    for operation in operations {
        answers.push(execute(server, headers, operation, files.clone()).await);
    }
    answers
}

async fn asking(server: &Server, headers: &HeaderMap) -> Result<Asking> {
    let session = asker(server, headers).await?;
    Ok(Asking::new(Arc::clone(&server.app), session))
}

/// Who asks, if he does not ask too often.
async fn asker(server: &Server, headers: &HeaderMap) -> Result<Option<Session>> {
    let session = session(&server.app, headers).await?;
    if let Some(session) = &session {
        server.rates.operation(&session.credential)?;
    }
    Ok(session)
}

fn takes_html(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}

fn respond(accept: Accept, answer: &Answer) -> Response {
    let mut response = json(accept, accept.status(answer), written(answer));
    let headers = response.headers_mut();
    if let Some(seconds) = retry_after(answer) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// A list of answers has the status that all of them have, else 200: each tells of itself.
fn respond_all(accept: Accept, answers: &[Answer]) -> Response {
    let mut statuses = answers.iter().map(|answer| accept.status(answer));
    let first = statuses.next().unwrap_or_default();
    let status = if statuses.all(|status| status == first) {
        first
    } else {
        StatusCode::OK
    };
    let written: Vec<String> = answers.iter().map(written).collect();
    json(accept, status, format!("[{}]", written.join(",")))
}

fn json(accept: Accept, status: StatusCode, body: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, accept.content_type()),
        // An answer is one viewer's, whom a cache between would not know by a cookie.
        (header::CACHE_CONTROL, "no-store"),
        // What a page of another origin includes as a script must not be guessed to be one.
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    let mut response = (status, headers, body).into_response();
    if status == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Bearer, Basic realm=\"Bobbin\"");
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

fn method_not_allowed(allow: &'static str, message: &str) -> Response {
    let mut response = refusal(
        StatusCode::METHOD_NOT_ALLOWED,
        "METHOD_NOT_ALLOWED",
        message,
    );
    let allow = HeaderValue::from_static(allow);
    response.headers_mut().insert(header::ALLOW, allow);
    response
}
