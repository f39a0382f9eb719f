//! The cluster on disk: where it lies and how it is made.
//!
//! It never leaves a half-made cluster under the final name, and never replaces one.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::account::Account;
use super::binaries::{self, Binaries};
use super::{Error, Site, settings};

pub const USER: &str = "bobbin";
pub const DATABASE: &str = "bobbin";

/// What a cluster is called while it is made.
const STAGING: &str = "postgres.new-";

/// What a cluster is called that does not lie in Bobbin's data directory.
const ELSEWHERE: &str = "bobbin-postgres-";

/// Where a cluster goes when the server's account cannot reach Bobbin's data directory.
const REACHABLE: [&str; 2] = ["/var/lib", "/var/tmp"];

/// A cluster that is ready to be started.
pub struct Cluster {
    /// Without symbolic links.
    pub data: PathBuf,
    pub binaries: Binaries,
    pub account: Account,
}

/// Makes the cluster if there is none and it may be made, and finds out how to start it.
pub async fn prepare(site: &Site, create: bool) -> Result<Cluster, Error> {
    let link = site.data();
    let attempt = format!("read {}", link.display());
    match fs::symlink_metadata(&link) {
        Err(cause) if cause.kind() == ErrorKind::NotFound && create => self::create(site).await?,
        Err(cause) => return Err(Error::Io { attempt, cause }),
        Ok(_) => {}
    }
    let data = fs::canonicalize(&link).map_err(|cause| match fs::read_link(&link) {
        Ok(target) => {
            let reason = format!("the database was put in {}, which is missing: restore that directory, or remove this link to begin anew", target.display());
            Error::NoCluster { data: link.clone(), reason }
        }
        Err(_) => Error::Io { attempt, cause },
    })?;
    let account = Account::of(&data)?;
    let version = fs::read_to_string(data.join("PG_VERSION"))
        .ok()
        .and_then(|text| text.trim().parse().ok());
    let version = version.ok_or_else(|| {
        let reason =
            "this is not a PostgreSQL database: move it away, or choose another BOBBIN_DATA_DIR"
                .to_owned();
        Error::NoCluster { data: link, reason }
    })?;
    // The server refuses to start if others could read its files.
    fs::set_permissions(&data, PermissionsExt::from_mode(0o700))
        .map_err(Error::io(format!("protect {}", data.display())))?;
    let binaries = binaries::find(site.binaries.as_deref(), Some(version)).await?;
    Ok(Cluster {
        data,
        binaries,
        account,
    })
}

/// Random, because the names in shared directories must not be foreseen.
pub fn unique() -> String {
    // The end of a UUID of version 7 is random; its beginning is the time.
    uuid::Uuid::now_v7().simple().to_string().split_off(20)
}

async fn create(site: &Site) -> Result<(), Error> {
    let binaries = binaries::find(site.binaries.as_deref(), None).await?;
    let account = Account::find()?;
    discard_unfinished(site);
    let staging = stage(site, account).await?;
    let made = initialize(site, &binaries, account, &staging).await;
    // Only a whole cluster gets the final name. If it lies elsewhere, it is the link that is renamed.
    let rename = || {
        fs::rename(&staging, site.data())
            .map_err(Error::io(format!("create {}", site.data().display())))
    };
    let finished = made.and_then(|()| rename());
    if finished.is_err() {
        discard_unfinished(site);
    }
    finished
}

/// Makes the directory for a new cluster, or a link to one, beside the final name.
async fn stage(site: &Site, account: Account) -> Result<PathBuf, Error> {
    let create = |path: &Path| {
        let made = account.create_directory(path);
        made.map_err(Error::io(format!("create {}", path.display())))
    };
    let staging = site.root.join(format!("{STAGING}{}", unique()));
    let made = create(&staging);
    if !account.switch {
        made?;
    } else if made.is_err() || !account.reaches(&staging).await {
        let _ = fs::remove_dir(&staging);
        return stage_elsewhere(site, account, staging).await;
    }
    tracing::info!("creating a private PostgreSQL in {}", site.data().display());
    Ok(staging)
}

