//! Many nodes at the same moment. They take every processor there is, so one test runs at a time.
#![allow(clippy::disallowed_methods, reason = "promised delays are measured in real time")]

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use talkie_tests::{
    SOON,
    crowd::{Crowd, settles},
    figures::{Figure, long, rounds},
    hosts::{Host, Lan, require_root},
    ledger::Ledger,
    mesh::keygen,
    service::{SMALL, payload},
};

/// What a debug build on two busy processors may add to a storm, for each node in it: a handshake costs it
/// about five times what it costs a release build, and each node makes one with each other.
const SLACK_PER_NODE: Duration = Duration::from_millis(if cfg!(debug_assertions) { 150 } else { 20 });

/// Heartbeats a second of a whole mesh in one group, at most.
const MESH_RATE: f64 = 50.0;

/// Enough nodes that without slowing down there would be more than a seventh too many heartbeats.
const NODES: usize = 64;

/// How many of them start together.
const AT_ONCE: usize = 8;

/// Until the burst of heartbeats is over that each node begins with, and the first one at the steady pace.
const BURST: Duration = Duration::from_secs(3);

/// How long heartbeats are counted: about 400 by each group, of which jitter adds or takes a few.
const COUNTED: Duration = Duration::from_secs(8);

const SERVICE: &str = env!("CARGO_BIN_EXE_talkie-service");

/// One storm at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn two_that_dial_each_other_at_once_keep_one_link_and_lose_no_message() {
    /// At one a millisecond from the first word of each other on: far beyond any second link.
    const GREETINGS: u32 = 200;
    if !require_root() {
        return;
    }
    let _alone = alone();
    let lan = Lan::new(2);
    let mut linked = Figure::new("row 10: two started at once, linked", Duration::from_millis(500));
    let mut most = 0;
    for round in 0..rounds(if long() { 1000 } else { 20 }) {
        let secret = keygen();
        let dials = lan.count_dials(&[1], &[2]);
        let service = |host: Host<'_>| host.service(SERVICE, &secret, "node", "greeting", GREETINGS);
        let nodes = Crowd::start(lan.hosts().map(service), SOON);
        linked.between(nodes.started, nodes.meets(SOON));
        let mut ledger = Ledger::new();
        nodes.iter().for_each(|node| ledger.subscribes(&node.id, "greeting"));
        for (node, other) in [(&nodes[0], &nodes[1]), (&nodes[1], &nodes[0])] {
            node.expect_count("published", GREETINGS as usize, SOON);
            let published = node.events(&["published"]);
            // The other one is owed what was published since it was counted, which is once and for good.
            let first = published.iter().position(|line| line["nodes"] == 1).expect("it is counted");
            assert!(published[first..].iter().all(|line| line["nodes"] == 1), "{}", node.story());
            for (number, _) in published.iter().enumerate() {
                if number == first {
                    ledger.counted(&other.id, &node.id);
                }
                ledger.published(&node.id, "greeting", payload(number as u64, SMALL));
            }
        }
        let last = serde_json::Value::from(payload(u64::from(GREETINGS) - 1, SMALL));
        for node in nodes.iter() {
            for from in nodes.iter() {
                node.expect("message", |line| line["payload"] == last && line["node"] == *from.id, SOON);
            }
            ledger.printed_all(&node.id, node);
        }
        let totals = ledger.balance();
        assert_eq!((totals.missed, totals.uncounted), (0, 0), "round {round}: {totals:?}");
        settles(SOON, "one connection", || lan.host(1).connections().values().eq(&[1]));
        let dialled = dials.seen();
        most = most.max(dialled);
        assert!(dialled <= 2, "round {round}: {dialled} dials of one pair");
    }
    println!("{most} dials at most");
}

/// `count` processes on one host, started at once: everybody meets everybody, and each is linked once to each other.
fn storm(count: usize, promised: Duration) {
    let slack = SLACK_PER_NODE * u32::try_from(count).unwrap_or(u32::MAX);
    let lan = Lan::new(1);
    let mut full =
        Figure::new(format!("row 23: {count} processes on one host, full mesh"), promised).slack(slack);
    for _ in 0..rounds(1) {
        let secret = keygen();
        let commands =
            (0..count).map(|number| lan.host(1).talkie("join", &secret).name(&format!("node-{number}")));
        let nodes = Crowd::start(commands, promised + slack + SOON);
        full.between(nodes.started, nodes.meets(promised + slack + SOON));

        // Each link is two sockets of this host.
        let links = count * (count - 1);
        settles(SOON + slack, "one link for each pair", || lan.host(1).sockets() == links);

        let memory: u64 = nodes.iter().map(|node| node.resident()).sum();
        let cpu: Vec<Duration> = nodes.iter().map(|node| node.cpu()).collect();
        let mean = cpu.iter().sum::<Duration>() / u32::try_from(count).unwrap_or(u32::MAX);
        let most = cpu.iter().max().copied().unwrap_or_default();
        println!(
            "{count} nodes: {} KiB each, CPU {mean:?} each and {most:?} at most",
            memory / 1024 / count as u64
        );
        assert!(
            most < 2 * mean + Duration::from_millis(300),
            "{most:?} of processor time, {mean:?} on average"
        );
        for node in nodes.iter() {
            assert_eq!((node.count("peer_up"), node.count("peer_down")), (count - 1, 0), "{}", node.story());
        }
    }
}

#[test]
fn a_cold_start_of_many_processes_ends_in_one_mesh() {
    if !require_root() {
        return;
    }
    let _alone = alone();
    storm(16, Duration::from_secs(1));
    if long() {
        storm(64, Duration::from_secs(3));
        storm(256, Duration::from_secs(15));
    } else {
        storm(32, Duration::from_secs(2));
    }
}

#[test]
fn heartbeats_slow_down_with_the_size_of_the_mesh() {
    if !require_root() {
        return;
    }
    let _alone = alone();
    let (lan, secret) = (Lan::new(1), keygen());
    let mut nodes = Vec::new();
    // Few at a time: what matters here is how many there are in the end.
    for _ in 0..NODES / AT_ONCE {
        let commands = (0..AT_ONCE).map(|_| lan.host(1).talkie("join", &secret).name("node"));
        nodes.push(Crowd::start(commands, SOON));
        let others = nodes.len() * AT_ONCE - 1;
        for node in nodes.iter().flat_map(|crowd| crowd.iter()) {
            node.expect_count("peer_up", others, SOON + SOON);
        }
    }
    // Past the burst, and whatever pace was set before the last ones came.
    let clock = nodes.first().and_then(|crowd| crowd.first()).expect("a node");
    clock.stays_silent(BURST);
    let heartbeats = lan.count_heartbeats();
    let from = Instant::now();
    clock.stays_silent(COUNTED);
    for group in heartbeats {
        let pace = group.seen() as f64 / from.elapsed().as_secs_f64();
        println!("{NODES} nodes: {pace:.1} heartbeats a second");
        assert!((MESH_RATE * 0.85..MESH_RATE * 1.15).contains(&pace), "{pace} heartbeats a second");
    }
}
