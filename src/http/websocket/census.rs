//! How many sockets there are, in all and of each viewer, so that neither a flood nor one broken
//! client takes all there is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::auth::Credential;
use crate::live::bus::Subject;

/// The sockets of this node.
#[derive(Debug, Default)]
pub struct Census(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    all: u32,
    of: HashMap<Subject, u32>,
}

/// One socket, counted as long as this lives.
#[derive(Debug)]
pub struct Counted {
    census: Arc<Census>,
    owner: Option<Subject>,
}

impl Census {
    /// Counts a socket, if there are fewer than `most`.
    pub fn admit(self: &Arc<Self>, most: u32) -> Option<Counted> {
        let mut counts = self.counts();
        if counts.all >= most {
            return None;
        }
        counts.all += 1;
        drop(counts);
        Some(Counted {
            census: Arc::clone(self),
            owner: None,
        })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().expect("no holder of this lock panics")
    }
}

impl Counted {
    /// Says whose it is; false, if he has `most` already.
    pub fn belongs_to(&mut self, credential: &Credential, most: u32) -> bool {
        let owner = credential.subject();
        let mut counts = self.census.counts();
        let his = counts.of.entry(owner.clone()).or_default();
        if *his >= most {
            return false;
        }
        *his += 1;
        drop(counts);
        self.owner = Some(owner);
        true
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.census.counts();
        counts.all -= 1;
        let Some(owner) = self.owner.take() else {
            return;
        };
        if let Some(his) = counts.of.get_mut(&owner) {
            *his -= 1;
            if *his == 0 {
                counts.of.remove(&owner);
            }
        }
    }
}
