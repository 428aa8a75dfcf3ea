use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::outward::MAX_PENDING;
use super::*;
use crate::proto::interest::{CHARGE, MAX_INTEREST_BYTES, MAX_INTERESTS};
use crate::topic::{BusName, Pattern};

mod confirmed;

/// Whether the lane is there, and the frames in flight.
type Lane = (bool, VecDeque<Vec<u8>>);
type View = BTreeMap<u64, (u64, String, String)>;

fn bus(name: &str) -> BusName {
    name.parse().unwrap()
}

fn pattern(text: &str) -> Pattern {
    text.parse().unwrap()
}

fn view(replica: &Replica<usize>, peer: usize) -> View {
    let told = replica.view(&peer);
    told.map(|(id, wanted)| (id, (wanted.epoch, wanted.bus.to_string(), wanted.pattern.to_string())))
        .collect()
}

fn truth(replica: &Replica<usize>) -> View {
    let own = replica.own.from(0);
    own.map(|(id, own)| (id, (own.epoch, own.bus.to_string(), own.pattern.to_string()))).collect()
}

/// Carries frames both ways until neither side has any.
fn settle(a: &mut Replica<usize>, b: &mut Replica<usize>) -> usize {
    let mut frames = 0;
    loop {
        let before = frames;
        let mut buf = Vec::new();
        while a.poll_transmit(&1, &mut buf) {
            b.handle_control(&0, &std::mem::take(&mut buf)).unwrap();
            frames += 1;
        }
        while b.poll_transmit(&0, &mut buf) {
            a.handle_control(&1, &std::mem::take(&mut buf)).unwrap();
            frames += 1;
        }
        if frames == before {
            return frames;
        }
    }
}

fn linked() -> (Replica<usize>, Replica<usize>) {
    let (mut a, mut b) = (Replica::default(), Replica::default());
    a.handle_linked(&1);
    b.handle_linked(&0);
    (a, b)
}

#[test]
fn a_snapshot_and_then_changes() {
    let (mut a, mut b) = linked();
    let (first, _) = a.subscribe(&bus("x"), &pattern("a/*"));
    settle(&mut a, &mut b);
    assert_eq!(view(&b, 0), truth(&a));
    assert!(
        matches!(b.poll_event(), Some((0, Change::Set { id, entry })) if id == first.id && entry.epoch == first.epoch)
    );
    a.subscribe(&bus("x"), &pattern("a/*"));
    a.subscribe(&bus("y"), &pattern("b"));
    settle(&mut a, &mut b);
    assert_eq!(view(&b, 0), truth(&a));
    assert!(!a.unsubscribe(first.id));
    assert!(a.unsubscribe(first.id));
    settle(&mut a, &mut b);
    assert_eq!(view(&b, 0), truth(&a));
    b.handle_forgotten(&0);
    assert!(
        std::iter::from_fn(|| b.poll_event())
            .last()
            .is_some_and(|(_, change)| matches!(change, Change::Removed { .. }))
    );
    assert_eq!(b.view(&0).count(), 0);
}

#[test]
fn frames_are_bounded_and_wait_for_acks() {
    let (mut a, mut b) = linked();
    let long = "x".repeat(200);
    for n in 0..5_000 {
        a.subscribe(&bus("x"), &pattern(&format!("{long}/{n}")));
    }
    let mut frames = Vec::new();
    let mut buf = Vec::new();
    while a.poll_transmit(&1, &mut buf) {
        assert!(buf.len() <= MAX_FRAME);
        frames.push(std::mem::take(&mut buf));
    }
    assert_eq!(frames.len() as u64, WINDOW);
    for frame in frames {
        b.handle_control(&0, &frame).unwrap();
    }
    settle(&mut a, &mut b);
    assert_eq!(view(&b, 0), truth(&a));
}

