//! Presence over real processes: keys come, change and go, with their node or without, and all list the same.
#![allow(clippy::disallowed_methods, reason = "how long it takes is measured in real time")]

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use talkie_tests::{
    SOON,
    crowd::{Crowd, settles},
    figures::{Figure, rounds},
    hosts::{Fault, Lan, require_root},
    mesh::{Member, Mesh, keygen},
    presence::Keys,
};

const PRESENCE: &str = env!("CARGO_BIN_EXE_talkie-presence");

/// How soon all list the same after the last link of 16 nodes with 1,000 keys each.
const CONVERGED: Duration = Duration::from_secs(1);

/// How soon silence is told as death, and the keys with it.
const SILENCE_TOLD: Duration = Duration::from_millis(3200);

/// A pause that is no death.
const NAP: Duration = Duration::from_millis(1500);

/// Nodes of a mesh that have met.
fn nodes<const N: usize>(mesh: &Mesh, names: [&str; N]) -> [Member; N] {
    let all = names.map(|name| Member::start(mesh.presence(PRESENCE, name, Keys::default())));
    for here in &all {
        for there in all.iter().filter(|there| there.id != here.id) {
            here.meets(there);
        }
    }
    all
}

/// How often this happened to a key.
fn count(member: &Member, event: &str, key: &str) -> usize {
    member.events(&[event]).iter().filter(|line| line["key"] == *key).count()
}

#[test]
fn keys_come_change_and_go() {
    let [mut ann, mut bob, cat] = nodes(&Mesh::new(), ["ann", "bob", "cat"]);
    ann.feed("track ann desk");
    for node in [&ann, &bob, &cat] {
        let line = node.tells("key_joined", "ann");
        assert_eq!((&line["meta"], &line["node"]), (&"desk".into(), &ann.id.as_str().into()));
    }
    bob.feed("track ann phone");
    for node in [&ann, &bob, &cat] {
        assert_eq!(node.tells("key_joined", "ann")["node"], *bob.id, "the same key on another node");
    }
    ann.feed("update ann sofa");
    for node in [&ann, &bob, &cat] {
        assert_eq!(node.tells("key_updated", "ann")["meta"], "sofa");
    }
    ann.feed("untrack ann");
    for node in [&ann, &bob, &cat] {
        let line = node.tells("key_left", "ann");
        assert_eq!((&line["meta"], &line["node"]), (&"sofa".into(), &ann.id.as_str().into()));
    }
    // One that comes later is told of those present.
    let list = bob.lists();
    assert_eq!(list.0, 1);
    assert_eq!(ann.lists(), list);
}

#[test]
fn keys_leave_with_their_node_at_once_or_when_it_is_told_down() {
    let mesh = Mesh::new();
    let mut told = Figure::new("presence: goodbye, keys gone", Duration::from_millis(100));
    let [mut stays, mut leaver, mut dier] = nodes(&mesh, ["stays", "leaver", "dier"]);
    leaver.feed("track leaver here");
    dier.feed("track dier here");
    stays.tells("key_joined", "leaver");
    stays.tells("key_joined", "dier");
    let at = Instant::now();
    leaver.end_input();
    let left = |line: &serde_json::Value| line["key"] == "leaver";
    told.between(at, stays.expect_line("key_left", left, SOON).at);
    leaver.exits(0, SOON);

    let mut told = Figure::new("presence: killed, keys gone", Duration::from_millis(500));
    let at = dier.kill();
    let died = |line: &serde_json::Value| line["key"] == "dier";
    told.between(at, stays.expect_line("key_left", died, SOON).at);
    let down = stays.expect("peer_down", |line| line["node"] == *dier.id, SOON);
    assert_eq!(down["reason"], "closed");
    assert_eq!(stays.lists().0, 0);

    // Another process with the same name and key is another node.
    let mut back = Member::start(mesh.presence(PRESENCE, "dier", Keys::default()));
    back.feed("track dier again");
    assert_eq!(stays.tells("key_joined", "dier")["node"], *back.id);
    assert_eq!(stays.lists(), back.lists());
}

