//! What those who catch up with a group share: results of the last minute, and the turn to read
//! the log for all.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

use crate::event::Fact;
use crate::fanout::outbox::Body;
use crate::fanout::run::Run;
use crate::live::cursor::Position;
use crate::live::payload::Payload;
use crate::live::replay::{Occurrence, What};

/// How many results a group keeps.
const MOST: usize = 256;

/// How many bytes of them.
const MOST_BYTES: usize = 128 * 1024;

/// How long: what they say of people may be out of date after it.
const LIFE: Duration = Duration::from_secs(60);

/// How many results are taken at once.
const AT_ONCE: usize = 64;

/// What a group's members share who are not up to date.
#[derive(Default)]
pub(in crate::fanout) struct Shared {
    turn: tokio::sync::Mutex<Option<Run>>,
    kept: Mutex<Kept>,
    /// Whether a result depended on who it is for: then nothing is to be gained here.
    personal: AtomicBool,
}

#[derive(Default)]
struct Kept {
    /// By the number of their event.
    results: BTreeMap<i64, Result>,
    bytes: usize,
    /// The last event that the group was told and that is kept.
    last: Option<i64>,
    /// Counts how often everything was forgotten.
    generation: u64,
}

struct Result {
    payload: Arc<Payload>,
    /// There is nothing to tell between this number and the event.
    after: i64,
    /// The cursor says that moves of older transactions than this have been told.
    running: i64,
    /// Whether it takes away somebody's sight of the thread.
    takes_access: bool,
    made_at: Instant,
}

impl Shared {
    /// Waits for the turn to read the log for all, and what executes then.
    pub async fn turn(&self) -> tokio::sync::MutexGuard<'_, Option<Run>> {
        self.turn.lock().await
    }

    /// What follows a position, as far as it is kept: each with the position behind it. Only for
    /// those who were proven to see the thread up to `proven`.
    pub fn after(&self, at: Position, proven: i64) -> Vec<(Body, Position)> {
        let kept = self.kept();
        let mut told = at.seq;
        let mut found = Vec::new();
        for (seq, result) in kept.results.range(at.seq + 1..) {
            let follows = result.after <= told && result.running <= at.running;
            let lasts = result.made_at.elapsed() < LIFE;
            let proven = !result.takes_access || *seq <= proven;
            if !(follows && lasts && proven) || found.len() == AT_ONCE {
                break;
            }
            let behind = Position { seq: *seq, ..at };
            found.push((Body::Event(Arc::clone(&result.payload)), behind));
            told = *seq;
        }
        found
    }

    /// Keeps what the group was told.
    pub fn keep(&self, occurrence: &Occurrence, position: Position, body: &Body) {
        let mut kept = self.kept();
        let after = kept.last.unwrap_or(position.seq - 1);
        kept.insert((after, occurrence, position), body);
        kept.last = Some(position.seq);
    }

    /// The group was told something that is not kept: what follows it must not be taken for what
    /// follows the one before it.
    pub fn skip(&self, occurrence: &Occurrence) {
        let mut kept = self.kept();
        match &occurrence.what {
            What::Event(event) if buries(&event.fact) => kept.forget(),
            _ => kept.last = None,
        }
    }

    /// Keeps what somebody read from the log since a generation began; what was forgotten
    /// meanwhile is not brought back.
    pub fn keep_read(&self, generation: u64, told: (i64, &Occurrence, Position), body: &Body) {
        let mut kept = self.kept();
        if kept.generation == generation {
            kept.insert(told, body);
        }
    }

    /// Counts how often everything was forgotten.
    pub fn generation(&self) -> u64 {
        self.kept().generation
    }

    /// Forgets everything.
    pub fn forget(&self) {
        self.kept().forget();
    }

    /// The same, and what is ready for use, unless it is in use.
    pub fn rest(&self) {
        self.forget();
        if let Ok(mut turn) = self.turn.try_lock() {
            *turn = None;
        }
    }

    /// Whether results depend on who they are for.
    pub fn is_personal(&self) -> bool {
        self.personal.load(Ordering::Relaxed)
    }

    /// They do.
    pub fn set_personal(&self) {
        self.personal.store(true, Ordering::Relaxed);
        self.forget();
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("no holder of this lock panics")
    }
}

impl Kept {
    fn insert(&mut self, (after, occurrence, position): (i64, &Occurrence, Position), body: &Body) {
        let (What::Event(event), Body::Event(payload)) = (&occurrence.what, body) else {
            return;
        };
        if buries(&event.fact) {
            self.forget();
        }
        let result = Result {
            payload: Arc::clone(payload),
            after,
            running: position.running,
            takes_access: matches!(
                event.fact,
                Fact::ThreadUpdated | Fact::ParticipantRemoved(_)
            ),
            made_at: Instant::now(),
        };
        self.bytes += payload.json.len();
        if let Some(former) = self.results.insert(event.seq, result) {
            self.bytes -= former.payload.json.len();
        }
        while self.results.len() > MOST || self.bytes > MOST_BYTES {
            let Some((_, oldest)) = self.results.pop_first() else {
                break;
            };
            self.bytes -= oldest.payload.json.len();
        }
    }

    fn forget(&mut self) {
        self.results = BTreeMap::new();
        self.bytes = 0;
        self.last = None;
        self.generation += 1;
    }
}

/// Whether something was deleted, so that what was said before must not be said again.
fn buries(fact: &Fact) -> bool {
    match fact {
        Fact::MessageUpdated(message) => message.deleted_at.is_some(),
        Fact::MessageRemoved(_) | Fact::ThreadDeleted => true,
        _ => false,
    }
}
