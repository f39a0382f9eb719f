//! Files: where their bytes are, what they are, and the signed addresses by which clients reach
//! them.
//!
//! Never knows who may see a file, and never takes a name for a path: an object's key is a UUID.

pub mod links;

pub mod media;

mod parts;

mod turns;

use std::collections::HashSet;
use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, TryStreamExt};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{
    ClientOptions, Error as StoreError, GetOptions, GetRange, ObjectStore, ObjectStoreExt,
};
use reqwest::Url;
use tokio::task::spawn_blocking;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::config::Settings;
use crate::error::{Error, FieldError, Result};
use crate::storage::links::Links;
use crate::storage::parts::Parts;
use crate::storage::turns::Turns;

/// So much of a file's beginning is looked at to find out what it is. A photograph may have its
/// size behind a preview of itself.
const HEAD: usize = 256 * 1024;

/// Where files are kept.
pub struct Storage {
    store: Arc<dyn ObjectStore>,
    /// Where the keys begin.
    prefix: Path,
    /// Signs addresses that lead to the store itself; none: they lead to this server.
    signer: Option<Arc<dyn Signer>>,
    /// The store as a directory, if it is one.
    directory: Option<Arc<LocalFileSystem>>,
    links: Links,
    turns: Turns,
    /// What has begun and was given up is cleared away by tasks that the end of the server
    /// waits for.
    tasks: TaskTracker,
}

/// Where in the storage an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// Among the files: checked, and never written again.
    Files,
    /// Among what clients have put there with an address of their own: to be checked.
    Uploads,
}

/// What a client says of a file.
#[derive(Debug, Clone)]
pub struct Declared {
    /// Its name; what is wrong is told with it.
    pub name: String,
    /// Its media type; `application/octet-stream` where the client does not know.
    pub mime_type: String,
}

/// What was found of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// How many bytes it has; at least one.
    pub size: i64,
    /// Its media type, without parameters: as declared where the content fits, as found where it
    /// was not declared.
    pub mime_type: String,
    /// Of an image, in pixels, if its beginning says so.
    pub width: Option<i32>,
    /// Of an image, in pixels, if its beginning says so.
    pub height: Option<i32>,
}

