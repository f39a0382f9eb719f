//! The subscribers of a thread who are told the same: with the same document, for the same
//! audience. Who is up to date sits in the group and is given what it is told; who is not, reads
//! the log until he is.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::FutureExt;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::db::access::ThreadAccess;
use crate::error::Result as Outcome;
use crate::fanout::Fanout;
use crate::fanout::outbox::{Body, Pushed};
use crate::fanout::run::{Plan, Recipient};
use crate::fanout::seat::{Admitted, Seat};
use crate::fanout::shared::Shared;
use crate::ids::ThreadId;
use crate::live::cursor::Position;
use crate::live::feed::Feed;
use crate::live::replay::{Occurrence, What};
use crate::metrics::Held;

/// What the members of a group have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::fanout) struct Key {
    pub thread: ThreadId,
    /// The audience: those who read private notes, or the others.
    pub staff: bool,
    /// What is executed, as `Plan::digest` has it.
    pub digest: [u8; 32],
}

/// A group.
pub(in crate::fanout) struct Group {
    pub fanout: Arc<Fanout>,
    pub key: Key,
    /// What is executed; of the first member, and the same for all.
    pub plan: Arc<Plan>,
    state: Mutex<State>,
    /// Set once it listens.
    opened: OnceCell<()>,
    /// Cancelled when nobody is left.
    closed: CancellationToken,
    /// What those who catch up share.
    pub shared: Shared,
    _counted: Held,
}

#[derive(Default)]
struct State {
    /// Up to where the members have been told everything.
    head: Option<Position>,
    /// When they were last told of a watermark.
    moves_told_at: Option<Instant>,
    /// Whoever joins must have been proven to see the thread as it was behind this event.
    proven_to: i64,
    members: HashMap<u64, Member>,
    /// How many are about to become members.
    joining: usize,
    closed: bool,
}

/// Somebody who is up to date.
#[derive(Clone)]
pub(in crate::fanout) struct Member {
    pub seat: Arc<Seat>,
    pub recipient: Recipient,
    /// He was told what came up to here before he joined.
    pub from: Position,
}

impl Member {
    /// Whether an occurrence is news to him.
    pub fn wants(&self, occurrence: &Occurrence) -> bool {
        match &occurrence.what {
            What::Event(event) => event.seq > self.from.seq,
            What::Moved(moved) => moved.xid >= self.from.running,
            // What is true now is news to all who are here.
            What::Typing(..) | What::Presence(..) | What::Resync(_) => true,
        }
    }

    /// Whether he was told more of the log than the group when this happened, which stands in no
    /// log.
    pub fn is_ahead_of(&self, (occurrence, position): &News) -> bool {
        !matches!(occurrence.what, What::Event(_)) && position.seq < self.from.seq
    }

    /// An occurrence as he is told it: its cursor does not go back behind what he was told.
    pub fn told<'a>(&self, news: &'a News) -> Cow<'a, Occurrence> {
        let (occurrence, position) = news;
        if !self.is_ahead_of(news) {
            return Cow::Borrowed(occurrence);
        }
        let position = position.or_later(Position {
            running: position.running,
            ..self.from
        });
        Cow::Owned(Occurrence {
            cursor: position.encode(occurrence.access.thread().id).into(),
            ..occurrence.clone()
        })
    }
}

/// An occurrence, and the position behind it.
pub(in crate::fanout) type News = (Occurrence, Position);

/// A member for whose connection there was no room.
pub(in crate::fanout) struct Late {
    pub member: Member,
    /// Up to where he has been told everything.
    pub at: Position,
    /// Since when he is none.
    pub since: Instant,
    pub joining: Joining,
}

/// What becomes of somebody who wants to be a member.
pub(in crate::fanout) enum Admission {
    /// He is one.
    Granted,
    /// He has not been told all that the members have, up to here.
    Behind(Position),
    /// His proof is older than what may have taken the thread from him.
    Unproven,
    /// There is no such group any more: he finds another one.
    Closed,
}

/// Keeps a group open for somebody who is about to become a member.
pub(in crate::fanout) struct Joining(pub Arc<Group>);

impl Drop for Joining {
    fn drop(&mut self) {
        self.0.state().joining -= 1;
        self.0.close_if_empty();
    }
}

impl Group {
    /// The group of a subscriber, which listens from now on if it did not.
    pub async fn join(
        fanout: &Arc<Fanout>,
        plan: &Arc<Plan>,
        access: &ThreadAccess,
    ) -> Outcome<Joining> {
        let key = Key {
            thread: access.thread().id,
            staff: access.is_staff(),
            digest: plan.digest,
        };
        let joining = Self::enter(fanout, key, plan);
        let group = &joining.0;
        group.opened.get_or_try_init(|| group.open(access)).await?;
        Ok(joining)
    }

