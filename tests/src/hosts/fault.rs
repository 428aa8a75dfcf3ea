//! What goes wrong between hosts, as values.

use std::{
    fmt::{self, Display},
    process::Command,
    time::Instant,
};

use nix::sys::signal::Signal;

use super::{
    Lan, ipv4, ipv6, link_local,
    tools::{self, ip, run},
};

/// Datagrams to groups: heartbeats, but neither ARP nor neighbour discovery.
const GROUPS_V4: &str = "ip daddr 224.0.0.0/4";
const GROUPS_V6: &str = "ip6 daddr ff12::/16";

/// The packets that a fault concerns.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Traffic {
    /// Datagrams to groups: heartbeats, but not ARP and neighbour discovery.
    Multicast,
    /// Everything of IP, but not ARP.
    All,
}

/// Something that goes wrong. Hosts are numbered from 1, switches from 0.
///
/// Healing undoes it; what cannot be undone ([`Fault::Reset`], [`Fault::Kill`]) is left as it is.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// A cable is out of the switch, and the host does not notice: its interface stays up.
    Cut(u8, u8),
    /// A host's interface on a switch loses its carrier, as when the switch loses power.
    NoCarrier(u8, u8),
    /// An interface is set down by its owner, which also takes its IPv6 addresses.
    InterfaceDown(u8, u8),
    /// An interface is gone. Healing makes a new one of the same name and addresses.
    NoInterface(u8, u8),
    /// An interface has no IPv4 address.
    NoIpv4(u8, u8),
    /// An interface has no IPv6 at all.
    NoIpv6(u8, u8),
    /// An interface has another IPv4 and another IPv6 address (last byte + 100), and those of before no more.
    Readdress(u8, u8),
    /// These hosts of a switch are on one of their own.
    Partition(u8, Vec<u8>),
    /// These hosts do not reach each other, while all others reach them.
    Isolate(Vec<u8>),
    /// Nothing of the first host reaches the second.
    OneWay(u8, u8),
    /// Of what arrives at any host so many percent are lost.
    Loss(u8, Traffic),
    /// The switches forward no heartbeats, as many an access point.
    NoMulticast,
    /// The switches forward no heartbeat of this host; it hears the others.
    Mute(u8),
    /// A host's own packet filter lets no heartbeat out to a network, and says so to who sends.
    Barred(u8),
    /// A host's interface on a switch sends at this many kbit/s.
    Rate(u8, u8, u32),
    /// Every TCP connection between two hosts is reset, both ends at once.
    Reset(u8, u8),
    /// Every process of a host stands still.
    Freeze(u8),
    /// Every process of a host is killed, and the host's kernel says so.
    Kill(u8),
    /// A host has no power: nobody hears of the end of its processes.
    PowerOff(u8),
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut(host, bridge) => write!(f, "host {host}: cable out of switch {bridge}"),
            Self::NoCarrier(host, bridge) => write!(f, "host {host}: no carrier on eth{bridge}"),
            Self::InterfaceDown(host, bridge) => write!(f, "host {host}: eth{bridge} set down"),
            Self::NoInterface(host, bridge) => write!(f, "host {host}: no eth{bridge}"),
            Self::NoIpv4(host, bridge) => write!(f, "host {host}: no IPv4 on eth{bridge}"),
            Self::NoIpv6(host, bridge) => write!(f, "host {host}: no IPv6 on eth{bridge}"),
            Self::Readdress(host, bridge) => write!(f, "host {host}: other addresses on eth{bridge}"),
            Self::Partition(bridge, hosts) => {
                write!(f, "hosts {hosts:?} parted from the rest of switch {bridge}")
            }
            Self::Isolate(hosts) => write!(f, "hosts {hosts:?} isolated from each other"),
            Self::OneWay(from, to) => write!(f, "nothing of host {from} reaches host {to}"),
            Self::Loss(percent, Traffic::Multicast) => {
                write!(f, "{percent} % of multicast lost at every host")
            }
            Self::Loss(percent, Traffic::All) => write!(f, "{percent} % of all packets lost at every host"),
            Self::NoMulticast => f.write_str("multicast blocked on every switch"),
            Self::Mute(host) => write!(f, "host {host}: its multicast blocked on every switch"),
            Self::Barred(host) => write!(f, "host {host}: no multicast out of it"),
            Self::Rate(host, bridge, kbit) => write!(f, "host {host}: {kbit} kbit/s out of eth{bridge}"),
            Self::Reset(one, other) => write!(f, "connections between hosts {one} and {other} reset"),
            Self::Freeze(host) => write!(f, "host {host}: frozen"),
            Self::Kill(host) => write!(f, "host {host}: processes killed"),
            Self::PowerOff(host) => write!(f, "host {host}: without power"),
        }
    }
}