impl Storage {
    /// Opens the storage of the settings, for a server that listens at an address. The secret
    /// signs; `tasks` keeps what has to run to its end.
    pub fn open(
        settings: &Settings,
        address: SocketAddr,
        secret: &[u8],
        tasks: TaskTracker,
    ) -> Result<Self, String> {
        let links = Links::new(settings, address, secret);
        let Some(given) = &settings.files.storage_url else {
            return Self::in_directory(&settings.data_dir.join("files"), links, tasks);
        };
        let wrong =
            |why: &str| format!("BOBBIN_STORAGE_URL must be file:// or s3://BUCKET/PREFIX: {why}");
        let url = Url::parse(given.reveal()).map_err(|error| wrong(&error.to_string()))?;
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
            return Err(wrong(
                "it has more than a place; the rest is AWS_... variables",
            ));
        }
        match url.scheme() {
            "file" => {
                let path = url.to_file_path().map_err(|()| wrong("no absolute path"))?;
                Self::in_directory(&path, links, tasks)
            }
            "s3" => {
                let bucket = url.host_str().ok_or_else(|| wrong("no bucket"))?;
                // An endpoint without TLS is one that the operator has written himself.
                let s3 = AmazonS3Builder::from_env()
                    .with_client_options(ClientOptions::new().with_allow_http(true))
                    .with_bucket_name(bucket)
                    .build()
                    .map_err(|error| wrong(&error.to_string()))?;
                let s3 = Arc::new(s3);
                let prefix =
                    Path::from_url_path(url.path()).map_err(|error| wrong(&error.to_string()))?;
                Ok(Self {
                    store: Arc::clone(&s3) as Arc<dyn ObjectStore>,
                    prefix,
                    signer: Some(s3),
                    directory: None,
                    links,
                    turns: Turns::default(),
                    tasks,
                })
            }
            scheme => Err(wrong(&format!("not {scheme}://"))),
        }
    }

    /// Whether the addresses of files lead to this server, rather than to the store.
    pub fn leads_here(&self) -> bool {
        self.signer.is_none()
    }

    fn in_directory(
        path: &std::path::Path,
        links: Links,
        tasks: TaskTracker,
    ) -> Result<Self, String> {
        let fault = |error: &dyn fmt::Display| format!("{}: {error}", path.display());
        std::fs::create_dir_all(path).map_err(|error| fault(&error))?;
        let directory = LocalFileSystem::new_with_prefix(path)
            .map_err(|error| fault(&error))?
            .with_fsync(true);
        let directory = Arc::new(directory);
        Ok(Self {
            store: Arc::clone(&directory) as Arc<dyn ObjectStore>,
            prefix: Path::default(),
            signer: None,
            directory: Some(directory),
            links,
            turns: Turns::default(),
            tasks,
        })
    }

    /// Stores what comes, a part at a time, and says what it is. Nothing stays of what is empty,
    /// larger than the limit, not what it was declared to be, or not complete. Nothing is asked of
    /// the body before there is room for what it brings.
    pub async fn put(
        &self,
        place: Place,
        key: Uuid,
        declared: &Declared,
        limit: u64,
        body: impl Stream<Item = Result<Bytes>> + Send,
    ) -> Result<Stored> {
        let _turn = self.turns.take(place, key).await?;
        let mut body = pin!(body);
        let mut parts = Parts::new(
            Arc::clone(&self.store),
            self.path(place, key),
            self.part_size(),
            self.tasks.clone(),
        );
        let mut head = BytesMut::new();
        let mut size = 0_u64;
        while let Some(bytes) = body.next().await {
            let bytes = bytes?;
            size = size.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            if size > limit {
                return Err(Error::PayloadTooLarge(FieldError {
                    path: "file".to_owned(),
                    message: format!("{} has more than {limit} bytes", declared.name),
                }));
            }
            if head.len() < HEAD {
                let rest = HEAD - head.len();
                head.extend_from_slice(&bytes[..bytes.len().min(rest)]);
                if head.len() == HEAD {
                    // Not after all of it has come.
                    media::judge(declared, &head)?;
                }
            }
            parts.write(&bytes).await?;
        }
        let stored = stored(declared, size, &head)?;
        parts.finish().await?;
        Ok(stored)
    }

    /// Makes a file, under a key of its own, of what a client has put there with an address of its
    /// own, if it is what was declared, of this size. Of what is refused nothing stays but what
    /// the client has put there.
    pub async fn accept(
        &self,
        upload: Uuid,
        file: Uuid,
        declared: &Declared,
        size: i64,
    ) -> Result<Stored> {
        let from = self.path(Place::Uploads, upload);
        let to = self.path(Place::Files, file);
        // Copied, then looked at: the client can write the upload for as long as its address is
        // valid, but never the file. Whoever accepts it at the same time makes another copy.
        match self.store.copy(&from, &to).await {
            Ok(()) => {}
            Err(StoreError::NotFound { .. }) => {
                let name = &declared.name;
                let why = format!("nothing has been uploaded for {name} yet");
                return Err(Error::Conflict(why));
            }
            Err(error) => return Err(Error::internal(error)),
        }
        let found = self.inspect(&to, declared).await.and_then(|found| {
            if found.size == size {
                return Ok(found);
            }
            let message = format!("{size} bytes were declared, but {} came", found.size);
            Err(Error::field("size", message))
        });
        if found.is_err() {
            self.delete(&to).await?;
        }
        found
    }

    /// Removes what a client has put there with an address of its own; nothing is fine.
    pub async fn discard(&self, upload: Uuid) -> Result<()> {
        self.delete(&self.path(Place::Uploads, upload)).await
    }

    /// What a file is, by its beginning.
    async fn inspect(&self, path: &Path, declared: &Declared) -> Result<Stored> {
        let meta = self.store.head(path).await.map_err(Error::internal)?;
        let head = meta.size.min(HEAD as u64);
        let head = match head {
            0 => Bytes::new(),
            _ => {
                let read = self.store.get_range(path, 0..head).await;
                read.map_err(Error::internal)?
            }
        };
        stored(declared, meta.size, &head)
    }

    /// The bytes of a file, from where to where, as fast as they are taken.
    pub async fn get(
        &self,
        key: Uuid,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes>>> {
        let options = GetOptions::new().with_range(Some(GetRange::Bounded(range)));
        let path = self.path(Place::Files, key);
        match self.store.get_opts(&path, options).await {
            Ok(found) => Ok(found.into_stream().map_err(Error::internal).boxed()),
            Err(StoreError::NotFound { .. }) => Err(Error::NotFound("file")),
            Err(error) => Err(Error::internal(error)),
        }
    }

    /// Removes whatever there is of a key; nothing is fine.
    pub async fn remove(&self, key: Uuid) -> Result<()> {
        for place in [Place::Uploads, Place::Files] {
            self.delete(&self.path(place, key)).await?;
        }
        Ok(())
    }

    /// Removes what was begun to be written under these keys and did not end. Stores that are no
    /// directory do that by themselves.
    pub async fn remove_begun(&self, keys: &[Uuid]) -> Result<()> {
        let Some(directory) = &self.directory else {
            return Ok(());
        };
        for place in [Place::Uploads, Place::Files] {
            let place = directory.path_to_filesystem(&self.place(place));
            let place = place.map_err(Error::internal)?;
            let keys: HashSet<String> = keys.iter().map(Uuid::to_string).collect();
            let removed = spawn_blocking(move || parts::remove_begun(&place, &keys)).await;
            removed.map_err(Error::internal)?.map_err(Error::internal)?;
        }
        Ok(())
    }

    async fn delete(&self, path: &Path) -> Result<()> {
        match self.store.delete(path).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(Error::internal(error)),
        }
    }

    /// The bytes of a part. A directory takes any; S3 wants large ones.
    fn part_size(&self) -> usize {
        match self.directory {
            Some(_) => parts::SMALL,
            None => parts::LARGE,
        }
    }

    fn path(&self, place: Place, key: Uuid) -> Path {
        self.place(place).join(key.to_string())
    }

    fn place(&self, place: Place) -> Path {
        self.prefix.clone().join(match place {
            Place::Files => "files",
            Place::Uploads => "uploads",
        })
    }
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without what signs, and without the credentials of the store.
        f.debug_struct("Storage")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

fn stored(declared: &Declared, size: u64, head: &[u8]) -> Result<Stored> {
    if size == 0 {
        // There is nothing in it to look at or to send, and in nearly every case it stands for
        // something that could not be read at the client.
        return Err(Error::field("file", format!("{} is empty", declared.name)));
    }
    let mime_type = media::judge(declared, head)?;
    let pixels = media::pixels(&mime_type, head);
    Ok(Stored {
        size: i64::try_from(size).map_err(Error::internal)?,
        mime_type,
        width: pixels.map(|(width, _)| width),
        height: pixels.map(|(_, height)| height),
    })
}
