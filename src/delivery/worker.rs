//! Takes what is due, delivers it, stores what came of it. What a claim holds is held without a
//! transaction: it ends by itself. No request begins that could last for longer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use uuid::Uuid;

use crate::actions;
use crate::app::App;
use crate::db::delivery::queue::{self, Claim, Room};
use crate::db::delivery::target::{self, Target};
use crate::db::delivery::{self, Attempt, Delivery};
use crate::db::enums::DeliveryStatus;
use crate::delivery::calling::{Call, Caller, Outcome};
use crate::delivery::rendering::{Rendered, Renderer};
use crate::delivery::schedule;
use crate::error::{Error, Result};

/// How often it looks for what is due, if nothing tells it to.
const EVERY: Duration = Duration::from_secs(1);

/// How long a claim holds beyond the request's own limit: the time to make a body, and the time
/// to store what came of it, which the first must not use up.
const MARGIN: Duration = Duration::from_secs(10);

/// How much of a claim must be left beside the request's own limit when the request begins, to
/// store what came of it.
const STORING: Duration = Duration::from_secs(3);

/// How long a body may take.
const MAKING: Duration = Duration::from_secs(5);

/// How long the end of the server waits for what was begun.
const DRAIN: Duration = Duration::from_secs(20);

/// How long it takes to give back what did not come to its end, at most.
const GIVING_BACK: Duration = Duration::from_secs(5);

/// When a target takes something again, what waits there is tried at once, unless it was tried
/// within so many first pauses.
const REST: u32 = 30;

/// The part of the slots that one target may have is one over this.
const SHARE: i64 = 4;

/// Delivers for a server.
pub struct Worker {
    desk: Arc<Desk>,
    tasks: JoinSet<Option<Duration>>,
    running: HashMap<Id, Claim>,
    /// When something is to be tried again, as far as that is known here.
    soonest: Option<Instant>,
}

/// What each delivery needs.
struct Desk {
    app: Arc<App>,
    caller: Caller,
    renderer: Renderer,
}

impl Worker {
    /// For a server.
    pub fn new(app: Arc<App>) -> Result<Self> {
        let desk = Desk {
            caller: Caller::new(&app.settings.delivery)?,
            renderer: Renderer::new(Arc::clone(&app)),
            app,
        };
        Ok(Self {
            desk: Arc::new(desk),
            tasks: JoinSet::new(),
            running: HashMap::new(),
            soonest: None,
        })
    }

    /// Delivers until the server shuts down.
    pub async fn run(mut self) {
        let desk = Arc::clone(&self.desk);
        let app = &desk.app;
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !app.shutdown.is_cancelled() {
            if let Err(error) = self.take_on().await {
                tracing::warn!(?error, "it could not be seen what is to be delivered");
            }
            let again = self.soonest.unwrap_or_else(|| Instant::now() + EVERY);
            tokio::select! {
                _ = ticks.tick() => {}
                () = app.deliveries.notified() => {}
                () = sleep_until(again) => self.soonest = None,
                Some(ended) = self.tasks.join_next_with_id() => self.ended(ended),
                () = app.shutdown.cancelled() => {}
            }
            while let Some(ended) = self.tasks.try_join_next_with_id() {
                self.ended(ended);
            }
        }
        self.end().await;
    }

    /// Claims what there is room for, and begins with it.
    async fn take_on(&mut self) -> Result<()> {
        let settings = &self.desk.app.settings.delivery;
        let slots = i64::from(settings.concurrency);
        let free = slots - i64::try_from(self.running.len()).unwrap_or(slots);
        if free <= 0 {
            return Ok(());
        }
        let mut busy: HashMap<Uuid, i64> = HashMap::new();
        for claim in self.running.values() {
            *busy.entry(claim.target_id).or_default() += 1;
        }
        let room = Room {
            slots: free,
            per_target: (slots / SHARE).max(1),
            busy: busy.into_iter().collect(),
            lease: settings.timeout() + MARGIN,
        };
        let mut conn = self.desk.app.conn().await?;
        // A claim begins after this.
        let latest = Instant::now() + (MARGIN - STORING);
        let claims = queue::claim(&mut conn, &room).await?;
        drop(conn);
        for claim in claims {
            let (desk, claimed) = (Arc::clone(&self.desk), claim.clone());
            let task = self
                .tasks
                .spawn(async move { desk.serve(&claimed, latest).await });
            self.running.insert(task.id(), claim);
        }
        Ok(())
    }

    fn ended(&mut self, ended: Result<(Id, Option<Duration>), JoinError>) {
        match ended {
            Ok((id, again)) => {
                self.running.remove(&id);
                let again = again.map(|pause| Instant::now() + pause);
                self.soonest = [self.soonest, again].into_iter().flatten().min();
            }
            Err(error) => {
                // Its claim ends by itself: not at once, or it would break again and again.
                self.running.remove(&error.id());
                tracing::error!(%error, "a delivery has broken");
            }
        }
    }

