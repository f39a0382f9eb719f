//! The private PostgreSQL for development and tests: found, created, started, watched, stopped.
//!
//! It never opens a TCP port, never stops a server that Bobbin did not start, and never outlives the last
//! process that uses it.

mod account;
mod binaries;
mod cluster;
mod guard;
mod locks;
mod meeting;
mod processes;
mod settings;
mod throwaway;

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use guard::Hold;

/// How often a running server is looked after.
const CARE: Duration = Duration::from_millis(100);

/// How often a server that died is started again before it is given up.
const REVIVALS: u32 = 5;

/// A private server that runs for as long as anybody has one of these.
#[derive(Debug)]
pub struct Postgres {
    url: String,
    site: Site,
    /// Here and not inside the watcher's task: the server must outlive the runtime of the one test that
    /// started it, and must be let go of at once when this value is dropped.
    hold: Arc<Mutex<Option<Hold>>>,
    watcher: JoinHandle<()>,
    failed: watch::Receiver<bool>,
    owner: Option<File>,
}

#[expect(
    missing_docs,
    reason = "the fields are what each variant's line speaks of"
)]
/// Why there is no private server, in words for whoever started Bobbin.
#[derive(Debug)]
pub enum Error {
    /// PostgreSQL is nowhere on this machine.
    NoBinaries,
    /// The directory that was asked for holds no PostgreSQL.
    NotThere { directory: PathBuf },
    /// Only versions that do not fit are installed.
    Version { needed: String, found: Vec<u32> },
    /// The account of this process has no name, or there is no account to drop root's rights to.
    NoAccount { uid: u32 },
    /// The cluster belongs to another account.
    OtherAccount { data: PathBuf, uid: u32 },
    /// Another Bobbin serves from this data directory.
    InUse { pid: Option<u32> },
    /// A server runs on the cluster, and Bobbin did not start it.
    Foreign { data: PathBuf, pid: i32 },
    /// There is something else where the cluster should be, or the cluster is gone.
    NoCluster { data: PathBuf, reason: String },
    /// The operating system refused.
    Io { attempt: String, cause: io::Error },
    /// One of PostgreSQL's programs failed, or the server did not come up.
    Failed { attempt: String, reason: String },
}

/// Where one private server lives, and what it is for.
#[derive(Clone, Debug)]
struct Site {
    /// Bobbin's data directory: absolute, without symbolic links.
    root: PathBuf,
    binaries: Option<PathBuf>,
    throwaway: bool,
}

/// Starts the server for `serve`, as the data directory's only owner.
pub async fn start(data_dir: &Path, binaries: Option<&Path>) -> Result<Postgres, Error> {
    let site = Site::new(data_dir, binaries)?;
    let owner = locks::own(&site).await?;
    open(site, Some(owner)).await
}

/// Joins a running server, or starts it for as long as the value lives.
pub async fn join(data_dir: &Path, binaries: Option<&Path>) -> Result<Postgres, Error> {
    open(Site::new(data_dir, binaries)?, None).await
}

/// Starts a server for tests, which forgets everything when the value is dropped or the process dies.
pub async fn throwaway(binaries: Option<&Path>) -> Result<Postgres, Error> {
    throwaway::sweep();
    let (root, owner) = throwaway::create().await?;
    let binaries = binaries.map(Path::to_path_buf);
    let site = Site {
        root: root.clone(),
        binaries,
        throwaway: true,
    };
    let opened = open(site, Some(owner)).await;
    if opened.is_err() {
        throwaway::remove(&root);
    }
    opened
}

impl Postgres {
    /// The address of the database `bobbin`, over the server's Unix socket.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Lets go of the server, and waits for its end if nobody else uses it.
    pub async fn stop(mut self) {
        self.watcher.abort();
        // The task ends by being cancelled; only then is it certain that it will not start the server again.
        let _ = (&mut self.watcher).await;
        let cluster = locks::open(&self.site, locks::CLUSTER);
        self.let_go();
        if let Ok(cluster) = cluster {
            guard::wait_for_end(&self.site, &cluster).await;
        }
        if self.site.throwaway {
            throwaway::remove(&self.site.root);
        }
        // From here on another Bobbin may own the data directory.
        drop(self.owner.take());
    }

    /// Waits until the server died and could not be brought back.
    pub async fn failed(&self) {
        let mut failed = self.failed.clone();
        if failed.wait_for(|failed| *failed).await.is_err() {
            // The watcher went with its runtime. Nobody knows of a failure, so nobody must be told of one.
            std::future::pending::<()>().await;
        }
    }

