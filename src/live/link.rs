//! The bus's end of the way to other nodes: what goes out, and what is wanted from there.
//!
//! Nothing here waits: who writes is never held up by a slow way, nor fails with a broken one.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use crate::ids::ThreadId;
use crate::live::bus::{Bus, Subject};
use crate::live::ephemeral::Said;

/// How many letters wait for the way out. More are dropped: the log has what they would hint at.
const CAPACITY: usize = 4096;

/// Something for the other nodes.
#[derive(Debug)]
pub enum Outgoing {
    /// The log of a thread goes from the first number to the last, with what was just written.
    Written(ThreadId, i64, i64),
    /// Watermarks of a thread have moved.
    Seen(ThreadId),
    /// What somebody may see has changed.
    Access(Subject),
    /// Something is true until then.
    Said(Said, Instant),
}

/// The way to other nodes, as the bus sees it.
#[derive(Debug)]
pub struct Link {
    outgoing: mpsc::Sender<Outgoing>,
    connected: AtomicBool,
    /// Threads that got their first listener here, or lost their last one.
    changed: Mutex<HashSet<ThreadId>>,
    stirred: Notify,
}

impl Link {
    /// A way that is not open yet, and what goes out by it.
    pub fn new() -> (Self, mpsc::Receiver<Outgoing>) {
        let (outgoing, goes_out) = mpsc::channel(CAPACITY);
        let link = Self {
            outgoing,
            connected: AtomicBool::new(false),
            changed: Mutex::default(),
            stirred: Notify::new(),
        };
        (link, goes_out)
    }

    /// Says whether the way is open.
    pub fn set_connected(&self, connected: bool) {
        self.connected.store(connected, Ordering::Relaxed);
    }

    /// Whether the way is open.
    pub fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    /// Waits until what is wanted from other nodes may have changed; the threads whose listeners
    /// came or went.
    pub async fn changes(&self) -> HashSet<ThreadId> {
        self.stirred.notified().await;
        std::mem::take(&mut *self.changed.lock().expect("no holder of this lock panics"))
    }

    /// Sends something on its way, or drops it if there is none.
    pub(in crate::live) fn send(&self, letter: Outgoing) {
        if self.is_connected() {
            // A way that does not keep up loses hints only.
            let _ = self.outgoing.try_send(letter);
        }
    }

    pub(in crate::live) fn change(&self, threads: impl IntoIterator<Item = ThreadId>) {
        let mut changed = match self.changed.lock() {
            Ok(changed) => changed,
            Err(poisoned) => poisoned.into_inner(),
        };
        changed.extend(threads);
        drop(changed);
        self.stirred.notify_one();
    }
}

impl Bus {
    /// Joins the bus with those of other nodes, once.
    pub fn join(&self, link: Link) -> Result<(), Link> {
        self.link.set(link)?;
        // What was listened to before.
        if let Some(link) = self.link.get() {
            link.change(self.threads());
        }
        Ok(())
    }

    /// The way to other nodes, if there are any.
    pub fn link(&self) -> Option<&Link> {
        self.link.get()
    }

    /// Whether other nodes, if there are any, can be told.
    pub fn is_connected(&self) -> bool {
        self.link.get().is_none_or(Link::is_connected)
    }

    /// Somebody reads the whole log from now on: he is woken by what is written, here or on another
    /// node.
    pub fn want_all(&self) {
        self.recent.want();
        self.stir();
    }

    /// Somebody reads it no more.
    pub fn unwant_all(&self) {
        self.recent.unwant();
        self.stir();
    }

    /// Whether somebody is to be woken by what is written to any thread.
    pub fn wakes_anyone(&self) -> bool {
        self.recent.is_wanted()
    }

    /// Whether somebody listens to a thread.
    pub fn has_listeners(&self, thread: ThreadId) -> bool {
        self.topics().contains_key(&thread)
    }

    /// Wakes those who read the whole log.
    pub fn wake(&self) {
        self.recent.put(&[]);
    }

    pub(in crate::live) fn relay(&self, letter: Outgoing) {
        if let Some(link) = self.link.get() {
            link.send(letter);
        }
    }

    fn stir(&self) {
        if let Some(link) = self.link.get() {
            link.change([]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::live::bus::Signal;

    #[tokio::test]
    async fn what_is_wanted_from_other_nodes_follows_the_listeners() {
        let bus = Arc::new(Bus::default());
        let thread = ThreadId::generate();
        let early = bus.subscribe(thread);
        let (link, _) = Link::new();
        bus.join(link).expect("the first link");
        let link = bus.link().expect("a link");
        assert_eq!(link.changes().await, HashSet::from([thread]));
        let other = ThreadId::generate();
        let (one, two) = (bus.subscribe(other), bus.subscribe(other));
        assert_eq!(link.changes().await, HashSet::from([other]));
        drop((early, one, two));
        assert_eq!(link.changes().await, HashSet::from([thread, other]));
        assert!(!bus.has_listeners(thread) && !bus.has_listeners(other));
    }

    #[tokio::test]
    async fn nothing_goes_out_while_the_way_is_closed_and_nobody_waits_for_it() {
        let bus = Arc::new(Bus::default());
        let (link, mut goes_out) = Link::new();
        bus.join(link).expect("the first link");
        let thread = ThreadId::generate();
        bus.publish_seen(thread);
        assert!(goes_out.try_recv().is_err() && !bus.is_connected());
        bus.link().expect("a link").set_connected(true);
        for _ in 0..CAPACITY + 1 {
            bus.publish_seen(thread);
        }
        let mut gone = 0;
        while let Ok(letter) = goes_out.try_recv() {
            assert!(matches!(letter, Outgoing::Seen(of) if of == thread));
            gone += 1;
        }
        assert_eq!(gone, CAPACITY);
        // What comes from there goes to the listeners here, and not back.
        bus.send(thread, Signal::Seen);
        assert!(goes_out.try_recv().is_err());
    }
}
