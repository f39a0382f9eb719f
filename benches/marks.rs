//! Every message of a run carries a mark, by which its way to each listener is followed: how many
//! have still to hear it, how long it took, whether anybody heard it who should not have.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use memchr::memmem;
use tokio::sync::Notify;

use crate::Outcome;

/// What a mark looks like: this and eight digits.
const SIGN: &[u8] = b"m#";

/// A run in which nothing has moved for so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A message's number within a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark(pub u32);

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m#{:08}", self.0)
    }
}

impl Mark {
    /// The first one in a text.
    pub fn find(text: &[u8]) -> Option<Self> {
        let at = memmem::find(text, SIGN)? + SIGN.len();
        let digits = text.get(at..at + 8)?;
        let number = |sum: u32, digit: &u8| {
            let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
            Some(sum * 10 + u32::from(digit))
        };
        digits.iter().try_fold(0, number).map(Self)
    }
}

/// The messages of a run. All of it happens on one thread.
#[derive(Debug, Default)]
pub struct Marks {
    messages: RefCell<Vec<Message>>,
    /// How many messages are on their way.
    open: Cell<usize>,
    moved: Notify,
    fault: RefCell<Option<String>>,
    deliveries: Cell<u64>,
    bytes: Cell<u64>,
    others: Cell<u64>,
    delays: RefCell<Vec<f64>>,
}

#[derive(Debug)]
struct Message {
    sent: Instant,
    /// For how many it was.
    listeners: usize,
    /// How many have not heard it yet, and whether its sender has no answer yet.
    left: usize,
}

impl Marks {
    /// None yet.
    pub fn new() -> Rc<Self> {
        Rc::default()
    }

    /// A new message for so many listeners. It is on its way until all of them have heard it and
    /// its sender has an answer.
    pub fn mark(&self, listeners: usize) -> Mark {
        let mut messages = self.messages.borrow_mut();
        messages.push(Message {
            sent: Instant::now(),
            listeners,
            left: listeners + 1,
        });
        self.open.set(self.open.get() + 1);
        Mark(u32::try_from(messages.len() - 1).expect("a run is shorter than that"))
    }

    /// A message that was sent before is on its way to so many others.
    pub fn again(&self, mark: Mark, listeners: usize) {
        let mut messages = self.messages.borrow_mut();
        if let Some(message) = messages.get_mut(mark.0 as usize) {
            message.left = listeners;
            self.open.set(self.open.get() + 1);
        }
    }

    /// The sender has an answer.
    pub fn answered(&self, mark: Mark, answer: Outcome<()>) {
        match answer {
            Ok(()) => self.arrive(mark),
            Err(error) => self.fail(&error.to_string()),
        }
    }

    /// A listener has heard it, in a frame of so many bytes.
    pub fn heard(&self, mark: Mark, bytes: usize) {
        self.deliveries.set(self.deliveries.get() + 1);
        self.bytes.set(self.bytes.get() + bytes as u64);
        if let Some(message) = self.messages.borrow().get(mark.0 as usize) {
            let delay = message.sent.elapsed().as_secs_f64() * 1e6;
            self.delays.borrow_mut().push(delay);
        }
        self.arrive(mark);
    }

    /// A listener has heard of something else.
    pub fn heard_other(&self) {
        self.others.set(self.others.get() + 1);
    }

    /// The run is void. The first reason counts.
    pub fn fail(&self, why: &str) {
        self.fault
            .borrow_mut()
            .get_or_insert_with(|| why.to_owned());
        self.moved.notify_waiters();
    }

    /// Waits until fewer messages than that are on their way.
    pub async fn fewer_than(&self, most: usize) -> Outcome<()> {
        loop {
            let moved = self.moved.notified();
            if let Some(fault) = self.fault.borrow().as_ref() {
                return Err(fault.as_str().into());
            }
            if self.open.get() < most {
                return Ok(());
            }
            let before = self.deliveries.get();
            let waited = tokio::time::timeout(PATIENCE, moved).await;
            if waited.is_err() && self.deliveries.get() == before {
                let open = self.open.get();
                return Err(format!("{open} messages have not come to everybody").into());
            }
        }
    }

    /// Waits until all have heard everything.
    pub async fn all_heard(&self) -> Outcome<()> {
        self.fewer_than(1).await
    }

    /// For how many listeners a message was.
    pub fn listeners(&self, mark: Mark) -> Option<usize> {
        self.messages
            .borrow()
            .get(mark.0 as usize)
            .map(|message| message.listeners)
    }

    /// How many bytes a frame had, on average.
    pub fn frame_length(&self) -> u64 {
        self.bytes.get() / self.deliveries.get().max(1)
    }

    /// How many frames told something else.
    pub fn others(&self) -> u64 {
        self.others.get()
    }

    /// How long each delivery took since the last time that this was asked, in microseconds.
    pub fn take_delays(&self) -> Vec<f64> {
        self.delays.take()
    }

    fn arrive(&self, mark: Mark) {
        let mut messages = self.messages.borrow_mut();
        let Some(message) = messages.get_mut(mark.0 as usize) else {
            return self.fail(&format!("{mark} was never sent"));
        };
        let Some(left) = message.left.checked_sub(1) else {
            return self.fail(&format!("{mark} came to more than it should have"));
        };
        message.left = left;
        if left == 0 {
            self.open.set(self.open.get() - 1);
            self.moved.notify_waiters();
        }
    }
}
