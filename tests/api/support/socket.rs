//! A client of graphql-transport-ws.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::server::Server;

/// What must happen happens within this time; a failing test waits no longer.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A WebSocket.
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Socket {
    /// Connects, with this subprotocol.
    pub async fn connect(server: &Server, subprotocol: &str) -> Self {
        let url = format!("ws://{}/graphql", server.address);
        let mut request = url.into_client_request().expect("a request");
        let subprotocol = HeaderValue::from_str(subprotocol).expect("a header");
        request
            .headers_mut()
            .insert("sec-websocket-protocol", subprotocol);
        let (stream, _) = connect_async(request).await.expect("the server upgrades");
        Self { stream }
    }

    /// Connects and greets.
    pub async fn greeted(server: &Server, authorization: &str) -> Self {
        let mut socket = Self::connect(server, "graphql-transport-ws").await;
        let payload = json!({ "Authorization": authorization });
        socket
            .say(json!({ "type": "connection_init", "payload": payload }))
            .await;
        assert_eq!(socket.hear().await["type"], "connection_ack");
        socket
    }

    pub async fn say(&mut self, message: Value) {
        self.say_text(&message.to_string()).await;
    }

    pub async fn say_text(&mut self, text: &str) {
        let message = Message::text(text);
        self.stream.send(message).await.expect("the socket is open");
    }

    /// The next message.
    pub async fn hear(&mut self) -> Value {
        match self.hear_or_close().await {
            Ok(message) => message,
            Err(code) => panic!("the socket was closed with {code}"),
        }
    }

    /// The code that the server closes the socket with, whatever it says before.
    pub async fn close_code(&mut self) -> u16 {
        loop {
            if let Err(code) = self.hear_or_close().await {
                return code;
            }
        }
    }

    /// The next message, or the code of the close.
    pub async fn hear_or_close(&mut self) -> Result<Value, u16> {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.stream.next());
            match next.await.expect("a message in time") {
                Some(Ok(Message::Text(text))) => {
                    return Ok(serde_json::from_str(&text).expect("JSON"));
                }
                Some(Ok(Message::Close(frame))) => {
                    return Err(frame.map_or(1005, |frame| frame.code.into()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(1006),
            }
        }
    }

    /// Whether nothing is heard for a moment: only for what must never come.
    pub async fn is_silent_for(&mut self, time: Duration) -> bool {
        tokio::time::timeout(time, self.hear_or_close())
            .await
            .is_err()
    }
}

/// A subscription with a socket of its own.
pub struct Subscription {
    socket: Socket,
    /// What came before the test asked, the latest first.
    early: Vec<Value>,
}

impl Subscription {
    pub async fn open(server: &Server, authorization: &str, query: &str, variables: Value) -> Self {
        let mut socket = Socket::greeted(server, authorization).await;
        let payload = json!({ "query": query, "variables": variables });
        socket
            .say(json!({ "type": "subscribe", "id": "1", "payload": payload }))
            .await;
        // The server reads a socket's next message once the subscription misses nothing.
        socket.say(json!({ "type": "ping" })).await;
        let mut early = Vec::new();
        loop {
            let message = socket.hear().await;
            if message["type"] == "pong" {
                break;
            }
            early.push(message);
        }
        early.reverse();
        Self { socket, early }
    }

    /// The next message of the subscription.
    pub async fn message(&mut self) -> Value {
        match self.early.pop() {
            Some(message) => message,
            None => self.socket.hear().await,
        }
    }

    /// The next event.
    pub async fn event(&mut self) -> Value {
        let message = self.message().await;
        assert_eq!(message["type"], "next", "{message}");
        let data = &message["payload"]["data"];
        let (_, event) = data
            .as_object()
            .and_then(|data| data.iter().next())
            .expect("an event");
        event.clone()
    }

    /// The next events up to one that passes a test, that one included.
    pub async fn until(&mut self, test: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut heard = Vec::new();
        loop {
            heard.push(self.event().await);
            if heard.last().is_some_and(&test) {
                return heard;
            }
        }
    }

    /// The code of the error that ends it.
    pub async fn error(&mut self) -> String {
        let message = self.message().await;
        assert_eq!(message["type"], "error", "{message}");
        let code = &message["payload"][0]["extensions"]["code"];
        code.as_str().expect("a code").to_owned()
    }
}
