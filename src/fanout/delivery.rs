//! What a group does with each step of its thread's feed: executes once and copies, executes for
//! each member when the result is personal, proves access anew.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::auth;
use crate::db::access::ThreadAccess;
use crate::db::events;
use crate::error::{Error, Result};
use crate::fanout::group::{Group, Late, Member, News};
use crate::fanout::outbox::Body;
use crate::fanout::run::{Executed, Recipient, Run};
use crate::fanout::seat::{Admitted, Seat};
use crate::ids::{Ref, ThreadId};
use crate::live::cursor::Position;
use crate::live::feed::{Feed, pause};
use crate::live::payload::Payload;
use crate::live::replay::{Occurrence, Replay, Step, Whose};

/// How many personal executions, or proofs, of a group run at once.
const AT_ONCE: usize = 8;

/// How often an execution is tried anew that failed for reasons that may pass.
const ATTEMPTS: u32 = 6;

/// How long a group keeps ready for use what executes its document.
const IDLE: Duration = Duration::from_secs(30);

/// How many occurrences go out together at most.
const MOST_TOGETHER: usize = 64;

/// How long a group rests for each thing that it has told to each of its members: about twice what
/// it takes to write it. What comes meanwhile is written together, at a fraction of the cost.
const REST: Duration = Duration::from_micros(8);

/// How long it rests at most, however many there are.
const LONGEST_REST: Duration = Duration::from_millis(100);

/// A rest that is shorter is none: there is nothing to gain.
const SHORTEST_REST: Duration = Duration::from_millis(1);

/// What is to go out together.
struct Batch {
    news: Vec<News>,
    /// What each has become.
    bodies: Vec<Body>,
    rest: Duration,
    not_before: Instant,
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            news: Vec::new(),
            bodies: Vec::new(),
            rest: Duration::ZERO,
            not_before: Instant::now(),
        }
    }
}

impl Batch {
    fn take(&mut self) -> (Vec<News>, Vec<Body>) {
        (
            std::mem::take(&mut self.news),
            std::mem::take(&mut self.bodies),
        )
    }

    /// Says to how many members how many things have just been told. What comes after a rest is
    /// told at once; a longer one gets shorter by half at most.
    fn rest_after(&mut self, members: usize, told: usize) {
        let written = members.saturating_mul(told);
        let rest = REST.saturating_mul(u32::try_from(written).unwrap_or(u32::MAX));
        self.rest = rest.max(self.rest / 2).min(LONGEST_REST);
        // What fills a flush by itself need not be waited for.
        if self.rest >= SHORTEST_REST && told < MOST_TOGETHER {
            self.not_before = Instant::now() + self.rest;
        }
    }
}

/// What an event has become for one recipient, or for all of them.
pub(in crate::fanout) struct Made {
    pub body: Body,
    /// Whether it is for him alone.
    pub personal: bool,
}

impl Group {
    /// Tells everything that happens to the thread, until it is deleted.
    pub(in crate::fanout) async fn deliver_all(self: Arc<Self>, mut feed: Feed) {
        let mut runs = Vec::new();
        let mut batch = Batch::default();
        let mut ended = false;
        while !ended {
            let step = {
                let mut next = pin!(feed.next());
                // What is ready for use takes memory: not while nothing happens.
                match timeout(IDLE, &mut next).await {
                    Ok(step) => step,
                    Err(_) => {
                        runs.clear();
                        self.shared.rest();
                        next.await
                    }
                }
            };
            sleep_until(batch.not_before).await;
            let seq = feed.position().seq;
            ended = self.take(&mut runs, &mut batch, (step, seq)).await;
            // All that has come meanwhile goes out together.
            while !ended && batch.news.len() < MOST_TOGETHER {
                let Some(step) = feed.take_ready() else {
                    break;
                };
                let seq = feed.position().seq;
                ended = self.take(&mut runs, &mut batch, (Some(step), seq)).await;
            }
            self.flush(&mut batch);
        }
        self.end();
        self.dismiss(&Body::Complete);
    }

    /// Takes the next step, with the newest event that its feed knows; answers whether it was the
    /// last one.
    async fn take(
        self: &Arc<Self>,
        runs: &mut Vec<Run>,
        batch: &mut Batch,
        (step, seq): (Option<Step>, i64),
    ) -> bool {
        match step {
            None => true,
            Some(Step::Prove(whose)) => {
                self.flush(batch);
                self.shared.forget();
                // First, so that nobody joins beside those who are asked now.
                self.require_proof(seq);
                self.prove(&whose).await;
                false
            }
            Some(Step::Tell(occurrence, position)) => {
                self.deliver(runs, batch, (occurrence, position)).await
            }
        }
    }

