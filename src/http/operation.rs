//! One operation, whatever it came by: parsed, executed within its limits, answered.

use std::sync::Arc;

use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, OperationDefinition, OperationType,
};
use async_graphql::{
    ErrorExtensionValues, IntrospectionMode, Request, Response as Answer, ServerError, Value,
    Variables,
};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;

use crate::app::App;
use crate::error::Error;
use crate::graphql::context::Asking;
use crate::graphql::{self, BobbinSchema};
use crate::http::Server;
use crate::http::limits::Excess;
use crate::http::negotiation::is_request_error;

/// What a client asks to be executed, with the field names of the GraphQL-over-HTTP
/// specification.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Params {
    /// The document.
    pub query: Option<String>,
    /// Which of its operations.
    #[serde(default)]
    pub operation_name: Option<String>,
    /// The values of its variables.
    #[serde(default, deserialize_with = "object")]
    pub variables: Option<serde_json::Map<String, serde_json::Value>>,
    /// What else the client wants to say.
    #[serde(default, deserialize_with = "object")]
    #[expect(dead_code, reason = "its shape is checked; no extension is read yet")]
    pub extensions: Option<serde_json::Map<String, serde_json::Value>>,
}

/// An operation that was parsed.
pub struct Operation {
    request: Request,
    /// Query, mutation or subscription.
    pub kind: OperationType,
}

/// The schema with the limits of the settings.
pub fn schema(app: &App) -> BobbinSchema {
    graphql::schema()
        .limit_depth(app.settings.max_depth.into())
        .finish()
}

impl Operation {
    /// Parses a document and finds the operation that is meant.
    pub fn parse(server: &Server, params: Params) -> Result<Self, Box<Answer>> {
        let Some(query) = params.query else {
            return Err(Box::new(failed("BAD_USER_INPUT", "query is required")));
        };
        let document = async_graphql::parser::parse_query(&query)
            .map_err(|error| Box::new(finished(Answer::from_errors(vec![error.into()]))))?;
        let Some(operation) = operation(&document, params.operation_name.as_deref()) else {
            return Err(Box::new(failed(
                "GRAPHQL_VALIDATION_FAILED",
                "operationName must name one of the document's operations",
            )));
        };
        let kind = operation.ty;
        let variables = params.variables.unwrap_or_default();
        if let Some(name) = missing_variable(operation, &variables) {
            let message = format!("a value is required for the variable ${name}");
            return Err(Box::new(failed("BAD_USER_INPUT", &message)));
        }
        server
            .limits
            .check(&document, operation, &variables)
            .map_err(|excess| {
                Box::new(match excess {
                    Excess::TooMuch(most) => failed(
                        "QUERY_TOO_COMPLEX",
                        &format!("the document asks for more than {most} fields, those of a page counted once an item"),
                    ),
                    Excess::Invalid(why) => failed("GRAPHQL_VALIDATION_FAILED", why),
                })
            })?;
        let mut request = Request::new(query)
            .variables(Variables::from_json(serde_json::Value::Object(variables)));
        request.operation_name = params.operation_name;
        request.set_parsed_query(document);
        if !server.app.settings.introspection {
            request.introspection_mode = IntrospectionMode::Disabled;
        }
        Ok(Self { request, kind })
    }

    /// The request to execute, for this asker.
    pub fn request(self, asking: Asking) -> Request {
        self.request.data(asking)
    }

    /// Executes a query or a mutation. A mutation runs to its end even if its client is gone.
    pub async fn execute(self, app: &Arc<App>, schema: &BobbinSchema, asking: Asking) -> Answer {
        let mutates = self.kind == OperationType::Mutation;
        let rounds = asking.rounds();
        let request = self.request(asking);
        let limit = app.settings.operation_timeout();
        let answer = if mutates {
            let schema = schema.clone();
            let work = async move { Ok(rounds.during(schema.execute(request)).await) };
            tokio::time::timeout(limit, app.write(work)).await
        } else {
            let work = rounds.during(schema.execute(request));
            tokio::time::timeout(limit, async { Ok(work.await) }).await
        };
        match answer {
            Ok(Ok(answer)) => finished(answer),
            Ok(Err(error)) => refused(error),
            Err(_) => failed("TIMEOUT", "the operation took too long"),
        }
    }
}

/// An answer as clients get it: every error has a code.
pub fn finished(mut answer: Answer) -> Answer {
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
pub fn refused(error: Error) -> Answer {
    let error = async_graphql::Error::from(error);
    let mut error = error.into_server_error(Default::default());
    // It is about no place in the document, and a location counts from 1.
    error.locations.clear();
    Answer::from_errors(vec![error])
}

/// The answer of the transport itself, outside any operation.
pub fn refusal(status: StatusCode, code: &str, message: &str) -> Response {
    let body = json!({ "errors": [{ "message": message, "extensions": { "code": code } }] });
    let kind = HeaderValue::from_static("application/json; charset=utf-8");
    (status, [(header::CONTENT_TYPE, kind)], body.to_string()).into_response()
}

/// An answer as it is written: without `data` if nothing was executed.
pub fn written(answer: &Answer) -> String {
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

fn failed(code: &str, message: &str) -> Answer {
    let mut extensions = ErrorExtensionValues::default();
    extensions.set("code", code);
    let mut error = ServerError::new(message, None);
    error.extensions = Some(extensions);
    Answer::from_errors(vec![error])
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

fn operation<'a>(
    document: &'a ExecutableDocument,
    name: Option<&str>,
) -> Option<&'a OperationDefinition> {
    let operation = match (&document.operations, name.filter(|name| !name.is_empty())) {
        (DocumentOperations::Single(operation), None) => Some(operation),
        (DocumentOperations::Multiple(operations), Some(name)) => operations.get(name),
        (DocumentOperations::Multiple(operations), None) if operations.len() == 1 => {
            operations.values().next()
        }
        _ => None,
    };
    operation.map(|operation| &operation.node)
}

/// The first variable that must have a value and has none. The executor finds out only when a
/// field reads it, which is too late: by then other fields have been executed.
fn missing_variable<'a>(
    operation: &'a OperationDefinition,
    given: &serde_json::Map<String, serde_json::Value>,
) -> Option<&'a str> {
    operation
        .variable_definitions
        .iter()
        .map(|definition| &definition.node)
        .filter(|definition| !definition.var_type.node.nullable)
        .map(|definition| {
            (
                definition.name.node.as_str(),
                definition.default_value.is_some(),
            )
        })
        .find(|(name, has_default)| match given.get(*name) {
            None => !has_default,
            Some(value) => value.is_null(),
        })
        .map(|(name, _)| name)
}

/// An object, null, or nothing; another type is an error.
fn object<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<serde_json::Map<String, serde_json::Value>>, D::Error> {
    Option::deserialize(from)
}