async fn stage_elsewhere(
    site: &Site,
    account: Account,
    staging: PathBuf,
) -> Result<PathBuf, Error> {
    for place in REACHABLE {
        let target = Path::new(place).join(format!("{ELSEWHERE}{}", unique()));
        if account.create_directory(&target).is_ok() && account.reaches(&target).await {
            symlink(&target, &staging)
                .map_err(Error::io(format!("create {}", staging.display())))?;
            let (here, uid) = (site.data(), account.uid);
            tracing::info!(
                "creating a private PostgreSQL in {}, because uid {uid} cannot reach {}",
                target.display(),
                here.display()
            );
            return Ok(staging);
        }
        let _ = fs::remove_dir(&target);
    }
    let reason = format!(
        "neither this directory nor /var/lib or /var/tmp can be used by uid {}: set DATABASE_URL",
        account.uid
    );
    Err(Error::NoCluster {
        data: site.root.clone(),
        reason,
    })
}

async fn initialize(
    site: &Site,
    binaries: &Binaries,
    account: Account,
    staging: &Path,
) -> Result<(), Error> {
    let data =
        fs::canonicalize(staging).map_err(Error::io(format!("read {}", staging.display())))?;
    let initdb = || {
        let mut command = account.command(binaries.initdb());
        command.arg("--pgdata").arg(&data);
        command
    };
    let mut made = Ok(());
    // With `C` alone, lower() and ILIKE would be wrong for everything beyond ASCII: it is the last resort.
    for locale in ["C.UTF-8", "en_US.UTF-8", "C"] {
        let mut command = initdb();
        command.args([
            "--auth=trust",
            "--encoding=UTF8",
            "--no-instructions",
            "--no-sync",
        ]);
        command
            .arg(format!("--username={USER}"))
            .arg(format!("--locale={locale}"));
        if site.throwaway {
            command.arg("--wal-segsize=1");
        }
        made = run("initdb", command, "").await;
        if made.is_ok() {
            break;
        }
    }
    made?;
    let mut command = account.command(binaries.postgres());
    command.arg("--single").arg("-D").arg(&data).args([
        "-c",
        "fsync=off",
        "-c",
        "log_checkpoints=off",
        "template1",
    ]);
    run(
        "creating the database",
        command,
        &format!("CREATE DATABASE {DATABASE}\n"),
    )
    .await?;
    if !site.throwaway {
        // Once for all that the steps before have written.
        let mut command = initdb();
        command.arg("--sync-only");
        run("initdb", command, "").await?;
    }
    Ok(())
}

async fn run(attempt: &str, mut command: Command, input: &str) -> Result<(), Error> {
    let exchange = async {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes()).await?;
        }
        child.wait_with_output().await
    };
    let program = format!("run PostgreSQL's programs ({attempt})");
    let Output { status, stderr, .. } = exchange.await.map_err(Error::io(program))?;
    let text = String::from_utf8_lossy(&stderr);
    // In single-user mode a failed statement does not change the exit status.
    if status.success() && !text.contains("ERROR:") {
        return Ok(());
    }
    Err(Error::Failed {
        attempt: attempt.to_owned(),
        reason: reason(&text),
    })
}

/// The line of a program's output that says why it failed.
pub fn reason(output: &str) -> String {
    let lines = || {
        output
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
    };
    let telling = |line: &&str| {
        ["FATAL:", "PANIC:", "ERROR:", "error:"]
            .iter()
            .any(|sign| line.contains(sign))
    };
    lines()
        .find(telling)
        .or_else(|| lines().next_back())
        .unwrap_or("it said nothing")
        .to_owned()
}

/// Removes what a killed process left half-made.
fn discard_unfinished(site: &Site) {
    for entry in fs::read_dir(&site.root).into_iter().flatten().flatten() {
        let path = entry.path();
        if !entry.file_name().to_string_lossy().starts_with(STAGING) {
            continue;
        }
        if let Ok(target) = fs::read_link(&path) {
            if settings::name(&target).starts_with(ELSEWHERE) {
                let _ = fs::remove_dir_all(target);
            }
            let _ = fs::remove_file(path);
        } else {
            let _ = fs::remove_dir_all(path);
        }
    }
}
