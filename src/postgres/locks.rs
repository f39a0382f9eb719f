//! The locks around one cluster, all released by the kernel when their holders die.
//!
//! A process id is never taken for a sign of life: ids are reused, and mean nothing in another container.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::time::{Duration, Instant};

use nix::unistd::Uid;
use tokio::time::sleep;

use super::{Error, Site};

/// Held by the one `serve` that owns the data directory; holds its process id.
pub const OWNER: &str = "owner";

/// Held while a process finds out whether to join or to start, so that only one does so at a time.
pub const TURN: &str = "turn";

/// Shared by all who use the server: the last one to stop knows that it is the last.
pub const USERS: &str = "users";

/// Handed down to the guard and, by it, to every server process: free only when none of them lives.
pub const CLUSTER: &str = "cluster";

/// How often a lock, or the server's state, is asked for again.
pub const POLL: Duration = Duration::from_millis(5);

/// Creating a cluster on a slow disk takes its time, and so does recovery after a crash.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long the owner's lock may be held by somebody who is not going to keep it.
const HESITATION: Duration = Duration::from_millis(300);

/// Becomes the owner of the data directory.
pub async fn own(site: &Site) -> Result<File, Error> {
    let mut file = open(site, OWNER)?;
    let began = Instant::now();
    loop {
        if exclusively(&file)? {
            let write = |file: &mut File| {
                file.set_len(0)?;
                write!(file, "{}", std::process::id())
            };
            write(&mut file).map_err(Error::io("write the owner's lock"))?;
            return Ok(file);
        }
        let mut text = String::new();
        let read = file.rewind().and_then(|()| file.read_to_string(&mut text));
        let pid = read.ok().and_then(|_| text.trim().parse().ok());
        // The other one may be about to write its process id, or to end. And a child that is being made has
        // all of its parent's files, until it becomes another program.
        if began.elapsed() > HESITATION {
            return Err(Error::InUse { pid });
        }
        sleep(POLL).await;
    }
}

/// Waits until no other process joins or starts the server.
pub async fn turn(site: &Site) -> Result<File, Error> {
    let file = open(site, TURN)?;
    let began = Instant::now();
    while !exclusively(&file)? {
        if began.elapsed() > PATIENCE {
            let reason = "another process has been starting it for too long".to_owned();
            return Err(Error::Failed {
                attempt: "starting PostgreSQL".to_owned(),
                reason,
            });
        }
        sleep(POLL).await;
    }
    Ok(file)
}

/// Becomes one of those who use the server.
pub async fn user(site: &Site) -> Result<File, Error> {
    let file = open(site, USERS)?;
    // Whoever stops takes this lock for a moment, to see whether it was the last: hence the loop.
    while !locked(file.try_lock_shared())? {
        sleep(POLL).await;
    }
    Ok(file)
}

/// Whether nobody holds the lock. Those who ask at the same time do not disturb each other.
pub fn free(file: &File) -> bool {
    let free = file.try_lock_shared().is_ok();
    // Nothing is lost if this fails: the lock then goes with the file.
    let _ = file.unlock();
    free
}

/// Whether nobody holds or shares the lock.
pub fn unshared(file: &File) -> bool {
    let unshared = file.try_lock().is_ok();
    let _ = file.unlock();
    unshared
}

/// Takes a lock if it is free.
pub fn exclusively(file: &File) -> Result<bool, Error> {
    locked(file.try_lock())
}

/// Opens a file to lock it, and makes the directory for it.
pub fn open(site: &Site, name: &str) -> Result<File, Error> {
    let path = site.run(name);
    let attempt = format!("open {}", path.display());
    if let Some(directory) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(Error::io(&attempt))?;
    }
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    options.open(&path).map_err(|cause| {
        let owner = fs::metadata(site.run("")).map(|metadata| metadata.uid());
        match owner {
            Ok(uid) if uid != Uid::effective().as_raw() => Error::OtherAccount {
                data: site.root.clone(),
                uid,
            },
            _ => Error::Io { attempt, cause },
        }
    })
}

fn locked(outcome: Result<(), TryLockError>) -> Result<bool, Error> {
    match outcome {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(cause)) => Err(Error::Io {
            attempt: "lock a file in the data directory".to_owned(),
            cause,
        }),
    }
}
