//! What has happened in one thread behind a position, read from the log: in its order, each
//! once. Never listens to anything.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::app::App;
use crate::db::access::ThreadAccess;
use crate::db::access::find::{self, Again};
use crate::db::enums::Mark;
use crate::db::message::Message;
use crate::db::{events, message_list, watermark};
use crate::error::Result;
use crate::event::{Event, Fact};
use crate::ids::{MessageId, UserId};
use crate::live::cursor::Position;

/// How many events of the log are read at once.
const STRETCH: i64 = 200;

/// Something to tell.
#[derive(Debug, Clone)]
pub struct Occurrence {
    /// What.
    pub what: What,
    /// The position behind it, as clients hand it back.
    pub cursor: Arc<str>,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// The proof that whoever is told may know it.
    pub access: ThreadAccess,
}

/// What to tell.
#[derive(Debug, Clone)]
pub enum What {
    /// An event of the log.
    Event(Arc<Event>),
    /// Up to which message somebody has seen the thread, or it has reached a device of theirs.
    Moved(Moved),
    /// Who types now, and who of them began or ended if it was one alone.
    Typing(Vec<UserId>, Option<UserId>),
    /// Somebody came online, or went.
    Presence(UserId, bool),
    /// The position that was asked for cannot be served; why.
    Resync(&'static str),
}

/// Somebody's watermark, where it stands now.
#[derive(Debug, Clone)]
pub struct Moved {
    /// Which.
    pub mark: Mark,
    /// Whose.
    pub user: UserId,
    /// The newest message that it has reached, of those that the viewer may see.
    pub up_to: Option<Arc<Message>>,
    /// The transaction that moved it.
    pub xid: i64,
}

/// What is to be done next.
#[derive(Debug)]
pub enum Step {
    /// Tell this; then everything up to the position has been told.
    Tell(Occurrence, Position),
    /// Prove access anew, before anything else is told.
    Prove(Whose),
}

/// Whose access may have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// Everybody's.
    Everybody,
    /// That of one person.
    Person(UserId),
    /// That of those for whom it has changed since there were so many changes.
    Since(u64),
}

/// A reader of a thread's log, at a position.
pub struct Replay {
    app: Arc<App>,
    access: ThreadAccess,
    position: Position,
    queue: VecDeque<Step>,
    /// The proof takes everything up to here into account.
    proven: i64,
    /// What was last told of whom, so that a move that shows nothing new is not told.
    told_moves: HashMap<(UserId, Mark), Option<MessageId>>,
    /// When it was last read whose watermarks have moved; none: not since its position.
    moves_read_at: Option<Instant>,
    /// Whether the thread's deletion has been told, behind which nothing comes.
    ended: bool,
}

impl Replay {
    /// For one viewer, whose proof this is, from a position on, which was read no earlier than
    /// `read_at`.
    pub fn new(
        app: Arc<App>,
        access: ThreadAccess,
        position: Position,
        read_at: Option<Instant>,
    ) -> Self {
        Self {
            app,
            proven: access.thread().seq,
            access,
            position,
            queue: VecDeque::new(),
            told_moves: HashMap::new(),
            moves_read_at: read_at,
            ended: false,
        }
    }

    /// The same for several viewers, who were proven to see the thread at different times.
    pub fn for_several(mut self) -> Self {
        self.proven = 0;
        self
    }

    /// The same from behind a cursor; if it is of no use, from where it stands, which is said.
    /// `newest_move`: the transaction that moved a watermark last.
    pub fn behind(mut self, cursor: &str, newest_move: Option<i64>) -> Self {
        let now = self.position;
        match Position::decode(cursor, self.access.thread().id) {
            Some(position)
                if position.seq <= now.seq && position.running <= self.access.oldest_running() =>
            {
                self.position = position;
                if newest_move.is_some_and(|newest| newest >= position.running) {
                    self.moves_read_at = None;
                }
            }
            _ => self.resync(now, "the cursor is not one of this thread"),
        }
        self
    }

    /// The server's parts.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// The proof in hand.
    pub fn access(&self) -> &ThreadAccess {
        &self.access
    }

    /// Up to where everything has been told, once all steps are taken.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Whether nothing will follow what is in the queue.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// What is to be done next; none until more is read.
    pub fn take_step(&mut self) -> Option<Step> {
        self.queue.pop_front()
    }

    /// Whether there is something to be done before more is read.
    pub fn has_steps(&self) -> bool {
        !self.queue.is_empty()
    }

    /// The next occurrence; none if something else is to be done first, or nothing.
    pub fn next_to_tell(&mut self) -> Option<(Occurrence, Position)> {
        match self.queue.pop_front()? {
            Step::Tell(occurrence, position) => Some((occurrence, position)),
            step => {
                self.queue.push_front(step);
                None
            }
        }
    }

    /// Up to which event the proof takes everything into account.
    pub fn proven_to(&self) -> i64 {
        self.proven
    }

    /// Everything up to an event has been told by somebody else.
    pub fn told_up_to(&mut self, seq: i64) {
        self.position.seq = self.position.seq.max(seq);
    }

    /// Goes on with a proof that was made anew.
    pub fn proven(&mut self, access: ThreadAccess) {
        self.proven = access.thread().seq;
        self.access = access;
    }

