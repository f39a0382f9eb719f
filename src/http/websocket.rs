//! GraphQL over WebSocket: the subprotocol `graphql-transport-ws`.
//!
//! One task reads and writes a socket; each operation has a task of its own, which hands its
//! frames over through one short queue: who reads slowly stops its own operations, not the server.

mod protocol;

mod socket;

use std::sync::Arc;

use axum::extract::ws::WebSocketUpgrade;
use axum::http::{HeaderMap, header};
use axum::response::Response;

use crate::http::Server;

/// The subprotocol.
const PROTOCOL: &str = "graphql-transport-ws";

/// The default of 128 KiB is zeroed at every read; messages of clients are short.
const READ_BUFFER: usize = 1024;

/// Accepts an upgrade. A client that does not offer our subprotocol is told so by a close code,
/// since a browser shows nothing of a refused upgrade.
pub fn accept(server: Server, upgrade: WebSocketUpgrade, headers: &HeaderMap) -> Response {
    let authorization = headers
        .get(header::AUTHORIZATION)
        .map(|value| value.to_str().unwrap_or_default().to_owned());
    let limit = usize::try_from(server.app.settings.max_request_bytes).unwrap_or(usize::MAX);
    let upgrade = upgrade
        .protocols([PROTOCOL])
        .read_buffer_size(READ_BUFFER)
        .max_message_size(limit)
        .max_frame_size(limit);
    let ours = upgrade.selected_protocol().is_some();
    let app = Arc::clone(&server.app);
    upgrade.on_upgrade(move |stream| {
        let sockets = app.sockets.clone();
        sockets.track_future(async move {
            if ours {
                socket::run(server, stream, authorization).await;
            } else {
                socket::refuse(stream).await;
            }
        })
    })
}
