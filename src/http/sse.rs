//! GraphQL over server-sent events: the protocol of graphql-sse in its "distinct connections
//! mode", one response for one operation. `id:` is the event's cursor, so that a browser that
//! comes back with Last-Event-ID misses nothing.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::Response as Answer;
use async_graphql::parser::types::OperationType;
use axum::body::{Body as HttpBody, Bytes};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::oneshot;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::fanout::outbox::{Body, Frame, Lane, Outbox};
use crate::fanout::{Membership, Seat};
use crate::graphql::answer::{refused, written};
use crate::graphql::context::{Asking, Session};
use crate::http::Server;
use crate::http::operation::Operation;
use crate::http::websocket::census::Counted;

/// The media type.
const EVENT_STREAM: &str = "text/event-stream";

/// How many frames are written at once.
const BATCH: usize = 64;

/// When to come again if there are too many streams.
const CROWDED: Duration = Duration::from_secs(10);

/// How long a subscription may take to begin before the response does all the same.
const START_DEADLINE: Duration = Duration::from_secs(5);

/// A comment, so that whoever stands between does not take the connection for dead.
const HEARTBEAT: &str = ":\n\n";

/// A response in the making.
struct Stream {
    outbox: Arc<Outbox>,
    lane: Arc<Lane>,
    frames: VecDeque<Frame>,
    heartbeats: Interval,
    expires: Option<Instant>,
    shutdown: CancellationToken,
    _membership: Option<Membership>,
    _counted: Option<Counted>,
    ended: bool,
}

/// Whether a client asks for server-sent events.
pub fn is_wanted(headers: &HeaderMap) -> bool {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| {
        let kinds = accept.split(',').map(|range| range.split(';').next());
        kinds
            .flatten()
            .any(|kind| kind.trim().eq_ignore_ascii_case(EVENT_STREAM))
    })
}

/// The events of an operation, or of why there is none.
pub async fn respond(
    server: &Server,
    headers: &HeaderMap,
    session: Option<Session>,
    operation: Result<Operation, Box<Answer>>,
) -> Response {
    let mut stream = Stream::new(server);
    match (operation, session) {
        // The protocol wants a document's faults to be told within the stream.
        (Err(answer), _) => stream.say(&answer).await,
        (Ok(operation), Some(session)) if operation.kind == OperationType::Subscription => {
            let resume = headers
                .get("last-event-id")
                .and_then(|id| id.to_str().ok())
                .filter(|id| !id.is_empty())
                .map(str::to_owned);
            match count(server, &session) {
                Some(counted) => {
                    let (started, starting) = oneshot::channel();
                    stream.subscribe(server, (session, counted), (operation, resume), started);
                    // Once the response has begun, nothing is missed that happens from then on.
                    let _ = timeout(START_DEADLINE, starting).await;
                }
                None => stream.say(&refused(Error::RateLimited(CROWDED))).await,
            }
        }
        (Ok(operation), None) if operation.kind == OperationType::Subscription => {
            let error = Error::Unauthenticated("a credential is required".to_owned());
            stream.say(&refused(error)).await;
        }
        (Ok(operation), session) => {
            let asking = Asking::new(Arc::clone(&server.app), session);
            let answer = operation.execute(&server.app, &server.schema, asking).await;
            stream.say(&answer).await;
        }
    }
    let events = stream::unfold(stream, |mut stream| async move {
        let bytes = stream.next().await?;
        Some((bytes, stream))
    });
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/event-stream; charset=utf-8"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        // A proxy that gathers what it passes on would hold events back.
        (
            header::HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ];
    (headers, HttpBody::from_stream(events)).into_response()
}

/// Counts a stream among the sockets of its viewer and of this node; none: there are too many.
fn count(server: &Server, session: &Session) -> Option<Counted> {
    let settings = &server.app.settings;
    let mut counted = server.census.admit(settings.max_sockets)?;
    let his = counted.belongs_to(&session.credential, settings.max_sockets_per_viewer);
    his.then_some(counted)
}

