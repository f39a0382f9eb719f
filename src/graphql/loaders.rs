//! Look-ups by key, gathered: one query for all objects of a document, not one for each.

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex};

use async_graphql::dataloader::{DataLoader, Loader};
use async_graphql::runtime::TokioSpawner;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, TryFutureExt};

use crate::app::App;
use crate::auth::Present;
use crate::db::access::{ThreadAccess, find};
use crate::db::attachment::{self, Attachment};
use crate::db::inbox::{self, Inbox};
use crate::db::lookups::{Kinds, Lookups, Table};
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
    telling: Telling,
}

/// What was looked up already of the event that is being told, if one is.
#[derive(Debug, Clone, Default)]
pub struct Telling(Arc<Mutex<Option<Lookups>>>);

impl Telling {
    /// It is about this event from now on.
    pub fn renew(&self, lookups: Option<Lookups>) {
        *self.0.lock().expect("no holder of this lock panics") = lookups;
    }

    fn get(&self) -> Option<Lookups> {
        self.0
            .lock()
            .expect("no holder of this lock panics")
            .clone()
    }
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
    pub fn new(app: Arc<App>, viewer: Present, rounds: Rounds, telling: Telling) -> Self {
        Self {
            app,
            viewer,
            rounds,
            telling,
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

    /// What is known of a key to all who are told of an event: a row, or that there is none.
    pub fn known<K: Copy + Eq + Hash, V: Clone>(
        &self,
        table: fn(&Kinds) -> &Table<K, V>,
        key: K,
    ) -> Option<Option<V>> {
        let lookups = self.telling.get()?;
        table(lookups.kinds()?).known(&key)
    }

    /// Looks up what does not depend on who asks: once for all who are told of an event.
    async fn once<K: Copy + Eq + Hash, V: Clone>(
        &self,
        table: fn(&Kinds) -> &Table<K, V>,
        keys: &[K],
        load: impl for<'a> FnOnce(&'a mut Conn, &'a [K]) -> BoxFuture<'a, Result<HashMap<K, V>>>,
    ) -> Result<HashMap<K, V>> {
        let lookups = self.telling.get();
        let Some(kinds) = lookups.as_ref().and_then(Lookups::kinds) else {
            let mut look_up = self.conn().await?;
            return load(&mut look_up, keys).await;
        };
        // To wait for another one's look-up is as good as one's own.
        let _loading = self.rounds.begin();
        let mut open = table(kinds).open(keys).await;
        let missing = open.missing();
        if !missing.is_empty() {
            let mut look_up = self.conn().await?;
            let found = load(&mut look_up, &missing).await?;
            open.keep(missing, found);
        }
        Ok(open.found())
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

/// Asks for the attachments of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AttachmentsOf(pub MessageId);

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
    type Value = Arc<User>;
    type Error = Error;

    async fn load(&self, keys: &[UserId]) -> Result<HashMap<UserId, Arc<User>>> {
        self.once(
            |kinds| &kinds.users,
            keys,
            |conn, keys| {
                let found = user::by_ids(conn, keys);
                found
                    .map_ok(|all| all.into_iter().map(|one| (one.id, Arc::new(one))).collect())
                    .boxed()
            },
        )
        .await
    }
}

impl Loader<OrganizationId> for Batch {
    type Value = Organization;
    type Error = Error;

    async fn load(&self, keys: &[OrganizationId]) -> Result<HashMap<OrganizationId, Organization>> {
        self.once(
            |kinds| &kinds.organizations,
            keys,
            |conn, keys| {
                let found = organization::by_ids(conn, keys);
                found
                    .map_ok(|all| all.into_iter().map(|one| (one.id, one)).collect())
                    .boxed()
            },
        )
        .await
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
        self.once(
            |kinds| &kinds.messages,
            keys,
            |conn, keys| {
                let found = message::by_ids(conn, keys);
                found
                    .map_ok(|all| all.into_iter().map(|one| (one.id, Arc::new(one))).collect())
                    .boxed()
            },
        )
        .await
    }
}

impl Loader<ReactionsTo> for Batch {
    type Value = Vec<Reaction>;
    type Error = Error;

    async fn load(&self, keys: &[ReactionsTo]) -> Result<HashMap<ReactionsTo, Vec<Reaction>>> {
        let ids: Vec<MessageId> = keys.iter().map(|key| key.0).collect();
        let found = self.once(
            |kinds| &kinds.reactions,
            &ids,
            |conn, ids| {
                let found = reaction::of_messages(conn, ids);
                found
                    .map_ok(|all| gather(all, |one| one.message_id))
                    .boxed()
            },
        );
        Ok(rename(found.await?, ReactionsTo))
    }
}

impl Loader<AttachmentsOf> for Batch {
    type Value = Vec<Attachment>;
    type Error = Error;

    async fn load(
        &self,
        keys: &[AttachmentsOf],
    ) -> Result<HashMap<AttachmentsOf, Vec<Attachment>>> {
        let ids: Vec<MessageId> = keys.iter().map(|key| key.0).collect();
        let found = self.once(
            |kinds| &kinds.attachments,
            &ids,
            |conn, ids| {
                let found = attachment::of_messages(conn, ids);
                found
                    .map_ok(|all| gather(all, |one| one.message_id))
                    .map_ok(|all| {
                        all.into_iter()
                            .filter_map(|(id, of)| Some((id?, of)))
                            .collect()
                    })
                    .boxed()
            },
        );
        Ok(rename(found.await?, AttachmentsOf))
    }
}

impl Loader<ReadersOf> for Batch {
    type Value = Vec<UserId>;
    type Error = Error;

    async fn load(&self, keys: &[ReadersOf]) -> Result<HashMap<ReadersOf, Vec<UserId>>> {
        let ids: Vec<MessageId> = keys.iter().map(|key| key.0).collect();
        let found = self.once(
            |kinds| &kinds.readers,
            &ids,
            |conn, ids| watermark::readers(conn, ids).boxed(),
        );
        Ok(rename(found.await?, ReadersOf))
    }
}

impl Loader<ReaderCountOf> for Batch {
    type Value = i32;
    type Error = Error;

    async fn load(&self, keys: &[ReaderCountOf]) -> Result<HashMap<ReaderCountOf, i32>> {
        let ids: Vec<MessageId> = keys.iter().map(|key| key.0).collect();
        let found = self.once(
            |kinds| &kinds.reader_counts,
            &ids,
            |conn, ids| watermark::reader_counts(conn, ids).boxed(),
        );
        Ok(rename(found.await?, ReaderCountOf))
    }
}

impl Loader<ReceiversOf> for Batch {
    type Value = Vec<UserId>;
    type Error = Error;

    async fn load(&self, keys: &[ReceiversOf]) -> Result<HashMap<ReceiversOf, Vec<UserId>>> {
        let ids: Vec<MessageId> = keys.iter().map(|key| key.0).collect();
        let found = self.once(
            |kinds| &kinds.receivers,
            &ids,
            |conn, ids| watermark::receivers(conn, ids).boxed(),
        );
        Ok(rename(found.await?, ReceiversOf))
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
        self.once(
            |kinds| &kinds.inboxes,
            keys,
            |conn, keys| {
                let found = inbox::by_ids(conn, keys);
                found
                    .map_ok(|all| all.into_iter().map(|one| (one.id, one)).collect())
                    .boxed()
            },
        )
        .await
    }
}

/// The same by another key.
fn rename<K: Hash + Eq, N: Hash + Eq, V>(found: HashMap<K, V>, name: fn(K) -> N) -> HashMap<N, V> {
    found
        .into_iter()
        .map(|(key, value)| (name(key), value))
        .collect()
}

fn gather<K: Hash + Eq, V>(rows: Vec<V>, key: impl Fn(&V) -> K) -> HashMap<K, Vec<V>> {
    let mut gathered: HashMap<K, Vec<V>> = HashMap::new();
    for row in rows {
        gathered.entry(key(&row)).or_default().push(row);
    }
    gathered
}
