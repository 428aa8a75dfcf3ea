//! Network namespaces on bridges as hosts of LANs.
//!
//! One namespace holds the bridges (the switches), each host is a namespace with a cable to one or more of them,
//! and where there are subnets a router stands between them. None of the machine's own interfaces is touched, and
//! there is no route out: what happens here stays here.
//!
//! What goes wrong is a value, [`Fault`], that is injected into a [`Lan`] and healed; what happens is counted by
//! [`Counter`]s on the switch and read from the hosts' own tables.

mod build;
mod count;
mod fault;
mod resolver;
mod tools;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Instant,
};

use self::{
    build::{can_build, remove},
    tools::{ip, run, works},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, Uid},
};

pub use self::{
    count::Counter,
    fault::{Fault, Injected, Traffic},
    resolver::Resolver,
};
use crate::{command::Talkie, mesh::Member, skip};

/// True where hosts can be built: root, and `ip netns` and `nft` at hand.
///
/// Otherwise the test that asks is skipped: a line `SKIPPED: …` goes to standard output, past the test
/// harness, so that skipped tests can be counted.
///
/// # Panics
/// With `CI=true`, where these tests must run.
#[must_use]
pub fn require_root() -> bool {
    let missing = if !Uid::effective().is_root() {
        Some("root")
    } else if !can_build() {
        Some("network namespaces")
    } else if !works("nft", &["--version"]) {
        Some("nft")
    } else {
        None
    };
    let Some(missing) = missing else { return true };
    skip(&format!("needs root and network namespaces; there is no {missing}"));
    false
}

/// Switches and their hosts, numbered from 1. Dropped, it is gone with all that runs in it; where a test fails, it
/// first tells what was done to it.
#[derive(Debug)]
pub struct Lan {
    prefix: String,
    bridges: u8,
    /// The bridges that each host has a cable to, the first host first.
    cables: Vec<Vec<u8>>,
    routed: bool,
    built: Instant,
    story: Mutex<Vec<String>>,
    /// How many tables of the packet filter were named.
    tables: AtomicU32,
}

impl Lan {
    /// One switch and `hosts` hosts: host N has the addresses 10.77.0.N/24 and fd77::N/64 on `eth0`.
    ///
    /// # Panics
    /// If the machine cannot; call [`require_root`] first.
    pub fn new(hosts: u8) -> Self {
        Self::multi_homed(hosts, 1)
    }

    /// Several switches, and every host on each: host N has 10.77.B.N/24 and fd77:B::N/64 on `ethB` of switch B, from 0.
    ///
    /// # Panics
    /// As [`Lan::new`].
    pub fn multi_homed(hosts: u8, switches: u8) -> Self {
        Self::build(switches, vec![(0..switches).collect(); hosts.into()], false)
    }

    /// A switch for each of these numbers of hosts, and a router between them that forwards no multicast. Hosts are
    /// numbered through; those of switch B have 10.77.B.N/24 and fd77:B::N/64 on `ethB`.
    ///
    /// # Panics
    /// As [`Lan::new`].
    pub fn subnets(sizes: &[u8]) -> Self {
        let cables = (0..).zip(sizes).flat_map(|(bridge, &size)| vec![vec![bridge]; size.into()]);
        Self::build(u8::try_from(sizes.len()).expect("few subnets"), cables.collect(), true)
    }

    /// Host N of this LAN, from 1.
    ///
    /// # Panics
    /// If there is none.
    pub fn host(&self, number: u8) -> Host<'_> {
        assert!((1..=self.cables.len()).contains(&number.into()), "host {number} of {}", self.cables.len());
        Host { lan: self, number }
    }

    /// All hosts.
    pub fn hosts(&self) -> impl Iterator<Item = Host<'_>> {
        (1..=self.cables.len()).map(|number| Host { lan: self, number: number as u8 })
    }

    /// Something happened that a failing test should tell, with the time since the LAN was built.
    ///
    /// # Panics
    /// Never: nobody panics under the lock.
    pub fn note(&self, what: impl std::fmt::Display) {
        let line = format!("{:8.3} s  {what}", self.built.elapsed().as_secs_f64());
        self.story.lock().expect("nobody panics under this lock").push(line);
    }

    /// What was done to this LAN, a line each.
    ///
    /// # Panics
    /// Never: nobody panics under the lock.
    pub fn story(&self) -> String {
        self.story.lock().expect("nobody panics under this lock").iter().fold(
            String::new(),
            |mut all, line| {
                let _ = writeln!(all, "{line}");
                all
            },
        )
    }

    fn namespaces(&self) -> Vec<String> {
        let router = self.routed.then(|| self.router());
        self.hosts().map(Host::namespace).chain([self.switch()]).chain(router).collect()
    }

    fn switch(&self) -> String {
        format!("{}sw", self.prefix)
    }

    fn router(&self) -> String {
        format!("{}rt", self.prefix)
    }

    /// A name for a table of the packet filter that no other fault or counter of this LAN has.
    fn table(&self) -> String {
        format!("talkie{}", self.tables.fetch_add(1, Ordering::Relaxed))
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        if thread::panicking() {
            println!("--- what was done to the LAN:\n{}", self.story());
        }
        for namespace in self.namespaces() {
            remove(&namespace);
        }
    }
}

