//! What a process takes of its machine.

use std::fs;

use nix::time::ClockId;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::clock;

/// A reading of a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Processor time of all its threads since it began, those that ended included; nanoseconds.
    pub cpu_ns: u64,
    /// Memory that is resident now, bytes.
    pub resident: u64,
    /// Of it what no file backs, bytes.
    pub anonymous: u64,
    /// The most that was ever resident, bytes.
    pub peak: u64,
}

impl Usage {
    /// Of this process.
    pub fn own() -> Self {
        Self { cpu_ns: clock::of(ClockId::CLOCK_PROCESS_CPUTIME_ID), ..memory("self") }
    }

    /// Of another process of this host; `None` if there is none.
    pub fn of(pid: u32) -> Option<Self> {
        let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(i32::try_from(pid).ok()?)).ok()?;
        Some(Self { cpu_ns: clock::of(clock), ..memory(&pid.to_string()) })
    }

    /// Processor seconds between an earlier reading and this one.
    pub fn cpu_seconds_since(&self, earlier: &Self) -> f64 {
        self.cpu_ns.saturating_sub(earlier.cpu_ns) as f64 / 1e9
    }

    /// Resident MiB.
    pub fn resident_mib(&self) -> f64 {
        self.resident as f64 / f64::from(1 << 20)
    }
}

/// From proc(5); 0 for what it does not tell.
fn memory(process: &str) -> Usage {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let bytes = |field: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() * 1024
    };
    Usage { cpu_ns: 0, resident: bytes("VmRSS:"), anonymous: bytes("RssAnon:"), peak: bytes("VmHWM:") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_time_and_memory_is_there() {
        let before = Usage::own();
        let mut sum = 0u64;
        while Usage::own().cpu_ns < before.cpu_ns + 2_000_000 {
            sum = std::hint::black_box(sum + 1);
        }
        let after = Usage::own();
        assert!(after.cpu_seconds_since(&before) >= 0.002);
        assert!(after.resident > 0 && after.anonymous <= after.resident && after.resident <= after.peak);
        let by_pid = Usage::of(std::process::id()).unwrap();
        assert!(by_pid.cpu_ns >= after.cpu_ns && by_pid.resident > 0);
        assert_eq!(Usage::of(u32::MAX), None);
    }
}
