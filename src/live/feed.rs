//! What happens in one thread, for all subscribers of one audience: in the log's order, each
//! once. Listens first, then reads the log; whatever goes wrong on the way, a gap or a lag, leads
//! back to reading the log.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use crate::app::App;
use crate::db::access::ThreadAccess;
use crate::db::access::find::{self, Again};
use crate::db::watermark;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::ids::UserId;
use crate::live::bus::{Listener, Signal};
use crate::live::cursor::Position;
use crate::live::mailbox::Lagged;
use crate::live::replay::{Replay, Step, What, Whose};

/// How long an event that came early is held for the ones before it: commits are ordered,
/// publishes are not.
const HOLD: Duration = Duration::from_millis(20);

/// How long moves of watermarks are gathered, so that of many only the latest is told.
const GATHER: Duration = Duration::from_millis(150);

/// How long to wait after a first failure; twice as long after each further one, up to six times.
const FIRST_RETRY: Duration = Duration::from_millis(100);

/// The feed of a thread.
pub struct Feed {
    app: Arc<App>,
    replay: Replay,
    listener: Listener,
    /// Whether the log holds what has not been told.
    behind: bool,
    /// Events that came before their turn, and until when they are held.
    early: BTreeMap<i64, Arc<Event>>,
    hold_until: Option<Instant>,
    moves_due: Option<Instant>,
    /// Who typed when that was last told, or when the feed began.
    told_typing: Vec<UserId>,
    /// How many changes of anybody's access there had been when it last asked.
    rights: u64,
    /// How many attempts have failed in a row.
    failures: u32,
}

impl Feed {
    /// Opens the feed of a thread, from now on, for the audience of this proof.
    pub async fn open(app: Arc<App>, access: &ThreadAccess) -> Result<Self> {
        // Listens before it reads: what is committed after the read is on the bus then.
        let listener = app.bus.subscribe(access.thread().id);
        let (rights, read_at) = (app.bus.rights.count(), Some(Instant::now()));
        let mut conn = app.conn().await?;
        let (Again::Same(access) | Again::Moved(access)) = find::again(&mut conn, access).await?
        else {
            return Err(Error::NotFound("thread"));
        };
        let newest = watermark::newest_moves(&mut conn, &[&access]).await?;
        drop(conn);
        let now = Position::now(&access, newest.get(&access.thread().id).copied());
        let told_typing = app.bus.typing(access.thread().id, access.is_staff());
        Ok(Self {
            replay: Replay::new(Arc::clone(&app), access, now, read_at).for_several(),
            app,
            listener,
            behind: false,
            early: BTreeMap::new(),
            hold_until: None,
            moves_due: None,
            told_typing,
            rights,
            failures: 0,
        })
    }

    /// Up to where everything has been told, once all steps are taken.
    pub fn position(&self) -> Position {
        self.replay.position()
    }

    /// What is to be done next; none after the thread's deletion. Waits for an absent database,
    /// and goes on from the log.
    pub async fn next(&mut self) -> Option<Step> {
        loop {
            if let Some(step) = self.replay.take_step() {
                return Some(step);
            }
            if self.replay.has_ended() {
                return None;
            }
            match self.step().await {
                Ok(()) => self.failures = 0,
                Err(error) => {
                    tracing::warn!(?error, "a feed waits for the database");
                    self.recover().await;
                }
            }
        }
    }

    /// What is to be done next, if neither a signal nor the database has to be waited for.
    pub fn take_ready(&mut self) -> Option<Step> {
        loop {
            if let Some(step) = self.replay.take_step() {
                return Some(step);
            }
            if self.behind || !self.early.is_empty() || self.replay.has_ended() {
                return None;
            }
            let newest = self.position().seq;
            let in_turn = |signal: &Signal| match signal {
                Signal::Event(event) => event.seq <= newest + 1 && !Replay::asks(&event.fact),
                _ => false,
            };
            let Signal::Event(event) = self.listener.recv_if(in_turn)? else {
                return None;
            };
            // In its turn, and without a question, it is told at once.
            self.receive(event).now_or_never()?.ok()?;
        }
    }

