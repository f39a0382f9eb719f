//! Look-ups about threads, gathered: one query for all threads of a document.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use async_graphql::dataloader::Loader;
use uuid::Uuid;

use crate::db::access::ThreadAccess;
use crate::db::access::find::{self, Again};
use crate::db::hidden;
use crate::db::message::Message;
use crate::db::message_list::{self, Pick};
use crate::db::page::{Key, Page, Slice};
use crate::db::participant::{self, Participant};
use crate::db::user::User;
use crate::db::watermark::{self, Watermark};
use crate::error::{Error, Result};
use crate::graphql::loaders::Batch;
use crate::ids::{ThreadId, UserId};

/// Asks how many messages of a thread the viewer has not seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UnreadIn(pub ThreadId);

/// Asks in how many threads how many messages the viewer has not seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UnreadTotals;

/// Asks for the viewer's own part in a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OwnPartIn(pub ThreadId);

/// Asks whether the viewer has hidden a thread; nothing is found of one that he has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HiddenIs(pub ThreadId);

/// Asks how many take part in a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ParticipantCountIn(pub ThreadId);

/// Asks for a page of a thread's participants.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ParticipantsIn(pub ThreadId, pub Page<Uuid>);

/// Asks for what somebody has seen and received of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MarksOf(pub ThreadId, pub UserId);

/// Asks for something of a thread that depends on what the viewer sees of it.
#[derive(Debug, Clone)]
pub struct In<T>(pub ThreadAccess, pub T);

/// Asks for one message of a thread.
pub type PickOf = In<Pick>;

/// Asks for a page of a thread's messages.
pub type MessagesIn = In<Page<i64>>;

/// Asks for the newest message of a thread up to a place.
pub type NewestUpTo = In<Key<i64>>;

/// How many drafts of his own the viewer finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Drafts;

/// What has become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Now;

/// The newest transaction that moved a watermark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NewestMove;

impl<T: PartialEq> PartialEq for In<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.thread().id == other.0.thread().id && self.1 == other.1
    }
}

impl<T: Eq> Eq for In<T> {}

impl<T: Hash> Hash for In<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.thread().id.hash(state);
        self.1.hash(state);
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
        let conn = &mut self.conn().await?;
        let found = watermark::unread_counts(conn, &self.viewer.get(), user, &ids).await?;
        Ok(found
            .into_iter()
            .map(|(id, count)| (UnreadIn(id), count))
            .collect())
    }
}

impl Loader<UnreadTotals> for Batch {
    type Value = (i64, i64);
    type Error = Error;

    async fn load(&self, _: &[UnreadTotals]) -> Result<HashMap<UnreadTotals, (i64, i64)>> {
        let viewer = self.viewer.get();
        let Some(user) = viewer.user_id() else {
            return Ok(HashMap::new());
        };
        let conn = &mut self.conn().await?;
        let totals = watermark::unread_totals(conn, &viewer, user).await?;
        Ok(HashMap::from([(UnreadTotals, totals)]))
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
        let conn = &mut self.conn().await?;
        let found = participant::of_user(conn, user, &ids).await?;
        Ok(found
            .into_iter()
            .map(|part| (OwnPartIn(part.thread_id), part))
            .collect())
    }
}

impl Loader<HiddenIs> for Batch {
    type Value = ();
    type Error = Error;

    async fn load(&self, keys: &[HiddenIs]) -> Result<HashMap<HiddenIs, ()>> {
        let Some(user) = self.viewer.get().user_id() else {
            return Ok(HashMap::new());
        };
        let ids: Vec<ThreadId> = keys.iter().map(|key| key.0).collect();
        let conn = &mut self.conn().await?;
        let found = hidden::among(conn, &ids, user).await?;
        Ok(found.into_iter().map(|id| (HiddenIs(id), ())).collect())
    }
}

impl Loader<ParticipantCountIn> for Batch {
    type Value = i64;
    type Error = Error;

    async fn load(&self, keys: &[ParticipantCountIn]) -> Result<HashMap<ParticipantCountIn, i64>> {
        let ids: Vec<ThreadId> = keys.iter().map(|key| key.0).collect();
        let conn = &mut self.conn().await?;
        let found = participant::counts(conn, &ids).await?;
        Ok(found
            .into_iter()
            .map(|(id, count)| (ParticipantCountIn(id), count))
            .collect())
    }
}

impl Loader<ParticipantsIn> for Batch {
    type Value = Slice<(Participant, User)>;
    type Error = Error;

    async fn load(
        &self,
        keys: &[ParticipantsIn],
    ) -> Result<HashMap<ParticipantsIn, Slice<(Participant, User)>>> {
        let mut found = HashMap::new();
        let conn = &mut self.conn().await?;
        for (page, ids) in by_page(keys.iter().map(|key| (&key.1, key.0))) {
            let slices = participant::in_threads(conn, &ids, page).await?;
            let keyed = slices.into_iter();
            found.extend(keyed.map(|(id, slice)| (ParticipantsIn(id, page.clone()), slice)));
        }
        Ok(found)
    }
}

