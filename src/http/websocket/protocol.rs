//! The messages and close codes of `graphql-transport-ws`.

use axum::extract::ws::{CloseFrame, Utf8Bytes};
use serde::Deserialize;
use serde_json::Value;
use tungstenite::error::ProtocolError;

use crate::fanout::outbox::Body;
use crate::http::operation::Params;

/// What a client says.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Said {
    /// It wants to begin.
    ConnectionInit {
        /// Its credential.
        #[serde(default)]
        payload: Option<serde_json::Map<String, Value>>,
    },
    /// It wants to know whether we are there.
    Ping {
        /// To be said back.
        #[serde(default)]
        payload: Option<serde_json::Map<String, Value>>,
    },
    /// It is there.
    Pong {},
    /// It wants an operation executed.
    Subscribe {
        /// How it calls it.
        id: String,
        /// What it is.
        payload: Params,
    },
    /// It no longer wants an operation.
    Complete {
        /// How it calls it.
        id: String,
    },
}

/// Why a socket is closed: a code and a reason of at most 123 bytes.
#[derive(Debug, Clone)]
pub struct Closing {
    code: u16,
    reason: String,
}

impl Closing {
    /// A message that is none of the protocol's.
    pub fn bad_request(reason: &str) -> Self {
        Self::new(4400, reason)
    }

    /// What came cannot be read; none: the client has gone.
    pub fn unreadable(error: axum::Error) -> Option<Self> {
        // RFC 6455, section 7.4.1.
        match error.into_inner().downcast_ref()? {
            tungstenite::Error::Capacity(_) => Some(Self::new(1009, "Message too big")),
            tungstenite::Error::Utf8(_) => Some(Self::new(1007, "Text that is not UTF-8")),
            tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
            tungstenite::Error::Protocol(_) => Some(Self::new(1002, "Not a WebSocket frame")),
            _ => None,
        }
    }

    /// An operation before the connection was acknowledged.
    pub fn unauthorized() -> Self {
        Self::new(4401, "Unauthorized")
    }

    /// A credential that is missing, refused or expired. Clients connect again, with a fresh one.
    pub fn forbidden(reason: &str) -> Self {
        Self::new(4403, reason)
    }

    /// A subprotocol that is not ours.
    pub fn subprotocol() -> Self {
        Self::new(4406, "Subprotocol not acceptable")
    }

    /// No `connection_init` in time.
    pub fn init_timeout() -> Self {
        Self::new(4408, "Connection initialisation timeout")
    }

    /// An id that is in use.
    pub fn subscriber_exists(id: &str) -> Self {
        Self::new(4409, &format!("Subscriber for {id} already exists"))
    }

    /// A second `connection_init`.
    pub fn too_many_inits() -> Self {
        Self::new(4429, "Too many initialisation requests")
    }

    /// A reader whose queue stays full.
    pub fn slow_consumer() -> Self {
        Self::new(4508, "slow consumer")
    }

    /// An operation broke: connect again.
    pub fn restart() -> Self {
        Self::new(1012, "Internal error")
    }

    /// There is more to serve than the server can, or than one viewer may have: come again later.
    pub fn overloaded(reason: &str) -> Self {
        Self::new(1013, reason)
    }

    /// The server ends.
    pub fn going_away() -> Self {
        Self::new(1001, "Going away")
    }

    fn new(code: u16, reason: &str) -> Self {
        let mut reason = reason.to_owned();
        // RFC 6455, section 5.5: a control frame holds 125 bytes, two of them the code.
        while reason.len() > 123 {
            reason.pop();
        }
        Self { code, reason }
    }

    /// Whether the client reads too slowly.
    pub fn is_slow(&self) -> bool {
        self.code == 4508
    }

    /// The frame that says it.
    pub fn frame(&self) -> CloseFrame {
        CloseFrame {
            code: self.code,
            reason: Utf8Bytes::from(&self.reason),
        }
    }
}

/// The message that acknowledges a connection.
pub fn ack() -> Utf8Bytes {
    Utf8Bytes::from_static(r#"{"type":"connection_ack"}"#)
}

/// The answer to a client's ping.
pub fn pong(payload: Option<serde_json::Map<String, Value>>) -> Utf8Bytes {
    match payload {
        None => Utf8Bytes::from_static(r#"{"type":"pong"}"#),
        Some(payload) => {
            let payload = Value::Object(payload);
            format!(r#"{{"type":"pong","payload":{payload}}}"#).into()
        }
    }
}

/// How an operation is called, as its frames name it.
pub fn name(id: &str) -> String {
    Value::from(id).to_string()
}

/// The message of a frame; none: it has none of its own.
pub fn message(name: &str, body: &Body) -> Option<Utf8Bytes> {
    let (kind, payload) = match body {
        Body::Event(payload) => ("next", &*payload.json),
        Body::Answer(json) => ("next", &**json),
        Body::Errors(json) => ("error", &**json),
        Body::Complete => return Some(format!(r#"{{"id":{name},"type":"complete"}}"#).into()),
        Body::Restart => return None,
    };
    // One allocation of the right size: this is done once a delivery.
    let parts = [
        r#"{"id":"#,
        name,
        r#","type":""#,
        kind,
        r#"","payload":"#,
        payload,
        "}",
    ];
    Some(parts.concat().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_reason_fits_its_frame() {
        let closing = Closing::subscriber_exists(&"é".repeat(200));
        assert!(closing.frame().reason.len() <= 123);
    }

    #[test]
    fn an_id_is_written_as_json() {
        let frame = message(&name("a\"b"), &Body::Complete).expect("a message");
        let read: Value = serde_json::from_str(&frame).expect("JSON");
        assert_eq!(read["id"], "a\"b");
    }
}
