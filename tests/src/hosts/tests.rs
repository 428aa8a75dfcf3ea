//! The rig itself: its faults do what they say, and no more, and its counters count.

use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket},
    time::Duration,
};

use super::*;
use crate::{SOON, mesh::GROUP, stranger};

const PORT: u16 = 4000;

/// How long a packet gets that should not arrive; one that should takes microseconds.
const NEVER: Duration = Duration::from_millis(300);

/// A listener on this host, for both families.
fn door(host: Host<'_>) -> TcpListener {
    host.within(|| TcpListener::bind(("::", PORT)).unwrap())
}

#[track_caller]
fn connect(from: Host<'_>, to: &str, should: bool) -> Option<TcpStream> {
    let within = if should { SOON } else { NEVER };
    let address = SocketAddr::new(to.parse::<IpAddr>().unwrap(), PORT);
    let reached = from.within(|| TcpStream::connect_timeout(&address, within));
    assert_eq!(reached.is_ok(), should, "{} to {address}: {reached:?}", from.ipv4());
    reached.ok()
}

/// Panics unless `from` reaches `to` over both families, or over none where it should not.
#[track_caller]
fn reaches(from: Host<'_>, to: Host<'_>, should: bool) {
    for address in [to.ipv4(), to.ipv6()] {
        connect(from, &address, should);
    }
}

/// Panics unless each of three hosts reaches the next one as expected.
#[track_caller]
fn ring(lan: &Lan, expected: [bool; 3]) {
    for ((from, to), should) in [(1, 2), (2, 3), (3, 1)].into_iter().zip(expected) {
        reaches(lan.host(from), lan.host(to), should);
    }
}

fn ear(host: Host<'_>) -> UdpSocket {
    let group = SocketAddrV4::new(GROUP, PORT);
    let ear = host.within(|| stranger::eavesdrop(group, host.ipv4().parse().unwrap()));
    ear.set_read_timeout(Some(NEVER)).unwrap();
    ear
}

/// How many of so many datagrams to the group arrive.
fn heard(ear: &UdpSocket, from: Host<'_>, count: usize) -> usize {
    let mouth = from.within(|| stranger::injector(from.ipv4().parse().unwrap()));
    for _ in 0..count {
        mouth.send_to(b"hello", (GROUP, PORT)).unwrap();
    }
    (0..count).take_while(|_| ear.recv(&mut [0; 16]).is_ok()).count()
}

#[test]
fn cables_fail_and_are_mended() {
    if !require_root() {
        return;
    }
    let lan = Lan::new(3);
    let _doors: Vec<_> = lan.hosts().map(door).collect();
    ring(&lan, [true; 3]);
    let faults = [
        (Fault::Cut(2, 0), [false, false, true]),
        (Fault::NoCarrier(2, 0), [false, false, true]),
        (Fault::InterfaceDown(2, 0), [false, false, true]),
        (Fault::NoInterface(2, 0), [false, false, true]),
        (Fault::Partition(0, vec![1, 3]), [false, false, true]),
        (Fault::Isolate(vec![1, 2]), [false, true, true]),
        (Fault::OneWay(1, 2), [false, true, true]),
        (Fault::Loss(100, Traffic::All), [false; 3]),
    ];
    for (fault, expected) in faults {
        let injected = lan.inject(fault);
        ring(&lan, expected);
        injected.heal();
        ring(&lan, [true; 3]);
    }
    drop(lan.inject(Fault::Cut(2, 0)));
    ring(&lan, [true; 3]);
    assert!(lan.story().contains("host 2: cable out of switch 0"), "{}", lan.story());
    lan.inject_for_good(Fault::Cut(2, 0));
    ring(&lan, [false, false, true]);
}

#[test]
fn addresses_go_and_come_back() {
    if !require_root() {
        return;
    }
    let lan = Lan::new(2);
    let (a, b) = (lan.host(1), lan.host(2));
    let _door = door(b);
    for (fault, v4, v6) in [
        (Fault::NoIpv4(2, 0), false, true),
        (Fault::NoIpv6(2, 0), true, false),
        (Fault::Readdress(2, 0), false, false),
    ] {
        let readdressed = matches!(fault, Fault::Readdress(..));
        let injected = lan.inject(fault);
        connect(a, &b.ipv4(), v4);
        connect(a, &b.ipv6(), v6);
        connect(a, "10.77.0.102", readdressed);
        connect(a, "fd77::66", readdressed);
        injected.heal();
        reaches(a, b, true);
    }
}

