//! What another process has used: processor time and memory.

use std::fs;

use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;

use crate::Outcome;

/// A process that is looked at from outside.
#[derive(Debug, Clone, Copy)]
pub struct Process(u32);

impl Process {
    /// By its id.
    pub fn new(id: u32) -> Self {
        Self(id)
    }

    /// The processor time of all its threads so far, user and system, in microseconds. It is what
    /// /proc/PID/stat tells as utime and stime, but not rounded to hundredths of a second.
    pub fn cpu(self) -> Outcome<f64> {
        let clock: ClockId = clock_getcpuclockid(Pid::from_raw(i32::try_from(self.0)?))?;
        let now = clock.now()?;
        #[expect(clippy::cast_precision_loss, reason = "it is far below 2^52")]
        let micros = now.tv_sec() as f64 * 1e6 + now.tv_nsec() as f64 / 1e3;
        Ok(micros)
    }

    /// The same of a process and those that it has started, as far as they are still there.
    pub fn family_cpu(self) -> Outcome<f64> {
        let mut sum = self.cpu()?;
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Ok(id) = name.to_string_lossy().parse() else {
                continue;
            };
            // It may end while it is looked at.
            let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
            let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
            if parent.is_some_and(|parent| parent.trim().parse() == Ok(self.0)) {
                sum += Self(id).cpu().unwrap_or_default();
            }
        }
        Ok(sum)
    }

    /// The memory that it holds, in KiB.
    pub fn memory(self) -> Outcome<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let size = line.and_then(|line| line.split_whitespace().next());
        Ok(size.ok_or("no VmRSS")?.parse()?)
    }
}
