//! Interfaces that come late, go, change and are many.
#![allow(clippy::disallowed_methods, reason = "promised delays are measured in real time")]

use std::time::{Duration, Instant};

use talkie_tests::{
    SOON,
    crowd::{Crowd, settles},
    figures::{Figure, rounds},
    hosts::{Fault, Lan, require_root},
    ledger::Totals,
    load::{Load, balance, progresses},
    mesh::{Member, keygen},
};

/// How soon a host is linked whose interface came, or came back.
const JOINED: Duration = Duration::from_secs(2);

/// After this an address that a host has no more is of no use to anybody. Thirty seconds are promised.
const FORGOTTEN: Duration = Duration::from_secs(10);

/// How soon a link moves to another network when its own is cut: when silence is told as death.
const FAILOVER: Duration = Duration::from_millis(3200);

/// Both tell of each other; how long that took since `there`.
fn met(early: &Member, other: &Member, there: Instant, joined: &mut Figure) {
    for (here, there_id) in [(early, &other.id), (other, &early.id)] {
        let up = here.expect_line("peer_up", |line| line["node"] == **there_id, SOON);
        joined.between(there, up.at);
    }
}

#[test]
fn a_node_that_starts_before_its_network_says_so_and_joins_when_it_comes() {
    if !require_root() {
        return;
    }
    let (lan, secret) = (Lan::new(2), keygen());
    let other = lan.host(2).join(&secret, "other");
    let mut joined =
        Figure::new("row 17: started without a network, joined after it came", Duration::from_secs(1));
    for fault in [Fault::NoInterface(1, 0), Fault::InterfaceDown(1, 0), Fault::NoCarrier(1, 0)] {
        for _ in 0..rounds(1) {
            let has_interface = matches!(fault, Fault::NoCarrier(..));
            let without = lan.inject(fault.clone());
            let early =
                Member::start(lan.host(1).talkie("join", &secret).name("early").args(["--log", "info"]));
            if !has_interface {
                early.expect_log("waiting for a network", SOON);
            }
            let there = without.heal();
            met(&early, &other, there, &mut joined);
            early.leaves();
        }
    }
}

#[test]
fn a_node_with_an_idle_bridge_alone_says_that_it_waits_and_joins_when_a_network_comes() {
    if !require_root() {
        return;
    }
    let (lan, secret) = (Lan::new(2), keygen());
    // As a container engine has it that runs nothing: up, with an address, and without a carrier.
    lan.host(1).ip(&[
        "link add docker0 type bridge",
        "addr add 172.17.0.1/16 dev docker0",
        "link set docker0 up",
        // A bridge that never had a port passes for one with a carrier.
        "link add port0 type veth peer name port1",
        "link set port0 master docker0",
        "link set port0 up",
        "link del port0",
    ]);
    let other = lan.host(2).join(&secret, "other");
    let mut joined =
        Figure::new("row 17: started with an idle docker0 alone, joined", Duration::from_secs(1));
    for _ in 0..rounds(1) {
        let without = lan.inject(Fault::NoInterface(1, 0));
        let early = Member::start(lan.host(1).talkie("join", &secret).name("early").args(["--log", "info"]));
        early.expect_log("waiting for a network", SOON);
        let there = without.heal();
        met(&early, &other, there, &mut joined);
        early.leaves();
    }
}

#[test]
fn an_interface_that_is_added_later_is_joined() {
    if !require_root() {
        return;
    }
    let lan = Lan::multi_homed(3, 2);
    let mut joined = Figure::new("row 16: second interface added, joined", JOINED);
    for _ in 0..rounds(1) {
        let secret = keygen();
        // Host 1 is on the first switch alone, host 2 on the second: they do not meet yet.
        let (_one, two) = (lan.inject(Fault::NoInterface(2, 0)), lan.inject(Fault::NoInterface(1, 1)));
        let _third = lan.inject(Fault::PowerOff(3));
        let nodes = [1, 2].map(|host| lan.host(host).join(&secret, "node"));
        nodes[0].stays_silent(Duration::from_secs(1));
        let there = two.heal();
        for (here, other) in [(0, 1), (1, 0)] {
            let up = nodes[here].expect_line("peer_up", |line| line["node"] == *nodes[other].id, SOON);
            joined.between(there, up.at);
        }
    }
}

