//! A stretch of the whole log, in the order in which it is told: by transactions, but within a
//! thread by its own numbers; with the position behind each of its entries.

use std::collections::HashMap;
use std::sync::Arc;

use crate::db::access::facts::Facts;
use crate::db::log::{self, About, Move, Reading, Scope};
use crate::db::pool::Conn;
use crate::db::snapshot::Snapshot;
use crate::error::Result;
use crate::event::Event;
use crate::ids::{OrganizationId, ThreadId, UserId};
use crate::live::cursor::encode_snapshot;
use crate::live::payload::Payloads;

/// What has happened between two positions, for whoever may know of it.
#[derive(Debug)]
pub struct Stretch {
    /// What was told before.
    pub before: Snapshot,
    /// What is told behind it.
    pub after: Snapshot,
    /// As of when it was read.
    pub now: Snapshot,
    /// Whether that was all there was.
    pub ended: bool,
    /// What happened, in order.
    pub entries: Vec<Entry>,
    /// Those of the events that are told before the turn of their transactions, with these.
    pub early: Vec<(ThreadId, i64, i64)>,
    /// What decides who may know.
    pub facts: Facts,
    /// Whose memberships have changed, where, and by which transaction.
    pub members: Vec<(OrganizationId, UserId, i64)>,
    /// Which API keys were revoked, and by which transaction.
    pub keys: Vec<(String, i64)>,
}

/// Something that happened.
#[derive(Debug)]
pub struct Entry {
    /// What.
    pub what: Happening,
    /// The transaction that did it.
    pub xid: i64,
    /// Up to where a subscriber has been told everything then.
    pub cursor: Arc<str>,
    /// What it becomes for those who are told the same.
    pub payloads: Arc<Payloads>,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Happening {
    /// An event of a thread's log.
    Event(Arc<Event>),
    /// A watermark moved.
    Moved(Arc<Move>),
}

/// Reads the log, each event once.
#[derive(Debug)]
pub struct Reader {
    position: Snapshot,
    /// Events that were told before the transactions that come before theirs.
    early: HashMap<(ThreadId, i64), i64>,
}

impl Reader {
    /// One that goes on from a position.
    pub fn new(position: Snapshot) -> Self {
        Self {
            position,
            early: HashMap::new(),
        }
    }

    /// What has been told.
    pub fn position(&self) -> &Snapshot {
        &self.position
    }

    /// Reads what comes next, without loading the messages that it is about.
    pub async fn read(
        &self,
        conn: &mut Conn,
        whose: (Scope<'_>, About),
        viewers: impl FnOnce() -> Vec<UserId> + Send,
    ) -> Result<Reading> {
        log::read(conn, &self.position, whose, viewers).await
    }

    /// Puts what was read in order; `known`: events that need not be loaded; `wanted`: of which
    /// threads anybody is told at all. The position moves on by `advance`.
    pub async fn arrange(
        &self,
        conn: &mut Conn,
        mut reading: Reading,
        known: impl Fn(ThreadId, i64) -> Option<Arc<Event>>,
        wanted: impl Fn(&Facts, ThreadId) -> bool,
    ) -> Result<Stretch> {
        let events = reading.take_events(conn, known, &wanted).await?;
        let moves = reading.take_moves(conn, &wanted).await?;
        let new = |(_, event): &(i64, Arc<Event>)| {
            !self.early.contains_key(&(event.thread_id, event.seq))
        };
        let events = events.into_iter().filter(new);
        let events = events.map(|(xid, event)| (xid, Happening::Event(event)));
        let moves = moves.into_iter();
        let moves = moves.map(|(xid, moved)| (xid, Happening::Moved(Arc::new(moved))));
        let end = reading.cut.map_or(i64::MAX, |last| last + 1);
        let before = self.position.clone();
        let entries = in_order(&before, &reading.now, end, events.chain(moves).collect());
        Ok(Stretch {
            after: before.towards(&reading.now, end),
            before,
            now: reading.now,
            ended: reading.cut.is_none(),
            entries,
            early: reading.early,
            facts: reading.facts,
            members: reading.members,
            keys: reading.keys,
        })
    }

    /// Goes on behind a stretch.
    pub fn advance(&mut self, stretch: &Stretch) {
        let after = &stretch.after;
        self.position = after.clone();
        let early = stretch.early.iter();
        let early = early.map(|(thread, seq, xid)| ((*thread, *seq), *xid));
        self.early.extend(early);
        self.early.retain(|_, xid| !after.covers(*xid));
    }

    /// Goes on from another position.
    pub fn go_to(&mut self, position: Snapshot) {
        *self = Self::new(position);
    }

    /// Whether an event has been told.
    pub fn has_told(&self, entry: &Entry) -> bool {
        let early = match &entry.what {
            Happening::Event(event) => self.early.contains_key(&(event.thread_id, event.seq)),
            Happening::Moved(_) => false,
        };
        early || self.position.covers(entry.xid)
    }
}

impl Happening {
    /// The thread in which it happened.
    pub fn thread(&self) -> ThreadId {
        match self {
            Self::Event(event) => event.thread_id,
            Self::Moved(moved) => moved.thread_id,
        }
    }

    /// Its place in its thread: an event before the moves that came as far.
    fn place(&self) -> (i64, bool) {
        match self {
            Self::Event(event) => (event.seq, false),
            Self::Moved(moved) => (moved.place, true),
        }
    }
}

/// Puts what transactions below `end` did in the order in which it is told, from one position
/// towards a later one.
fn in_order(
    before: &Snapshot,
    now: &Snapshot,
    end: i64,
    mut told: Vec<(i64, Happening)>,
) -> Vec<Entry> {
    told.sort_by_key(|(xid, what)| (what.thread(), what.place(), *xid));
    // An event comes no earlier than those before it in its thread, whichever transaction got
    // its number first; a move no earlier than what was seen.
    let mut turns: Vec<(i64, i64, Happening)> = Vec::new();
    let (mut thread, mut newest) = (None, 0);
    for (xid, what) in told {
        if thread.replace(what.thread()) != Some(what.thread()) {
            newest = 0;
        }
        let turn = newest.max(xid);
        if matches!(what, Happening::Event(_)) {
            newest = turn;
        }
        turns.push((turn, xid, what));
    }
    turns.sort_by_key(|(turn, xid, what)| (*turn, what.thread(), what.place(), *xid));
    // Behind each entry everything is told but for the transactions of those that follow.
    let mut bound = end;
    let mut bounds: Vec<i64> = Vec::with_capacity(turns.len());
    for (_, xid, _) in turns.iter().rev() {
        bounds.push(bound);
        bound = bound.min(*xid);
    }
    let mut last: Option<(i64, Arc<str>)> = None;
    let cursors = bounds.into_iter().rev().map(|bound| match &last {
        Some((known, cursor)) if *known == bound => Arc::clone(cursor),
        _ => {
            let cursor: Arc<str> = encode_snapshot(&before.towards(now, bound)).into();
            last = Some((bound, Arc::clone(&cursor)));
            cursor
        }
    });
    let cursors: Vec<Arc<str>> = cursors.collect();
    let entries = turns.into_iter().zip(cursors);
    entries
        .map(|((_, xid, what), cursor)| Entry {
            what,
            xid,
            cursor,
            payloads: Arc::default(),
        })
        .collect()
}
