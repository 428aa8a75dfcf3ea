//! How hosts find each other: by multicast, partners and members, over both families, and across subnets.
#![allow(clippy::disallowed_methods, reason = "promised delays are measured in real time")]

use std::time::{Duration, Instant};

use talkie_tests::{
    SLACK, SOON,
    crowd::Crowd,
    figures::{Figure, long, rounds},
    hosts::{Fault, Host, Lan, Traffic, require_root},
    mesh::keygen,
};

/// The port of a node that was told none and is the first of its host.
const PORT: u16 = 8255;

/// The whole mesh where partners make up for multicast.
const BLOCKED: Duration = Duration::from_secs(2);

/// How soon a node says that it hears nobody.
const SILENCE_SAID: Duration = Duration::from_secs(10);

/// The whole mesh, on an undisturbed network.
const FULL_MESH: Duration = Duration::from_secs(1);

#[test]
fn hosts_meet_by_multicast_alone() {
    if !require_root() {
        return;
    }
    let (lan, secret) = (Lan::new(3), keygen());
    let two = Crowd::start([1, 2].map(|host| lan.host(host).talkie("join", &secret).name("node")), SOON);
    two.meets(SOON);
    // There is no third that could have told them of each other.
    two.found(|_, _| Some("multicast"));
    for (host, node) in lan.hosts().zip(two.iter()) {
        assert_eq!(node.port(), PORT, "the default port: {}", node.joined);
        let told = node.joined["listen"].to_string();
        for address in [format!("{}:{PORT}", host.ipv4()), format!("[{}]:{PORT}", host.ipv6())] {
            assert!(told.contains(&address), "{address} in {told}");
        }
    }
    // And they talk.
    let sub = lan.host(3).sub(&secret, "sub", "orders/*");
    lan.host(1).talkie("pub", &secret).args(["orders/42", "hello"]).run().exits(0);
    assert_eq!(sub.next("message")["payload"], "hello");
}

#[test]
fn sixteen_hosts_meet_while_heartbeats_are_lost() {
    if !require_root() {
        return;
    }
    let lan = Lan::new(16);
    for (percent, promised) in [(0, 1000), (10, 500), (30, 1000), (50, 2000)] {
        let what = format!("row 1: 16 hosts, {percent} % of multicast lost, full mesh");
        let mut figure = Figure::new(what, Duration::from_millis(promised));
        for _ in 0..rounds(1) {
            let _lossy = lan.inject(Fault::Loss(percent, Traffic::Multicast));
            let nodes = Crowd::join(&lan, &keygen());
            figure.between(nodes.started, nodes.meets(SOON + SOON));
            nodes.is_linked_once(&lan);
        }
    }
}

#[test]
fn lost_heartbeats_end_no_link() {
    if !require_root() {
        return;
    }
    let lan = Lan::new(4);
    let _lossy = lan.inject(Fault::Loss(50, Traffic::Multicast));
    let nodes = Crowd::join(&lan, &keygen());
    nodes.meets(SOON);
    // Three times the silence that is death; ten minutes in the long form.
    nodes[0].stays_silent(Duration::from_secs(if long() { 600 } else { 9 }));
    for node in nodes.iter() {
        assert_eq!((node.count("peer_up"), node.count("peer_down")), (3, 0), "{}", node.story());
    }
    nodes.is_linked_once(&lan);
}

#[test]
fn one_partner_that_all_name_is_enough_where_multicast_is_blocked() {
    if !require_root() {
        return;
    }
    let lan = Lan::new(16);
    let _blocked = lan.inject(Fault::NoMulticast);
    let mut full = Figure::new("row 2: 16 hosts, multicast blocked, one partner, full mesh", BLOCKED);
    for _ in 0..rounds(1) {
        let secret = keygen();
        // Host 1 as well: its own address among its partners is harmless. Without a port, of which the default is right.
        let first = lan.host(1).ipv4();
        let nodes = Crowd::start(lan.hosts().map(|host| partner(host, &secret, &first)), SOON);
        full.between(nodes.started, nodes.meets(SOON + SOON));
        nodes.found(|here, there| Some(if here == 1 || there == 1 { "partner" } else { "member" }));
        nodes.is_linked_once(&lan);
    }
}

#[test]
fn a_chain_of_partners_is_enough_where_multicast_is_blocked() {
    if !require_root() {
        return;
    }
    let (lan, secret) = (Lan::new(4), keygen());
    let _blocked = lan.inject(Fault::NoMulticast);
    // Each names the one before it. Whatever link comes first, nobody can tell of anybody across the missing ones.
    let before = |host: Host<'_>| lan.host(host.number().max(2) - 1).ipv4();
    let nodes = Crowd::start(lan.hosts().map(|host| partner(host, &secret, &before(host))), SOON);
    nodes.meets(SOON);
    nodes.found(|here, there| Some(if here.abs_diff(there) == 1 { "partner" } else { "member" }));
    nodes.is_linked_once(&lan);
}