#[test]
fn an_interface_that_is_made_anew_is_joined_again() {
    if !require_root() {
        return;
    }
    let lan = Lan::new(3);
    let mut joined = Figure::new("row 16: interface re-created, linked again", JOINED);
    let mut met = Figure::new("row 16: interface re-created, a newcomer met", JOINED);
    for _ in 0..rounds(1) {
        let secret = keygen();
        let subs = [2, 3].map(|host| lan.host(host).sub(&secret, "sub", "t"));
        let load = Load::start(lan.host(1), &secret, "pub", 200, &[&subs[0], &subs[1]]);
        let gone = lan.inject(Fault::NoInterface(2, 0));
        // The kernel told; whoever comes now must be found by a heartbeat on the new one.
        load.flows(&subs[1], Duration::from_millis(500));
        let there = gone.heal();
        joined.between(there, load.arrives(&subs[0]));
        let started = Instant::now();
        let newcomer = lan.host(3).join(&secret, "newcomer");
        met.between(started, subs[0].expect_line("peer_up", |line| line["node"] == *newcomer.id, SOON).at);
        progresses(&subs[0]);
        let (totals, count) = balance(vec![load], &[&subs[0], &subs[1]]);
        assert_eq!(totals, Totals { delivered: 2 * count, ..Totals::default() });
    }
}

#[test]
fn who_is_deaf_on_a_new_interface_would_meet_nobody() {
    if !require_root() {
        return;
    }
    let lan = Lan::new(2);
    let mut met = Figure::new("row 16: interface re-created, a newcomer heard there", JOINED);
    for _ in 0..rounds(1) {
        let secret = keygen();
        // Nobody hears host 1 and nobody else is there to tell of it: it meets whom it hears itself, or nobody.
        let _mute = lan.inject(Fault::Mute(1));
        let old = lan.host(1).join(&secret, "old");
        lan.inject(Fault::NoInterface(1, 0)).heal();
        // Past the burst of heartbeats that a change begins with.
        old.stays_silent(Duration::from_secs(1));
        let started = Instant::now();
        let newcomer = lan.host(2).join(&secret, "newcomer");
        let up = old.expect_line("peer_up", |line| line["node"] == *newcomer.id, SOON);
        met.between(started, up.at);
        assert_eq!(up.json.unwrap()["via"], "multicast");
    }
}

#[test]
fn a_host_that_changes_its_addresses_is_linked_from_the_new_ones() {
    if !require_root() {
        return;
    }
    let lan = Lan::new(3);
    // Link-local ones do not change, and would be a way past the change.
    lan.hosts().for_each(|host| host.ip(&["addr flush dev eth0 to fe80::/10"]));
    let mut moved = Figure::new("row 15: address changed, messages flow again", JOINED);
    for _ in 0..rounds(1) {
        let secret = keygen();
        let subs = [2, 3].map(|host| lan.host(host).sub(&secret, "sub", "t"));
        let load = Load::start(lan.host(1), &secret, "pub", 200, &[&subs[0], &subs[1]]);
        let changed = lan.inject(Fault::Readdress(2, 0));
        moved.between(changed.at, load.arrives(&subs[0]));
        progresses(&subs[0]);
        // Whoever asks now is given the new addresses.
        let list = lan.host(3).talkie("peers", &secret).args(["--json"]).run().exits(0);
        let addr =
            list.json().into_iter().find(|line| line["node"] == *subs[0].id).map(|line| line["addr"].clone());
        let addr = addr.unwrap_or_default().to_string();
        assert!(["10.77.0.102:", "[fd77::66]:"].iter().any(|new| addr.contains(new)), "{addr}");
        let downs =
            subs[1].events(&["peer_down"]).into_iter().filter(|line| line["node"] == *subs[0].id).count();
        assert!(downs <= 1, "one change is told once at most\n{}", subs[1].story());

        // The old ones are forgotten: when it is looked for everywhere, nobody asks for them any more.
        load.flows(&subs[0], FORGOTTEN.saturating_sub(changed.at.elapsed()));
        let (old, new) = (lan.count_questions(2, 0), lan.count_questions(102, 0));
        let cut = lan.inject(Fault::Cut(2, 0));
        // Or the kernel would know the answer, and not ask.
        for host in [1, 3] {
            lan.host(host).ip(&["neigh flush dev eth0"]);
        }
        let lost = |line: &serde_json::Value| line["node"] == *subs[0].id && line["reason"] == "timeout";
        subs[1].expect("peer_down", lost, SOON);
        load.flows(&subs[1], Duration::from_secs(2));
        assert!(new.seen() > 0, "it is looked for");
        assert_eq!(old.seen(), 0, "who has the addresses of before?");
        cut.heal();
        progresses(&subs[0]);
        let (totals, count) = balance(vec![load], &[&subs[0], &subs[1]]);
        assert_eq!(totals, Totals { delivered: 2 * count, ..Totals::default() });
    }
}