    /// Waits a while after a failure, which mostly is the database's absence, and goes on from
    /// the log: nothing that was not told counts as told.
    async fn recover(&mut self) {
        sleep(pause(self.failures)).await;
        self.failures += 1;
        self.behind = true;
        self.moves_due = Some(Instant::now());
    }

    /// Does the next thing that there is to do, or waits for one.
    async fn step(&mut self) -> Result<()> {
        if self.behind {
            self.doubt_changed();
            return self.read_log().await;
        }
        let alarm = [self.hold_until, self.moves_due]
            .into_iter()
            .flatten()
            .min();
        let signal = tokio::select! {
            signal = self.listener.recv() => signal,
            () = sleep_until(alarm.unwrap_or_else(Instant::now)), if alarm.is_some() => {
                return self.ring().await;
            }
        };
        self.doubt_changed();
        match signal {
            Ok(Signal::Event(event)) => self.receive(event).await?,
            Ok(Signal::Written(seq)) => self.behind |= seq > self.position().seq,
            Ok(Signal::Seen) => {
                self.moves_due
                    .get_or_insert_with(|| Instant::now() + GATHER);
            }
            Ok(Signal::AccessChanged) => {}
            Ok(Signal::Typing) => self.tell_typing(),
            Ok(Signal::Presence(user, online)) => {
                self.replay.tell_now(What::Presence(user, online));
            }
            // The bus has dropped what this subscriber was too slow for. The log has it.
            Err(Lagged) => {
                self.app.metrics.lag();
                self.behind = true;
                self.tell_typing();
                self.moves_due.get_or_insert_with(Instant::now);
                self.replay.doubt(Whose::Everybody);
            }
        }
        Ok(())
    }

    /// What is due at a time: the wait for missing events is over, or moves are to be told.
    async fn ring(&mut self) -> Result<()> {
        let now = Instant::now();
        if self.hold_until.is_some_and(|at| at <= now) {
            self.app.metrics.gap();
            self.behind = true;
        }
        if self.moves_due.is_some_and(|at| at <= now) {
            self.doubt_changed();
            self.replay.tell_moves().await?;
            self.moves_due = None;
        }
        Ok(())
    }

    /// Takes an event from the bus, in its turn.
    async fn receive(&mut self, event: Arc<Event>) -> Result<()> {
        if event.seq <= self.position().seq {
            return Ok(());
        }
        let since = self.app.clock.now() - event.occurred_at;
        self.app
            .metrics
            .bus_delayed(since.to_std().unwrap_or_default());
        self.doubt_changed();
        self.early.insert(event.seq, event);
        while let Some(event) = self.early.remove(&(self.position().seq + 1)) {
            self.replay.tell(event).await?;
        }
        self.hold_until = if self.early.is_empty() {
            None
        } else {
            self.hold_until.or_else(|| Some(Instant::now() + HOLD))
        };
        Ok(())
    }

    /// Tells who types now, if that is others than were told, of those of whom this audience may
    /// know.
    fn tell_typing(&mut self) {
        let access = self.replay.access();
        let bus = &self.replay.app().bus;
        let now = bus.typing(access.thread().id, access.is_staff());
        let began = now.iter().filter(|user| !self.told_typing.contains(user));
        let ended = self.told_typing.iter().filter(|user| !now.contains(user));
        let changed: Vec<UserId> = began.chain(ended).copied().collect();
        let actor = match changed.as_slice() {
            [] => return,
            [one] => Some(*one),
            _ => None,
        };
        self.told_typing.clone_from(&now);
        self.replay.tell_now(What::Typing(now, actor));
    }

    /// Asks for new proofs of those whose access has changed, before anything else is told.
    fn doubt_changed(&mut self) {
        let count = self.app.bus.rights.count();
        if count != self.rights {
            self.replay.doubt(Whose::Since(self.rights));
            self.rights = count;
        }
    }

    async fn read_log(&mut self) -> Result<()> {
        self.early.clear();
        self.hold_until = None;
        self.behind = !self.replay.read_log().await?;
        Ok(())
    }
}

/// How long to wait after so many failures in a row. Many wait at once; they do not all come
/// back at once.
pub fn pause(failures: u32) -> Duration {
    let spread = Duration::from_millis(u64::from(Uuid::now_v7().as_fields().3[7]));
    FIRST_RETRY * 2_u32.saturating_pow(failures.min(5)) + spread
}
