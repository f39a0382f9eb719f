//! Brings one subscriber from where he stands to where his group stands: what he missed is read
//! from the log, at his own pace. What one has read, those who come after him are given.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::sleep;

use crate::error::{Error, Result};
use crate::fanout::delivery::{Made, make};
use crate::fanout::group::{Admission, Group, Joining};
use crate::fanout::outbox::Body;
use crate::fanout::run::Run;
use crate::fanout::seat::{Admitted, Seat};
use crate::live::cursor::Position;
use crate::live::feed::pause;
use crate::live::replay::{Occurrence, Replay, Step, What};

/// Somebody on the way to his group.
struct CatchUp {
    seat: Arc<Seat>,
    replay: Replay,
    admitted: Admitted,
    joining: Joining,
    /// Up to where he has been told everything.
    told: Position,
    /// What executes for him alone, if results are personal.
    own: Option<Run>,
    /// Whether the thread is deleted, which the log still has to tell.
    deleted: bool,
}

/// Whether there is more to do.
#[derive(PartialEq, Eq)]
enum Progress {
    More,
    Done,
}

impl Seat {
    /// Tells what the replay has, and joins the group when there is nothing more.
    pub(in crate::fanout) fn catch_up(
        self: Arc<Self>,
        replay: Replay,
        admitted: Admitted,
        joining: Joining,
    ) -> BoxFuture<'static, ()> {
        let catch_up = CatchUp {
            seat: self,
            told: replay.position(),
            replay,
            admitted,
            joining,
            own: None,
            deleted: false,
        };
        catch_up.run().boxed()
    }
}

impl CatchUp {
    async fn run(mut self) {
        let mut failures = 0;
        while !self.seat.has_ended() {
            match self.advance().await {
                Ok(Progress::More) => failures = 0,
                Ok(Progress::Done) => return,
                Err(Error::Internal(cause)) => {
                    tracing::warn!(?cause, "a subscription waits for the database");
                    sleep(pause(failures)).await;
                    failures += 1;
                }
                Err(error) => return self.seat.fail(error).await,
            }
        }
    }

    async fn advance(&mut self) -> Result<Progress> {
        match self.replay.take_step() {
            Some(Step::Prove(whose)) if self.seat.is_of(&whose) => self.prove().await,
            Some(Step::Prove(_)) => Ok(Progress::More),
            Some(Step::Tell(occurrence, _)) if self.is_outdated(&occurrence) => {
                self.rewind();
                Ok(Progress::More)
            }
            Some(Step::Tell(occurrence, position)) => {
                let made = self.make(&occurrence).await;
                self.say(&made.body, position).await
            }
            None => {
                self.told = self.replay.position();
                if self.replay.has_ended() {
                    self.say(&Body::Complete, self.told).await
                } else if self.deleted {
                    self.read_rest().await
                } else {
                    self.join_or_read().await
                }
            }
        }
    }

    /// Gives the subscriber something, the position behind it.
    async fn say(&mut self, body: &Body, position: Position) -> Result<Progress> {
        let said = self.seat.send(body).await;
        let delivered = said && !body.is_last();
        self.seat.app().metrics.delivered(u64::from(delivered));
        self.told = position;
        Ok(if delivered {
            Progress::More
        } else {
            Progress::Done
        })
    }

    /// Joins the group if he stands where it stands; else reads what lies between.
    async fn join_or_read(&mut self) -> Result<Progress> {
        if self.is_in_doubt() {
            return self.prove().await;
        }
        if self.admitted.access.is_staff() != self.group().key.staff {
            return self.find_group().await;
        }
        let at = (self.told, self.replay.moves_read_at());
        match self.group().admit(&self.seat, &self.admitted, at) {
            Admission::Granted => {
                if self.is_in_doubt() {
                    // It changed at that very moment: those who were asked may not have been he.
                    self.group().give_back(&self.seat, &self.admitted.access);
                }
                Ok(Progress::Done)
            }
            Admission::Behind(head) if self.told.seq >= head.seq => {
                self.replay.tell_moves().await?;
                // What the group has told stood in the table before this was read.
                self.replay.moves_told_before(head.running);
                Ok(Progress::More)
            }
            Admission::Behind(_) => self.read().await,
            Admission::Unproven => self.prove().await,
            Admission::Closed => self.find_group().await,
        }
    }

    /// Finds the group that he belongs to by now.
    async fn find_group(&mut self) -> Result<Progress> {
        let (fanout, plan) = (&self.seat.fanout, Arc::clone(&self.group().plan));
        match Group::join(fanout, &plan, &self.admitted.access).await {
            Ok(joining) => {
                self.joining = joining;
                Ok(Progress::More)
            }
            // It may have been deleted, which he is to be told.
            Err(Error::NotFound(_)) => self.prove().await,
            Err(error) => Err(error),
        }
    }

