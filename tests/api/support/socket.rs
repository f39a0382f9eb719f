//! A client of graphql-transport-ws.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async};

use super::server::Server;

/// What must happen happens within this time; a failing test waits no longer.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until something holds.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, wait).await;
    waited.unwrap_or_else(|_| panic!("in vain: {what}"));
}

/// A WebSocket.
pub struct Socket {
    pub stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Socket {
    /// Connects, with our subprotocol.
    pub async fn connect(server: &Server) -> Self {
        Self::connect_with(server, &[]).await
    }

    /// Connects, with our subprotocol and other headers.
    pub async fn connect_with(server: &Server, headers: &[(&'static str, &str)]) -> Self {
        let tcp = TcpStream::connect(server.address)
            .await
            .expect("the server listens");
        Self::upgraded(server, tcp, headers).await
    }

    /// Connects as a client whose system takes in little that it does not read.
    pub async fn connect_narrow(server: &Server) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a small buffer");
        let tcp = socket
            .connect(server.address)
            .await
            .expect("the server listens");
        Self::upgraded(server, tcp, &[]).await
    }

    async fn upgraded(server: &Server, tcp: TcpStream, headers: &[(&'static str, &str)]) -> Self {
        let url = format!("ws://{}/graphql", server.address);
        let mut request = url.into_client_request().expect("a request");
        for (name, value) in [
            &[("sec-websocket-protocol", "graphql-transport-ws")],
            headers,
        ]
        .concat()
        {
            let value = HeaderValue::from_str(value).expect("a header");
            request
                .headers_mut()
                .insert(HeaderName::from_static(name), value);
        }
        let upgraded = client_async(request, MaybeTlsStream::Plain(tcp)).await;
        let (stream, _) = upgraded.expect("the server upgrades");
        Self { stream }
    }

    /// Connects as a client that does not look which subprotocol the server chose.
    pub async fn connect_blindly(server: &Server, subprotocol: Option<&str>) -> Self {
        let mut tcp = TcpStream::connect(server.address)
            .await
            .expect("the server listens");
        let offer = subprotocol.map(|name| format!("Sec-WebSocket-Protocol: {name}\r\n"));
        let request = format!(
            "GET /graphql HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{}\r\n",
            server.address,
            offer.unwrap_or_default()
        );
        tcp.write_all(request.as_bytes())
            .await
            .expect("the server reads");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(tcp.read_u8().await.expect("the server answers"));
        }
        assert!(
            head.starts_with(b"HTTP/1.1 101"),
            "{}",
            String::from_utf8_lossy(&head)
        );
        let tcp = MaybeTlsStream::Plain(tcp);
        Self {
            stream: WebSocketStream::from_raw_socket(tcp, Role::Client, None).await,
        }
    }

    /// Connects and greets.
    pub async fn greeted(server: &Server, authorization: &str) -> Self {
        let mut socket = Self::connect(server).await;
        socket
            .greet(json!({ "Authorization": authorization }))
            .await;
        assert_eq!(socket.hear().await["type"], "connection_ack");
        socket
    }

    /// Says the first message.
    pub async fn greet(&mut self, payload: Value) {
        self.say(json!({ "type": "connection_init", "payload": payload }))
            .await;
    }

    /// Begins an operation.
    pub async fn subscribe(&mut self, id: &str, query: &str, variables: Value) {
        let payload = json!({ "query": query, "variables": variables });
        self.say(json!({ "type": "subscribe", "id": id, "payload": payload }))
            .await;
    }

    /// What is heard before the answer to a ping: all that the server had said by then.
    pub async fn heard_by_now(&mut self) -> Vec<Value> {
        self.say(json!({ "type": "ping", "payload": { "by": "now" } }))
            .await;
        let mut heard = Vec::new();
        loop {
            let message = self.hear().await;
            if message["type"] == "pong" && message["payload"]["by"] == "now" {
                return heard;
            }
            heard.push(message);
        }
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
        // One deadline for all of it: the server's pings must not prolong the wait.
        let next = async {
            loop {
                match self.stream.next().await {
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
        };
        tokio::time::timeout(PATIENCE, next)
            .await
            .expect("a message in time")
    }
}

/// A subscription with a socket of its own.
pub struct Subscription {
    pub socket: Socket,
    /// What came before the test asked, the latest first.
    early: Vec<Value>,
}

impl Subscription {
    pub async fn open(server: &Server, authorization: &str, query: &str, variables: Value) -> Self {
        let socket = Socket::greeted(server, authorization).await;
        Self::on(socket, query, variables).await
    }

    /// Follows on a socket that has been greeted.
    pub async fn on(mut socket: Socket, query: &str, variables: Value) -> Self {
        socket.subscribe("1", query, variables).await;
        // The server reads a socket's next message once the subscription misses nothing.
        let mut early = socket.heard_by_now().await;
        early.reverse();
        Self { socket, early }
    }

    /// What else has come by now.
    pub async fn heard_by_now(&mut self) -> Vec<Value> {
        let mut heard: Vec<Value> = self.early.drain(..).rev().collect();
        heard.extend(self.socket.heard_by_now().await);
        heard
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
