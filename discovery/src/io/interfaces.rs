//! What interfaces this host has now.

use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::{InterfaceFlags, if_nametoindex};
use nix::sys::socket::SockaddrStorage;

use crate::config::InterfaceSpec;
use crate::error::InterfaceError;
use crate::proto::inet6::unusable;
use crate::reach::{Interface, Reach, is_link_local_v6};

/// Linux's table of IPv6 addresses, as this thread's network has it.
const TABLE: &str = "/proc/thread-self/net/if_inet6";

impl Reach {
    /// What is there now. Without `specs` every usable interface, else the chosen ones; loopback always.
    /// Takes well under a millisecond on common hosts and sends nothing.
    ///
    /// # Errors
    /// The first of `specs` that matches no interface, up or down; or the system does not list its interfaces.
    pub fn look(specs: &[InterfaceSpec]) -> Result<Self, InterfaceError> {
        let found = list()?;
        for spec in specs {
            if !found.iter().any(|f| spec_matches(spec, &f.interface)) {
                return Err(InterfaceError::NoMatch(spec.clone()));
            }
        }
        Ok(choose(found, specs))
    }

    /// As [`Self::look`], where a chosen interface may be missing: it may come back.
    pub(crate) fn look_again(specs: &[InterfaceSpec]) -> Result<Self, InterfaceError> {
        Ok(choose(list()?, specs))
    }

    /// Whether one of these interfaces is what `spec` names.
    pub(crate) fn matches(&self, spec: &InterfaceSpec) -> bool {
        self.interfaces.iter().any(|interface| spec_matches(spec, interface))
    }

    /// Whether a dial of `addr` keeps to these interfaces. Unrestricted: always. Restricted: where `addr` is
    /// on-link for a chosen interface, or the system would route to it from an address of a chosen one that is
    /// not loopback. Sends nothing.
    #[must_use]
    pub fn may_dial(&self, addr: &SocketAddr) -> bool {
        if !self.restricted {
            return true;
        }
        if is_link_local_v6(addr.ip())
            && let SocketAddr::V6(v6) = addr
        {
            return self.interface(v6.scope_id()).is_some_and(|i| i.on_link(addr.ip()));
        }
        self.on_link(addr.ip()) || self.routed_from(addr).is_some_and(|from| self.has_beyond_loopback(from))
    }

    /// The address from which the system would reach `addr`: connecting a datagram socket only asks the routes.
    fn routed_from(&self, addr: &SocketAddr) -> Option<IpAddr> {
        let any = if addr.is_ipv4() { IpAddr::from([0; 4]) } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0)).ok()?;
        socket.connect(addr).ok()?;
        socket.local_addr().ok().map(|from| from.ip())
    }

    fn has_beyond_loopback(&self, ip: IpAddr) -> bool {
        let beyond = self.interfaces.iter().filter(|interface| !interface.loopback);
        beyond.flat_map(|interface| &interface.addrs).any(|(own, _)| *own == ip.to_canonical())
    }
}

/// An interface and the flags that decide whether it is usable.
struct Found {
    interface: Interface,
    up: bool,
    point_to_point: bool,
}

fn list() -> Result<Vec<Found>, InterfaceError> {
    let mut by_name = BTreeMap::new();
    for entry in getifaddrs().map_err(|errno| InterfaceError::List(errno.into()))? {
        // An IPv4 address can have a label, as `eth0:1`, which is no interface.
        let name = entry.interface_name.split(':').next().unwrap_or_default();
        let found = by_name.entry(name.to_owned()).or_insert_with(|| found(name, &entry));
        if let Some(link) = entry.address.as_ref().and_then(SockaddrStorage::as_link_addr) {
            found.interface.index = link.ifindex().try_into().unwrap_or(0);
        }
        if let Some(ip) = entry.address.as_ref().and_then(ip_of) {
            let prefix = entry.netmask.as_ref().and_then(ip_of).map_or(0, prefix_len);
            found.interface.addrs.push((ip, prefix));
        }
    }
    let mut all: Vec<_> = by_name.into_values().map(with_index).collect();
    // It may be gone by now: then it has no index, and is left out.
    all.retain(|found| found.interface.index != 0);
    leave_out_unusable(&mut all);
    all.sort_by_key(|found| (!found.interface.loopback, found.interface.index));
    Ok(all)
}

