//! The rig itself: its faults do what they say, and no more.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket},
    time::Duration,
};

use super::*;
use crate::{SOON, mesh::GROUP, stranger};

const PORT: u16 = 4000;

/// How long a packet gets that should not arrive; one that should takes microseconds.
const NEVER: Duration = Duration::from_millis(400);

/// A listener on this host, for both families.
fn door(host: Host<'_>) -> TcpListener {
    host.within(|| TcpListener::bind(("::", PORT)).unwrap())
}

/// Panics unless `from` reaches `to` over both families, or over none where it should not.
#[track_caller]
fn reaches(from: Host<'_>, to: Host<'_>, should: bool) {
    let within = if should { SOON } else { NEVER };
    for address in [to.ipv4(), to.ipv6()] {
        let address = SocketAddr::new(address.parse::<IpAddr>().unwrap(), PORT);
        let reached = from.within(|| TcpStream::connect_timeout(&address, within).is_ok());
        assert_eq!(reached, should, "{} to {address}", from.ipv4());
    }
}

fn ear(host: Host<'_>) -> UdpSocket {
    let group = SocketAddrV4::new(GROUP, PORT);
    let ear = host.within(|| stranger::eavesdrop(group, host.ipv4().parse().unwrap()));
    ear.set_read_timeout(Some(NEVER)).unwrap();
    ear
}

fn hears(ear: &UdpSocket, from: Host<'_>) -> bool {
    let mouth = from.within(|| stranger::injector(from.ipv4().parse().unwrap()));
    mouth.send_to(b"hello", (GROUP, PORT)).unwrap();
    ear.recv(&mut [0; 16]).is_ok()
}

#[test]
fn hosts_reach_each_other_until_a_cable_is_cut_and_after_it_is_mended() {
    if !require_root("hosts_reach_each_other_until_a_cable_is_cut_and_after_it_is_mended") {
        return;
    }
    let lan = Lan::new(3);
    let [a, b, c] = [1, 2, 3].map(|number| lan.host(number));
    let _doors = [a, b, c].map(door);
    let all = |expected: [bool; 3]| {
        for ((from, to), should) in [(a, b), (b, c), (c, a)].into_iter().zip(expected) {
            reaches(from, to, should);
        }
    };
    all([true; 3]);
    b.cut();
    all([false, false, true]);
    b.mend();
    all([true; 3]);
    b.carrier_off();
    all([false, false, true]);
    b.carrier_on();
    all([true; 3]);
    lan.isolate(1, 2);
    all([false, true, true]);
    lan.rejoin(1, 2);
    all([true; 3]);
}

#[test]
fn multicast_crosses_until_it_is_blocked_and_unicast_still_does() {
    if !require_root("multicast_crosses_until_it_is_blocked_and_unicast_still_does") {
        return;
    }
    let lan = Lan::new(2);
    let [a, b] = [1, 2].map(|number| lan.host(number));
    let (_door, ear) = (door(b), ear(b));
    assert!(hears(&ear, a));
    lan.block_multicast();
    assert!(!hears(&ear, a));
    reaches(a, b, true);
}

#[test]
fn nothing_of_a_lan_is_left_behind() {
    if !require_root("nothing_of_a_lan_is_left_behind") {
        return;
    }
    let lan = Lan::new(2);
    let names = [lan.host(1).namespace(), lan.host(2).namespace(), lan.switch()];
    let there = || names.iter().filter(|name| std::path::Path::new("/run/netns").join(name).exists()).count();
    assert_eq!(there(), 3);
    drop(lan);
    assert_eq!(there(), 0);
}

#[test]
fn what_is_on_loopback_here_stays_here() {
    let group = SocketAddrV4::new(GROUP, crate::mesh::free_port());
    let ear = stranger::eavesdrop(group, Ipv4Addr::LOCALHOST);
    stranger::injector(Ipv4Addr::LOCALHOST).send_to(b"hello", group).unwrap();
    assert_eq!(stranger::capture(&ear, 1), [b"hello"]);
}
