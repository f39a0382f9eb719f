//! The server under test: the release binary in a process of its own, with a data directory of
//! its own and the PostgreSQL in it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::rc::Rc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::cpu::Process;
use crate::machine::Machine;
use crate::{Args, Outcome};

/// How long it may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(120);

/// How many tokens are made at once.
const AT_ONCE: usize = 4;

/// A running server.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it uses is looked at from outside.
    pub process: Process,
    /// Its database.
    pub cluster: Cluster,
    binary: PathBuf,
    data: PathBuf,
    child: Child,
}

/// A PostgreSQL, and where its programs are.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Its first process.
    pub process: Process,
    /// The directory of its socket.
    pub socket: PathBuf,
    /// The directory of its programs.
    pub programs: PathBuf,
}

impl Server {
    /// Starts one with an empty data directory.
    pub async fn fresh(args: &Args) -> Outcome<Self> {
        let data = args.out.join("data");
        if data.exists() {
            fs::remove_dir_all(&data)?;
        }
        fs::create_dir_all(&data)?;
        Self::start(&args.server, &data, &[]).await
    }

    /// Ends it, and starts it again on the same data, with other settings.
    pub async fn restart(self, settings: &[&str]) -> Outcome<Self> {
        let (binary, data) = (self.binary.clone(), self.data.clone());
        self.stop().await?;
        Self::start(&binary, &data, settings).await
    }

    async fn start(binary: &Path, data: &Path, settings: &[&str]) -> Outcome<Self> {
        let mut child = command(binary, data)
            .args(["serve", "--listen", "127.0.0.1:0", "--log", "warn"])
            .args(settings)
            .stdout(Stdio::null())
            .spawn()?;
        let process = Process::new(child.id().ok_or("the server has ended")?);
        let file = data.join("address");
        let ready = async {
            loop {
                if let Some(status) = child.try_wait()? {
                    return Err(format!("the server has ended: {status}").into());
                }
                match fs::read_to_string(&file) {
                    Ok(address) if address.ends_with('\n') => {
                        return Outcome::Ok(address.trim().parse()?);
                    }
                    _ => sleep(Duration::from_millis(20)).await,
                }
            }
        };
        let address = timeout(PATIENCE, ready).await??;
        Ok(Self {
            address,
            process,
            cluster: Cluster::of(data)?,
            binary: binary.to_owned(),
            data: data.to_owned(),
            child,
        })
    }

    /// Ends it for good, and removes its data.
    pub async fn remove(self) -> Outcome<()> {
        let data = self.data.clone();
        self.stop().await?;
        Ok(fs::remove_dir_all(data)?)
    }

    async fn stop(mut self) -> Outcome<()> {
        let id = self.child.id().ok_or("the server has ended")?;
        kill(Pid::from_raw(i32::try_from(id)?), Signal::SIGTERM)?;
        timeout(PATIENCE, self.child.wait()).await??;
        Ok(())
    }

    /// The machine that it runs on.
    pub fn machine(&self) -> Outcome<Machine> {
        Machine::this(&self.cluster.programs)
    }

    /// A new API key for the whole server.
    pub async fn key(&self) -> Outcome<Rc<str>> {
        self.say(&["key", "create", "--name", "benchmarks"]).await
    }

    /// Tokens for these people, in this role.
    pub async fn tokens(
        &self,
        organization: &str,
        role: &str,
        people: &[String],
    ) -> Outcome<Vec<Rc<str>>> {
        let tokens = people.iter().map(async |user| {
            let of = ["token", "--user", user, "--name", user, "--role", role];
            let bound = ["--organization", organization, "--expires", "7d"];
            self.say(&[&of[..], &bound[..]].concat()).await
        });
        let tokens: Vec<_> = tokens.collect();
        stream::iter(tokens).buffered(AT_ONCE).try_collect().await
    }

    /// Runs a short command, and takes what it prints.
    async fn say(&self, words: &[&str]) -> Outcome<Rc<str>> {
        let output = command(&self.binary, &self.data)
            .args(words)
            .output()
            .await?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        Ok(String::from_utf8(output.stdout)?.trim().into())
    }
}

/// The program, with no other settings than ours.
fn command(binary: &Path, data: &Path) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("BOBBIN_") {
            command.env_remove(name);
        }
    }
    command
        .env_remove("DATABASE_URL")
        .arg("--data-dir")
        .arg(data);
    command.kill_on_drop(true);
    command
}

impl Cluster {
    /// Of a data directory whose server runs.
    fn of(data: &Path) -> Outcome<Self> {
        let file = fs::read_to_string(data.join("postgres").join("postmaster.pid"))?;
        let lines: Vec<&str> = file.lines().collect();
        let [pid, _, _, _, socket, ..] = lines.as_slice() else {
            return Err("postmaster.pid is not whole".into());
        };
        let program = fs::read_link(format!("/proc/{pid}/exe"))?;
        Ok(Self {
            process: Process::new(pid.trim().parse()?),
            socket: socket.trim().into(),
            programs: program
                .parent()
                .ok_or("a program is in a directory")?
                .into(),
        })
    }
}
