//! The bus: tells this node's subscribers of a thread, and the other nodes, that something happened.
//!
//! It is a hint, never the truth: what it loses or brings in another order, the log still has.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use tokio::sync::Notify;

use crate::event::Event;
use crate::ids::{ThreadId, UserId};
use crate::live::ephemeral::{Ephemeral, Lifetimes};
use crate::live::link::{Link, Outgoing};
use crate::live::mailbox::{Lagged, Mailbox};
use crate::live::recent::Recent;
use crate::live::rights::Rights;

/// What the bus carries.
#[derive(Debug, Clone)]
pub enum Signal {
    /// An event, with the row that the write had in hand.
    Event(Arc<Event>),
    /// The log has come at least this far; another process wrote it.
    Written(i64),
    /// Somebody's watermark moved.
    Seen,
    /// What somebody may see has changed: whose, `Bus::rights` knows.
    AccessChanged,
    /// Others than before type.
    Typing,
    /// Somebody who takes part came online, or went.
    Presence(UserId, bool),
}

impl Signal {
    /// Whether it says nothing that the one before it has not said.
    fn repeats(&self, last: &Self) -> bool {
        match (last, self) {
            (Self::Seen, Self::Seen)
            | (Self::Typing, Self::Typing)
            | (Self::AccessChanged, Self::AccessChanged) => true,
            (Self::Written(before), Self::Written(now)) => before >= now,
            _ => false,
        }
    }
}

/// Whose access has changed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A person's: a membership was given, changed or taken away.
    User(UserId),
    /// A backend's: the API key with this id was revoked.
    Key(Arc<str>),
}

/// The listeners of a thread.
type Topic = Vec<Arc<Mailbox<Signal>>>;

/// The bus: one topic for each thread that somebody on this node listens to.
#[derive(Debug, Default)]
pub struct Bus {
    topics: Mutex<HashMap<ThreadId, Topic>>,
    pub(in crate::live) ephemeral: Ephemeral,
    /// The way to other nodes, if there are any.
    pub(in crate::live) link: OnceLock<Link>,
    /// What came last, for who reads the whole log.
    pub recent: Recent,
    /// Whose access has changed.
    pub rights: Rights,
    wrote: Notify,
}

impl Bus {
    /// A bus without listeners.
    pub fn new(lifetimes: Lifetimes) -> Self {
        Self {
            ephemeral: Ephemeral::new(lifetimes),
            ..Self::default()
        }
    }

    /// Listens to a thread from now on.
    pub fn subscribe(self: &Arc<Self>, thread: ThreadId) -> Listener {
        let mailbox = Arc::default();
        let mut topics = self.topics();
        let topic = topics
            .entry(thread)
            .or_insert_with(|| Topic::with_capacity(1));
        topic.push(Arc::clone(&mailbox));
        if topic.len() == 1 {
            self.changed(thread);
        }
        drop(topics);
        Listener {
            mailbox,
            bus: Arc::clone(self),
            thread,
        }
    }

    /// Resolves when this node has written something that is told to webhooks.
    pub async fn written(&self) {
        self.wrote.notified().await;
    }

    /// Wakes who waits for that.
    pub fn note_written(&self) {
        self.wrote.notify_one();
    }

    /// Tells of events, after their transaction has been committed.
    pub fn publish(&self, events: &[Arc<Event>]) {
        self.note_written();
        self.recent.put(events);
        for event in events {
            self.send(event.thread_id, Signal::Event(Arc::clone(event)));
            self.end_typing_by(event);
        }
        // A write is of one thread; the numbers that it gave out have no gaps.
        for of_thread in events.chunk_by(|one, next| one.thread_id == next.thread_id) {
            if let [first, .., last] | [first @ last] = of_thread {
                self.relay(Outgoing::Written(first.thread_id, first.seq, last.seq));
            }
        }
    }

    /// Tells that watermarks of a thread have moved.
    pub fn publish_seen(&self, thread: ThreadId) {
        self.note_written();
        self.send(thread, Signal::Seen);
        self.relay(Outgoing::Seen(thread));
    }

