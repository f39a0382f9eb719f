//! Directories for the servers of tests: made where they are fast, and removed when their test is dead.
//!
//! It never removes a directory that a living process uses, nor one of another account.

use std::env;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;
use nix::unistd::Uid;

use super::account::Account;
use super::{Error, Site, cluster, locks, meeting};

/// Where the locks and the FIFO are, within a data directory.
pub const RUN: &str = "postgres.run";

const PREFIX: &str = "bobbin-test-";

/// A test's cluster, with its WAL and a database of a million messages, has to fit into memory.
const ROOM: f64 = 2048.0 * 1024.0 * 1024.0;

/// Makes a data directory, and owns it.
pub async fn create() -> Result<(PathBuf, File), Error> {
    let account = Account::find()?;
    for place in places() {
        let name = cluster::unique();
        let hidden = place.join(format!(".{PREFIX}{name}"));
        if account.create_directory(&hidden).is_err() {
            continue;
        }
        // The guard must be able to remove what is in there, and runs as that account.
        let usable =
            account.create_directory(&hidden.join(RUN)).is_ok() && account.reaches(&hidden).await;
        let site = Site {
            root: hidden.clone(),
            binaries: None,
            throwaway: true,
        };
        let root = place.join(format!("{PREFIX}{name}"));
        // It gets the name that others look for only when it is locked: no sweep can mistake it for a leftover.
        if usable
            && let Ok(owner) = locks::own(&site).await
            && fs::rename(&hidden, &root).is_ok()
        {
            return Ok((root, owner));
        }
        let _ = fs::remove_dir_all(&hidden);
    }
    let cause = std::io::Error::from(ErrorKind::PermissionDenied);
    Err(Error::Io {
        attempt: "create a temporary directory".to_owned(),
        cause,
    })
}

/// Removes what dead tests left behind.
pub fn sweep() {
    let own = [
        Some(Uid::effective().as_raw()),
        Account::find().ok().map(|account| account.uid),
    ];
    for place in places() {
        for entry in fs::read_dir(place).into_iter().flatten().flatten() {
            let path = entry.path();
            let named = entry.file_name().to_string_lossy().starts_with(PREFIX);
            let ours = |found: &fs::Metadata| found.is_dir() && own.contains(&Some(found.uid()));
            if named && fs::symlink_metadata(&path).is_ok_and(|found| ours(&found)) {
                remove_dead(&path);
            }
        }
    }
}

/// Removes a server's directories.
pub fn remove(root: &Path) {
    let site = Site {
        root: root.to_path_buf(),
        binaries: None,
        throwaway: true,
    };
    if let Some(socket) = meeting::known_socket(&site) {
        let _ = fs::remove_dir_all(socket);
    }
    let _ = fs::remove_dir_all(root);
}

fn remove_dead(root: &Path) {
    let owner = File::open(root.join(RUN).join(locks::OWNER));
    // Held until all is gone: two that remove the same directory make each other fail.
    let held = owner
        .as_ref()
        .is_ok_and(|owner| locks::exclusively(owner).unwrap_or(false));
    let missing = |cause: &std::io::Error| cause.kind() == ErrorKind::NotFound;
    // Somebody was killed while removing it.
    let begun = owner.as_ref().is_err_and(missing);
    let ended = match File::open(root.join(RUN).join(locks::CLUSTER)) {
        Ok(cluster) => locks::free(&cluster),
        Err(cause) => missing(&cause),
    };
    if (held || begun) && ended {
        remove(root);
    }
}

fn places() -> Vec<PathBuf> {
    let memory = Path::new("/dev/shm");
    // The types of these figures differ between systems; all of them fit well enough into this one.
    let room = |path| {
        statvfs(path).map_or(0.0, |found| {
            found.blocks_available() as f64 * found.fragment_size() as f64
        })
    };
    let mut places = vec![env::temp_dir(), PathBuf::from("/tmp")];
    if room(memory) >= ROOM {
        places.insert(0, memory.to_path_buf());
    }
    places.dedup();
    places
}
