//! Which addresses a heartbeat tells, and which of those heard may be dialled.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;

use super::beacon::MAX_ADDRS;
use crate::reach::{Interface, Reach, canonical, is_link_local_v6, with_scope};

/// The addresses to tell in the heartbeat that leaves by `interface`, for a listener bound to `listen`; at most
/// [`MAX_ADDRS`], the best first. Without any the heartbeat would be of no use, and is not sent there.
///
/// Loopback addresses are told on loopback only, and there nothing else but a concrete `listen`: whoever hears it
/// is on this host. Elsewhere the interface's own addresses come first, one of each kind before a second of any, and then
/// those of other interfaces with a carrier, for whoever is linked to several networks. Link-local IPv6 means nothing beyond
/// its own interface, and an IPv4 wildcard listens on no IPv6 address.
#[must_use]
pub fn told(interface: &Interface, reach: &Reach, listen: SocketAddr) -> Vec<IpAddr> {
    let listen = canonical(listen);
    if listen.ip().is_unspecified() {
        return told_of_wildcard(interface, reach, listen.is_ipv6());
    }
    let here = match listen {
        _ if listen.ip().is_loopback() => interface.loopback,
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() => v6.scope_id() == interface.index,
        // A chosen interface limits what is told; without a choice any bound address is this host's.
        _ => !reach.restricted || reach.has(listen.ip()),
    };
    if here { vec![listen.ip()] } else { Vec::new() }
}

fn told_of_wildcard(interface: &Interface, reach: &Reach, both_families: bool) -> Vec<IpAddr> {
    let usable = |ip: &IpAddr| ip.is_loopback() == interface.loopback && (both_families || ip.is_ipv4());
    let mut seen_of_kind = [0_usize; 3];
    let mut ranked = Vec::with_capacity(interface.addrs.len());
    for ip in interface.addrs.iter().map(|(ip, _)| *ip).filter(usable) {
        let kind = kind(ip);
        if let Some(turn) = seen_of_kind.get_mut(kind) {
            ranked.push((*turn, kind, ip));
            *turn += 1;
        }
    }
    ranked.sort_by_key(|(turn, kind, _)| (*turn, *kind));
    let mut told: Vec<_> = ranked.into_iter().map(|(_, _, ip)| ip).collect();
    if !interface.loopback {
        let others = reach.interfaces.iter().filter(|other| other.index != interface.index);
        // Without a carrier nobody is there, as on a bridge of containers that has none.
        let others = others.filter(|other| !other.loopback && other.running);
        let others = others.flat_map(|other| other.addrs.iter().map(|(ip, _)| *ip));
        told.extend(others.filter(|ip| !is_link_local_v6(*ip) && (both_families || ip.is_ipv4())));
    }
    told.truncate(MAX_ADDRS);
    told
}

/// IPv4, then global IPv6, then link-local IPv6.
fn kind(ip: IpAddr) -> usize {
    match ip {
        IpAddr::V4(_) => 0,
        IpAddr::V6(_) if !is_link_local_v6(ip) => 1,
        IpAddr::V6(_) => 2,
    }
}

/// Which of the addresses in a heartbeat from `source` that was heard on `interface` may be dialled, at most
/// [`MAX_ADDRS`]: those on-link for one of our interfaces, of the interface that it was heard on first. Loopback
/// addresses count only where the heartbeat came by loopback, or a host could be made to dial its own services.
/// An address of this host is another host's too where both have a bridge of containers with it: it counts only
/// in what comes from this host.
#[must_use]
pub fn admitted(
    addrs: &[IpAddr],
    port: NonZeroU16,
    source: IpAddr,
    interface: &Interface,
    reach: &Reach,
) -> Vec<SocketAddr> {
    let from_here = interface.loopback || is_own(source, interface, reach);
    let mut near = Vec::with_capacity(MAX_ADDRS);
    let mut far = Vec::with_capacity(MAX_ADDRS);
    for ip in addrs.iter().map(IpAddr::to_canonical) {
        let addr = with_scope(ip, port.get(), interface.index);
        if ip.is_unspecified() || ip.is_multicast() || near.contains(&addr) || far.contains(&addr) {
            continue;
        }
        if (ip.is_loopback() && !interface.loopback) || (!from_here && is_own(ip, interface, reach)) {
            continue;
        }
        if interface.on_link(ip) {
            near.push(addr);
        } else if !is_link_local_v6(ip) && reach.on_link(ip) {
            far.push(addr);
        }
    }
    near.append(&mut far);
    near.truncate(MAX_ADDRS);
    near
}