    fn let_go(&self) {
        drop(
            self.hold
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.watcher.abort();
        // The guard reads the end of file now, and stops the server unless somebody else holds it.
        self.let_go();
    }
}

impl Error {
    fn io(attempt: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let attempt = attempt.into();
        move |cause| Error::Io { attempt, cause }
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NoBinaries => f.write_str(
                "PostgreSQL is not installed: run `apt-get install postgresql` (Debian, Ubuntu) or \
                 `brew install postgresql` (macOS), or set DATABASE_URL",
            ),
            Error::NotThere { directory } => write!(
                f,
                "there is no PostgreSQL in {} (BOBBIN_POSTGRES_BIN): it must hold `postgres` and `initdb`",
                directory.display()
            ),
            Error::Version { needed, found } => write!(
                f,
                "{needed}, but found only {found:?}: install that version, or set BOBBIN_POSTGRES_BIN or DATABASE_URL"
            ),
            Error::NoAccount { uid } => write!(
                f,
                "PostgreSQL cannot run as uid {uid}, which has no usable entry in the password database: set DATABASE_URL"
            ),
            Error::OtherAccount { data, uid } => write!(
                f,
                "{} belongs to uid {uid}: run Bobbin as that user or as root, choose another BOBBIN_DATA_DIR, \
                 or set DATABASE_URL",
                data.display()
            ),
            Error::InUse { pid: Some(pid) } => {
                write!(f, "another Bobbin (process {pid}) uses this data directory")
            }
            Error::InUse { pid: None } => f.write_str("another Bobbin uses this data directory"),
            Error::Foreign { data, pid } => write!(
                f,
                "a PostgreSQL that Bobbin did not start (process {pid}) runs on {}: stop it first",
                data.display()
            ),
            Error::NoCluster { data, reason } => write!(f, "{}: {reason}", data.display()),
            Error::Io { attempt, cause } => write!(f, "cannot {attempt}: {cause}"),
            Error::Failed { attempt, reason } => write!(f, "{attempt} failed: {reason}"),
        }
    }
}

impl Site {
    fn new(data_dir: &Path, binaries: Option<&Path>) -> Result<Site, Error> {
        let create = || format!("create the data directory {}", data_dir.display());
        fs::create_dir_all(data_dir).map_err(Error::io(create()))?;
        let root = fs::canonicalize(data_dir).map_err(Error::io(create()))?;
        let binaries = binaries.map(Path::to_path_buf);
        Ok(Site {
            root,
            binaries,
            throwaway: false,
        })
    }

    /// The cluster, or a symbolic link to where the server's account can reach it.
    fn data(&self) -> PathBuf {
        self.root.join("postgres")
    }

    /// What the processes around one cluster agree by: locks, the FIFO, the socket's place.
    fn run(&self, name: &str) -> PathBuf {
        self.root.join(throwaway::RUN).join(name)
    }

    fn log(&self) -> PathBuf {
        self.root.join("postgres.log")
    }
}

async fn open(site: Site, owner: Option<File>) -> Result<Postgres, Error> {
    let hold = Box::pin(guard::hold(&site, true)).await?;
    let url = url(&hold.socket);
    let hold = Arc::new(Mutex::new(Some(hold)));
    let (tell, failed) = watch::channel(false);
    let watcher = tokio::spawn(watch_over(
        site.clone(),
        Arc::clone(&hold),
        url.clone(),
        tell,
    ));
    Ok(Postgres {
        url,
        site,
        hold,
        watcher,
        failed,
        owner,
    })
}

/// Starts the server again when it died alone. Ends when that does not help.
async fn watch_over(
    site: Site,
    hold: Arc<Mutex<Option<Hold>>>,
    address: String,
    tell: watch::Sender<bool>,
) {
    let mut failures = 0;
    loop {
        sleep(CARE * 2_u32.pow(failures)).await;
        if failures == 0 && guard::alive(&site) {
            continue;
        }
        tracing::warn!("the private PostgreSQL died: starting it again");
        match Box::pin(guard::hold(&site, false)).await {
            Ok(revived) if url(&revived.socket) == address => {
                // A process that started to stop meanwhile has cancelled this task: nothing is stored then,
                // or what is stored goes with the task.
                *hold.lock().unwrap_or_else(PoisonError::into_inner) = Some(revived);
                failures = 0;
                tracing::info!("the private PostgreSQL is back");
            }
            Ok(_) => break tracing::error!("the private PostgreSQL came back at another address"),
            Err(error @ (Error::Failed { .. } | Error::Io { .. })) if failures < REVIVALS => {
                tracing::warn!(%error, "the private PostgreSQL did not start");
                failures += 1;
            }
            Err(error) => break tracing::error!(%error, "the private PostgreSQL is gone"),
        }
    }
    tell.send_replace(true);
}

fn url(socket: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;

    let mut host = String::new();
    for byte in socket.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
                host.push(char::from(*byte))
            }
            _ => host.push_str(&format!("%{byte:02X}")),
        }
    }
    format!(
        "postgresql://{user}@{host}/{database}",
        user = cluster::USER,
        database = cluster::DATABASE
    )
}
