//! What is true for a moment: typing and presence. Every node holds all of it in memory, tells
//! its own subscribers of transitions only, and ends by its own clock what nobody renews.
//!
//! Never stored: what is lost on the way is renewed by the clients, or ends by itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use crate::app::App;
use crate::db::participant;
use crate::error::Result;
use crate::event::{Event, Fact};
use crate::ids::{ThreadId, UserId};
use crate::live::bus::{Bus, Signal};
use crate::live::link::Outgoing;
use crate::live::mailbox::{Lagged, Mailbox};
use crate::live::presence::Presence;
use crate::live::typing::Typing;

/// How often at most it is looked for what is overdue.
const GRAIN: Duration = Duration::from_millis(50);

/// Something that is said of somebody, to all nodes. To say it again prolongs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// Types in a thread; whether what is typed is a private note.
    Typing(ThreadId, UserId, bool),
    /// Types there no more.
    TypingEnded(ThreadId, UserId),
    /// Is online.
    Online(UserId),
    /// Is not online any more.
    Offline(UserId),
}

/// Something that was not so before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// Others than before type in a thread.
    Typing(ThreadId),
    /// Somebody came online, or went.
    Presence(UserId, bool),
}

/// How long what is said holds, if nobody says it again.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// Typing.
    pub typing: Duration,
    /// Being online.
    pub presence: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            typing: Duration::from_secs(5),
            presence: Duration::from_secs(30),
        }
    }
}

/// What this node knows.
#[derive(Debug, Default)]
pub struct Ephemeral {
    lifetimes: Lifetimes,
    typing: Mutex<Typing>,
    presence: Mutex<Presence>,
    watchers: Mutex<Vec<Arc<Mailbox<Transition>>>>,
    /// Wakes who waits for the next end: something that may end earlier has begun.
    begun: Notify,
}

impl Ephemeral {
    /// Nothing yet.
    pub fn new(lifetimes: Lifetimes) -> Self {
        Self {
            lifetimes,
            ..Self::default()
        }
    }

    /// How long what is said holds from the moment in which it is said.
    pub fn lifetime(&self, said: Said) -> Duration {
        match said {
            Said::Typing(..) | Said::TypingEnded(..) => self.lifetimes.typing,
            Said::Online(_) | Said::Offline(_) => self.lifetimes.presence,
        }
    }

    /// Takes note of something that holds for so long; what it changes.
    fn note(&self, said: Said, left: Duration) -> Option<Transition> {
        let now = Instant::now();
        let until = now + left;
        let (news, transition) = match said {
            Said::Typing(thread, user, private) => (
                self.typing().set((thread, user), private, now, until),
                Transition::Typing(thread),
            ),
            Said::TypingEnded(thread, user) => {
                (self.typing().end(thread, user), Transition::Typing(thread))
            }
            Said::Online(user) => (
                self.presence().set(user, now, until),
                Transition::Presence(user, true),
            ),
            Said::Offline(user) => (self.presence().end(user), Transition::Presence(user, false)),
        };
        news.then_some(transition)
    }

    fn next_end(&self) -> Option<Instant> {
        let ends = [self.typing().next_end(), self.presence().next_end()];
        ends.into_iter().flatten().min()
    }

    fn end_overdue(&self) -> Vec<Transition> {
        let now = Instant::now();
        let typing = self.typing().end_overdue(now).into_iter();
        let presence = self.presence().end_overdue(now).into_iter();
        typing
            .map(Transition::Typing)
            .chain(presence.map(|user| Transition::Presence(user, false)))
            .collect()
    }

    fn typing(&self) -> MutexGuard<'_, Typing> {
        self.typing.lock().expect("no holder of this lock panics")
    }

    fn presence(&self) -> MutexGuard<'_, Presence> {
        self.presence.lock().expect("no holder of this lock panics")
    }

    fn watchers(&self) -> MutexGuard<'_, Vec<Arc<Mailbox<Transition>>>> {
        self.watchers.lock().expect("no holder of this lock panics")
    }
}

impl Bus {
    /// Who types in a thread, those first who began first; `staff`: private notes, too.
    pub fn typing(&self, thread: ThreadId, staff: bool) -> Vec<UserId> {
        let typing = self.ephemeral.typing();
        typing.in_thread(thread, staff, Instant::now())
    }

    /// Whether somebody is online.
    pub fn is_online(&self, user: UserId) -> bool {
        self.ephemeral.presence().is_online(user, Instant::now())
    }

    /// Every transition on this node from now on, of all threads and people.
    pub fn transitions(self: &Arc<Self>) -> Transitions {
        let mailbox = Arc::default();
        self.ephemeral.watchers().push(Arc::clone(&mailbox));
        Transitions {
            mailbox,
            bus: Arc::clone(self),
        }
    }

    /// Says that somebody types in a thread, a private note or not, or types there no more.
    pub fn set_typing(&self, thread: ThreadId, user: UserId, typing: bool, private: bool) {
        self.say(if typing {
            Said::Typing(thread, user, private)
        } else {
            Said::TypingEnded(thread, user)
        });
    }

    /// Says that somebody is online, or is not any more.
    pub fn set_online(&self, user: UserId, online: bool) {
        self.say(if online {
            Said::Online(user)
        } else {
            Said::Offline(user)
        });
    }

    /// Says something of somebody.
    fn say(&self, said: Said) {
        let lifetime = self.ephemeral.lifetime(said);
        self.relay(Outgoing::Said(said, Instant::now() + lifetime));
        self.hear(said, lifetime);
    }

