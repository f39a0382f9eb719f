//! What waits to be written to one connection: bounded, shared by all its operations, fair
//! between them. Who reads slowly fills his own queue, and nobody else's.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use tokio::sync::Notify;

use crate::live::payload::Payload;

/// How many frames of one operation wait at most.
const MOST_FRAMES: usize = 256;

/// How many bytes wait at most; one frame of each operation may always wait.
const MOST_BYTES: usize = 1 << 20;

/// What is to be written.
#[derive(Debug, Clone)]
pub enum Body {
    /// A result of a subscription.
    Event(Arc<Payload>),
    /// A result of a query or mutation, as JSON.
    Answer(Box<str>),
    /// The errors that the operation ends with, as JSON.
    Errors(Box<str>),
    /// The operation's end.
    Complete,
    /// The operation cannot go on for reasons that pass: the client is to connect again.
    Restart,
}

impl Body {
    fn len(&self) -> usize {
        match self {
            Self::Event(payload) => payload.json.len(),
            Self::Answer(json) | Self::Errors(json) => json.len(),
            Self::Complete | Self::Restart => 0,
        }
    }

    /// Whether nothing of the operation follows it.
    pub fn is_last(&self) -> bool {
        !matches!(self, Self::Event(_) | Self::Answer(_))
    }
}

/// One operation of a connection, as its frames name it.
#[derive(Debug)]
pub struct Lane {
    /// How the client calls it, as the transport writes it.
    pub name: Box<str>,
    queued: AtomicUsize,
    ended: AtomicBool,
}

impl Lane {
    /// A lane of this name.
    pub fn new(name: impl Into<Box<str>>) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            queued: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
        })
    }

    /// Whether nothing more is to be written for it.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}

/// A frame that waits.
#[derive(Debug)]
pub struct Frame {
    /// Whose.
    pub lane: Arc<Lane>,
    /// What.
    pub body: Body,
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It waits to be written.
    Queued,
    /// There is no room for it now.
    Full,
    /// Its operation or connection has ended.
    Ended,
}

/// The queue of one connection.
#[derive(Debug, Default)]
pub struct Outbox {
    state: Mutex<State>,
    /// Who writes, and waits for something to write.
    writer: AtomicWaker,
    emptied: Notify,
}

/// The queue of one connection, while frames are put into it. Dropped, it lets them be written.
#[derive(Debug)]
pub struct Filling<'a> {
    writer: &'a AtomicWaker,
    lane: &'a Arc<Lane>,
    is_first: bool,
    state: Option<MutexGuard<'a, State>>,
}

impl Filling<'_> {
    /// Puts a frame into the queue, if there is room.
    pub fn push(&mut self, body: &Body) -> Pushed {
        let Some(state) = self.state.as_mut().filter(|state| !state.closed) else {
            return Pushed::Ended;
        };
        if self.lane.has_ended() {
            return Pushed::Ended;
        }
        if !state.has_room(self.lane) {
            state.awaited = true;
            return Pushed::Full;
        }
        self.lane.queued.fetch_add(1, Ordering::Relaxed);
        state.bytes += body.len();
        state.queue.push_back(Frame {
            lane: Arc::clone(self.lane),
            body: body.clone(),
        });
        Pushed::Queued
    }
}

impl Drop for Filling<'_> {
    fn drop(&mut self) {
        let state = self.state.take();
        let has_some = state.is_some_and(|state| !state.queue.is_empty());
        if self.is_first && has_some {
            self.writer.wake();
        }
    }
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Frame>,
    bytes: usize,
    /// Whether somebody waits for room.
    awaited: bool,
    closed: bool,
}

impl Outbox {
    /// Puts a frame into the queue, if there is room.
    pub fn push(&self, lane: &Arc<Lane>, body: &Body) -> Pushed {
        self.filling(lane).push(body)
    }

    /// Lets frames of an operation be put into the queue that are to be written together.
    pub fn filling<'a>(&'a self, lane: &'a Arc<Lane>) -> Filling<'a> {
        let state = self.state();
        Filling {
            writer: &self.writer,
            lane,
            // Whoever writes takes all that is there: only the first frame has to wake it.
            is_first: state.queue.is_empty(),
            state: Some(state),
        }
    }

    /// Puts a frame into the queue, and waits for room; false: nobody will write it.
    pub async fn send(&self, lane: &Arc<Lane>, body: &Body) -> bool {
        loop {
            let emptied = self.emptied.notified();
            let mut emptied = std::pin::pin!(emptied);
            // From here on no change is missed.
            emptied.as_mut().enable();
            match self.push(lane, body) {
                Pushed::Queued => return true,
                Pushed::Ended => return false,
                Pushed::Full => emptied.await,
            }
        }
    }

    /// Waits until there is something to write. For one who writes.
    pub async fn filled(&self) {
        poll_fn(|context| self.poll_filled(context)).await;
    }

    /// The same, to be asked again when the task is woken.
    pub fn poll_filled(&self, context: &mut Context<'_>) -> Poll<()> {
        // Before it is looked at: what is pushed from here on wakes.
        self.writer.register(context.waker());
        if self.state().queue.is_empty() {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }

    /// Takes at most so many frames out. Those of operations that have ended are among them.
    pub fn take(&self, most: usize) -> VecDeque<Frame> {
        let mut state = self.state();
        // Mostly there are few: they leave with their queue, and an idle connection keeps none.
        let taken = if state.queue.len() <= most {
            std::mem::take(&mut state.queue)
        } else {
            state.queue.drain(..most).collect()
        };
        for frame in &taken {
            state.bytes -= frame.body.len();
            frame.lane.queued.fetch_sub(1, Ordering::Relaxed);
        }
        let awaited = std::mem::take(&mut state.awaited);
        drop(state);
        if awaited {
            self.emptied.notify_waiters();
        }
        taken
    }

    /// Waits until nothing more is to be written for an operation.
    pub async fn ended(&self, lane: &Lane) {
        loop {
            let mut emptied = std::pin::pin!(self.emptied.notified());
            // From here on no change is missed.
            emptied.as_mut().enable();
            if lane.has_ended() || self.state().closed {
                return;
            }
            emptied.await;
        }
    }

    /// Ends an operation: what waits of it is not written.
    pub fn end(&self, lane: &Lane) {
        lane.ended.store(true, Ordering::Release);
        self.emptied.notify_waiters();
    }

    /// Ends all: nothing is written any more.
    pub fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.queue = VecDeque::new();
        state.bytes = 0;
        drop(state);
        self.emptied.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }
}

impl State {
    fn has_room(&self, lane: &Lane) -> bool {
        match lane.queued.load(Ordering::Relaxed) {
            0 => true,
            queued => queued < MOST_FRAMES && self.bytes < MOST_BYTES,
        }
    }
}