/// One host of a [`Lan`].
#[derive(Clone, Copy, Debug)]
pub struct Host<'lan> {
    lan: &'lan Lan,
    number: u8,
}

impl Host<'_> {
    /// Its number, from 1.
    pub fn number(self) -> u8 {
        self.number
    }

    /// Its IPv4 address on its first switch, 10.77.B.N.
    pub fn ipv4(self) -> String {
        ipv4(self.home(), self.number)
    }

    /// Its IPv6 address on its first switch, fd77:B::N.
    pub fn ipv6(self) -> String {
        ipv6(self.home(), self.number)
    }

    /// A command on this host: every interface of it, every other setting at its default.
    pub fn talkie(self, command: &str, secret: &str) -> Talkie {
        Talkie::new(command).env("TALKIE_SECRET", secret).host(&self.namespace())
    }

    /// `talkie join --json` on this host, joined.
    #[track_caller]
    pub fn join(self, secret: &str, name: &str) -> Member {
        Member::start(self.talkie("join", secret).name(name))
    }

    /// `talkie sub PATTERN --json` on this host, its subscription in force.
    #[track_caller]
    pub fn sub(self, secret: &str, name: &str, pattern: &str) -> Member {
        let member = Member::start(self.talkie("sub", secret).name(name).arg(pattern));
        member.next("subscribed");
        member
    }

    /// More interfaces, routes and the like: `ip` commands in this host.
    ///
    /// # Panics
    /// If the machine cannot.
    #[track_caller]
    pub fn ip(self, lines: &[&str]) {
        let lines: Vec<String> = lines.iter().map(|&line| line.to_owned()).collect();
        self.lan.note(format_args!("host {}: ip {}", self.number, lines.join("; ip ")));
        ip(Some(&self.namespace()), &lines);
    }

    /// Does something on this host: in a thread of the test that sees the host's network and no other.
    ///
    /// # Panics
    /// If the machine cannot, or with what `work` panics with.
    pub fn within<T: Send>(self, work: impl FnOnce() -> T + Send) -> T {
        tools::within(&self.namespace(), work)
    }

    /// How many established connections this host has with each other host, whatever the family.
    ///
    /// # Panics
    /// If the machine cannot.
    pub fn connections(self) -> BTreeMap<u8, usize> {
        count::connections(&self.namespace())
    }

    /// How many established connections there are in this host, each counted at both ends that are in it.
    ///
    /// # Panics
    /// If the machine cannot.
    pub fn sockets(self) -> usize {
        count::sockets(&self.namespace())
    }

    /// A resolver of this host's own for commands that start from now on: this hosts file, and nobody to ask.
    ///
    /// # Panics
    /// If the machine cannot.
    pub fn resolver(self, names: &str) -> Resolver {
        Resolver::new(&self.namespace(), names)
    }

    /// How many bytes it has sent by its interface on a switch so far, headers included.
    ///
    /// # Panics
    /// If the machine cannot tell.
    pub fn sent(self, bridge: u8) -> u64 {
        let file = format!("/sys/class/net/eth{bridge}/statistics/tx_bytes");
        tools::inside(&self.namespace(), "cat", &[&file]).trim().parse().expect("a number of bytes")
    }

    /// The name of its network namespace.
    pub fn namespace(self) -> String {
        format!("{}{}", self.lan.prefix, self.number)
    }

    /// Signals every process of this host.
    fn signal(self, signal: Signal) {
        for pid in
            run(Command::new("ip").args(["netns", "pids", &self.namespace()])).stdout.split(|b| *b == b'\n')
        {
            if let Ok(pid) = String::from_utf8_lossy(pid).trim().parse() {
                // It may have ended since it was listed.
                let _ = kill(Pid::from_raw(pid), signal);
            }
        }
    }

    fn bridges(self) -> impl Iterator<Item = u8> {
        self.lan.cables[usize::from(self.number) - 1].iter().copied()
    }

    /// The switch of its first cable.
    fn home(self) -> u8 {
        self.bridges().next().expect("a host has a cable")
    }

    /// The switch's end of the cable to that bridge.
    fn cable(self, bridge: u8) -> String {
        format!("v{}b{bridge}", self.number)
    }
}

fn ipv4(bridge: u8, last: u8) -> String {
    format!("10.77.{bridge}.{last}")
}

fn ipv6(bridge: u8, last: u8) -> String {
    match bridge {
        0 => format!("fd77::{last:x}"),
        bridge => format!("fd77:{bridge:x}::{last:x}"),
    }
}

/// What the kernel makes of [`mac`].
fn link_local(bridge: u8, host: u8) -> String {
    format!("fe80::ff:fe00:{:x}", u16::from_be_bytes([bridge, host]))
}

fn mac(bridge: u8, host: u8) -> String {
    format!("02:00:00:00:{bridge:02x}:{host:02x}")
}

#[cfg(test)]
mod tests;
