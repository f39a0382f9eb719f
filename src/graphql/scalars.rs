//! The scalars of the schema.

use async_graphql::{Description, InputValueError, InputValueResult, Scalar, ScalarType, Value};
use chrono::{SecondsFormat, SubsecRound, Utc};

/// A point in time: RFC 3339 in UTC with microseconds, as in `2026-01-31T12:00:00.000000Z`. Any
/// offset is read; finer fractions are cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Description)]
pub struct DateTime(pub chrono::DateTime<Utc>);

#[Scalar(
    name = "DateTime",
    use_type_description,
    specified_by_url = "https://scalars.graphql.org/andimarek/date-time.html"
)]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else {
            return Err(InputValueError::expected_type(value));
        };
        // PostgreSQL's timestamps end at year 294276; four digits are all that RFC 3339 has.
        chrono::DateTime::parse_from_rfc3339(text)
            .map(|at| Self(at.with_timezone(&Utc).trunc_subsecs(6)))
            .map_err(|_| InputValueError::custom("a DateTime is written as in RFC 3339"))
    }

    // Looked at before anything is executed, so that a bad one does not come up in the middle.
    fn is_valid(value: &Value) -> bool {
        Self::parse(value.clone()).is_ok()
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

/// Facts of your own about an object: a flat JSON object whose values are strings (at most
/// 10,000 characters), numbers or booleans; at most 100 pairs.
#[derive(Debug, Clone, PartialEq, Description)]
pub struct Metadata(pub serde_json::Value);

#[Scalar(name = "Metadata", use_type_description)]
impl ScalarType for Metadata {
    // Any value is read here: the actions say what is wrong with it, with its path.
    fn parse(value: Value) -> InputValueResult<Self> {
        Ok(Self(value.into_json()?))
    }

    fn to_value(&self) -> Value {
        Value::from_json(self.0.clone()).unwrap_or_default()
    }
}

/// Structured content: an array of nodes `{type, children}`. `p` holds text, `link`, `mention`
/// and `assignee`. `bullet` and `number_bullet` (with `indent` 0 to 4, `bulletNumber`) and `todo`
/// (with `todoID`, `done`) hold `p`, text or links. `quote` holds all of these but `todo`. `code`
/// and `markdown` hold text alone. Text is `{text}` with `bold`, `italic`, `underline` and `code`
/// as booleans; it stands within a node only. A `link` has a `url`, http or https. A `mention`
/// or `assignee` names a member by id or externalId, and shows one text: `{"type": "mention",
/// "user": {"id": "ada"}, "children": [{"text": "@Ada"}]}`. Every node may have a `class`. At
/// most 150,000 characters, 5,000 nodes and a depth of 8; a fault is told with its path.
#[derive(Debug, Clone, PartialEq, Description)]
pub struct MessageContent(pub serde_json::Value);

#[Scalar(name = "MessageContent", use_type_description)]
impl ScalarType for MessageContent {
    // Any value is read here: the actions say what is wrong with it, with its path.
    fn parse(value: Value) -> InputValueResult<Self> {
        Ok(Self(value.into_json()?))
    }

    fn to_value(&self) -> Value {
        Value::from_json(self.0.clone()).unwrap_or_default()
    }
}

/// Any JSON value.
#[derive(Debug, Clone, PartialEq, Description)]
pub struct Json(pub serde_json::Value);

#[Scalar(name = "JSON", use_type_description)]
impl ScalarType for Json {
    fn parse(value: Value) -> InputValueResult<Self> {
        Ok(Self(value.into_json()?))
    }

    fn to_value(&self) -> Value {
        Value::from_json(self.0.clone()).unwrap_or_default()
    }
}
