//! How the namespaces of a LAN come and go.

use std::{
    process::Command,
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Instant,
};

use super::{
    Host, Lan, ipv4, ipv6, mac,
    tools::{self, ip, run, works},
};

/// The beginning of every namespace of these tests.
const PREFIX: &str = "talkie-test-";

/// The router's last byte in every subnet, so that no host has it.
const ROUTER: u8 = 254;

/// The most hosts of a LAN: below the hundred that [`super::Fault::Readdress`] adds to a last byte.
const MOST_HOSTS: u8 = 99;

impl Lan {
    pub(super) fn build(bridges: u8, cables: Vec<Vec<u8>>, routed: bool) -> Self {
        static LANS: AtomicU32 = AtomicU32::new(0);
        // One at a time: the first `ip netns add` of a machine also prepares /run/netns.
        static BUILDING: Mutex<()> = Mutex::new(());
        let _building = BUILDING.lock();
        assert!(cables.len() <= usize::from(MOST_HOSTS), "{} hosts", cables.len());
        sweep();
        let number = LANS.fetch_add(1, Ordering::Relaxed);
        let lan = Self {
            prefix: format!("{PREFIX}{}-{number}-", std::process::id()),
            bridges,
            cables,
            routed,
            built: Instant::now(),
            story: Mutex::default(),
            tables: AtomicU32::new(0),
        };
        let names: Vec<String> = lan.namespaces().iter().map(|name| format!("netns add {name}")).collect();
        ip(None, &names);
        let bridge =
            |b| [format!("link add br{b} type bridge forward_delay 0"), format!("link set br{b} up")];
        ip(Some(&lan.switch()), &(0..bridges).flat_map(bridge).collect::<Vec<_>>());
        // No duplicate address detection: an address is usable at once, as on a host that is up.
        let usable = [("ipv6/conf/default/accept_dad", 0)];
        for host in lan.hosts() {
            tools::set(&host.namespace(), &usable);
        }
        ip(Some(&lan.switch()), &lan.hosts().flat_map(Host::cabling).collect::<Vec<_>>());
        for host in lan.hosts() {
            let lines = std::iter::once("link set lo up".to_owned());
            ip(
                Some(&host.namespace()),
                &lines.chain(host.bridges().flat_map(|b| host.settings(b))).collect::<Vec<_>>(),
            );
        }
        if routed {
            lan.build_router();
        }
        lan
    }

    fn build_router(&self) {
        let router = self.router();
        let forward =
            [("ipv4/ip_forward", 1), ("ipv6/conf/all/forwarding", 1), ("ipv6/conf/default/accept_dad", 0)];
        tools::set(&router, &forward);
        let plug = |b| {
            [
                format!("link add rt{b} type veth peer name eth{b} netns {router}"),
                format!("link set rt{b} master br{b} up"),
            ]
        };
        ip(Some(&self.switch()), &(0..self.bridges).flat_map(plug).collect::<Vec<_>>());
        let settings = |b| {
            [
                format!("addr add {}/24 dev eth{b}", ipv4(b, ROUTER)),
                format!("addr add {}/64 dev eth{b} nodad", ipv6(b, ROUTER)),
                format!("link set eth{b} up"),
            ]
        };
        ip(Some(&router), &(0..self.bridges).flat_map(settings).collect::<Vec<_>>());
    }
}

impl Host<'_> {
    /// `ip` commands, in the switch, that make this host's cables.
    fn cabling(self) -> Vec<String> {
        self.bridges().flat_map(|bridge| self.plug(bridge)).collect()
    }

    /// `ip` commands, in the switch, that make a cable. Its hardware address tells the host and the switch, so the
    /// link-local address that is made of it ends in the host's number, too.
    pub(super) fn plug(self, bridge: u8) -> [String; 2] {
        let (cable, ns, mac) = (self.cable(bridge), self.namespace(), mac(bridge, self.number));
        [
            format!("link add {cable} type veth peer name eth{bridge} address {mac} netns {ns}"),
            format!("link set {cable} master br{bridge} up"),
        ]
    }

    /// `ip` commands, in the host, that set its end of the cable up.
    pub(super) fn settings(self, bridge: u8) -> Vec<String> {
        let mut lines = vec![
            format!("addr add {}/24 dev eth{bridge}", ipv4(bridge, self.number)),
            format!("addr add {}/64 dev eth{bridge} nodad", ipv6(bridge, self.number)),
            format!("link set eth{bridge} up"),
        ];
        if self.lan.routed {
            lines.push(format!("route add 10.77.0.0/16 via {}", ipv4(bridge, ROUTER)));
            lines.push(format!("route add fd77::/16 via {}", ipv6(bridge, ROUTER)));
        }
        lines
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

pub(super) fn remove(namespace: &str) {
    // Its interfaces go with it; what still runs in it holds it until it ends, so a failure is no harm.
    works("ip", &["netns", "del", namespace]);
}

pub(super) fn can_build() -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    *CAN.get_or_init(|| {
        let name = format!("{PREFIX}{}-probe", std::process::id());
        let built =
            works("ip", &["netns", "add", &name]) && works("ip", &["-n", &name, "link", "set", "lo", "up"]);
        remove(&name);
        built
    })
}
