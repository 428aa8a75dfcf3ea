//! What is counted: dials and heartbeats on the switch, connections on the hosts.

use std::{collections::BTreeMap, net::IpAddr, path::Path};

use super::{Lan, ipv4, mac, tools};

/// Datagrams to the default groups of both families.
const HEARTBEATS: [&str; 2] =
    ["ip daddr 239.255.82.55 counter name seen", "ip6 daddr ff12::8255 counter name seen"];

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

    /// Counts the heartbeats that cross cables, those of the IPv4 group and those of the IPv6 group, each once however
    /// many hear it.
    ///
    /// # Panics
    /// If the machine cannot.
    pub fn count_heartbeats(&self) -> [Counter; 2] {
        HEARTBEATS.map(|rule| self.count_arrivals(rule))
    }

    /// Counts how often anybody asks who has the addresses that a host had before [`super::Fault::Readdress`]: whoever
    /// would connect to it there asks first. Addresses that hosts make themselves (`fe80::`) must be gone.
    ///
    /// # Panics
    /// If the machine cannot.
    pub fn count_questions(&self, host: u8, bridge: u8) -> Counter {
        self.count_arrivals(&format!(
            "arp daddr ip {} counter name seen\n ip6 daddr ff02::1:ff00:{host:x} counter name seen",
            ipv4(bridge, host)
        ))
    }

    /// In `prerouting` a frame is seen once, in `forward` once for each port that it is copied to.
    fn count_arrivals(&self, rules: &str) -> Counter {
        Counter::new(self.switch(), format!("bridge {}", self.table()), "prerouting", rules)
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
