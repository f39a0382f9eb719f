//! One connection: its greeting, its operations, its pings, its end.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::parser::types::OperationType;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};

use crate::auth::{self, Credential, Present};
use crate::error::Error;
use crate::graphql::context::{Asking, Session};
use crate::http::Server;
use crate::http::negotiation::is_request_error;
use crate::http::operation::{Operation, Params, finished, refused, written};
use crate::http::websocket::protocol::{self, Closing, Said};

/// How many frames wait for a socket. A full queue stops the operations that fill it; what they
/// miss meanwhile, they read from the log.
const QUEUE: usize = 32;

/// How long a write may take before the reader counts as gone.
const WRITE_DEADLINE: Duration = Duration::from_secs(20);

/// How long a subscription may take to begin before the next message is read all the same.
const START_DEADLINE: Duration = Duration::from_secs(5);

/// What an operation hands to its socket.
struct Outgoing {
    id: Arc<str>,
    /// Which operation: an id may be used again, this number is not.
    number: u64,
    frame: Frame,
    /// Whether it is the operation's last one.
    last: bool,
}

/// What to write.
enum Frame {
    Text(Utf8Bytes),
    /// The operation could not begin for reasons that pass: the client is to connect again.
    Restart,
}

/// An operation that is running.
struct Running {
    number: u64,
    task: AbortHandle,
}

struct Socket {
    server: Server,
    stream: WebSocket,
    authorization: Option<String>,
    credential: Option<Credential>,
    running: HashMap<Arc<str>, Running>,
    tasks: JoinSet<()>,
    /// Set while a subscription begins: the client's next message waits for it, so that what
    /// that message does is in the subscription.
    starting: Option<oneshot::Receiver<()>>,
    outbox: mpsc::Sender<Outgoing>,
    inbox: mpsc::Receiver<Outgoing>,
    next_number: u64,
    init_deadline: Option<Instant>,
    expires: Option<Instant>,
    pong_due: bool,
}

/// Serves a connection until it ends.
pub async fn run(server: Server, stream: WebSocket, authorization: Option<String>) {
    let (outbox, inbox) = mpsc::channel(QUEUE);
    let init_deadline = Instant::now() + server.app.settings.init_timeout();
    let mut socket = Socket {
        server,
        stream,
        authorization,
        credential: None,
        running: HashMap::new(),
        tasks: JoinSet::new(),
        starting: None,
        outbox,
        inbox,
        next_number: 0,
        init_deadline: Some(init_deadline),
        expires: None,
        pong_due: false,
    };
    if let Some(closing) = socket.serve().await {
        close(&mut socket.stream, &closing).await;
    }
    // Dropping the task set ends the operations; a mutation among them has its own task.
}

/// Turns away a client of another subprotocol.
pub async fn refuse(mut stream: WebSocket) {
    close(&mut stream, &Closing::subprotocol()).await;
}

