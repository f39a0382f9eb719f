//! Look-ups by key, gathered: one query for all objects of a document, not one for each.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use async_graphql::dataloader::{DataLoader, Loader};
use async_graphql::runtime::{TokioSpawner, TokioTimer};

use crate::app::App;
use crate::auth::Present;
use crate::db::access::{ThreadAccess, find};
use crate::db::inbox::{self, Inbox};
use crate::db::message::{self, Message};
use crate::db::organization::{self, Membership, Organization};
use crate::db::reaction::{self, Reaction};
use crate::db::revision::{self, Revision};
use crate::db::user::{self, User};
use crate::db::watermark;
use crate::error::{Error, Result};
use crate::ids::{InboxId, MessageId, OrganizationId, Ref, ThreadId, UserId};

/// What gathers the look-ups of one request. Those about threads are in `thread_loaders`.
pub struct Batch {
    pub(in crate::graphql) app: Arc<App>,
    pub(in crate::graphql) viewer: Present,
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

/// Asks to whose devices a message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReceiversOf(pub MessageId);

/// Asks for the former texts of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RevisionsOf(pub MessageId);

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

impl Loader<ReceiversOf> for Batch {
    type Value = Vec<UserId>;
    type Error = Error;

    async fn load(&self, keys: &[ReceiversOf]) -> Result<HashMap<ReceiversOf, Vec<UserId>>> {
        let ids: Vec<MessageId> = keys.iter().map(|key| key.0).collect();
        let found = watermark::receivers(&mut self.app.conn().await?, &ids).await?;
        Ok(found
            .into_iter()
            .map(|(id, receivers)| (ReceiversOf(id), receivers))
            .collect())
    }
}

impl Loader<RevisionsOf> for Batch {
    type Value = Vec<Revision>;
    type Error = Error;

    async fn load(&self, keys: &[RevisionsOf]) -> Result<HashMap<RevisionsOf, Vec<Revision>>> {
        let ids: Vec<MessageId> = keys.iter().map(|key| key.0).collect();
        let found = revision::of_messages(&mut self.app.conn().await?, &ids).await?;
        Ok(gather(found, |revision| RevisionsOf(revision.message_id)))
    }
}

impl Loader<Ref<UserId>> for Batch {
    type Value = UserId;
    type Error = Error;

    async fn load(&self, keys: &[Ref<UserId>]) -> Result<HashMap<Ref<UserId>, UserId>> {
        let found = user::ids_of(&mut self.app.conn().await?, keys).await?;
        let named = keys.iter().zip(found);
        Ok(named
            .filter_map(|(name, id)| Some((name.clone(), id?)))
            .collect())
    }
}

impl Loader<InboxId> for Batch {
    type Value = Inbox;
    type Error = Error;

    async fn load(&self, keys: &[InboxId]) -> Result<HashMap<InboxId, Inbox>> {
        let found = inbox::by_ids(&mut self.app.conn().await?, keys).await?;
        Ok(found.into_iter().map(|inbox| (inbox.id, inbox)).collect())
    }
}

fn gather<K: Hash + Eq, V>(rows: Vec<V>, key: impl Fn(&V) -> K) -> HashMap<K, Vec<V>> {
    let mut gathered: HashMap<K, Vec<V>> = HashMap::new();
    for row in rows {
        gathered.entry(key(&row)).or_default().push(row);
    }
    gathered
}