    /// Makes one thing that is to be told, and tells it if it is not the same for all; answers
    /// whether the group cannot go on.
    async fn deliver(self: &Arc<Self>, runs: &mut Vec<Run>, batch: &mut Batch, news: News) -> bool {
        let member = loop {
            if let Some(member) = self.anyone(&news) {
                break member;
            }
            self.flush(batch);
            if self.pass(&news) {
                self.shared.skip(&news.0);
                return false;
            }
        };
        if runs.is_empty() {
            runs.push(self.begin(&member.seat, &member.recipient));
        }
        let made = make(&mut runs[0], &member.told(&news), &member.recipient).await;
        if matches!(made.body, Body::Restart) {
            // Nobody has been told: whoever comes back finds another group.
            self.flush(batch);
            self.end();
            self.dismiss(&made.body);
            return true;
        }
        let alone = made.personal || member.is_ahead_of(&news);
        if alone || self.has_ahead(&news) {
            self.shared.skip(&news.0);
            self.flush(batch);
            self.deliver_each(runs, news, member, (made.body, alone))
                .await;
        } else {
            self.app().metrics.executed_for_all();
            self.shared.keep(&news.0, news.1, &made.body);
            batch.bodies.push(made.body);
            batch.news.push(news);
        }
        false
    }

    /// Tells what is the same for all.
    fn flush(self: &Arc<Self>, batch: &mut Batch) {
        let (news, bodies) = batch.take();
        let Some((last, _)) = news.last() else {
            return;
        };
        let body = |index: usize, member: &Member| {
            let body = bodies.get(index);
            body.filter(|_| !member.is_ahead_of(&news[index]))
        };
        loop {
            match self.tell(&news, body) {
                Ok(late) => break self.catch_up_all(late, &last.access),
                // They have just joined: what is not in the log is not for them yet.
                Err(ahead) => {
                    for member in ahead {
                        if let Some(late) = self.release(member.seat.number) {
                            self.catch_up_apart(late, &last.access);
                        }
                    }
                }
            }
        }
        batch.rest_after(self.size(), news.len());
    }

    /// Tells each member what is for him alone; if what the first one is told is not, only those
    /// who are ahead are told something else.
    async fn deliver_each(
        self: &Arc<Self>,
        runs: &mut Vec<Run>,
        news: News,
        first: Member,
        (body, alone): (Body, bool),
    ) {
        while runs.len() < AT_ONCE {
            runs.push(self.begin(&first.seat, &first.recipient));
        }
        let metrics = &self.app().metrics;
        let (mut bodies, shared) = if alone {
            metrics.executed_for_one();
            (HashMap::from([(first.seat.number, body)]), None)
        } else {
            metrics.executed_for_all();
            (HashMap::new(), Some(body))
        };
        let news = [news];
        let shared = |member: &Member| {
            let shared = shared.as_ref();
            shared.filter(|_| !member.is_ahead_of(&news[0]))
        };
        let mut missing = self.members(|member| {
            let has = shared(member).is_some() || bodies.contains_key(&member.seat.number);
            !has && member.wants(&news[0].0)
        });
        loop {
            for _ in &missing {
                metrics.executed_for_one();
            }
            bodies.extend(make_each(runs, &news[0], &missing).await);
            let body = |_, member: &Member| {
                let own = || bodies.get(&member.seat.number);
                shared(member).or_else(own)
            };
            match self.tell(&news, body) {
                Ok(late) => return self.catch_up_all(late, &news[0].0.access),
                // These have joined meanwhile.
                Err(joined) => missing = joined,
            }
        }
    }

    /// Lets somebody who has just become a member prove his access once more.
    pub(in crate::fanout) fn give_back(self: &Arc<Self>, seat: &Seat, access: &ThreadAccess) {
        if let Some(late) = self.release(seat.number) {
            self.catch_up_apart(late, access);
        }
    }

    /// Begins to execute what the members are told.
    pub(in crate::fanout) fn begin(&self, seat: &Seat, to: &Recipient) -> Run {
        Run::new(
            self.app(),
            &self.plan,
            &seat.credential,
            Arc::clone(&to.viewer),
        )
    }

    /// Lets those for whom there was no room read the log at their own pace.
    fn catch_up_all(self: &Arc<Self>, late: Vec<Late>, access: &ThreadAccess) {
        for late in late {
            self.app().metrics.slow_reader_to_log();
            self.catch_up_apart(late, access);
        }
    }

    /// Brings a former member up to the group again, by a task of his own.
    fn catch_up_apart(self: &Arc<Self>, late: Late, access: &ThreadAccess) {
        let Late {
            member,
            at,
            since,
            joining,
        } = late;
        member.seat.sit(None);
        let admitted = Admitted {
            access: access.seen_as(member.recipient.eyes),
            recipient: member.recipient,
            // Whoever was a member was proven up to now, but what is decided from here on may
            // not have come to the group.
            rights: None,
        };
        let replay = Replay::new(
            Arc::clone(self.app()),
            admitted.access.clone(),
            at,
            Some(since),
        );
        let seat = member.seat;
        let work = Arc::clone(&seat).catch_up(replay, admitted, joining);
        self.fanout.spawn(&seat, work);
    }