async fn close(stream: &mut WebSocket, closing: &Closing) {
    let goodbye = async {
        let _ = stream.send(Message::Close(Some(closing.frame()))).await;
        // The client answers with its own close; until then the code could be lost to a reset.
        while let Some(Ok(message)) = stream.recv().await {
            if matches!(message, Message::Close(_)) {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(2), goodbye).await;
}

impl Socket {
    /// Reads and writes; answers why to close, or nothing if the client has gone.
    async fn serve(&mut self) -> Option<Closing> {
        let every = self.server.app.settings.ping_interval();
        let mut pings = interval_at(Instant::now() + every, every);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let shutdown = self.server.app.shutdown.clone();
        loop {
            let alarm = [self.init_deadline, self.expires]
                .into_iter()
                .flatten()
                .min();
            let step = tokio::select! {
                biased;
                () = shutdown.cancelled() => Err(Some(Closing::going_away())),
                () = sleep_until(alarm.unwrap_or_else(Instant::now)), if alarm.is_some() => {
                    Err(Some(self.alarm()))
                }
                _ = pings.tick() => self.ping().await,
                started = started(&mut self.starting), if self.starting.is_some() => {
                    let () = started;
                    self.starting = None;
                    Ok(())
                }
                message = self.stream.recv(), if self.starting.is_none() => match message {
                    Some(Ok(message)) => self.hear(message).await,
                    _ => Err(None),
                },
                Some(outgoing) = self.inbox.recv() => self.write(outgoing).await,
            };
            if let Err(end) = step {
                return end;
            }
            while let Some(ended) = self.tasks.try_join_next() {
                // An operation that failed in a way nobody foresaw must not leave its client
                // waiting: the client connects again, and goes on from its cursor.
                if ended.is_err_and(|error| error.is_panic()) {
                    return Some(Closing::restart());
                }
            }
        }
    }

    fn alarm(&self) -> Closing {
        if self.init_deadline.is_some() {
            Closing::init_timeout()
        } else {
            Closing::forbidden("the token has expired")
        }
    }

    /// Asks the client whether it is there; ends if it did not answer the last time.
    async fn ping(&mut self) -> Result<(), Option<Closing>> {
        if self.pong_due {
            return Err(None);
        }
        self.pong_due = true;
        self.send(Message::Ping(Default::default())).await
    }

    async fn hear(&mut self, message: Message) -> Result<(), Option<Closing>> {
        self.pong_due = false;
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => return Err(Some(Closing::bad_request("Binary message"))),
            Message::Ping(_) | Message::Pong(_) => return Ok(()),
            Message::Close(_) => return Err(None),
        };
        let said: Said = serde_json::from_str(&text)
            .map_err(|_| Some(Closing::bad_request("Invalid message received")))?;
        match said {
            Said::ConnectionInit { payload } => self.init(payload.unwrap_or_default()).await,
            Said::Ping { payload } => self.send(Message::Text(protocol::pong(payload))).await,
            Said::Pong {} => Ok(()),
            Said::Subscribe { id, payload } if id.is_empty() || payload.query.is_none() => {
                Err(Some(Closing::bad_request("Invalid message received")))
            }
            Said::Subscribe { id, payload } => self.subscribe(id, payload),
            Said::Complete { id } => {
                if let Some(running) = self.running.remove(id.as_str()) {
                    running.task.abort();
                }
                Ok(())
            }
        }
    }

    async fn init(
        &mut self,
        payload: serde_json::Map<String, serde_json::Value>,
    ) -> Result<(), Option<Closing>> {
        if self.init_deadline.take().is_none() {
            return Err(Some(Closing::too_many_inits()));
        }
        let given = |names: [&str; 2]| {
            names
                .iter()
                .find_map(|name| payload.get(*name))
                .and_then(|value| value.as_str().map(str::to_owned))
        };
        let authorization = given(["Authorization", "authorization"])
            .or_else(|| given(["token", "Token"]).map(|token| format!("Bearer {token}")))
            .or_else(|| self.authorization.take());
        let Some(authorization) = authorization else {
            return Err(Some(Closing::forbidden(
                "Forbidden: a credential is required",
            )));
        };
        let app = &self.server.app;
        let credential = match auth::verify(app, &authorization).await {
            Ok(credential) => credential,
            Err(Error::Unauthenticated(why)) => {
                return Err(Some(Closing::forbidden(&format!("Forbidden: {why}"))));
            }
            Err(error) => {
                tracing::error!(?error, "a credential could not be checked");
                return Err(Some(Closing::going_away()));
            }
        };
        self.expires = credential.expires_at().map(|at| {
            let left = (at - app.clock.now()).to_std().unwrap_or_default();
            // A token may be valid for longer than a clock can count.
            Instant::now() + left.min(Duration::from_secs(86_400 * 365))
        });
        self.credential = Some(credential);
        self.send(Message::Text(protocol::ack())).await
    }

    /// Begins an operation.
    fn subscribe(&mut self, id: String, params: Params) -> Result<(), Option<Closing>> {
        let Some(credential) = self.credential.clone() else {
            return Err(Some(Closing::unauthorized()));
        };
        if self.running.contains_key(id.as_str()) {
            return Err(Some(Closing::subscriber_exists(&id)));
        }
        if self.running.len() >= usize::from(self.server.app.settings.max_socket_operations) {
            return Err(Some(Closing::bad_request(
                "Too many operations on one socket",
            )));
        }
        let number = self.next_number;
        self.next_number += 1;
        let (started, starting) = oneshot::channel();
        let id: Arc<str> = id.into();
        let to = Sink {
            id: Arc::clone(&id),
            number,
            outbox: self.outbox.clone(),
        };
        let server = self.server.clone();
        let task = self
            .tasks
            .spawn(async move { execute(server, credential, params, to, started).await });
        self.running.insert(id, Running { number, task });
        self.starting = Some(starting);
        Ok(())
    }

    /// Writes a frame of an operation and all that wait behind it, with one flush.
    async fn write(&mut self, first: Outgoing) -> Result<(), Option<Closing>> {
        let mut next = Some(first);
        while let Some(outgoing) = next {
            match self.take(outgoing) {
                Some(Frame::Text(text)) => {
                    in_time(self.stream.feed(Message::Text(text))).await?;
                }
                Some(Frame::Restart) => return Err(Some(Closing::restart())),
                None => {}
            }
            next = self.inbox.try_recv().ok();
        }
        in_time(self.stream.flush()).await
    }

    /// The frame, unless its operation was completed by the client meanwhile.
    fn take(&mut self, outgoing: Outgoing) -> Option<Frame> {
        let running = self.running.get(&outgoing.id)?;
        if running.number != outgoing.number {
            return None;
        }
        if outgoing.last {
            self.running.remove(&outgoing.id);
        }
        Some(outgoing.frame)
    }

    async fn send(&mut self, message: Message) -> Result<(), Option<Closing>> {
        in_time(self.stream.send(message)).await
    }
}

async fn in_time<E>(write: impl Future<Output = Result<(), E>>) -> Result<(), Option<Closing>> {
    match tokio::time::timeout(WRITE_DEADLINE, write).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(None),
        Err(_) => Err(Some(Closing::slow_consumer())),
    }
}

