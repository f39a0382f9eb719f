//! The body of a request as it comes, from clients that go on sending it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, Sleep, sleep, timeout};

/// A client that sends nothing for so long has gone away.
const SILENCE: Duration = Duration::from_secs(60);

/// So long a body may take in all.
const WHOLE: Duration = Duration::from_secs(3600);

/// So long what nobody wants any more is let in, so that the client reads the answer.
const DRAIN: Duration = Duration::from_secs(10);

/// A body.
pub struct Incoming {
    body: BodyDataStream,
    silence: Pin<Box<Sleep>>,
    /// Whether the client is waited for, rather than what takes in what it sends.
    waits: bool,
    until: Instant,
}

impl Incoming {
    /// Of which nothing has come yet.
    pub fn new(body: Body) -> Self {
        Self {
            body: body.into_data_stream(),
            silence: Box::pin(sleep(SILENCE)),
            waits: false,
            until: Instant::now() + WHOLE,
        }
    }

    /// Throws away what is still to come, up to a number of bytes; whether it has ended. If it has
    /// not, the connection cannot be used for another request.
    pub async fn drain(mut self, most: u64) -> bool {
        let drained = timeout(DRAIN, async {
            let mut gone = 0_u64;
            while let Some(piece) = self.body.next().await {
                let Ok(piece) = piece else { return false };
                gone = gone.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
                if gone > most {
                    return false;
                }
            }
            true
        });
        drained.await.unwrap_or(false)
    }
}

impl Stream for Incoming {
    type Item = Result<Bytes, &'static str>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Poll::Ready(piece) = self.body.poll_next_unpin(cx) {
            self.waits = false;
            return Poll::Ready(piece.map(|piece| match piece {
                Ok(_) if Instant::now() > self.until => Err("it takes too long"),
                Ok(piece) => Ok(piece),
                Err(_) => Err("it did not come whole"),
            }));
        }
        if !self.waits {
            self.waits = true;
            let until = self.until.min(Instant::now() + SILENCE);
            self.silence.as_mut().reset(until);
        }
        ready!(self.silence.as_mut().poll(cx));
        Poll::Ready(Some(Err("nothing came any more")))
    }
}
