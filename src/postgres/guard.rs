//! Runs the server under a shell that stops it when the last process that uses it is gone.
//!
//! It never relies on a signal at a parent's death, which Linux sends when the parent's *thread* ends and
//! other systems not at all, and never on cleaning up: `kill -9` may strike every process at any time.
//!
//! Everyone who uses the server holds the FIFO open for writing. The guard reads it: end of file means that
//! nobody is left. A line in it is the name of a file that the guard makes to acknowledge a newcomer, who
//! otherwise could arrive just after the end of file. The lock [`locks::CLUSTER`] is handed down to every
//! server process, so whoever gets it knows that none lives.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tokio::process::Child;
use tokio::time::sleep;

use super::cluster::{self, Cluster};
use super::locks::{self, POLL};
use super::processes::{self, Process};
use super::{Error, Site, meeting, settings};

/// Recovery after a crash counts as starting.
const START: Duration = Duration::from_secs(120);

/// A guard answers in milliseconds; a loaded machine may need more.
const ANSWER: Duration = Duration::from_secs(10);

/// How long a server may take for its last checkpoint. One that is told to stop while it recovers from the
/// death of a process of its own may wait for ever; it is then stopped without a checkpoint.
const CHECKPOINT: Duration = Duration::from_secs(5);

/// How long a server may take to stop at all.
const STOP: Duration = Duration::from_secs(12);

/// How long a process may take to obey before it is killed.
const OBEY: Duration = Duration::from_secs(2);

/// When a signal is sent again.
const AGAIN: Duration = Duration::from_millis(200);

/// How long a lock must be shared to be somebody's: a child that is being made has its parent's for a moment.
const OTHERS: Duration = Duration::from_millis(20);

const MAXIMAL_LOG: u64 = 1 << 20;

/// `$1` socket directory, `$2` signal that stops the server, `$3` directory to remove at the end, then the
/// server's command. Standard input is the FIFO, standard output the lock, standard error the log.
///
/// The first shell is the server's parent and lives as long as it; the second one reads. So the FIFO has a
/// reader only while the server lives, and a process id is signalled only while it cannot be reused. Neither
/// keeps open what the other one is recognized by.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
exec 3<&0 4>&1 </dev/null >&2
socket=$1 signal=$2 remove=$3
shift 3
"$@" 3<&- &
server=$!
(
    exec 4>&-
    while read -r name <&3; do : >"$socket/$name"; done
    exec 3<&-
    kill -s "$signal" "$server"
    seconds=0
    while sleep 1 && kill -0 "$server" 2>/dev/null; do
        seconds=$((seconds + 1))
        case $seconds in
            [1-4]) kill -s "$signal" "$server" ;;
            [5-9]) kill -s QUIT "$server" ;;
            *) kill -s KILL "$server" ;;
        esac
    done
) &
reader=$!
exec 3<&-
wait "$server"
kill -s KILL "$reader" 2>/dev/null
rm -rf "$socket" ${remove:+"$remove"}
"#;

/// Keeps the server running for as long as it lives.
#[derive(Debug)]
pub struct Hold {
    pub socket: PathBuf,
    /// The guard sees end of file when the last of these is closed, in whichever process.
    _fifo: File,
    _user: File,
}

/// Joins the running server, or recovers what is left of an earlier one and starts it.
pub async fn hold(site: &Site, create: bool) -> Result<Hold, Error> {
    let _turn = locks::turn(site).await?;
    let user = locks::user(site).await?;
    let mut failures = 0;
    let (socket, fifo) = loop {
        let lock = locks::open(site, locks::CLUSTER)?;
        if locks::exclusively(&lock)? {
            match launch(site, lock, create).await {
                // Once more, in case of something that has just been going away.
                Err(Error::Failed { .. }) if failures == 0 => failures += 1,
                launched => break launched?,
            }
        } else if let Some(joined) = join(site).await? {
            break joined;
        } else {
            evict(site, &lock).await?;
        }
    };
    Ok(Hold {
        socket,
        _fifo: fifo,
        _user: user,
    })
}

/// Whether the server lives and its guard does.
pub fn alive(site: &Site) -> bool {
    let running = |file: File| !locks::free(&file);
    meeting::knock(site).is_some() && File::open(site.run(locks::CLUSTER)).is_ok_and(running)
}

/// Waits for the server's end, unless others use it.
pub async fn wait_for_end(site: &Site, cluster: &File) {
    let began = Instant::now();
    let mut alone = began;
    let others = || File::open(site.run(locks::USERS)).is_ok_and(|users| !locks::unshared(&users));
    while !locks::free(cluster) && began.elapsed() < STOP {
        if !others() {
            alone = Instant::now();
        } else if alone.elapsed() > OTHERS {
            return;
        }
        sleep(POLL).await;
    }
}

/// Waits until the guard has noticed this process and the server is ready. Nothing if they come to an end.
async fn join(site: &Site) -> Result<Option<(PathBuf, File)>, Error> {
    let (Some(socket), Some(mut fifo)) = (meeting::known_socket(site), meeting::knock(site)) else {
        return Ok(None);
    };
    let name = format!("hello-{}", cluster::unique());
    if fifo.write_all(format!("{name}\n").as_bytes()).is_err() {
        return Ok(None);
    }
    let answer = socket.join(name);
    let began = Instant::now();
    while alive(site) {
        let (answered, ready) = (answer.exists(), ready(site));
        if answered && ready {
            let _ = fs::remove_file(answer);
            return Ok(Some((socket, fifo)));
        }
        // Somebody uses that server: it is not for us to stop it.
        if began.elapsed() > if ready { ANSWER } else { START } {
            let reason = format!(
                "it does not answer in {}, maybe because it runs in another container",
                socket.display()
            );
            return Err(failed("joining PostgreSQL", reason));
        }
        sleep(POLL).await;
    }
    Ok(None)
}

