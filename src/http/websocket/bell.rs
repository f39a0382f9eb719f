//! Tells apart what has woken a socket's task: most of the time that is a frame to write, and
//! then nothing else need be looked at. Looking costs more than writing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use futures_util::task::AtomicWaker;

/// Wakes a task, and keeps that it did until it is asked.
#[derive(Default)]
pub struct Bell(Arc<Wire>);

#[derive(Default)]
struct Wire {
    rung: AtomicBool,
    task: AtomicWaker,
}

impl Bell {
    /// What waits with this waker rings.
    pub fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.0))
    }

    /// Wakes this task from now on.
    pub fn listen(&self, context: &Context<'_>) {
        self.0.task.register(context.waker());
    }

    /// It is as if it had rung.
    pub fn ring(&self) {
        self.0.rung.store(true, Ordering::Release);
    }

    /// Whether it has rung since the last time.
    pub fn has_rung(&self) -> bool {
        self.0.rung.load(Ordering::Acquire) && self.0.rung.swap(false, Ordering::AcqRel)
    }
}

impl Wake for Wire {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // In this order: who is woken finds that it has rung.
        self.rung.store(true, Ordering::Release);
        self.task.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::future::poll_fn;
    use std::task::Poll;

    #[tokio::test]
    async fn it_wakes_who_listens_and_has_rung_once() {
        let bell = Bell::default();
        let waker = bell.waker();
        assert!(!bell.has_rung());
        let ringing = tokio::spawn(async move {
            tokio::task::yield_now().await;
            waker.wake();
        });
        poll_fn(|context| {
            bell.listen(context);
            if bell.has_rung() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        assert!(!bell.has_rung());
        ringing.await.expect("no panic");
    }
}
