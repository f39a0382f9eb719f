//! Finds the processes of one cluster by their command lines, which every account may read.
//!
//! It never decides whether a cluster is in use (the locks do), only whom to send a signal.

use std::fs;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::settings;

/// The guard's `$0`, by which it is known among other shells.
pub const GUARD: &str = "bobbin-postgres-guard";

/// A process that belongs to a cluster.
pub struct Process {
    pub pid: i32,
    /// One of the guard's two shells, not a server process.
    pub guard: bool,
}

impl Process {
    /// Sends a signal. A process that is gone needs none.
    pub fn signal(&self, signal: Signal) {
        let _ = kill(Pid::from_raw(self.pid), signal);
    }
}

/// The living processes around the socket directory, which is unique to the cluster.
pub fn of(socket: &Path) -> Vec<Process> {
    let setting = settings::socket(socket);
    let title = format!("postgres: {}: ", settings::name(socket));
    let process = |(pid, line): (i32, String)| {
        let program = program(&line);
        let guard = program.ends_with("sh") && line.contains(GUARD) && line.contains(&setting);
        let server = line.starts_with(&title) || (is_server(program) && line.contains(&setting));
        (guard || server).then_some(Process { pid, guard })
    };
    all().into_iter().filter_map(process).collect()
}

/// Whether the process is a server on this cluster, whoever started it.
pub fn serves(pid: i32, data: &Path) -> bool {
    let Some(line) = line(pid).filter(|line| is_server(program(line))) else {
        return false;
    };
    // A server started by hand may have been given a relative path. Where it is may be hidden from us, though.
    let there = cfg!(target_os = "linux")
        && fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|path| path == data);
    there || format!("{line} ").contains(&format!("{} ", data.display()))
}

fn is_server(program: &str) -> bool {
    program == "postgres" || program == "postmaster"
}

fn program(line: &str) -> &str {
    let path = line.split(' ').next().unwrap_or_default();
    path.rsplit('/').next().unwrap_or_default()
}

#[cfg(target_os = "linux")]
fn all() -> Vec<(i32, String)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Some((pid, line(pid)?))).collect()
}

/// Nothing for a process that is gone, and for one that only waits to be reaped.
#[cfg(target_os = "linux")]
fn line(pid: i32) -> Option<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let line = String::from_utf8_lossy(&bytes).replace('\0', " ");
    (!line.trim().is_empty()).then_some(line)
}

#[cfg(not(target_os = "linux"))]
fn all() -> Vec<(i32, String)> {
    ps(&["-A"])
}

#[cfg(not(target_os = "linux"))]
fn line(pid: i32) -> Option<String> {
    ps(&["-p", &pid.to_string()]).pop().map(|(_, line)| line)
}

#[cfg(not(target_os = "linux"))]
fn ps(which: &[&str]) -> Vec<(i32, String)> {
    let output = std::process::Command::new("ps")
        .args(["-ww", "-o", "pid=,command="])
        .args(which)
        .output();
    let text = output
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    let parse = |line: &str| {
        let (pid, command) = line.trim_start().split_once(' ')?;
        Some((pid.parse().ok()?, command.trim_start().to_owned()))
    };
    text.lines().filter_map(parse).collect()
}
