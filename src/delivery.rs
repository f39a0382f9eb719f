//! Deliveries to URLs: the messages that go out of API inboxes, and events for webhooks. Workers
//! of every server take what is due from the database, so it does not matter which of them dies.
//!
//! Never decides what is to be delivered: that is stored with what happened (`actions`).

mod calling;

mod rendering;

mod schedule;

mod retention;

mod worker;

use std::sync::Arc;

use crate::app::App;
use crate::delivery::worker::Worker;

/// Delivers until the server shuts down, and ends what it has begun.
pub async fn run(app: Arc<App>) {
    let retention = retention::run(Arc::clone(&app));
    let worker = async {
        if app.settings.delivery.concurrency == 0 {
            return;
        }
        match Worker::new(Arc::clone(&app)) {
            Ok(worker) => worker.run().await,
            Err(error) => tracing::error!(?error, "nothing can be delivered"),
        }
    };
    tokio::join!(worker, retention);
}
