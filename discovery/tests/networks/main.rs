//! Networks that come, go and change, between network namespaces as hosts. Needs root; skipped elsewhere.
//!
//! The namespaces have no name and no route out, and are gone with the last thread in them.

#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::indexing_slicing, clippy::unwrap_used)]

mod hosts;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hosts::{Host, LIMIT, is_skipped};
use talkie_discovery::{MeshKeys, Secret};

/// A network that is there is joined within 0.1 s, on a busy machine later.
const SOON: Duration = Duration::from_secs(3);

/// How long notices are poured over a node: five looks' worth.
const FLOOD: Duration = Duration::from_millis(500);

/// IPv6 multicast has no route on loopback: the first heartbeat there shows it, and there is no second.
const LOOPBACK_V6: u64 = 1;

fn key() -> MeshKeys {
    MeshKeys::derive(&Secret::generate())
}

fn two_hosts() -> (Host, Host) {
    let (a, b) = (Host::new(), Host::new());
    for host in [&a, &b] {
        host.set("ipv6/conf/default/disable_ipv6", "1");
    }
    (a, b)
}

fn any(addrs: &[SocketAddr]) -> bool {
    !addrs.is_empty()
}

#[test]
fn an_interface_that_comes_is_joined_by_the_kernels_notice() {
    if is_skipped("an_interface_that_comes_is_joined_by_the_kernels_notice") {
        return;
    }
    let (a, b) = two_hosts();
    let key = key();
    let (of_a, of_b) = (a.start(1, &key), b.start(2, &key));
    of_a.counts(|stats| stats.looks > 0);
    of_b.counts(|stats| stats.looks > 0);
    a.cable("eth0", &b, "eth0");
    b.ip(&["addr add 10.0.0.2/24 dev eth0", "link set eth0 up"]);
    a.ip(&["addr add 10.0.0.1/24 dev eth0", "link set eth0 up"]);
    assert_eq!(of_a.sees(2, SOON, any), ["10.0.0.2:4000".parse().unwrap()]);
    assert_eq!(of_b.sees(1, SOON, any), ["10.0.0.1:4000".parse().unwrap()]);
    // It changes its address, and is told by the new one.
    a.ip(&["addr del 10.0.0.1/24 dev eth0", "addr add 10.0.0.9/24 dev eth0"]);
    of_b.sees(1, SOON, |addrs| addrs == ["10.0.0.9:4000".parse().unwrap()]);
    // It is renamed, taken away and made again under its name.
    a.ip(&["link set eth0 down", "link set eth0 name lan0", "link set lan0 up"]);
    of_a.counts(|_| of_a.reach.borrow().interfaces.iter().any(|i| i.name == "lan0" && i.running));
    a.ip(&["link del lan0"]);
    of_a.counts(|_| of_a.reach.borrow().interfaces.iter().all(|i| i.loopback));
    of_a.forget();
    of_b.forget();
    a.cable("lan0", &b, "eth0");
    b.ip(&["addr add 10.0.0.2/24 dev eth0", "link set eth0 up"]);
    a.ip(&["addr add 10.0.0.1/24 dev lan0", "link set lan0 up"]);
    of_a.sees(2, SOON, any);
    of_b.sees(1, SOON, any);
    let stats = of_a.stats();
    assert!(stats.notices > 0 && stats.network_changes > 0, "{stats:?}");
    assert_eq!(stats.socket_errors, 0, "{stats:?}");
}

