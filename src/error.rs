//! Every way to fail: a code for programs, a message for people, the fields at fault.
//!
//! Never carries an internal cause to a client: it is logged once, under a request id.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::{ErrorExtensionValues, Value};
use uuid::Uuid;

/// What a function of this crate answers when it can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One input field at fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// Where in the input: `message.body`, `participantIds.2`.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

/// A failure. It has no `Display` on purpose: async-graphql turns whatever has one into an error
/// message for clients.
#[derive(Debug, Clone)]
pub enum Error {
    /// No credential, or a bad, expired or revoked one.
    Unauthenticated(String),
    /// The viewer sees it, but may not do this.
    Forbidden(String),
    /// Unknown, or not the viewer's to see; holds the kind, as in "message not found".
    NotFound(&'static str),
    /// The input breaks a rule; names every field at fault.
    BadUserInput(Vec<FieldError>),
    /// The state of things does not allow it.
    Conflict(String),
    /// A file has more bytes than the server takes; names the field that it came by.
    PayloadTooLarge(FieldError),
    /// A file is not what it is declared to be; names the field that it came by.
    UnsupportedMediaType(FieldError),
    /// A message of this type may not be made by this viewer.
    InvalidMessageType(String),
    /// Only messages of an API inbox have this done to them.
    ApiInboxRequired,
    /// The translation provider did not translate, or there is none; says why.
    TranslationFailed(String),
    /// Too often; how long to wait.
    RateLimited(Duration),
    /// Anything else. Logged, never shown.
    Internal(Arc<dyn fmt::Debug + Send + Sync>),
}

impl Error {
    /// Bad input in one field.
    pub fn field(path: impl Into<String>, message: impl Into<String>) -> Self {
        let (path, message) = (path.into(), message.into());
        Self::BadUserInput(vec![FieldError { path, message }])
    }

    /// The same, of the one field that a value was given in.
    pub fn at(mut self, path: &str) -> Self {
        for field in self.fields_mut() {
            path.clone_into(&mut field.path);
        }
        self
    }

    /// The same, of fields that are within another one; `prefix` is where.
    pub fn under(mut self, prefix: &str) -> Self {
        for field in self.fields_mut() {
            field.path.insert_str(0, prefix);
        }
        self
    }

    /// The fields at fault; none where it is no field's.
    pub fn fields(&self) -> &[FieldError] {
        match self {
            Self::BadUserInput(fields) => fields,
            Self::PayloadTooLarge(field) | Self::UnsupportedMediaType(field) => {
                std::slice::from_ref(field)
            }
            _ => &[],
        }
    }

    fn fields_mut(&mut self) -> &mut [FieldError] {
        match self {
            Self::BadUserInput(fields) => fields,
            Self::PayloadTooLarge(field) | Self::UnsupportedMediaType(field) => {
                std::slice::from_mut(field)
            }
            _ => &mut [],
        }
    }

    /// An internal failure with its cause, for the log.
    pub fn internal(cause: impl fmt::Debug + Send + Sync + 'static) -> Self {
        Self::Internal(Arc::new(cause))
    }

    /// The value of `extensions.code`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unauthenticated(_) => "UNAUTHENTICATED",
            Self::Forbidden(_) => "FORBIDDEN",
            Self::NotFound(_) => "NOT_FOUND",
            Self::BadUserInput(_) => "BAD_USER_INPUT",
            Self::Conflict(_) => "CONFLICT",
            Self::PayloadTooLarge(_) => "PAYLOAD_TOO_LARGE",
            Self::UnsupportedMediaType(_) => "UNSUPPORTED_MEDIA_TYPE",
            Self::InvalidMessageType(_) => "INVALID_MESSAGE_TYPE",
            Self::ApiInboxRequired => "API_INBOX_REQUIRED",
            Self::TranslationFailed(_) => "TRANSLATION_FAILED",
            Self::RateLimited(_) => "RATE_LIMITED",
            Self::Internal(_) => "INTERNAL",
        }
    }

    /// The message for people.
    pub fn message(&self) -> String {
        match self {
            Self::Unauthenticated(message)
            | Self::Forbidden(message)
            | Self::Conflict(message)
            | Self::InvalidMessageType(message)
            | Self::TranslationFailed(message) => message.clone(),
            Self::NotFound(kind) => format!("{kind} not found"),
            Self::BadUserInput(_) | Self::PayloadTooLarge(_) | Self::UnsupportedMediaType(_) => {
                summary(self.fields())
            }
            Self::ApiInboxRequired => "the message's thread has no API inbox".to_owned(),
            Self::RateLimited(_) => "too many requests: come again later".to_owned(),
            Self::Internal(_) => "internal error".to_owned(),
        }
    }
}