    /// Keeps the group of this key open, or makes it.
    fn enter(fanout: &Arc<Fanout>, key: Key, plan: &Arc<Plan>) -> Joining {
        let mut groups = fanout.groups();
        // A group is closed under this lock, so one that is found is open.
        let group = match groups.entry(key) {
            Entry::Occupied(known) => Arc::clone(known.get()),
            Entry::Vacant(place) => {
                let group = Arc::new(Self {
                    fanout: Arc::clone(fanout),
                    key,
                    plan: Arc::clone(plan),
                    state: Mutex::default(),
                    opened: OnceCell::new(),
                    closed: CancellationToken::new(),
                    shared: Shared::default(),
                    _counted: fanout.app.metrics.group(),
                });
                Arc::clone(place.insert(group))
            }
        };
        group.state().joining += 1;
        Joining(group)
    }

    async fn open(self: &Arc<Self>, access: &ThreadAccess) -> Outcome<()> {
        let feed = Feed::open(Arc::clone(self.app()), access).await?;
        let mut state = self.state();
        state.head = Some(feed.position());
        // What had moved by then nobody will be told here.
        state.moves_told_at = Some(Instant::now());
        drop(state);
        let (group, closed) = (Arc::clone(self), self.closed.clone());
        self.fanout.tasks.spawn(async move {
            let work = AssertUnwindSafe(Arc::clone(&group).deliver_all(feed)).catch_unwind();
            let broken = tokio::select! {
                () = closed.cancelled() => false,
                done = work => done.is_err(),
            };
            if broken {
                // Its members must not wait in vain: they connect again.
                group.end();
                group.dismiss(&Body::Restart);
            }
        });
        Ok(())
    }

    /// Up to where the members have been told everything.
    pub fn head(&self) -> Position {
        self.state().head.expect("an open group stands somewhere")
    }

    /// Makes somebody a member who has been told everything up to where he stands.
    pub fn admit(
        self: &Arc<Self>,
        seat: &Arc<Seat>,
        admitted: &Admitted,
        (at, moves_read_at): (Position, Option<Instant>),
    ) -> Admission {
        let mut state = self.state();
        if state.closed {
            return Admission::Closed;
        }
        let head = state.head.expect("an open group stands somewhere");
        // What was told of watermarks before he read them he knows, however they are numbered.
        let knows_moves = moves_read_at.is_some_and(|read| Some(read) > state.moves_told_at);
        if at.seq < head.seq || !knows_moves {
            return Admission::Behind(head);
        }
        if admitted.access.thread().seq < state.proven_to {
            return Admission::Unproven;
        }
        let member = Member {
            seat: Arc::clone(seat),
            recipient: admitted.recipient.clone(),
            from: at,
        };
        state.members.insert(seat.number, member);
        seat.sit(Some(Arc::clone(self)));
        drop(state);
        // He may have gone before he could be found here.
        if seat.has_ended() {
            self.leave(seat);
        }
        Admission::Granted
    }

    /// Whoever joins from now on must have been proven to see the thread as it is behind an event.
    pub fn require_proof(&self, seq: i64) {
        let mut state = self.state();
        state.proven_to = state.proven_to.max(seq);
    }

    /// Somebody is no longer a member.
    pub fn leave(self: &Arc<Self>, seat: &Seat) {
        self.state().members.remove(&seat.number);
        self.close_if_empty();
    }

    /// The members of whom something is true.
    pub fn members(&self, test: impl Fn(&Member) -> bool) -> Vec<Member> {
        let state = self.state();
        let members = state.members.values().filter(|member| test(member));
        members.cloned().collect()
    }

    /// Whether some of the members are ahead of it.
    pub fn has_ahead(&self, news: &News) -> bool {
        if matches!(news.0.what, What::Event(_)) {
            return false;
        }
        let state = self.state();
        state
            .members
            .values()
            .any(|member| member.is_ahead_of(news))
    }

    /// One of the members for whom an occurrence is news, if possible one who is not ahead of it.
    pub fn anyone(&self, news: &News) -> Option<Member> {
        let state = self.state();
        let members = state.members.values();
        let mut wanting = members.filter(|member| member.wants(&news.0));
        let first = wanting.next()?;
        let level = if first.is_ahead_of(news) {
            wanting.find(|member| !member.is_ahead_of(news))
        } else {
            None
        };
        Some(level.unwrap_or(first).clone())
    }

