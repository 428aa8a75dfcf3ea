//! Networks that fall apart and come together again, with messages flowing: nothing is lost silently.

use std::time::Duration;

use talkie_tests::{
    SOON,
    crowd::{Baseline, Crowd, linked_once},
    figures::{Figure, long, rounds},
    hosts::{Fault, Lan, require_root},
    ledger::{Ledger, Totals},
    load::{Load, balance, progresses},
    mesh::{Member, keygen},
    service::Steady,
};

const SERVICE: &str = env!("CARGO_BIN_EXE_talkie-service");

/// How soon silence is told as death: it is noticed after 3 s, looked for every 50 ms.
const SILENCE_TOLD: Duration = Duration::from_millis(3200);

/// How soon a mesh is whole after what kept it apart is gone.
const WHOLE: Duration = Duration::from_secs(1);

/// How soon those who come back count for publishers.
const IN_STEP: Duration = Duration::from_millis(1500);

/// A cut: three times as long as silence is borne, so that both sides are told and resume later.
const CUT: Duration = Duration::from_secs(10);

/// A publisher under load on host 1, a subscriber on host 2 that will be cut off, one on host 3 that will not.
fn three(lan: &Lan, secret: &str, per_second: u32) -> (Load, Member, Member) {
    let (far, third) = (lan.host(2).sub(secret, "far", "t"), lan.host(3).sub(secret, "third", "t"));
    let load = Load::start(lan.host(1), secret, "pub", per_second, &[&far, &third]);
    (load, far, third)
}

#[test]
fn a_cut_between_two_hosts_loses_nothing_silently_and_the_third_notices_nothing() {
    if !require_root() {
        return;
    }
    let (lan, secret) = (Lan::new(3), keygen());
    let (load, far, third) = three(&lan, &secret, 1000);
    let publisher = load.id.clone();
    let cut = lan.inject(Fault::Isolate(vec![1, 2]));
    let down = far.expect("peer_down", |line| line["node"] == *publisher, SOON);
    assert_eq!(down["reason"], "timeout");
    load.flows(&third, CUT.saturating_sub(cut.at.elapsed()));
    cut.heal();
    far.expect("peer_up", |line| line["node"] == *publisher, SOON);
    progresses(&far);

    assert_eq!((third.events(&["peer_down"]), third.count("gap")), (vec![], 0), "{}", third.story());
    let (totals, count) = balance(vec![load], &[&far, &third]);
    assert_eq!(third.count("message") as u64, count, "the third host has everything");
    assert_eq!(totals.uncounted, 0, "what is missing is counted exactly");
}

#[test]
fn a_pulled_cable_is_told_and_what_was_owed_arrives_when_it_is_back() {
    if !require_root() {
        return;
    }
    let (lan, secret) = (Lan::new(3), keygen());
    let (load, far, third) = three(&lan, &secret, 200);
    let pulled = lan.inject(Fault::NoCarrier(2, 0));
    third.expect("peer_down", |line| line["node"] == *far.id && line["reason"] == "timeout", SOON);
    far.expect("peer_down", |line| line["node"] == *load.id, SOON);
    progresses(&third);
    pulled.heal();
    for (here, there) in [(&far, &load.id), (&third, &far.id)] {
        here.expect("peer_up", |line| line["node"] == **there, SOON);
    }
    progresses(&far);
    let (totals, count) = balance(vec![load], &[&far, &third]);
    assert_eq!(totals, Totals { delivered: 2 * count, ..Totals::default() }, "a few seconds' worth is kept");
}

#[test]
fn links_reset_under_load_lose_nothing() {
    if !require_root() {
        return;
    }
    let (lan, secret) = (Lan::new(3), keygen());
    let (load, far, third) = three(&lan, &secret, 1000);
    let before = Baseline::of([&far.process, &third.process]);
    for _ in 0..10 {
        lan.inject_for_good(Fault::Reset(1, 2));
        // The link is there again, or a hundred messages would not come in.
        progresses(&far);
    }
    before.returns([&far.process, &third.process]);
    let (totals, count) = balance(vec![load], &[&far, &third]);
    assert_eq!(totals, Totals { delivered: 2 * count, ..Totals::default() });
}

#[test]
fn a_partition_is_told_on_both_sides_and_heals_with_every_message_accounted_for() {
    if !require_root() {
        return;
    }
    let (lan, secret) = (Lan::new(10), keygen());
    let mut down = Figure::new("row 3: partition 5|5, told on both sides", SILENCE_TOLD);
    let mut whole = Figure::new("row 3: partition 5|5 healed, full mesh", WHOLE);
    for _ in 0..rounds(1) {
        let subs: Vec<Member> =
            lan.hosts().map(|host| host.sub(&secret, &format!("sub-{}", host.number()), "t")).collect();
        let all: Vec<&Member> = subs.iter().collect();
        // One publisher on each side.
        let loads = [(1, "pub-1"), (10, "pub-10")]
            .map(|(host, name)| Load::start(lan.host(host), &secret, name, 100, &all));
        for here in &subs {
            here.expect_count("peer_up", 11, SOON);
        }
        let before = Baseline::of(subs.iter().map(|sub| &sub.process));

        let parted = lan.inject(Fault::Partition(0, vec![1, 2, 3, 4, 5]));
        // The five subscribers of the other side, and its publisher.
        for sub in &subs {
            for _ in 0..6 {
                let line = sub.expect_line("peer_down", |line| line["reason"] == "timeout", SOON);
                down.between(parted.at, line.at);
            }
        }
        // To those that are there one still publishes.
        for (load, near) in [(&loads[0], &subs[1]), (&loads[1], &subs[8])] {
            let fault = Duration::from_secs(if long() { 30 } else { 7 });
            load.flows(near, fault.saturating_sub(parted.at.elapsed()));
        }
        for sub in &subs {
            assert_eq!(sub.count("peer_down"), 6, "nobody of the own side\n{}", sub.story());
        }

        let healed = parted.heal();
        for sub in &subs {
            sub.expect_count("peer_up", 17, SOON);
            let last = sub.lines().into_iter().rfind(|line| line.is("peer_up")).unwrap();
            whole.between(healed, last.at);
        }
        let (totals, count) = balance(loads.into(), &all);
        assert_eq!(totals.delivered + totals.missed, 10 * count, "{totals:?}");
        linked_once(&lan, &(1..=10).collect::<Vec<_>>());
        before.returns(subs.iter().map(|sub| &sub.process));
    }
}