/// The first faults as a sentence; `extensions.fields` has all of them.
fn summary(fields: &[FieldError]) -> String {
    const MOST: usize = 5;
    let shown = fields.iter().take(MOST);
    let mut said: Vec<String> = shown
        .map(|field| format!("{}: {}", field.path, field.message))
        .collect();
    if let Some(more) = fields.len().checked_sub(MOST).filter(|more| *more > 0) {
        said.push(format!("and {more} more"));
    }
    said.join("; ")
}

impl From<diesel::result::Error> for Error {
    fn from(cause: diesel::result::Error) -> Self {
        Self::internal(cause)
    }
}

/// Whether a failed statement broke the unique constraint of this name.
pub fn broke_unique(error: &diesel::result::Error, constraint: &str) -> bool {
    use diesel::result::{DatabaseErrorKind, Error as Sql};
    matches!(error, Sql::DatabaseError(DatabaseErrorKind::UniqueViolation, info) if info.constraint_name() == Some(constraint))
}

impl From<Error> for async_graphql::Error {
    fn from(error: Error) -> Self {
        let mut extensions = ErrorExtensionValues::default();
        extensions.set("code", error.code());
        if !error.fields().is_empty() {
            extensions.set("fields", fields_value(error.fields()));
        }
        match &error {
            Error::Internal(cause) => {
                let request_id = Uuid::now_v7().to_string();
                tracing::error!(request_id, ?cause, "internal error");
                extensions.set("requestId", request_id);
            }
            // Whole seconds, rounded up: who comes a moment too early is refused again.
            Error::RateLimited(wait) => {
                let seconds = wait.as_millis().div_ceil(1000);
                extensions.set("retryAfter", u64::try_from(seconds).unwrap_or(u64::MAX));
            }
            _ => {}
        }
        let mut shown = Self::new(error.message());
        shown.extensions = Some(extensions);
        shown
    }
}

fn fields_value(fields: &[FieldError]) -> Value {
    let entry = |field: &FieldError| {
        Value::Object(
            [
                (async_graphql::Name::new("path"), Value::from(&field.path)),
                (
                    async_graphql::Name::new("message"),
                    Value::from(&field.message),
                ),
            ]
            .into_iter()
            .collect(),
        )
    };
    Value::List(fields.iter().map(entry).collect())
}

/// Gathers the faults of one input, so that a client learns of all of them at once.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    found: Vec<FieldError>,
}

impl Faults {
    /// Notes that a field is at fault.
    pub fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        let (path, message) = (path.into(), message.into());
        self.found.push(FieldError { path, message });
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Takes over the faults of a part that was checked by itself, so that they are told with the
    /// others; `prefix` is where the part is. Any other failure stays one.
    pub fn gather<T>(&mut self, prefix: &str, checked: Result<T>) -> Result<Option<T>> {
        match checked.map_err(|error| error.under(prefix)) {
            Ok(value) => Ok(Some(value)),
            Err(Error::BadUserInput(fields)) => {
                self.found.extend(fields);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// What was found, or else another failure: what is wrong with the input is told first.
    pub fn or(self, error: Error) -> Error {
        self.finish().err().unwrap_or(error)
    }

    /// Ends the check: an error if anything was found.
    pub fn finish(self) -> Result<()> {
        if self.found.is_empty() {
            Ok(())
        } else {
            Err(Error::BadUserInput(self.found))
        }
    }
}
