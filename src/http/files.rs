//! The bytes of files: `GET /files/...` hands them out, `PUT /uploads/...` takes them in, each by
//! a signed address.
//!
//! Never asks who comes: whoever has the address was allowed to have it.

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use http_range_header::{
    EndPosition, RangeUnsatisfiableError, StartPosition, SyntacticallyCorrectRange,
    parse_range_header,
};

use crate::app::App;
use crate::db::file::{self, File};
use crate::error::{Error, Result};
use crate::graphql::answer::{count, refused, written};
use crate::http::Server;
use crate::http::incoming::Incoming;
use crate::http::operation::refusal;
use crate::http::pages::is_known;
use crate::ids::AttachmentId;
use crate::storage::links::{Seal, Unsealed, disposition};
use crate::storage::{Declared, Place, media};

/// A page of a file can do nothing and load nothing but itself.
const POLICY: &str = "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; \
    style-src 'unsafe-inline'";

/// Browsers show no PDF within a sandbox; what runs in one runs in the viewer's own.
const PDF_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// What part of a file is asked for.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Whole,
    /// From a byte to another one, which is not in it.
    Range(u64, u64),
    /// One that it does not have.
    Beyond,
}

/// `GET /files/{id}/{name}`, and HEAD.
pub async fn send(
    State(server): State<Server>,
    Path((id, _)): Path<(String, String)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let app = &server.app;
    if let Err(unsealed) = check(app, "GET", &uri) {
        return forbidden(unsealed);
    }
    match hand_out(app, &id, &method, &headers).await {
        Ok(response) => response,
        Err(error) => failed(app, error),
    }
}