#[test]
fn multicast_crosses_until_it_is_blocked_and_unicast_still_does() {
    if !require_root() {
        return;
    }
    let lan = Lan::new(2);
    let (a, b) = (lan.host(1), lan.host(2));
    let (_door, ear) = (door(b), ear(b));
    assert_eq!(heard(&ear, a, 1), 1);
    let blocked = lan.inject(Fault::NoMulticast);
    assert_eq!(heard(&ear, a, 1), 0);
    reaches(a, b, true);
    blocked.heal();
    assert_eq!(heard(&ear, a, 1), 1);
}

#[test]
fn heartbeats_of_one_host_are_lost_on_the_switch_or_in_the_host() {
    if !require_root() {
        return;
    }
    let lan = Lan::new(2);
    let (a, b) = (lan.host(1), lan.host(2));
    let ears = [ear(a), ear(b)];
    let muted = lan.inject(Fault::Mute(1));
    // The kernel gives it back to the host itself, and the other way is whole.
    assert_eq!((heard(&ears[1], a, 1), heard(&ears[0], b, 2)), (0, 2));
    muted.heal();
    assert_eq!(heard(&ears[1], a, 1), 1);
    let barred = lan.inject(Fault::Barred(1));
    let sent = a.within(|| stranger::injector(a.ipv4().parse().unwrap()).send_to(b"hello", (GROUP, PORT)));
    assert!(sent.is_err(), "{sent:?}");
    barred.heal();
    assert_eq!(heard(&ears[1], a, 1), 1);
}

#[test]
fn so_many_percent_are_lost_and_no_more() {
    if !require_root() {
        return;
    }
    let lan = Lan::new(2);
    let (a, b) = (lan.host(1), lan.host(2));
    let (_door, ear) = (door(b), ear(b));
    let _lossy = lan.inject(Fault::Loss(30, Traffic::Multicast));
    // Of 1,000 with 30 % lost fewer than 600 or more than 800 arrive once in ten billion runs.
    let arrived = heard(&ear, a, 1000);
    assert!((600..800).contains(&arrived), "{arrived} of 1000");
    reaches(a, b, true);
}

#[test]
fn a_slow_cable_is_slow() {
    if !require_root() {
        return;
    }
    let lan = Lan::new(2);
    let (door, _slow) = (door(lan.host(2)), lan.inject(Fault::Rate(1, 0, 1000)));
    let mut stream = connect(lan.host(1), &lan.host(2).ipv4(), true).unwrap();
    let from = Instant::now();
    let sink =
        thread::spawn(move || std::io::copy(&mut door.accept().unwrap().0, &mut std::io::sink()).unwrap());
    stream.write_all(&[0; 125_000]).unwrap();
    drop(stream);
    assert_eq!(sink.join().unwrap(), 125_000);
    // A megabit at a megabit a second, but for a burst of 16 kB.
    assert!(from.elapsed() > Duration::from_millis(700), "{:?}", from.elapsed());
}

#[test]
fn connections_are_counted_and_reset() {
    if !require_root() {
        return;
    }
    let lan = Lan::new(3);
    let dials = lan.count_dials(&[1], &[2]);
    let doors: Vec<_> = lan.hosts().map(door).collect();
    let (a, b, c) = (lan.host(1), lan.host(2), lan.host(3));
    let local = "fe80::ff:fe00:2";
    let scoped = a.within(|| nix::net::if_::if_nametoindex("eth0").unwrap());
    let near = std::net::SocketAddrV6::new(local.parse().unwrap(), PORT, 0, scoped);
    let _links = [connect(a, &b.ipv4(), true), connect(b, &a.ipv6(), true), connect(c, &a.ipv4(), true)];
    let _near = a.within(|| TcpStream::connect_timeout(&near.into(), SOON).unwrap());
    assert_eq!(dials.seen(), 3);
    assert_eq!(a.connections(), BTreeMap::from([(2, 3), (3, 1)]));
    assert_eq!(c.connections(), BTreeMap::from([(1, 1)]));
    lan.inject_for_good(Fault::Reset(1, 2));
    assert_eq!(a.connections(), BTreeMap::from([(3, 1)]));
    drop(doors);
}