fn with_index(mut found: Found) -> Found {
    let interface = &mut found.interface;
    if interface.index == 0 {
        interface.index = if_nametoindex(interface.name.as_str()).unwrap_or(0);
    }
    found
}

/// An address that cannot be used yet would be told for nothing; when it can be, that is a change. Where the table
/// cannot be had, sending shows it.
fn leave_out_unusable(all: &mut [Found]) {
    let table = std::fs::read_to_string(TABLE).unwrap_or_default();
    let unusable: HashSet<_> = unusable(&table).map(|(index, ip)| (index, IpAddr::V6(ip))).collect();
    if !unusable.is_empty() {
        for interface in all.iter_mut().map(|found| &mut found.interface) {
            interface.addrs.retain(|(ip, _)| !unusable.contains(&(interface.index, *ip)));
        }
    }
}

fn found(name: &str, entry: &InterfaceAddress) -> Found {
    let flags = entry.flags;
    let loopback = flags.contains(InterfaceFlags::IFF_LOOPBACK);
    let interface = Interface {
        name: name.to_owned(),
        index: 0,
        loopback,
        multicast: loopback || flags.contains(InterfaceFlags::IFF_MULTICAST),
        running: flags.contains(InterfaceFlags::IFF_RUNNING),
        addrs: Vec::new(),
    };
    let up = flags.contains(InterfaceFlags::IFF_UP);
    Found { interface, up, point_to_point: flags.contains(InterfaceFlags::IFF_POINTOPOINT) }
}

fn choose(found: Vec<Found>, specs: &[InterfaceSpec]) -> Reach {
    let chosen = |f: &Found| {
        let usable = f.interface.multicast && !f.point_to_point;
        let wanted =
            if specs.is_empty() { usable } else { specs.iter().any(|spec| spec_matches(spec, &f.interface)) };
        f.up && (f.interface.loopback || wanted)
    };
    let interfaces = found.into_iter().filter(chosen).map(|f| f.interface).collect();
    Reach { interfaces, restricted: !specs.is_empty() }
}

fn spec_matches(spec: &InterfaceSpec, interface: &Interface) -> bool {
    match spec {
        InterfaceSpec::Name(name) => *name == interface.name,
        InterfaceSpec::Ip(ip) => interface.addrs.iter().any(|(own, _)| *own == ip.to_canonical()),
    }
}

fn ip_of(addr: &SockaddrStorage) -> Option<IpAddr> {
    if let Some(v4) = addr.as_sockaddr_in() {
        return Some(v4.ip().into());
    }
    addr.as_sockaddr_in6().map(|v6| v6.ip().into())
}

fn prefix_len(mask: IpAddr) -> u8 {
    let ones = match mask {
        IpAddr::V4(v4) => v4.to_bits().leading_ones(),
        IpAddr::V6(v6) => v6.to_bits().leading_ones(),
    };
    ones.try_into().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_always_there() {
        for specs in [vec![], vec!["lo".parse().unwrap()], vec!["127.0.0.1".parse().unwrap()]] {
            let reach = Reach::look(&specs).unwrap();
            assert!(reach.interfaces.first().unwrap().loopback);
            assert!(reach.on_link("127.0.0.1".parse().unwrap()));
            assert_eq!(reach.restricted, !specs.is_empty());
        }
        let only = Reach::look(&["lo".parse().unwrap()]).unwrap();
        assert!(only.interfaces.iter().all(|interface| interface.loopback));
    }

    #[test]
    fn a_setting_that_matches_nothing_is_named() {
        for missing in ["talkie-none", "203.0.113.77"] {
            let error = Reach::look(&["lo".parse().unwrap(), missing.parse().unwrap()]).unwrap_err();
            assert!(error.to_string().contains(missing), "{error}");
            let again = Reach::look_again(&[missing.parse().unwrap()]).unwrap();
            assert!(again.restricted && again.interfaces.iter().all(|i| i.loopback));
        }
    }

    #[test]
    fn a_restricted_host_dials_only_by_its_interfaces() {
        let only = Reach::look(&["lo".parse().unwrap()]).unwrap();
        assert!(only.may_dial(&"127.0.0.1:7".parse().unwrap()));
        assert!(!only.may_dial(&"192.0.2.77:7".parse().unwrap()));
        assert!(!only.may_dial(&"[fe80::1%999]:7".parse().unwrap()));
        assert!(Reach::look(&[]).unwrap().may_dial(&"192.0.2.77:7".parse().unwrap()));
    }
}
