//! Tells one subscriber what happens in all that he sees, at his own pace.

use std::sync::Arc;

use tokio::time::sleep;

use crate::auth::{Credential, Present};
use crate::fanout::delivery::{Made, settle};
use crate::fanout::outbox::Body;
use crate::fanout::run::{Plan, Run};
use crate::fanout::seat::Seat;
use crate::live::feed::pause;
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
        let app = Arc::clone(self.app());
        let credential = Credential::clone(&self.credential);
        let opened = ViewerFeed::open(app, credential, viewer, after.as_deref());
        let mut feed = match opened.await {
            Ok(feed) => feed,
            Err(error) => return self.fail(error).await,
        };
        started();
        let mut run = None;
        while let Some(next) = feed.next().await {
            let occurrence = match next {
                Ok(occurrence) => occurrence,
                Err(error) => return self.fail(error).await,
            };
            let made = self.make_for(&mut run, plan, &feed, &occurrence).await;
            if !self.send(&made.body).await || made.body.is_last() {
                return;
            }
            if feed.is_idle() {
                // What is ready for use takes memory: not while nothing happens.
                run = None;
            }
        }
        self.send(&Body::Complete).await;
    }

    async fn make_for(
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
