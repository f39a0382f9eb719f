//! Look-ups by key, gathered: one query for all objects of a document, not one for each.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use async_graphql::dataloader::{DataLoader, Loader};
use async_graphql::runtime::{TokioSpawner, TokioTimer};

use crate::app::App;
use crate::auth::Present;
use crate::db::access::{ThreadAccess, find};
use crate::db::message::{self, Message};
use crate::db::message_list::{self, Pick};
use crate::db::organization::{self, Membership, Organization};
use crate::db::page::Key;
use crate::db::participant::{self, Participant};
use crate::db::reaction::{self, Reaction};
use crate::db::user::{self, User};
use crate::db::watermark;
use crate::error::{Error, Result};
use crate::ids::{MessageId, OrganizationId, ThreadId, UserId};

/// What gathers the look-ups of one request.
pub struct Batch {
    app: Arc<App>,
    viewer: Present,
}

impl Batch {
    /// For this viewer.
    pub fn new(app: Arc<App>, viewer: Present) -> Self {
        Self { app, viewer }
    }

    /// It, ready to be asked.
    pub fn loader(self) -> DataLoader<Self> {
        DataLoader::new(self, TokioSpawner::current(), TokioTimer::default())
    }
}

/// Asks for the proof of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ThreadOf(pub ThreadId);

/// Asks for all memberships of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MembershipsOf(pub UserId);

/// Asks for the reactions to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReactionsTo(pub MessageId);

/// Asks who has seen a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReadersOf(pub MessageId);

/// Asks how many have seen a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReaderCountOf(pub MessageId);

/// Asks how many messages of a thread the viewer has not seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UnreadIn(pub ThreadId);

/// Asks for the viewer's own part in a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OwnPartIn(pub ThreadId);

/// Asks for one message of a thread.
#[derive(Debug, Clone)]
pub struct PickOf(pub ThreadAccess, pub Pick);

impl PickOf {
    fn key(&self) -> (ThreadId, u8) {
        (self.0.thread().id, self.1 as u8)
    }
}

impl PartialEq for PickOf {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for PickOf {}

impl Hash for PickOf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

/// Asks for the newest transaction that moved a watermark of a thread.
#[derive(Debug, Clone)]
pub struct NewestMoveIn(pub ThreadAccess);

impl PartialEq for NewestMoveIn {
    fn eq(&self, other: &Self) -> bool {
        self.0.thread().id == other.0.thread().id
    }
}

impl Eq for NewestMoveIn {}

impl Hash for NewestMoveIn {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.thread().id.hash(state);
    }
}

/// Asks for the newest message of a thread up to a place.
#[derive(Debug, Clone)]
pub struct SeenAt(pub ThreadAccess, pub Key<i64>);

impl SeenAt {
    fn key(&self) -> (ThreadId, i64, i64) {
        (self.0.thread().id, self.1.at.timestamp_micros(), self.1.tie)
    }
}

impl PartialEq for SeenAt {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for SeenAt {}

impl Hash for SeenAt {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl Loader<UserId> for Batch {
    type Value = User;
    type Error = Error;

    async fn load(&self, keys: &[UserId]) -> Result<HashMap<UserId, User>> {
        let users = user::by_ids(&mut self.app.conn().await?, keys).await?;
        Ok(users.into_iter().map(|user| (user.id, user)).collect())
    }
}

impl Loader<OrganizationId> for Batch {
    type Value = Organization;
    type Error = Error;

    async fn load(&self, keys: &[OrganizationId]) -> Result<HashMap<OrganizationId, Organization>> {
        let found = organization::by_ids(&mut self.app.conn().await?, keys).await?;
        Ok(found.into_iter().map(|found| (found.id, found)).collect())
    }
}

impl Loader<MembershipsOf> for Batch {
    type Value = Vec<Membership>;
    type Error = Error;

    async fn load(
        &self,
        keys: &[MembershipsOf],
    ) -> Result<HashMap<MembershipsOf, Vec<Membership>>> {
        let users: Vec<UserId> = keys.iter().map(|key| key.0).collect();
        let found = organization::memberships_of_all(&mut self.app.conn().await?, &users).await?;
        Ok(gather(found, |membership| {
            MembershipsOf(membership.user_id)
        }))
    }
}

impl Loader<ThreadOf> for Batch {
    type Value = ThreadAccess;
    type Error = Error;

    async fn load(&self, keys: &[ThreadOf]) -> Result<HashMap<ThreadOf, ThreadAccess>> {
        let ids: Vec<ThreadId> = keys.iter().map(|key| key.0).collect();
        let conn = &mut self.app.conn().await?;
        let found = find::threads_by_ids(conn, &self.viewer.get(), &ids).await?;
        Ok(found
            .into_iter()
            .map(|(id, access)| (ThreadOf(id), access))
            .collect())
    }
}

impl Loader<MessageId> for Batch {
    type Value = Arc<Message>;
    type Error = Error;

    async fn load(&self, keys: &[MessageId]) -> Result<HashMap<MessageId, Arc<Message>>> {
        let found = message::by_ids(&mut self.app.conn().await?, keys).await?;
        Ok(found
            .into_iter()
            .map(|message| (message.id, Arc::new(message)))
            .collect())
    }
}

impl Loader<ReactionsTo> for Batch {
    type Value = Vec<Reaction>;
    type Error = Error;

