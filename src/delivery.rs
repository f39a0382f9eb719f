//! Deliveries to URLs: the messages that go out of API inboxes, and events for webhooks. Workers
//! of every server take what is due from the database, so it does not matter which of them dies.
//!
//! Never decides what is to be delivered of an inbox: that is stored with what happened (`actions`).
//! What webhooks are told is read from the log.

mod calling;

mod rendering;

mod schedule;

mod retention;

mod worker;

mod dispatch;

use std::sync::Arc;

use crate::app::App;
use crate::delivery::worker::Worker;

/// Delivers until the server shuts down, and ends what it has begun.
pub async fn run(app: Arc<App>) {
    let retention = retention::run(Arc::clone(&app));
    let delivering = async {
        if app.settings.delivery.concurrency == 0 {
            return;
        }
        match Worker::new(Arc::clone(&app)) {
            Ok(worker) => {
                tokio::join!(worker.run(), dispatch::run(Arc::clone(&app)));
            }
            Err(error) => tracing::error!(?error, "nothing can be delivered"),
        }
    };
    tokio::join!(delivering, retention);
}