    /// Goes on behind what is news to none of the members; false: it is, to some.
    pub fn pass(&self, (occurrence, position): &News) -> bool {
        let mut state = self.state();
        let mut members = state.members.values();
        let passes = !members.any(|member| member.wants(occurrence));
        if passes {
            state.has_been_told(occurrence, *position);
        }
        passes
    }

    /// Gives each member what there is for him of these occurrences, which are news to him; then
    /// all have been told everything up to the last position. Answers those for whom there was no
    /// room: they are no members any more. If there is nothing for somebody, nobody is given
    /// anything, and those are the error.
    pub fn tell<'a>(
        self: &Arc<Self>,
        news: &[News],
        body: impl Fn(usize, &Member) -> Option<&'a Body>,
    ) -> Result<Vec<Late>, Vec<Member>> {
        let mut state = self.state();
        let wants = |member: &Member, index: usize| member.wants(&news[index].0);
        let lacks = |member: &&Member| {
            let mut wanted = (0..news.len()).filter(|index| wants(member, *index));
            wanted.any(|index| body(index, member).is_none())
        };
        let missing: Vec<Member> = state.members.values().filter(lacks).cloned().collect();
        if !missing.is_empty() {
            return Err(missing);
        }
        let Some(before) = state.head else {
            return Ok(Vec::new());
        };
        let (mut full, mut told) = (Vec::new(), 0);
        state.members.retain(|_, member| {
            let mut at = before.or_later(member.from);
            let mut outbox = member.seat.filling();
            for (index, (_, position)) in news.iter().enumerate() {
                let body = body(index, member).filter(|_| wants(member, index));
                match body.map(|body| (body.is_last(), outbox.push(body))) {
                    None => {}
                    Some((true, Pushed::Queued)) | Some((_, Pushed::Ended)) => return false,
                    Some((false, Pushed::Queued)) => told += 1,
                    Some((_, Pushed::Full)) => {
                        full.push((member.clone(), at));
                        return false;
                    }
                }
                at = at.or_later(*position);
            }
            true
        });
        let late = full
            .into_iter()
            .map(|(member, at)| self.late(&mut state, member, at));
        let late = late.collect();
        for (occurrence, position) in news {
            state.has_been_told(occurrence, *position);
        }
        self.app().metrics.delivered(told);
        Ok(late)
    }

    /// How many members there are.
    pub fn size(&self) -> usize {
        self.state().members.len()
    }

    /// Ends the membership of somebody who goes on reading the log by himself.
    pub fn release(self: &Arc<Self>, number: u64) -> Option<Late> {
        let mut state = self.state();
        let member = state.members.remove(&number)?;
        let head = state.head.expect("an open group stands somewhere");
        let at = head.or_later(member.from);
        Some(self.late(&mut state, member, at))
    }

    fn late(self: &Arc<Self>, state: &mut State, member: Member, at: Position) -> Late {
        state.joining += 1;
        Late {
            member,
            at,
            since: Instant::now(),
            joining: Joining(Arc::clone(self)),
        }
    }

    /// The same member with a new proof.
    pub fn renew(&self, member: &Member, recipient: Recipient) {
        if let Some(member) = self.state().members.get_mut(&member.seat.number) {
            member.recipient = recipient;
        }
    }

    /// Ends the subscriptions of all members with this.
    pub fn dismiss(&self, last: &Body) {
        let members = std::mem::take(&mut self.state().members);
        for member in members.into_values() {
            self.fanout.say_last(member.seat, last.clone());
        }
    }

    /// Nobody can join it any more: there is nothing more to tell.
    pub fn end(&self) {
        let mut groups = self.fanout.groups();
        let mut state = self.state();
        if !state.closed {
            state.closed = true;
            groups.remove(&self.key);
        }
    }

    fn close_if_empty(self: &Arc<Self>) {
        if !self.state().is_empty() {
            return;
        }
        let mut groups = self.fanout.groups();
        let mut state = self.state();
        if state.is_empty() && !state.closed {
            state.closed = true;
            groups.remove(&self.key);
            drop(state);
            self.closed.cancel();
        }
    }

    pub fn app(&self) -> &Arc<App> {
        &self.fanout.app
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }
}

impl State {
    /// All members have been told this, or it is no news to them.
    fn has_been_told(&mut self, occurrence: &Occurrence, position: Position) {
        self.head = Some(position);
        if matches!(occurrence.what, What::Moved(_)) {
            self.moves_told_at = Some(Instant::now());
        }
    }

    fn is_empty(&self) -> bool {
        self.members.is_empty() && self.joining == 0
    }
}