#[test]
fn a_node_that_stood_still_comes_back_without_double_joins() {
    let [mut ann, mut bob, mut cat] = nodes(&Mesh::new(), ["ann", "bob", "cat"]);
    for (node, key) in [(&mut ann, "ann"), (&mut bob, "bob"), (&mut cat, "cat")] {
        node.feed(format!("track {key} here"));
    }
    for node in [&ann, &bob, &cat] {
        for key in ["ann", "bob", "cat"] {
            node.tells("key_joined", key);
        }
    }
    // Shorter than what silence is borne: nothing happened.
    bob.signal(Signal::SIGSTOP);
    ann.stays_silent(NAP);
    bob.signal(Signal::SIGCONT);
    ann.feed("update ann awake");
    assert_eq!(bob.tells("key_updated", "ann")["meta"], "awake");
    assert_eq!((count(&ann, "key_joined", "bob"), count(&ann, "key_left", "bob")), (1, 0));

    // Longer: it is gone, and comes back with its key, once, and with what was said meanwhile on both sides.
    let mut told = Figure::new("presence: stopped, keys gone", SILENCE_TOLD);
    let at = bob.signal(Signal::SIGSTOP);
    let gone = |line: &serde_json::Value| line["key"] == "bob";
    told.between(at, ann.expect_line("key_left", gone, SOON).at);
    cat.tells("key_left", "bob");
    ann.feed("update ann away");
    cat.tells("key_updated", "ann");
    cat.feed("untrack cat");
    ann.tells("key_left", "cat");
    // It reads this when it goes on.
    bob.feed("update bob back");
    bob.signal(Signal::SIGCONT);
    let list = settled([&mut ann, &mut bob, &mut cat]);
    assert_eq!(list, 2);
    for node in [&ann, &cat] {
        assert_eq!(
            (count(node, "key_joined", "bob"), count(node, "key_left", "bob")),
            (2, 1),
            "{}",
            node.story()
        );
    }
    // Whether it told them down is its own affair; its stream adds up.
    for (key, here) in [("ann", 1), ("cat", 0), ("bob", 1)] {
        let (joined, left) = (count(&bob, "key_joined", key), count(&bob, "key_left", key));
        assert_eq!(joined - left, here, "{key}\n{}", bob.story());
    }
    assert_eq!(count(&bob, "key_joined", "bob"), 1, "it was there all the time for itself");
}

/// Waits until all list the same; how many.
fn settled<'a>(all: impl IntoIterator<Item = &'a mut Member>) -> u64 {
    let mut all: Vec<_> = all.into_iter().collect();
    let mut first = (0, 0);
    settles(SOON, "all list the same", || {
        let lists: BTreeSet<_> = all.iter_mut().map(|node| node.lists()).collect();
        first = lists.first().copied().unwrap_or_default();
        lists.len() == 1
    });
    first.0
}

#[test]
fn sixteen_nodes_with_a_thousand_keys_each_list_the_same_within_a_second_of_the_last_link() {
    let mut from_links = Figure::new("presence: 16 nodes x 1,000 keys, from the last link", CONVERGED);
    let mut more = Figure::new("presence: 16 x 100 keys more at once", CONVERGED);
    for _ in 0..rounds(1) {
        let mesh = Mesh::new();
        let keys = Keys { own: 1_000, target: 16_000 };
        let commands = (1..=16).map(|n| mesh.presence(PRESENCE, &format!("node-{n:02}"), keys));
        let mut crowd = Crowd::start(commands, SOON + SOON);
        let linked = crowd.meets(SOON + SOON);
        let mut last = linked;
        let mut digests = Vec::new();
        for node in crowd.iter() {
            let line = node.expect_line("complete", |_| true, SOON + SOON);
            last = last.max(line.at);
            digests.push(line.json.expect("an event is JSON")["digest"].clone());
        }
        from_links.between(linked, last);
        assert!(digests.iter().all(|digest| *digest == digests[0]), "all list the same: {digests:?}");
        let started = Instant::now();
        for node in crowd.iter_mut() {
            node.feed("many 100");
        }
        let done = settles(SOON + SOON, "all list the same", || {
            crowd.iter_mut().all(|node| node.lists().0 == 17_600)
        });
        more.between(started, done);
    }
}

#[test]
fn a_partition_leaves_each_side_its_own_and_mends_without_flapping() {
    if !require_root() {
        return;
    }
    let (lan, secret) = (Lan::new(4), keygen());
    let mut all: Vec<Member> = lan
        .hosts()
        .map(|host| {
            let name = format!("node-{}", host.number());
            Member::start(host.presence(PRESENCE, &secret, &name, Keys::default()))
        })
        .collect();
    for (n, node) in all.iter_mut().enumerate() {
        node.feed(format!("track {n} first"));
    }
    settles(SOON, "all have met", || all.iter().all(|node| node.count("key_joined") >= 4));
    assert_eq!(settled(&mut all), 4);

    let cut = lan.inject(Fault::Partition(0, vec![3, 4]));
    for (here, there) in [(0, "2"), (1, "3"), (2, "0"), (3, "1")] {
        all[here].tells("key_left", there);
    }
    all[0].feed("update 0 second");
    all[1].tells("key_updated", "0");
    all[3].feed("untrack 3");
    all[2].tells("key_left", "3");
    all[3].feed("track 4 new");
    all[2].tells("key_joined", "4");
    cut.heal();
    for (here, there) in [(0, "4"), (1, "2"), (2, "0"), (3, "1")] {
        all[here].tells("key_joined", there);
    }
    assert_eq!(settled(&mut all), 4);
    let story = all[0].story();
    assert_eq!((count(&all[0], "key_joined", "2"), count(&all[0], "key_left", "2")), (2, 1), "{story}");
    assert_eq!((count(&all[0], "key_joined", "3"), count(&all[0], "key_left", "3")), (1, 1), "{story}");
    assert_eq!((count(&all[0], "key_joined", "1"), count(&all[0], "key_left", "1")), (1, 0), "{story}");
}
