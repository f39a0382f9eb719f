//! Writes an object part by part, with few of them in memory, or not at all.

use std::collections::HashSet;
use std::sync::Arc;
use std::{fs, io};

use bytes::BytesMut;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, WriteMultipart};
use tokio_util::task::TaskTracker;

use crate::error::{Error, Result};

/// The bytes of a part where any do.
pub const SMALL: usize = 256 * 1024;

/// The bytes of a part in S3: what it asks for at least.
pub const LARGE: usize = 5 * 1024 * 1024;

/// So many parts are on their way at once, and one more is being filled.
const UNDERWAY: usize = 2;

/// An object that is being written. Dropped before its end, it is given up.
pub struct Parts {
    store: Arc<dyn ObjectStore>,
    path: Path,
    /// The bytes of a part.
    size: usize,
    /// What is not more than a part needs no parts.
    first: BytesMut,
    upload: Option<WriteMultipart>,
    tasks: TaskTracker,
}

impl Parts {
    /// Nothing is written yet.
    pub fn new(store: Arc<dyn ObjectStore>, path: Path, size: usize, tasks: TaskTracker) -> Self {
        Self {
            store,
            path,
            size,
            first: BytesMut::new(),
            upload: None,
            tasks,
        }
    }

    /// Takes more, as fast as the store takes it.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if let Some(upload) = &mut self.upload {
            let free = upload.wait_for_capacity(UNDERWAY).await;
            free.map_err(Error::internal)?;
            upload.write(bytes);
            return Ok(());
        }
        self.first.extend_from_slice(bytes);
        if self.first.len() > self.size {
            let upload = self.store.put_multipart(&self.path).await;
            let upload = upload.map_err(Error::internal)?;
            let upload = WriteMultipart::new_with_chunk_size(upload, self.size);
            self.upload
                .insert(upload)
                .write(&std::mem::take(&mut self.first));
        }
        Ok(())
    }

    /// Ends it: the object is there, whole.
    pub async fn finish(mut self) -> Result<()> {
        let first = std::mem::take(&mut self.first);
        let written = match self.upload.take() {
            Some(upload) => upload.finish().await,
            None => {
                let payload = PutPayload::from_bytes(first.freeze());
                self.store.put(&self.path, payload).await
            }
        };
        written.map(drop).map_err(Error::internal)
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        // A store keeps the parts of what never ends, and nobody sees them.
        if let Some(upload) = self.upload.take() {
            self.tasks.spawn(async move {
                if let Err(error) = upload.abort().await {
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