/// A fault in force. Dropped, it is healed.
#[derive(Debug)]
#[must_use = "dropped, the fault is healed at once"]
pub struct Injected<'lan> {
    lan: &'lan Lan,
    fault: Option<Fault>,
    table: String,
    /// When it was in force.
    pub at: Instant,
}

impl Lan {
    /// Lets something go wrong, until what is given back is healed or dropped.
    ///
    /// # Panics
    /// If the machine cannot.
    pub fn inject(&self, fault: Fault) -> Injected<'_> {
        let table = self.table();
        self.note(&fault);
        self.start(&fault, &table);
        Injected { lan: self, fault: Some(fault), table, at: Instant::now() }
    }

    /// Lets something go wrong that does not end before the test.
    ///
    /// # Panics
    /// If the machine cannot.
    pub fn inject_for_good(&self, fault: Fault) -> Instant {
        let mut injected = self.inject(fault);
        injected.fault = None;
        injected.at
    }

    fn start(&self, fault: &Fault, table: &str) {
        let switch = self.switch();
        match fault {
            Fault::Cut(host, bridge) => self.set_cable(*host, *bridge, "nomaster"),
            Fault::NoCarrier(host, bridge) => self.set_cable(*host, *bridge, "down"),
            Fault::InterfaceDown(host, bridge) => self.at(*host, &[format!("link set eth{bridge} down")]),
            Fault::NoInterface(host, bridge) => {
                ip(Some(&switch), &[format!("link del {}", self.host(*host).cable(*bridge))]);
            }
            Fault::NoIpv4(host, bridge) => {
                self.at(*host, &[format!("addr flush dev eth{bridge} to 10.77.0.0/16")]);
            }
            Fault::NoIpv6(host, bridge) => self.without_ipv6(*host, *bridge, 1),
            Fault::Readdress(host, bridge) => self.readdress(*host, *bridge, *host, *host + 100),
            Fault::Partition(bridge, hosts) => {
                ip(
                    Some(&switch),
                    &[
                        format!("link add {table} type bridge forward_delay 0"),
                        format!("link set {table} up"),
                    ],
                );
                let over = |host: &u8| format!("link set {} master {table}", self.host(*host).cable(*bridge));
                ip(Some(&switch), &hosts.iter().map(over).collect::<Vec<_>>());
            }
            Fault::Isolate(hosts) => self.isolated(hosts, "on"),
            Fault::OneWay(from, to) => {
                let (from, to) = (self.ports(*from), self.ports(*to));
                self.filter_switch(table, &format!("iifname {from} oifname {to} drop"));
            }
            Fault::Mute(host) => {
                let from = format!("iifname {}", self.ports(*host));
                self.filter_switch(table, &format!("{from} {GROUPS_V4} drop\n {from} {GROUPS_V6} drop"));
            }
            Fault::Barred(host) => {
                let rules = format!(
                    "table inet {table} {{\n chain c {{\n type filter hook output priority 0;\n \
                     oifname lo accept\n {GROUPS_V4} drop\n {GROUPS_V6} drop\n }}\n}}\n"
                );
                tools::nft(&self.host(*host).namespace(), &rules);
            }
            Fault::NoMulticast => {
                self.filter_switch(table, &format!("{GROUPS_V4} drop\n {GROUPS_V6} drop"));
            }
            Fault::Loss(percent, traffic) => {
                let (v4, v6) = match traffic {
                    Traffic::Multicast => (GROUPS_V4, GROUPS_V6),
                    Traffic::All => ("meta nfproto ipv4", "meta nfproto ipv6"),
                };
                let lost = match percent {
                    ..100 => format!("numgen random mod 100 < {percent} drop"),
                    _ => "drop".to_owned(),
                };
                let rules = format!(
                    "table inet {table} {{\n chain c {{\n type filter hook input priority 0;\n \
                     iifname lo accept\n {v4} {lost}\n {v6} {lost}\n }}\n}}\n"
                );
                self.hosts().for_each(|host| tools::nft(&host.namespace(), &rules));
            }
            Fault::Rate(host, bridge, kbit) => {
                let (dev, rate) = (format!("eth{bridge}"), format!("{kbit}kbit"));
                let shape = ["tbf", "rate", &rate, "burst", "16kb", "latency", "50ms"];
                let args = [&["qdisc", "add", "dev", &dev, "root"], &shape[..]].concat();
                tools::inside(&self.host(*host).namespace(), "tc", &args);
            }
            Fault::Reset(one, other) => self.reset(*one, *other),
            Fault::Freeze(host) => self.host(*host).signal(Signal::SIGSTOP),
            Fault::Kill(host) => self.host(*host).signal(Signal::SIGKILL),
            Fault::PowerOff(host) => {
                // First the cables, so that the end of the processes says nothing to anybody.
                self.host(*host).bridges().for_each(|bridge| self.set_cable(*host, bridge, "down"));
                self.host(*host).signal(Signal::SIGKILL);
            }
        }
    }

    fn end(&self, fault: &Fault, table: &str) {
        let switch = self.switch();
        match fault {
            Fault::Cut(host, bridge) => self.set_cable(*host, *bridge, &format!("master br{bridge}")),
            Fault::NoCarrier(host, bridge) => self.set_cable(*host, *bridge, "up"),
            Fault::InterfaceDown(host, bridge) => {
                // What the interface lost when it was set down comes back as it is set up.
                let v6 = format!("addr replace {}/64 dev eth{bridge} nodad", ipv6(*bridge, *host));
                self.at(*host, &[v6, format!("link set eth{bridge} up")]);
            }
            Fault::NoInterface(host, bridge) => {
                ip(Some(&switch), &self.host(*host).plug(*bridge));
                self.at(*host, &self.host(*host).settings(*bridge));
            }
            Fault::NoIpv4(host, bridge) => {
                self.at(*host, &[format!("addr add {}/24 dev eth{bridge}", ipv4(*bridge, *host))]);
            }
            Fault::NoIpv6(host, bridge) => {
                self.without_ipv6(*host, *bridge, 0);
                self.at(*host, &[format!("addr add {}/64 dev eth{bridge} nodad", ipv6(*bridge, *host))]);
            }
            Fault::Readdress(host, bridge) => self.readdress(*host, *bridge, *host + 100, *host),
            Fault::Partition(bridge, hosts) => {
                let back =
                    |host: &u8| format!("link set {} master br{bridge}", self.host(*host).cable(*bridge));
                ip(Some(&switch), &hosts.iter().map(back).collect::<Vec<_>>());
                ip(Some(&switch), &[format!("link del {table}")]);
            }
            Fault::Isolate(hosts) => self.isolated(hosts, "off"),
            Fault::Barred(host) => {
                tools::nft(&self.host(*host).namespace(), &format!("delete table inet {table}\n"));
            }
            Fault::OneWay(..) | Fault::NoMulticast | Fault::Mute(_) => {
                tools::nft(&switch, &format!("delete table bridge {table}\n"));
            }
            Fault::Loss(..) => {
                let rules = format!("delete table inet {table}\n");
                self.hosts().for_each(|host| tools::nft(&host.namespace(), &rules));
            }
            Fault::Rate(host, bridge, _) => {
                let dev = format!("eth{bridge}");
                tools::inside(&self.host(*host).namespace(), "tc", &["qdisc", "del", "dev", &dev, "root"]);
            }
            Fault::Freeze(host) => self.host(*host).signal(Signal::SIGCONT),
            Fault::PowerOff(host) => {
                self.host(*host).bridges().for_each(|bridge| self.set_cable(*host, bridge, "up"));
            }
            Fault::Reset(..) | Fault::Kill(_) => {}
        }
    }

    fn at(&self, host: u8, lines: &[String]) {
        ip(Some(&self.host(host).namespace()), lines);
    }

    fn set_cable(&self, host: u8, bridge: u8, how: &str) {
        ip(Some(&self.switch()), &[format!("link set {} {how}", self.host(host).cable(bridge))]);
    }

    fn readdress(&self, host: u8, bridge: u8, old: u8, new: u8) {
        // As a DHCP client does: the old ones go, the new ones come.
        self.at(
            host,
            &[
                format!("addr del {}/24 dev eth{bridge}", ipv4(bridge, old)),
                format!("addr del {}/64 dev eth{bridge}", ipv6(bridge, old)),
                format!("addr add {}/24 dev eth{bridge}", ipv4(bridge, new)),
                format!("addr add {}/64 dev eth{bridge} nodad", ipv6(bridge, new)),
            ],
        );
    }

    fn without_ipv6(&self, host: u8, bridge: u8, off: u8) {
        let path = format!("ipv6/conf/eth{bridge}/disable_ipv6");
        tools::set(&self.host(host).namespace(), &[(path.as_str(), off)]);
    }

    fn isolated(&self, hosts: &[u8], state: &str) {
        for (host, bridge) in hosts.iter().flat_map(|&host| self.host(host).bridges().map(move |b| (host, b)))
        {
            let cable = self.host(host).cable(bridge);
            let args = ["-n", &self.switch(), "link", "set", "dev", &cable, "isolated", state];
            run(Command::new("bridge").args(args));
        }
    }

    fn reset(&self, one: u8, other: u8) {
        let there = self.host(other);
        let addresses =
            |b| [ipv4(b, other), format!("[{}]", ipv6(b, other)), format!("[{}]", link_local(b, other))];
        for address in there.bridges().flat_map(addresses) {
            tools::inside(&self.host(one).namespace(), "ss", &["-K", "dst", &address]);
        }
    }

    /// The switch's ends of a host's cables, as a set of the packet filter.
    fn ports(&self, host: u8) -> String {
        let cables: Vec<_> = self.host(host).bridges().map(|bridge| self.host(host).cable(bridge)).collect();
        format!("{{ {} }}", cables.join(", "))
    }

    fn filter_switch(&self, table: &str, rules: &str) {
        tools::nft(
            &self.switch(),
            &format!(
                "table bridge {table} {{\n chain c {{\n type filter hook forward priority 0;\n {rules}\n }}\n}}\n"
            ),
        );
    }
}

impl Injected<'_> {
    /// Ends the fault, and tells when it had ended.
    ///
    /// # Panics
    /// If the machine cannot.
    pub fn heal(mut self) -> Instant {
        self.undo();
        Instant::now()
    }

    fn undo(&mut self) {
        if let Some(fault) = self.fault.take() {
            self.lan.end(&fault, &self.table);
            self.lan.note(format_args!("healed: {fault}"));
        }
    }
}

impl Drop for Injected<'_> {
    fn drop(&mut self) {
        // A LAN that is going down with its test needs no healing, and a second panic would end all tests.
        if !std::thread::panicking() {
            self.undo();
        }
    }
}
