//! Hosts on a bridge: what happens between machines. Needs root and network namespaces.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    time::Duration,
};

use nix::sys::signal::Signal;
use serde_json::Value;
use talkie_tests::{
    SLACK, SOON,
    feeder::Feeder,
    hosts::{Lan, require_root},
    ledger::{Ledger, Totals},
    mesh::{GROUP, Member, keygen},
    stranger::{Flood, capture, eavesdrop, injector},
};

/// The port of a node that was told none and is the first of its host.
const PORT: u16 = 8255;

/// A cut: three times as long as silence is borne, so that both sides are told and resume later.
const CUT: Duration = Duration::from_secs(10);

/// Silence is death after 3 s, told within 3.5 s.
const SILENCE_TOLD: Duration = Duration::from_millis(3500);

#[test]
fn three_hosts_meet_by_multicast_alone() {
    if !require_root("three_hosts_meet_by_multicast_alone") {
        return;
    }
    let (lan, secret) = (Lan::new(3), keygen());
    let nodes = everywhere(&lan, &secret, &[]);
    all_meet(&nodes);
    for (host, node) in lan.hosts().zip(&nodes) {
        assert_eq!(node.port(), PORT, "the default port: {}", node.joined);
        let told = node.joined["listen"].to_string();
        for address in [format!("{}:{PORT}", host.ipv4()), format!("[{}]:{PORT}", host.ipv6())] {
            assert!(told.contains(&address), "{address} in {told}");
        }
        for up in node.events(&["peer_up"]) {
            assert_eq!(up["via"], "multicast", "{up}");
        }
    }
    // And they talk.
    let sub = lan.host(3).sub(&secret, "sub", "orders/*");
    lan.host(1).talkie("pub", &secret).args(["orders/42", "hello"]).run().exits(0);
    assert_eq!(sub.next("message")["payload"], "hello");
}

#[test]
fn one_partner_each_is_enough_where_multicast_is_blocked() {
    if !require_root("one_partner_each_is_enough_where_multicast_is_blocked") {
        return;
    }
    let (lan, secret) = (Lan::new(3), keygen());
    lan.block_multicast();
    // In a ring; without a port, of which the default is right.
    let partners: Vec<String> = [2, 3, 1].map(|next| lan.host(next).ipv4()).into();
    let nodes = everywhere(&lan, &secret, &partners);
    all_meet(&nodes);
    for node in &nodes {
        for up in node.events(&["peer_up"]) {
            assert_ne!(up["via"], "multicast", "{up}");
        }
    }
}

#[test]
fn partners_link_over_ipv6_alone() {
    if !require_root("partners_link_over_ipv6_alone") {
        return;
    }
    let (lan, secret) = (Lan::new(2), keygen());
    lan.block_multicast();
    lan.hosts().for_each(|host| host.without_ipv4());
    let partners = [format!("[{}]:{PORT}", lan.host(2).ipv6()), lan.host(1).ipv6()];
    let nodes = everywhere(&lan, &secret, &partners);
    all_meet(&nodes);
    let up = &nodes[0].events(&["peer_up"])[0];
    assert!(up["addr"].as_str().unwrap().starts_with("[fd77::2]"), "{up}");
}

#[test]
fn a_cut_between_two_hosts_loses_nothing_silently_and_the_third_notices_nothing() {
    if !require_root("a_cut_between_two_hosts_loses_nothing_silently_and_the_third_notices_nothing") {
        return;
    }
    let (lan, secret) = (Lan::new(3), keygen());
    let run = Run::start(&lan, &secret, 1000);
    let (far, third) = (&run.far, &run.third);
    lan.isolate(1, 2);
    let down = far.expect("peer_down", |line| line["node"] == *run.publisher, SOON);
    assert_eq!(down["reason"], "timeout");
    stays_well_for(third, CUT - SILENCE_TOLD);
    lan.rejoin(1, 2);
    far.expect("peer_up", |line| line["node"] == *run.publisher, SOON);
    progresses(far);

    let third_downs = third.events(&["peer_down"]);
    assert_eq!((third_downs, third.count("gap")), (vec![], 0), "{}", third.story());
    let (totals, third_got, count) = run.balance();
    assert_eq!(third_got, count, "the third host has everything");
    assert_eq!(totals.uncounted, 0, "what is missing is counted exactly");
}

#[test]
fn a_pulled_cable_is_told_and_what_was_owed_arrives_when_it_is_back() {
    if !require_root("a_pulled_cable_is_told_and_what_was_owed_arrives_when_it_is_back") {
        return;
    }
    let (lan, secret) = (Lan::new(3), keygen());
    let run = Run::start(&lan, &secret, 200);
    let (far, third) = (&run.far, &run.third);
    let far_id = far.id.clone();
    lan.host(2).carrier_off();
    third.expect("peer_down", |line| line["node"] == *far_id && line["reason"] == "timeout", SOON);
    far.expect("peer_down", |line| line["node"] == *run.publisher, SOON);
    progresses(third);
    lan.host(2).carrier_on();
    for (here, there) in [(far, &run.publisher), (third, &far_id)] {
        here.expect("peer_up", |line| line["node"] == **there, SOON);
    }
    progresses(far);
    let (totals, third_got, count) = run.balance();
    assert_eq!(third_got, count);
    assert_eq!(totals, Totals { delivered: 2 * count, ..Totals::default() }, "a few seconds' worth is kept");
}

