//! One connection: its greeting, its operations, its pings, its end.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_graphql::parser::types::OperationType;
use axum::extract::ws::{Message, WebSocket};
use futures_util::{SinkExt, poll, ready};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::auth::{self, Credential, Present};
use crate::error::Error;
use crate::fanout::outbox::{Body, Frame, Lane, Outbox};
use crate::fanout::{Membership, Seat};
use crate::graphql::answer::{is_request_error, refused, written, written_errors};
use crate::graphql::context::{Asking, Session};
use crate::http::Server;
use crate::http::operation::{Operation, Params};
use crate::http::websocket::bell::Bell;
use crate::http::websocket::census::Counted;
use crate::http::websocket::protocol::{self, Closing, Said};
use crate::metrics::Held;

/// How many frames are written with one flush.
const BATCH: usize = 64;

/// How long a subscription may take to begin before the next message is read all the same.
const START_DEADLINE: Duration = Duration::from_secs(5);

/// How long a client has to take its close frame.
const GOODBYE: Duration = Duration::from_secs(2);

/// How long one has who reads slowly: it stands behind what waits for him.
const SLOW_GOODBYE: Duration = Duration::from_secs(20);

/// A write that took longer than this shows that the client is there, whatever became of its
/// pong.
const STALLED: Duration = Duration::from_secs(1);

/// An operation that is running. Dropped, it ends.
struct Running {
    lane: Arc<Lane>,
    work: Work,
}

/// What works for an operation.
enum Work {
    /// A query or mutation.
    Task(AbortHandle),
    /// A subscription, which ends when this is dropped.
    Subscription(#[expect(dead_code, reason = "held, not used")] Membership),
}

/// What a socket does next.
enum Next {
    /// It ends, and says why.
    End(Option<Closing>),
    /// Something is due.
    Alarm,
    /// The client has said something.
    Hear(Message),
    /// The subscription that was to begin has begun.
    Started,
    /// Something is to be written.
    Write,
}

struct Socket {
    server: Server,
    stream: WebSocket,
    authorization: Option<String>,
    credential: Option<Arc<Credential>>,
    /// By name, as frames have it.
    running: HashMap<Box<str>, Running>,
    tasks: JoinSet<()>,
    /// Set while a subscription begins: the client's next message waits for it, so that what
    /// that message does is in the subscription.
    starting: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    outbox: Arc<Outbox>,
    init_deadline: Option<Instant>,
    expires: Option<Instant>,
    next_ping: Instant,
    pong_due: bool,
    counted: Counted,
    _open: Held,
}

/// Serves a connection until it ends.
pub async fn run(
    server: Server,
    stream: WebSocket,
    authorization: Option<String>,
    counted: Counted,
) {
    let open = server.app.metrics.socket();
    let every = server.app.settings.ping_interval();
    let init_deadline = Instant::now() + server.app.settings.init_timeout();
    let mut socket = Socket {
        server,
        stream,
        authorization,
        credential: None,
        running: HashMap::new(),
        tasks: JoinSet::new(),
        starting: None,
        outbox: Arc::default(),
        init_deadline: Some(init_deadline),
        expires: None,
        next_ping: Instant::now() + every,
        pong_due: false,
        counted,
        _open: open,
    };
    let closing = socket.serve().await;
    // Dropping the task set ends the operations; a mutation among them has its own task.
    socket.outbox.close();
    let app = Arc::clone(&socket.server.app);
    let Socket { mut stream, .. } = socket;
    if let Some(closing) = closing {
        if closing.is_slow() {
            app.metrics.slow_reader_closed();
        }
        close(&mut stream, &closing).await;
    }
}

/// Turns a client away.
pub async fn refuse(mut stream: WebSocket, closing: &Closing) {
    close(&mut stream, closing).await;
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
    let patience = if closing.is_slow() {
        SLOW_GOODBYE
    } else {
        GOODBYE
    };
    let _ = tokio::time::timeout(patience, goodbye).await;
}

impl Socket {
    /// Reads and writes; answers why to close, or nothing if the client has gone.
    async fn serve(&mut self) -> Option<Closing> {
        // Made once: asked for each frame it would cost a lock that all sockets share.
        let mut shutdown = pin!(self.server.app.shutdown.clone().cancelled_owned());
        let mut timer = pin!(sleep_until(self.next_ping));
        // Whatever wakes the task but a frame to write rings this bell.
        let bell = Bell::default();
        let waker = bell.waker();
        bell.ring();
        loop {
            let next = poll_fn(|context| {
                bell.listen(context);
                if bell.has_rung() {
                    let due = self.due();
                    if timer.deadline() != due {
                        timer.as_mut().reset(due);
                    }
                    let alarms = (shutdown.as_mut(), timer.as_mut());
                    let next = self.poll_next(alarms, &mut Context::from_waker(&waker));
                    if next.is_ready() {
                        // There may be more, which nothing would ring for again.
                        bell.ring();
                        return next;
                    }
                }
                self.outbox.poll_filled(context).map(|()| Next::Write)
            });
            let step = match next.await {
                Next::End(end) => Err(end),
                Next::Alarm => self.ring().await,
                // Boxed, since a socket that only listens should not hold room for it.
                Next::Hear(message) => Box::pin(self.hear(message)).await,
                Next::Started => Ok(()),
                Next::Write => self.write().await,
            };
            if let Err(end) = step {
                return end;
            }
            while !self.tasks.is_empty()
                && let Some(ended) = self.tasks.try_join_next()
            {
                // An operation that failed in a way nobody foresaw must not leave its client
                // waiting: the client connects again, and goes on from its cursor.
                if ended.is_err_and(|error| error.is_panic()) {
                    return Some(Closing::restart());
                }
            }
        }
    }

