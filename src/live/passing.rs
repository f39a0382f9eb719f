//! What passes without a trace in the log, typing and presence, for those who follow everything
//! that they see: gathered as it comes, then told once for all of the node, with what decides
//! who may know. What is lost on the way is lost: it was true for a moment only.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::app::App;
use crate::auth::Viewer;
use crate::db::access::facts::Facts;
use crate::db::participant;
use crate::db::pool::Conn;
use crate::db::snapshot::Snapshot;
use crate::error::Result;
use crate::ids::{ThreadId, UserId};
use crate::live::bus::Bus;
use crate::live::cursor::encode_snapshot;
use crate::live::ephemeral::{Transition, Transitions};
use crate::live::mailbox::Lagged;
use crate::live::payload::Payloads;
use crate::live::viewer::telling::What;

/// How many people may come and go while the database is away. What was before is not told then.
const MOST_CHANGES: usize = 1024;

/// What has changed, for whoever may know of it.
#[derive(Debug)]
pub struct Passing {
    /// What was told of the log before.
    pub position: Snapshot,
    /// That as a cursor.
    pub cursor: Arc<str>,
    /// When it was noticed.
    pub at: DateTime<Utc>,
    /// What has changed, in order, and what each becomes for those who are told the same.
    pub changes: Vec<(Change, Arc<Payloads>)>,
    facts: Facts,
}

/// Something that has changed.
#[derive(Debug)]
pub enum Change {
    /// Who types in a thread.
    Typing {
        /// Where.
        thread: ThreadId,
        /// For those who read private notes, if it is news to them.
        staff: Option<Typists>,
        /// For the others, if it is news to them.
        others: Option<Typists>,
    },
    /// Somebody came online, or went. Of all threads in which he takes part there is one of each
    /// kind: whoever sees one of these threads and does not hide it may know.
    Presence(UserId, bool, Vec<ThreadId>),
}

/// Who types now, and who of them began or ended if it was one alone.
type Typists = (Vec<UserId>, Option<UserId>);

impl Passing {
    /// What a viewer is told of a change.
    pub fn told(&self, viewer: &Viewer, change: &Change) -> Option<What> {
        let facts = &self.facts;
        match change {
            Change::Typing {
                thread,
                staff,
                others,
            } => {
                if facts.is_hidden(viewer, *thread) {
                    return None;
                }
                let access = facts.access(viewer, *thread)?;
                let news = if access.is_staff() { staff } else { others };
                let (typing, actor) = news.clone()?;
                Some(What::Typing(typing, actor, access))
            }
            Change::Presence(user, online, threads) => {
                let shows = |thread: &ThreadId| {
                    !facts.is_hidden(viewer, *thread) && facts.access(viewer, *thread).is_some()
                };
                let known = threads.iter().any(shows);
                known.then_some(What::Presence(*user, *online))
            }
        }
    }
}

/// What was said of late, and what was told before that.
pub struct Gathering {
    transitions: Transitions,
    /// Where others may type than were told.
    typing: HashSet<ThreadId>,
    /// Who came and who went, in order.
    presence: Vec<(UserId, bool)>,
    /// Who was told to type: to those who read private notes, and to the others.
    told: HashMap<ThreadId, [Vec<UserId>; 2]>,
}

impl Gathering {
    /// Begins to listen.
    pub fn new(bus: &Arc<Bus>) -> Self {
        Self {
            transitions: bus.transitions(),
            typing: HashSet::new(),
            presence: Vec::new(),
            told: HashMap::new(),
        }
    }

    /// Waits until something has changed. Dropped while it waits, it has lost nothing.
    pub async fn changed(&mut self) {
        let next = self.transitions.recv().await;
        self.note(next);
        while let Some(next) = self.transitions.try_recv() {
            self.note(next);
        }
    }

    /// Drops what nobody is there to be told of.
    pub fn drop_all(&mut self, bus: &Bus) {
        self.presence.clear();
        self.take_typing(bus);
    }

    /// Takes out what there is to tell to those who are listening, who have been told the log up
    /// to a position. What cannot be asked for stays to be told with what comes next.
    pub async fn take(
        &mut self,
        (app, conn): (&App, &mut Conn),
        position: &Snapshot,
    ) -> Result<Option<Passing>> {
        if self.typing.is_empty() && self.presence.is_empty() {
            return Ok(None);
        }
        let people = app.tail.people();
        let users: Vec<UserId> = self.presence.iter().map(|(user, _)| *user).collect();
        let kinds = participant::one_of_each_kind(conn, &users, &people).await?;
        let typed = self.typing.iter().copied();
        let ids: Vec<ThreadId> = typed.chain(kinds.iter().map(|(_, id)| *id)).collect();
        let facts = Facts::load(conn, &ids, &[], &people).await?;
        let mut changes = self.take_typing(&app.bus);
        for (user, online) in std::mem::take(&mut self.presence) {
            let of_user = kinds.iter().filter(|(of, _)| *of == user);
            let threads = of_user.map(|(_, thread)| *thread).collect();
            changes.push(Change::Presence(user, online, threads));
        }
        let changes = changes.into_iter();
        Ok(Some(Passing {
            position: position.clone(),
            cursor: encode_snapshot(position).into(),
            at: app.clock.now(),
            changes: changes.map(|change| (change, Arc::default())).collect(),
            facts,
        }))
    }

    fn note(&mut self, next: Result<Transition, Lagged>) {
        match next {
            Ok(Transition::Typing(thread)) => {
                self.typing.insert(thread);
            }
            Ok(Transition::Presence(user, online)) => {
                if self.presence.len() == MOST_CHANGES {
                    self.presence.clear();
                }
                self.presence.push((user, online));
            }
            Err(Lagged) => {
                tracing::warn!("too many type, come and go for all of it to be told");
                self.typing.extend(self.told.keys());
            }
        }
    }

    fn take_typing(&mut self, bus: &Bus) -> Vec<Change> {
        let mut changes = Vec::new();
        for thread in std::mem::take(&mut self.typing) {
            let now = [bus.typing(thread, true), bus.typing(thread, false)];
            let before = if now[0].is_empty() {
                self.told.remove(&thread)
            } else {
                self.told.insert(thread, now.clone())
            };
            let before = before.unwrap_or_default();
            let [staff, others] = [0, 1].map(|audience: usize| {
                let (before, now) = (&before[audience], &now[audience]);
                news(before, now).map(|actor| (now.clone(), actor))
            });
            if staff.is_some() || others.is_some() {
                changes.push(Change::Typing {
                    thread,
                    staff,
                    others,
                });
            }
        }
        changes
    }
}

/// Who began or ended, if it was one alone; none: nobody did.
fn news(before: &[UserId], now: &[UserId]) -> Option<Option<UserId>> {
    let began = now.iter().filter(|user| !before.contains(user));
    let ended = before.iter().filter(|user| !now.contains(user));
    let changed: Vec<UserId> = began.chain(ended).copied().collect();
    match changed.as_slice() {
        [] => None,
        [one] => Some(Some(*one)),
        _ => Some(None),
    }
}