    /// Proves that members still see the thread; ends the subscriptions of those who do not.
    async fn prove(self: &Arc<Self>, whose: &Whose) {
        let members = self.members(|member| member.seat.is_of(whose));
        let at = self.head();
        stream::iter(members)
            .for_each_concurrent(AT_ONCE, |member| async move {
                self.prove_one(&member, at).await;
            })
            .await;
    }

    async fn prove_one(self: &Arc<Self>, member: &Member, at: Position) {
        match member.seat.admit_again(self.key.thread, at).await {
            Ok(Some(admitted)) if admitted.access.is_staff() == self.key.staff => {
                self.renew(member, admitted.recipient);
            }
            // He belongs to the other audience now.
            Ok(Some(admitted)) => {
                if let Some(late) = self.release(member.seat.number) {
                    let seat = Arc::clone(&late.member.seat);
                    seat.sit(None);
                    let app = Arc::clone(self.app());
                    let replay = Replay::new(app, admitted.access.clone(), late.at, None);
                    let work = Arc::clone(&seat).catch_up(replay, admitted, late.joining);
                    self.fanout.spawn(&seat, work);
                }
            }
            // The thread is deleted, which the group is about to be told.
            Ok(None) => {}
            Err(error) => {
                self.leave(&member.seat);
                let seat = Arc::clone(&member.seat);
                self.fanout
                    .tasks
                    .spawn(async move { seat.fail(error).await });
            }
        }
    }
}

impl Seat {
    /// Proves anew that the subscriber, who has been told everything up to a position, sees the
    /// thread; none: it is deleted, and he may know. Waits for an absent database.
    pub(in crate::fanout) async fn admit_again(
        &self,
        thread: ThreadId,
        at: Position,
    ) -> Result<Option<Admitted>> {
        let mut failures = 0;
        loop {
            let attempt = match self.admit(&Ref::Id(thread)).await {
                Ok(admitted) => return Ok(Some(admitted)),
                // Not to know is not to have lost it.
                Err(Error::Internal(cause)) => Err(Error::Internal(cause)),
                Err(Error::NotFound(_)) => self.may_hear_of_deletion(thread, at).await,
                Err(error) => return Err(error),
            };
            match attempt {
                Ok(true) => return Ok(None),
                Ok(false) => return Err(Error::NotFound("thread")),
                Err(cause) => tracing::warn!(?cause, "access could not be proven"),
            }
            sleep(pause(failures)).await;
            failures += 1;
        }
    }

    /// Whether the thread was deleted before the subscriber lost it.
    async fn may_hear_of_deletion(&self, thread: ThreadId, at: Position) -> Result<bool> {
        let viewer = auth::viewer(self.app(), &self.credential).await?;
        let mut conn = self.app().conn().await?;
        let reaches = |id| viewer.key_reaches(id) || viewer.role_in(id).is_some();
        let deletion = events::deletion(&mut conn, (thread, viewer.user_id()), at.seq).await?;
        Ok(deletion.is_some_and(|event| reaches(event.organization_id)))
    }
}

/// Executes a document for a recipient; tries again what failed for reasons that may pass.
pub(in crate::fanout) async fn make(
    run: &mut Run,
    occurrence: &Occurrence,
    to: &Recipient,
) -> Made {
    let mut failures = 0;
    loop {
        let executed = run.execute(occurrence, to).await;
        if let Some(made) = settle(executed, &occurrence.cursor, failures) {
            return made;
        }
        sleep(pause(failures)).await;
        failures += 1;
    }
}

/// What an execution makes of something that is told with a cursor, after so many failures; none
/// if it is to be tried again.
pub(in crate::fanout) fn settle(
    executed: Executed,
    cursor: &Arc<str>,
    failures: u32,
) -> Option<Made> {
    let again = failures < ATTEMPTS;
    let (body, personal) = match executed {
        Executed::Result { failed: true, .. } | Executed::Errors { internal: true, .. }
            if again =>
        {
            return None;
        }
        Executed::Result { json, personal, .. } => {
            let cursor = Arc::clone(cursor);
            (Body::Event(Arc::new(Payload { json, cursor })), personal)
        }
        Executed::Errors { internal: true, .. } => (Body::Restart, true),
        Executed::Errors { json, .. } => (Body::Errors(json), true),
    };
    Some(Made { body, personal })
}

/// Executes for each of these members, several at once.
async fn make_each(runs: &mut [Run], news: &News, members: &[Member]) -> Vec<(u64, Body)> {
    let part = members.len().div_ceil(runs.len()).max(1);
    let parts = members.chunks(part);
    let made = runs.iter_mut().zip(parts).map(|(run, part)| async move {
        let mut made = Vec::with_capacity(part.len());
        for member in part {
            let told = member.told(news);
            let body = make(run, &told, &member.recipient).await.body;
            made.push((member.seat.number, body));
        }
        made
    });
    let made = futures_util::future::join_all(made).await;
    made.into_iter().flatten().collect()
}
