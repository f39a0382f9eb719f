//! Leaves a service alone that fails again and again, and lets one try through after a while.
//!
//! The crates for it let everybody through then, which is what a service that comes back to life
//! can bear least.

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// So many failures on end open it.
const FAILURES: u32 = 5;

/// Whether a service is called.
pub struct Circuit {
    rest: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// On end.
    failures: u32,
    /// When the last of them was.
    failed_at: Option<Instant>,
    /// Whether somebody finds out if the service is back.
    trying: bool,
}

/// Leave to call. Who drops it without a word says nothing of the service.
#[must_use = "say how the call went"]
pub struct Permit<'c> {
    circuit: &'c Circuit,
    trial: bool,
}

impl Circuit {
    /// One that rests for so long after failures.
    pub fn new(rest: Duration) -> Self {
        Self {
            rest,
            state: Mutex::default(),
        }
    }

    /// Asks for leave to call, or how long to wait for it.
    pub fn permit(&self) -> Result<Permit<'_>, Duration> {
        let mut state = self.state();
        if state.failures < FAILURES {
            return Ok(self.give(false));
        }
        let rested = state.failed_at.map(|at| at.elapsed());
        let left = self.rest.saturating_sub(rested.unwrap_or(self.rest));
        if state.trying || !left.is_zero() {
            return Err(left);
        }
        state.trying = true;
        Ok(self.give(true))
    }

    fn give(&self, trial: bool) -> Permit<'_> {
        Permit {
            circuit: self,
            trial,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }
}

impl Permit<'_> {
    /// The service did its work.
    pub fn worked(self) {
        self.circuit.state().failures = 0;
    }

    /// The service failed.
    pub fn failed(self) {
        let mut state = self.circuit.state();
        state.failures = state.failures.saturating_add(1);
        state.failed_at = Some(Instant::now());
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.trial {
            self.circuit.state().trying = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permit(circuit: &Circuit) -> Permit<'_> {
        circuit.permit().unwrap_or_else(|_| panic!("it is open"))
    }

    fn broken(rest: Duration) -> Circuit {
        let circuit = Circuit::new(rest);
        for _ in 0..FAILURES {
            permit(&circuit).failed();
        }
        circuit
    }

    #[test]
    fn failures_on_end_open_it() {
        let circuit = Circuit::new(Duration::from_secs(60));
        for _ in 0..3 {
            for _ in 1..FAILURES {
                permit(&circuit).failed();
            }
            permit(&circuit).worked();
        }
        for _ in 0..FAILURES {
            permit(&circuit).failed();
        }
        let left = circuit.permit().err().expect("it is open");
        assert!(left > Duration::from_secs(50) && left <= Duration::from_secs(60));
    }

    #[test]
    fn one_at_a_time_tries_after_the_rest() {
        let circuit = broken(Duration::ZERO);
        let first = permit(&circuit);
        assert!(circuit.permit().is_err());
        first.failed();
        let second = permit(&circuit);
        assert!(circuit.permit().is_err());
        // Given up, it leaves its place to another one.
        drop(second);
        permit(&circuit).worked();
        let _all = [permit(&circuit), permit(&circuit)];
    }

    #[test]
    fn a_try_that_fails_begins_another_rest() {
        let circuit = broken(Duration::from_millis(1));
        std::thread::sleep(Duration::from_millis(2));
        permit(&circuit).failed();
        let circuit = broken(Duration::from_secs(60));
        assert!(circuit.permit().is_err());
    }
}