    /// Asks for a proof before anything else is told.
    pub fn doubt(&mut self, whose: Whose) {
        self.queue.push_back(Step::Prove(whose));
    }

    /// Reads the next stretch of the log; answers whether it was the last one.
    pub async fn read_log(&mut self) -> Result<bool> {
        let mut conn = self.app.conn().await?;
        let stretch = events::after(&mut conn, &self.access, self.position.seq, STRETCH).await?;
        drop(conn);
        // If nothing is left of the log, the thread's own number still tells how far it went.
        let gone = match stretch.first_seq {
            Some(seq) => seq != self.position.seq + 1,
            None => self.position.seq < self.access.thread().seq,
        };
        if gone {
            self.skip_gone().await?;
            return Ok(false);
        }
        for event in stretch.events {
            self.tell(event).await?;
        }
        if !self.ended {
            self.position.seq = stretch.last_seq;
        }
        Ok(stretch.ended || self.ended)
    }

    /// Goes on from the present position, since what came before it is no longer kept.
    async fn skip_gone(&mut self) -> Result<()> {
        // The present position is the present one only if it is read now.
        let mut conn = self.app.conn().await?;
        match find::again(&mut conn, &self.access).await? {
            Again::Same(access) | Again::Moved(access) => self.access = access,
            Again::Gone => {
                // Whoever proves access finds out.
                self.queue.push_back(Step::Prove(Whose::Everybody));
                self.ended = true;
                return Ok(());
            }
        }
        let newest = watermark::newest_moves(&mut conn, &[&self.access]).await?;
        let newest = newest.get(&self.access.thread().id).copied();
        let now = Position::now(&self.access, newest);
        self.queue.push_back(Step::Prove(Whose::Everybody));
        self.resync(now, "the events after the cursor are no longer kept");
        Ok(())
    }

    /// Takes the next event of the log.
    pub async fn tell(&mut self, event: Arc<Event>) -> Result<()> {
        if self.ended {
            return Ok(());
        }
        if event.seq > self.proven {
            match &event.fact {
                Fact::ParticipantRemoved(user) => {
                    // Who moves a thread also removes from it who cannot go along.
                    self.read_thread().await?;
                    self.queue.push_back(Step::Prove(Whose::Person(*user)));
                }
                Fact::ThreadUpdated => self.read_thread().await?,
                _ => {}
            }
        }
        // Not before it is certain that the event can be told: a failure reads it again.
        self.position.seq = event.seq;
        self.ended = matches!(event.fact, Fact::ThreadDeleted);
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

    /// Whether the database must be asked before such an event is told.
    pub fn asks(fact: &Fact) -> bool {
        matches!(fact, Fact::ParticipantRemoved(_) | Fact::ThreadUpdated)
    }

    /// Reads the thread's row anew: who sees it may have changed.
    async fn read_thread(&mut self) -> Result<()> {
        let mut conn = self.app.conn().await?;
        match find::again(&mut conn, &self.access).await? {
            Again::Same(access) => self.access = access,
            Again::Moved(access) => {
                self.access = access;
                self.queue.push_back(Step::Prove(Whose::Everybody));
            }
            // Its deletion is an event of the log, too.
            Again::Gone => {}
        }
        Ok(())
    }

    /// Tells whose watermarks have moved. Reads them anew, so that it does not matter how many
    /// moves there were, nor which hints of them were lost.
    pub async fn tell_moves(&mut self) -> Result<()> {
        let read_at = Instant::now();
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
            if self.read_log().await? {
                break;
            }
        }
        self.moves_read_at = Some(read_at);
        if self.ended {
            return Ok(());
        }
        for ((moved, then_from), up_to) in moved.into_iter().zip(seen) {
            self.position.running = then_from;
            let id = up_to.as_ref().map(|message| message.id);
            let whose = (moved.user_id, moved.kind);
            if self.told_moves.insert(whose, id) != Some(id) {
                let what = What::Moved(Moved {
                    mark: moved.kind,
                    user: moved.user_id,
                    up_to: up_to.map(Arc::new),
                    xid: moved.xid_for(&self.access).unwrap_or(since),
                });
                let at = moved.moved_for(&self.access).unwrap_or(moved.moved_at);
                self.push(what, at);
            }
        }
        Ok(())
    }

    /// When it was last read whose watermarks have moved; none: not since its position.
    pub fn moves_read_at(&self) -> Option<Instant> {
        self.moves_read_at
    }

    /// Moves that transactions older than this one made have been told, one way or another.
    pub fn moves_told_before(&mut self, running: i64) {
        self.position.running = self.position.running.max(running);
    }

    /// Gives up the position that was asked for, in favour of the present one.
    fn resync(&mut self, now: Position, reason: &'static str) {
        self.position = now;
        self.push(What::Resync(reason), self.app.clock.now());
    }

    /// Tells what is true now and stands in no log.
    pub fn tell_now(&mut self, what: What) {
        self.push(what, self.app.clock.now());
    }

    fn push(&mut self, what: What, at: DateTime<Utc>) {
        let occurrence = Occurrence {
            what,
            cursor: self.position.encode(self.access.thread().id).into(),
            at,
            access: self.access.clone(),
        };
        self.queue.push_back(Step::Tell(occurrence, self.position));
    }
}
