//! Requests with files: `multipart/form-data` after the GraphQL multipart request specification.
//!
//! A file goes to the storage while it comes, and is never whole in memory. Before its first byte
//! a row says that it belongs to nobody, so that nothing stays of a request that fails.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::{HeaderMap, header};
use chrono::TimeDelta;
use futures_util::{StreamExt, TryStreamExt};
use multer::{Field, Multipart};
use serde_json::Value;
use uuid::Uuid;

use crate::app::App;
use crate::db::unused_file;
use crate::error::{Error, Result};
use crate::graphql::upload::Arrived;
use crate::http::incoming::Incoming;
use crate::storage::{Declared, Place, media};

/// Most files of a request: what a message may have.
pub const MAX_FILES: usize = 15;

/// What nobody has claimed after this time is removed: longer than any upload takes.
const UNCLAIMED: TimeDelta = TimeDelta::hours(24);

/// Most bytes between two pieces of content: what the head of a part takes.
const MOST_HELD: usize = 1_000_000;

/// Headers that a page of another origin cannot send without being asked for permission.
pub const PREFLIGHTED: [&str; 3] = [
    "apollo-require-preflight",
    "x-apollo-operation-name",
    "graphql-require-preflight",
];

/// A request with files, all of which have come.
pub struct Request {
    /// One operation or several; where a file belongs stands its ticket.
    pub operations: Value,
    /// The files by their tickets.
    pub files: Files,
}

/// Files by their tickets.
pub type Files = HashMap<String, Arrived>;

/// What is to come.
struct Plan {
    operations: Value,
    /// By the name of its part.
    files: BTreeMap<String, Planned>,
}

/// A file that is to come.
#[derive(Clone)]
struct Planned {
    key: Uuid,
    /// Where it belongs in the operations.
    path: String,
}

/// Whether a body is of several parts.
pub fn is_multipart(headers: &HeaderMap) -> bool {
    boundary(headers).is_some()
}

/// Whether no page of another origin could have sent this without being asked for permission:
/// any form can send several parts.
pub fn is_preflighted(headers: &HeaderMap) -> bool {
    let given = |name: &str| headers.get(name).is_some_and(|value| !value.is_empty());
    given(header::AUTHORIZATION.as_str()) || PREFLIGHTED.iter().any(|name| given(name))
}

/// Reads a request. The files that it had are to be given up or used, whatever comes of it.
pub async fn read(
    app: &App,
    headers: &HeaderMap,
    incoming: &mut Incoming,
    keys: &mut Vec<Uuid>,
) -> Result<Request> {
    let boundary = boundary(headers).unwrap_or_default();
    let held = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&held);
    let body = incoming.map(move |piece| {
        let piece = piece?;
        // The reader of parts keeps whatever comes until a part's head has ended.
        if count.fetch_add(piece.len(), Ordering::Relaxed) > MOST_HELD {
            return Err("the head of a part is too long");
        }
        Ok(piece)
    });
    let mut parts = Multipart::new(body, boundary);
    let most = usize::try_from(app.settings.max_request_bytes).unwrap_or(usize::MAX);
    let operations = next(&mut parts, &held).await?;
    let operations = json(operations, "operations", most, &held).await?;
    let map = next(&mut parts, &held).await?;
    let map = json(map, "map", most, &held).await?;
    let mut plan = plan(operations, map)?;

    keys.extend(plan.files.values().map(|file| file.key));
    let remove_at = app.clock.now() + UNCLAIMED;
    unused_file::add(&mut app.conn().await?, keys, remove_at).await?;

    let mut files = Files::new();
    while let Some(part) = next(&mut parts, &held).await? {
        let name = part.name().unwrap_or_default().to_owned();
        let Some(planned) = plan.files.remove(&name) else {
            let why = "a part that the map does not name, or for the second time";
            return Err(Error::field(name, why));
        };
        let arrived = arrive(app, &planned, part, &held).await;
        let arrived = arrived.map_err(|error| error.at(&planned.path))?;
        files.insert(planned.key.to_string(), arrived);
    }
    if let Some(missing) = plan.files.into_values().next() {
        return Err(Error::field(
            missing.path,
            "the map names a part that did not come",
        ));
    }
    Ok(Request {
        operations: plan.operations,
        files,
    })
}

