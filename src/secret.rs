//! The secret that signs tokens in development: made once, kept in the data directory.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::config::Secret;

/// The directory's secret; made if there is none.
pub fn in_directory(data_dir: &Path) -> Result<Secret, String> {
    let path = data_dir.join("jwt-secret");
    let fault = |error: std::io::Error| format!("{}: {error}", path.display());
    fs::create_dir_all(data_dir).map_err(fault)?;
    match fs::read_to_string(&path) {
        Ok(text) if text.trim().len() >= 32 => return text.trim().parse().map_err(str::to_owned),
        Ok(_) => {
            return Err(format!(
                "{}: is too short; remove it to get a new one",
                path.display()
            ));
        }
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(fault(error)),
        Err(_) => {}
    }
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|error| error.to_string())?;
    let text = URL_SAFE_NO_PAD.encode(bytes);
    // Written whole under another name first: who starts at the same time finds all or nothing,
    // and the first one to link it wins.
    let draft = data_dir.join(format!("jwt-secret.{}", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)
        .map_err(fault)?;
    file.write_all(text.as_bytes()).map_err(fault)?;
    file.sync_all().map_err(fault)?;
    let linked = fs::hard_link(&draft, &path);
    fs::remove_file(&draft).map_err(fault)?;
    match linked {
        Ok(()) => text.parse().map_err(str::to_owned),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => in_directory(data_dir),
        Err(error) => Err(fault(error)),
    }
}