#[test]
fn links_reset_under_load_lose_nothing() {
    if !require_root("links_reset_under_load_lose_nothing") {
        return;
    }
    let (lan, secret) = (Lan::new(3), keygen());
    let run = Run::start(&lan, &secret, 1000);
    for _ in 0..10 {
        lan.host(1).reset(lan.host(2));
        // The link is there again, or a hundred messages would not come in.
        progresses(&run.far);
    }
    let (totals, third_got, count) = run.balance();
    assert_eq!(third_got, count);
    assert_eq!(totals, Totals { delivered: 2 * count, ..Totals::default() });
}

#[test]
fn sigkill_is_told_at_once_between_hosts() {
    if !require_root("sigkill_is_told_at_once_between_hosts") {
        return;
    }
    let (lan, secret) = (Lan::new(3), keygen());
    let nodes = everywhere(&lan, &secret, &[]);
    all_meet(&nodes);
    let at = nodes[0].kill();
    for other in &nodes[1..] {
        let down = other.expect_line("peer_down", |line| line["node"] == *nodes[0].id, SOON);
        assert_eq!(down.json.unwrap()["reason"], "closed");
        assert!(down.at - at < Duration::from_millis(100) + SLACK, "{:?}", down.at - at);
    }
    let again = lan.host(1).join(&secret, "node");
    for other in &nodes[1..] {
        other.meets(&again);
    }
}

#[test]
fn a_freeze_is_told_and_ends_between_hosts() {
    if !require_root("a_freeze_is_told_and_ends_between_hosts") {
        return;
    }
    let (lan, secret) = (Lan::new(3), keygen());
    let nodes = everywhere(&lan, &secret, &[]);
    all_meet(&nodes);
    let at = nodes[0].signal(Signal::SIGSTOP);
    for other in &nodes[1..] {
        let down = other.expect_line("peer_down", |line| line["node"] == *nodes[0].id, SOON);
        assert_eq!(down.json.unwrap()["reason"], "timeout");
        assert!(down.at - at < SILENCE_TOLD + SLACK, "{:?}", down.at - at);
    }
    let at = nodes[0].signal(Signal::SIGCONT);
    for other in &nodes[1..] {
        let up = other.expect_line("peer_up", |line| line["node"] == *nodes[0].id, SOON);
        assert!(up.at - at < Duration::from_secs(1) + SLACK, "{:?}", up.at - at);
    }
    // The two that stayed awake never lost each other.
    assert_eq!((nodes[1].count("peer_down"), nodes[2].count("peer_down")), (1, 1));
}

#[test]
fn a_host_without_power_is_told_by_its_silence() {
    if !require_root("a_host_without_power_is_told_by_its_silence") {
        return;
    }
    let (lan, secret) = (Lan::new(3), keygen());
    let nodes = everywhere(&lan, &secret, &[]);
    all_meet(&nodes);
    // First the cable, so that the end of the process says nothing to anybody.
    lan.host(1).carrier_off();
    let at = nodes[0].kill();
    for other in &nodes[1..] {
        let down = other.expect_line("peer_down", |line| line["node"] == *nodes[0].id, SOON);
        assert_eq!(down.json.unwrap()["reason"], "timeout");
        assert!(down.at - at < SILENCE_TOLD + SLACK, "{:?}", down.at - at);
    }
}

#[test]
fn two_secrets_on_one_lan_never_meet() {
    if !require_root("two_secrets_on_one_lan_never_meet") {
        return;
    }
    let (lan, ours, theirs) = (Lan::new(3), keygen(), keygen());
    let our_nodes = everywhere(&lan, &ours, &[]);
    let their_nodes = everywhere(&lan, &theirs, &[]);
    all_meet(&our_nodes);
    all_meet(&their_nodes);
    // A last one of each, met by all, so that every heartbeat of before was long heard.
    for (secret, nodes) in [(&ours, &our_nodes), (&theirs, &their_nodes)] {
        let last = lan.host(1).join(secret, "last");
        nodes.iter().for_each(|node| drop(node.meets(&last)));
    }
    for node in our_nodes.iter().chain(&their_nodes) {
        assert_eq!(node.count("peer_up"), 3, "two of its own and the last one\n{}", node.story());
    }
}

#[test]
fn a_node_that_starts_before_its_network_joins_when_it_comes() {
    if !require_root("a_node_that_starts_before_its_network_joins_when_it_comes") {
        return;
    }
    let (lan, secret) = (Lan::new(2), keygen());
    lan.host(1).carrier_off();
    let early = lan.host(1).join(&secret, "early");
    let other = lan.host(2).join(&secret, "other");
    lan.host(1).carrier_on();
    early.meets(&other);
    other.meets(&early);
}

