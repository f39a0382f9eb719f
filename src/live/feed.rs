//! What happens in one thread, for one subscriber: what he missed, then what happens, in the
//! log's order, each once. Listen first, then read the log, then go live; whatever goes wrong on
//! the way, a gap or a lag, leads back to reading the log.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::Stream;
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use crate::app::App;
use crate::auth::{self, Credential, Present};
use crate::db::access::{ThreadAccess, find};
use crate::db::enums::Mark;
use crate::db::message::Message;
use crate::db::{events, message_list, watermark};
use crate::error::{Error, Result};
use crate::event::{Event, Fact};
use crate::ids::{MessageId, Ref, ThreadId, UserId};
use crate::live::bus::{Listener, Signal};
use crate::live::cursor::Position;
use crate::live::mailbox::Lagged;

/// How many events of the log are read at once.
const STRETCH: i64 = 200;

/// How long an event that came early is held for the ones before it: commits are ordered,
/// publishes are not.
const HOLD: Duration = Duration::from_millis(20);

/// How long moves of watermarks are gathered, so that of many only the latest is told.
const GATHER: Duration = Duration::from_millis(150);

/// How long to wait after a first failure; twice as long after each further one, up to six times.
const FIRST_RETRY: Duration = Duration::from_millis(100);

/// Something to tell a subscriber.
#[derive(Debug, Clone)]
pub struct Occurrence {
    /// What.
    pub what: What,
    /// Up to where the subscriber has been told everything then.
    pub position: Position,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// The proof that the subscriber may know it.
    pub access: ThreadAccess,
}

/// What to tell.
#[derive(Debug, Clone)]
pub enum What {
    /// An event of the log.
    Event(Arc<Event>),
    /// Up to which message somebody has seen the thread, or it has reached a device of theirs.
    Moved(Mark, UserId, Option<Arc<Message>>),
    /// Who types now, and who of them began or ended if it was one alone.
    Typing(Vec<UserId>, Option<UserId>),
    /// Somebody came online, or went.
    Presence(UserId, bool),
    /// The position that was asked for cannot be served; why.
    Resync(&'static str),
}

/// One subscriber's feed.
pub struct Feed {
    app: Arc<App>,
    credential: Credential,
    viewer: Present,
    access: ThreadAccess,
    listener: Listener,
    position: Position,
    queue: VecDeque<Occurrence>,
    /// Whether the log holds what has not been told.
    behind: bool,
    /// Events that came before their turn, and until when they are held.
    early: BTreeMap<i64, Arc<Event>>,
    hold_until: Option<Instant>,
    seen_due: Option<Instant>,
    /// What was last told of whom, so that a move that shows nothing new is not told.
    told_seen: HashMap<(UserId, Mark), Option<MessageId>>,
    /// Who typed when that was last told, or when the feed began.
    told_typing: Vec<UserId>,
    /// Whether access must be proven anew before anything else is told.
    unproven: bool,
    /// How many attempts have failed in a row.
    failures: u32,
    /// Why the feed ends once the queue is empty.
    ending: Option<Error>,
    ended: bool,
}

impl Feed {
    /// Opens a feed: from now on, or from behind a cursor.
    pub async fn open(
        app: Arc<App>,
        credential: Credential,
        viewer: Present,
        thread: &Ref<ThreadId>,
        after: Option<&str>,
    ) -> Result<Self> {
        let mut conn = app.conn().await?;
        let id = match thread {
            Ref::Id(id) => *id,
            Ref::External(_) => {
                find::thread(&mut conn, &viewer.get(), thread)
                    .await?
                    .thread()
                    .id
            }
        };
        // Listens before it reads: what is committed after the read is on the bus then.
        let listener = app.bus.subscribe(id);
        let access = find::thread(&mut conn, &viewer.get(), &Ref::Id(id)).await?;
        let newest = watermark::newest_moves(&mut conn, &[&access]).await?;
        drop(conn);
        let now = Position::now(&access, newest.get(&id).copied());
        let told_typing = app.bus.typing(id, access.is_staff());
        let mut feed = Self {
            app,
            credential,
            viewer,
            access,
            listener,
            position: now,
            queue: VecDeque::new(),
            behind: false,
            early: BTreeMap::new(),
            hold_until: None,
            seen_due: None,
            told_seen: HashMap::new(),
            told_typing,
            unproven: false,
            failures: 0,
            ending: None,
            ended: false,
        };
        if let Some(text) = after {
            match Position::decode(text, id) {
                Some(position)
                    if position.seq <= now.seq
                        && position.running <= feed.access.oldest_running() =>
                {
                    feed.position = position;
                    feed.behind = true;
                    feed.seen_due = Some(Instant::now());
                }
                _ => feed.resync(now, "the cursor is not one of this thread"),
            }
        }
        Ok(feed)
    }

    /// Everything that it tells; ends with an error when the viewer loses sight of the thread.
    pub fn into_stream(self) -> impl Stream<Item = Result<Occurrence>> + Send {
        futures_util::stream::unfold(self, async |mut feed| {
            let next = feed.next().await?;
            Some((next, feed))
        })
    }

