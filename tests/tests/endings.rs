//! How nodes end, stand still and leave, and what others are told of it.
#![allow(clippy::disallowed_methods, reason = "promised delays are measured in real time")]

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use talkie_tests::{
    SOON,
    crowd::{Baseline, Crowd},
    figures::{Figure, rounds},
    hosts::{Fault, Lan, require_root},
    ledger::Ledger,
    load::{Load, balance, progresses},
    mesh::{Member, keygen},
    service::Steady,
};

/// How soon the end of a process is told whose kernel closes its connections.
const CLOSED_TOLD: Duration = Duration::from_millis(100);

/// How soon silence is told as death: it is noticed after 3 s, looked for every 50 ms.
const SILENCE_TOLD: Duration = Duration::from_millis(3200);

/// As above where the last word may be half a second younger than the silence's cause.
const FREEZE_TOLD: Duration = Duration::from_millis(3500);

/// How soon a node is linked that starts, or starts again.
const LINKED: Duration = Duration::from_secs(1);

/// How long a node that leaves may take to hand over what it published.
const DRAINED: Duration = Duration::from_secs(5);

/// And what it takes from there to the end of its process.
const GIVEN_UP: Duration = Duration::from_millis(500);

/// What an idle node may use of one processor. A release build uses a fifth of what a debug build does.
const IDLE_PERCENT: u32 = 1;

const SERVICE: &str = env!("CARGO_BIN_EXE_talkie-service");

#[test]
fn a_killed_process_is_told_at_once_and_its_successor_is_another_node() {
    if !require_root() {
        return;
    }
    let (lan, secret) = (Lan::new(3), keygen());
    let watchers = [2, 3].map(|number| lan.host(number).join(&secret, "watcher"));
    let mut gone = Figure::new("row 6: kill -9, told", CLOSED_TOLD);
    let mut back = Figure::new("row 6: restarted, linked", LINKED);
    let mut victim = lan.host(1).sub(&secret, "phoenix", "old");
    watchers.iter().for_each(|watcher| drop(watcher.meets(&victim)));
    for round in 0..rounds(3) {
        let killed = lan.inject_for_good(Fault::Kill(1));
        for watcher in &watchers {
            let down = watcher.expect_line("peer_down", |line| line["node"] == *victim.id, SOON);
            assert_eq!(down.json.unwrap()["reason"], "closed");
            gone.between(killed, down.at);
        }
        // What it wanted before it wants no more.
        let (old, new) = if round % 2 == 0 { ("old", "new") } else { ("new", "old") };
        let process = lan.host(1).talkie("sub", &secret).name("phoenix").arg(new);
        let started = Instant::now();
        let successor = Member::start(process);
        assert_ne!(successor.id, victim.id);
        for watcher in &watchers {
            let up = watcher.expect_line("peer_up", |line| line["node"] == *successor.id, SOON);
            back.between(started, up.at);
        }
        lan.host(2).talkie("pub", &secret).args([new, "x"]).run().exits(0);
        assert_eq!(successor.next("message")["topic"], new);
        lan.host(2).talkie("pub", &secret).args([old, "x", "--timeout", "1"]).run().exits(1);
        victim = successor;
    }
}

#[test]
fn a_publisher_outlives_its_subscriber_and_counts_its_successor_once() {
    if !require_root() {
        return;
    }
    let (lan, secret) = (Lan::new(2), keygen());
    let mut flows =
        Figure::new("row 6: subscriber killed, its successor has messages after its start", LINKED);
    let mut sub = lan.host(1).sub(&secret, "phoenix", "t");
    let steady = Steady::start(lan.host(2).serve(SERVICE, &secret, "service", "unused"), "t", 200);
    steady.counts(1);
    let before = Baseline::of([&steady.member.process]);
    let mut counted = 0;
    for _ in 0..rounds(3) {
        sub.expect_count("message", 20, SOON);
        lan.inject_for_good(Fault::Kill(1));
        steady.counts(0);
        let started = Instant::now();
        sub = lan.host(1).sub(&secret, "phoenix", "t");
        counted = steady.counts(1).0;
        flows.between(started, sub.sees_line("message", |_| true, SOON).at);
    }
    // To one node at most, whatever the one before it wanted; and each message reaches it once.
    sub.expect_count("message", 200, SOON);
    assert_eq!(steady.counted().iter().max(), Some(&1), "{}", steady.member.story());
    before.returns([&steady.member.process]);
    let mut ledger = Ledger::new();
    let count = steady.account(&mut ledger, &[(&sub, counted)]);
    let totals = ledger.balance();
    assert_eq!((totals.missed, totals.uncounted), (0, 0), "{totals:?} of {count}");
}

