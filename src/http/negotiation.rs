//! Media types: what a client sends, what it takes, and which status goes with an answer.
//!
//! Follows the GraphQL-over-HTTP specification (working draft) and, where they differ, its
//! audit suite.

use async_graphql::Response as Answer;
use axum::http::{HeaderMap, StatusCode, header};
use mediatype::{MediaTypeBuf, MediaTypeList, ReadParams};

use crate::graphql::answer::is_request_error;

/// What an answer is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accept {
    /// `application/graphql-response+json`: the status tells whether the request was executed.
    GraphqlResponse,
    /// `application/json`: 200 for whatever could be read.
    Json,
}

impl Accept {
    /// What the client takes and we write; none: nothing that we write.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let Some(accept) = headers.get(header::ACCEPT) else {
            return Some(Self::Json);
        };
        let accept = accept.to_str().ok()?;
        if accept.trim().is_empty() {
            return Some(Self::Json);
        }
        let mut taken: Vec<(f32, Self)> = MediaTypeList::new(accept)
            .filter_map(Result::ok)
            .filter_map(|range| {
                let quality = range
                    .get_param(mediatype::Name::new_unchecked("q"))
                    .and_then(|q| q.as_str().parse::<f32>().ok())
                    .unwrap_or(1.0);
                let charset = range.get_param(mediatype::names::CHARSET);
                let readable =
                    charset.is_none_or(|charset| charset.as_str().eq_ignore_ascii_case("utf-8"));
                let kind = match range.essence().to_string().to_ascii_lowercase().as_str() {
                    "application/graphql-response+json" => Self::GraphqlResponse,
                    "application/json" | "application/*" | "*/*" => Self::Json,
                    _ => return None,
                };
                (quality > 0.0 && readable).then_some((quality, kind))
            })
            .collect();
        // Of several with the same weight the first one counts.
        taken.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        taken.first().map(|(_, kind)| *kind)
    }

    /// The value of the answer's Content-Type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
        }
    }

    /// The status of an answer. This is the one table of them.
    pub fn status(self, answer: &Answer) -> StatusCode {
        match first_code(answer).as_deref() {
            Some("UNAUTHENTICATED") => StatusCode::UNAUTHORIZED,
            Some("TIMEOUT") => StatusCode::SERVICE_UNAVAILABLE,
            Some("RATE_LIMITED") if is_request_error(answer) => StatusCode::TOO_MANY_REQUESTS,
            // A cookie that does not count where it comes from.
            Some("FORBIDDEN") if is_request_error(answer) => StatusCode::FORBIDDEN,
            // Files that were read in vain: what reads them has the same status for the same code.
            Some("PAYLOAD_TOO_LARGE") if is_request_error(answer) => StatusCode::PAYLOAD_TOO_LARGE,
            Some("UNSUPPORTED_MEDIA_TYPE") if is_request_error(answer) => {
                StatusCode::UNSUPPORTED_MEDIA_TYPE
            }
            _ if self == Self::GraphqlResponse && is_request_error(answer) => {
                StatusCode::BAD_REQUEST
            }
            _ => StatusCode::OK,
        }
    }
}

/// After how many seconds to come again, if a request came too often.
pub fn retry_after(answer: &Answer) -> Option<u64> {
    if !is_request_error(answer) {
        return None;
    }
    match answer
        .errors
        .first()?
        .extensions
        .as_ref()?
        .get("retryAfter")?
    {
        async_graphql::Value::Number(seconds) => seconds.as_u64(),
        _ => None,
    }
}

/// Whether a request's body is JSON in UTF-8.
pub fn is_json(headers: &HeaderMap) -> bool {
    let Some(kind) = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .and_then(|kind| kind.parse::<MediaTypeBuf>().ok())
    else {
        return false;
    };
    let charset = kind.get_param(mediatype::names::CHARSET);
    kind.essence()
        .to_string()
        .eq_ignore_ascii_case("application/json")
        && charset.is_none_or(|charset| charset.as_str().eq_ignore_ascii_case("utf-8"))
}

fn first_code(answer: &Answer) -> Option<String> {
    let code = answer.errors.first()?.extensions.as_ref()?.get("code")?;
    match code {
        async_graphql::Value::String(code) => Some(code.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn accept(text: &'static str) -> Option<Accept> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(text));
        Accept::of(&headers)
    }

    #[test]
    fn the_heavier_media_type_wins_and_json_is_the_default() {
        assert_eq!(Accept::of(&HeaderMap::new()), Some(Accept::Json));
        assert_eq!(accept("*/*"), Some(Accept::Json));
        assert_eq!(
            accept("application/json;q=0.5, application/graphql-response+json"),
            Some(Accept::GraphqlResponse)
        );
        assert_eq!(
            accept("application/json; charset=utf-8"),
            Some(Accept::Json)
        );
        assert_eq!(accept("text/html"), None);
        assert_eq!(accept("text/html, */*;q=0.1"), Some(Accept::Json));
    }
}
