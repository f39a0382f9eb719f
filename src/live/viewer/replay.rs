//! Where one viewer is in the log of all that he sees: reads what he missed from the database, a
//! stretch at a time, and takes what the node reads for all. Knows no bus and waits for nothing.

use std::collections::HashSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::app::App;
use crate::auth::{self, Credential, Present, Viewer};
use crate::db::access;
use crate::db::access::facts::Facts;
use crate::db::log::{About, Reading, Scope};
use crate::db::snapshot::Snapshot;
use crate::error::{Error, Result};
use crate::ids::{OrganizationId, ThreadId, UserId};
use crate::live::cursor::encode_snapshot;
use crate::live::passing::Passing;
use crate::live::payload::Payloads;
use crate::live::stretch::{Entry, Happening, Reader, Stretch};
use crate::live::viewer::telling::{What, told};

/// Something to tell a viewer.
#[derive(Debug, Clone)]
pub struct Occurrence {
    /// What.
    pub what: What,
    /// Up to where he has been told everything then.
    pub cursor: Arc<str>,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// What it becomes for those who are told the same; none: it was read for him alone.
    pub payloads: Option<Arc<Payloads>>,
}

/// A part of what a viewer missed.
pub struct Missed {
    /// What to tell him, in order.
    pub occurrences: Vec<Occurrence>,
    /// Whether that was all of it.
    pub ended: bool,
}

/// One viewer's place in the log.
pub struct Replay {
    app: Arc<App>,
    credential: Credential,
    viewer: Present,
    reader: Reader,
    /// Threads of which he has been told that they are gone.
    lost: HashSet<ThreadId>,
}

impl Replay {
    /// At a position. The viewer must have been asked for no earlier than that position is.
    pub fn new(app: Arc<App>, credential: Credential, viewer: Present, position: Snapshot) -> Self {
        Self {
            app,
            credential,
            viewer,
            reader: Reader::new(position),
            lost: HashSet::new(),
        }
    }

    /// Who the viewer is at this moment.
    pub fn viewer(&self) -> Arc<Viewer> {
        self.viewer.get()
    }

    /// Reads the next stretch of what the viewer missed.
    pub async fn next(&mut self) -> Result<Missed> {
        let mut conn = self.app.conn().await?;
        let viewer = self.viewer.get();
        let tenants = access::bounds(&viewer);
        let scope = tenants.as_deref().map_or(Scope::Everywhere, Scope::Within);
        let user = viewer.user_id();
        let whose = (scope, About::One(user));
        let everyone = || user.into_iter().collect::<Vec<UserId>>();
        let reading = self.reader.read(&mut conn, whose, everyone).await?;
        if self.has_new_rights(&reading.members, &reading.keys) {
            drop(conn);
            return self.renew(reading).await;
        }
        if let Some(reason) = self.refusal(&reading) {
            return Ok(self.resync(reading.now, reason));
        }
        let wanted = |facts: &Facts, thread| facts.access(&viewer, thread).is_some();
        let stretch = self
            .reader
            .arrange(&mut conn, reading, |_, _| None, wanted)
            .await?;
        drop(conn);
        let occurrences = self.tell(&viewer, &stretch, |_| None);
        self.reader.advance(&stretch);
        Ok(Missed {
            occurrences,
            ended: stretch.ended,
        })
    }

    /// Takes what the node has read for all; none: the viewer is not as far as its beginning, or
    /// his rights have changed within it, and he must read for himself.
    pub fn take(&mut self, stretch: &Stretch) -> Option<Vec<Occurrence>> {
        if self.reader.position().includes(&stretch.after) {
            return Some(Vec::new());
        }
        let follows = self.reader.position().includes(&stretch.before);
        if !follows || self.has_new_rights(&stretch.members, &stretch.keys) {
            return None;
        }
        let viewer = self.viewer.get();
        let payloads = |entry: &Entry| Some(Arc::clone(&entry.payloads));
        let occurrences = self.tell(&viewer, stretch, payloads);
        self.reader.advance(stretch);
        Some(occurrences)
    }