#[test]
fn heartbeats_are_counted_once_each() {
    if !require_root() {
        return;
    }
    let lan = Lan::new(3);
    let (counter, ears) = (lan.count_heartbeats(), lan.hosts().map(ear).collect::<Vec<_>>());
    assert_eq!(heard(&ears[1], lan.host(1), 10), 10);
    assert_eq!(counter.map(|group| group.seen()), [10, 0]);
}

#[test]
fn processes_are_frozen_thawed_and_killed() {
    if !require_root() {
        return;
    }
    let lan = Lan::new(2);
    let state =
        |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/stat")).map(|stat| stat.contains(") T "));
    let start = |host: Host<'_>| {
        Command::new("ip").args(["netns", "exec", &host.namespace(), "sleep", "60"]).spawn().unwrap()
    };
    let (mut one, mut other) = (start(lan.host(1)), start(lan.host(2)));
    while !std::fs::read_to_string(format!("/proc/{}/comm", one.id())).unwrap().contains("sleep") {
        thread::yield_now();
    }
    let frozen = lan.inject(Fault::Freeze(1));
    while !state(one.id()).unwrap() {
        thread::yield_now();
    }
    assert!(!state(other.id()).unwrap(), "another host's process");
    frozen.heal();
    while state(one.id()).unwrap() {
        thread::yield_now();
    }
    lan.inject_for_good(Fault::PowerOff(1));
    assert!(!one.wait().unwrap().success());
    assert!(other.try_wait().unwrap().is_none());
    lan.inject_for_good(Fault::Kill(2));
    assert!(!other.wait().unwrap().success());
}

#[test]
fn every_host_reaches_every_other_by_every_switch() {
    if !require_root() {
        return;
    }
    let lan = Lan::multi_homed(3, 2);
    let _doors: Vec<_> = lan.hosts().map(door).collect();
    ring(&lan, [true; 3]);
    let second = ["10.77.1.2", "fd77:1::2"];
    for address in second {
        connect(lan.host(1), address, true);
    }
    lan.inject_for_good(Fault::Cut(2, 0));
    ring(&lan, [false, false, true]);
    for address in second {
        connect(lan.host(1), address, true);
    }
}

#[test]
fn subnets_reach_each_other_and_share_no_multicast() {
    if !require_root() {
        return;
    }
    let lan = Lan::subnets(&[2, 1]);
    let _doors: Vec<_> = lan.hosts().map(door).collect();
    assert_eq!(lan.host(3).ipv4(), "10.77.1.3");
    ring(&lan, [true; 3]);
    let (near, far) = (ear(lan.host(2)), ear(lan.host(3)));
    assert_eq!((heard(&near, lan.host(1), 1), heard(&far, lan.host(1), 1)), (1, 0));
}

#[test]
fn nothing_of_a_lan_is_left_behind() {
    if !require_root() {
        return;
    }
    let names = |lan: &Lan| lan.namespaces();
    let there = |names: &[String]| {
        names.iter().filter(|name| std::path::Path::new("/run/netns").join(name).exists()).count()
    };
    let lan = Lan::subnets(&[1, 1]);
    let left = names(&lan);
    assert_eq!(there(&left), 4);
    drop(lan);
    assert_eq!(there(&left), 0);
    // Also where a test fails, with a fault in force.
    let lan = Lan::new(2);
    let left = names(&lan);
    let failing = thread::spawn(move || {
        let _fault = lan.inject(Fault::Cut(1, 0));
        panic!("a test that fails");
    });
    assert!(failing.join().is_err());
    assert_eq!(there(&left), 0);
}

#[test]
fn sixteen_hosts_are_built_quickly() {
    if !require_root() {
        return;
    }
    let from = Instant::now();
    drop(Lan::new(16));
    let took = from.elapsed();
    println!("16 hosts built and removed in {took:?}");
    assert!(took < SOON, "{took:?}");
}

#[test]
fn what_is_on_loopback_here_stays_here() {
    let group = SocketAddrV4::new(GROUP, crate::mesh::free_port());
    let ear = stranger::eavesdrop(group, Ipv4Addr::LOCALHOST);
    stranger::injector(Ipv4Addr::LOCALHOST).send_to(b"hello", group).unwrap();
    assert_eq!(stranger::capture(&ear, 1), [b"hello"]);
}
