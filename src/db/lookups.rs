//! Rows that were looked up to tell of one event: once for all who are told of it, whatever their
//! documents show of it. None of them depends on who asks.
//!
//! Never decides who may see them.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, MutexGuard};

use crate::db::attachment::Attachment;
use crate::db::inbox::Inbox;
use crate::db::message::Message;
use crate::db::organization::Organization;
use crate::db::reaction::Reaction;
use crate::db::user::User;
use crate::ids::{InboxId, MessageId, OrganizationId, UserId};

/// How long they are good for: who is told of an event later sees what is true then.
const LIFE: Duration = Duration::from_secs(5);

/// What was looked up.
#[derive(Debug, Clone, Default)]
pub struct Lookups(Arc<Tables>);

#[derive(Debug, Default)]
struct Tables {
    since: OnceLock<Instant>,
    by_kind: Kinds,
}

/// What was looked up, by what it is.
#[derive(Debug, Default)]
pub struct Kinds {
    /// Users.
    pub users: Table<UserId, Arc<User>>,
    /// Organizations.
    pub organizations: Table<OrganizationId, Organization>,
    /// Inboxes.
    pub inboxes: Table<InboxId, Inbox>,
    /// Messages.
    pub messages: Table<MessageId, Arc<Message>>,
    /// The reactions to messages.
    pub reactions: Table<MessageId, Vec<Reaction>>,
    /// The attachments of messages.
    pub attachments: Table<MessageId, Vec<Attachment>>,
    /// Who has seen messages.
    pub readers: Table<MessageId, Vec<UserId>>,
    /// How many have seen messages.
    pub reader_counts: Table<MessageId, i32>,
    /// To whose devices messages have come.
    pub receivers: Table<MessageId, Vec<UserId>>,
}

/// Rows by key; of keys that are asked for once and not found it is known that there are none.
#[derive(Debug)]
pub struct Table<K, V>(Mutex<HashMap<K, Option<V>>>);

/// A table in the hands of one, who may look up what it lacks; the others wait for that.
pub struct Open<'a, K, V> {
    rows: MutexGuard<'a, HashMap<K, Option<V>>>,
    keys: &'a [K],
}

impl Lookups {
    /// The tables; none: what is in them is too old.
    pub fn kinds(&self) -> Option<&Kinds> {
        let since = self.0.since.get_or_init(Instant::now);
        (since.elapsed() < LIFE).then_some(&self.0.by_kind)
    }

    /// A user was read just now.
    pub fn has_user(&self, user: &Arc<User>) {
        if let Ok(mut rows) = self.0.by_kind.users.0.try_lock() {
            rows.insert(user.id, Some(Arc::clone(user)));
        }
    }

    /// To a message that was just sent nobody has reacted.
    pub fn nobody_reacted(&self, message: MessageId) {
        if let Ok(mut rows) = self.0.by_kind.reactions.0.try_lock() {
            rows.insert(message, None);
        }
    }

    /// A message has just these attachments.
    pub fn has_attachments(&self, message: MessageId, attachments: Vec<Attachment>) {
        let attachments = Some(attachments).filter(|all| !all.is_empty());
        if let Ok(mut rows) = self.0.by_kind.attachments.0.try_lock() {
            rows.insert(message, attachments);
        }
    }
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Copy + Eq + Hash, V: Clone> Table<K, V> {
    /// What is known of a key already: a row, or that there is none.
    pub fn known(&self, key: &K) -> Option<Option<V>> {
        self.0.try_lock().ok()?.get(key).cloned()
    }

    /// Opens it to ask for keys.
    pub async fn open<'a>(&'a self, keys: &'a [K]) -> Open<'a, K, V> {
        let rows = self.0.lock().await;
        Open { rows, keys }
    }
}

impl<K: Copy + Eq + Hash, V: Clone> Open<'_, K, V> {
    /// Those of the keys that nobody has looked up yet.
    pub fn missing(&self) -> Vec<K> {
        let unknown = |key: &&K| !self.rows.contains_key(key);
        self.keys.iter().filter(unknown).copied().collect()
    }

    /// Keeps what was found of the missing ones.
    pub fn keep(&mut self, missing: Vec<K>, mut found: HashMap<K, V>) {
        let found = missing.into_iter().map(|key| (key, found.remove(&key)));
        self.rows.extend(found);
    }

    /// What there is of the keys.
    pub fn found(&self) -> HashMap<K, V> {
        let row = |key: &K| Some((*key, self.rows.get(key)?.clone()?));
        self.keys.iter().filter_map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_is_missing_once() {
        let table = Table::<i32, &str>::default();
        let mut open = table.open(&[1, 2]).await;
        assert_eq!(open.missing(), [1, 2]);
        open.keep(vec![1, 2], HashMap::from([(1, "one")]));
        drop(open);
        let open = table.open(&[1, 2, 3]).await;
        assert_eq!(open.missing(), [3]);
        assert_eq!(open.found(), HashMap::from([(1, "one")]));
    }
}
