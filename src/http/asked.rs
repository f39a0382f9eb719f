//! What a request asks for, read from its URL or from its body.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Query;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::app::App;
use crate::http::negotiation::is_json;
use crate::http::operation::{Params, refusal};

/// One operation, or several at once.
pub enum Asked {
    /// It is answered by an object.
    One(Params),
    /// They are answered by a list in their order. There is at least one.
    Batch(Vec<Params>),
}

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

/// Reads the parameters of a GET.
pub fn in_url(uri: &Uri) -> Result<Asked, Box<Response>> {
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
    check(params).map(Asked::One)
}

/// Reads the body of a POST, within its limits.
pub async fn in_body(app: &App, headers: &HeaderMap, body: Body) -> Result<Asked, Box<Response>> {
    // Other types are what a form of any page could send without being asked for permission.
    if !is_json(headers) {
        return Err(Box::new(refusal(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UNSUPPORTED_MEDIA_TYPE",
            "the Content-Type must be application/json in UTF-8",
        )));
    }
    let body = read(app, body).await?;
    match body.trim_ascii_start().first() {
        Some(b'{') => {
            let params = serde_json::from_slice(&body).map_err(unreadable)?;
            check(params).map(Asked::One)
        }
        Some(b'[') => in_list(app, serde_json::from_slice(&body).map_err(unreadable)?),
        _ => Err(bad_request("the body is no JSON object")),
    }
}

/// Reads what a request with files asks for.
pub fn in_value(app: &App, operations: Value) -> Result<Asked, Box<Response>> {
    match operations {
        Value::Object(one) => of_object(one).map(Asked::One),
        Value::Array(_) => in_list(app, serde_json::from_value(operations).map_err(unreadable)?),
        _ => Err(bad_request("operations is no JSON object")),
    }
}

/// Reads a batch. As objects first: a list within the list would be read as the parameters in the
/// order of their declaration.
fn in_list(app: &App, batch: Vec<Map<String, Value>>) -> Result<Asked, Box<Response>> {
    let most = usize::from(app.settings.max_batch);
    if batch.is_empty() || most == 0 {
        let why = if most == 0 {
            "this server takes no batches"
        } else {
            "the batch is empty"
        };
        return Err(bad_request(why));
    }
    if batch.len() > most {
        return Err(too_large(&format!("a batch has at most {most} requests")));
    }
    let batch: Result<_, _> = batch.into_iter().map(of_object).collect();
    batch.map(Asked::Batch)
}

fn of_object(one: Map<String, Value>) -> Result<Params, Box<Response>> {
    let params = Params::deserialize(Value::Object(one)).map_err(unreadable)?;
    check(params)
}

#[expect(clippy::needless_pass_by_value, reason = "what map_err hands over")]
fn unreadable(cause: serde_json::Error) -> Box<Response> {
    bad_request(&format!("the body is no GraphQL request: {cause}"))
}

async fn read(app: &App, body: Body) -> Result<Bytes, Box<Response>> {
    let limit = usize::try_from(app.settings.max_request_bytes).unwrap_or(usize::MAX);
    to_bytes(body, limit).await.map_err(|cause| {
        let is_too_large = std::error::Error::source(&cause)
            .is_some_and(|cause| cause.to_string().contains("length limit"));
        if is_too_large {
            too_large(&format!("a request has at most {limit} bytes"))
        } else {
            bad_request("the body could not be read")
        }
    })
}

fn check(params: Params) -> Result<Params, Box<Response>> {
    if params.is_unnamed() {
        return Err(bad_request("query is required"));
    }
    Ok(params)
}

fn bad_request(message: &str) -> Box<Response> {
    Box::new(refusal(StatusCode::BAD_REQUEST, "BAD_REQUEST", message))
}

fn too_large(message: &str) -> Box<Response> {
    Box::new(refusal(
        StatusCode::PAYLOAD_TOO_LARGE,
        "PAYLOAD_TOO_LARGE",
        message,
    ))
}
