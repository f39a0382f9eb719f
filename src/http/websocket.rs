//! GraphQL over WebSocket: the subprotocol `graphql-transport-ws`.
//!
//! One task reads and writes a socket. Queries and mutations have a task each; a subscription has
//! one only until it is up to date. All hand their frames over through one bounded outbox: who
//! reads slowly stops his own operations, not the server.

pub mod census;

mod bell;

mod protocol;

mod socket;

use std::sync::Arc;

use axum::extract::ws::WebSocketUpgrade;
use axum::response::Response;

use crate::http::Server;
use crate::http::websocket::protocol::Closing;

/// The subprotocol.
const PROTOCOL: &str = "graphql-transport-ws";

/// The default of 128 KiB is zeroed at every read; messages of clients are short.
const READ_BUFFER: usize = 1024;

/// What one write takes at most, but for a single frame that is longer.
const WRITE_BUFFER: usize = 16 * 1024;

/// Accepts an upgrade. A client that does not offer our subprotocol is told so by a close code,
/// since a browser shows nothing of a refused upgrade.
pub fn accept(
    server: Server,
    upgrade: WebSocketUpgrade,
    authorization: Option<String>,
) -> Response {
    let limit = usize::try_from(server.app.settings.max_request_bytes).unwrap_or(usize::MAX);
    let upgrade = upgrade
        .protocols([PROTOCOL])
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_message_size(limit)
        .max_frame_size(limit);
    let ours = upgrade.selected_protocol().is_some();
    let app = Arc::clone(&server.app);
    upgrade.on_upgrade(move |stream| {
        let sockets = app.sockets.clone();
        sockets.track_future(async move {
            let most = server.app.settings.max_sockets;
            match server.census.admit(most) {
                _ if !ours => socket::refuse(stream, &Closing::subprotocol()).await,
                None => socket::refuse(stream, &Closing::overloaded("too many sockets")).await,
                Some(counted) => socket::run(server, stream, authorization, counted).await,
            }
        })
    })
}
