//! What something that is told to many has become: made once for all who are told the same.
//! Never makes anything itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::OnceCell;

/// How many documents keep what they have made of one thing. It stays in memory until the slowest
/// listener has it, so those who come with more documents than that are on their own.
const MOST: usize = 32;

/// A result that many connections are given.
#[derive(Debug)]
pub struct Payload {
    /// It, as JSON.
    pub json: Box<str>,
    /// The cursor of its event.
    pub cursor: Arc<str>,
}

/// What a document makes of something for an audience.
#[derive(Debug)]
pub enum Outcome {
    /// The same for all.
    Shared(Arc<Payload>),
    /// Something else for each.
    Personal,
}

/// Where the first one puts what he has made, for which the others wait.
pub type Slot = Arc<OnceCell<Outcome>>;

/// What documents have made of one thing.
#[derive(Debug, Default)]
pub struct Payloads {
    slots: Mutex<HashMap<([u8; 32], bool), Slot>>,
}

impl Payloads {
    /// The place for those with the same document, by its digest, and of the same audience: the
    /// staff, or the others. None: there are too many documents.
    pub fn slot(&self, digest: [u8; 32], staff: bool) -> Option<Slot> {
        let mut slots = self.slots.lock().expect("no holder of this lock panics");
        let key = (digest, staff);
        if slots.len() >= MOST && !slots.contains_key(&key) {
            return None;
        }
        Some(Arc::clone(slots.entry(key).or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_has_one_place_for_each_audience_and_there_are_not_too_many() {
        let payloads = Payloads::default();
        let slot = |number: usize, staff| {
            let number = u8::try_from(number).expect("few");
            payloads.slot([number; 32], staff)
        };
        let first = slot(0, true).expect("a place");
        assert!(Arc::ptr_eq(&first, &slot(0, true).expect("a place")));
        assert!(!Arc::ptr_eq(&first, &slot(0, false).expect("a place")));
        assert!((1..MOST - 1).all(|number| slot(number, true).is_some()));
        assert!(slot(MOST, true).is_none());
        assert!(slot(0, true).is_some());
    }
}
