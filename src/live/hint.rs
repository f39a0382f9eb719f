//! What nodes write to each other, in JSON. A node that does not know a word leaves it out.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use uuid::Uuid;

use crate::ids::UserId;
use crate::live::bus::Subject;
use crate::live::ephemeral::Said;

/// A word of a node.
#[derive(Debug, Serialize, Deserialize)]
pub struct Letter {
    /// Which one's.
    pub from: Uuid,
    /// What it says.
    pub word: Word,
}

/// What a node says.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// Of the thread whose subject it is on.
    Hint(Hint),
    /// What somebody may see has changed.
    Access(Whose),
    /// Something is true for so many milliseconds.
    Said(Said, u64),
}

/// What has happened to a thread.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hint {
    /// Its log has these numbers now.
    Written {
        /// The first that was written.
        first: i64,
        /// The last.
        last: i64,
    },
    /// Watermarks have moved.
    Seen,
}

/// Whose access has changed.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whose {
    /// A person's.
    User(UserId),
    /// A backend's.
    Key(String),
}

impl Letter {
    /// As it goes over the wire.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("words are plain values")
    }

    /// Reads what came; none if it is nothing that this program writes.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

/// How many milliseconds are left until then; none if it is past.
pub fn milliseconds_to(until: Instant) -> Option<u64> {
    let left = until.saturating_duration_since(Instant::now()).as_millis();
    u64::try_from(left).ok().filter(|left| *left > 0)
}

impl From<Subject> for Whose {
    fn from(subject: Subject) -> Self {
        match subject {
            Subject::User(user) => Self::User(user),
            Subject::Key(key) => Self::Key(key.to_string()),
        }
    }
}

impl From<Whose> for Subject {
    fn from(whose: Whose) -> Self {
        match whose {
            Whose::User(user) => Self::User(user),
            Whose::Key(key) => Self::Key(Arc::from(key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ThreadId;

    #[test]
    fn a_letter_reads_back_as_it_was_written() {
        let (thread, user) = (ThreadId::generate(), UserId::generate());
        for word in [
            Word::Hint(Hint::Written { first: 3, last: 5 }),
            Word::Hint(Hint::Seen),
            Word::Access(Whose::User(user)),
            Word::Access(Whose::Key("key_x".to_owned())),
            Word::Said(Said::Typing(thread, user, true), 4999),
            Word::Said(Said::Offline(user), 30_000),
        ] {
            let from = Uuid::now_v7();
            let written = Letter { from, word }.encode();
            let read = Letter::decode(&written).expect("a letter");
            assert_eq!((read.from, read.encode()), (from, written));
        }
    }

    #[test]
    fn what_this_program_does_not_write_is_no_letter() {
        let from = Uuid::now_v7();
        let unknown = format!(r#"{{"from":"{from}","word":{{"sung":"aloud"}}}}"#);
        for bytes in [&b""[..], b"hello", b"{}", b"\xff", unknown.as_bytes()] {
            assert!(Letter::decode(bytes).is_none());
        }
    }
}