#[test]
fn who_is_parted_is_not_counted_and_counts_again_soon_after() {
    if !require_root() {
        return;
    }
    let (lan, secret) = (Lan::new(6), keygen());
    let mut gone = Figure::new("row 3: partition 3|3, publish counts the own side alone", SILENCE_TOLD);
    let mut back = Figure::new("row 3: partition 3|3 healed, interests in step", IN_STEP);
    let subs: Vec<Member> =
        lan.hosts().map(|host| host.sub(&secret, &format!("sub-{}", host.number()), "t")).collect();
    let steady = Steady::start(lan.host(1).serve(SERVICE, &secret, "service", "unused"), "t", 100);
    // The subscribers of both sides; one is on its own host.
    let (counted, _) = steady.counts(6);
    for _ in 0..rounds(1) {
        let parted = lan.inject(Fault::Partition(0, vec![4, 5, 6]));
        gone.between(parted.at, steady.counts(3).1);
        for _ in 0..3 {
            assert_eq!(steady.counted().last(), Some(&3));
            steady.counts(3);
        }
        let healed = parted.heal();
        back.between(healed, steady.counts(6).1);
    }
    let mut ledger = Ledger::new();
    let all: Vec<_> = subs.iter().map(|sub| (sub, counted)).collect();
    steady.account(&mut ledger, &all);
    let totals = ledger.balance();
    assert_eq!((totals.missed, totals.uncounted), (0, 0), "a few seconds' worth is kept: {totals:?}");
}

#[test]
fn a_link_that_is_dead_one_way_is_dead_for_both() {
    if !require_root() {
        return;
    }
    let lan = Lan::new(3);
    let mut down = Figure::new("row 4: A to B dropped, told by both", SILENCE_TOLD);
    let mut whole = Figure::new("row 4: healed, linked again", WHOLE);
    for _ in 0..rounds(1) {
        let nodes = Crowd::join(&lan, &keygen());
        nodes.meets(SOON);
        nodes.is_linked_once(&lan);
        let before = Baseline::of(nodes.iter().map(|node| &node.process));
        let one_way = lan.inject(Fault::OneWay(1, 2));
        // The second hears nothing; the first is told by it, or finds its own pings unanswered.
        for (here, there, reasons) in [(0, 1, &["closed", "timeout"][..]), (1, 0, &["timeout"])] {
            let told = |line: &serde_json::Value| {
                line["node"] == *nodes[there].id && reasons.iter().any(|reason| line["reason"] == *reason)
            };
            down.between(one_way.at, nodes[here].expect_line("peer_down", told, SOON).at);
        }
        // Neither half of a link comes up meanwhile, though the one still hears the other's heartbeats.
        nodes[0].stays_silent(Duration::from_secs(3));
        let healed = one_way.heal();
        for (here, there) in [(0, 1), (1, 0)] {
            let up = nodes[here].expect_line("peer_up", |line| line["node"] == *nodes[there].id, SOON);
            whole.between(healed, up.at);
        }
        let events: Vec<_> =
            nodes.iter().map(|node| (node.count("peer_up"), node.count("peer_down"))).collect();
        assert_eq!(events, [(3, 1), (3, 1), (2, 0)], "the third notices nothing");
        nodes.is_linked_once(&lan);
        before.returns(nodes.iter().map(|node| &node.process));
    }
}

#[test]
fn a_cable_that_flaps_every_second_is_no_storm() {
    if !require_root() {
        return;
    }
    let (lan, secret) = (Lan::new(3), keygen());
    let (load, far, third) = three(&lan, &secret, 200);
    let flaps = if long() { 30 } else { 6 };
    let mut linked = Figure::new("row 24: after flaps of 1 Hz, linked again", Duration::from_secs(6));
    for _ in 0..rounds(1) {
        let before = Baseline::of([&far.process, &third.process]);
        let events = far.events(&["peer_up", "peer_down"]).len();
        let mut healed = None;
        for _ in 0..flaps {
            let off = lan.inject(Fault::NoCarrier(2, 0));
            // The load to the other host is the clock.
            load.flows(&third, Duration::from_millis(500));
            healed = Some(off.heal());
            load.flows(&third, Duration::from_millis(500));
        }
        linked.between(healed.unwrap(), load.arrives(&far));
        let events = far.events(&["peer_up", "peer_down"]).len() - events;
        assert!(events <= 2 * 2 * flaps, "{events} events of two peers in {flaps} flaps\n{}", far.story());
        before.returns([&far.process, &third.process]);
    }
    assert_eq!(third.count("gap"), 0);
    let (totals, count) = balance(vec![load], &[&far, &third]);
    assert_eq!(totals, Totals { delivered: 2 * count, ..Totals::default() });
}
