//! Three servers as processes of their own, and the NATS server between them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use bobbin::ids::ThreadId;
use futures_util::StreamExt;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, MutexGuard};

use crate::support::server::{SECRET, Server};
use crate::support::socket::{PATIENCE, eventually};
use crate::support::unique;

/// One at a time: several at once would only wait for each other.
static TURN: Mutex<()> = Mutex::const_new(());

/// The servers.
pub struct Cluster {
    pub nats: Nats,
    pub nodes: Vec<Node>,
    _turn: MutexGuard<'static, ()>,
}

impl Cluster {
    pub async fn start() -> Self {
        let turn = TURN.lock().await;
        let mut nats = Nats::new();
        nats.start().await;
        let url = nats.url();
        let (one, two, three) =
            tokio::join!(Node::start(&url), Node::start(&url), Node::start(&url));
        let nodes = vec![one, two, three];
        for node in &nodes {
            node.answers_ready(200, "ready\n").await;
        }
        Self {
            nats,
            nodes,
            _turn: turn,
        }
    }

    /// Ends a node without a word.
    pub async fn kill(&mut self, number: usize) {
        self.nodes[number].kill().await;
    }

    /// Tells a node to end; answers what it ended with.
    pub async fn terminate(&mut self, number: usize) -> ExitStatus {
        let node = &mut self.nodes[number];
        node.terminate();
        node.ended().await
    }

    /// What the nodes tell each other from now on.
    pub async fn hints(&self) -> Hints {
        let client = async_nats::connect(self.nats.url()).await;
        let client = client.expect("NATS listens");
        let heard = client.subscribe("bobbin.thread.*").await;
        let heard = heard.expect("a subscription");
        client.flush().await.expect("NATS hears");
        Hints(Mutex::new(heard))
    }
}

/// Hints of what was written.
pub struct Hints(Mutex<async_nats::Subscriber>);

impl Hints {
    /// Waits for one of a thread.
    pub async fn next_of(&self, thread: &str) {
        let thread: ThreadId = thread.parse().expect("a thread's id");
        let subject = format!("bobbin.thread.{}", thread.uuid());
        let mut heard = self.0.lock().await;
        let wait = async {
            while heard.next().await.expect("NATS is there").subject.as_str() != subject {}
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("a hint");
    }
}

/// A server.
pub struct Node {
    /// As the tests' actors know it.
    pub server: &'static Server,
    process: Child,
    directory: PathBuf,
}

impl Node {
    /// One of several.
    pub async fn start(nats: &str) -> Self {
        let database = &Server::get().await.database_url;
        Self::with(database, |command| {
            command.env("BOBBIN_NATS_URL", nats);
        })
        .await
    }

    /// One on the tests' database that knows of no others.
    pub async fn alone() -> Self {
        Self::with(&Server::get().await.database_url, |_| {}).await
    }

    /// One on a database, with more settings than usual.
    pub async fn with(database: &str, settings: impl FnOnce(&mut Command)) -> Self {
        let directory = std::env::temp_dir().join(unique("bobbin-node"));
        let mut command = command(database, &directory);
        settings(&mut command);
        let process = command
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let mut address = None;
        eventually("the node has written where it listens", async || {
            let written = std::fs::read_to_string(directory.join("address"));
            address = written.ok().and_then(|text| text.trim().parse().ok());
            address.is_some()
        })
        .await;
        Self {
            server: known(address.expect("an address"), database).await,
            process,
            directory,
        }
    }

    /// What a server says that does not start with these settings.
    pub async fn refused(settings: impl FnOnce(&mut Command)) -> String {
        let database = &Server::get().await.database_url;
        let directory = std::env::temp_dir().join(unique("bobbin-node"));
        let mut command = command(database, &directory);
        settings(&mut command);
        let ended = tokio::time::timeout(PATIENCE, command.output()).await;
        let ended = ended.expect("it ends").expect("it has run");
        let _ = std::fs::remove_dir_all(directory);
        assert!(!ended.status.success());
        String::from_utf8(ended.stderr).expect("a text")
    }