    /// Whether his access may have changed since it was proven.
    fn is_in_doubt(&self) -> bool {
        let rights = &self.seat.app().bus.rights;
        let changed = |known| rights.changed_since(known, &self.seat.credential.subject());
        self.admitted.rights.is_none_or(changed)
    }

    /// Whether something was read for an audience that may not be his any more.
    fn is_outdated(&self, occurrence: &Occurrence) -> bool {
        matches!(occurrence.what, What::Event(_)) && !self.deleted && self.is_in_doubt()
    }

    /// Reads the next stretch of the log, or takes what another one has read.
    async fn read(&mut self) -> Result<Progress> {
        let group = Arc::clone(self.group());
        let from = self.told.seq;
        if group.shared.is_personal() {
            self.replay.read_log().await?;
            self.count_replay(from, self.replay.position().seq);
            return self.go_on(from).await;
        }
        let mut bodies = group.shared.after(self.told, self.replay.proven_to());
        if bodies.is_empty() {
            // One reads, the others wait and find what he has read.
            let mut turn = group.shared.turn().await;
            bodies = group.shared.after(self.told, self.replay.proven_to());
            if bodies.is_empty() {
                let mut run = turn.take().unwrap_or_else(|| self.begin());
                bodies = self.read_for_all(&group, &mut run).await?;
                *turn = Some(run);
            }
        }
        let Some((_, last)) = bodies.last() else {
            return self.go_on(from).await;
        };
        self.count_replay(from, last.seq);
        for (body, position) in bodies {
            if self.is_in_doubt() {
                // What was made for the former audience may not be for him any more.
                self.rewind();
                return Ok(Progress::More);
            }
            if self.say(&body, position).await? == Progress::Done {
                return Ok(Progress::Done);
            }
            self.replay.told_up_to(position.seq);
        }
        Ok(Progress::More)
    }

    /// Goes on after a reading that began there. If it led nowhere, nothing is left of the log, or
    /// the proof is older than what is missing.
    async fn go_on(&mut self, from: i64) -> Result<Progress> {
        if self.replay.position().seq == from && !self.replay.has_steps() {
            return self.prove().await;
        }
        Ok(Progress::More)
    }

    /// Reads a stretch of the log, up to where access must be proven, and keeps what comes of it.
    async fn read_for_all(
        &mut self,
        group: &Group,
        run: &mut Run,
    ) -> Result<Vec<(Body, Position)>> {
        let generation = group.shared.generation();
        let mut told = self.told.seq;
        self.replay.read_log().await?;
        let mut bodies = Vec::new();
        while let Some((occurrence, position)) = self.replay.next_to_tell() {
            let made = make(run, &occurrence, &self.admitted.recipient).await;
            if made.personal {
                self.seat.app().metrics.executed_for_one();
                group.shared.set_personal();
            } else {
                self.seat.app().metrics.executed_for_all();
                let news = (told, &occurrence, position);
                group.shared.keep_read(generation, news, &made.body);
            }
            told = position.seq;
            bodies.push((made.body, position));
        }
        Ok(bodies)
    }

    fn count_replay(&self, from: i64, to: i64) {
        let events = u64::try_from(to - from).unwrap_or(0);
        self.seat.app().metrics.replayed(events);
    }

    /// Goes back to what has been told in fact.
    fn rewind(&mut self) {
        let app = Arc::clone(self.seat.app());
        // What was read of watermarks is given up with the rest.
        self.replay = Replay::new(app, self.admitted.access.clone(), self.told, None);
    }

    /// Reads up to the thread's deletion.
    async fn read_rest(&mut self) -> Result<Progress> {
        if self.replay.read_log().await? && !self.replay.has_ended() {
            return Err(Error::NotFound("thread"));
        }
        Ok(Progress::More)
    }

    async fn make(&mut self, occurrence: &Occurrence) -> Made {
        let run = match self.own.take() {
            Some(run) => run,
            None => self.begin(),
        };
        let run = self.own.insert(run);
        self.seat.app().metrics.executed_for_one();
        make(run, occurrence, &self.admitted.recipient).await
    }

    /// Proves anew that the subscriber sees the thread.
    async fn prove(&mut self) -> Result<Progress> {
        let thread = self.group().key.thread;
        let Some(admitted) = self.seat.admit_again(thread, self.told).await? else {
            self.deleted = true;
            return Ok(Progress::More);
        };
        let same = admitted.access.is_staff() == self.admitted.access.is_staff();
        self.admitted = admitted;
        if same {
            self.replay.proven(self.admitted.access.clone());
        } else {
            self.rewind();
        }
        Ok(Progress::More)
    }

    fn begin(&self) -> Run {
        self.group().begin(&self.seat, &self.admitted.recipient)
    }

    fn group(&self) -> &Arc<Group> {
        &self.joining.0
    }
}