impl Stream {
    fn new(server: &Server) -> Self {
        let every = server.app.settings.ping_interval();
        let mut heartbeats = interval_at(Instant::now() + every, every);
        heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            outbox: Arc::default(),
            lane: Lane::new(""),
            frames: VecDeque::new(),
            heartbeats,
            expires: None,
            shutdown: server.app.shutdown.clone(),
            _membership: None,
            _counted: None,
            ended: false,
        }
    }

    /// One answer, and the end.
    async fn say(&mut self, answer: &Answer) {
        let answer = Body::Answer(written(answer).into());
        self.outbox.send(&self.lane, &answer).await;
        self.outbox.send(&self.lane, &Body::Complete).await;
    }

    fn subscribe(
        &mut self,
        server: &Server,
        (session, counted): (Session, Counted),
        (operation, resume): (Operation, Option<String>),
        started: oneshot::Sender<()>,
    ) {
        self._counted = Some(counted);
        self.expires = session.credential.expires_at().map(|at| {
            let left = (at - server.app.clock.now()).to_std().unwrap_or_default();
            // A token may be valid for longer than a clock can count.
            Instant::now() + left.min(Duration::from_secs(86_400 * 365))
        });
        let plan = operation.into_plan(&server.schema);
        let credential = Arc::new(session.credential);
        let (outbox, lane) = (Arc::clone(&self.outbox), Arc::clone(&self.lane));
        let (seat, membership) = Seat::new(&server.fanout, credential, outbox, lane);
        let taking = Arc::clone(&seat);
        let started = move || {
            // The client may have gone.
            let _ = started.send(());
        };
        let work = async move { taking.take(plan, resume, started).await };
        server.fanout.spawn(&seat, work);
        self._membership = Some(membership);
    }

    /// The next bytes; none: the response is complete. An error breaks the connection, which
    /// makes the client come back.
    async fn next(&mut self) -> Option<Result<Bytes, std::io::Error>> {
        if self.ended {
            return None;
        }
        if self.frames.is_empty() {
            let expires = self.expires;
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return self.break_off("the server ends"),
                () = sleep_until(expires.unwrap_or_else(Instant::now)), if expires.is_some() => {
                    return self.break_off("the token has expired");
                }
                () = self.outbox.filled() => {
                    self.frames.extend(self.outbox.take(BATCH));
                }
                _ = self.heartbeats.tick() => return Some(Ok(HEARTBEAT.into())),
            }
        }
        let mut text = String::new();
        for frame in std::mem::take(&mut self.frames) {
            match frame.body {
                Body::Restart if text.is_empty() => return self.break_off("a failure"),
                // What came before it goes out first.
                Body::Restart => self.frames.push_back(frame),
                body => {
                    self.ended |= body.is_last();
                    write(&mut text, &body);
                    if self.ended {
                        break;
                    }
                }
            }
        }
        Some(Ok(text.into()))
    }

    fn break_off(&mut self, why: &'static str) -> Option<Result<Bytes, std::io::Error>> {
        self.ended = true;
        Some(Err(std::io::Error::other(why)))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.outbox.close();
    }
}

/// Writes events. JSON has no line breaks, so one `data:` line holds it.
fn write(text: &mut String, body: &Body) {
    let next = ["event: next\ndata: "];
    let parts: &[&str] = match body {
        Body::Event(payload) => &[
            "id: ",
            &payload.cursor,
            "\n",
            next[0],
            &payload.json,
            "\n\n",
        ],
        Body::Answer(json) => &[next[0], json, "\n\n"],
        Body::Errors(json) => &[
            next[0],
            "{\"errors\":",
            json,
            "}\n\nevent: complete\ndata:\n\n",
        ],
        // Without `data:` a browser drops the event.
        Body::Complete => &["event: complete\ndata:\n\n"],
        Body::Restart => &[],
    };
    text.extend(parts.iter().copied());
}
