//! Who is typing where, as of now: in memory, never stored. Ends by itself.

use std::collections::HashMap;

use tokio::time::Instant;

use crate::ids::{ThreadId, UserId};

/// Everybody who is typing.
#[derive(Debug, Default)]
pub struct Typing {
    threads: HashMap<ThreadId, Vec<Typist>>,
}

#[derive(Debug)]
struct Typist {
    user: UserId,
    /// A private note, of which only those learn who read it.
    private: bool,
    until: Instant,
}

impl Typing {
    /// Notes that somebody types until a time, or goes on typing; whether that is news to anyone.
    pub fn set(
        &mut self,
        (thread, user): (ThreadId, UserId),
        private: bool,
        now: Instant,
        until: Instant,
    ) -> bool {
        let typists = self.threads.entry(thread).or_default();
        let Some(known) = typists.iter_mut().find(|typist| typist.user == user) else {
            typists.push(Typist {
                user,
                private,
                until,
            });
            return true;
        };
        let news = known.private != private || known.until <= now;
        (known.private, known.until) = (private, until);
        news
    }

    /// Notes that somebody types no more; whether he did.
    pub fn end(&mut self, thread: ThreadId, user: UserId) -> bool {
        let Some(typists) = self.threads.get_mut(&thread) else {
            return false;
        };
        let before = typists.len();
        typists.retain(|typist| typist.user != user);
        let ended = typists.len() < before;
        if typists.is_empty() {
            self.threads.remove(&thread);
        }
        ended
    }

    /// Ends what has gone on for its time; the threads of which that is news.
    pub fn end_overdue(&mut self, now: Instant) -> Vec<ThreadId> {
        let mut changed = Vec::new();
        self.threads.retain(|thread, typists| {
            let before = typists.len();
            typists.retain(|typist| typist.until > now);
            if typists.len() < before {
                changed.push(*thread);
            }
            !typists.is_empty()
        });
        changed
    }

    /// When the first of them ends by himself.
    pub fn next_end(&self) -> Option<Instant> {
        let all = self.threads.values().flatten();
        all.map(|typist| typist.until).min()
    }

    /// Who types in a thread, those first who began first; `staff`: private notes, too.
    pub fn in_thread(&self, thread: ThreadId, staff: bool, now: Instant) -> Vec<UserId> {
        let typists = self.threads.get(&thread).into_iter().flatten();
        typists
            .filter(|typist| typist.until > now && (staff || !typist.private))
            .map(|typist| typist.user)
            .collect()
    }

    /// Where a person types.
    pub fn of(&self, user: UserId) -> Vec<ThreadId> {
        let types = |typists: &Vec<Typist>| typists.iter().any(|typist| typist.user == user);
        let threads = self.threads.iter().filter(|(_, typists)| types(typists));
        threads.map(|(thread, _)| *thread).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LONG: Duration = Duration::from_secs(5);

    #[test]
    fn only_transitions_are_news() {
        let (mut typing, now) = (Typing::default(), Instant::now());
        let who = (ThreadId::generate(), UserId::generate());
        assert!(typing.set(who, false, now, now + LONG));
        assert!(!typing.set(who, false, now, now + LONG));
        assert!(typing.set(who, true, now, now + LONG));
        assert!(typing.end(who.0, who.1));
        assert!(!typing.end(who.0, who.1));
        assert_eq!(typing.next_end(), None);
    }

    #[test]
    fn who_says_nothing_more_ends_in_time() {
        let (mut typing, now) = (Typing::default(), Instant::now());
        let (thread, one, two) = (ThreadId::generate(), UserId::generate(), UserId::generate());
        typing.set((thread, one), false, now, now + LONG);
        typing.set((thread, two), false, now, now + LONG);
        let later = now + LONG / 2;
        assert!(!typing.set((thread, two), false, later, later + LONG));
        assert_eq!(typing.next_end(), Some(now + LONG));
        assert!(typing.end_overdue(later).is_empty());
        // Read between the end and the moment in which it is noticed.
        assert_eq!(typing.in_thread(thread, false, now + LONG), [two]);
        assert_eq!(typing.end_overdue(now + LONG), [thread]);
        assert_eq!(typing.end_overdue(later + LONG), [thread]);
        assert!(typing.of(two).is_empty());
    }

    #[test]
    fn a_private_note_is_typed_before_the_staff_alone() {
        let (mut typing, now) = (Typing::default(), Instant::now());
        let who = (ThreadId::generate(), UserId::generate());
        typing.set(who, true, now, now + LONG);
        assert_eq!(typing.in_thread(who.0, true, now), [who.1]);
        assert!(typing.in_thread(who.0, false, now).is_empty());
    }
}