#[test]
fn a_host_on_two_lans_is_linked_once_and_fails_over() {
    if !require_root() {
        return;
    }
    let lan = Lan::multi_homed(3, 2);
    let mut moved = Figure::new("row 19: first LAN cut, messages flow over the second", FAILOVER);
    for _ in 0..rounds(1) {
        let secret = keygen();
        let subs = [2, 3].map(|host| lan.host(host).sub(&secret, "sub", "t"));
        let load = Load::start(lan.host(1), &secret, "pub", 200, &[&subs[0], &subs[1]]);
        subs[0].expect_count("peer_up", 2, SOON);
        // The publisher, and the subscriber on its host where there is one: one connection for each pair of nodes.
        settles(SOON, "one connection each", || lan.host(1).connections().values().eq(&[1, 1]));
        // First the LAN that the link to host 2 uses, whichever it is, then the other one.
        for switch in [0, 1] {
            let cut = lan.inject(Fault::Cut(2, switch));
            moved.between(cut.at, load.arrives(&subs[0]));
            progresses(&subs[0]);
            cut.heal();
            progresses(&subs[0]);
        }
        settles(SOON, "one connection each", || lan.host(1).connections().values().eq(&[1, 1]));
        // Both interfaces of host 2 were cut once: it may be told down once for each.
        assert!(subs[1].count("peer_down") <= 2, "{}", subs[1].story());
        let (totals, count) = balance(vec![load], &[&subs[0], &subs[1]]);
        assert_eq!(totals, Totals { delivered: 2 * count, ..Totals::default() });
    }
}

#[test]
fn a_bridge_of_containers_with_the_same_address_everywhere_is_no_obstacle() {
    if !require_root() {
        return;
    }
    let lan = Lan::new(4);
    for host in lan.hosts() {
        host.ip(&[
            "link add docker0 type bridge",
            "addr add 172.17.0.1/16 dev docker0",
            "link set docker0 up",
        ]);
    }
    let mut full = Figure::new("row 19: 4 hosts with a docker0 each, full mesh", Duration::from_secs(1));
    for _ in 0..rounds(1) {
        let nodes = Crowd::join(&lan, &keygen());
        full.between(nodes.started, nodes.meets(SOON));
        for up in nodes.iter().flat_map(|node| node.events(&["peer_up"])) {
            assert!(!up["addr"].as_str().unwrap().starts_with("172.17."), "{up}");
        }
        nodes.is_linked_once(&lan);
        assert!(nodes.iter().all(|node| !node.stderr().contains("WARN")), "{}", nodes[0].story());
    }
}

#[test]
fn heartbeats_stay_off_a_point_to_point_interface() {
    if !require_root() {
        return;
    }
    let (lan, secret) = (Lan::new(2), keygen());
    for host in lan.hosts() {
        host.ip(&[
            "tuntap add dev tun0 mode tun",
            "addr add 10.99.0.1 peer 10.99.0.2 dev tun0",
            "link set tun0 up",
        ]);
    }
    let command = |host: talkie_tests::hosts::Host<'_>| {
        host.talkie("join", &secret).name("node").args(["--log", "debug"])
    };
    let nodes = Crowd::start(lan.hosts().map(command), SOON);
    nodes.meets(SOON);
    for node in nodes.iter() {
        node.expect_log("on eth0", SOON);
        assert!(!node.stderr().contains("tun0"), "{}", node.story());
    }
}
