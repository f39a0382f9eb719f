//! Drops what became of deliveries when it has been kept for long enough, a little at a time, by
//! whichever server comes to it.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::app::App;
use crate::db::delivery;
use crate::error::Result;

/// How often it looks for what is too old, if that is not kept for less.
const EVERY: Duration = Duration::from_secs(60);

/// How many deliveries it drops at once.
const MOST: i64 = 1_000;

/// How long it lets others work in between.
const PAUSE: Duration = Duration::from_millis(50);

/// Runs until the server shuts down.
pub async fn run(app: Arc<App>) {
    let Some(keep) = app.settings.delivery.retention.0 else {
        return;
    };
    let mut ticks = interval(keep.to_std().map_or(EVERY, |keep| keep.min(EVERY)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = app.shutdown.cancelled() => return,
        }
        if let Err(error) = drop_old(&app, keep).await {
            tracing::warn!(?error, "old deliveries could not be dropped");
        }
    }
}

async fn drop_old(app: &App, keep: TimeDelta) -> Result<()> {
    while !app.shutdown.is_cancelled() {
        let mut conn = app.conn().await?;
        let time = app.clock.now() - keep;
        if delivery::drop_finished(&mut conn, time, MOST).await? == 0 {
            break;
        }
        drop(conn);
        sleep(PAUSE).await;
    }
    Ok(())
}
