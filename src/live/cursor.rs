//! The position of a subscriber in a thread: the opaque cursors of events and threads.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::db::access::ThreadAccess;
use crate::db::snapshot::Snapshot;
use crate::ids::ThreadId;

/// Cursors of this shape begin with this byte.
const SHAPE: u8 = 1;

/// Cursors over all threads of an older shape begin with this byte: one transaction's number.
const WATERMARK: u8 = 2;

/// Cursors over all threads begin with this byte.
const SNAPSHOT: u8 = 3;

/// How many transactions such a cursor names one by one: one that would name more is of an
/// earlier position, from which a resume repeats what it need not.
const MOST_RUNNING: usize = 64;

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

/// A position in everything that a viewer sees, as the opaque text that clients hand back.
pub fn encode_snapshot(told: &Snapshot) -> String {
    let told = told.shortened(MOST_RUNNING);
    let mut bytes = vec![SNAPSHOT];
    bytes.extend(told.xmax().to_be_bytes());
    let mut above = told.xmax();
    for xid in told.xip().iter().rev() {
        put(&mut bytes, above.abs_diff(*xid));
        above = *xid;
    }
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads such a text; none if it is none.
pub fn decode_snapshot(text: &str) -> Option<Snapshot> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (shape, rest) = bytes.split_first()?;
    let (xmax, mut rest) = rest.split_at_checked(8)?;
    let xmax = i64::from_be_bytes(xmax.try_into().ok()?);
    let (mut above, mut running) = (xmax, Vec::new());
    while !rest.is_empty() {
        let (step, left) = take(rest)?;
        above = above.checked_sub_unsigned(step).filter(|_| step > 0)?;
        running.push(above);
        rest = left;
    }
    let known = match *shape {
        SNAPSHOT => running.len() <= MOST_RUNNING,
        WATERMARK => running.is_empty() && bytes.len() == 9,
        _ => false,
    };
    Snapshot::new(xmax, running).filter(|_| known)
}

/// Writes a number in as few bytes as it needs: seven bits each, the lowest first.
fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

/// Reads such a number, and what is behind it.
fn take(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let last = bytes.iter().take(9).position(|byte| byte & 0x80 == 0)?;
    let (number, rest) = bytes.split_at(last + 1);
    let seven = |number, byte: &u8| number << 7 | u64::from(byte & 0x7f);
    Some((number.iter().rev().fold(0, seven), rest))
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
    #[test]
    fn a_position_in_everything_comes_back_as_it_was() {
        let many: Vec<i64> = (0..64).map(|n| n * 1_000_003).collect();
        for (xmax, xip) in [
            (0, vec![]),
            (7, vec![6]),
            (900, vec![1, 128, 899]),
            (1 << 60, many),
        ] {
            let told = Snapshot::new(xmax, xip).expect("a snapshot");
            assert_eq!(decode_snapshot(&encode_snapshot(&told)), Some(told));
        }
    }

    #[test]
    fn a_position_with_very_many_running_is_an_earlier_one() {
        let told = Snapshot::new(1000, (100..300).collect()).expect("a snapshot");
        let short = decode_snapshot(&encode_snapshot(&told)).expect("a snapshot");
        assert_eq!(short, Snapshot::new(100, vec![]).expect("a snapshot"));
        assert!(told.includes(&short));
    }

    #[test]
    fn the_older_shape_is_understood_and_nothing_else_is() {
        let older = URL_SAFE_NO_PAD.encode([&[WATERMARK][..], &9_i64.to_be_bytes()].concat());
        assert_eq!(decode_snapshot(&older), Snapshot::new(9, vec![]));
        let bytes = |end: &[u8]| {
            let number = 300_i64.to_be_bytes();
            URL_SAFE_NO_PAD.encode([&[SNAPSHOT][..], &number, end].concat())
        };
        assert!(decode_snapshot(&bytes(&[1, 0x80, 1])).is_some());
        for bad in [
            &[0][..],
            &[0x80],
            &[1, 0],
            &[0xff, 3],
            &[0x80; 12],
            &[1; 65],
        ] {
            assert_eq!(decode_snapshot(&bytes(bad)), None, "{bad:?}");
        }
        let position = Position { seq: 7, running: 9 };
        for bad in ["", "x", &position.encode(ThreadId::generate())] {
            assert_eq!(decode_snapshot(bad), None, "{bad}");
        }
    }
}
