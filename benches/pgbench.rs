//! What PostgreSQL alone takes, by the program that comes with it.

use std::fs;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::Outcome;
use crate::server::Cluster;

/// The private cluster's only account, and the server's database.
const NAME: &str = "bobbin";

/// Runs scripts against a cluster.
pub struct Pgbench {
    cluster: Cluster,
    database: &'static str,
    /// Where scripts and logs are put.
    directory: PathBuf,
}

impl Pgbench {
    /// In the server's database.
    pub fn new(cluster: &Cluster, out: &Path) -> Self {
        Self {
            cluster: cluster.clone(),
            database: NAME,
            directory: out.to_owned(),
        }
    }

    /// In a new database beside the server's, prepared by these statements.
    pub async fn apart(cluster: &Cluster, out: &Path, prepare: &str) -> Outcome<Self> {
        let mut pgbench = Self::new(cluster, out);
        pgbench.sql("create database floor").await?;
        pgbench.database = "floor";
        pgbench.sql(prepare).await?;
        Ok(pgbench)
    }

    /// Executes statements; answers what they answer, a row a line.
    pub async fn sql(&self, statements: &str) -> Outcome<String> {
        let words = [
            "--no-psqlrc",
            "--tuples-only",
            "--no-align",
            "--command",
            statements,
        ];
        said(self.program("psql").args(words)).await
    }

    /// Runs a script so many times, from so many clients at once, and answers how many times a
    /// second it ran.
    pub async fn rate(&self, script: &str, clients: usize, times: usize) -> Outcome<f64> {
        let each = times.div_ceil(clients).to_string();
        let file = self.script(script)?;
        let mut pgbench = self.program("pgbench");
        pgbench.args(["--no-vacuum", "--protocol=prepared", "--jobs=2"]);
        pgbench.args(["--client", &clients.to_string(), "--transactions", &each]);
        let output = said(pgbench.arg("--file").arg(file)).await?;
        let rate = output.lines().find_map(|line| line.strip_prefix("tps = "));
        let rate = rate.and_then(|rate| rate.split(' ').next());
        Ok(rate.ok_or("pgbench tells no rate")?.parse()?)
    }

    /// Runs a script so many times a second, for so many seconds, from one client; answers how
    /// long each run took, in microseconds.
    pub async fn delays(&self, script: &str, rate: usize, seconds: usize) -> Outcome<Vec<f64>> {
        let file = self.script(script)?;
        let log = self.directory.join("delays");
        for old in self.logs()? {
            fs::remove_file(old)?;
        }
        let mut pgbench = self.program("pgbench");
        pgbench.args(["--no-vacuum", "--protocol=prepared", "--client=1", "--log"]);
        pgbench.args(["--rate", &rate.to_string(), "--time", &seconds.to_string()]);
        pgbench.arg("--log-prefix").arg(log).arg("--file").arg(file);
        said(&mut pgbench).await?;
        let mut delays = Vec::new();
        for log in self.logs()? {
            for line in fs::read_to_string(log)?.lines() {
                // client, transaction, time, script, second, microsecond, lag: the time counts from
                // when the run was due.
                let words: Vec<&str> = line.split(' ').collect();
                if let [_, _, time, _, _, _, lag, ..] = words.as_slice() {
                    delays.push(time.parse::<f64>()? - lag.parse::<f64>()?);
                }
            }
        }
        Ok(delays)
    }

    fn logs(&self) -> Outcome<Vec<PathBuf>> {
        let mut logs = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with("delays.") {
                logs.push(path);
            }
        }
        Ok(logs)
    }

    fn script(&self, text: &str) -> Outcome<PathBuf> {
        let path = self.directory.join("floor.sql");
        fs::write(&path, text)?;
        Ok(path)
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.cluster.programs.join(name));
        command.arg("--host").arg(&self.cluster.socket);
        command
            .args(["--username", NAME])
            .env("PGDATABASE", self.database);
        command.kill_on_drop(true);
        command
    }
}

async fn said(command: &mut Command) -> Outcome<String> {
    let output = command.output().await?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
