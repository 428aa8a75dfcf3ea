//! What this host can reach: a snapshot of its usable interfaces.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};

/// One usable interface of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name, as `eth0`.
    pub name: String,
    /// The system's index of it; an interface that is deleted and made again gets another one.
    pub index: u32,
    /// Whether it is the loopback interface.
    pub loopback: bool,
    /// Whether heartbeats go out of it: it takes multicast (loopback always does, for IPv4).
    pub multicast: bool,
    /// Whether the system says that it has a carrier.
    pub running: bool,
    /// Its usable addresses and the lengths of their prefixes in bits, in the system's order. An IPv6 address that
    /// the system still checks for duplicates is not usable yet.
    pub addrs: Vec<(IpAddr, u8)>,
}

impl Interface {
    /// Whether `ip` is in a subnet of this interface. A prefix of no bits says nothing of neighbours and does
    /// not count.
    #[must_use]
    pub fn on_link(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.addrs.iter().any(|&(own, prefix)| prefix > 0 && same_prefix(own, ip, prefix))
    }

    /// Its first IPv4 address: what multicast leaves from.
    #[must_use]
    pub fn v4(&self) -> Option<Ipv4Addr> {
        self.addrs.iter().find_map(|(ip, _)| match ip {
            IpAddr::V4(v4) => Some(*v4),
            IpAddr::V6(_) => None,
        })
    }

    /// Whether it has an IPv6 address.
    #[must_use]
    pub fn has_v6(&self) -> bool {
        self.addrs.iter().any(|(ip, _)| ip.is_ipv6())
    }
}

/// A snapshot of the interfaces that a node uses: every usable one, or those that the user chose, and loopback
/// always. Usable is what is up, takes multicast and is not point-to-point; an interface that the user chose
/// needs only be up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// The interfaces, loopback first, then by index.
    pub interfaces: Vec<Interface>,
    /// Whether the user chose interfaces: then no other one is used, also not to dial.
    pub restricted: bool,
}

impl Reach {
    /// Whether `ip` is in a subnet of one of these interfaces.
    #[must_use]
    pub fn on_link(&self, ip: IpAddr) -> bool {
        self.interfaces.iter().any(|interface| interface.on_link(ip))
    }

    /// Whether `ip` is an address of one of these interfaces.
    #[must_use]
    pub fn has(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.interfaces.iter().flat_map(|interface| &interface.addrs).any(|(own, _)| *own == ip)
    }

    /// Whether `ip` is an address of one of these interfaces that has a carrier.
    #[must_use]
    pub fn is_usable(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        let running = self.interfaces.iter().filter(|interface| interface.running || interface.loopback);
        running.flat_map(|interface| &interface.addrs).any(|(own, _)| *own == ip)
    }

    /// The interface of that index.
    #[must_use]
    pub fn interface(&self, index: u32) -> Option<&Interface> {
        self.interfaces.iter().find(|interface| interface.index == index)
    }

    /// Where a listener that is bound to `bound` is reached from these interfaces. A wildcard becomes their
    /// addresses (`0.0.0.0` those of IPv4 only): IPv4 first, loopback first in each family, link-local IPv6 last
    /// and with its scope. A concrete address stays, an IPv4-mapped one as IPv4.
    #[must_use]
    pub fn addresses(&self, bound: SocketAddr) -> Vec<SocketAddr> {
        if !bound.ip().is_unspecified() {
            return vec![canonical(bound)];
        }
        let own = self.interfaces.iter().flat_map(|i| i.addrs.iter().map(move |(ip, _)| (i.index, *ip)));
        let mut all: Vec<_> = own.filter(|(_, ip)| bound.is_ipv6() || ip.is_ipv4()).collect();
        all.sort_by_key(|(_, ip)| (ip.is_ipv6(), is_link_local_v6(*ip), !ip.is_loopback()));
        let mut listed = Vec::with_capacity(all.len());
        for (index, ip) in all {
            let addr = with_scope(ip, bound.port(), index);
            if !listed.contains(&addr) {
                listed.push(addr);
            }
        }
        listed
    }
}

/// The address with a scope where it needs one.
pub(crate) fn with_scope(ip: IpAddr, port: u16, index: u32) -> SocketAddr {
    match ip {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => SocketAddrV6::new(v6, port, 0, index).into(),
        _ => SocketAddr::new(ip, port),
    }
}

pub(crate) fn is_link_local_v6(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// An IPv4-mapped address as IPv4; any other as it is, with its scope.
pub(crate) fn canonical(addr: SocketAddr) -> SocketAddr {
    match addr.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, addr.port()),
        IpAddr::V6(_) => addr,
    }
}

fn same_prefix(a: IpAddr, b: IpAddr, prefix: u8) -> bool {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            let host = 32_u32.saturating_sub(prefix.into());
            (a.to_bits() ^ b.to_bits()).checked_shr(host).unwrap_or(0) == 0
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            let host = 128_u32.saturating_sub(prefix.into());
            (a.to_bits() ^ b.to_bits()).checked_shr(host).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
pub(crate) mod tests;
