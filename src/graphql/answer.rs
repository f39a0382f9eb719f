//! Answers as clients get them: every error has a code, and no `data` stands beside the errors
//! of what was not executed.

use async_graphql::{ErrorExtensionValues, Response, ServerError, Value};
use serde::Serialize;

use crate::error::Error;
use crate::metrics::Metrics;

/// An answer as clients get it.
pub fn finished(mut answer: Response) -> Response {
    let request_error = is_request_error(&answer);
    for error in &mut answer.errors {
        let code = code_for(error, request_error);
        let extensions = error.extensions.get_or_insert_default();
        if extensions.get("code").is_none() {
            extensions.set("code", code);
        }
    }
    answer
}

/// The answer to what could not be executed.
pub fn refused(error: Error) -> Response {
    let error = async_graphql::Error::from(error);
    let mut error = error.into_server_error(Default::default());
    // It is about no place in the document, and a location counts from 1.
    error.locations.clear();
    Response::from_errors(vec![error])
}

/// The answer with one error that the transport found.
pub fn failed(code: &str, message: &str) -> Response {
    let mut extensions = ErrorExtensionValues::default();
    extensions.set("code", code);
    let mut error = ServerError::new(message, None);
    error.extensions = Some(extensions);
    Response::from_errors(vec![error])
}

/// Whether a request failed before anything was executed: its answer has no data at all.
pub fn is_request_error(answer: &Response) -> bool {
    !answer.errors.is_empty()
        && answer.data == Value::Null
        && answer.errors.iter().all(|error| error.path.is_empty())
}

/// Whether something failed that is not the client's doing, and may pass.
pub fn is_internal(answer: &Response) -> bool {
    let internal = Value::from("INTERNAL");
    answer.errors.iter().any(|error| {
        let extensions = error.extensions.as_ref();
        extensions.and_then(|extensions| extensions.get("code")) == Some(&internal)
    })
}

/// Counts the errors of an answer. Reading and executing an operation do so by themselves; this
/// is for answers that come about otherwise.
pub fn count(metrics: &Metrics, answer: &Response) {
    for error in &answer.errors {
        let extensions = error.extensions.as_ref();
        if let Some(Value::String(code)) = extensions.and_then(|all| all.get("code")) {
            metrics.failed(code);
        }
    }
}

/// An answer as it is written: without `data` if nothing was executed.
pub fn written(answer: &Response) -> String {
    #[derive(Serialize)]
    struct Written<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<&'a Value>,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        errors: &'a [ServerError],
    }
    let written = Written {
        data: (!is_request_error(answer)).then_some(&answer.data),
        errors: &answer.errors,
    };
    serde_json::to_string(&written).expect("an answer serializes")
}

/// The errors of an answer as they are written.
pub fn written_errors(answer: &Response) -> String {
    serde_json::to_string(&answer.errors).expect("errors serialize")
}

/// The code of an error that the executor itself found.
fn code_for(error: &ServerError, request_error: bool) -> &'static str {
    let message = error.message.as_str();
    const LIMITS: [&str; 3] = [
        "Query is too complex",
        "Query is nested too deep",
        "The recursion depth of the query",
    ];
    if LIMITS.iter().any(|limit| message.starts_with(limit)) {
        "QUERY_TOO_COMPLEX"
    } else if message.starts_with(" --> ") {
        "GRAPHQL_PARSE_FAILED"
    } else if request_error {
        "GRAPHQL_VALIDATION_FAILED"
    } else {
        "BAD_USER_INPUT"
    }
}
