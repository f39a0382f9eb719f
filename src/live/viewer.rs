//! What happens in all that one viewer sees: what he missed, then what happens. Listen first,
//! then read the log, then go live; whatever goes wrong leads back to reading the log.

pub mod replay;

pub mod telling;

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::broadcast::error::RecvError;
use tokio::time::sleep;

use crate::app::App;
use crate::auth::{self, Credential, Present, Viewer};
use crate::db::snapshot::Snapshot;
use crate::error::{Error, Result};
use crate::live::cursor::decode_snapshot;
use crate::live::feed::pause;
use crate::live::tail::{Listener, News};
use crate::live::viewer::replay::{Missed, Occurrence, Replay};

/// One viewer's feed of everything.
pub struct ViewerFeed {
    listener: Listener,
    replay: Replay,
    queue: VecDeque<Occurrence>,
    /// Whether the log holds what has not been told.
    behind: bool,
    /// How many attempts have failed in a row.
    failures: u32,
    ended: bool,
}

impl ViewerFeed {
    /// Opens a feed: from now on, or from behind a cursor.
    pub async fn open(
        app: Arc<App>,
        credential: Credential,
        viewer: Present,
        after: Option<&str>,
    ) -> Result<Self> {
        // Listens before it reads: what is committed after the read is in a later stretch.
        let listener = app.tail.listen(&app.bus, viewer.get().user_id());
        let now = Snapshot::now(&mut app.conn().await?).await?;
        // Rights that change after this moment are found in the log.
        viewer.renew(Arc::new(auth::viewer(&app, &credential).await?));
        let wanted = after.map(decode_snapshot);
        let start = wanted.clone().flatten().unwrap_or_else(|| now.clone());
        let mut feed = Self {
            listener,
            replay: Replay::new(app, credential, viewer, start),
            queue: VecDeque::new(),
            behind: matches!(wanted, Some(Some(_))),
            failures: 0,
            ended: false,
        };
        if matches!(wanted, Some(None)) {
            let missed = feed.replay.resync(now, "the cursor is none of this stream");
            feed.queue.extend(missed.occurrences);
        }
        Ok(feed)
    }

    /// Who the viewer is at this moment.
    pub fn viewer(&self) -> Arc<Viewer> {
        self.replay.viewer()
    }

    /// Whether there is nothing to tell right now.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && !self.behind
    }

    /// The next thing to tell; an error, the last, when the viewer loses his rights altogether.
    pub async fn next(&mut self) -> Option<Result<Occurrence>> {
        loop {
            if let Some(occurrence) = self.queue.pop_front() {
                return Some(Ok(occurrence));
            }
            if self.ended {
                return None;
            }
            match self.step().await {
                Ok(()) => self.failures = 0,
                Err(Error::Internal(cause)) => {
                    tracing::warn!(?cause, "a subscription waits for the database");
                    self.recover().await;
                }
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
    }

    /// Reads what was missed, else waits for what happens. What passes without a trace in the log
    /// comes between what is in it, and is not kept for who has yet to read that.
    async fn step(&mut self) -> Result<()> {
        if self.behind {
            let Missed { occurrences, ended } = self.replay.next().await?;
            self.queue.extend(occurrences);
            self.behind = !ended;
            return Ok(());
        }
        match self.listener.recv().await {
            Ok(News::Passing(passing)) => match self.replay.take_passing(&passing) {
                Some(occurrences) => self.queue.extend(occurrences),
                None => self.behind = true,
            },
            Ok(News::Stretch(stretch)) => match self.replay.take(&stretch) {
                Some(occurrences) => self.queue.extend(occurrences),
                None => self.behind = true,
            },
            // The node has dropped what this subscriber was too slow for. The log has it.
            Err(RecvError::Lagged(_)) => self.behind = true,
            Err(RecvError::Closed) => self.ended = true,
        }
        Ok(())
    }

    /// Waits a while after a failure, which mostly is the database's absence, and goes on from
    /// the log: nothing that was not told counts as told.
    async fn recover(&mut self) {
        sleep(pause(self.failures)).await;
        self.failures += 1;
        self.behind = true;
    }
}
