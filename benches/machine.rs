//! The machine that the figures are of.

use std::fs;
use std::path::Path;
use std::process::Command;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::Serialize;

use crate::Outcome;

/// How many files a run opens at most: two crowds of 5,000 sockets, and some.
const OPEN_FILES: u64 = 10_500;

/// What must be known of a machine to read its figures.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    cpu: String,
    cores: usize,
    kernel: String,
    postgresql: String,
    /// The sources' commit, if they are under version control.
    commit: String,
    /// How many processes wanted to run in the minute before.
    load: String,
}

impl Machine {
    /// This one. `postgres`: the directory of the PostgreSQL programs.
    pub fn this(postgres: &Path) -> Outcome<Self> {
        let cpus = fs::read_to_string("/proc/cpuinfo")?;
        let model = cpus
            .lines()
            .find_map(|line| line.strip_prefix("model name"));
        let model = model.map_or("unknown", |model| {
            model.trim_start_matches(['\t', ':', ' '])
        });
        let load = fs::read_to_string("/proc/loadavg")?;
        Ok(Self {
            cpu: model.to_owned(),
            cores: std::thread::available_parallelism()?.get(),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?
                .trim()
                .to_owned(),
            postgresql: said(Command::new(postgres.join("postgres")).arg("--version"))
                .ok_or("PostgreSQL does not tell its version")?,
            commit: said(Command::new("git").args(["describe", "--always", "--dirty"]))
                .unwrap_or_else(|| "unknown".to_owned()),
            load: load.split(' ').next().unwrap_or_default().to_owned(),
        })
    }

    /// In one line.
    pub fn line(&self) -> String {
        format!(
            "{}, {} cores, Linux {}, {}, commit {}, load {} at the start",
            self.cpu, self.cores, self.kernel, self.postgresql, self.commit, self.load
        )
    }
}

fn said(command: &mut Command) -> Option<String> {
    let output = command
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Lets this process and those that it starts open as many sockets as they need.
pub fn raise_open_files() -> Outcome<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if most < OPEN_FILES {
        return Err(format!("{OPEN_FILES} open files are needed, the limit is {most}").into());
    }
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    Ok(())
}