impl Loader<MarksOf> for Batch {
    type Value = Vec<Watermark>;
    type Error = Error;

    async fn load(&self, keys: &[MarksOf]) -> Result<HashMap<MarksOf, Vec<Watermark>>> {
        let parts: Vec<_> = keys.iter().map(|key| (key.0, key.1)).collect();
        let conn = &mut self.conn().await?;
        let found = watermark::of_people(conn, &parts).await?;
        let mut marks: HashMap<MarksOf, Vec<Watermark>> = HashMap::new();
        for mark in found {
            let key = MarksOf(mark.thread_id, mark.user_id);
            marks.entry(key).or_default().push(mark);
        }
        Ok(marks)
    }
}

#[expect(
    clippy::mutable_key_type,
    reason = "keys are compared by the thread's id, which does not change"
)]
impl Loader<PickOf> for Batch {
    type Value = Arc<Message>;
    type Error = Error;

    async fn load(&self, keys: &[PickOf]) -> Result<HashMap<PickOf, Arc<Message>>> {
        let mut found = HashMap::new();
        let conn = &mut self.conn().await?;
        for (pick, threads) in by_page(keys.iter().map(|key| (&key.1, key.0.clone()))) {
            let mut picked = message_list::pick(conn, &threads, *pick).await?;
            for access in threads {
                if let Some(message) = picked.remove(&access.thread().id) {
                    found.insert(In(access, *pick), Arc::new(message));
                }
            }
        }
        Ok(found)
    }
}

#[expect(
    clippy::mutable_key_type,
    reason = "keys are compared by the thread's id, which does not change"
)]
impl Loader<MessagesIn> for Batch {
    type Value = Slice<Message>;
    type Error = Error;

    async fn load(&self, keys: &[MessagesIn]) -> Result<HashMap<MessagesIn, Slice<Message>>> {
        let mut found = HashMap::new();
        let conn = &mut self.conn().await?;
        for (page, threads) in by_page(keys.iter().map(|key| (&key.1, key.0.clone()))) {
            let mut slices = message_list::in_threads(conn, &threads, page).await?;
            for access in threads {
                if let Some(slice) = slices.remove(&access.thread().id) {
                    found.insert(In(access, page.clone()), slice);
                }
            }
        }
        Ok(found)
    }
}

impl Loader<In<Drafts>> for Batch {
    type Value = i64;
    type Error = Error;

    async fn load(&self, keys: &[In<Drafts>]) -> Result<HashMap<In<Drafts>, i64>> {
        let threads: Vec<ThreadAccess> = keys.iter().map(|key| key.0.clone()).collect();
        let conn = &mut self.conn().await?;
        let found = message_list::draft_counts(conn, &threads).await?;
        let of = |key: &In<Drafts>| Some((key.clone(), *found.get(&key.0.thread().id)?));
        Ok(keys.iter().filter_map(of).collect())
    }
}

impl Loader<In<Now>> for Batch {
    type Value = Again;
    type Error = Error;

    async fn load(&self, keys: &[In<Now>]) -> Result<HashMap<In<Now>, Again>> {
        let proofs: Vec<ThreadAccess> = keys.iter().map(|key| key.0.clone()).collect();
        let conn = &mut self.conn().await?;
        let mut found = find::threads_again(conn, &proofs).await?;
        let of = |key: &In<Now>| Some((key.clone(), found.remove(&key.0.thread().id)?));
        Ok(keys.iter().filter_map(of).collect())
    }
}

impl Loader<In<NewestMove>> for Batch {
    type Value = i64;
    type Error = Error;

    async fn load(&self, keys: &[In<NewestMove>]) -> Result<HashMap<In<NewestMove>, i64>> {
        let threads: Vec<&ThreadAccess> = keys.iter().map(|key| &key.0).collect();
        let conn = &mut self.conn().await?;
        let found = watermark::newest_moves(conn, &threads).await?;
        let of = |key: &In<NewestMove>| Some((key.clone(), *found.get(&key.0.thread().id)?));
        Ok(keys.iter().filter_map(of).collect())
    }
}

impl Loader<NewestUpTo> for Batch {
    type Value = Arc<Message>;
    type Error = Error;

    async fn load(&self, keys: &[NewestUpTo]) -> Result<HashMap<NewestUpTo, Arc<Message>>> {
        let places: Vec<_> = keys.iter().map(|key| (&key.0, key.1)).collect();
        let conn = &mut self.conn().await?;
        let found = message_list::at_places(conn, &places).await?;
        let found = keys.iter().zip(found);
        Ok(found
            .filter_map(|(key, message)| Some((key.clone(), Arc::new(message?))))
            .collect())
    }
}

/// What is asked for, by the page or pick that is asked for: a document asks for few different
/// ones, of many threads each.
fn by_page<'a, P: Eq + Hash, T>(asked: impl Iterator<Item = (&'a P, T)>) -> HashMap<&'a P, Vec<T>> {
    let mut gathered: HashMap<&'a P, Vec<T>> = HashMap::new();
    for (page, of) in asked {
        gathered.entry(page).or_default().push(of);
    }
    gathered
}
