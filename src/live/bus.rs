//! The bus: tells this node's subscribers of a thread that something happened.
//!
//! It is a hint, never the truth: what it loses or brings in another order, the log still has.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::broadcast;

use crate::event::Event;
use crate::ids::{ThreadId, UserId};

/// How many signals a subscriber may be behind before it reads the log instead.
const CAPACITY: usize = 256;

/// What the bus carries.
#[derive(Debug, Clone)]
pub enum Signal {
    /// An event, with the row that the write had in hand.
    Event(Arc<Event>),
    /// The log has come at least this far; another process wrote it.
    Written(i64),
    /// Somebody's watermark moved.
    Seen,
    /// What somebody may see has changed.
    AccessChanged(Subject),
}

/// Whose access has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A person's: a membership was given, changed or taken away.
    User(UserId),
    /// A backend's: the API key with this id was revoked.
    Key(Arc<str>),
}

/// The in-process bus: one topic for each thread that somebody on this node listens to.
#[derive(Debug, Default)]
pub struct Bus {
    topics: Mutex<HashMap<ThreadId, broadcast::Sender<Signal>>>,
    /// How many changes of access have been told.
    access_changes: AtomicU64,
}

impl Bus {
    /// Listens to a thread from now on.
    pub fn subscribe(self: &Arc<Self>, thread: ThreadId) -> Listener {
        let mut topics = self.topics.lock().expect("no holder of this lock panics");
        let sender = topics
            .entry(thread)
            .or_insert_with(|| broadcast::channel(CAPACITY).0);
        Listener {
            receiver: Some(sender.subscribe()),
            bus: Arc::clone(self),
            thread,
        }
    }

    /// Tells of events, after their transaction has been committed.
    pub fn publish(&self, events: &[Arc<Event>]) {
        for event in events {
            self.send(event.thread_id, Signal::Event(Arc::clone(event)));
        }
    }

    /// Sends a signal to a thread's listeners, if there are any.
    pub fn send(&self, thread: ThreadId, signal: Signal) {
        let topics = self.topics.lock().expect("no holder of this lock panics");
        if let Some(sender) = topics.get(&thread) {
            // The last listener may just have left: then there is nobody to tell.
            let _ = sender.send(signal);
        }
    }

    /// How many changes of anybody's access have been told: who listens already is told of the
    /// later ones.
    pub fn access_changes(&self) -> u64 {
        self.access_changes.load(Ordering::SeqCst)
    }

    /// Sends a signal to every listener of this node.
    pub fn send_to_all(&self, signal: &Signal) {
        if matches!(signal, Signal::AccessChanged(_)) {
            // Counted before it is told: whoever finds the old number is among the listeners.
            self.access_changes.fetch_add(1, Ordering::SeqCst);
        }
        let topics = self.topics.lock().expect("no holder of this lock panics");
        for sender in topics.values() {
            let _ = sender.send(signal.clone());
        }
    }

    /// The threads that somebody listens to.
    pub fn threads(&self) -> Vec<ThreadId> {
        let topics = self.topics.lock().expect("no holder of this lock panics");
        topics.keys().copied().collect()
    }
}

/// A subscription to one thread's topic; ends when dropped.
#[derive(Debug)]
pub struct Listener {
    receiver: Option<broadcast::Receiver<Signal>>,
    bus: Arc<Bus>,
    thread: ThreadId,
}

impl Listener {
    /// The next signal, or that some were missed.
    pub async fn recv(&mut self) -> Result<Signal, broadcast::error::RecvError> {
        match &mut self.receiver {
            Some(receiver) => receiver.recv().await,
            None => Err(broadcast::error::RecvError::Closed),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // The receiver goes first, so that the count below no longer holds it; the topic goes
        // with its last listener, under the lock, so that no new one joins a topic that is gone.
        self.receiver = None;
        let mut topics = match self.bus.topics.lock() {
            Ok(topics) => topics,
            Err(poisoned) => poisoned.into_inner(),
        };
        if topics
            .get(&self.thread)
            .is_some_and(|sender| sender.receiver_count() == 0)
        {
            topics.remove(&self.thread);
        }
    }
}
