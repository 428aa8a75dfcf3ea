//! Many nodes at once: started together, met by each other, and sound when a fault is over.

use std::{
    collections::BTreeMap,
    ops::{Deref, DerefMut},
    thread,
    time::{Duration, Instant},
};

use crate::{SOON, command::Talkie, hosts::Lan, mesh::Member, process::Process};

/// How often a state is looked at that nobody tells of.
const LOOK: Duration = Duration::from_millis(20);

/// What a node's memory may grow by over a fault: tables and buffers that reached their size meanwhile.
const GROWTH: u64 = 4 << 20;

/// Nodes that were started at once.
#[derive(Debug)]
pub struct Crowd {
    members: Vec<Member>,
    /// When they were let go.
    pub started: Instant,
}

impl Crowd {
    /// Starts these commands: each process is there and waits, then all are let go together.
    ///
    /// # Panics
    /// If one does not join within `within`.
    #[track_caller]
    pub fn start(commands: impl IntoIterator<Item = Talkie>, within: Duration) -> Self {
        let mut all: Vec<Process> = commands.into_iter().map(|command| command.held().spawn()).collect();
        for process in &all {
            settles(SOON, "a process waits to be let go", || process.waits_to_be_let_go());
        }
        let started = Instant::now();
        all.iter_mut().for_each(|process| process.feed(""));
        let members = all.into_iter().map(|process| Member::joined(process, within)).collect();
        Self { members, started }
    }

    /// `talkie join` on every host of a LAN, each named after its host, all at once.
    #[track_caller]
    pub fn join(lan: &Lan, secret: &str) -> Self {
        Self::start(
            lan.hosts().map(|host| host.talkie("join", secret).name(&format!("node-{}", host.number()))),
            SOON,
        )
    }

    /// Waits until everybody was told of everybody, once each and never gone meanwhile; gives the moment of the last word.
    ///
    /// # Panics
    /// If that does not come within `within`.
    #[track_caller]
    pub fn meets(&self, within: Duration) -> Instant {
        let deadline = Instant::now() + within;
        let others = self.members.len() - 1;
        for here in &self.members {
            here.expect_count("peer_up", others, deadline.saturating_duration_since(Instant::now()));
        }
        let mut last = self.started;
        for here in &self.members {
            for there in self.members.iter().filter(|there| there.id != here.id) {
                last = last
                    .max(here.expect_line("peer_up", |line| line["node"] == *there.id, Duration::ZERO).at);
            }
            let events = (here.count("peer_up"), here.count("peer_down"));
            assert_eq!(events, (others, 0), "each other one up once\n{}", here.story());
        }
        last
    }

    /// Panics unless each node tells that it found each other one as `by` says of the two, in the order of their start
    /// and counted from 1. With `None` it is chance which of two ways is the first.
    #[track_caller]
    pub fn found(&self, by: impl Fn(usize, usize) -> Option<&'static str>) {
        for (here, node) in (1..).zip(&self.members) {
            for up in node.events(&["peer_up"]) {
                let there = self.members.iter().position(|other| up["node"] == *other.id);
                let there = there.expect("one of them") + 1;
                let expected = by(here, there).unwrap_or_else(|| up["via"].as_str().expect("via"));
                assert_eq!(up["via"], expected, "node {here} of node {there}: {up}");
            }
        }
    }

    /// Waits until every host of the LAN has exactly one connection to each other host; for one node a host.
    ///
    /// # Panics
    /// If that does not come soon.
    #[track_caller]
    pub fn is_linked_once(&self, lan: &Lan) {
        linked_once(lan, &(1..=u8::try_from(self.members.len()).expect("few hosts")).collect::<Vec<_>>());
    }
}

impl DerefMut for Crowd {
    fn deref_mut(&mut self) -> &mut [Member] {
        &mut self.members
    }
}

impl Deref for Crowd {
    type Target = [Member];

    fn deref(&self) -> &[Member] {
        &self.members
    }
}

/// Waits until each of these hosts has exactly one connection to each other one of them, whatever there is to others.
///
/// # Panics
/// If that does not come soon.
#[track_caller]
pub fn linked_once(lan: &Lan, hosts: &[u8]) {
    for &here in hosts {
        let expected: BTreeMap<u8, usize> =
            hosts.iter().filter(|&&there| there != here).map(|&there| (there, 1)).collect();
        let found = || lan.host(here).connections().into_iter().filter(|(there, _)| hosts.contains(there));
        let mut last = BTreeMap::new();
        let deadline = Instant::now() + SOON;
        while last != expected && Instant::now() < deadline {
            last = found().collect();
            pause();
        }
        assert_eq!(last, expected, "connections of host {here} to each other host");
    }
}

/// Waits until this is so. For what can only be looked at: an event is awaited with [`Process::expect`].
///
/// # Panics
/// If it is not within `within`.
#[track_caller]
pub fn settles(within: Duration, what: &str, mut so: impl FnMut() -> bool) -> Instant {
    let deadline = Instant::now() + within;
    while !so() {
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        pause();
    }
    Instant::now()
}

fn pause() {
    thread::park_timeout(LOOK);
}

/// What nodes hold before a fault.
#[derive(Debug)]
pub struct Baseline(Vec<(u64, usize)>);

impl Baseline {
    /// Memory and files of each of these processes.
    pub fn of<'a>(processes: impl IntoIterator<Item = &'a Process>) -> Self {
        Self(processes.into_iter().map(|process| (process.resident(), process.open_files())).collect())
    }

    /// Waits until each holds no more files than before, and about as much memory.
    ///
    /// # Panics
    /// If that does not come soon.
    #[track_caller]
    pub fn returns<'a>(&self, processes: impl IntoIterator<Item = &'a Process>) {
        for (&(memory, files), process) in self.0.iter().zip(processes) {
            let what = format!("{files} files, as before: {}", process.story());
            settles(SOON, &what, || process.open_files() <= files);
            let growth = process.resident().saturating_sub(memory);
            assert!(growth < GROWTH, "{growth} bytes more than before\n{}", process.story());
        }
    }
}
