//! What is counted: dials and heartbeats on the switch, connections on the hosts.

use std::{collections::BTreeMap, net::IpAddr, path::Path};

use super::{Host, Lan, mac, tools};

/// The default groups of both families.
const HEARTBEATS: &str = "ip daddr 239.255.82.55 counter name seen\n ip6 daddr ff12::8255 counter name seen";

/// Counts packets from here on, until it is dropped.
#[derive(Debug)]
pub struct Counter {
    namespace: String,
    /// The packet filter's family and table.
    table: String,
}

impl Lan {
    /// Counts the connections that hosts of the one group try to open to hosts of the other, either way: the first
    /// packets, so those repeated for want of an answer count again.
    ///
    /// # Panics
    /// If the machine cannot.
    pub fn count_dials(&self, ones: &[u8], others: &[u8]) -> Counter {
        let (ones, others) = (self.macs(ones), self.macs(others));
        let dial = "tcp flags & (syn | ack) == syn counter name seen";
        self.count(&format!(
            "ether saddr {ones} ether daddr {others} {dial}\nether saddr {others} ether daddr {ones} {dial}"
        ))
    }

    /// Counts the heartbeats that hosts send, each once however many hear it.
    ///
    /// # Panics
    /// If the machine cannot.
    pub fn count_heartbeats(&self) -> Counter {
        // In `prerouting` a frame is seen once, in `forward` once for each port that it is copied to.
        Counter::new(self.switch(), format!("bridge {}", self.table()), "prerouting", HEARTBEATS)
    }

    fn count(&self, rules: &str) -> Counter {
        Counter::new(self.switch(), format!("bridge {}", self.table()), "forward", rules)
    }

    /// The hardware addresses of these hosts, on every switch, as a set of the packet filter.
    fn macs(&self, hosts: &[u8]) -> String {
        let all =
            hosts.iter().flat_map(|&host| self.host(host).bridges().map(move |bridge| mac(bridge, host)));
        format!("{{ {} }}", all.collect::<Vec<_>>().join(", "))
    }
}

impl Host<'_> {
    /// Counts the heartbeats that processes of this host send, each as often as it is sent: by every interface and family.
    ///
    /// # Panics
    /// If the machine cannot.
    pub fn count_heartbeats(self) -> Counter {
        Counter::new(self.namespace(), format!("inet {}", self.lan.table()), "output", HEARTBEATS)
    }
}

impl Counter {
    fn new(namespace: String, table: String, hook: &str, rules: &str) -> Self {
        let rules = format!(
            "table {table} {{\n counter seen {{ }}\n chain c {{\n \
             type filter hook {hook} priority 0;\n {rules}\n }}\n}}\n"
        );
        tools::nft(&namespace, &rules);
        Self { namespace, table }
    }

    /// How many so far.
    ///
    /// # Panics
    /// If the machine cannot tell.
    pub fn seen(&self) -> u64 {
        let (family, table) = self.table.split_once(' ').expect("family and table");
        let told = tools::inside(&self.namespace, "nft", &["list", "counter", family, table, "seen"]);
        let after = told.split_once("packets ").map_or("", |(_, after)| after);
        let number = after.split_whitespace().next().and_then(|number| number.parse().ok());
        number.unwrap_or_else(|| panic!("no count in {told}"))
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        // It may outlive the LAN, with which it is gone.
        if !std::thread::panicking() && Path::new("/run/netns").join(&self.namespace).exists() {
            tools::nft(&self.namespace, &format!("delete table {}\n", self.table));
        }
    }
}

/// The other host that an address of a [`Lan`] belongs to: the last byte tells, also of a link-local address and of
/// one that was changed.
fn host_of(address: IpAddr) -> u8 {
    match address.to_canonical() {
        IpAddr::V4(ip) => ip.octets()[3] % 100,
        IpAddr::V6(ip) => ip.octets()[15] % 100,
    }
}

/// Established connections of a namespace by the host at their other end; those within the host are left out.
pub(super) fn connections(namespace: &str) -> BTreeMap<u8, usize> {
    let mut all = BTreeMap::new();
    for line in tools::inside(namespace, "ss", &["-tnH", "state", "established"]).lines() {
        let address = |column: usize| {
            let (ip, _port) = line.split_whitespace().nth(column)?.rsplit_once(':')?;
            // `[fe80::1]%eth0`
            ip.split('%').next()?.trim_matches(['[', ']']).parse::<IpAddr>().ok()
        };
        let (Some(here), Some(there)) = (address(2), address(3)) else { panic!("ss printed {line:?}") };
        if !here.to_canonical().is_loopback() && here != there {
            *all.entry(host_of(there)).or_default() += 1;
        }
    }
    all
}

/// All established sockets of a namespace: those of TCP, and Talkie's Unix ones, of which only the accepting end has a
/// name.
pub(super) fn sockets(namespace: &str) -> usize {
    let unix = tools::inside(namespace, "ss", &["-xnH", "state", "established"]);
    let tcp = tools::inside(namespace, "ss", &["-tnH", "state", "established"]);
    tcp.lines().count() + 2 * unix.lines().filter(|line| line.contains("@talkie/")).count()
}