    /// Where it keeps what is no database's.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Ends it without a word.
    pub async fn kill(&mut self) {
        self.process.kill().await.expect("the process is ours");
    }

    /// Tells it to end.
    pub fn terminate(&self) {
        let id = self.process.id().expect("it runs");
        let id = Pid::from_raw(i32::try_from(id).expect("a process's number"));
        kill(id, Signal::SIGTERM).expect("the process is ours");
    }

    /// What it ended with, once it has ended.
    pub async fn ended(&mut self) -> ExitStatus {
        let ended = tokio::time::timeout(PATIENCE, self.process.wait()).await;
        ended
            .expect("it ends in time")
            .expect("the process is ours")
    }

    /// How much memory it holds, in bytes.
    #[cfg(target_os = "linux")]
    pub fn resident(&self) -> usize {
        let id = self.process.id().expect("it runs");
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("its state");
        let mut lines = status.lines();
        let line = lines.find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
        1024 * number.expect("a size").parse::<usize>().expect("a number")
    }

    /// Waits until its state is such.
    pub async fn answers_ready(&self, status: u16, body: &str) {
        eventually(body, async || {
            let url = self.server.url("/readyz");
            let Ok(answer) = self.server.http.get(url).send().await else {
                return false;
            };
            answer.status().as_u16() == status && answer.text().await.is_ok_and(|text| text == body)
        })
        .await;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A server in a process of its own, as the tests' actors know it.
async fn known(address: SocketAddr, database: &str) -> &'static Server {
    let first = Server::get().await;
    Box::leak(Box::new(Server {
        app: Arc::clone(&first.app),
        address,
        http: first.http.clone(),
        root_key: first.root_key.clone(),
        database_url: database.to_owned(),
        _postgres: None,
    }))
}

fn command(database: &str, directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bobbin"));
    command
        .args(["serve", "--mode", "production", "--listen", "127.0.0.1:0"])
        .args(["--jwt-secret", SECRET, "--database-connections", "6"])
        .args(["--typing-lifetime", "3000", "--presence-lifetime", "4500"])
        .args(["--log", "error", "--nats-prefix", "bobbin"])
        .arg("--data-dir")
        .arg(directory)
        .env("DATABASE_URL", database)
        .kill_on_drop(true);
    command
}

/// A NATS server, once it is started.
pub struct Nats {
    port: u16,
    /// What it speaks TLS with: files of a certificate and its key.
    identity: Option<[PathBuf; 2]>,
    process: Option<Child>,
}

impl Nats {
    /// One with a port that nobody uses.
    pub fn new() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        Self {
            port: listener.local_addr().expect("an address").port(),
            identity: None,
            process: None,
        }
    }

    /// One that speaks TLS alone, with the files of a certificate and its key.
    pub fn with_identity(identity: [PathBuf; 2]) -> Self {
        Self {
            identity: Some(identity),
            ..Self::new()
        }
    }

    pub fn url(&self) -> String {
        let scheme = if self.identity.is_some() {
            "tls"
        } else {
            "nats"
        };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    pub async fn start(&mut self) {
        let run = |program| {
            let mut command = Command::new(program);
            if let Some([certificate, key]) = &self.identity {
                command.arg("--tls").arg("--tlscert").arg(certificate);
                command.arg("--tlskey").arg(key);
            }
            command
                .args(["-a", "127.0.0.1", "-p", &self.port.to_string()])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .kill_on_drop(true)
                .spawn()
        };
        // Debian keeps it off the PATH of those who are not root.
        let process = run("nats-server").or_else(|_| run("/usr/sbin/nats-server"));
        self.process = Some(process.expect("nats-server is installed"));
        eventually("NATS listens", async || {
            TcpStream::connect(("127.0.0.1", self.port)).await.is_ok()
        })
        .await;
    }

    pub async fn stop(&mut self) {
        let mut process = self.process.take().expect("it has been started");
        process.kill().await.expect("the process is ours");
        // Its port stays free for it.
        eventually("the port is free", async || {
            TcpListener::bind(("127.0.0.1", self.port)).await.is_ok()
        })
        .await;
    }
}