    /// Looks for what there is to do, but for frames to write.
    fn poll_next(
        &mut self,
        (shutdown, timer): (Pin<&mut impl Future<Output = ()>>, Pin<&mut Sleep>),
        context: &mut Context<'_>,
    ) -> Poll<Next> {
        if shutdown.poll(context).is_ready() {
            return Poll::Ready(Next::End(Some(Closing::going_away())));
        }
        if timer.poll(context).is_ready() {
            return Poll::Ready(Next::Alarm);
        }
        if let Some(starting) = &mut self.starting {
            ready!(starting.as_mut().poll(context));
            self.starting = None;
            return Poll::Ready(Next::Started);
        }
        let message = ready!(pin!(self.stream.recv()).poll(context));
        Poll::Ready(match message {
            Some(Ok(message)) => Next::Hear(message),
            Some(Err(error)) => Next::End(Closing::unreadable(error)),
            None => Next::End(None),
        })
    }

    /// When there is something to do, whatever the client does.
    fn due(&self) -> Instant {
        let alarms = [self.init_deadline, self.expires].into_iter().flatten();
        alarms.fold(self.next_ping, Instant::min)
    }

    /// Does what is due.
    async fn ring(&mut self) -> Result<(), Option<Closing>> {
        let now = Instant::now();
        let alarms = [self.init_deadline, self.expires].into_iter().flatten();
        if alarms.min().is_some_and(|at| at <= now) {
            return Err(Some(self.alarm()));
        }
        if self.next_ping > now {
            return Ok(());
        }
        self.next_ping = now + self.server.app.settings.ping_interval();
        self.ping().await
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
            Message::Close(_) => {
                // The answer to it waits to be written.
                let _ = tokio::time::timeout(GOODBYE, self.stream.flush()).await;
                return Err(None);
            }
        };
        let said: Said = serde_json::from_str(&text)
            .map_err(|_| Some(Closing::bad_request("Invalid message received")))?;
        match said {
            Said::ConnectionInit { payload } => self.init(payload.unwrap_or_default()).await,
            Said::Ping { payload } => self.send(Message::Text(protocol::pong(payload))).await,
            Said::Pong {} => Ok(()),
            Said::Subscribe { id, payload } if id.is_empty() || payload.says_nothing() => {
                Err(Some(Closing::bad_request("Invalid message received")))
            }
            Said::Subscribe { id, payload } => self.subscribe(&id, payload),
            Said::Complete { id } => {
                if let Some(running) = self.running.remove(&*protocol::name(&id)) {
                    self.outbox.end(&running.lane);
                    if let Work::Task(task) = running.work {
                        task.abort();
                    }
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
            Ok((credential, _)) => credential,
            Err(Error::Unauthenticated(why)) => {
                return Err(Some(Closing::forbidden(&format!("Forbidden: {why}"))));
            }
            Err(error) => {
                tracing::error!(?error, "a credential could not be checked");
                return Err(Some(Closing::going_away()));
            }
        };
        let most = app.settings.max_sockets_per_viewer;
        if !self.counted.belongs_to(&credential, most) {
            let closing = Closing::overloaded("too many sockets of this viewer");
            return Err(Some(closing));
        }
        self.expires = credential.expires_at().map(|at| {
            let left = (at - app.clock.now()).to_std().unwrap_or_default();
            // A token may be valid for longer than a clock can count.
            Instant::now() + left.min(Duration::from_secs(86_400 * 365))
        });
        self.credential = Some(Arc::new(credential));
        self.send(Message::Text(protocol::ack())).await
    }

    /// Begins an operation.
    fn subscribe(&mut self, id: &str, params: Params) -> Result<(), Option<Closing>> {
        let Some(credential) = self.credential.clone() else {
            return Err(Some(Closing::unauthorized()));
        };
        let name: Box<str> = protocol::name(id).into();
        if self.running.contains_key(&name) {
            return Err(Some(Closing::subscriber_exists(id)));
        }
        let lane = Lane::new(name.clone());
        let (outbox, server) = (Arc::clone(&self.outbox), self.server.clone());
        let most = usize::from(server.app.settings.max_socket_operations);
        if self.running.len() >= 2 * most {
            // It does not even wait to hear that there are too many.
            return Err(Some(Closing::bad_request("Too many operations")));
        }
        let operation = if self.running.len() < most {
            match server.rates.operation(&credential) {
                Ok(()) => Operation::parse(&server, params),
                Err(error) => Err(Box::new(refused(error))),
            }
        } else {
            let error = Error::Conflict(format!("a socket has at most {most} operations"));
            Err(Box::new(refused(error)))
        };
        let work = match operation {
            Err(answer) => {
                let errors = Body::Errors(written_errors(&answer).into());
                let lane = Arc::clone(&lane);
                Work::Task(self.tasks.spawn(async move {
                    outbox.send(&lane, &errors).await;
                }))
            }
            Ok(operation) if operation.kind == OperationType::Subscription => {
                let (started, starting) = oneshot::channel();
                self.starting = Some(Box::pin(begun(starting)));
                let plan = operation.into_plan(&server.schema);
                let (fanout, lane) = (&server.fanout, Arc::clone(&lane));
                let (seat, membership) = Seat::new(fanout, credential, outbox, lane);
                let taking = Arc::clone(&seat);
                let started = move || {
                    // The socket may have gone.
                    let _ = started.send(());
                };
                // Not a task of the socket: it would be kept as long as the subscription.
                fanout.spawn(&seat, async move { taking.take(plan, None, started).await });
                Work::Subscription(membership)
            }
            Ok(operation) => {
                let lane = Arc::clone(&lane);
                Work::Task(self.tasks.spawn(async move {
                    for body in execute(&server, &credential, operation).await {
                        outbox.send(&lane, &body).await;
                    }
                }))
            }
        };
        let running = Running { lane, work };
        self.running.insert(name, running);
        Ok(())
    }

    /// Writes what waits, with one flush.
    async fn write(&mut self) -> Result<(), Option<Closing>> {
        let app = &self.server.app;
        let limit = (app.settings.write_timeout(), &app.shutdown);
        let mut waited = Duration::ZERO;
        for Frame { lane, body } in self.outbox.take(BATCH) {
            // The client may have completed it.
            if lane.has_ended() {
                continue;
            }
            let Some(message) = protocol::message(&lane.name, &body) else {
                return Err(Some(Closing::restart()));
            };
            if body.is_last() {
                self.outbox.end(&lane);
                self.running.remove(&lane.name);
            }
            // Each has its own time: who reads steadily is not cut off for what waits for him.
            let fed = self.stream.feed(Message::Text(message));
            let fed = in_time(limit, &mut waited, fed).await?;
            fed.map_err(|_| None)?;
        }
        let flushed = in_time(limit, &mut waited, self.stream.flush()).await?;
        flushed.map_err(|_| None)?;
        if waited > STALLED {
            self.pong_due = false;
        }
        Ok(())
    }

    async fn send(&mut self, message: Message) -> Result<(), Option<Closing>> {
        let app = &self.server.app;
        let limit = (app.settings.write_timeout(), &app.shutdown);
        let mut waited = Duration::ZERO;
        let sent = self.stream.send(message);
        let sent = in_time(limit, &mut waited, sent).await?;
        sent.map_err(|_| None)
    }
}

/// What a write leads to, if it does not take longer than a client may let us wait; adds to
/// `waited` how long that was. The end of the server ends it, too.
async fn in_time<T>(
    (limit, shutdown): (Duration, &CancellationToken),
    waited: &mut Duration,
    write: impl Future<Output = T>,
) -> Result<T, Option<Closing>> {
    let mut write = pin!(write);
    // Mostly the kernel takes it at once, and no clock is needed.
    if let Poll::Ready(written) = poll!(&mut write) {
        return Ok(written);
    }
    let began = Instant::now();
    let written = tokio::select! {
        written = tokio::time::timeout(limit, write) => written,
        () = shutdown.cancelled() => return Err(Some(Closing::going_away())),
    };
    *waited += began.elapsed();
    written.map_err(|_| Some(Closing::slow_consumer()))
}

/// Resolves when a subscription misses nothing any more, or when its operation has ended.
async fn begun(starting: oneshot::Receiver<()>) {
    let _ = tokio::time::timeout(START_DEADLINE, starting).await;
}

/// Runs a query or mutation; what there is to say of it.
async fn execute(server: &Server, credential: &Credential, operation: Operation) -> Vec<Body> {
    // Asked anew for each operation: memberships and keys may have been taken away meanwhile.
    let viewer = match auth::viewer(&server.app, credential).await {
        Ok(viewer) => viewer,
        Err(Error::Internal(cause)) => {
            tracing::warn!(?cause, "an operation could not begin");
            return vec![Body::Restart];
        }
        Err(error) => return vec![Body::Errors(written_errors(&refused(error)).into())],
    };
    let session = Session {
        credential: credential.clone(),
        viewer: Present::new(viewer),
    };
    let asking = Asking::new(Arc::clone(&server.app), Some(session));
    let answer = operation.execute(&server.app, &server.schema, asking).await;
    if is_request_error(&answer) {
        return vec![Body::Errors(written_errors(&answer).into())];
    }
    vec![Body::Answer(written(&answer).into()), Body::Complete]
}
