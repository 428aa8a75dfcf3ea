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
    hosts::{Lan, require_root},
    ledger::{Ledger, Totals},
    mesh::{Member, keygen},
};

/// What a debug build on two busy processors may add to a storm, for each node in it: a handshake costs it
/// about five times what it costs a release build, and each node makes one with each other.
const SLACK_PER_NODE: Duration = Duration::from_millis(if cfg!(debug_assertions) { 150 } else { 20 });

/// One storm at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn two_that_dial_each_other_at_once_keep_one_link_and_lose_no_message() {
    const MESSAGES: u64 = 50;
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
        let commands = [
            lan.host(1).talkie("sub", &secret).name("sub").arg("t"),
            lan.host(2).talkie("sub", &secret).name("other").arg("t"),
        ];
        let nodes = Crowd::start(commands, SOON);
        linked.between(nodes.started, nodes.meets(SOON));
        settles(SOON, "one connection", || lan.host(1).connections().values().eq(&[1]));
        let dialled = dials.seen();
        most = most.max(dialled);
        assert!(dialled <= 2, "round {round}: {dialled} dials of one pair");

        // The publisher starts with them, in the next storm of the same round.
        let more = [
            lan.host(2).talkie("sub", &secret).name("late").arg("t"),
            lan.host(1).talkie("pub", &secret).name("pub").args(["t", "-", "--subscribers", "3"]),
        ];
        let [late, mut publisher] = more.map(|command| command.held().spawn());
        for process in [&late, &publisher] {
            settles(SOON, "waits", || process.waits_to_be_let_go());
        }
        let mut stdin = publisher.take_stdin();
        let mut late = late;
        late.feed("");
        let lines: String = (0..MESSAGES).map(|number| format!("{number}\n")).collect();
        std::io::Write::write_all(&mut stdin, format!("\n{lines}").as_bytes()).unwrap();
        drop(stdin);
        let late = Member::joined(late, SOON);
        publisher.exits(0, SOON);
        let mut ledger = Ledger::new();
        let last = serde_json::Value::from((MESSAGES - 1).to_string());
        for sub in [&nodes[0], &nodes[1], &late] {
            let line = sub.expect("message", |line| line["payload"] == last, SOON);
            let id = line["node"].as_str().unwrap().to_owned();
            if sub.id == nodes[0].id {
                (0..MESSAGES).for_each(|number| ledger.published(&id, "t", number.to_string()));
            }
            ledger.subscribes(&sub.id, "t");
            ledger.printed_all(&sub.id, sub);
        }
        assert_eq!(ledger.balance(), Totals { delivered: 3 * MESSAGES, ..Totals::default() });
    }
    println!("{most} dials at most");
}

/// `count` processes on one host, started at once: everybody meets everybody, heartbeats grow quiet, and each is
/// linked once to each other.
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
        let heartbeats = lan.host(1).count_heartbeats();
        let (from, quiet) = (Instant::now(), Duration::from_secs(4));
        nodes.iter().take(1).for_each(|node| node.stays_silent(quiet));
        let pace = heartbeats.seen() as f64 / from.elapsed().as_secs_f64();
        println!(
            "{count} nodes: {} KiB each, CPU {mean:?} each and {most:?} at most, {pace:.0} heartbeats a second",
            memory / 1024 / count as u64
        );
        // Heartbeats go out by loopback and the cable, over two families: four copies of each.
        assert!(pace <= 4.0 * 50.0 * 1.25, "{pace} heartbeats a second");
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
