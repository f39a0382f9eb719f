//! Clears away what nobody uses: uploads that have not come in time, files that are on no message,
//! bytes that belong to nothing. By whichever server comes to it, several at once if need be.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::actions::upload;
use crate::app::App;
use crate::db::{attachment, unused_file};
use crate::error::Result;

/// How often it looks, if nothing is to be waited for that is shorter.
const EVERY: Duration = Duration::from_secs(60);

/// How much it clears away at once.
const MOST: i64 = 50;

/// Runs until the server shuts down.
pub async fn run(app: Arc<App>) {
    let files = &app.settings.files;
    let shortest = files.upload_timeout.min(files.unused_file_lifetime);
    let mut ticks = interval(shortest.to_std().map_or(EVERY, |time| time.min(EVERY)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = app.shutdown.cancelled() => return,
        }
        if let Err(error) = sweep(&app).await {
            tracing::warn!(?error, "unused files could not be cleared away");
        }
    }
}

/// Clears away what there is by now.
pub async fn sweep(app: &Arc<App>) -> Result<()> {
    give_up_late(app).await?;
    remove_unattached(app).await?;
    remove_unused(app).await
}

/// Has files CANCELLED that have not come in time.
async fn give_up_late(app: &Arc<App>) -> Result<()> {
    let before = app.clock.now() - app.settings.files.upload_timeout;
    loop {
        let late = {
            let mut conn = app.conn().await?;
            attachment::awaited_since(&mut conn, before, MOST).await?
        };
        for id in &late {
            upload::give_up(app, *id).await?;
        }
        if late.is_empty() || app.shutdown.is_cancelled() {
            return Ok(());
        }
    }
}

/// Removes files that have been on no message for long; their bytes are unused from then on.
async fn remove_unattached(app: &Arc<App>) -> Result<()> {
    let before = app.clock.now() - app.settings.files.unused_file_lifetime;
    loop {
        let mut conn = app.conn().await?;
        let removed = attachment::remove_unattached(&mut conn, before, MOST).await?;
        if removed == 0 || app.shutdown.is_cancelled() {
            return Ok(());
        }
    }
}

/// Removes bytes that belong to nothing. What the storage does not let go is tried again later.
async fn remove_unused(app: &Arc<App>) -> Result<()> {
    loop {
        let mut conn = app.conn().await?;
        let now = app.clock.now();
        let removed = unused_file::remove_due(&mut conn, now, MOST, |id| async move {
            let removed = app.storage().remove(id).await;
            if let Err(error) = &removed {
                tracing::warn!(%id, ?error, "an unused file could not be removed");
            }
            removed.is_ok()
        });
        if removed.await? == 0 || app.shutdown.is_cancelled() {
            return Ok(());
        }
    }
}