#[test]
fn an_interface_made_again_under_its_index_is_joined_again() {
    if is_skipped("an_interface_made_again_under_its_index_is_joined_again") {
        return;
    }
    let (a, b) = two_hosts();
    let key = key();
    let peer = format!("type veth peer name eth0 netns {}", b.thread);
    let make = |number: u8| {
        a.ip(&[
            &format!("link add eth0 index 70 {peer}"),
            "addr add 10.0.0.1/24 dev eth0",
            "link set eth0 up",
        ]);
        b.ip(&[&format!("addr add 10.0.0.{number}/24 dev eth0"), "link set eth0 up"]);
    };
    make(2);
    let (of_a, of_b) = (a.start(1, &key), b.start(2, &key));
    of_a.sees(2, LIMIT, any);
    of_b.sees(1, LIMIT, any);
    for number in 3..8 {
        // In one go, far faster than the look that follows a notice: it finds what it knew.
        a.ip(&[
            "link del eth0",
            &format!("link add eth0 index 70 {peer}"),
            "addr add 10.0.0.1/24 dev eth0",
            "link set eth0 up",
        ]);
        b.ip(&[&format!("addr add 10.0.0.{number}/24 dev eth0"), "link set eth0 up"]);
        let address: SocketAddr = format!("10.0.0.{number}:4000").parse().unwrap();
        of_a.sees(2, SOON, |addrs| addrs.contains(&address));
    }
}

#[test]
fn a_flood_of_notices_costs_few_looks() {
    if is_skipped("a_flood_of_notices_costs_few_looks") {
        return;
    }
    let (a, b) = two_hosts();
    let of_a = a.start(1, &key());
    a.cable("eth0", &b, "eth0");
    a.ip(&["link set eth0 up"]);
    of_a.counts(|stats| stats.network_changes > 0);
    let (before, began) = (of_a.stats(), Instant::now());
    let flood: Vec<_> = (0..250)
        .flat_map(|n| ["add", "del"].map(|verb| format!("addr {verb} 10.9.{n}.1/24 dev eth0")))
        .collect();
    let flood: Vec<_> = flood.iter().map(String::as_str).collect();
    // Long enough for many looks where there is no pause between two, and until there was one at all.
    while began.elapsed() < FLOOD || of_a.stats().looks == before.looks {
        assert!(began.elapsed() < LIMIT, "no look: {:?}", of_a.stats());
        a.ip(&flood);
    }
    let looks = of_a.stats().looks - before.looks;
    let tenths = began.elapsed().as_millis() as u64 / 100;
    assert!(looks <= tenths + 3, "{looks} looks in {tenths} tenths of a second");
    // What came last is found, whatever was lost before.
    a.ip(&["addr add 10.10.0.1/24 dev eth0"]);
    of_a.counts(|_| of_a.reach.borrow().has("10.10.0.1".parse().unwrap()));
}

#[test]
fn a_group_that_cannot_be_joined_is_tried_again() {
    if is_skipped("a_group_that_cannot_be_joined_is_tried_again") {
        return;
    }
    let (a, b) = two_hosts();
    a.cable("eth0", &b, "eth0");
    a.ip(&["addr add 10.0.0.1/24 dev eth0", "link set eth0 up"]);
    a.set("ipv4/igmp_max_memberships", "0");
    let of_a = a.start(1, &key());
    of_a.counts(|stats| stats.socket_errors > 0);
    // No notice tells of this.
    a.set("ipv4/igmp_max_memberships", "20");
    of_a.counts(|stats| stats.own > 0);
}

#[test]
fn an_ipv6_address_counts_once_it_is_found_to_be_unique() {
    if is_skipped("an_ipv6_address_counts_once_it_is_found_to_be_unique") {
        return;
    }
    let (a, b) = (Host::new(), Host::new());
    let key = key();
    b.set("ipv6/conf/default/accept_dad", "0");
    a.set("ipv6/conf/default/accept_dad", "1");
    let (of_a, of_b) = (a.start(1, &key), b.start(2, &key));
    a.cable("eth0", &b, "eth0");
    b.ip(&["link set eth0 up"]);
    a.ip(&["addr add fd00::1/64 dev eth0", "link set eth0 up"]);
    let own = "fd00::1".parse().unwrap();
    of_a.counts(|_| of_a.reach.borrow().interfaces.iter().any(|i| i.name == "eth0"));
    assert!(!of_a.reach.borrow().has(own), "it is still checked");
    of_a.counts(|_| of_a.reach.borrow().has(own));
    // From here on at once, though the kernel takes its time before.
    let seen = of_b.sees(1, SOON, any);
    assert!(seen.iter().all(|addr| addr.is_ipv6()), "{seen:?}");
    let stats = of_a.stats();
    assert!(stats.send_errors <= LOOPBACK_V6, "nothing was sent too early: {stats:?}");
}

