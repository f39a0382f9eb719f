//! One subscription of one connection: where it stands, and where its results go.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};

use async_graphql::Response;
use tokio::time::Instant;

use crate::app::App;
use crate::auth::{self, Credential, Present, Viewer};
use crate::db::access::{ThreadAccess, find};
use crate::db::watermark;
use crate::error::{Error, Result};
use crate::fanout::Fanout;
use crate::fanout::group::{Group, Joining};
use crate::fanout::outbox::{Body, Filling, Lane, Outbox};
use crate::fanout::run::{Plan, Recipient};
use crate::graphql::answer::{refused, written_errors};
use crate::graphql::context::{Session, Target};
use crate::ids::{Ref, ThreadId};
use crate::live::bus::Subject;
use crate::live::cursor::Position;
use crate::live::replay::{Replay, Whose};
use crate::metrics::Held;

/// A subscription.
pub struct Seat {
    /// What tells it from all others of this process.
    pub(in crate::fanout) number: u64,
    pub(in crate::fanout) fanout: Arc<Fanout>,
    pub(in crate::fanout) credential: Arc<Credential>,
    outbox: Arc<Outbox>,
    lane: Arc<Lane>,
    _counted: Held,
    /// The group that it sits in, once it does.
    group: Mutex<Option<Arc<Group>>>,
}

/// A seat that is given up when this is dropped.
pub struct Membership(Arc<Seat>);

impl Drop for Membership {
    fn drop(&mut self) {
        self.0.outbox.end(&self.0.lane);
        self.0.leave();
    }
}

/// A proof that the subscriber sees the thread, and for whom it is told then.
pub(in crate::fanout) struct Admitted {
    pub access: ThreadAccess,
    pub recipient: Recipient,
    /// How many changes of anybody's access this process knew of before the proof was made; none:
    /// it is to be made anew.
    pub rights: Option<u64>,
}

impl Seat {
    /// Whose results go into an operation's lane of an outbox.
    pub fn new(
        fanout: &Arc<Fanout>,
        credential: Arc<Credential>,
        outbox: Arc<Outbox>,
        lane: Arc<Lane>,
    ) -> (Arc<Self>, Membership) {
        let seat = Arc::new(Self {
            number: fanout.seats.fetch_add(1, Ordering::Relaxed),
            fanout: Arc::clone(fanout),
            credential,
            outbox,
            lane,
            _counted: fanout.app.metrics.subscription(),
            group: Mutex::default(),
        });
        (Arc::clone(&seat), Membership(seat))
    }

    /// Takes the seat: tells what was missed, then leaves the rest to the group. `started` is
    /// called once nothing that happens from then on is missed. `resume` replaces the document's
    /// own cursor.
    pub async fn take(
        self: &Arc<Self>,
        plan: Plan,
        resume: Option<String>,
        started: impl FnOnce() + Send,
    ) {
        let app = Arc::clone(self.app());
        let rights = app.bus.rights.count();
        let viewer = match auth::viewer(&app, &self.credential).await {
            Ok(viewer) => Arc::new(viewer),
            Err(error) => return self.fail(error).await,
        };
        let present = Present::new(Arc::clone(&viewer));
        let session = Session {
            credential: Credential::clone(&self.credential),
            viewer: present.clone(),
        };
        match plan.target(&app, session).await {
            Ok(Target::Thread(thread, after)) => {
                let after = resume.or(after);
                let admitted = self.admit_as(viewer, rights, &thread).await;
                match self.begin(plan, admitted, after).await {
                    Ok((replay, admitted, joining)) => {
                        started();
                        Arc::clone(self).catch_up(replay, admitted, joining).await;
                    }
                    Err(error) => self.fail(error).await,
                }
            }
            Ok(Target::Everything(after)) => {
                let wanted = (present, resume.or(after));
                self.follow_everything(&plan, wanted, started).await;
            }
            Err(Some(answer)) => self.refuse(&answer).await,
            Err(None) => {
                self.send(&Body::Complete).await;
            }
        }
    }