    /// Lets what was begun come to its end; what does not is for others to take up at once.
    async fn end(&mut self) {
        let until = Instant::now() + DRAIN;
        while let Ok(Some(ended)) =
            tokio::time::timeout_at(until, self.tasks.join_next_with_id()).await
        {
            self.ended(ended);
        }
        self.tasks.shutdown().await;
        let leases: Vec<Uuid> = self.running.values().map(|claim| claim.lease).collect();
        if leases.is_empty() {
            return;
        }
        let given_back = async {
            let mut conn = self.desk.app.conn().await?;
            queue::give_back(&mut conn, &leases).await
        };
        let given_back = timeout(GIVING_BACK, given_back).await;
        if let Err(error) = given_back.map_err(Error::internal).flatten() {
            tracing::warn!(?error, "deliveries that were begun are taken up late");
        }
    }
}

impl Desk {
    /// Delivers the first of a queue; for how long it is to be left alone then, if it failed.
    /// `latest`: when the request begins at the latest, or the claim would end before it does.
    async fn serve(&self, claim: &Claim, latest: Instant) -> Option<Duration> {
        match self.deliver(claim, latest).await {
            Ok(again) => again,
            // The claim ends by itself, and the delivery is tried again then.
            Err(error) => {
                tracing::warn!(?error, "what came of a delivery could not be stored");
                None
            }
        }
    }

    async fn deliver(&self, claim: &Claim, latest: Instant) -> Result<Option<Duration>> {
        let (app, settings) = (&self.app, &self.app.settings.delivery);
        let mut conn = app.conn().await?;
        let at = app.clock.now();
        let first = delivery::begin(&mut conn, claim, at).await?;
        drop(conn);
        let Some(delivery) = first else {
            actions::delivery::let_go(app, claim).await?;
            return Ok(None);
        };
        let began = Instant::now();
        let outcome = self.outcome(&delivery, latest).await;
        let attempt = schedule::attempt(settings, &delivery, outcome, (at, app.clock.now()));
        note(&delivery, &attempt);
        app.metrics.called(attempt.status, began.elapsed());
        let stored = actions::delivery::settle(app, claim, &delivery, &attempt).await?;
        if stored && attempt.status == DeliveryStatus::Delivered && delivery.attempts > 0 {
            let mut conn = app.conn().await?;
            queue::recover(&mut conn, delivery.target(), settings.backoff() * REST).await?;
            app.deliveries.notify_one();
        }
        let pending = attempt.status == DeliveryStatus::Pending;
        Ok(pending.then_some(attempt.pause))
    }

    async fn outcome(&self, delivery: &Delivery, latest: Instant) -> Outcome {
        if schedule::is_used_up(&self.app.settings.delivery, delivery) {
            let reason = "it was begun as often as it may be, and never came to an end".to_owned();
            return Outcome::Refused { reason };
        }
        let called = self.call(delivery, latest).await;
        called.unwrap_or_else(|error| {
            tracing::warn!(?error, id = %delivery.id, "a delivery could not be made");
            Outcome::Failed {
                status: None,
                reason: "the server could not make the body".to_owned(),
                wait: None,
            }
        })
    }

    async fn call(&self, delivery: &Delivery, latest: Instant) -> Result<Outcome> {
        let prepared = timeout(MAKING, self.prepare(delivery)).await;
        let (target, body) = match prepared.map_err(Error::internal)?? {
            Ok(prepared) => prepared,
            Err(outcome) => return Ok(outcome),
        };
        if Instant::now() > latest {
            return Ok(Outcome::Late);
        }
        let call = Call {
            url: &target.url,
            secret: &target.secret,
            id: delivery.id,
            at: self.app.clock.now(),
            body,
        };
        Ok(self.caller.call(call).await)
    }

    /// Where a delivery goes, and what is said there; or why nothing is.
    async fn prepare(&self, delivery: &Delivery) -> Result<Result<(Target, String), Outcome>> {
        let refused = |reason: &str| Outcome::Refused {
            reason: reason.to_owned(),
        };
        let mut conn = self.app.conn().await?;
        let target = target::of(&mut conn, delivery).await?;
        drop(conn);
        let target = match target {
            Ok(target) => target,
            Err(reason) => return Ok(Err(refused(reason))),
        };
        Ok(match self.renderer.render(delivery).await? {
            Rendered::Body(body) => Ok((target, body)),
            // A webhook is told of the deletion by an event of its own.
            Rendered::Gone(reason) if delivery.webhook_id.is_some() => Err(Outcome::Gone {
                reason: reason.to_owned(),
            }),
            Rendered::Gone(reason) | Rendered::Lost(reason) => Err(refused(reason)),
        })
    }
}

/// For the operator: what was given up, and what is being tried again.
fn note(delivery: &Delivery, attempt: &Attempt) {
    let (id, reason) = (delivery.id, attempt.error.as_deref().unwrap_or_default());
    match attempt.status {
        DeliveryStatus::Delivered => tracing::debug!(%id, "delivered"),
        DeliveryStatus::Pending => {
            tracing::debug!(%id, attempts = delivery.attempts + 1, reason, "not delivered yet");
        }
        DeliveryStatus::Failed => tracing::info!(%id, reason, "a delivery was given up"),
    }
}