#[test]
fn hosts_on_two_networks_are_known_by_both_and_never_by_ones_own_bridge() {
    if is_skipped("hosts_on_two_networks_are_known_by_both_and_never_by_ones_own_bridge") {
        return;
    }
    let (a, b) = two_hosts();
    let key = key();
    for (host, number) in [(&a, 1), (&b, 2)] {
        // Before the others, so that it comes first wherever order is by index.
        host.ip(&[
            "link add docker0 type bridge",
            "addr add 172.17.0.1/16 dev docker0",
            "link set docker0 up",
        ]);
        if number == 1 {
            a.cable("eth0", &b, "eth0");
            a.cable("eth1", &b, "eth1");
        }
    }
    for (host, number) in [(&a, 1), (&b, 2)] {
        for lan in 0..2 {
            let addr = format!("addr add 10.0.{lan}.{number}/24 dev eth{lan}");
            host.ip(&[&addr, &format!("link set eth{lan} up")]);
        }
    }
    let (of_a, of_b) = (a.start(1, &key), b.start(2, &key));
    for (node, other) in [(&of_a, 2), (&of_b, 1)] {
        let seen = node.sees(other, LIMIT, |addrs| addrs.len() >= 2);
        let mut seen: Vec<_> = seen.iter().map(ToString::to_string).collect();
        seen.sort();
        assert_eq!(seen, [format!("10.0.0.{other}:4000"), format!("10.0.1.{other}:4000")]);
    }
    assert_eq!(of_a.stats().nodes, 1, "two networks, one node");
    // One network is cut, and in the end its address is no longer told.
    b.ip(&["link del eth0"]);
    of_a.sees(2, Duration::from_secs(30), |addrs| addrs == ["10.0.1.2:4000".parse().unwrap()]);
}

#[test]
fn hosts_without_a_common_family_do_not_meet_and_one_with_both_meets_both() {
    if is_skipped("hosts_without_a_common_family_do_not_meet_and_one_with_both_meets_both") {
        return;
    }
    let (switch, hosts) = (Host::new(), [Host::new(), Host::new(), Host::new()]);
    switch.ip(&["link add br0 type bridge forward_delay 0", "link set br0 up"]);
    let [four, six, both] = &hosts;
    four.set("ipv6/conf/default/disable_ipv6", "1");
    for (number, host) in hosts.iter().enumerate() {
        let port = format!("port{number}");
        host.set("ipv6/conf/default/accept_dad", "0");
        host.cable("eth0", &switch, &port);
        switch.ip(&[&format!("link set {port} master br0 up")]);
    }
    for (host, commands) in [
        (four, &["addr add 10.0.0.1/24 dev eth0", "link set eth0 up"][..]),
        (six, &["link set eth0 up"]),
        (both, &["addr add 10.0.0.3/24 dev eth0", "link set eth0 up"]),
    ] {
        host.ip(commands);
    }
    let key = key();
    let [of_four, of_six, of_both] = [(four, 4), (six, 6), (both, 3)].map(|(host, id)| host.start(id, &key));
    assert_eq!(of_both.sees(4, LIMIT, any), ["10.0.0.1:4000".parse().unwrap()]);
    assert!(of_both.sees(6, LIMIT, any).iter().all(SocketAddr::is_ipv6));
    assert_eq!(of_four.sees(3, LIMIT, any), ["10.0.0.3:4000".parse().unwrap()]);
    assert!(of_six.sees(3, LIMIT, any).iter().all(SocketAddr::is_ipv6));
    // Two more heartbeats of the one with both: the other would have been seen by then.
    for node in [&of_four, &of_six] {
        node.sees(3, LIMIT, any);
        node.sees(3, LIMIT, any);
        let stats = node.stats();
        assert_eq!((stats.nodes, stats.rejected_malformed), (1, 0), "{stats:?}");
        assert!(stats.send_errors <= LOOPBACK_V6, "{stats:?}");
    }
}
