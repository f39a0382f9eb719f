//! A backend's URL, which keeps what it is sent and answers as a test wants it to.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::Value;
use standardwebhooks::Webhook;
use tokio::net::TcpListener;

use super::socket::eventually;

/// A backend; it ends with its test.
pub struct Receiver {
    pub address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    calls: Mutex<Vec<Call>>,
    open: AtomicUsize,
    most_open: AtomicUsize,
}

/// Something that was sent.
#[derive(Debug, Clone)]
pub struct Call {
    pub headers: HeaderMap,
    pub raw: String,
    pub body: Value,
    pub at: Instant,
}

/// How to answer.
pub enum Reply {
    /// With a status, and a body that says no more.
    Status(u16),
    /// With all of this.
    With(u16, Vec<(&'static str, String)>, String),
    /// With a status, after a while.
    Slow(Duration, u16),
    /// Never.
    Hang,
    /// With a body that does not end.
    Endless(u16),
}

impl Receiver {
    /// One that takes everything.
    pub async fn taking() -> Self {
        Self::new(|_, _| Reply::Status(200)).await
    }

    /// One that answers by what it is sent, and how many calls there were before.
    pub async fn new(reply: impl Fn(&Call, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::<State>::default();
        let (kept, reply) = (Arc::clone(&state), Arc::new(reply));
        let router = Router::new().fallback(move |request: Request| {
            let (state, reply) = (Arc::clone(&kept), Arc::clone(&reply));
            async move {
                let call = Call::read(request).await;
                let before = {
                    let mut calls = state.calls.lock().expect("whole");
                    calls.push(call.clone());
                    calls.len() - 1
                };
                let _open = Open::new(&state);
                answer(reply(&call, before)).await
            }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, state }
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// What was sent so far.
    pub fn calls(&self) -> Vec<Call> {
        self.state.calls.lock().expect("whole").clone()
    }

    /// Waits until so much was sent.
    pub async fn wait(&self, many: usize) -> Vec<Call> {
        eventually("the backend is called", async || self.calls().len() >= many).await;
        self.calls()
    }

    /// The words of the messages that were sent so far.
    pub fn words(&self) -> Vec<String> {
        self.calls().iter().map(Call::words).collect()
    }

    /// How many calls there were at once, at most.
    pub fn most_open(&self) -> usize {
        self.state.most_open.load(Ordering::SeqCst)
    }
}

impl Call {
    async fn read(request: Request) -> Self {
        let (head, body) = request.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await;
        let raw = String::from_utf8(bytes.expect("a body").to_vec()).expect("a text");
        Self {
            headers: head.headers,
            body: serde_json::from_str(&raw).expect("JSON"),
            raw,
            at: Instant::now(),
        }
    }

    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let header = self.headers.get(name);
        let header = header.unwrap_or_else(|| panic!("there is no {name}"));
        header.to_str().expect("a text")
    }

    /// Which delivery it is of.
    #[track_caller]
    pub fn id(&self) -> &str {
        self.header("webhook-id")
    }

    /// What is at a JSON pointer of the event.
    #[track_caller]
    pub fn at(&self, pointer: &str) -> &Value {
        let found = self.body["data"].pointer(pointer);
        found.unwrap_or_else(|| panic!("nothing at {pointer} in {:#}", self.body))
    }

    /// What the message says.
    #[track_caller]
    pub fn words(&self) -> String {
        self.at("/message/plaintext")
            .as_str()
            .expect("words")
            .to_owned()
    }

    /// Whether it was signed with a secret, as a backend finds out.
    pub fn is_signed_with(&self, secret: &str) -> bool {
        let webhook = Webhook::new(secret).expect("a secret");
        webhook.verify(self.raw.as_bytes(), &self.headers).is_ok()
    }
}

/// Counts a call as long as it is not answered.
struct Open(Arc<State>);

impl Open {
    fn new(state: &Arc<State>) -> Self {
        let open = state.open.fetch_add(1, Ordering::SeqCst) + 1;
        state.most_open.fetch_max(open, Ordering::SeqCst);
        Self(Arc::clone(state))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn answer(reply: Reply) -> Response {
    let status = |code| StatusCode::from_u16(code).expect("a status");
    match reply {
        Reply::Status(code) => status(code).into_response(),
        Reply::With(code, headers, body) => {
            let mut response = (status(code), body).into_response();
            for (name, value) in headers {
                let value = value.parse().expect("a header's value");
                response.headers_mut().insert(name, value);
            }
            response
        }
        Reply::Slow(time, code) => {
            tokio::time::sleep(time).await;
            status(code).into_response()
        }
        Reply::Hang => std::future::pending().await,
        Reply::Endless(code) => {
            let piece = || Ok::<_, std::io::Error>("<p>\u{7}much</p>".repeat(1000));
            let body = Body::from_stream(stream::repeat_with(piece));
            (status(code), body).into_response()
        }
    }
}
