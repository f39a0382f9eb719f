//! The position of a subscriber in a thread: the opaque cursors of events and threads.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::db::access::ThreadAccess;
use crate::ids::ThreadId;

/// Cursors of this shape begin with this byte.
const SHAPE: u8 = 1;

/// Cursors over all threads begin with this byte.
const WATERMARK: u8 = 2;

/// Up to where a subscriber of a thread has been told everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The number of the newest event told.
    pub seq: i64,
    /// Watermarks that older transactions moved have been told.
    pub running: i64,
}

impl Position {
    /// The position behind everything that has happened so far. `newest_move`: the transaction
    /// that moved a watermark of the thread last, read no earlier than the thread.
    pub fn now(access: &ThreadAccess, newest_move: Option<i64>) -> Self {
        Self {
            seq: access.thread().seq,
            running: access.oldest_running().min(newest_move.unwrap_or(0) + 1),
        }
    }

    /// The same, as the viewer is told it: it does not move with what the viewer does not hear.
    pub fn heard(access: &ThreadAccess, newest_move: Option<i64>) -> Self {
        let now = Self::now(access, newest_move);
        if access.is_staff() {
            return now;
        }
        Self {
            seq: access.thread().public_seq,
            ..now
        }
    }

    /// The position of who was told what comes before the one and what comes before the other.
    pub fn or_later(self, other: Self) -> Self {
        Self {
            seq: self.seq.max(other.seq),
            running: self.running.max(other.running),
        }
    }

    /// The opaque text that clients hand back.
    pub fn encode(self, thread: ThreadId) -> String {
        let mut bytes = Vec::with_capacity(33);
        bytes.push(SHAPE);
        bytes.extend(thread.uuid().as_bytes());
        bytes.extend(self.seq.to_be_bytes());
        bytes.extend(self.running.to_be_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads such a text; none if it is no cursor of this thread.
    pub fn decode(text: &str, thread: ThreadId) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (shape, rest) = bytes.split_first()?;
        let (of, rest) = rest.split_at_checked(16)?;
        let (seq, running) = rest.split_at_checked(8)?;
        let this = Uuid::from_slice(of).ok()? == thread.uuid() && *shape == SHAPE;
        let seq = i64::from_be_bytes(seq.try_into().ok()?);
        let running = i64::from_be_bytes(running.try_into().ok()?);
        (this && seq >= 0 && running >= 0).then_some(Self { seq, running })
    }
}

/// The position of everything that a viewer sees: what older transactions did has been told.
pub fn encode_watermark(running: i64) -> String {
    let mut bytes = vec![WATERMARK];
    bytes.extend(running.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_belongs_to_its_thread() {
        let (thread, other) = (ThreadId::generate(), ThreadId::generate());
        let position = Position { seq: 7, running: 9 };
        let text = position.encode(thread);
        assert_eq!(Position::decode(&text, thread), Some(position));
        assert_eq!(Position::decode(&text, other), None);
        for bad in ["", "x", "AAAA", &text[1..]] {
            assert_eq!(Position::decode(bad, thread), None, "{bad}");
        }
    }
}
