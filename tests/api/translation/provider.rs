//! A provider that speaks the protocol of LibreTranslate, and does as a test says.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::support::socket::eventually;

/// The key that it asks for.
pub const KEY: &str = "swordfish-key";

/// How it answers to a question.
#[derive(Clone)]
enum Mood {
    /// Translates: puts the language in front of each text.
    Works,
    /// Answers this instead.
    Says(u16, Option<(&'static str, String)>, String),
}

struct Desk {
    mood: Mutex<Mood>,
    /// Whether questions are answered, or wait.
    open: watch::Sender<bool>,
    asked: Mutex<Vec<Value>>,
    listed: Mutex<usize>,
    languages: Option<Value>,
}

/// The provider; ends with the test.
pub struct Provider {
    address: SocketAddr,
    desk: Arc<Desk>,
}

impl Provider {
    /// One that knows these languages.
    pub async fn knowing(codes: &[&str]) -> Self {
        let list: Vec<Value> = codes
            .iter()
            .map(|code| json!({ "code": code, "name": code, "targets": codes }))
            .collect();
        Self::with(Some(json!(list))).await
    }

    /// One that does not tell which languages it knows.
    pub async fn reserved() -> Self {
        Self::with(None).await
    }

    async fn with(languages: Option<Value>) -> Self {
        let desk = Arc::new(Desk {
            mood: Mutex::new(Mood::Works),
            open: watch::Sender::new(true),
            asked: Mutex::default(),
            listed: Mutex::new(0),
            languages,
        });
        let router = Router::new()
            .route("/below/translate", post(translate))
            .route("/below/languages", get(list))
            .with_state(Arc::clone(&desk));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, desk }
    }

    /// Its address, which is below another service's.
    pub fn url(&self) -> String {
        format!("http://{}/below/", self.address)
    }

    /// Answers with a status and a body from now on.
    pub fn says(&self, status: u16, body: impl ToString) {
        self.set(Mood::Says(status, None, body.to_string()));
    }

    /// The same with a header.
    pub fn says_with(&self, status: u16, name: &'static str, value: &str, body: impl ToString) {
        let header = Some((name, value.to_owned()));
        self.set(Mood::Says(status, header, body.to_string()));
    }

    /// Translates again.
    pub fn works(&self) {
        self.set(Mood::Works);
    }

    fn set(&self, mood: Mood) {
        *self.desk.mood.lock().expect("nobody panics") = mood;
    }

    /// Leaves questions waiting.
    pub fn close(&self) {
        self.desk.open.send_replace(false);
    }

    /// Answers them.
    pub fn open(&self) {
        self.desk.open.send_replace(true);
    }

    /// The questions so far.
    pub fn asked(&self) -> Vec<Value> {
        self.desk.asked.lock().expect("nobody panics").clone()
    }

    /// How often it was asked for its languages.
    pub fn listed(&self) -> usize {
        *self.desk.listed.lock().expect("nobody panics")
    }

    /// Waits until it has been asked so often.
    pub async fn was_asked(&self, times: usize) {
        eventually("the provider is asked", async || {
            self.asked().len() >= times
        })
        .await;
    }
}

async fn translate(State(desk): State<Arc<Desk>>, Json(asked): Json<Value>) -> Response {
    desk.asked
        .lock()
        .expect("nobody panics")
        .push(asked.clone());
    let mut open = desk.open.subscribe();
    open.wait_for(|open| *open)
        .await
        .expect("the desk is there");
    let mood = desk.mood.lock().expect("nobody panics").clone();
    match mood {
        Mood::Works => Json(translated(&asked)).into_response(),
        Mood::Says(status, header, body) => {
            let status = StatusCode::from_u16(status).expect("a status");
            let mut headers = HeaderMap::new();
            if let Some((name, value)) = header {
                let value = HeaderValue::from_str(&value).expect("a header");
                headers.insert(HeaderName::from_static(name), value);
            }
            (status, headers, body).into_response()
        }
    }
}

async fn list(State(desk): State<Arc<Desk>>) -> Response {
    *desk.listed.lock().expect("nobody panics") += 1;
    match &desk.languages {
        Some(languages) => Json(languages.clone()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn translated(asked: &Value) -> Value {
    let target = asked["target"].as_str().expect("a language");
    let other = |text: &Value| format!("[{target}] {}", text.as_str().expect("a text"));
    let found = json!({ "confidence": 90.0, "language": "en" });
    match &asked["q"] {
        Value::Array(texts) => json!({
            "translatedText": texts.iter().map(other).collect::<Vec<_>>(),
            "detectedLanguage": vec![found; texts.len()],
        }),
        text => json!({ "translatedText": other(text), "detectedLanguage": found }),
    }
}
