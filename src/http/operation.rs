//! One operation, whatever it came by: parsed, executed within its limits, answered.

use std::sync::Arc;

use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, OperationDefinition, OperationType,
};
use async_graphql::{IntrospectionMode, Request, Response as Answer, Variables};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Deserializer};
use serde_json::json;

use crate::app::App;
use crate::graphql::answer::{failed, finished, refused};
use crate::graphql::context::Asking;
use crate::graphql::{self, BobbinSchema};
use crate::http::Server;
use crate::http::limits::Excess;

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

    /// The document of a subscription.
    pub fn into_document(self, schema: &BobbinSchema) -> Document {
        Document {
            schema: schema.clone(),
            parsed: self.parsed,
            operation_name: self.request.operation_name,
            variables: self.request.variables,
            digest: self.digest,
        }
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

/// The answer of the transport itself, outside any operation.
pub fn refusal(status: StatusCode, code: &str, message: &str) -> Response {
    let body = json!({ "errors": [{ "message": message, "extensions": { "code": code } }] });
    let kind = HeaderValue::from_static("application/json; charset=utf-8");
    (status, [(header::CONTENT_TYPE, kind)], body.to_string()).into_response()
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