/// Resolves when a subscription misses nothing any more, or when its operation has ended.
async fn started(starting: &mut Option<oneshot::Receiver<()>>) {
    if let Some(starting) = starting {
        let _ = tokio::time::timeout(START_DEADLINE, starting).await;
    }
}

/// Where an operation's frames go.
struct Sink {
    id: Arc<str>,
    number: u64,
    outbox: mpsc::Sender<Outgoing>,
}

impl Sink {
    async fn put(&self, frame: Frame, last: bool) {
        let outgoing = Outgoing {
            id: Arc::clone(&self.id),
            number: self.number,
            frame,
            last,
        };
        // If the socket has ended, this task is about to.
        let _ = self.outbox.send(outgoing).await;
    }

    async fn next(&self, answer: &async_graphql::Response) {
        let frame = protocol::next(&self.id, &written(answer));
        self.put(Frame::Text(frame), false).await;
    }

    async fn error(&self, answer: &async_graphql::Response) {
        let errors = serde_json::to_string(&answer.errors).expect("errors serialize");
        let frame = protocol::error(&self.id, &errors);
        self.put(Frame::Text(frame), true).await;
    }

    async fn complete(&self) {
        self.put(Frame::Text(protocol::complete(&self.id)), true)
            .await;
    }
}

/// Runs one operation to its end.
async fn execute(
    server: Server,
    credential: Credential,
    params: Params,
    to: Sink,
    started: oneshot::Sender<()>,
) {
    let operation = match Operation::parse(&server, params) {
        Ok(operation) => operation,
        Err(answer) => return to.error(&answer).await,
    };
    // Asked anew for each operation: memberships and keys may have been taken away meanwhile.
    let viewer = match auth::viewer(&server.app, &credential).await {
        Ok(viewer) => viewer,
        Err(Error::Internal(cause)) => {
            tracing::warn!(?cause, "an operation could not begin");
            return to.put(Frame::Restart, true).await;
        }
        Err(error) => return to.error(&refused(error)).await,
    };
    let session = Session {
        credential,
        viewer: Present::new(viewer),
    };
    let asking = Asking::new(Arc::clone(&server.app), Some(session));
    if operation.kind != OperationType::Subscription {
        drop(started);
        let answer = operation.execute(&server.app, &server.schema, asking).await;
        if is_request_error(&answer) {
            return to.error(&answer).await;
        }
        to.next(&answer).await;
        return to.complete().await;
    }
    let rounds = asking.rounds();
    let request = operation.request(asking.with_start(started));
    let mut answers = server.schema.execute_stream(request);
    while let Some(answer) = rounds.during(answers.next()).await {
        let answer = finished(answer);
        // A result without data is the source's own failure: the operation is over.
        if answer.data == async_graphql::Value::Null {
            // A client takes an error of the operation for final, and a closed socket for a
            // reason to come back, with its last cursor.
            return if is_internal(&answer) {
                to.put(Frame::Restart, true).await
            } else {
                to.error(&answer).await
            };
        }
        to.next(&answer).await;
    }
    to.complete().await;
}

fn is_internal(answer: &async_graphql::Response) -> bool {
    let internal = async_graphql::Value::from("INTERNAL");
    answer.errors.iter().any(|error| {
        let extensions = error.extensions.as_ref();
        extensions.and_then(|extensions| extensions.get("code")) == Some(&internal)
    })
}