    /// Tells that what somebody may see has changed.
    pub fn publish_access(&self, subject: Subject) {
        if let Subject::User(user) = subject {
            self.end_typing_of(user);
        }
        self.relay(Outgoing::Access(subject.clone()));
        self.access_changed(subject);
    }

    /// Tells this node that what somebody may see has changed.
    pub fn access_changed(&self, subject: Subject) {
        // Noted before all are called: whoever does not find it is among those who are called.
        if self.rights.note(subject) {
            self.send_to_all(&Signal::AccessChanged);
        }
    }

    /// Sends a signal to a thread's listeners on this node, if there are any.
    pub fn send(&self, thread: ThreadId, signal: Signal) {
        if matches!(signal, Signal::Seen) {
            self.recent.note_move();
        }
        if let Some(topic) = self.topics().get(&thread) {
            put(topic, &signal);
        }
    }

    /// Sends a signal to every listener of this node.
    pub fn send_to_all(&self, signal: &Signal) {
        self.recent.put(&[]);
        for topic in self.topics().values() {
            put(topic, signal);
        }
    }

    /// The threads that somebody listens to.
    pub fn threads(&self) -> Vec<ThreadId> {
        self.topics().keys().copied().collect()
    }

    /// Notes that a thread has its first listener, or has lost its last one.
    fn changed(&self, thread: ThreadId) {
        if let Some(link) = self.link.get() {
            link.change([thread]);
        }
    }

    pub(in crate::live) fn topics(&self) -> MutexGuard<'_, HashMap<ThreadId, Topic>> {
        self.topics.lock().expect("no holder of this lock panics")
    }
}

fn put(topic: &Topic, signal: &Signal) {
    for mailbox in topic {
        mailbox.put(signal.clone(), |last, new| new.repeats(last));
    }
}

/// A subscription to one thread's topic; ends when dropped.
#[derive(Debug)]
pub struct Listener {
    mailbox: Arc<Mailbox<Signal>>,
    bus: Arc<Bus>,
    thread: ThreadId,
}

impl Listener {
    /// The next signal, or that some were missed.
    pub async fn recv(&mut self) -> Result<Signal, Lagged> {
        self.mailbox.take().await
    }

    /// The next signal if there is one of which this is true.
    pub fn recv_if(&mut self, wanted: impl FnOnce(&Signal) -> bool) -> Option<Signal> {
        self.mailbox.take_if(wanted)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut topics = match self.bus.topics.lock() {
            Ok(topics) => topics,
            Err(poisoned) => poisoned.into_inner(),
        };
        let Some(topic) = topics.get_mut(&self.thread) else {
            return;
        };
        if let Some(place) = topic
            .iter()
            .position(|mailbox| Arc::ptr_eq(mailbox, &self.mailbox))
        {
            topic.swap_remove(place);
        }
        // The topic goes with its last listener, under the lock, so that no new one joins a
        // topic that is gone.
        if topic.is_empty() {
            topics.remove(&self.thread);
            self.bus.changed(self.thread);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_listener_of_a_thread_hears_and_nobody_else() {
        let bus = Arc::new(Bus::default());
        let (here, there) = (ThreadId::generate(), ThreadId::generate());
        let (mut one, mut two) = (bus.subscribe(here), bus.subscribe(here));
        let mut other = bus.subscribe(there);
        bus.send(here, Signal::Written(1));
        bus.send_to_all(&Signal::Seen);
        for listener in [&mut one, &mut two] {
            assert!(matches!(listener.recv().await, Ok(Signal::Written(1))));
            assert!(matches!(listener.recv().await, Ok(Signal::Seen)));
        }
        assert!(matches!(other.recv().await, Ok(Signal::Seen)));
    }

    #[test]
    fn a_topic_goes_with_its_last_listener() {
        let bus = Arc::new(Bus::default());
        let thread = ThreadId::generate();
        let (one, two) = (bus.subscribe(thread), bus.subscribe(thread));
        drop(one);
        assert_eq!(bus.threads(), [thread]);
        drop(two);
        assert!(bus.threads().is_empty());
    }
}
