//! Meshes with other secrets, and attackers without any, on the same network.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    time::Duration,
};

use talkie_tests::{
    SOON,
    crowd::{Crowd, linked_once},
    hosts::{Host, Lan, require_root},
    mesh::{GROUP, keygen},
    stranger::{Flood, capture, eavesdrop, injector},
};

/// The port of a group that was told none.
const PORT: u16 = 8255;

#[test]
fn two_meshes_on_one_lan_never_link_and_never_dial_each_other() {
    if !require_root() {
        return;
    }
    let lan = Lan::new(16);
    let (ours, theirs): (Vec<u8>, Vec<u8>) = ((1..=8).collect(), (9..=16).collect());
    let dials = lan.count_dials(&ours, &theirs);
    let secrets = [keygen(), keygen()];
    let command = |host: Host<'_>| {
        let secret = &secrets[usize::from(host.number() > 8)];
        host.talkie("join", secret).name(&format!("node-{}", host.number()))
    };
    let nodes = Crowd::start(lan.hosts().map(command), SOON);
    let met = |mine: usize, others: usize| {
        for here in &nodes[mine..mine + 8] {
            here.expect_count("peer_up", 7, SOON + SOON);
            for there in &nodes[others..others + 8] {
                assert!(!here.story().contains(&there.id), "a node of the others: {}", here.story());
                assert!(!here.stderr().contains(there.joined["name"].as_str().unwrap()), "{}", here.stderr());
            }
        }
    };
    met(0, 8);
    met(8, 0);
    // Two more rounds of everybody's heartbeats.
    nodes[0].stays_silent(Duration::from_secs(3));
    met(0, 8);
    met(8, 0);
    linked_once(&lan, &ours);
    linked_once(&lan, &theirs);
    assert_eq!(dials.seen(), 0, "dials between the two");
    // The count counts: a partner is dialled whatever its secret.
    let address = lan.host(16).ipv4();
    let pusher =
        lan.host(1).talkie("join", &secrets[0]).name("pusher").args(["--partners", &address]).spawn();
    pusher.expect_log("another secret", SOON);
    assert!(dials.seen() > 0);
    assert!(nodes[8..].iter().all(|node| node.count("peer_up") == 7));
}

#[test]
fn a_flood_of_likely_heartbeats_keeps_no_newcomer_out() {
    if !require_root() {
        return;
    }
    let (lan, secret) = (Lan::new(3), keygen());
    let group = SocketAddrV4::new(GROUP, PORT);
    let address: Ipv4Addr = lan.host(3).ipv4().parse().unwrap();
    let (ear, attacker) = lan.host(3).within(|| (eavesdrop(group, address), injector(address)));
    let commands = [1, 2].map(|host| lan.host(host).talkie("join", &secret).name("node"));
    let nodes = Crowd::start(commands, SOON);
    nodes.meets(SOON);
    let memory = nodes[0].resident();
    // The right beginning and the right size: only the cipher tells that they are junk.
    let heartbeat = capture(&ear, 1).remove(0);
    let mut random = fastrand::Rng::new();
    let mut forged = || {
        let noise = std::iter::repeat_with(|| random.u8(..));
        heartbeat[..4].iter().copied().chain(noise).take(heartbeat.len()).collect()
    };
    let flood = Flood::start(attacker, group, std::iter::repeat_with(&mut forged).take(512).collect());
    for node in nodes.iter() {
        node.stays_silent(Duration::from_secs(2));
    }
    let newcomer = lan.host(2).join(&secret, "newcomer");
    for node in nodes.iter() {
        newcomer.meets(node);
        node.meets(&newcomer);
    }
    let sent = flood.end();
    assert!(sent > 10_000, "{sent} datagrams are no flood");
    let growth = nodes[0].resident().saturating_sub(memory);
    assert!(growth < 8 << 20, "{growth} bytes more");
    assert_eq!((nodes[0].count("peer_down"), nodes[1].count("peer_down")), (0, 0));
}
