//! Delivery at the cost of a copy: an event is executed once for all subscribers who are told the
//! same, and the same bytes go to each of them.
//!
//! Never decides what somebody may see, and never writes to a socket.

pub mod outbox;

pub mod run;

mod seat;

mod group;

mod delivery;

mod catch_up;

mod everything;

mod shared;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::FutureExt;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::fanout::group::{Group, Key};
use crate::fanout::outbox::{Body, Pushed};
pub use crate::fanout::seat::{Membership, Seat};

/// The groups of subscribers of this node.
pub struct Fanout {
    app: Arc<App>,
    groups: Mutex<HashMap<Key, Arc<Group>>>,
    /// How many seats there have been.
    seats: AtomicU64,
    /// What brings subscribers up to their groups, beside the tasks of their sockets.
    tasks: TaskTracker,
}

impl Fanout {
    /// Without any group.
    pub fn new(app: Arc<App>) -> Arc<Self> {
        Arc::new(Self {
            app,
            groups: Mutex::default(),
            seats: AtomicU64::new(0),
            tasks: TaskTracker::new(),
        })
    }

    /// Works for a subscriber, who is to connect again if that breaks.
    pub fn spawn(&self, seat: &Arc<Seat>, work: impl Future<Output = ()> + Send + 'static) {
        let seat = Arc::clone(seat);
        self.tasks.spawn(async move {
            if AssertUnwindSafe(work).catch_unwind().await.is_err() {
                seat.send(&Body::Restart).await;
            }
        });
    }

    /// Ends a subscription, once there is room to say so.
    fn say_last(&self, seat: Arc<Seat>, last: Body) {
        if seat.filling().push(&last) == Pushed::Full {
            self.tasks.spawn(async move {
                seat.send(&last).await;
            });
        }
    }

    fn groups(&self) -> MutexGuard<'_, HashMap<Key, Arc<Group>>> {
        self.groups.lock().expect("no holder of this lock panics")
    }
}
