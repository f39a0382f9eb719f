//! Makes deliveries out of what happens: reads the log behind each webhook's position and queues
//! what it is to be told, each event once. Calls nobody: that is the worker's.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::app::App;
use crate::auth::Viewer;
use crate::db::access::facts::Facts;
use crate::db::delivery::NewDelivery;
use crate::db::enums::WebhookEvent;
use crate::db::log::{About, Scope};
use crate::db::snapshot::Snapshot;
use crate::db::webhook_log::{self, Behind};
use crate::error::Result;
use crate::ids::{DeliveryId, ThreadId};
use crate::live::stretch::{Entry, Happening, Reader, Stretch};
use crate::live::viewer::telling::{What, told};

/// How often it looks, whoever has written: so it finds what others wrote who have died since.
const EVERY: Duration = Duration::from_secs(1);

/// How long it lets pass between two looks at least, so that much is read at once, and of many
/// moves of a watermark the latest.
const PAUSE: Duration = Duration::from_millis(100);

/// How often positions behind which nothing has happened move on, so that the log's retention does
/// not come up with them.
const REFRESH: Duration = Duration::from_secs(60);

/// Runs until the server shuts down.
pub async fn run(app: Arc<App>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut watch = Watch::new(&app);
    loop {
        let is_tick = tokio::select! {
            _ = ticks.tick() => true,
            () = app.bus.written(), if watch.any => false,
            () = app.shutdown.cancelled() => return,
        };
        tokio::select! {
            () = sleep_until(watch.looked_at + PAUSE) => {}
            () = app.shutdown.cancelled() => return,
        }
        // The database may be away: it goes on from where it was, once it is back.
        if let Err(error) = watch.look(&app, is_tick).await {
            tracing::warn!(?error, "the log could not be read for webhooks");
        }
    }
}

/// What is known from one look to the next one.
struct Watch {
    looked_at: Instant,
    /// Whether there were webhooks.
    any: bool,
    refresh_every: Duration,
    refreshed_at: Instant,
    /// Where the log was at the last refresh.
    then: Option<i64>,
}

impl Watch {
    fn new(app: &App) -> Self {
        let keep = app
            .settings
            .event_retention
            .0
            .and_then(|keep| keep.to_std().ok());
        let now = Instant::now();
        Self {
            looked_at: now,
            any: false,
            refresh_every: keep.map_or(REFRESH, |keep| REFRESH.min(keep / 4)),
            refreshed_at: now,
            then: None,
        }
    }

    async fn look(&mut self, app: &App, is_tick: bool) -> Result<()> {
        self.looked_at = Instant::now();
        let mut conn = app.conn().await?;
        if is_tick {
            self.any = webhook_log::any(&mut conn).await?;
        }
        if !self.any {
            return Ok(());
        }
        let mut stale = None;
        if self.refreshed_at.elapsed() >= self.refresh_every {
            let now = Snapshot::now(&mut conn).await?.xmax();
            stale = self.then.replace(now);
            self.refreshed_at = self.looked_at;
        }
        let behind = webhook_log::behind(&mut conn, stale).await?;
        drop(conn);
        let mut more = false;
        for webhook in behind {
            if app.shutdown.is_cancelled() {
                return Ok(());
            }
            match take(app, &webhook).await {
                Ok(ended) => more |= !ended,
                // The others are told all the same.
                Err(error) => tracing::warn!(?error, webhook = %webhook.id, "nothing was queued"),
            }
        }
        if more {
            app.bus.note_written();
        }
        Ok(())
    }
}

/// Queues what comes next for a webhook; whether that was all.
async fn take(app: &App, webhook: &Behind) -> Result<bool> {
    let mut conn = app.conn().await?;
    let now = app.clock.now();
    let reader = Reader::new(webhook.position.clone());
    let tenant = [webhook.organization_id];
    let whose = (Scope::Within(&tenant), About::One(None));
    let reading = reader.read(&mut conn, whose, Vec::new).await?;
    let known = reading.now.includes(reader.position());
    if !known || !reader.position().is_behind(reading.dropped) {
        if webhook_log::skip(&mut conn, webhook, &reading.now, now).await? {
            tracing::error!(webhook = %webhook.id, "events were gone before they were queued");
        }
        return Ok(true);
    }
    let viewer = Viewer::backend(Some(webhook.organization_id));
    let wanted = |facts: &Facts, thread| facts.access(&viewer, thread).is_some();
    let stretch = reader
        .arrange(&mut conn, reading, |_, _| None, wanted)
        .await?;
    let deliveries = deliveries(webhook, &viewer, &stretch, now);
    if webhook_log::take(&mut conn, webhook, deliveries, &stretch.after).await? > 0 {
        app.deliveries.notify_one();
    }
    Ok(stretch.ended)
}

/// What a webhook may be told of a stretch, each with the transaction that did it: what an API key
/// of its organization is told.
fn deliveries(
    webhook: &Behind,
    viewer: &Viewer,
    stretch: &Stretch,
    now: DateTime<Utc>,
) -> Vec<(i64, NewDelivery)> {
    let mut lost: HashSet<ThreadId> = HashSet::new();
    let mut found = Vec::new();
    for entry in &stretch.entries {
        let Some(what) = told(viewer, &stretch.facts, entry) else {
            continue;
        };
        // Of several events that took a thread away the first one says so.
        match &what {
            What::Lost(thread) if !lost.insert(*thread) => continue,
            What::Event(event, _) => {
                lost.remove(&event.thread_id);
            }
            _ => {}
        }
        let new = delivery(webhook, entry, &what, now);
        found.extend(new.map(|new| (entry.xid, new)));
    }
    found
}

fn delivery(
    webhook: &Behind,
    entry: &Entry,
    what: &What,
    now: DateTime<Utc>,
) -> Option<NewDelivery> {
    let new = NewDelivery {
        id: DeliveryId::generate(),
        organization_id: webhook.organization_id,
        inbox_id: None,
        webhook_id: Some(webhook.id),
        thread_id: entry.what.thread(),
        event: WebhookEvent::ThreadDeleted,
        seq: None,
        message_id: None,
        user_id: None,
        occurred_at: now,
        created_at: now,
    };
    match (&entry.what, what) {
        (Happening::Event(event), What::Event(..)) => Some(NewDelivery {
            event: event.fact.kind().into(),
            seq: Some(event.seq),
            message_id: event.fact.message_id(),
            user_id: event.fact.user_id(),
            occurred_at: event.occurred_at,
            ..new
        }),
        (Happening::Event(event), What::Lost(_)) => Some(NewDelivery {
            seq: Some(event.seq),
            occurred_at: event.occurred_at,
            ..new
        }),
        (Happening::Moved(moved), What::Moved(mark, user, up_to, _)) => Some(NewDelivery {
            event: (*mark).into(),
            message_id: up_to.as_ref().map(|message| message.id),
            user_id: Some(*user),
            occurred_at: moved.at,
            ..new
        }),
        // Neither stands in the log.
        _ => None,
    }
}
