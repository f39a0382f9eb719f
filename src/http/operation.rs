//! One operation, whatever it came by: parsed, executed within its limits, answered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, OperationDefinition, OperationType, Selection,
};
use async_graphql::{IntrospectionMode, Request, Response as Answer};
use async_graphql_value::Value as Written;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Deserializer};
use serde_json::json;

use crate::app::App;
use crate::fanout::run::Plan;
use crate::graphql::answer::{count, failed, finished, refused};
use crate::graphql::context::Asking;
use crate::graphql::{self, BobbinSchema};
use crate::http::Server;
use crate::http::documents::{Absence, Document};
use crate::http::limits::{Excess, Variables};
use crate::metrics::Kind;
use crate::trusted::hash;

/// What a client asks to be executed, with the field names of the GraphQL-over-HTTP
/// specification.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Params {
    /// The document.
    pub query: Option<String>,
    /// A name of the document, instead of itself: `sha256:` and its hash, or a trusted one's id.
    #[serde(default)]
    pub document_id: Option<String>,
    /// Which of its operations.
    #[serde(default)]
    pub operation_name: Option<String>,
    /// The values of its variables.
    #[serde(default, deserialize_with = "object")]
    pub variables: Option<Variables>,
    /// What else the client wants to say: `persistedQuery` names a document by its hash.
    #[serde(default, deserialize_with = "object")]
    pub extensions: Option<Variables>,
}

impl Params {
    /// Whether it does not even say that there is nothing to execute.
    pub fn says_nothing(&self) -> bool {
        self.query.is_none() && self.is_unnamed()
    }

    /// Whether it says in no way what to execute. That is no request at all, whereas a document
    /// that nobody knows is a request that fails.
    pub fn is_unnamed(&self) -> bool {
        let named = |all: &Variables| all.get("persistedQuery").is_some_and(|one| !one.is_null());
        self.query
            .as_deref()
            .is_none_or(|text| text.trim().is_empty())
            && self.document_id.is_none()
            && !self.extensions.as_ref().is_some_and(named)
    }
}

/// An operation that was parsed, and is within the limits.
///
/// Two of them ask for the same if `document.normalized()`, `name` and `variables` are equal.
pub struct Operation {
    /// Its document.
    pub document: Arc<Document>,
    /// Which of the document's operations; none: the only one.
    pub name: Option<String>,
    /// The values of its variables.
    pub variables: Variables,
    /// Query, mutation or subscription.
    pub kind: OperationType,
    introspection: IntrospectionMode,
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
        Self::read(server, params).inspect_err(|answer| count(&server.app.metrics, answer))
    }

    fn read(server: &Server, params: Params) -> Result<Self, Box<Answer>> {
        let document = server
            .documents
            .find(&params)
            .map_err(|absence| Box::new(absent(absence)))?;
        let name = params.operation_name.filter(|name| !name.is_empty());
        let Some(operation) = operation(document.parsed(), name.as_deref()) else {
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
            .check(document.parsed(), operation, &variables)
            .map_err(|excess| {
                Box::new(match excess {
                    Excess::TooMuch(most, what) => too_complex(most, what),
                    Excess::Invalid(why) => failed("GRAPHQL_VALIDATION_FAILED", why),
                })
            })?;
        let introspection = if server.app.settings.introspection {
            IntrospectionMode::Enabled
        } else {
            IntrospectionMode::Disabled
        };
        Ok(Self {
            document,
            name,
            variables,
            kind,
            introspection,
        })
    }

    /// The request to execute, for this asker.
    fn request(&self, asking: Asking) -> Request {
        self.bare_request().data(asking)
    }

    fn bare_request(&self) -> Request {
        let variables = serde_json::Value::Object(self.variables.clone());
        // The text is for who would parse it; the parsed document goes along.
        let mut request =
            Request::new("").variables(async_graphql::Variables::from_json(variables));
        request.operation_name.clone_from(&self.name);
        request.introspection_mode = self.introspection;
        request.set_parsed_query(self.document.parsed().clone());
        request
    }

    /// What a subscription executes for each event.
    pub fn into_plan(self, schema: &BobbinSchema) -> Plan {
        let digest = self.digest();
        Plan::new(schema.clone(), digest, move || self.bare_request())
    }

    /// Subscriptions with the same one are told the same, if they follow the same.
    fn digest(&self) -> [u8; 32] {
        // What is handed to the root field alone says where a subscriber stands, not what he
        // wants to be told.
        let place = operation(self.document.parsed(), self.name.as_deref())
            .map(root_variables)
            .unwrap_or_default();
        let variables = self.variables.iter();
        let rest: BTreeMap<_, _> = variables
            .filter(|(name, _)| {
                let only_there = self.document.names_variable(name) == 2;
                !(only_there && place.contains(&name.as_str()))
            })
            .collect();
        let key = json!([self.document.normalized(), self.name, rest]);
        hash(&key.to_string())
    }

    /// Executes a query or a mutation. A mutation runs to its end even if its client is gone.
    pub async fn execute(self, app: &Arc<App>, schema: &BobbinSchema, asking: Asking) -> Answer {
        let began = Instant::now();
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
        let answer = match answer {
            Ok(Ok(answer)) => finished(answer),
            Ok(Err(error)) => refused(error),
            Err(_) => failed("TIMEOUT", "the operation took too long"),
        };
        let kind = if mutates { Kind::Mutation } else { Kind::Query };
        app.metrics.operated(kind, began.elapsed());
        count(&app.metrics, &answer);
        answer
    }
}

