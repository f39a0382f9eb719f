//! Work that several want at once, done once for all of them.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, WeakShared};

/// Work under way, by what it is for. It goes on as long as anybody waits for it.
pub struct Flights<K, V>(Mutex<HashMap<K, WeakShared<BoxFuture<'static, V>>>>);

impl<K, V> Default for Flights<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V: Clone> Flights<K, V> {
    /// What the work for this key comes to. It is begun if nobody else waits for it.
    pub async fn join(&self, key: K, begin: impl FnOnce() -> BoxFuture<'static, V>) -> V {
        let flight = {
            let mut open = self.0.lock().expect("no holder of this lock panics");
            match open.get(&key).and_then(WeakShared::upgrade) {
                Some(flight) => flight,
                None => {
                    // What nobody waits for any more goes when something new comes.
                    open.retain(|_, flight| flight.upgrade().is_some());
                    let flight = begin().shared();
                    if let Some(weak) = flight.downgrade() {
                        open.insert(key, weak);
                    }
                    flight
                }
            }
        };
        flight.await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn many_who_want_the_same_wait_for_one() {
        let flights: Arc<Flights<&str, usize>> = Arc::default();
        let (done, begun) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
        let join = |key| {
            let (flights, done, begun) = (flights.clone(), done.clone(), begun.clone());
            async move {
                let work = || {
                    let number = begun.fetch_add(1, Ordering::Relaxed);
                    async move {
                        done.notified().await;
                        number
                    }
                    .boxed()
                };
                flights.join(key, work).await
            }
        };
        // The one who began it goes away.
        let first = tokio::spawn(join("a"));
        while begun.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        let others: Vec<_> = (0..20).map(|_| tokio::spawn(join("a"))).collect();
        tokio::task::yield_now().await;
        first.abort();
        assert!(first.await.is_err());
        done.notify_one();
        for other in others {
            assert_eq!(other.await.expect("it has not panicked"), 0);
        }
        // What is done is not kept.
        done.notify_one();
        assert_eq!(join("a").await, 1);
        assert_eq!(begun.load(Ordering::Relaxed), 2);
    }
}
