//! When look-ups are made: in rounds, each with all that is asked for by then. So how many there
//! are depends on how deep a document is, not on how much it finds, nor on which answer is first.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_graphql::runtime::Timer;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::Notify;

/// The rounds of one request.
#[derive(Clone, Default)]
pub struct Rounds(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Whether an answer soon is worth more than a look-up less.
    hurries: AtomicBool,
    /// Told when something of the state has ended, or a round begins.
    told: Notify,
}

#[derive(Default)]
struct State {
    /// How many look-ups are being made.
    loading: usize,
    /// Whether the document is being resolved at this moment, and so may ask for more.
    resolving: bool,
    /// How many rounds have begun.
    begun: u64,
}

impl State {
    fn is_idle(&self) -> bool {
        self.loading == 0 && !self.resolving
    }
}

/// A look-up that is being made, until it is dropped.
pub struct Loading(Rounds);

impl Rounds {
    /// From now on rounds begin as soon as they may, which now and then makes two of one.
    pub fn hurry(&self) {
        self.0.hurries.store(true, Ordering::Relaxed);
    }

    /// A look-up begins.
    pub fn begin(&self) -> Loading {
        self.change(|state| state.loading += 1);
        Loading(self.clone())
    }

    /// Resolves a document whose look-ups these are.
    pub async fn during<T>(&self, resolving: impl Future<Output = T>) -> T {
        struct Resolving<'a>(&'a Rounds);

        impl Drop for Resolving<'_> {
            fn drop(&mut self) {
                self.0.change(|state| state.resolving = false);
                self.0.0.told.notify_waiters();
            }
        }

        let mut resolving = pin!(resolving);
        poll_fn(|context| {
            self.change(|state| state.resolving = true);
            let _until_polled = Resolving(self);
            resolving.as_mut().poll(context)
        })
        .await
    }

    /// Waits for the next round: until for a moment nothing has been looked up or resolved that
    /// might ask for more. All who wait go on at once.
    async fn next(self, settle: Duration) {
        let joined = self.change(|state| state.begun);
        loop {
            let mut told = pin!(self.0.told.notified());
            // From here on no change is missed.
            told.as_mut().enable();
            let (begun, idle) = self.change(|state| (state.begun, state.is_idle()));
            if begun != joined {
                return;
            }
            if !idle {
                told.await;
                continue;
            }
            // Whoever got an answer just now is about to go on with it.
            let settled = async {
                if self.0.hurries.load(Ordering::Relaxed) {
                    tokio::task::yield_now().await;
                } else {
                    tokio::time::sleep(settle).await;
                }
            };
            tokio::select! {
                biased;
                () = told => continue,
                () = settled => {}
            }
            let begins = self.change(|state| {
                let begins = state.begun == joined && state.is_idle();
                state.begun += u64::from(begins);
                begins
            });
            if begins {
                self.0.told.notify_waiters();
                return;
            }
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state)
    }
}

impl Timer for Rounds {
    fn delay(&self, settle: Duration) -> BoxFuture<'static, ()> {
        self.clone().next(settle).boxed()
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        self.0.change(|state| state.loading -= 1);
        self.0.0.told.notify_waiters();
    }
}
