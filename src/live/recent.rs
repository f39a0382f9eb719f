//! What the bus brought last: it wakes the reader of the whole log, who need not load again the
//! rows that a write had in hand. Kept only while somebody wants it, and never much of it.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use crate::event::Event;
use crate::ids::ThreadId;

/// How many events are kept: many more than are published between two looks at the log.
const CAPACITY: usize = 4096;

/// The newest events.
#[derive(Debug, Default)]
pub struct Recent {
    wanted: AtomicUsize,
    kept: Mutex<Kept>,
    written: Notify,
    moved: Notify,
}

#[derive(Debug, Default)]
struct Kept {
    events: HashMap<(ThreadId, i64), Arc<Event>>,
    order: VecDeque<(ThreadId, i64)>,
}

impl Recent {
    /// Keeps events, and wakes the reader.
    pub fn put(&self, events: &[Arc<Event>]) {
        if self.wanted.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut kept = self.kept.lock().expect("no holder of this lock panics");
        for event in events {
            let place = (event.thread_id, event.seq);
            if kept.events.insert(place, Arc::clone(event)).is_none() {
                kept.order.push_back(place);
            }
        }
        while kept.order.len() > CAPACITY {
            if let Some(oldest) = kept.order.pop_front() {
                kept.events.remove(&oldest);
            }
        }
        drop(kept);
        self.written.notify_one();
    }

    /// Wakes the reader, who may take his time: of many moves only the latest is told.
    pub fn note_move(&self) {
        if self.wanted.load(Ordering::Acquire) > 0 {
            self.moved.notify_one();
        }
    }

    /// Resolves when something was written.
    pub async fn written(&self) {
        self.written.notified().await;
    }

    /// Resolves when a watermark moved.
    pub async fn moved(&self) {
        self.moved.notified().await;
    }

    /// An event, if it is kept.
    pub fn get(&self, thread: ThreadId, seq: i64) -> Option<Arc<Event>> {
        let kept = self.kept.lock().expect("no holder of this lock panics");
        kept.events.get(&(thread, seq)).cloned()
    }

    /// Whether somebody wants it.
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Acquire) > 0
    }

    /// Somebody wants it from now on.
    pub fn want(&self) {
        self.wanted.fetch_add(1, Ordering::AcqRel);
    }

    /// Somebody wants it no more.
    pub fn unwant(&self) {
        if self.wanted.fetch_sub(1, Ordering::AcqRel) == 1 {
            *self.kept.lock().expect("no holder of this lock panics") = Kept::default();
        }
    }
}