    async fn next(&mut self) -> Option<Result<Occurrence>> {
        loop {
            if let Some(occurrence) = self.queue.pop_front() {
                return Some(Ok(occurrence));
            }
            if self.ended {
                return None;
            }
            let step = match self.ending.take() {
                Some(error) => Err(error),
                None => self.step().await,
            };
            match step {
                Ok(()) => self.failures = 0,
                Err(Error::Internal(cause)) => {
                    tracing::warn!(?cause, "a subscription waits for the database");
                    self.recover().await;
                }
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
    }

    /// Waits a while after a failure, which mostly is the database's absence, and goes on from
    /// the log: nothing that was not told counts as told.
    async fn recover(&mut self) {
        // Many feeds fail at once; they do not all come back at once.
        let spread = Duration::from_millis(u64::from(Uuid::now_v7().as_fields().3[7]));
        let wait = FIRST_RETRY * 2_u32.saturating_pow(self.failures.min(5)) + spread;
        self.failures += 1;
        sleep(wait).await;
        // What failed may have been the proof that access is still there.
        self.unproven = true;
        self.behind = true;
        self.seen_due = Some(Instant::now());
    }

    /// Does the next thing that there is to do, or waits for one.
    async fn step(&mut self) -> Result<()> {
        if self.unproven {
            self.check_access().await?;
            self.unproven = false;
            return Ok(());
        }
        if self.behind {
            return self.read_log().await;
        }
        let alarm = [self.hold_until, self.seen_due].into_iter().flatten().min();
        let signal = tokio::select! {
            signal = self.listener.recv() => signal,
            () = sleep_until(alarm.unwrap_or_else(Instant::now)), if alarm.is_some() => {
                return self.ring().await;
            }
        };
        match signal {
            Ok(Signal::Event(event)) => self.receive(event).await,
            Ok(Signal::Written(seq)) => {
                self.behind |= seq > self.position.seq;
                Ok(())
            }
            Ok(Signal::Seen) => {
                self.seen_due.get_or_insert_with(|| Instant::now() + GATHER);
                Ok(())
            }
            Ok(Signal::AccessChanged(subject)) if self.credential.is_of(&subject) => {
                self.check_access().await
            }
            Ok(Signal::AccessChanged(_)) => Ok(()),
            Ok(Signal::Typing) => {
                self.tell_typing();
                Ok(())
            }
            Ok(Signal::Presence(user, online)) => {
                self.push(What::Presence(user, online), self.app.clock.now());
                Ok(())
            }
            // The bus has dropped what this subscriber was too slow for. The log has it.
            Err(Lagged) => {
                self.behind = true;
                self.seen_due.get_or_insert_with(Instant::now);
                self.tell_typing();
                self.check_access().await
            }
        }
    }

    /// What is due at a time: the wait for missing events is over, or moves are to be told.
    async fn ring(&mut self) -> Result<()> {
        let now = Instant::now();
        if self.hold_until.is_some_and(|at| at <= now) {
            self.behind = true;
        }
        if self.seen_due.is_some_and(|at| at <= now) {
            self.tell_seen().await?;
        }
        Ok(())
    }

    /// Takes an event from the bus, in its turn.
    async fn receive(&mut self, event: Arc<Event>) -> Result<()> {
        if event.seq <= self.position.seq {
            return Ok(());
        }
        self.early.insert(event.seq, event);
        while let Some(event) = self.early.remove(&(self.position.seq + 1)) {
            self.tell(event).await?;
            if self.is_over() {
                return Ok(());
            }
        }
        self.hold_until = if self.early.is_empty() {
            None
        } else {
            self.hold_until.or_else(|| Some(Instant::now() + HOLD))
        };
        Ok(())
    }

    /// Reads the next stretch of the log.
    async fn read_log(&mut self) -> Result<()> {
        self.early.clear();
        self.hold_until = None;
        let mut conn = self.app.conn().await?;
        let stretch = events::after(&mut conn, &self.access, self.position.seq, STRETCH).await?;
        // If nothing is left of the log, the thread's own number still tells how far it went.
        let gone = match stretch.first_seq {
            Some(seq) => seq != self.position.seq + 1,
            None => self.position.seq < self.access.thread().seq,
        };
        if gone {
            // The present position is the present one only if it is read now.
            drop(conn);
            self.check_access().await?;
            if !self.is_over() {
                let mut conn = self.app.conn().await?;
                let newest = watermark::newest_moves(&mut conn, &[&self.access]).await?;
                let newest = newest.get(&self.access.thread().id).copied();
                let now = Position::now(&self.access, newest);
                self.resync(now, "the events after the cursor are no longer kept");
            }
            return Ok(());
        }
        drop(conn);
        for event in stretch.events {
            self.tell(event).await?;
        }
        if self.is_over() {
            return Ok(());
        }
        self.position.seq = stretch.last_seq;
        self.behind = !stretch.ended;
        Ok(())
    }

    /// Puts an event into the queue, if the subscriber may know it.
    async fn tell(&mut self, event: Arc<Event>) -> Result<()> {
        if self.is_over() {
            return Ok(());
        }
        if matches!(event.fact, Fact::ThreadDeleted) {
            self.tell_deletion(event);
            return Ok(());
        }
        if event.fact.changes_access() {
            self.check_access().await?;
        }
        if self.is_over() {
            return Ok(());
        }
        // Not before it is certain that the event can be told: a failure reads it again.
        self.position.seq = event.seq;
        let readable = match &event.fact {
            Fact::MessageCreated(message)
            | Fact::MessageUpdated(message)
            | Fact::MessageAppended(message, _) => self.access.sees(message),
            _ => true,
        };
        if readable && self.access.hears(event.audience) {
            let at = event.occurred_at;
            self.push(What::Event(event), at);
        }
        Ok(())
    }

    /// Tells the last event there is. No proof can be made of it any more; the one in hand is of
    /// the moment before.
    fn tell_deletion(&mut self, event: Arc<Event>) {
        self.position.seq = event.seq;
        let at = event.occurred_at;
        self.push(What::Event(event), at);
        self.ended = true;
    }

    /// Whether nothing more is to be told.
    fn is_over(&self) -> bool {
        self.ended || self.ending.is_some()
    }

    /// Tells whose watermarks have moved. Reads them anew, so that it does not matter how many
    /// moves there were, nor which hints of them were lost.
    async fn tell_seen(&mut self) -> Result<()> {
        self.seen_due = None;
        let mut conn = self.app.conn().await?;
        let since = self.position.running;
        let moved = watermark::moved_since(&mut conn, &self.access, since).await?;
        let places = moved.iter().map(|(moved, _)| (&self.access, moved.place()));
        let seen = message_list::at_places(&mut conn, &places.collect::<Vec<_>>()).await?;
        drop(conn);
        // A message is told before the news that somebody has seen it.
        let newest = seen
            .iter()
            .flatten()
            .filter_map(|message| message.seq)
            .max();
        while newest.is_some_and(|seq| seq > self.position.seq) {
            self.read_log().await?;
            if !self.behind {
                break;
            }
        }
        if self.is_over() {
            return Ok(());
        }
        for ((moved, then_from), up_to) in moved.into_iter().zip(seen) {
            self.position.running = then_from;
            let id = up_to.as_ref().map(|message| message.id);
            let whose = (moved.user_id, moved.kind);
            if self.told_seen.insert(whose, id) != Some(id) {
                let what = What::Moved(moved.kind, moved.user_id, up_to.map(Arc::new));
                let at = moved.moved_for(&self.access).unwrap_or(moved.moved_at);
                self.push(what, at);
            }
        }
        Ok(())
    }

    /// Tells who types now, if that is others than were told, of those of whom this subscriber may
    /// know.
    fn tell_typing(&mut self) {
        let (thread, staff) = (self.access.thread().id, self.access.is_staff());
        let now = self.app.bus.typing(thread, staff);
        let began = now.iter().filter(|user| !self.told_typing.contains(user));
        let ended = self.told_typing.iter().filter(|user| !now.contains(user));
        let changed: Vec<UserId> = began.chain(ended).copied().collect();
        let actor = match changed.as_slice() {
            [] => return,
            [one] => Some(*one),
            _ => None,
        };
        self.told_typing.clone_from(&now);
        self.push(What::Typing(now, actor), self.app.clock.now());
    }

    /// Proves access anew, with the memberships of this moment.
    async fn check_access(&mut self) -> Result<()> {
        self.viewer
            .renew(auth::viewer(&self.app, &self.credential).await?);
        let mut conn = self.app.conn().await?;
        let id = Ref::Id(self.access.thread().id);
        match find::thread(&mut conn, &self.viewer.get(), &id).await {
            Ok(access) => self.access = access,
            // Not to know is not to have lost it.
            Err(Error::Internal(cause)) => return Err(Error::Internal(cause)),
            Err(error) => {
                // What came before the deletion is gone with it; the deletion is told.
                let (viewer, seq) = (self.viewer.get(), self.position.seq);
                let reaches = |id| viewer.key_reaches(id) || viewer.role_in(id).is_some();
                match events::deletion(&mut conn, &self.access, seq).await? {
                    Some(event) if reaches(event.organization_id) => self.tell_deletion(event),
                    _ => self.ending = Some(error),
                }
            }
        }
        Ok(())
    }

    /// Gives up the position that was asked for, in favour of the present one.
    fn resync(&mut self, now: Position, reason: &'static str) {
        self.position = now;
        self.behind = true;
        self.push(What::Resync(reason), self.app.clock.now());
    }

    fn push(&mut self, what: What, at: DateTime<Utc>) {
        self.queue.push_back(Occurrence {
            what,
            position: self.position,
            at,
            access: self.access.clone(),
        });
    }
}