#[test]
fn many_changes_while_the_window_is_closed_become_a_snapshot() {
    let (mut a, mut b) = linked();
    let count = 3 * MAX_PENDING as u64;
    for n in 0..count {
        a.subscribe(&bus("x"), &pattern(&format!("p/{n}")));
    }
    settle(&mut a, &mut b);
    while b.poll_event().is_some() {}
    for id in 1..=2 * count / 3 {
        a.unsubscribe(id);
        assert!(a.peers[&1].outward.pending.len() <= MAX_PENDING);
    }
    assert!(a.peers[&1].outward.restart);
    settle(&mut a, &mut b);
    assert_eq!(view(&b, 0), truth(&a));
    let removed = std::iter::from_fn(|| b.poll_event());
    assert_eq!(
        removed.filter(|(_, change)| matches!(change, Change::Removed { .. })).count() as u64,
        2 * count / 3
    );
}

#[test]
fn a_peer_that_announces_too_much_is_refused_once_and_kept() {
    let (mut a, mut b) = linked();
    for n in 0..MAX_INTERESTS + 10 {
        a.subscribe(&bus("x"), &pattern(&format!("{n}")));
    }
    settle(&mut a, &mut b);
    assert_eq!(b.view(&0).count(), MAX_INTERESTS);
    assert_eq!(b.refused(&0), 10);
    let refusals = std::iter::from_fn(|| b.poll_event()).filter(|(_, change)| *change == Change::Refused);
    assert_eq!(refusals.count(), 1);
    // All replaced: what the snapshot passes over makes room before what is new needs it.
    a.handle_unlinked(&1);
    for id in 1..=MAX_INTERESTS as u64 + 10 {
        a.unsubscribe(id);
    }
    for n in 0..MAX_INTERESTS {
        a.subscribe(&bus("x"), &pattern(&format!("new/{n}")));
    }
    a.handle_linked(&1);
    b.handle_linked(&0);
    settle(&mut a, &mut b);
    assert_eq!(view(&b, 0), truth(&a));
    assert_eq!(b.refused(&0), 10);
}

#[test]
fn a_gateway_of_a_hundred_thousand_is_taken_whole() {
    let (mut a, mut b) = linked();
    for n in 0..100_000 {
        a.subscribe(&bus("default"), &pattern(&format!("clients/of/the/gateway/{n:06}/inbox")));
    }
    settle(&mut a, &mut b);
    assert_eq!((b.view(&0).count(), b.refused(&0)), (100_000, 0));
}

#[test]
fn bytes_are_bounded_too() {
    let (mut a, mut b) = linked();
    let long = "x".repeat(240);
    for n in 0..120_000 {
        a.subscribe(&bus("x"), &pattern(&format!("{long}/{n:06}")));
    }
    settle(&mut a, &mut b);
    let taken = b.view(&0).count();
    assert!(taken < 120_000 && taken * (CHARGE + 1 + 247) <= MAX_INTEREST_BYTES, "{taken}");
    b.handle_forgotten(&0);
}

#[test]
fn frames_from_before_the_link_are_ignored() {
    let (mut a, mut b) = linked();
    settle(&mut a, &mut b);
    a.subscribe(&bus("x"), &pattern("a"));
    let mut stale = Vec::new();
    assert!(a.poll_transmit(&1, &mut stale));
    a.handle_linked(&1);
    b.handle_linked(&0);
    b.handle_control(&0, &stale).unwrap();
    assert_eq!(b.view(&0).count(), 0);
    settle(&mut a, &mut b);
    assert_eq!(view(&b, 0), truth(&a));
}

#[test]
fn an_ack_from_before_the_peer_was_forgotten_counts_for_nothing() {
    let (mut a, mut b) = linked();
    let mut buf = Vec::new();
    assert!(a.poll_transmit(&1, &mut buf));
    b.handle_control(&0, &std::mem::take(&mut buf)).unwrap();
    let mut stale = Vec::new();
    assert!(b.poll_transmit(&0, &mut stale) && stale[0] == 2);
    a.handle_forgotten(&1);
    a.handle_linked(&1);
    assert!(a.poll_transmit(&1, &mut buf));
    a.handle_control(&1, &stale).unwrap();
    assert_eq!(a.peers[&1].outward.acked, 0);
}