/// The code of an answer that is the transport's own; goes along with it to be counted.
#[derive(Debug, Clone, Copy)]
pub struct Refused(pub &'static str);

/// The answer of the transport itself, outside any operation.
pub fn refusal(status: StatusCode, code: &'static str, message: &str) -> Response {
    let body = json!({ "errors": [{ "message": message, "extensions": { "code": code } }] });
    let kind = HeaderValue::from_static("application/json; charset=utf-8");
    let mut response = (status, [(header::CONTENT_TYPE, kind)], body.to_string()).into_response();
    response.extensions_mut().insert(Refused(code));
    response
}

/// The answer to a request whose document is not there.
fn absent(absence: Absence) -> Answer {
    match absence {
        Absence::Unnamed => failed("BAD_REQUEST", "query is required"),
        Absence::TooLong(most) => too_complex(u64::try_from(most).unwrap_or(u64::MAX), "tokens"),
        Absence::Syntax(error) => finished(Answer::from_errors(vec![error.into()])),
        // Clients know this message by heart, and send the text then.
        Absence::Unknown => failed("PERSISTED_QUERY_NOT_FOUND", "PersistedQueryNotFound"),
        Absence::Untrusted => failed(
            "DOCUMENT_NOT_TRUSTED",
            "this server executes only the documents that its operator has listed",
        ),
        Absence::Invalid(why) => failed("BAD_REQUEST", why),
    }
}

fn too_complex(most: u64, what: &str) -> Answer {
    let message = format!("the document has or asks for more than {most} {what}");
    failed("QUERY_TOO_COMPLEX", &message)
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

/// The variables that are handed to the root fields, as they are.
fn root_variables(operation: &OperationDefinition) -> Vec<&str> {
    let selections = operation.selection_set.node.items.iter();
    let fields = selections.filter_map(|selection| match &selection.node {
        Selection::Field(field) => Some(&field.node),
        _ => None,
    });
    fields
        .flat_map(|field| &field.arguments)
        .filter_map(|(_, value)| match &value.node {
            Written::Variable(name) => Some(name.as_str()),
            _ => None,
        })
        .collect()
}

/// The first variable that must have a value and has none. The executor finds out only when a
/// field reads it, which is too late: by then other fields have been executed.
fn missing_variable<'a>(operation: &'a OperationDefinition, given: &Variables) -> Option<&'a str> {
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
fn object<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Variables>, D::Error> {
    Option::deserialize(from)
}
