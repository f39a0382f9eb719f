//! Look-ups by key, gathered: one query for all objects of a document, not one for each.

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use async_graphql::dataloader::{DataLoader, Loader};
use async_graphql::runtime::TokioSpawner;

use crate::app::App;
use crate::auth::Present;
use crate::db::access::{ThreadAccess, find};
use crate::db::inbox::{self, Inbox};
use crate::db::message::{self, Message};
use crate::db::organization::{self, Membership, Organization};
use crate::db::pool::Conn;
use crate::db::reaction::{self, Reaction};
use crate::db::revision::{self, Revision};
use crate::db::user::{self, User};
use crate::db::watermark;
use crate::error::{Error, Result};
use crate::graphql::rounds::{Loading, Rounds};
use crate::ids::{InboxId, MessageId, OrganizationId, Ref, ThreadId, UserId};

/// What gathers the look-ups of one request. Those about threads are in `thread_loaders`.
pub struct Batch {
    app: Arc<App>,
    pub(in crate::graphql) viewer: Present,
    rounds: Rounds,
}

/// A connection for a look-up, which is being made until this is dropped.
pub(in crate::graphql) struct LookUp {
    conn: Conn,
    _loading: Loading,
}

impl Deref for LookUp {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        &self.conn
    }
}

impl DerefMut for LookUp {
    fn deref_mut(&mut self) -> &mut Conn {
        &mut self.conn
    }
}

impl Batch {
    /// For this viewer.
    pub fn new(app: Arc<App>, viewer: Present, rounds: Rounds) -> Self {
        Self {
            app,
            viewer,
            rounds,
        }
    }

    /// It, ready to be asked.
    pub fn loader(self) -> DataLoader<Self> {
        let rounds = self.rounds.clone();
        DataLoader::new(self, TokioSpawner::current(), rounds)
    }

    /// A connection for a look-up.
    pub(in crate::graphql) async fn conn(&self) -> Result<LookUp> {
        let loading = self.rounds.begin();
        Ok(LookUp {
            conn: self.app.conn().await?,
            _loading: loading,
        })
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
        let conn = &mut self.conn().await?;
        let users = user::by_ids(conn, keys).await?;
        Ok(users.into_iter().map(|user| (user.id, user)).collect())
    }
}

impl Loader<OrganizationId> for Batch {
    type Value = Organization;
    type Error = Error;

    async fn load(&self, keys: &[OrganizationId]) -> Result<HashMap<OrganizationId, Organization>> {
        let conn = &mut self.conn().await?;
        let found = organization::by_ids(conn, keys).await?;
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
        let conn = &mut self.conn().await?;
        let found = organization::memberships_of_all(conn, &users).await?;
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
        let conn = &mut self.conn().await?;
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
        let conn = &mut self.conn().await?;
        let found = message::by_ids(conn, keys).await?;
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
        let conn = &mut self.conn().await?;
        let found = reaction::of_messages(conn, &ids).await?;
        Ok(gather(found, |reaction| ReactionsTo(reaction.message_id)))
    }
}

impl Loader<ReadersOf> for Batch {
    type Value = Vec<UserId>;
    type Error = Error;

    async fn load(&self, keys: &[ReadersOf]) -> Result<HashMap<ReadersOf, Vec<UserId>>> {
        let ids: Vec<MessageId> = keys.iter().map(|key| key.0).collect();
        let conn = &mut self.conn().await?;
        let found = watermark::readers(conn, &ids).await?;
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
        let conn = &mut self.conn().await?;
        let found = watermark::reader_counts(conn, &ids).await?;
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
        let conn = &mut self.conn().await?;
        let found = watermark::receivers(conn, &ids).await?;
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
        let conn = &mut self.conn().await?;
        let found = revision::of_messages(conn, &ids).await?;
        Ok(gather(found, |revision| RevisionsOf(revision.message_id)))
    }
}

impl Loader<Ref<UserId>> for Batch {
    type Value = UserId;
    type Error = Error;

    async fn load(&self, keys: &[Ref<UserId>]) -> Result<HashMap<Ref<UserId>, UserId>> {
        let conn = &mut self.conn().await?;
        let found = user::ids_of(conn, keys).await?;
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
        let conn = &mut self.conn().await?;
        let found = inbox::by_ids(conn, keys).await?;
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