#[test]
fn hostile_frames_are_errors_and_unknown_ones_are_skipped() {
    let (_, mut b) = linked();
    assert_eq!(b.handle_control(&0, &[]), Err(ControlError::Malformed));
    assert_eq!(b.handle_control(&0, &[9, 1, 2, 3]), Ok(()));
    // A snapshot with an unknown item, then an add with a field too many.
    let frame = [1, 3, 1, 1, 77, 2, 0, 0, 1, 7, 5, 0, 1, b'x', 1, b'a', 99];
    assert_eq!(b.handle_control(&0, &frame), Ok(()));
    assert_eq!(view(&b, 0), BTreeMap::from([(5, (0, "x".into(), "a".into()))]));
    assert_eq!(
        b.handle_control(&0, &[1, 0, 1, 2, 1, 6, 5, 0, 1, b'x', 1, b'a']),
        Err(ControlError::IdOrder(5))
    );
    assert_eq!(
        b.handle_control(&0, &[1, 0, 1, 3, 1, 6, 6, 0, 1, b'x', 1, b'/']),
        Err(ControlError::Invalid(6))
    );
    assert_eq!(b.handle_control(&0, &[1, 0, 1, 4, 1, 200, 1]), Err(ControlError::Malformed));
    let late = b.handle_control(&0, &[1, 0, 1, 9]);
    assert_eq!(late, Err(ControlError::OutOfOrder { given: 9, expected: 5 }));
    assert_eq!(view(&b, 0).len(), 1, "what was told stays in force");
    for seed in 0..20_000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut frame = vec![rng.u8(1..=2), rng.u8(0..4), rng.u8(0..3), rng.u8(0..3)];
        frame.extend((0..rng.usize(0..40)).map(|_| rng.u8(..) & if rng.bool() { 7 } else { 255 }));
        let _ = b.handle_control(&0, &frame);
        b.handle_control(&0, &[1, 3, seed as u8, 200]).ok();
        b.poll_transmit(&0, &mut Vec::new());
    }
    let charged: usize = b.peers[&0].inward.view.values().map(Entry::charge).sum();
    assert_eq!(b.peers[&0].inward.bytes, charged);
}

/// A mesh of replicas over lanes that are in order and die with everything in flight.
struct Mesh {
    nodes: Vec<Replica<usize>>,
    /// By (from, to).
    lanes: BTreeMap<(usize, usize), Lane>,
    /// By (owner, viewer): what the viewer has confirmed to have seen and the owner has not withdrawn.
    confirmed: BTreeMap<(usize, usize), BTreeSet<u64>>,
    /// By owner: one id per live subscription.
    subscriptions: Vec<Vec<u64>>,
}

impl Mesh {
    fn new(count: usize) -> Self {
        let pairs = || (0..count).flat_map(move |a| (0..count).filter(move |&b| a != b).map(move |b| (a, b)));
        Self {
            nodes: (0..count).map(|_| Replica::default()).collect(),
            lanes: pairs().map(|pair| (pair, (false, VecDeque::new()))).collect(),
            confirmed: pairs().map(|pair| (pair, BTreeSet::new())).collect(),
            subscriptions: vec![Vec::new(); count],
        }
    }

    fn relink(&mut self, a: usize, b: usize) {
        for (from, to) in [(a, b), (b, a)] {
            *self.lanes.get_mut(&(from, to)).unwrap() = (true, VecDeque::new());
        }
        self.nodes[a].handle_linked(&b);
        self.nodes[b].handle_linked(&a);
    }

    fn cut(&mut self, a: usize, b: usize) {
        for (from, to) in [(a, b), (b, a)] {
            *self.lanes.get_mut(&(from, to)).unwrap() = (false, VecDeque::new());
        }
        self.nodes[a].handle_unlinked(&b);
        self.nodes[b].handle_unlinked(&a);
    }

