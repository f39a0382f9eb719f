//! The private PostgreSQL, with real processes that are really killed.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bobbin::postgres::{self, Error, Postgres};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};
use tokio_postgres::{Client, NoTls};

const HELPER: &str = "BOBBIN_TEST_HELPER";

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_is_there_after_a_restart() {
    let place = Place::new();
    let server = place.start().await;
    let client = connect(&server).await;
    client
        .batch_execute("CREATE TABLE notes (note text); INSERT INTO notes VALUES ('Ärger')")
        .await
        .unwrap();
    server.stop().await;
    assert!(!place.data().join("postmaster.pid").exists());

    let began = Instant::now();
    let server = place.start().await;
    println!("warm start: {:?}", began.elapsed());
    assert_eq!(
        text(&server, "SELECT lower(note) FROM notes").await,
        "ärger"
    );
    let began = Instant::now();
    server.stop().await;
    println!("stop: {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_durable_and_reachable_by_its_socket_alone() {
    let place = Place::new();
    let server = place.start().await;
    for (setting, value) in [
        ("listen_addresses", ""),
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("TimeZone", "UTC"),
        ("jit", "off"),
        ("unix_socket_permissions", "0700"),
    ] {
        assert_eq!(
            text(&server, &format!("SHOW {setting}")).await,
            value,
            "{setting}"
        );
    }
    let socket = text(&server, "SHOW unix_socket_directories").await;
    assert_eq!(
        fs::metadata(&socket).unwrap().permissions().mode() & 0o777,
        0o700
    );
    server.stop().await;
    assert!(!Path::new(&socket).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_owner_is_refused_and_told_of_the_first() {
    let place = Place::new();
    let server = place.start().await;
    let error = postgres::start(place.path(), None).await.unwrap_err();
    assert!(
        matches!(error, Error::InUse { pid: Some(pid) } if pid == std::process::id()),
        "{error}"
    );
    assert!(error.to_string().contains(&std::process::id().to_string()));
    server.stop().await;
    place.start().await.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_joined_keeps_the_server_running() {
    let place = Place::new();
    let owner = place.start().await;
    let joined = postgres::join(place.path(), None).await.unwrap();
    assert_eq!(owner.url(), joined.url());
    let postmaster = place.postmaster();
    owner.stop().await;
    assert_eq!(text(&joined, "SELECT 'here'").await, "here");
    // A new owner finds the same server.
    let owner = place.start().await;
    assert_eq!(place.postmaster(), postmaster);
    drop(joined);
    assert_eq!(text(&owner, "SELECT 'here'").await, "here");
    owner.stop().await;
    assert!(!alive(postmaster));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_while_it_stops_gets_a_server_that_stays() {
    let place = Place::new();
    place.start().await.stop().await;
    let mut tasks = tokio::task::JoinSet::new();
    for worker in 0..4 {
        let path = place.path().to_path_buf();
        tasks.spawn(async move {
            for round in 0..8 {
                let server = postgres::join(&path, None).await.unwrap();
                assert_eq!(text(&server, "SELECT 'here'").await, "here");
                if (worker + round) % 2 == 0 {
                    server.stop().await
                } else {
                    drop(server)
                }
            }
        });
    }
    while let Some(outcome) = tasks.join_next().await {
        outcome.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_stops_when_its_owner_is_killed() {
    let place = Place::new();
    let mut owner = Helper::start("start", place.path());
    let postmaster = place.postmaster();
    owner.kill();
    until("the server is gone", || !alive(postmaster)).await;
    place.start().await.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_right_after_the_owner_was_killed_works() {
    let place = Place::new();
    for _ in 0..3 {
        let mut owner = Helper::start("start", place.path());
        owner.kill();
        let server = place.start().await;
        assert_eq!(text(&server, "SELECT 'here'").await, "here");
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_alone_comes_back_at_the_same_address() {
    let place = Place::new();
    let server = place.start().await;
    let client = connect(&server).await;
    client
        .batch_execute("CREATE TABLE notes (note text); INSERT INTO notes VALUES ('kept')")
        .await
        .unwrap();
    // A backend that computes does not notice that its postmaster is dead.
    let busy = connect(&server).await;
    let busy = tokio::spawn(async move {
        busy.batch_execute("SELECT count(*) FROM generate_series(1, 1e12)")
            .await
    });
    let active = "SELECT count(*)::text FROM pg_stat_activity WHERE query LIKE 'SELECT count(*) FROM gen%' AND state = 'active'";
    while text(&server, active).await != "1" {}
    let postmaster = place.postmaster();
    signal(postmaster, Signal::SIGKILL);
    until("a new server is ready", || {
        place.ready() && place.postmaster() != postmaster
    })
    .await;
    assert_eq!(text(&server, "SELECT note FROM notes").await, "kept");
    assert!(busy.await.unwrap().is_err());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_come_back_is_reported() {
    let place = Place::new();
    let server = place.start().await;
    let postmaster = place.postmaster();
    fs::remove_file(place.data().join("PG_VERSION")).unwrap();
    signal(postmaster, Signal::SIGKILL);
    tokio::time::timeout(Duration::from_secs(30), server.failed())
        .await
        .expect("the failure is reported");
    server.stop().await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn it_recovers_when_owner_guard_and_server_were_killed() {
    for also_backends in [false, true] {
        let place = Place::new();
        let server = place.start().await;
        let client = connect(&server).await;
        client
            .batch_execute("CREATE TABLE notes (note text); INSERT INTO notes VALUES ('kept')")
            .await
            .unwrap();
        server.stop().await;
        let mut owner = Helper::start("start", place.path());
        let socket = fs::read_to_string(place.path().join("postgres.run/socket")).unwrap();
        kill_with(&mut owner, &processes(&socket, also_backends));
        let server = place.start().await;
        assert_eq!(text(&server, "SELECT note FROM notes").await, "kept");
        server.stop().await;
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lost_its_guard_is_started_again_under_a_new_one() {
    let place = Place::new();
    let server = place.start().await;
    let postmaster = place.postmaster();
    let socket = fs::read_to_string(place.path().join("postgres.run/socket")).unwrap();
    let guard = processes(&socket, false)
        .into_iter()
        .filter(|pid| *pid != postmaster);
    guard.for_each(|pid| signal(pid, Signal::SIGKILL));
    until("a new server is ready", || {
        place.ready() && place.postmaster() != postmaster
    })
    .await;
    assert_eq!(text(&server, "SELECT 'here'").await, "here");
    let postmaster = place.postmaster();
    server.stop().await;
    assert!(!alive(postmaster));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_process_id_that_is_in_use_again_does_not_matter() {
    let place = Place::new();
    place.start().await.stop().await;
    let lines = format!(
        "{}\n{}\n0\n5432\n/nowhere\n\n0 0\nready\n",
        std::process::id(),
        place.data().display()
    );
    fs::write(place.data().join("postmaster.pid"), lines).unwrap();
    let server = place.start().await;
    assert_eq!(text(&server, "SELECT 'here'").await, "here");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throwaway_leaves_nothing_behind() {
    let server = postgres::throwaway(None).await.unwrap();
    let data = PathBuf::from(text(&server, "SHOW data_directory").await);
    assert_eq!(text(&server, "SHOW fsync").await, "off");
    server.stop().await;
    assert!(!data.parent().unwrap().exists());

    let server = postgres::throwaway(None).await.unwrap();
    let data = PathBuf::from(text(&server, "SHOW data_directory").await);
    drop(server);
    until("the directory is gone", || !data.parent().unwrap().exists()).await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_throwaway_of_a_killed_test_leaves_nothing_behind() {
    let mut test = Helper::start("throwaway", Path::new("/"));
    let root = PathBuf::from(&test.output).parent().unwrap().to_path_buf();
    assert!(root.exists());
    test.kill();
    until("the directory is gone", || !root.exists()).await;

    // With everything killed, the next one tidies up.
    let mut test = Helper::start("throwaway", Path::new("/"));
    let root = PathBuf::from(&test.output).parent().unwrap().to_path_buf();
    let socket = fs::read_to_string(root.join("postgres.run/socket")).unwrap();
    kill_with(&mut test, &processes(&socket, true));
    // A process that is killed lets go of its files a moment later.
    let lock = root.join("postgres.run/cluster");
    until("everything is dead", || {
        fs::File::open(&lock).is_ok_and(|lock| lock.try_lock_shared().is_ok()) || !lock.exists()
    })
    .await;
    postgres::throwaway(None).await.unwrap().stop().await;
    // Another test may be tidying up at the same time.
    until("the directories are gone", || {
        !root.exists() && !Path::new(&socket).exists()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_data_directory_has_its_database_elsewhere() {
    if !Uid::effective().is_root() {
        return;
    }
    let place = Place::new();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let server = place.start().await;
    connect(&server)
        .await
        .batch_execute("CREATE TABLE notes (note text)")
        .await
        .unwrap();
    server.stop().await;
    let elsewhere = fs::read_link(place.path().join("postgres")).unwrap();
    let server = place.start().await;
    assert_eq!(text(&server, "SELECT count(*)::text FROM notes").await, "0");
    server.stop().await;
    fs::remove_dir_all(elsewhere).unwrap();
    let error = place.try_start().await.unwrap_err().to_string();
    assert!(error.contains("missing"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_say_in_one_line_what_to_do() {
    let place = Place::new();
    let empty = Place::new();
    let file = place.path().join("file");
    fs::write(&file, "").unwrap();
    fs::create_dir(place.path().join("other")).unwrap();
    fs::create_dir(place.path().join("other/postgres")).unwrap();
    for (error, part) in [
        (
            postgres::join(place.path(), Some(empty.path()))
                .await
                .unwrap_err(),
            "BOBBIN_POSTGRES_BIN",
        ),
        (
            postgres::throwaway(Some(empty.path())).await.unwrap_err(),
            "BOBBIN_POSTGRES_BIN",
        ),
        (
            postgres::join(&file.join("below"), None).await.unwrap_err(),
            "Not a directory",
        ),
        (
            postgres::join(&place.path().join("other"), None)
                .await
                .unwrap_err(),
            "not a PostgreSQL database",
        ),
        (Error::NoBinaries, "apt-get install postgresql"),
    ] {
        let message = error.to_string();
        assert!(
            message.contains(part) && !message.contains('\n'),
            "{message}"
        );
    }
    // A failed start leaves nothing half-made.
    let left = fs::read_dir(place.path())
        .unwrap()
        .flatten()
        .filter(|entry| {
            entry
                .file_name()
                .to_string_lossy()
                .starts_with("postgres.new")
        });
    assert_eq!(left.count(), 0);
}

/// Not a test by itself: what the other tests run as a process of its own, to kill it.
#[tokio::test(flavor = "multi_thread")]
async fn a_helper_process_holds_a_server() {
    let Ok(task) = std::env::var(HELPER) else {
        return;
    };
    let (verb, path) = task.split_once(' ').unwrap();
    let server = match verb {
        "start" => postgres::start(Path::new(path), None).await.unwrap(),
        _ => postgres::throwaway(None).await.unwrap(),
    };
    println!("\nready {}", text(&server, "SHOW data_directory").await);
    std::future::pending::<()>().await;
}

/// A data directory that the server's account can reach. It is removed at the end.
struct Place(PathBuf);

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Place {
    fn new() -> Place {
        let path = std::env::temp_dir().join(format!("bobbin-place-{}", uuid::Uuid::now_v7()));
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Place(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }

    fn data(&self) -> PathBuf {
        self.path().join("postgres")
    }

    async fn start(&self) -> Postgres {
        self.try_start()
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    }

    async fn try_start(&self) -> Result<Postgres, Error> {
        postgres::start(self.path(), None).await
    }

    fn pid_file(&self) -> Vec<String> {
        let text = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
        text.lines().map(|line| line.trim().to_owned()).collect()
    }

    fn ready(&self) -> bool {
        self.pid_file().get(7).is_some_and(|state| state == "ready")
    }

    fn postmaster(&self) -> i32 {
        self.pid_file()
            .first()
            .and_then(|pid| pid.parse().ok())
            .unwrap_or_default()
    }
}

struct Helper {
    child: Child,
    /// What it said after `ready`.
    output: String,
}

impl Helper {
    fn start(verb: &str, path: &Path) -> Helper {
        use std::io::{BufRead, BufReader};

        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "a_helper_process_holds_a_server", "--nocapture"]);
        command
            .env(HELPER, format!("{verb} {}", path.display()))
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let output = lines
            .find_map(|line| line.strip_prefix("ready ").map(str::to_owned))
            .expect("it gets ready");
        Helper { child, output }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn connect(server: &Postgres) -> Client {
    let (client, connection) = tokio_postgres::connect(server.url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn text(server: &Postgres, query: &str) -> String {
    connect(server)
        .await
        .query_one(query, &[])
        .await
        .unwrap()
        .get(0)
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "waited too long until {what}"
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The guard's two shells and the postmaster; if asked for, also the other processes of the server.
#[cfg(target_os = "linux")]
fn processes(socket: &str, also_backends: bool) -> Vec<i32> {
    let title = format!("postgres: {}: ", socket.rsplit('/').next().unwrap());
    let setting = format!("unix_socket_directories={socket}");
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        line.contains(&setting) || (also_backends && line.starts_with(&title))
    })
    .collect()
}

/// Kills everything at once: nobody gets to clean up after another one.
#[cfg(target_os = "linux")]
fn kill_with(owner: &mut Helper, processes: &[i32]) {
    assert!(processes.len() >= 3, "two shells and a server");
    processes
        .iter()
        .for_each(|pid| signal(*pid, Signal::SIGSTOP));
    owner.kill();
    processes
        .iter()
        .for_each(|pid| signal(*pid, Signal::SIGKILL));
}

fn signal(pid: i32, signal: Signal) {
    let _ = kill(Pid::from_raw(pid), signal);
}

fn alive(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None).is_ok()
}
