//! Watches the whole log for what no bus brought: writes of other processes, a publish that was
//! lost, access that was taken away elsewhere. A few queries a second, while anybody listens.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::{MissedTickBehavior, interval};

use crate::app::App;
use crate::db::{api_key, events, organization};
use crate::error::Result;
use crate::live::bus::{Signal, Subject};

const EVERY: Duration = Duration::from_secs(1);

/// How far back changes of access are looked for: more than the time between two looks and the
/// difference between two machines' clocks. To be told twice does no harm.
const RECENTLY: TimeDelta = TimeDelta::seconds(5);

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

/// Tells listeners how far the log has come, and whose access has changed; answers the
/// transaction to go on from.
async fn look(app: &App, since: Option<i64>) -> Result<i64> {
    let mut conn = app.conn().await?;
    // Read before the listeners and before the log: whoever begins to listen later reads the log
    // later, too, and a transaction that ends between the two is read again.
    let horizon = events::horizon(&mut conn).await?;
    let Some(since) = since else {
        // Whoever listens already may have read the log before that.
        app.bus.send_to_all(&Signal::Written(i64::MAX));
        return Ok(horizon);
    };
    if app.bus.threads().is_empty() {
        return Ok(horizon);
    }
    for (thread, seq) in events::written_since(&mut conn, since).await? {
        app.bus.send(thread, Signal::Written(seq));
    }
    let recently = app.clock.now() - RECENTLY;
    let members = organization::decided_since(&mut conn, recently).await?;
    let keys = api_key::revoked_since(&mut conn, recently).await?;
    let keys = keys.into_iter().map(|id| Subject::Key(id.into()));
    for subject in members.into_iter().map(Subject::User).chain(keys) {
        app.bus.send_to_all(&Signal::AccessChanged(subject));
    }
    Ok(horizon)
}
