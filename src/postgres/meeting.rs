//! Where the processes around one server meet: its FIFO and the directory of its socket.
//!
//! It never uses a directory that another account could have made or can enter.

use std::fs::{self, File, OpenOptions};
use std::io::{Error as Refusal, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::account::Account;
use super::{Error, Site, cluster, settings};

/// Opens the FIFO for writing, which works only while somebody reads it.
pub fn knock(site: &Site) -> Option<File> {
    let path = site.run("fifo");
    if !fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.file_type().is_fifo()) {
        return None;
    }
    OpenOptions::new()
        .write(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)
        .ok()
}

/// Where the socket is, if it has ever been anywhere.
pub fn known_socket(site: &Site) -> Option<PathBuf> {
    let path = PathBuf::from(fs::read_to_string(site.run("socket")).ok()?);
    // A file that was written by halves names something else.
    let name = settings::name(&path);
    let random = name
        .strip_prefix("bobbin-")
        .is_some_and(|random| random.len() == cluster::unique().len());
    (path.is_absolute() && random).then_some(path)
}

/// Makes the directory for the socket: the same one as before, so that addresses stay valid; short, because
/// a socket's path may have about 100 bytes; for one account only, because whoever gets in is let in.
pub fn make_socket_directory(site: &Site, account: Account) -> Result<PathBuf, Error> {
    let places = [PathBuf::from("/tmp"), std::env::temp_dir()];
    let fresh = places.map(|place| place.join(format!("bobbin-{}", cluster::unique())));
    for path in known_socket(site).into_iter().chain(fresh) {
        match fs::symlink_metadata(&path) {
            // Only what is certainly ours is removed: others may write to that directory, too.
            Ok(found)
                if found.is_dir()
                    && found.uid() == account.uid
                    && found.mode() & 0o777 == 0o700 =>
            {
                let _ = fs::remove_dir_all(&path);
            }
            _ => {}
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte);
        let usable = path
            .to_str()
            .is_some_and(|path| path.len() < 80 && path.bytes().all(plain));
        if usable && account.create_directory(&path).is_ok() {
            let text = path.to_string_lossy();
            fs::write(site.run("socket"), text.as_bytes())
                .map_err(Error::io("remember the socket's place"))?;
            return Ok(path);
        }
    }
    let cause = Refusal::from(ErrorKind::PermissionDenied);
    Err(Error::Io {
        attempt: "create a directory for the socket in /tmp or TMPDIR".to_owned(),
        cause,
    })
}

/// Both ends of the FIFO. It stays the same from start to start: whoever has held the server that died
/// holds the next one, too.
pub fn make_fifo(site: &Site) -> Result<(File, File), Error> {
    let path = site.run("fifo");
    let attempt = format!("create {}", path.display());
    if !fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.file_type().is_fifo()) {
        let _ = fs::remove_file(&path);
        mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR)
            .map_err(|error| Error::io(&attempt)(error.into()))?;
    }
    let open = |options: &mut OpenOptions| {
        options
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open(&path)
            .map_err(Error::io(&attempt))
    };
    // In this order: to open the other end needs a reader.
    let reader = open(OpenOptions::new().read(true))?;
    let writer = open(OpenOptions::new().write(true))?;
    // The shell reads it, and expects to wait.
    fcntl(&reader, FcntlArg::F_SETFL(OFlag::empty()))
        .map_err(|error| Error::io(&attempt)(error.into()))?;
    Ok((reader, writer))
}
