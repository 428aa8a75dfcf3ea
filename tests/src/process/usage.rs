//! What a process costs, from `/proc`.

use std::{fs, time::Duration};

use super::Process;

impl Process {
    /// Resident memory in bytes.
    ///
    /// # Panics
    /// If the process has ended.
    #[track_caller]
    pub fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).expect("a live process");
        let line =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS of a live process");
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().expect("VmRSS in kB");
        kib * 1024
    }

    /// Processor time used so far, user and system.
    ///
    /// # Panics
    /// If the process has ended.
    #[track_caller]
    pub fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).expect("a live process");
        let after_name = stat.rsplit_once(')').expect("stat names the command").1;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks: u64 =
            fields[11].parse::<u64>().expect("utime") + fields[12].parse::<u64>().expect("stime");
        Duration::from_millis(ticks * 10) // USER_HZ is 100 on every Linux that we know
    }

    /// Whether it is a shell that waits for a line before it becomes the command, as `Talkie::held` has it.
    ///
    /// # Panics
    /// If the process has ended.
    #[track_caller]
    pub fn waits_to_be_let_go(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).expect("a live process");
        stat.contains("(sh) S ")
    }

    /// How many files and sockets the process holds open.
    ///
    /// # Panics
    /// If the process has ended.
    #[track_caller]
    pub fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid)).expect("a live process").count()
    }
}