async fn hand_out(app: &App, id: &str, method: &Method, headers: &HeaderMap) -> Result<Response> {
    let id: AttachmentId = id.parse().map_err(|_| Error::NotFound("file"))?;
    let found = file::servable(&mut app.conn().await?, id).await?;
    let file = found.ok_or(Error::NotFound("file"))?;
    let size = u64::try_from(file.size).map_err(Error::internal)?;
    // The bytes of a file are never others.
    let etag = format!("\"{}\"", id.uuid().simple());
    if is_known(&etag, headers) {
        return Ok((StatusCode::NOT_MODIFIED, lasting(&etag)).into_response());
    }
    let part = match *method {
        Method::GET => asked(headers, &etag, size),
        _ => Part::Whole,
    };
    let (start, end) = match part {
        Part::Whole => (0, size),
        Part::Range(start, end) => (start, end),
        Part::Beyond => {
            let range = [(header::CONTENT_RANGE, format!("bytes */{size}"))];
            let message = format!("the file has {size} bytes");
            let answer = refusal(StatusCode::RANGE_NOT_SATISFIABLE, "BAD_REQUEST", &message);
            return Ok((range, answer).into_response());
        }
    };
    let body = if *method == Method::HEAD {
        Body::empty()
    } else {
        Body::from_stream(app.storage().get(file.object_id, start..end).await?.map(
            // The cause is told by the log; the client sees that the body ends too early.
            |piece| piece.map_err(|error| std::io::Error::other(format!("{error:?}"))),
        ))
    };
    let mut response = (lasting(&etag), described(&file), body).into_response();
    let shown = response.headers_mut();
    shown.insert(header::CONTENT_LENGTH, HeaderValue::from(end - start));
    if let Part::Range(..) = part {
        let range = format!("bytes {start}-{}/{size}", end - 1);
        let range = HeaderValue::from_str(&range).map_err(Error::internal)?;
        shown.insert(header::CONTENT_RANGE, range);
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

/// How long a browser may keep it: as long as it likes, for its user alone.
fn lasting(etag: &str) -> [(HeaderName, String); 3] {
    [
        (header::ETAG, etag.to_owned()),
        (
            header::CACHE_CONTROL,
            "private, max-age=86400, immutable".to_owned(),
        ),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
    ]
}

/// What it is, and what must not be made of it.
fn described(file: &File) -> [(HeaderName, String); 4] {
    let policy = match file.mime_type.as_str() {
        "application/pdf" => PDF_POLICY,
        _ => POLICY,
    };
    [
        (
            header::CONTENT_TYPE,
            media::served(&file.mime_type).to_owned(),
        ),
        (
            header::CONTENT_DISPOSITION,
            disposition(&file.name, &file.mime_type),
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::CONTENT_SECURITY_POLICY, policy.to_owned()),
    ]
}

/// The part that the headers ask for. Several at once are answered by all of it, as RFC 9110
/// allows, and so is what cannot be read.
fn asked(headers: &HeaderMap, etag: &str, size: u64) -> Part {
    let one = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(range) = one(header::RANGE) else {
        return Part::Whole;
    };
    if headers.contains_key(header::IF_RANGE) && one(header::IF_RANGE) != Some(etag) {
        return Part::Whole;
    }
    let range = match parse_range_header(range) {
        Ok(parsed) => match parsed.ranges.as_slice() {
            [range] => *range,
            _ => return Part::Whole,
        },
        Err(RangeUnsatisfiableError::ZeroSuffix) => return Part::Beyond,
        Err(_) => return Part::Whole,
    };
    let SyntacticallyCorrectRange { start, end } = range;
    let start = match start {
        StartPosition::Index(start) if start >= size => return Part::Beyond,
        StartPosition::Index(start) => start,
        StartPosition::FromLast(count) => size.saturating_sub(count),
    };
    match end {
        EndPosition::LastByte => Part::Range(start, size),
        EndPosition::Index(end) if end < start => Part::Whole,
        EndPosition::Index(end) => Part::Range(start, end.saturating_add(1).min(size)),
    }
}

/// `PUT /uploads/{id}`.
pub async fn receive(
    State(server): State<Server>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let app = &server.app;
    if let Err(unsealed) = check(app, "PUT", &uri) {
        return forbidden(unsealed);
    }
    let mut incoming = Incoming::new(body);
    let Err(error) = take_in(app, &id, &headers, &mut incoming).await else {
        return StatusCode::NO_CONTENT.into_response();
    };
    let mut response = failed(app, error);
    if !incoming
        .drain(app.settings.files.max_file_size.into())
        .await
    {
        close(&mut response);
    }
    response
}

async fn take_in(app: &App, id: &str, headers: &HeaderMap, incoming: &mut Incoming) -> Result<()> {
    let id: AttachmentId = id.parse().map_err(|_| Error::NotFound("file"))?;
    let awaited = file::awaited(&mut app.conn().await?, id).await?;
    let file = awaited.ok_or_else(not_awaited)?;
    let size = u64::try_from(file.size).map_err(Error::internal)?;
    let said = headers.get(header::CONTENT_LENGTH);
    if said.is_some_and(|said| said.as_bytes() != size.to_string().as_bytes()) {
        return Err(wrong_size(size));
    }
    let declared = Declared {
        name: file.name,
        mime_type: file.mime_type,
    };
    let body = exactly(size, incoming);
    let stored = app
        .storage()
        .put(Place::Uploads, id.uuid(), &declared, size, body);
    stored.await?;
    // What becomes of it may have been settled while it came: then nobody takes it any more.
    if file::awaited(&mut app.conn().await?, id).await?.is_none() {
        app.storage().discard(id.uuid()).await?;
        return Err(not_awaited());
    }
    Ok(())
}

fn not_awaited() -> Error {
    let why = "the file has come already, or is not awaited any more";
    Error::Conflict(why.to_owned())
}

/// What comes, and an error at its end if that is not so many bytes.
fn exactly(size: u64, incoming: &mut Incoming) -> impl Stream<Item = Result<axum::body::Bytes>> {
    stream::unfold((incoming, Some(size)), move |(incoming, left)| async move {
        let left = left?;
        let (piece, left) = match incoming.next().await {
            None if left == 0 => return None,
            None => (Err(wrong_size(size)), None),
            Some(Err(why)) => (Err(Error::field("body", why)), None),
            Some(Ok(piece)) => {
                let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
                match left.checked_sub(length) {
                    Some(left) => (Ok(piece), Some(left)),
                    None => (Err(wrong_size(size)), None),
                }
            }
        };
        Some((piece, (incoming, left)))
    })
}

fn wrong_size(size: u64) -> Error {
    Error::field("body", format!("{size} bytes were declared"))
}

fn check(app: &App, method: &str, uri: &Uri) -> Result<(), Unsealed> {
    let Query(seal) = Query::<Seal>::try_from_uri(uri).map_err(|_| Unsealed::Altered)?;
    app.storage()
        .check(method, uri.path(), &seal, app.clock.now())
}

fn forbidden(unsealed: Unsealed) -> Response {
    let why = match unsealed {
        Unsealed::Altered => "the address is not one that was given out",
        Unsealed::Expired => "the address has expired: ask for the file's url anew",
    };
    refusal(StatusCode::FORBIDDEN, "FORBIDDEN", why)
}

/// The answer to a failure: the same errors as everywhere, with a status of their own.
fn failed(app: &App, error: Error) -> Response {
    let status = match &error {
        Error::BadUserInput(_) => StatusCode::BAD_REQUEST,
        Error::NotFound(_) => StatusCode::NOT_FOUND,
        Error::Conflict(_) => StatusCode::CONFLICT,
        Error::PayloadTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        Error::UnsupportedMediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let answer = refused(error);
    count(&app.metrics, &answer);
    let headers = [
        (header::CONTENT_TYPE, "application/json; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, written(&answer)).into_response()
}

/// Has the connection end after an answer: what the client still sends is not read.
pub fn close(response: &mut Response) {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_within_the_file() {
        let of = |range: &'static str| {
            let headers = [(header::RANGE, HeaderValue::from_static(range))];
            asked(&HeaderMap::from_iter(headers), "\"x\"", 10)
        };
        for (range, expected) in [
            ("bytes=0-0", Part::Range(0, 1)),
            ("bytes=2-5", Part::Range(2, 6)),
            ("bytes=2-", Part::Range(2, 10)),
            ("bytes=2-99", Part::Range(2, 10)),
            ("bytes=-3", Part::Range(7, 10)),
            ("bytes=-99", Part::Range(0, 10)),
            ("bytes=-0", Part::Beyond),
            ("bytes=10-", Part::Beyond),
            ("bytes=18446744073709551615-", Part::Beyond),
            ("bytes=0-18446744073709551615", Part::Range(0, 10)),
            ("bytes=5-2", Part::Whole),
            ("bytes=0-1,3-4", Part::Whole),
            ("bytes=", Part::Whole),
            ("bytes=a-b", Part::Whole),
            ("lines=1-2", Part::Whole),
        ] {
            assert_eq!(of(range), expected, "{range}");
        }
    }

    #[test]
    fn a_part_is_of_the_same_file_or_all_of_it_comes() {
        let with = |condition: &'static str| {
            let headers = [
                (header::RANGE, HeaderValue::from_static("bytes=2-5")),
                (header::IF_RANGE, HeaderValue::from_static(condition)),
            ];
            asked(&HeaderMap::from_iter(headers), "\"x\"", 10)
        };
        assert_eq!(with("\"x\""), Part::Range(2, 6));
        for other in ["\"y\"", "W/\"x\"", "Sat, 21 Nov 2026 00:00:00 GMT"] {
            assert_eq!(with(other), Part::Whole, "{other}");
        }
    }
}
