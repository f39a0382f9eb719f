//! GraphQL over HTTP: `POST /graphql` and `GET /graphql`; an upgrade goes to the WebSocket.

use async_graphql::Response as Answer;
use async_graphql::parser::types::OperationType;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{FromRequestParts, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use std::sync::Arc;

use crate::app::App;
use crate::auth::{self, Present};
use crate::error::Result;
use crate::graphql::answer::{refused, written};
use crate::graphql::context::{Asking, Session};
use crate::http::Server;
use crate::http::negotiation::{Accept, is_json};
use crate::http::operation::{Operation, Params, refusal};
use crate::http::websocket;

/// The parameters of a GET, of which two are JSON.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GetParams {
    query: Option<String>,
    document_id: Option<String>,
    operation_name: Option<String>,
    variables: Option<String>,
    extensions: Option<String>,
}

/// Answers whatever comes to `/graphql`.
pub async fn handle(State(server): State<Server>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let upgrade = parts.headers.get(header::UPGRADE);
    if upgrade.is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket")) {
        return match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
            Ok(upgrade) => websocket::accept(server, upgrade, &parts.headers),
            Err(cause) => refusal(cause.status(), "BAD_REQUEST", &cause.body_text()),
        };
    }
    let headers = parts.headers;
    if parts.method == Method::GET && parts.uri.query().is_none() && takes_html(&headers) {
        // Somebody has opened the address in a browser.
        return Redirect::temporary("/graphiql").into_response();
    }
    let Some(accept) = Accept::of(&headers) else {
        return refusal(
            StatusCode::NOT_ACCEPTABLE,
            "NOT_ACCEPTABLE",
            "this server writes application/graphql-response+json and application/json",
        );
    };
    let params = match parts.method {
        Method::GET => read_url(&parts.uri),
        Method::POST => read_body(&server.app, &headers, body).await,
        _ => return method_not_allowed("GET, POST", "use GET or POST"),
    };
    let params = match params {
        Ok(params) => params,
        Err(response) => return *response,
    };
    let operation = match Operation::parse(&server, params) {
        Ok(operation) => operation,
        Err(answer) => return respond(accept, &answer),
    };
    if parts.method == Method::GET && operation.kind != OperationType::Query {
        return method_not_allowed("POST", "only queries go by GET");
    }
    let session = match session(&server.app, &headers).await {
        Ok(session) => session,
        Err(error) => return respond(accept, &refused(error)),
    };
    let asking = Asking::new(Arc::clone(&server.app), session);
    let answer = operation.execute(&server.app, &server.schema, asking).await;
    respond(accept, &answer)
}

/// Who asks, by the Authorization header; nobody without one.
pub async fn session(app: &App, headers: &HeaderMap) -> Result<Option<Session>> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Ok(None);
    };
    // A header that is not text is no credential, and no credential is an error if it is there.
    let credential = auth::verify(app, value.to_str().unwrap_or_default()).await?;
    let viewer = auth::viewer(app, &credential).await?;
    Ok(Some(Session {
        credential,
        viewer: Present::new(viewer),
    }))
}

fn takes_html(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}

fn respond(accept: Accept, answer: &Answer) -> Response {
    let status = accept.status(answer);
    let kind = HeaderValue::from_static(accept.content_type());
    let body = written(answer);
    let mut response = (status, [(header::CONTENT_TYPE, kind)], body).into_response();
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

fn bad_request(message: &str) -> Box<Response> {
    Box::new(refusal(StatusCode::BAD_REQUEST, "BAD_REQUEST", message))
}

fn read_url(uri: &axum::http::Uri) -> Result<Params, Box<Response>> {
    let Query(params) = Query::<GetParams>::try_from_uri(uri)
        .map_err(|_| bad_request("the URL's parameters cannot be read"))?;
    let object = |name: &str, text: Option<String>| match text.filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => serde_json::from_str(&text)
            .map_err(|_| bad_request(&format!("{name} is not a JSON object"))),
    };
    let params = Params {
        query: params.query,
        document_id: params.document_id,
        operation_name: params.operation_name.filter(|name| !name.is_empty()),
        variables: object("variables", params.variables)?,
        extensions: object("extensions", params.extensions)?,
    };
    check(params)
}

async fn read_body(app: &App, headers: &HeaderMap, body: Body) -> Result<Params, Box<Response>> {
    // Other types are what a form of any page could send without being asked for permission.
    if !is_json(headers) {
        return Err(Box::new(refusal(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UNSUPPORTED_MEDIA_TYPE",
            "the Content-Type must be application/json in UTF-8",
        )));
    }
    let limit = usize::try_from(app.settings.max_request_bytes).unwrap_or(usize::MAX);
    let body: Bytes = to_bytes(body, limit).await.map_err(|cause| {
        let too_large = std::error::Error::source(&cause)
            .is_some_and(|cause| cause.to_string().contains("length limit"));
        if too_large {
            let message = format!("a request has at most {limit} bytes");
            Box::new(refusal(
                StatusCode::PAYLOAD_TOO_LARGE,
                "PAYLOAD_TOO_LARGE",
                &message,
            ))
        } else {
            bad_request("the body could not be read")
        }
    })?;
    // A list would be read as the parameters in the order of their declaration.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(bad_request("the body is no JSON object"));
    }
    let params = serde_json::from_slice(&body)
        .map_err(|cause| bad_request(&format!("the body is no GraphQL request: {cause}")))?;
    check(params)
}

fn check(params: Params) -> Result<Params, Box<Response>> {
    if params.is_unnamed() {
        return Err(bad_request("query is required"));
    }
    Ok(params)
}
