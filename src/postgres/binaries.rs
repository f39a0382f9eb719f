//! Finds PostgreSQL's programs on this machine.
//!
//! It never downloads or installs anything.

use std::cmp::Reverse;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::Error;

/// Bobbin's SQL needs this version or a newer one.
const OLDEST: u32 = 15;

/// Where packages put the programs: a directory, and how the names in it begin, before the version.
const PLACES: [(&str, &str); 8] = [
    ("/usr/lib/postgresql", ""),
    ("/usr", "pgsql-"),
    ("/usr/libexec", "postgresql"),
    ("/opt/homebrew/opt", "postgresql"),
    ("/usr/local/opt", "postgresql"),
    ("/home/linuxbrew/.linuxbrew/opt", "postgresql"),
    ("/opt/local/lib", "postgresql"),
    ("/Applications/Postgres.app/Contents/Versions", ""),
];

/// One installed PostgreSQL.
#[derive(Debug)]
pub struct Binaries {
    directory: PathBuf,
}

impl Binaries {
    pub fn initdb(&self) -> PathBuf {
        self.directory.join("initdb")
    }

    pub fn postgres(&self) -> PathBuf {
        self.directory.join("postgres")
    }
}

/// Finds a PostgreSQL of the cluster's version, or for a new cluster a recent one.
pub async fn find(asked: Option<&Path>, cluster: Option<u32>) -> Result<Binaries, Error> {
    let fits = |version: u32| cluster.map_or(version >= OLDEST, |needed| version == needed);
    let mut found = Vec::new();
    if let Some(directory) = asked {
        let version = version(directory).await;
        let version = version.ok_or_else(|| Error::NotThere {
            directory: directory.to_path_buf(),
        })?;
        if fits(version) {
            return Ok(Binaries {
                directory: directory.to_path_buf(),
            });
        }
        return Err(mismatch(cluster, vec![version]));
    }
    for directory in on_path()
        .into_iter()
        .chain(configured().await)
        .chain(installed())
    {
        match version(&directory).await {
            Some(version) if fits(version) => return Ok(Binaries { directory }),
            Some(version) if !found.contains(&version) => found.push(version),
            _ => {}
        }
    }
    if found.is_empty() {
        Err(Error::NoBinaries)
    } else {
        Err(mismatch(cluster, found))
    }
}

fn mismatch(cluster: Option<u32>, found: Vec<u32>) -> Error {
    let needed = match cluster {
        Some(version) => format!("the private database was made by PostgreSQL {version}"),
        None => format!("Bobbin needs PostgreSQL {OLDEST} or newer"),
    };
    Error::Version { needed, found }
}

fn on_path() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .filter(|directory| directory.is_absolute())
        .collect()
}

/// Debian and others keep the programs off PATH, but `pg_config` on it.
async fn configured() -> Option<PathBuf> {
    let output = Command::new("pg_config")
        .arg("--bindir")
        .kill_on_drop(true)
        .output()
        .await
        .ok()?;
    let directory = String::from_utf8(output.stdout).ok()?;
    Some(PathBuf::from(directory.trim()))
}

/// The newest first.
fn installed() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for (place, prefix) in PLACES {
        for entry in fs::read_dir(place).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(prefix)) else {
                continue;
            };
            let digits: String = rest.chars().filter(char::is_ascii_digit).collect();
            let version: u32 = digits.parse().unwrap_or_default();
            found.push((version, entry.path().join("bin")));
            found.push((version, entry.path()));
        }
    }
    // Stable: of two places with the same version, the first one in the list wins.
    found.sort_by_key(|(version, _)| Reverse(*version));
    found.into_iter().map(|(_, directory)| directory).collect()
}

async fn version(directory: &Path) -> Option<u32> {
    let postgres = directory.join("postgres");
    if !postgres.is_file() || !directory.join("initdb").is_file() {
        return None;
    }
    let output = Command::new(postgres)
        .arg("--version")
        .kill_on_drop(true)
        .output()
        .await
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (_, rest) = text.split_once("(PostgreSQL) ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}