    fn transmit(&mut self, from: usize, to: usize) -> bool {
        let mut buf = Vec::new();
        if !self.nodes[from].poll_transmit(&to, &mut buf) {
            return false;
        }
        let (up, lane) = self.lanes.get_mut(&(from, to)).unwrap();
        assert!(*up);
        lane.push_back(buf);
        true
    }

    fn receive(&mut self, from: usize, to: usize, seed: u64) -> bool {
        let Some(frame) = self.lanes.get_mut(&(from, to)).unwrap().1.pop_front() else { return false };
        self.nodes[to].handle_control(&from, &frame).unwrap();
        while let Some((owner, change)) = self.nodes[to].poll_event() {
            match change {
                Change::Set { id, .. } => {
                    if self.nodes[owner].own.get(id).is_some() {
                        self.confirmed.get_mut(&(owner, to)).unwrap().insert(id);
                    }
                }
                Change::Removed { id, .. } => {
                    assert!(self.nodes[owner].own.get(id).is_none(), "seed {seed}: live {id} was removed");
                }
                Change::Refused => panic!("seed {seed}: refused"),
            }
        }
        true
    }

    fn check(&mut self, seed: u64) {
        for (&(owner, viewer), confirmed) in &mut self.confirmed {
            confirmed.retain(|&id| self.nodes[owner].own.get(id).is_some());
            let seen = |id| self.nodes[viewer].peers[&owner].inward.view.contains_key(id);
            let lost: Vec<_> = confirmed.iter().filter(|id| !seen(id)).collect();
            assert!(lost.is_empty(), "seed {seed}: {viewer} lost {lost:?} of {owner}");
        }
    }

    fn pairs(&self) -> Vec<(usize, usize)> {
        self.lanes.keys().copied().collect()
    }
}

#[test]
fn views_converge_across_broken_links_and_never_lose_what_is_live() {
    for seed in 0..200 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let count = rng.usize(2..5);
        let mut mesh = Mesh::new(count);
        let pairs = mesh.pairs();
        // Long patterns make snapshots of several frames, which breaks can cut in two.
        let filler = "x".repeat(if seed % 2 == 0 { 1 } else { 230 });
        for _ in 0..rng.usize(50..600) {
            let (a, b) = pairs[rng.usize(..pairs.len())];
            match rng.u8(0..20) {
                0..=5 => {
                    for _ in 0..rng.usize(1..if seed % 2 == 0 { 3 } else { 40 }) {
                        let name = if rng.bool() { "x" } else { "y" };
                        let text = format!("{filler}/{}", rng.u8(0..100));
                        let (interest, _) = mesh.nodes[a].subscribe(&bus(name), &pattern(&text));
                        mesh.subscriptions[a].push(interest.id);
                    }
                }
                6..=9 => {
                    for _ in 0..rng.usize(1..10) {
                        if !mesh.subscriptions[a].is_empty() {
                            let at = rng.usize(..mesh.subscriptions[a].len());
                            let id = mesh.subscriptions[a].swap_remove(at);
                            mesh.nodes[a].unsubscribe(id);
                        }
                    }
                }
                10 => mesh.relink(a, b),
                11 => mesh.cut(a, b),
                12..=15 => while mesh.transmit(a, b) && rng.bool() {},
                _ => while mesh.receive(a, b, seed) && rng.u8(0..4) > 0 {},
            }
            mesh.check(seed);
        }
        for &(a, b) in &pairs {
            if !mesh.lanes[&(a, b)].0 {
                mesh.relink(a, b);
            }
        }
        loop {
            let mut moved = false;
            for &(a, b) in &pairs {
                moved |= mesh.transmit(a, b);
                moved |= mesh.receive(a, b, seed);
            }
            mesh.check(seed);
            if !moved {
                break;
            }
        }
        for (owner, viewer) in pairs {
            assert_eq!(view(&mesh.nodes[viewer], owner), truth(&mesh.nodes[owner]), "seed {seed}");
        }
    }
}