/// Has what nobody has claimed of these files removed.
pub async fn give_up(app: &App, keys: &[Uuid]) {
    if keys.is_empty() {
        return;
    }
    let given_up = async {
        let mut conn = app.conn().await?;
        unused_file::give_up(&mut conn, keys, app.clock.now()).await
    };
    if let Err(error) = given_up.await {
        // They go all the same, a day later.
        tracing::warn!(?error, "files that nobody wants could not be given up");
    }
}

async fn arrive(
    app: &App,
    planned: &Planned,
    part: Field<'_>,
    held: &AtomicUsize,
) -> Result<Arrived> {
    let kind = part.content_type().map(AsRef::as_ref);
    let declared = Declared {
        name: part.file_name().unwrap_or("file").to_owned(),
        mime_type: media::essence(kind.unwrap_or(media::UNKNOWN)),
    };
    let pieces = part
        .inspect(|_| held.store(0, Ordering::Relaxed))
        .map_err(|error| Error::field("file", error.to_string()));
    let limit = app.settings.files.max_file_size.into();
    let stored = app
        .storage()
        .put(Place::Files, planned.key, &declared, limit, pieces)
        .await?;
    Ok(Arrived {
        key: planned.key,
        declared,
        stored,
    })
}

async fn next<'r>(parts: &mut Multipart<'r>, held: &AtomicUsize) -> Result<Option<Field<'r>>> {
    let part = parts.next_field().await;
    held.store(0, Ordering::Relaxed);
    part.map_err(|error| Error::field("body", error.to_string()))
}

/// Reads the part of this name, which is JSON.
async fn json(
    part: Option<Field<'_>>,
    name: &str,
    most: usize,
    held: &AtomicUsize,
) -> Result<Value> {
    let part = part.filter(|part| part.name() == Some(name));
    let mut part = part.ok_or_else(|| {
        Error::field(
            name,
            "the parts are operations, map, and then the files, in this order",
        )
    })?;
    let mut text = Vec::new();
    loop {
        let piece = part.chunk().await;
        held.store(0, Ordering::Relaxed);
        match piece.map_err(|error| Error::field(name, error.to_string()))? {
            Some(piece) if text.len() + piece.len() > most => {
                return Err(Error::field(name, format!("at most {most} bytes")));
            }
            Some(piece) => text.extend_from_slice(&piece),
            None => break,
        }
    }
    serde_json::from_slice(&text).map_err(|error| Error::field(name, format!("no JSON: {error}")))
}

/// Puts a ticket wherever a file is to be.
fn plan(mut operations: Value, map: Value) -> Result<Plan> {
    let Value::Object(map) = map else {
        return Err(Error::field("map", "an object of lists of paths"));
    };
    if map.len() > MAX_FILES {
        return Err(Error::field("map", format!("at most {MAX_FILES} files")));
    }
    let mut files = BTreeMap::new();
    for (name, paths) in map {
        let at = format!("map.{name}");
        let path = match paths.as_array().map(Vec::as_slice) {
            Some([Value::String(path)]) => path,
            _ => return Err(Error::field(at, "a list of one path: a file is used once")),
        };
        let key = Uuid::now_v7();
        let Some(place) = place(&mut operations, path) else {
            return Err(Error::field(at, format!("there is no null at {path}")));
        };
        *place = Value::String(key.to_string());
        let path = path.clone();
        files.insert(name, Planned { key, path });
    }
    Ok(Plan { operations, files })
}

/// Where a path leads, if it leads to a variable that is null.
fn place<'a>(operations: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    let mut steps = path.split('.');
    let mut value = operations;
    if value.is_array() {
        value = value.get_mut(steps.next()?.parse::<usize>().ok()?)?;
    }
    if steps.next() != Some("variables") {
        return None;
    }
    value = value.get_mut("variables")?;
    for step in steps {
        value = match value {
            Value::Object(object) => object.get_mut(step)?,
            Value::Array(list) => list.get_mut(step.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    value.is_null().then_some(value)
}

fn boundary(headers: &HeaderMap) -> Option<String> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    multer::parse_boundary(kind).ok()
}