    /// Hears what was said, here or on another node, and how long it still holds.
    pub fn hear(&self, said: Said, left: Duration) {
        let left = left.min(self.ephemeral.lifetime(said));
        if let Some(transition) = self.ephemeral.note(said, left) {
            self.tell(transition);
            self.ephemeral.begun.notify_one();
        }
    }

    /// Ends the typing of all in a thread: not all of them may see it any more.
    pub fn end_typing_in(&self, thread: ThreadId) {
        for user in self.typing(thread, true) {
            self.say(Said::TypingEnded(thread, user));
        }
    }

    /// Ends a person's typing everywhere: he may not see all of these threads any more. If he
    /// does, the next word says so.
    pub fn end_typing_of(&self, user: UserId) {
        let threads = self.ephemeral.typing().of(user);
        for thread in threads {
            self.say(Said::TypingEnded(thread, user));
        }
    }

    /// What an event ends: who has sent his message types it no more, and who has left nothing.
    pub fn end_typing_by(&self, event: &Event) {
        let thread = event.thread_id;
        let types = |user: &UserId, staff| self.typing(thread, staff).contains(user);
        let ended = match &event.fact {
            // Those who do not see a note do not see, either, that somebody has sent one.
            Fact::MessageCreated(message) => message
                .sender_id
                .filter(|user| !(message.private && types(user, false))),
            Fact::ParticipantRemoved(user) => Some(*user),
            Fact::ThreadDeleted => return self.end_typing_in(thread),
            _ => None,
        };
        if let Some(user) = ended.filter(|user| types(user, true)) {
            self.say(Said::TypingEnded(thread, user));
        }
    }

    fn tell(&self, transition: Transition) {
        if let Transition::Typing(thread) = transition {
            self.send(thread, Signal::Typing);
        }
        for watcher in self.ephemeral.watchers().iter() {
            watcher.put(transition, |last, new| {
                // Who types is looked up when it is told.
                last == new && matches!(new, Transition::Typing(_))
            });
        }
    }
}

/// All transitions of a node; ends when dropped.
#[derive(Debug)]
pub struct Transitions {
    mailbox: Arc<Mailbox<Transition>>,
    bus: Arc<Bus>,
}

impl Transitions {
    /// The next one, or that some were missed.
    pub async fn recv(&mut self) -> Result<Transition, Lagged> {
        self.mailbox.take().await
    }

    /// The next one that is there already.
    pub fn try_recv(&mut self) -> Option<Result<Transition, Lagged>> {
        self.mailbox.try_take()
    }
}

impl Drop for Transitions {
    fn drop(&mut self) {
        let mut watchers = match self.bus.ephemeral.watchers.lock() {
            Ok(watchers) => watchers,
            Err(poisoned) => poisoned.into_inner(),
        };
        watchers.retain(|mailbox| !Arc::ptr_eq(mailbox, &self.mailbox));
    }
}

/// Ends what is overdue, and tells threads who came online and who went, until the server shuts
/// down.
pub async fn run(app: Arc<App>) {
    // Before the first await: nothing that happens from now on is missed.
    let transitions = app.bus.transitions();
    tokio::select! {
        () = end_in_time(&app.bus) => {}
        () = tell_presence(&app, transitions) => {}
        () = app.shutdown.cancelled() => {}
    }
}

async fn end_in_time(bus: &Bus) {
    loop {
        let begun = bus.ephemeral.begun.notified();
        match bus.ephemeral.next_end() {
            Some(end) => tokio::select! {
                () = sleep_until(end) => {}
                () = begun => {}
            },
            None => begun.await,
        }
        for transition in bus.ephemeral.end_overdue() {
            bus.tell(transition);
        }
        sleep(GRAIN).await;
    }
}

/// Presence is told in the threads in which the person takes part: with one query for all of
/// them, and for all people of whom there is something to tell at that moment.
async fn tell_presence(app: &App, mut transitions: Transitions) {
    loop {
        let mut next = Some(transitions.recv().await);
        let mut changes = Vec::new();
        while let Some(transition) = next {
            match transition {
                Ok(Transition::Presence(user, online)) => changes.push((user, online)),
                Ok(Transition::Typing(_)) => {}
                Err(Lagged) => tracing::warn!("too many come and go for all of it to be told"),
            }
            next = transitions.try_recv();
        }
        if let Err(error) = tell_in_threads(app, &changes).await {
            // It is true for a moment only: nobody is told of it later.
            tracing::warn!(?error, "who came online and who went is not told");
        }
    }
}

async fn tell_in_threads(app: &App, changes: &[(UserId, bool)]) -> Result<()> {
    let threads = app.bus.threads();
    if changes.is_empty() || threads.is_empty() {
        return Ok(());
    }
    let users: Vec<UserId> = changes.iter().map(|(user, _)| *user).collect();
    let mut conn = app.conn().await?;
    let parts = participant::parts(&mut conn, &users, &threads).await?;
    drop(conn);
    let mut places: HashMap<UserId, Vec<ThreadId>> = HashMap::new();
    for (thread, user) in parts {
        places.entry(user).or_default().push(thread);
    }
    for (user, online) in changes {
        for thread in places.get(user).into_iter().flatten() {
            app.bus.send(*thread, Signal::Presence(*user, *online));
        }
    }
    Ok(())
}