#[test]
fn a_host_without_power_is_told_by_its_silence() {
    if !require_root() {
        return;
    }
    let lan = Lan::new(3);
    let mut told = Figure::new("row 7: power off, told", SILENCE_TOLD);
    for _ in 0..rounds(1) {
        let nodes = Crowd::join(&lan, &keygen());
        nodes.meets(SOON);
        let off = lan.inject(Fault::PowerOff(1));
        for other in &nodes[1..] {
            let down = other.expect_line("peer_down", |line| line["node"] == *nodes[0].id, SOON);
            assert_eq!(down.json.unwrap()["reason"], "timeout");
            told.between(off.at, down.at);
        }
        off.heal();
        assert_eq!((nodes[1].count("peer_down"), nodes[2].count("peer_down")), (1, 1));
    }
}

#[test]
fn a_freeze_of_a_second_is_no_event() {
    if !require_root() {
        return;
    }
    let lan = Lan::new(3);
    for _ in 0..rounds(1) {
        let nodes = Crowd::join(&lan, &keygen());
        nodes.meets(SOON);
        let frozen = lan.inject(Fault::Freeze(1));
        nodes[1].stays_silent(Duration::from_secs(1));
        frozen.heal();
        // As long again as a link could take to be found dead.
        nodes[1].stays_silent(SILENCE_TOLD);
        for node in nodes.iter() {
            assert_eq!((node.count("peer_up"), node.count("peer_down")), (2, 0), "{}", node.story());
        }
        nodes.is_linked_once(&lan);
    }
}

#[test]
fn a_freeze_of_ten_seconds_is_told_and_who_froze_blames_nobody() {
    if !require_root() {
        return;
    }
    let lan = Lan::new(3);
    let mut told = Figure::new("row 8: frozen, told", FREEZE_TOLD);
    let mut back = Figure::new("row 8: thawed after 10 s, linked", LINKED);
    for _ in 0..rounds(1) {
        let nodes = Crowd::join(&lan, &keygen());
        nodes.meets(SOON);
        nodes.is_linked_once(&lan);
        let before = Baseline::of(nodes.iter().map(|node| &node.process));
        let frozen = lan.inject(Fault::Freeze(1));
        for other in &nodes[1..] {
            let down = other.expect_line("peer_down", |line| line["node"] == *nodes[0].id, SOON);
            assert_eq!(down.json.unwrap()["reason"], "timeout");
            let took = down.at - frozen.at;
            // The last word may have come half a second before the freeze.
            assert!(took > Duration::from_millis(2300), "{took:?}");
            told.add(took);
        }
        nodes[1].stays_silent(Duration::from_secs(10).saturating_sub(frozen.at.elapsed()));
        let thawed = frozen.heal();
        for other in &nodes[1..] {
            let up = other.expect_line("peer_up", |line| line["node"] == *nodes[0].id, SOON);
            back.between(thawed, up.at);
        }
        nodes.is_linked_once(&lan);
        // The others closed their links, which it may tell; silence it must not.
        for down in nodes[0].events(&["peer_down"]) {
            assert_eq!(down["reason"], "closed", "{}", nodes[0].story());
        }
        // The two that stayed awake never lost each other.
        assert_eq!((nodes[1].count("peer_down"), nodes[2].count("peer_down")), (1, 1));
        before.returns(nodes.iter().map(|node| &node.process));
    }
}

#[test]
fn who_leaves_under_load_costs_nobody_a_message() {
    if !require_root() {
        return;
    }
    let lan = Lan::new(3);
    let mut told = Figure::new("row 30: SIGTERM under load, goodbye seen", CLOSED_TOLD);
    for _ in 0..rounds(1) {
        let secret = keygen();
        let [leaver, one, other] = [("leaver", 2), ("one", 3), ("other", 1)]
            .map(|(name, host)| lan.host(host).sub(&secret, name, "t"));
        let load = Load::start(lan.host(1), &secret, "pub", 1000, &[&leaver, &one, &other]);
        let at = leaver.signal(Signal::SIGTERM);
        for stays in [&one, &other] {
            let down = stays.expect_line("peer_down", |line| line["node"] == *leaver.id, SOON);
            assert_eq!(down.json.unwrap()["reason"], "left");
            told.between(at, down.at);
        }
        leaver.exits(0, SOON);
        progresses(&one);
        let (totals, count) = balance(vec![load], &[&one, &other]);
        assert_eq!((totals.delivered, totals.missed), (2 * count, 0));
    }
}

