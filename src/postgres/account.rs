//! The account that the server runs as: this process's own, or one without rights if that is root.
//!
//! It never runs anything as root, and never changes the owner of what lies above a cluster.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown, lchown};
use std::path::Path;
use std::process::Stdio;

use nix::unistd::{Uid, User};
use tokio::process::Command;

use super::Error;

/// The account that the server runs as, because PostgreSQL refuses to run as root.
#[derive(Clone, Copy)]
pub struct Account {
    pub uid: u32,
    gid: u32,
    /// Whether this process has another one, and is root.
    pub switch: bool,
}

impl Account {
    /// The account for a new cluster.
    pub fn find() -> Result<Account, Error> {
        let uid = Uid::effective();
        let refused = || Error::NoAccount { uid: uid.as_raw() };
        let named = |name| {
            User::from_name(name)
                .ok()
                .flatten()
                .filter(|user| !user.uid.is_root())
        };
        if uid.is_root() {
            let user = named("postgres")
                .or_else(|| named("nobody"))
                .ok_or_else(refused)?;
            return Ok(Account {
                uid: user.uid.as_raw(),
                gid: user.gid.as_raw(),
                switch: true,
            });
        }
        // initdb looks the name up, and fails with a riddle if there is none.
        let user = User::from_uid(uid).ok().flatten().ok_or_else(refused)?;
        Ok(Account {
            uid: uid.as_raw(),
            gid: user.gid.as_raw(),
            switch: false,
        })
    }

    /// The account for an existing cluster is the one that it belongs to.
    pub fn of(data: &Path) -> Result<Account, Error> {
        let own = Uid::effective();
        let metadata = fs::metadata(data).map_err(Error::io(format!("read {}", data.display())))?;
        let (uid, gid) = (metadata.uid(), metadata.gid());
        if own.is_root() && uid == 0 {
            // Root has copied it here. Nobody else can have been using it.
            let account = Account::find()?;
            account
                .take(data)
                .map_err(Error::io(format!("hand over {}", data.display())))?;
            return Ok(account);
        }
        if own.is_root() || own.as_raw() == uid {
            return Ok(Account {
                uid,
                gid,
                switch: own.is_root(),
            });
        }
        Err(Error::OtherAccount {
            data: data.to_path_buf(),
            uid,
        })
    }

    /// A command that runs as this account, undisturbed by the environment's settings for PostgreSQL.
    pub fn command(self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        // The account may not be allowed into the current directory.
        command
            .current_dir("/")
            .stdin(Stdio::null())
            .env("LC_ALL", "C");
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("PG")) {
                command.env_remove(name);
            }
        }
        if self.switch {
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// Makes a directory for this account alone. It fails if anything has that name.
    pub fn create_directory(self, path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(path)?;
        if self.switch {
            chown(path, Some(self.uid), Some(self.gid))?;
        }
        Ok(())
    }

    /// Whether the account gets to a directory, whatever the permissions, links and mounts above it are.
    pub async fn reaches(self, directory: &Path) -> bool {
        if !self.switch {
            return true;
        }
        // Some file systems accept a new owner and forget it.
        let owned = fs::metadata(directory).is_ok_and(|metadata| metadata.uid() == self.uid);
        let mut command = self.command("/bin/sh");
        command
            .args(["-c", "cd \"$1\" && test -w .", "sh"])
            .arg(directory)
            .kill_on_drop(true);
        owned
            && command
                .output()
                .await
                .is_ok_and(|output| output.status.success())
    }

    fn take(self, path: &Path) -> io::Result<()> {
        lchown(path, Some(self.uid), Some(self.gid))?;
        if fs::symlink_metadata(path)?.is_dir() {
            for entry in fs::read_dir(path)? {
                self.take(&entry?.path())?;
            }
        }
        Ok(())
    }
}
