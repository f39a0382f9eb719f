//! Tells one subscriber what happens in all that he sees, at his own pace.

use std::sync::Arc;

use tokio::time::sleep;

use crate::auth::{Credential, Present};
use crate::fanout::delivery::{Made, settle};
use crate::fanout::outbox::Body;
use crate::fanout::run::{Plan, Run};
use crate::fanout::seat::Seat;
use crate::live::feed::pause;
use crate::live::payload::Outcome;
use crate::live::viewer::ViewerFeed;
use crate::live::viewer::replay::Occurrence;

impl Seat {
    /// Follows everything until it ends; `started` is called once nothing is missed any more.
    pub(in crate::fanout) async fn follow_everything(
        &self,
        plan: &Plan,
        (viewer, after): (Present, Option<String>),
        started: impl FnOnce() + Send,
    ) {
        let app = self.app();
        let credential = Credential::clone(&self.credential);
        let opened = ViewerFeed::open(Arc::clone(app), credential, viewer, after.as_deref());
        let mut feed = match opened.await {
            Ok(feed) => feed,
            Err(error) => return self.fail(error).await,
        };
        started();
        let mut run = None;
        loop {
            let next = tokio::select! {
                next = feed.next() => next,
                // It may be long until something happens that would show it.
                () = self.ended() => return,
            };
            let Some(next) = next else { break };
            let occurrence = match next {
                Ok(occurrence) => occurrence,
                Err(error) => return self.fail(error).await,
            };
            let body = self.make_for(&mut run, plan, &feed, &occurrence).await;
            if !self.send(&body).await || body.is_last() {
                return;
            }
            app.metrics.delivered(1);
            if feed.is_idle() {
                // What is ready for use takes memory: not while nothing happens.
                run = None;
            }
        }
        self.send(&Body::Complete).await;
    }

    /// What a document makes of something: the same bytes for all who are told the same, unless
    /// it was read for the viewer alone or is personal.
    async fn make_for(
        &self,
        run: &mut Option<Run>,
        plan: &Plan,
        feed: &ViewerFeed,
        occurrence: &Occurrence,
    ) -> Body {
        let shared = occurrence
            .payloads
            .as_ref()
            .zip(occurrence.what.is_for_staff());
        let slot = shared.and_then(|(payloads, staff)| payloads.slot(plan.digest, staff));
        let Some(slot) = slot else {
            return self.make_alone(run, plan, feed, occurrence).await;
        };
        let mut own = None;
        let first = async {
            let made = self.execute(run, plan, feed, occurrence).await;
            match made.body {
                Body::Event(payload) if !made.personal => {
                    self.app().metrics.executed_for_all();
                    Outcome::Shared(payload)
                }
                body => {
                    self.app().metrics.executed_for_one();
                    own = Some(body);
                    Outcome::Personal
                }
            }
        };
        // If the first one leaves before he has made it, the next one makes it.
        if let Outcome::Shared(payload) = slot.get_or_init(|| first).await {
            return Body::Event(Arc::clone(payload));
        }
        match own {
            Some(body) => body,
            None => self.make_alone(run, plan, feed, occurrence).await,
        }
    }

    async fn make_alone(
        &self,
        run: &mut Option<Run>,
        plan: &Plan,
        feed: &ViewerFeed,
        occurrence: &Occurrence,
    ) -> Body {
        self.app().metrics.executed_for_one();
        self.execute(run, plan, feed, occurrence).await.body
    }

    async fn execute(
        &self,
        run: &mut Option<Run>,
        plan: &Plan,
        feed: &ViewerFeed,
        occurrence: &Occurrence,
    ) -> Made {
        let run =
            run.get_or_insert_with(|| Run::new(self.app(), plan, &self.credential, feed.viewer()));
        let mut failures = 0;
        loop {
            let executed = run.execute_for(occurrence, feed.viewer()).await;
            if let Some(made) = settle(executed, &occurrence.cursor, failures) {
                return made;
            }
            sleep(pause(failures)).await;
            failures += 1;
        }
    }
}
