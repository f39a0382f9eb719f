//! Watches the whole log for what no bus brought: writes of other processes, a publish that was
//! lost, access that was taken away elsewhere. A few queries a second, while anybody listens.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::{MissedTickBehavior, interval};

use crate::app::App;
use crate::db::{api_key, events, organization};
use crate::error::Result;
use crate::live::bus::{Signal, Subject};

const EVERY: Duration = Duration::from_secs(1);

/// How far behind the last look changes of access are looked for: more than two machines' clocks
/// differ, and than a credential is checked before its subscription listens. To be told twice
/// does no harm.
const OVERLAP: TimeDelta = TimeDelta::seconds(5);

/// Runs until the server shuts down.
pub async fn run(app: Arc<App>) {
    let mut since = None;
    let mut looked_at = app.clock.now();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = app.shutdown.cancelled() => return,
        }
        let now = app.clock.now();
        match look(&app, since, looked_at - OVERLAP).await {
            Ok(seen) => {
                since = Some(seen);
                looked_at = now;
            }
            // The database is away: from where it was, once it is back.
            Err(error) => tracing::warn!(?error, "the log could not be read"),
        }
    }
}

/// Tells listeners how far the log has come, and whose access was decided after a time;
/// answers the transaction to go on from.
async fn look(app: &App, since: Option<i64>, decided: DateTime<Utc>) -> Result<i64> {
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
    let members = organization::decided_since(&mut conn, decided).await?;
    let keys = api_key::revoked_since(&mut conn, decided).await?;
    let keys = keys.into_iter().map(|id| Subject::Key(id.into()));
    for subject in members.into_iter().map(Subject::User).chain(keys) {
        app.bus.send_to_all(&Signal::AccessChanged(subject));
    }
    Ok(horizon)
}