#[test]
fn who_leaves_with_much_to_hand_over_takes_five_seconds_for_it_and_no_more() {
    const LINES: usize = 100;
    if !require_root() {
        return;
    }
    let lan = Lan::new(2);
    // They cross the slow cable in three seconds, or in half a minute.
    for (kbit, in_time, promised) in [(8000, true, DRAINED), (800, false, DRAINED + GIVEN_UP)] {
        let what = format!("row 30: SIGTERM with 3 MB to hand over at {kbit} kbit/s, ended");
        let mut ended = Figure::new(what, promised);
        for _ in 0..rounds(1) {
            let secret = keygen();
            let near = lan.host(1).sub(&secret, "near", "t");
            let far = lan.host(2).sub(&secret, "far", "t");
            let command =
                lan.host(1).talkie("pub", &secret).name("pub").args(["t", "-", "--subscribers", "2"]);
            let mut publisher = command.spawn();
            publisher.feed("first");
            far.next("message");
            let _slow = lan.inject(Fault::Rate(1, 0, kbit));
            for number in 0..LINES {
                publisher.feed(format!("{number:<30000}"));
            }
            near.expect_count("message", 1 + LINES, SOON);
            assert!(far.count("message") < LINES, "much is still to be handed over");
            let told = publisher.signal(Signal::SIGTERM);
            let (status, at) = publisher.wait_line(SOON);
            ended.between(told, at);
            assert_eq!(status.code(), Some(i32::from(!in_time)), "{}", publisher.story());
            assert_eq!((near.count("gap"), near.count("message")), (0, 1 + LINES), "{}", near.story());
            if in_time {
                far.expect_count("message", 1 + LINES, SOON);
                assert_eq!(far.count("gap"), 0, "{}", far.story());
                assert_eq!(far.next("peer_down")["reason"], "left");
            }
        }
    }
}

#[test]
fn an_idle_node_costs_next_to_nothing() {
    if !require_root() {
        return;
    }
    let lan = Lan::new(3);
    let nodes = Crowd::join(&lan, &keygen());
    nodes.meets(SOON);
    // Until the heartbeats of the start are over.
    nodes[0].stays_silent(Duration::from_secs(2));
    let before: Vec<Duration> = nodes.iter().map(|node| node.cpu()).collect();
    let from = Instant::now();
    nodes[0].stays_silent(Duration::from_secs(5));
    for (node, before) in nodes.iter().zip(before) {
        let (used, passed) = (node.cpu() - before, from.elapsed());
        println!("{used:?} of processor time in {passed:?}");
        assert!(used * 100 < passed * IDLE_PERCENT, "{used:?} of processor time in {passed:?}");
    }
}

#[test]
fn a_publisher_that_leaves_hands_over_first_and_ends_well() {
    if !require_root() {
        return;
    }
    let lan = Lan::new(3);
    for _ in 0..rounds(1) {
        let secret = keygen();
        let [one, other] = [2, 3].map(|host| lan.host(host).sub(&secret, "sub", "t"));
        let load = Load::start(lan.host(1), &secret, "pub", 1000, &[&one, &other]);
        load.process.signal(Signal::SIGTERM);
        load.process.exits(0, SOON);
        for sub in [&one, &other] {
            assert_eq!(sub.expect("peer_down", |line| line["node"] == *load.id, SOON)["reason"], "left");
        }
        assert_eq!((one.count("gap"), other.count("gap")), (0, 0));
        let got = |sub: &Member| {
            sub.events(&["message"]).iter().map(|line| line["payload"].clone()).collect::<Vec<_>>()
        };
        let (one, other) = (got(&one), got(&other));
        assert_eq!(
            one,
            (0..one.len()).map(|number| number.to_string()).collect::<Vec<_>>(),
            "from the first on, all"
        );
        assert_eq!(one.len(), other.len(), "the same for both");
    }
}