#[test]
fn a_flood_of_likely_heartbeats_keeps_no_newcomer_out() {
    if !require_root("a_flood_of_likely_heartbeats_keeps_no_newcomer_out") {
        return;
    }
    let (lan, secret) = (Lan::new(3), keygen());
    let group = SocketAddrV4::new(GROUP, PORT);
    let address: Ipv4Addr = lan.host(3).ipv4().parse().unwrap();
    let (ear, attacker) = lan.host(3).within(|| (eavesdrop(group, address), injector(address)));
    let nodes = [lan.host(1).join(&secret, "one"), lan.host(2).join(&secret, "two")];
    all_meet(&nodes);
    let memory = nodes[0].resident();
    // The right beginning and the right size: only the cipher tells that they are junk.
    let heartbeat = capture(&ear, 1).remove(0);
    let mut random = fastrand::Rng::new();
    let mut forged = || {
        let noise = std::iter::repeat_with(|| random.u8(..));
        heartbeat[..4].iter().copied().chain(noise).take(heartbeat.len()).collect()
    };
    let flood = Flood::start(attacker, group, std::iter::repeat_with(&mut forged).take(512).collect());
    for node in &nodes {
        node.stays_silent(Duration::from_secs(2));
    }
    let newcomer = lan.host(2).join(&secret, "newcomer");
    for node in &nodes {
        newcomer.meets(node);
        node.meets(&newcomer);
    }
    let sent = flood.end();
    assert!(sent > 10_000, "{sent} datagrams are no flood");
    let growth = nodes[0].resident().saturating_sub(memory);
    assert!(growth < 8 << 20, "{growth} bytes more");
    assert_eq!((nodes[0].count("peer_down"), nodes[1].count("peer_down")), (0, 0));
}

/// A node on each host, with a partner each where some are named.
fn everywhere(lan: &Lan, secret: &str, partners: &[String]) -> Vec<Member> {
    let start = |(index, host): (usize, talkie_tests::hosts::Host<'_>)| {
        let command = host.talkie("join", secret).name(&format!("node-{}", index + 1));
        Member::start(match partners.get(index) {
            Some(partner) => command.args(["--partners", partner]),
            None => command,
        })
    };
    lan.hosts().enumerate().map(start).collect()
}

fn all_meet(nodes: &[Member]) {
    for here in nodes {
        for there in nodes.iter().filter(|there| there.id != here.id) {
            here.meets(there);
        }
    }
}

/// A publisher on host 1 under load, a subscriber on host 2 that will be cut off, one on host 3 that will not.
struct Run {
    publisher: String,
    process: talkie_tests::process::Process,
    feeder: Feeder,
    far: Member,
    third: Member,
}

impl Run {
    fn start(lan: &Lan, secret: &str, per_second: u32) -> Self {
        let far = lan.host(2).sub(secret, "far", "t");
        let third = lan.host(3).sub(secret, "third", "t");
        let publisher = lan.host(1).talkie("pub", secret).name("pub");
        let mut process = publisher.args(["t", "-", "--subscribers", "2"]).spawn();
        let feeder = Feeder::start(process.take_stdin(), per_second, |number| number.to_string());
        for sub in [&far, &third] {
            sub.expect_count("message", per_second as usize / 2, SOON);
        }
        let up = far.expect("peer_up", |line| line["name"] == "pub", SOON);
        let publisher = up.get("node").and_then(Value::as_str).unwrap_or_default().to_owned();
        Self { publisher, process, feeder, far, third }
    }

    /// Ends the load and checks every message: the totals, what the third host got, and what was published.
    fn balance(self) -> (Totals, u64, u64) {
        let count = self.feeder.finish(SOON);
        let mut ledger = Ledger::new();
        (0..count).for_each(|number| ledger.published(&self.publisher, "t", number.to_string()));
        let last = (count - 1).to_string();
        for (name, sub) in [("far", &self.far), ("third", &self.third)] {
            sub.expect("message", |line| line.get("payload") == Some(&last.clone().into()), SOON);
            ledger.subscribes(name, "t");
            ledger.printed_all(name, sub);
        }
        self.process.wait(SOON);
        let totals = ledger.balance();
        println!("{count} published to each of two hosts: {totals:?}");
        (totals, self.third.count("message") as u64, count)
    }
}

/// A hundred messages more come in.
fn progresses(sub: &Member) {
    let so_far = sub.count("message");
    sub.expect_count("message", so_far + 100, SOON);
}

/// For this long, the length of a fault elsewhere, a thousand messages a second keep coming in.
fn stays_well_for(sub: &Member, fault: Duration) {
    // The load is the clock.
    for _ in 0..fault.as_millis() / 500 {
        let so_far = sub.count("message");
        sub.expect_count("message", so_far + 500, Duration::from_millis(500) + SLACK);
    }
}
