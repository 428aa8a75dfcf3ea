//! Network namespaces on a bridge as hosts of a LAN.
//!
//! One namespace holds the bridge (the switch), each host is a namespace with one cable to it. None of the
//! machine's own interfaces is touched, and there is no route out: what happens here stays here.

use std::{
    env,
    fs::File,
    io::Write,
    panic::resume_unwind,
    process::{Command, Output, Stdio},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use nix::{
    sched::{CloneFlags, setns},
    unistd::Uid,
};

use crate::{command::Talkie, mesh::Member};

/// The beginning of every namespace of these tests.
const PREFIX: &str = "talkie-test-";

/// True where hosts can be built: root, and `ip netns` and `nft` at hand.
///
/// Otherwise the test named is skipped: a line `SKIPPED: …` goes to standard output, past the test
/// harness, so that skipped tests can be counted.
///
/// # Panics
/// With `CI=true`, where these tests must run.
#[must_use]
pub fn require_root(test: &str) -> bool {
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
    let must = env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(!must, "with CI=true {test} must run, and there is no {missing}");
    let line = format!("SKIPPED: {test} (needs root and network namespaces; there is no {missing})\n");
    // Not `println!`: the harness keeps that to itself where a test passes.
    let _ = std::io::stdout().write_all(line.as_bytes());
    false
}

/// A switch and its hosts, numbered from 1. Dropped, it is gone with all that runs in it.
#[derive(Debug)]
pub struct Lan {
    prefix: String,
    hosts: u8,
}

impl Lan {
    /// Builds a switch and `hosts` hosts: host N has the addresses 10.77.0.N/24 and fd77::N/64 on `eth0`.
    ///
    /// # Panics
    /// If the machine cannot; call [`require_root`] first.
    pub fn new(hosts: u8) -> Self {
        static LANS: AtomicU32 = AtomicU32::new(0);
        // One at a time: the first `ip netns add` of a machine also prepares /run/netns.
        static BUILDING: Mutex<()> = Mutex::new(());
        let _building = BUILDING.lock();
        sweep();
        let number = LANS.fetch_add(1, Ordering::Relaxed);
        let lan = Self { prefix: format!("{PREFIX}{}-{number}-", std::process::id()), hosts };
        let sw = lan.switch();
        ip(&["netns", "add", &sw]);
        ip(&["-n", &sw, "link", "add", "br0", "type", "bridge", "forward_delay", "0"]);
        ip(&["-n", &sw, "link", "set", "br0", "up"]);
        for host in lan.hosts() {
            let (ns, cable) = (host.namespace(), host.cable());
            ip(&["netns", "add", &ns]);
            ip(&["-n", &ns, "link", "set", "lo", "up"]);
            ip(&["-n", &sw, "link", "add", &cable, "type", "veth", "peer", "name", "eth0", "netns", &ns]);
            // No duplicate address detection: an address is usable at once, as on a host that is up.
            inside(&ns, "echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_dad");
            ip(&["-n", &sw, "link", "set", &cable, "master", "br0", "up"]);
            ip(&["-n", &ns, "addr", "add", &format!("{}/24", host.ipv4()), "dev", "eth0"]);
            ip(&["-n", &ns, "addr", "add", &format!("{}/64", host.ipv6()), "dev", "eth0", "nodad"]);
            ip(&["-n", &ns, "link", "set", "eth0", "up"]);
        }
        lan
    }

    /// Host N of this LAN, from 1.
    ///
    /// # Panics
    /// If there is none.
    pub fn host(&self, number: u8) -> Host<'_> {
        assert!((1..=self.hosts).contains(&number), "host {number} of {}", self.hosts);
        Host { lan: self, number }
    }

    /// All hosts.
    pub fn hosts(&self) -> impl Iterator<Item = Host<'_>> {
        (1..=self.hosts).map(|number| self.host(number))
    }

    /// The switch forwards no multicast any more, as many an access point; unicast passes, and so do
    /// ARP and neighbour discovery.
    ///
    /// # Panics
    /// If the machine cannot.
    pub fn block_multicast(&self) {
        nft(
            &self.switch(),
            "table bridge talkie {\n chain forward {\n type filter hook forward priority 0;\n \
             ip daddr 224.0.0.0/4 drop\n ip6 daddr ff12::/16 drop\n }\n}\n",
        );
    }

    /// Two hosts do not reach each other any more, while all others reach both.
    ///
    /// # Panics
    /// If the machine cannot.
    pub fn isolate(&self, one: u8, other: u8) {
        self.isolated(one, other, "on");
    }

    /// The two hosts reach each other again.
    ///
    /// # Panics
    /// If the machine cannot.
    pub fn rejoin(&self, one: u8, other: u8) {
        self.isolated(one, other, "off");
    }

    fn isolated(&self, one: u8, other: u8, state: &str) {
        for number in [one, other] {
            let cable = self.host(number).cable();
            let args = ["-n", &self.switch(), "link", "set", "dev", &cable, "isolated", state];
            run(Command::new("bridge").args(args));
        }
    }

    fn switch(&self) -> String {
        format!("{}sw", self.prefix)
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        for host in self.hosts() {
            remove(&host.namespace());
        }
        remove(&self.switch());
    }
}

