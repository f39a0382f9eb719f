//! Whose access has changed lately: counted, so that whoever holds a proof can ask whether it may
//! be out of date, without having heard of each change.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use tokio::time::{Duration, Instant};

use crate::live::bus::Subject;

/// So many are kept; then all are forgotten, and count as changed.
const MOST: usize = 65_536;

/// How long passes at least between two calls to look: many may change at once, and nothing is
/// told to anybody without a look.
const PAUSE: Duration = Duration::from_millis(20);

/// The changes.
#[derive(Debug, Default)]
pub struct Rights {
    count: AtomicU64,
    changed: Mutex<Changed>,
}

#[derive(Debug, Default)]
struct Changed {
    /// The number of the last change of each.
    last: HashMap<Subject, u64>,
    /// Of changes up to this number it is not known whose they were.
    forgotten: u64,
    /// When all were last called to look, and whether there has been a change since.
    called_at: Option<Instant>,
    due: bool,
}

impl Rights {
    /// How many changes there have been.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    /// Notes a change; answers whether all are to be called to look now.
    pub fn note(&self, subject: Subject) -> bool {
        self.note_at(Instant::now(), subject)
    }

    fn note_at(&self, now: Instant, subject: Subject) -> bool {
        let mut changed = self.changed();
        let number = self.count() + 1;
        if changed.last.len() >= MOST {
            changed.last = HashMap::new();
            changed.forgotten = number - 1;
        }
        changed.last.insert(subject, number);
        // Last, so that whoever finds the new number finds whose it is.
        self.count.store(number, Ordering::SeqCst);
        let rested = changed.called_at.is_none_or(|at| now - at >= PAUSE);
        changed.due = !rested;
        if rested {
            changed.called_at = Some(now);
        }
        rested
    }

    /// Whether there has been a change since all were last called to look. They are now.
    pub fn take_due(&self) -> bool {
        let mut changed = self.changed();
        let due = std::mem::take(&mut changed.due);
        if due {
            changed.called_at = Some(Instant::now());
        }
        due
    }

    /// Whether somebody's access has changed since there were so many changes.
    pub fn changed_since(&self, count: u64, subject: &Subject) -> bool {
        if self.count() == count {
            return false;
        }
        let changed = self.changed();
        changed.forgotten > count || changed.last.get(subject).is_some_and(|last| *last > count)
    }

    fn changed(&self) -> MutexGuard<'_, Changed> {
        self.changed.lock().expect("no holder of this lock panics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::UserId;

    fn somebody() -> Subject {
        Subject::User(UserId::generate())
    }

    #[tokio::test]
    async fn a_change_concerns_one_and_is_over_for_who_looks_later() {
        let rights = Rights::default();
        let (one, other) = (somebody(), somebody());
        let before = rights.count();
        rights.note(one.clone());
        assert!(rights.changed_since(before, &one));
        assert!(!rights.changed_since(before, &other));
        assert!(!rights.changed_since(rights.count(), &one));
    }

    #[tokio::test]
    async fn of_many_changes_all_are_called_for_the_first_and_once_for_the_others() {
        let rights = Rights::default();
        let now = Instant::now();
        assert!(rights.note_at(now, somebody()));
        assert!(!rights.note_at(now, somebody()));
        assert!(!rights.note_at(now, somebody()));
        assert!(rights.take_due());
        assert!(!rights.take_due());
        assert!(rights.note_at(Instant::now() + PAUSE, somebody()));
        assert!(!rights.take_due());
    }

    #[tokio::test]
    async fn what_is_forgotten_may_have_been_anybodys() {
        let rights = Rights::default();
        let other = somebody();
        let before = rights.count();
        for _ in 0..=MOST {
            rights.note(somebody());
        }
        assert!(rights.changed_since(before, &other));
        assert!(!rights.changed_since(rights.count() - 1, &other));
    }
}