/// Whether `ip` is an address of this host; a link-local one, on this interface.
fn is_own(ip: IpAddr, interface: &Interface, reach: &Reach) -> bool {
    let ip = ip.to_canonical();
    if is_link_local_v6(ip) { interface.addrs.iter().any(|(own, _)| *own == ip) } else { reach.has(ip) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reach::tests::{interface, reach};

    fn on(index: u32, listen: &str) -> Vec<String> {
        let reach = reach();
        let told = told(reach.interface(index).unwrap(), &reach, listen.parse().unwrap());
        told.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_wildcard_tells_the_own_interface_first() {
        assert_eq!(on(1, "[::]:7"), ["127.0.0.1", "::1"]);
        assert_eq!(on(2, "[::]:7"), ["192.0.2.2", "fd00::2", "fe80::2", "198.51.100.3"]);
        assert_eq!(on(3, "[::]:7"), ["198.51.100.3", "fe80::3", "192.0.2.2", "fd00::2"]);
        assert_eq!(on(1, "0.0.0.0:7"), ["127.0.0.1"]);
        assert_eq!(on(3, "0.0.0.0:7"), ["198.51.100.3", "192.0.2.2"]);
    }

    #[test]
    fn a_network_without_a_carrier_is_told_to_nobody_elsewhere() {
        let mut reach = reach();
        reach.interfaces[2].running = false;
        let of = |index| told(reach.interface(index).unwrap(), &reach, "0.0.0.0:7".parse().unwrap());
        assert_eq!(of(2), ["192.0.2.2".parse::<IpAddr>().unwrap()]);
        assert_eq!(of(3).len(), 2, "there it may be back before we know");
    }

    #[test]
    fn one_of_each_kind_comes_before_a_second() {
        let many = [("fe80::1", 64), ("fd00::1", 64), ("fd00::2", 64), ("10.0.0.1", 8), ("10.0.0.2", 8)];
        let reach = Reach { interfaces: vec![interface("eth0", 2, &many)], restricted: false };
        let told = told(&reach.interfaces[0], &reach, "[::]:7".parse().unwrap());
        let told: Vec<_> = told.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["10.0.0.1", "fd00::1", "fe80::1", "10.0.0.2"]);
    }

    #[test]
    fn a_concrete_address_is_told_where_it_means_something() {
        let nothing: [&str; 0] = [];
        assert_eq!(on(1, "127.0.0.1:7"), ["127.0.0.1"]);
        assert_eq!(on(2, "127.0.0.1:7"), nothing);
        assert_eq!(on(1, "192.0.2.2:7"), ["192.0.2.2"], "other nodes of this host may have only loopback");
        assert_eq!(on(3, "192.0.2.2:7"), ["192.0.2.2"]);
        assert_eq!(on(2, "[::ffff:192.0.2.2]:7"), ["192.0.2.2"]);
        assert_eq!(on(2, "[fe80::2%2]:7"), ["fe80::2"]);
        assert_eq!(on(3, "[fe80::2%2]:7"), nothing);
        let chosen = Reach { restricted: true, ..reach() };
        let elsewhere = "203.0.113.1:7".parse().unwrap();
        assert!(told(&chosen.interfaces[1], &chosen, elsewhere).is_empty());
        assert_eq!(told(&reach().interfaces[1], &reach(), elsewhere).len(), 1);
    }

    fn heard(index: u32, addrs: &[&str]) -> Vec<String> {
        heard_from(if index == 1 { "127.0.0.1" } else { "192.0.2.9" }, index, addrs)
    }

    fn heard_from(source: &str, index: u32, addrs: &[&str]) -> Vec<String> {
        let reach = reach();
        let addrs: Vec<_> = addrs.iter().map(|ip| ip.parse().unwrap()).collect();
        let port = NonZeroU16::new(7).unwrap();
        let source = source.parse().unwrap();
        let admitted = admitted(&addrs, port, source, reach.interface(index).unwrap(), &reach);
        admitted.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn only_neighbours_are_admitted() {
        let strange = ["203.0.113.9", "8.8.8.8", "2001:db8::1", "0.0.0.0", "::", "224.0.0.1", "ff02::1"];
        for index in 1..=3 {
            assert!(heard(index, &strange).is_empty(), "{index}");
        }
        assert_eq!(heard(2, &["198.51.100.9", "192.0.2.9"]), ["192.0.2.9:7", "198.51.100.9:7"]);
        assert_eq!(heard(3, &["198.51.100.9", "192.0.2.9"]), ["198.51.100.9:7", "192.0.2.9:7"]);
        assert_eq!(heard(2, &["192.0.2.9", "::ffff:192.0.2.9"]), ["192.0.2.9:7"], "once");
    }

    #[test]
    fn loopback_is_admitted_by_loopback_only() {
        assert_eq!(heard(1, &["127.0.0.1", "::1"]), ["127.0.0.1:7", "[::1]:7"]);
        assert!(heard(2, &["127.0.0.1", "::1", "::ffff:127.0.0.1"]).is_empty());
        assert_eq!(heard(1, &["192.0.2.2"]), ["192.0.2.2:7"]);
    }

    #[test]
    fn an_address_of_ours_is_the_others_only_on_this_host() {
        let told = ["192.0.2.9", "198.51.100.3", "::ffff:192.0.2.2", "fd00::2", "fe80::2"];
        assert_eq!(heard_from("192.0.2.9", 2, &told), ["192.0.2.9:7"]);
        assert_eq!(heard_from("fe80::9", 2, &told), ["192.0.2.9:7"]);
        let on_this_host = ["192.0.2.9:7", "192.0.2.2:7", "[fd00::2]:7", "[fe80::2%2]:7"];
        for source in ["192.0.2.2", "fe80::2", "fd00::2", "198.51.100.3"] {
            assert_eq!(heard_from(source, 2, &told), on_this_host, "{source}");
        }
        assert_eq!(heard(1, &["192.0.2.2"]), ["192.0.2.2:7"], "by loopback");
        // The same link-local address on another network is another host.
        assert_eq!(heard_from("fe80::3", 2, &["fe80::3"]), ["[fe80::3%2]:7"]);
    }

    #[test]
    fn link_local_has_the_scope_it_was_heard_with() {
        assert_eq!(heard(2, &["fe80::9"]), ["[fe80::9%2]:7"]);
        assert_eq!(heard(3, &["fe80::9"]), ["[fe80::9%3]:7"]);
        assert!(heard(1, &["fe80::9"]).is_empty());
    }
}
