//! Writes an object part by part, with few of them in memory, or not at all.

use std::collections::HashSet;
use std::sync::Arc;
use std::{fs, io};

use bytes::BytesMut;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload};
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

use crate::error::{Error, Result};

/// The bytes of a part where any do.
pub const SMALL: usize = 256 * 1024;

/// The bytes of a part in S3: what it asks for at least.
pub const LARGE: usize = 5 * 1024 * 1024;

/// An object that is being written. Dropped before its end, it is given up.
pub struct Parts {
    store: Arc<dyn ObjectStore>,
    path: Path,
    /// The bytes of a part.
    size: usize,
    /// The part that is being filled. What fits into one needs no others.
    part: BytesMut,
    begun: Option<Begun>,
    tasks: TaskTracker,
}

/// An object of several parts.
struct Begun {
    upload: Box<dyn MultipartUpload>,
    /// The part that is on its way, while the next one is being filled.
    underway: JoinSet<object_store::Result<()>>,
}

impl Parts {
    /// Nothing is written yet.
    pub fn new(store: Arc<dyn ObjectStore>, path: Path, size: usize, tasks: TaskTracker) -> Self {
        Self {
            store,
            path,
            size,
            part: BytesMut::new(),
            begun: None,
            tasks,
        }
    }

    /// Takes more, as fast as the store takes it.
    pub async fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            if self.part.len() == self.size {
                self.send().await?;
            }
            let fits = bytes.len().min(self.size - self.part.len());
            let (now, later) = bytes.split_at(fits);
            // Copied: a client can send pieces so small that they would take far more memory than
            // their bytes.
            self.part.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    /// Sends the part that was filled, once the one before it is there.
    async fn send(&mut self) -> Result<()> {
        let part = std::mem::replace(&mut self.part, BytesMut::with_capacity(self.size)).freeze();
        let begun = match &mut self.begun {
            Some(begun) => begun,
            begun => {
                let upload = self.store.put_multipart(&self.path).await;
                begun.insert(Begun {
                    upload: upload.map_err(Error::internal)?,
                    underway: JoinSet::new(),
                })
            }
        };
        begun.arrived().await?;
        let sent = begun.upload.put_part(PutPayload::from_bytes(part));
        begun.underway.spawn(sent);
        Ok(())
    }

    /// Ends it: the object is there, whole.
    pub async fn finish(mut self) -> Result<()> {
        if self.begun.is_none() {
            let whole = PutPayload::from_bytes(std::mem::take(&mut self.part).freeze());
            let written = self.store.put(&self.path, whole).await;
            return written.map(drop).map_err(Error::internal);
        }
        self.send().await?;
        if let Some(begun) = &mut self.begun {
            begun.arrived().await?;
            begun.upload.complete().await.map_err(Error::internal)?;
        }
        self.begun = None;
        Ok(())
    }
}

impl Begun {
    /// Waits until nothing is on its way.
    async fn arrived(&mut self) -> Result<()> {
        while let Some(sent) = self.underway.join_next().await {
            sent.map_err(Error::internal)?.map_err(Error::internal)?;
        }
        Ok(())
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        // A store keeps the parts of what never ends, and nobody sees them.
        if let Some(mut begun) = self.begun.take() {
            self.tasks.spawn(async move {
                begun.underway.shutdown().await;
                if let Err(error) = begun.upload.abort().await {
                    tracing::warn!(%error, "an upload that was given up could not be cleared away");
                }
            });
        }
    }
}

/// Removes what a server has begun to write to a directory under these keys and did not end because
/// it was killed: the store writes beside the object, under its name with a number.
pub fn remove_begun(directory: &std::path::Path, keys: &HashSet<String>) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let begun = name.to_str().and_then(|name| name.split_once('#'));
        if begun.is_some_and(|(key, _)| keys.contains(key)) {
            match fs::remove_file(entry.path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}