/// Ends what lives of a cluster that nobody guards: a server that is stopping, one that has lost its
/// guard, or the processes that a killed server left behind.
async fn evict(site: &Site, lock: &File) -> Result<(), Error> {
    let began = Instant::now();
    let main = main_process(&site.data());
    let orderly = remains(site).iter().any(|found| Some(found.pid) == main);
    let patience = if orderly { STOP } else { OBEY };
    while began.elapsed() < patience + OBEY {
        for found in remains(site) {
            match found {
                _ if began.elapsed() > patience => found.signal(Signal::SIGKILL),
                _ if Some(found.pid) == main && began.elapsed() > CHECKPOINT => {
                    found.signal(Signal::SIGQUIT);
                }
                _ if Some(found.pid) == main => found.signal(Signal::SIGINT),
                _ if orderly || found.guard => {}
                _ => found.signal(Signal::SIGTERM),
            }
        }
        // Then again, because a process that is only just starting misses a signal.
        if freed(lock, AGAIN).await {
            return Ok(());
        }
    }
    let reason = format!(
        "some of its processes hold {}",
        site.run(locks::CLUSTER).display()
    );
    Err(failed("stopping an earlier PostgreSQL", reason))
}

fn remains(site: &Site) -> Vec<Process> {
    let socket = meeting::known_socket(site);
    socket
        .map(|socket| processes::of(&socket))
        .unwrap_or_default()
}

async fn freed(lock: &File, patience: Duration) -> bool {
    let began = Instant::now();
    while began.elapsed() < patience {
        if locks::free(lock) {
            return true;
        }
        sleep(POLL).await;
    }
    false
}

/// Starts the server. The lock proves that nothing of an earlier one lives.
async fn launch(site: &Site, lock: File, create: bool) -> Result<(PathBuf, File), Error> {
    if meeting::knock(site).is_some() {
        // A reader whose server and fellow shell were killed. It would answer for a server that it does not guard.
        remains(site)
            .iter()
            .for_each(|found| found.signal(Signal::SIGKILL));
    }
    let cluster = cluster::prepare(site, create).await?;
    clear_pid_file(&cluster.data)?;
    let socket = meeting::make_socket_directory(site, cluster.account)?;
    let (reader, fifo) = meeting::make_fifo(site)?;
    let mut log = open_log(site)?;
    let before = log.metadata().map_or(0, |metadata| metadata.len());
    let errors = log
        .try_clone()
        .map_err(Error::io("open the server's log"))?;
    let mut guard = spawn(site, &cluster, &socket, [reader, lock, errors])?;
    let began = Instant::now();
    while !ready(site) {
        let ended = guard.try_wait().map_err(Error::io("wait for the server"))?;
        if ended.is_some() || began.elapsed() > START {
            let mut text = String::new();
            let _ = log
                .seek(SeekFrom::Start(before))
                .and_then(|_| log.read_to_string(&mut text));
            let reason = format!("{} (see {})", cluster::reason(&text), site.log().display());
            return Err(failed("starting PostgreSQL", reason));
        }
        sleep(POLL).await;
    }
    // The child is let go of: tokio reaps it at its end, and the FIFO tells of that end.
    Ok((socket, fifo))
}

fn spawn(site: &Site, cluster: &Cluster, socket: &Path, files: [File; 3]) -> Result<Child, Error> {
    let [fifo, lock, log] = files;
    let mut command = cluster.account.command("/bin/sh");
    command.args(["-c", SCRIPT, processes::GUARD]).arg(socket);
    if site.throwaway {
        // Nothing needs to be written any more.
        command.arg("QUIT").arg(&site.root);
    } else {
        command.arg("INT").arg("");
    }
    command
        .arg(cluster.binaries.postgres())
        .arg("-D")
        .arg(&cluster.data);
    for setting in settings::all(site, socket) {
        command.arg("-c").arg(setting);
    }
    // In a group of its own, Ctrl-C does not reach the server: Bobbin drains first.
    command
        .stdin(fifo)
        .stdout(lock)
        .stderr(log)
        .process_group(0);
    command.spawn().map_err(Error::io("run /bin/sh"))
}

/// Whether the server accepts connections.
fn ready(site: &Site) -> bool {
    let text = fs::read_to_string(site.data().join("postmaster.pid")).unwrap_or_default();
    text.lines()
        .nth(7)
        .is_some_and(|state| state.trim() == "ready")
}

fn main_process(data: &Path) -> Option<i32> {
    let text = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    text.lines().next()?.trim().parse().ok()
}

/// Removes the file of a server that is dead. Its process id may be another process's by now, which would
/// keep a new server from starting.
fn clear_pid_file(data: &Path) -> Result<(), Error> {
    match main_process(data) {
        Some(pid) if processes::serves(pid, data) => Err(Error::Foreign {
            data: data.to_path_buf(),
            pid,
        }),
        _ => match fs::remove_file(data.join("postmaster.pid")) {
            Err(cause) if cause.kind() != ErrorKind::NotFound => Err(Error::Io {
                attempt: format!("remove {}/postmaster.pid", data.display()),
                cause,
            }),
            _ => Ok(()),
        },
    }
}

fn open_log(site: &Site) -> Result<File, Error> {
    let path = site.log();
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600);
    let open = || {
        let log = options.open(&path)?;
        if log.metadata()?.len() > MAXIMAL_LOG {
            log.set_len(0)?;
        }
        Ok(log)
    };
    open().map_err(Error::io(format!("open {}", path.display())))
}

fn failed(attempt: &str, reason: String) -> Error {
    Error::Failed {
        attempt: attempt.to_owned(),
        reason,
    }
}
