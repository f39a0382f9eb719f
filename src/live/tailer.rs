//! Watches the whole log for what no bus brought: writes of other processes, a publish that was
//! lost. One query a second, while anybody listens.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::app::App;
use crate::db::events;
use crate::error::Result;
use crate::live::bus::Signal;

const EVERY: Duration = Duration::from_secs(1);

/// Runs until the server shuts down.
pub async fn run(app: Arc<App>) {
    let mut since = None;
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = app.shutdown.cancelled() => return,
        }
        match look(&app, since).await {
            Ok(seen) => since = Some(seen),
            // The database is away: from where it was, once it is back.
            Err(error) => tracing::warn!(?error, "the log could not be read"),
        }
    }
}

/// Tells listeners how far the log has come; answers the transaction to go on from.
async fn look(app: &App, since: Option<i64>) -> Result<i64> {
    let mut conn = app.conn().await?;
    // Read before the listeners: whoever begins to listen later reads the log later, too.
    let running = events::oldest_running(&mut conn).await?;
    let Some(since) = since else {
        // Whoever listens already may have read the log before that.
        app.bus.send_to_all(&Signal::Written(i64::MAX));
        return Ok(running);
    };
    if app.bus.threads().is_empty() {
        return Ok(running);
    }
    let (written, running) = events::written_since(&mut conn, since).await?;
    for (thread, seq) in written {
        app.bus.send(thread, Signal::Written(seq));
    }
    Ok(running)
}