    /// Takes what passes without a trace in the log; none: the viewer is not as far, so it is not
    /// known whether his rights have changed, and he must read for himself.
    pub fn take_passing(&self, passing: &Passing) -> Option<Vec<Occurrence>> {
        let position = self.reader.position();
        if !position.includes(&passing.position) {
            return None;
        }
        // Whoever has read for himself may stand elsewhere, and shares no cursor with others.
        let is_along = position == &passing.position;
        let cursor = if is_along {
            Arc::clone(&passing.cursor)
        } else {
            encode_snapshot(position).into()
        };
        let viewer = self.viewer.get();
        let told = passing.changes.iter().filter_map(|(change, payloads)| {
            Some(Occurrence {
                what: passing.told(&viewer, change)?,
                cursor: Arc::clone(&cursor),
                at: passing.at,
                payloads: is_along.then(|| Arc::clone(payloads)),
            })
        });
        Some(told.collect())
    }

    /// Gives up the position for another one.
    pub fn resync(&mut self, position: Snapshot, reason: &'static str) -> Missed {
        let cursor = encode_snapshot(&position).into();
        self.reader.go_to(position);
        self.lost.clear();
        let resync = Occurrence {
            what: What::Resync(reason),
            cursor,
            at: self.app.clock.now(),
            payloads: None,
        };
        Missed {
            occurrences: vec![resync],
            ended: true,
        }
    }

    /// Why the position cannot be served.
    fn refusal(&self, reading: &Reading) -> Option<&'static str> {
        let position = self.reader.position();
        if !reading.now.includes(position) {
            return Some("the cursor is ahead of what the server knows");
        }
        if !position.is_behind(reading.dropped) {
            return Some("the events after the cursor are no longer kept");
        }
        None
    }

    /// Whether one of the changes that were found concerns what the viewer may see.
    fn has_new_rights(
        &self,
        members: &[(OrganizationId, UserId, i64)],
        keys: &[(String, i64)],
    ) -> bool {
        let position = self.reader.position();
        match &self.credential {
            Credential::Token { user, bound, .. } => members.iter().any(|(within, of, xid)| {
                of == user && bound.is_none_or(|bound| bound == *within) && !position.covers(*xid)
            }),
            Credential::Key { id } => keys
                .iter()
                .any(|(of, xid)| **of == **id && !position.covers(*xid)),
        }
    }

    /// Goes on with other rights, from the present.
    async fn renew(&mut self, reading: Reading) -> Result<Missed> {
        let viewer = auth::viewer(&self.app, &self.credential).await?;
        let belongs_nowhere = !viewer.is_key() && viewer.memberships.is_empty();
        self.viewer.renew(Arc::new(viewer));
        if belongs_nowhere {
            return Err(Error::NotFound("organization"));
        }
        Ok(self.resync(reading.now, "what the viewer may see has changed"))
    }

    /// What the viewer is told of a stretch, without what he has been told.
    fn tell(
        &mut self,
        viewer: &Viewer,
        stretch: &Stretch,
        payloads: impl Fn(&Entry) -> Option<Arc<Payloads>>,
    ) -> Vec<Occurrence> {
        let mut occurrences = Vec::new();
        for entry in &stretch.entries {
            if self.reader.has_told(entry) {
                continue;
            }
            let Some(what) = told(viewer, &stretch.facts, entry) else {
                continue;
            };
            // Of several events that took it from him the first one says so.
            let new = match &what {
                What::Lost(thread) => self.lost.insert(*thread),
                What::Event(event, _) => {
                    self.lost.remove(&event.thread_id);
                    true
                }
                What::Moved(..) | What::Typing(..) | What::Presence(..) | What::Resync(_) => true,
            };
            if new {
                occurrences.push(Occurrence {
                    what,
                    cursor: Arc::clone(&entry.cursor),
                    at: time(entry),
                    payloads: payloads(entry),
                });
            }
        }
        occurrences
    }
}

fn time(entry: &Entry) -> DateTime<Utc> {
    match &entry.what {
        Happening::Event(event) => event.occurred_at,
        Happening::Moved(moved) => moved.at,
    }
}