    async fn load(&self, keys: &[ReactionsTo]) -> Result<HashMap<ReactionsTo, Vec<Reaction>>> {
        let ids: Vec<MessageId> = keys.iter().map(|key| key.0).collect();
        let found = reaction::of_messages(&mut self.app.conn().await?, &ids).await?;
        Ok(gather(found, |reaction| ReactionsTo(reaction.message_id)))
    }
}

impl Loader<ReadersOf> for Batch {
    type Value = Vec<UserId>;
    type Error = Error;

    async fn load(&self, keys: &[ReadersOf]) -> Result<HashMap<ReadersOf, Vec<UserId>>> {
        let ids: Vec<MessageId> = keys.iter().map(|key| key.0).collect();
        let found = watermark::readers(&mut self.app.conn().await?, &ids).await?;
        Ok(found
            .into_iter()
            .map(|(id, readers)| (ReadersOf(id), readers))
            .collect())
    }
}

impl Loader<ReaderCountOf> for Batch {
    type Value = i32;
    type Error = Error;

    async fn load(&self, keys: &[ReaderCountOf]) -> Result<HashMap<ReaderCountOf, i32>> {
        let ids: Vec<MessageId> = keys.iter().map(|key| key.0).collect();
        let found = watermark::reader_counts(&mut self.app.conn().await?, &ids).await?;
        Ok(found
            .into_iter()
            .map(|(id, count)| (ReaderCountOf(id), count))
            .collect())
    }
}

impl Loader<UnreadIn> for Batch {
    type Value = i32;
    type Error = Error;

    async fn load(&self, keys: &[UnreadIn]) -> Result<HashMap<UnreadIn, i32>> {
        let Some(user) = self.viewer.get().user_id() else {
            return Ok(HashMap::new());
        };
        let ids: Vec<ThreadId> = keys.iter().map(|key| key.0).collect();
        let conn = &mut self.app.conn().await?;
        let found = watermark::unread_counts(conn, &self.viewer.get(), user, &ids).await?;
        Ok(found
            .into_iter()
            .map(|(id, count)| (UnreadIn(id), count))
            .collect())
    }
}

impl Loader<OwnPartIn> for Batch {
    type Value = Participant;
    type Error = Error;

    async fn load(&self, keys: &[OwnPartIn]) -> Result<HashMap<OwnPartIn, Participant>> {
        let Some(user) = self.viewer.get().user_id() else {
            return Ok(HashMap::new());
        };
        let ids: Vec<ThreadId> = keys.iter().map(|key| key.0).collect();
        let found = participant::of_user(&mut self.app.conn().await?, user, &ids).await?;
        Ok(found
            .into_iter()
            .map(|part| (OwnPartIn(part.thread_id), part))
            .collect())
    }
}

impl Loader<PickOf> for Batch {
    type Value = Arc<Message>;
    type Error = Error;

    async fn load(&self, keys: &[PickOf]) -> Result<HashMap<PickOf, Arc<Message>>> {
        let mut found = HashMap::new();
        for pick in [Pick::First, Pick::Latest, Pick::FirstUnread] {
            let keys: Vec<&PickOf> = keys.iter().filter(|key| key.1 == pick).collect();
            if keys.is_empty() {
                continue;
            }
            let threads: Vec<ThreadAccess> = keys.iter().map(|key| key.0.clone()).collect();
            let conn = &mut self.app.conn().await?;
            let mut picked = message_list::pick(conn, &threads, pick).await?;
            for key in keys {
                if let Some(message) = picked.remove(&key.0.thread().id) {
                    found.insert(key.clone(), Arc::new(message));
                }
            }
        }
        Ok(found)
    }
}

impl Loader<NewestMoveIn> for Batch {
    type Value = i64;
    type Error = Error;

    async fn load(&self, keys: &[NewestMoveIn]) -> Result<HashMap<NewestMoveIn, i64>> {
        let threads: Vec<&ThreadAccess> = keys.iter().map(|key| &key.0).collect();
        let found = watermark::newest_moves(&mut self.app.conn().await?, &threads).await?;
        let of = |key: &NewestMoveIn| Some((key.clone(), *found.get(&key.0.thread().id)?));
        Ok(keys.iter().filter_map(of).collect())
    }
}

impl Loader<SeenAt> for Batch {
    type Value = Arc<Message>;
    type Error = Error;

    async fn load(&self, keys: &[SeenAt]) -> Result<HashMap<SeenAt, Arc<Message>>> {
        let places: Vec<_> = keys.iter().map(|key| (&key.0, key.1)).collect();
        let conn = &mut self.app.conn().await?;
        let found = message_list::at_places(conn, &places).await?;
        let found = keys.iter().zip(found);
        Ok(found
            .filter_map(|(key, message)| Some((key.clone(), Arc::new(message?))))
            .collect())
    }
}

fn gather<K: Hash + Eq, V>(rows: Vec<V>, key: impl Fn(&V) -> K) -> HashMap<K, Vec<V>> {
    let mut gathered: HashMap<K, Vec<V>> = HashMap::new();
    for row in rows {
        gathered.entry(key(&row)).or_default().push(row);
    }
    gathered
}