    /// Finds the group of a subscriber who sees the thread, and where he stands.
    async fn begin(
        self: &Arc<Self>,
        plan: Plan,
        admitted: Result<Admitted>,
        after: Option<String>,
    ) -> Result<(Replay, Admitted, Joining)> {
        let app = self.app();
        let admitted = admitted?;
        // It listens before it is read how far watermarks have moved.
        let joining = Group::join(&self.fanout, &Arc::new(plan), &admitted.access).await?;
        let mut conn = app.conn().await?;
        let read_at = Some(Instant::now());
        let newest = watermark::newest_moves(&mut conn, &[&admitted.access]).await?;
        drop(conn);
        let newest = newest.get(&admitted.access.thread().id).copied();
        let now = Position::now(&admitted.access, newest);
        let replay = Replay::new(Arc::clone(app), admitted.access.clone(), now, read_at);
        let replay = match after {
            Some(cursor) => replay.behind(&cursor, newest),
            None => replay,
        };
        Ok((replay, admitted, joining))
    }

    /// Proves that the subscriber sees the thread at this moment.
    pub(in crate::fanout) async fn admit(&self, thread: &Ref<ThreadId>) -> Result<Admitted> {
        let rights = self.app().bus.rights.count();
        let viewer = auth::viewer(self.app(), &self.credential).await?;
        self.admit_as(Arc::new(viewer), rights, thread).await
    }

    /// The same for who he is, as it was read when there had been so many changes of access.
    async fn admit_as(
        &self,
        viewer: Arc<Viewer>,
        rights: u64,
        thread: &Ref<ThreadId>,
    ) -> Result<Admitted> {
        let conn = self.app().conn().await?;
        let access = find::thread(&conn, &viewer, thread).await?;
        let recipient = Recipient {
            viewer,
            eyes: access.eyes(),
        };
        Ok(Admitted {
            access,
            recipient,
            rights: Some(rights),
        })
    }

    /// Whether a change of this access concerns the subscriber.
    pub(in crate::fanout) fn is_of(&self, whose: &Whose) -> bool {
        match whose {
            Whose::Everybody => true,
            Whose::Person(user) => self.credential.subject() == Subject::User(*user),
            Whose::Since(count) => {
                let rights = &self.app().bus.rights;
                rights.changed_since(*count, &self.credential.subject())
            }
        }
    }

    /// Lets things be put into the outbox that are to be written together.
    pub(in crate::fanout) fn filling(&self) -> Filling<'_> {
        self.outbox.filling(&self.lane)
    }

    /// Puts something into the outbox, and waits for room; false: nobody will write it.
    pub(in crate::fanout) async fn send(&self, body: &Body) -> bool {
        self.outbox.send(&self.lane, body).await
    }

    /// Resolves when the subscriber has gone.
    pub(in crate::fanout) async fn ended(&self) {
        self.outbox.ended(&self.lane).await;
    }

    /// Whether the subscriber has gone.
    pub(in crate::fanout) fn has_ended(&self) -> bool {
        self.lane.has_ended()
    }

    /// Ends the subscription with an error.
    pub(in crate::fanout) async fn fail(&self, error: Error) {
        let ends = self.credential.expires_at();
        if ends.is_some_and(|at| at <= self.app().clock.now()) {
            // The client is to come back with another token, as it does when the connection ends
            // with this one.
            self.send(&Body::Restart).await;
        } else if let Error::Internal(cause) = error {
            // A client takes an error of the operation for final, and a closed socket for a
            // reason to come back, with its last cursor.
            tracing::warn!(?cause, "a subscription could not begin");
            self.send(&Body::Restart).await;
        } else {
            self.refuse(&refused(error)).await;
        }
    }

    async fn refuse(&self, answer: &Response) {
        let errors = written_errors(answer).into();
        self.send(&Body::Errors(errors)).await;
    }

    /// Sits in a group from now on.
    pub(in crate::fanout) fn sit(&self, group: Option<Arc<Group>>) {
        *self.group() = group;
    }

    /// Leaves the group, if it sits in one.
    pub(in crate::fanout) fn leave(&self) {
        let group = self.group().take();
        if let Some(group) = group {
            group.leave(self);
        }
    }

    pub(in crate::fanout) fn app(&self) -> &Arc<App> {
        &self.fanout.app
    }

    fn group(&self) -> MutexGuard<'_, Option<Arc<Group>>> {
        self.group.lock().expect("no holder of this lock panics")
    }
}
