//! Clears away what nobody uses: uploads that have not come in time, files that are on no message,
//! bytes that belong to nothing. By whichever server comes to it, several at once if need be.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::{MissedTickBehavior, interval, timeout};
use uuid::Uuid;

use crate::actions::upload;
use crate::app::App;
use crate::db::{attachment, unused_file};
use crate::error::{Error, Result};

/// How often it looks, if nothing is to be waited for that is shorter.
const EVERY: Duration = Duration::from_secs(60);

/// How much it clears away at once.
const MOST: i64 = 50;

/// How long the storage may take to remove an object.
const PATIENCE: Duration = Duration::from_secs(30);

/// When an object is tried again that could not be removed, or whose server has died over it.
const TRIED_AGAIN: TimeDelta = TimeDelta::minutes(5);

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

/// Clears away what there is by now. What cannot be done of it does not stop the rest.
pub async fn sweep(app: &Arc<App>) -> Result<()> {
    let late = give_up_late(app).await;
    let unattached = remove_unattached(app).await;
    let unused = remove_unused(app).await;
    late.and(unattached).and(unused)
}

/// Has files CANCELLED that have not come in time.
async fn give_up_late(app: &Arc<App>) -> Result<()> {
    let before = app.clock.now() - app.settings.files.upload_timeout;
    loop {
        let late = {
            let mut conn = app.conn().await?;
            attachment::awaited_since(&mut conn, before, MOST).await?
        };
        let mut done = Ok(());
        for id in &late {
            done = done.and(upload::give_up(app, *id).await);
        }
        done?;
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
        let now = app.clock.now();
        let until = now + TRIED_AGAIN;
        let due = {
            let mut conn = app.conn().await?;
            unused_file::take_due(&mut conn, (now, until), MOST).await?
        };
        if due.is_empty() {
            return Ok(());
        }
        // No connection is held, and nothing locked, for as long as the storage takes.
        let (removed, done) = tokio::select! {
            done = remove(app, &due) => done,
            () = app.shutdown.cancelled() => return Ok(()),
        };
        let mut conn = app.conn().await?;
        unused_file::forget(&mut conn, &removed, until).await?;
        done?;
    }
}

/// Removes objects; answers which are gone. Where the storage is away it is not asked for more.
async fn remove(app: &App, ids: &[Uuid]) -> (Vec<Uuid>, Result<()>) {
    let mut removed = Vec::new();
    if let Err(error) = app.storage().remove_begun(ids).await {
        return (removed, Err(error));
    }
    for id in ids {
        match timeout(PATIENCE, app.storage().remove(*id)).await {
            Ok(Ok(())) => removed.push(*id),
            Ok(Err(error)) => tracing::warn!(%id, ?error, "an unused file could not be removed"),
            Err(late) => return (removed, Err(Error::internal(late))),
        }
    }
    (removed, Ok(()))
}
