//! Who is online, as of now: in memory, never stored. Ends by itself.

use std::collections::HashMap;

use tokio::time::Instant;

use crate::ids::UserId;

/// Everybody who is online, each until when.
#[derive(Debug, Default)]
pub struct Presence {
    until: HashMap<UserId, Instant>,
}

impl Presence {
    /// Notes that somebody is online until a time, or stays it; whether that is news.
    pub fn set(&mut self, user: UserId, now: Instant, until: Instant) -> bool {
        let before = self.until.insert(user, until);
        before.is_none_or(|before| before <= now)
    }

    /// Notes that somebody is online no more; whether he was.
    pub fn end(&mut self, user: UserId) -> bool {
        self.until.remove(&user).is_some()
    }

    /// Ends what has gone on for its time; of whom.
    pub fn end_overdue(&mut self, now: Instant) -> Vec<UserId> {
        let ended = self.until.extract_if(|_, until| *until <= now);
        ended.map(|(user, _)| user).collect()
    }

    /// When the first of them ends by himself.
    pub fn next_end(&self) -> Option<Instant> {
        self.until.values().min().copied()
    }

    /// Whether somebody is online.
    pub fn is_online(&self, user: UserId, now: Instant) -> bool {
        self.until.get(&user).is_some_and(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn who_renews_stays_and_who_does_not_goes() {
        let (mut presence, now) = (Presence::default(), Instant::now());
        let (one, two) = (UserId::generate(), UserId::generate());
        assert!(presence.set(one, now, now + LONG));
        assert!(presence.set(two, now, now + LONG));
        let later = now + LONG / 2;
        assert!(!presence.set(two, later, later + LONG));
        assert_eq!(presence.next_end(), Some(now + LONG));
        assert!(!presence.is_online(one, now + LONG));
        assert_eq!(presence.end_overdue(now + LONG), [one]);
        assert!(presence.end_overdue(now + LONG).is_empty());
        assert!(presence.is_online(two, now + LONG));
        assert!(presence.end(two) && !presence.end(two));
    }

    #[test]
    fn who_comes_back_before_it_is_noticed_that_he_went_is_news() {
        let (mut presence, now) = (Presence::default(), Instant::now());
        let user = UserId::generate();
        presence.set(user, now, now + LONG);
        assert!(presence.set(user, now + LONG, now + LONG + LONG));
    }
}