/// One host of a [`Lan`].
#[derive(Clone, Copy, Debug)]
pub struct Host<'lan> {
    lan: &'lan Lan,
    number: u8,
}

impl Host<'_> {
    /// 10.77.0.N
    pub fn ipv4(self) -> String {
        format!("10.77.0.{}", self.number)
    }

    /// fd77::N
    pub fn ipv6(self) -> String {
        format!("fd77::{:x}", self.number)
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

    /// Pulls this host's cable out of the switch.
    ///
    /// # Panics
    /// If the machine cannot.
    pub fn cut(self) {
        ip(&["-n", &self.lan.switch(), "link", "set", &self.cable(), "nomaster"]);
    }

    /// Puts the cable back.
    ///
    /// # Panics
    /// If the machine cannot.
    pub fn mend(self) {
        ip(&["-n", &self.lan.switch(), "link", "set", &self.cable(), "master", "br0"]);
    }

    /// Takes the carrier away on both ends, as a switch that loses power.
    ///
    /// # Panics
    /// If the machine cannot.
    pub fn carrier_off(self) {
        ip(&["-n", &self.lan.switch(), "link", "set", &self.cable(), "down"]);
    }

    /// Gives the carrier back.
    ///
    /// # Panics
    /// If the machine cannot.
    pub fn carrier_on(self) {
        ip(&["-n", &self.lan.switch(), "link", "set", &self.cable(), "up"]);
    }

    /// Resets every TCP connection between this host and that one, both ends at once.
    ///
    /// # Panics
    /// If the machine cannot.
    pub fn reset(self, other: Self) {
        for address in [other.ipv4(), format!("[{}]", other.ipv6())] {
            run(Command::new("ip").args(["netns", "exec", &self.namespace(), "ss", "-K", "dst", &address]));
        }
    }

    /// Takes the IPv4 address away.
    ///
    /// # Panics
    /// If the machine cannot.
    pub fn without_ipv4(self) {
        ip(&[
            "-n",
            &self.namespace(),
            "addr",
            "flush",
            "dev",
            "eth0",
            "scope",
            "global",
            "to",
            "10.77.0.0/24",
        ]);
    }

    /// Does something on this host: in a thread of the test that sees the host's network and no other.
    ///
    /// # Panics
    /// If the machine cannot, or with what `work` panics with.
    pub fn within<T: Send>(self, work: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(format!("/run/netns/{}", self.namespace())).expect("the host's namespace");
        let worked = thread::scope(|scope| {
            let inside = || {
                setns(&namespace, CloneFlags::CLONE_NEWNET).expect("root may enter a namespace");
                work()
            };
            scope.spawn(inside).join()
        });
        worked.unwrap_or_else(|panic| resume_unwind(panic))
    }

    fn namespace(self) -> String {
        format!("{}{}", self.lan.prefix, self.number)
    }

    /// The switch's end of the cable.
    fn cable(self) -> String {
        format!("v{}", self.number)
    }
}

/// Removes what tests left behind that were killed: their process is no more.
fn sweep() {
    let list = run(Command::new("ip").args(["netns", "list"]));
    for line in String::from_utf8_lossy(&list.stdout).lines() {
        let name = line.split_whitespace().next().unwrap_or_default();
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|pid| !std::path::Path::new("/proc").join(pid).exists()) {
            remove(name);
        }
    }
}

fn remove(namespace: &str) {
    // Its interfaces go with it; what still runs in it holds it until it ends, so a failure is no harm.
    let _ = Command::new("ip").args(["netns", "del", namespace]).stderr(Stdio::null()).status();
}

fn can_build() -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    *CAN.get_or_init(|| {
        let name = format!("{PREFIX}{}-probe", std::process::id());
        let built =
            works("ip", &["netns", "add", &name]) && works("ip", &["-n", &name, "link", "set", "lo", "up"]);
        remove(&name);
        built
    })
}

fn works(program: &str, args: &[&str]) -> bool {
    let status = Command::new(program).args(args).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn ip(args: &[&str]) {
    run(Command::new("ip").args(args));
}

fn inside(namespace: &str, script: &str) {
    run(Command::new("ip").args(["netns", "exec", namespace, "sh", "-c", script]));
}

fn nft(namespace: &str, rules: &str) {
    inside(namespace, &format!("printf '{}' | nft -f -", rules.replace('\n', "\\n")));
}

fn run(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output().expect("the tool starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

#[cfg(test)]
mod tests;
