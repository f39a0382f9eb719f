//! Who may write to the storage: so many at once, and one for a key.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard};

use tokio::sync::{Semaphore, SemaphorePermit};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::storage::Place;

/// Most files that come in at once: each has a few parts of it in memory.
const AT_ONCE: usize = 64;

/// Who writes.
pub struct Turns {
    free: Semaphore,
    taken: Mutex<HashSet<(Place, Uuid)>>,
}

/// Leave to write to a key. It ends when this is dropped, and so does what it has of the room.
pub struct Turn<'a> {
    turns: &'a Turns,
    what: (Place, Uuid),
    permit: Option<SemaphorePermit<'a>>,
}

impl Turns {
    /// Waits until there is room for one more. Whoever comes second for a key is refused.
    pub async fn take(&self, place: Place, key: Uuid) -> Result<Turn<'_>> {
        let what = (place, key);
        if !self.taken().insert(what) {
            let why = "the file is being uploaded by another request";
            return Err(Error::Conflict(why.to_owned()));
        }
        let mut turn = Turn {
            turns: self,
            what,
            permit: None,
        };
        turn.permit = Some(self.free.acquire().await.map_err(Error::internal)?);
        Ok(turn)
    }

    fn taken(&self) -> MutexGuard<'_, HashSet<(Place, Uuid)>> {
        self.taken.lock().expect("no holder of this lock panics")
    }
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            free: Semaphore::new(AT_ONCE),
            taken: Mutex::default(),
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.taken().remove(&self.what);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn one_writes_to_a_key_and_so_many_write_at_all() {
        let turns = Turns::default();
        let key = Uuid::now_v7();
        let first = turns.take(Place::Uploads, key).await;
        let second = turns.take(Place::Uploads, key).await;
        assert!(matches!(second, Err(Error::Conflict(_))));
        drop(first);
        assert!(turns.take(Place::Uploads, key).await.is_ok());
        let all = join_all((0..AT_ONCE).map(|_| turns.take(Place::Files, Uuid::now_v7()))).await;
        assert!(turns.take(Place::Uploads, key).now_or_never().is_none());
        // Who was waiting and went away has left nothing behind.
        drop(all);
        assert!(turns.take(Place::Uploads, key).await.is_ok());
    }
}
