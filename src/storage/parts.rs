//! Writes an object part by part, with few of them in memory, or not at all.

use std::sync::Arc;

use bytes::BytesMut;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, WriteMultipart};
use tokio_util::task::TaskTracker;

use crate::error::{Error, Result};

/// The bytes of a part: what S3 asks for at least.
const PART: usize = 5 * 1024 * 1024;

/// So many parts are on their way at once, and one more is being filled.
const UNDERWAY: usize = 2;

/// An object that is being written. Dropped before its end, it is given up.
pub struct Parts {
    store: Arc<dyn ObjectStore>,
    path: Path,
    /// What is not more than a part needs no parts.
    first: BytesMut,
    upload: Option<WriteMultipart>,
    tasks: TaskTracker,
}

impl Parts {
    /// Nothing is written yet.
    pub fn new(store: Arc<dyn ObjectStore>, path: Path, tasks: TaskTracker) -> Self {
        Self {
            store,
            path,
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
        if self.first.len() > PART {
            let upload = self.store.put_multipart(&self.path).await;
            let upload = upload.map_err(Error::internal)?;
            let upload = WriteMultipart::new_with_chunk_size(upload, PART);
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

/// Removes what a server has begun to write to a directory and did not end because it was killed:
/// the store writes beside the object, under its name with a number.
pub fn remove_begun(directory: &LocalFileSystem, path: &Path) -> Result<()> {
    let object = directory
        .path_to_filesystem(path)
        .map_err(Error::internal)?;
    for number in 1.. {
        let mut begun = object.clone().into_os_string();
        begun.push(format!("#{number}"));
        match std::fs::remove_file(begun) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => break,
            Err(error) => return Err(Error::internal(error)),
        }
    }
    Ok(())
}