#[test]
fn one_partner_across_the_router_is_enough_for_two_subnets() {
    if !require_root() {
        return;
    }
    let lan = Lan::subnets(&[3, 3]);
    let mut full = Figure::new("row 2: two subnets of 3 hosts, one partner, full mesh", BLOCKED);
    for _ in 0..rounds(1) {
        let secret = keygen();
        let commands = lan.hosts().map(|host| match host.number() {
            4 => partner(host, &secret, &lan.host(1).ipv4()),
            number => host.talkie("join", &secret).name(&format!("node-{number}")),
        });
        let nodes = Crowd::start(commands, SOON);
        full.between(nodes.started, nodes.meets(SOON));
        let first = |host: usize| host < 4;
        nodes.found(|here, there| match (here, there) {
            (1, 4) | (4, 1) => Some("partner"),
            (here, there) if first(here) != first(there) => Some("member"),
            // On one subnet a heartbeat and a member that heard it sooner may both be the first.
            _ => None,
        });
        for up in nodes.iter().flat_map(|node| node.events(&["peer_up"])) {
            assert!(up["via"] != "partner" || [&nodes[0], &nodes[3]].iter().any(|it| up["node"] == *it.id));
        }
        nodes.is_linked_once(&lan);
    }
}

#[test]
fn who_hears_nobody_says_so() {
    if !require_root() {
        return;
    }
    let (lan, secret) = (Lan::new(3), keygen());
    let _blocked = lan.inject(Fault::NoMulticast);
    let _barred = lan.inject(Fault::Barred(3));
    let from = Instant::now();
    let nodes = Crowd::join(&lan, &secret);
    // The first two are there for each other, and their own heartbeats come back to them. The third's do not.
    let [deaf, alone] =
        ["no heartbeat heard on eth0, not even my own", "no heartbeat of another host heard on eth0"];
    let mut told = Figure::new("row 2: multicast blocked, warned of", SILENCE_SAID);
    for (node, (said, unsaid)) in nodes.iter().zip([(alone, deaf), (alone, deaf), (deaf, alone)]) {
        node.expect_log(said, SILENCE_SAID + SLACK);
        told.between(from, Instant::now());
        let log = node.stderr();
        let line = log.lines().find(|line| line.contains(said)).unwrap();
        assert!(line.contains("WARN") && !log.contains(unsaid), "{log}");
        assert_eq!(node.count("peer_up"), 0, "{}", node.story());
    }
}

#[test]
fn partners_link_over_ipv6_alone() {
    if !require_root() {
        return;
    }
    let (lan, secret) = (Lan::new(2), keygen());
    let _blocked = lan.inject(Fault::NoMulticast);
    let _v4 = [1, 2].map(|host| lan.inject(Fault::NoIpv4(host, 0)));
    let partners = [format!("[{}]:{PORT}", lan.host(2).ipv6()), lan.host(1).ipv6()];
    let commands = lan.hosts().zip(&partners).map(|(host, of)| partner(host, &secret, of));
    let nodes = Crowd::start(commands, SOON);
    nodes.meets(SOON);
    let up = &nodes[0].events(&["peer_up"])[0];
    assert!(up["addr"].as_str().unwrap().starts_with("[fd77::2]"), "{up}");
}

#[test]
fn hosts_meet_over_the_families_that_they_share() {
    if !require_root() {
        return;
    }
    let lan = Lan::new(6);
    let all = |fault: fn(u8, u8) -> Fault| (1..=6).map(|host| lan.inject(fault(host, 0))).collect::<Vec<_>>();
    for (family, without) in [("IPv4", Fault::NoIpv6 as fn(u8, u8) -> Fault), ("IPv6", Fault::NoIpv4)] {
        let mut figure = Figure::new(format!("row 18: 6 hosts with {family} alone, full mesh"), FULL_MESH);
        let _without = all(without);
        for _ in 0..rounds(1) {
            let nodes = Crowd::join(&lan, &keygen());
            figure.between(nodes.started, nodes.meets(SOON));
            nodes.is_linked_once(&lan);
        }
    }
    // IPv6 as a network without a router has it: link-local addresses and nothing else.
    let mut figure = Figure::new("row 18: 6 hosts with link-local IPv6 alone, full mesh", FULL_MESH);
    lan.hosts().for_each(|host| host.ip(&["addr flush dev eth0 scope global"]));
    for _ in 0..rounds(1) {
        let nodes = Crowd::join(&lan, &keygen());
        figure.between(nodes.started, nodes.meets(SOON));
        let up = &nodes[0].events(&["peer_up"])[0];
        assert!(up["addr"].as_str().unwrap().starts_with("[fe80::"), "{up}");
        nodes.is_linked_once(&lan);
    }
}

#[test]
fn a_host_of_both_families_links_with_hosts_of_one() {
    if !require_root() {
        return;
    }
    let (lan, secret) = (Lan::new(3), keygen());
    let _faults = [Fault::NoIpv6(1, 0), Fault::NoIpv4(2, 0)].map(|fault| lan.inject(fault));
    let [v4, v6, both] = [1, 2, 3].map(|number| lan.host(number).join(&secret, &format!("node-{number}")));
    for (here, there, address) in
        [(&both, &v4, "10.77.0.1:"), (&both, &v6, "[f"), (&v4, &both, "10.77.0.3:"), (&v6, &both, "[f")]
    {
        let up = here.meets(there);
        assert!(up["addr"].as_str().unwrap().starts_with(address), "{up}");
    }
    // The other two share no family, and must not be told as up.
    both.leaves();
    for node in [&v4, &v6] {
        node.expect("peer_down", |line| line["node"] == *both.id, SOON);
        assert_eq!(node.count("peer_up"), 1, "{}", node.story());
    }
}

/// `talkie join` on this host with one partner.
fn partner(host: Host<'_>, secret: &str, partner: &str) -> talkie_tests::command::Talkie {
    host.talkie("join", secret).name(&format!("node-{}", host.number())).args(["--partners", partner])
}
