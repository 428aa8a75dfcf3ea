//! Many trackers over links that break, are replaced, race and lie still, and nodes that crash, leave and come back.
//!
//! A link's lanes are in order and die with it, but each side hears of a link, and of its end, at a time of its own; frames of
//! different links pass each other, and what a side had to say to its old link may be the first thing on the new one.

use std::collections::VecDeque;

use super::*;

/// What is listed: who says it, under which id, the key, the meta.
type Said = BTreeMap<(u8, u64), (String, Vec<u8>)>;

type History = BTreeMap<(u8, u64), BTreeSet<(String, Vec<u8>)>>;

struct Node {
    tracker: Tracker<u8>,
    /// Ids of what it tracks.
    own: Vec<u64>,
    watch: u64,
    /// What the watch was told, added up.
    streamed: Said,
}

/// One side's half of a link.
#[derive(Default)]
struct Half {
    /// This side was told of the link, and not yet of its end.
    known: bool,
    /// The peer counts as being there.
    there: bool,
    /// On the way to this side.
    frames: VecDeque<Vec<u8>>,
}

struct Sim {
    rng: fastrand::Rng,
    seed: u64,
    /// By name. A node that comes back is another one, with a new name.
    nodes: BTreeMap<u8, Node>,
    last_name: u8,
    /// By (whose half, to whom).
    halves: BTreeMap<(u8, u8), Half>,
    /// Pairs whose link is up.
    up: BTreeSet<(u8, u8)>,
    /// Everything that a node ever said.
    history: History,
    /// By (viewer, owner): ids that the viewer has listed since the owner was last not there.
    seen: BTreeMap<(u8, u8), BTreeSet<u64>>,
    /// How long a meta is, at most.
    meta: usize,
}

fn pair(a: u8, b: u8) -> (u8, u8) {
    (a.min(b), a.max(b))
}

impl Sim {
    fn new(seed: u64) -> Self {
        let mut sim = Self {
            rng: fastrand::Rng::with_seed(seed),
            seed,
            nodes: BTreeMap::new(),
            last_name: 0,
            halves: BTreeMap::new(),
            up: BTreeSet::new(),
            history: BTreeMap::new(),
            seen: BTreeMap::new(),
            // Long ones make snapshots of several frames, which breaks can cut in two.
            meta: if seed.is_multiple_of(2) { 4 } else { 9_000 },
        };
        for _ in 0..sim.rng.usize(2..6) {
            sim.start();
        }
        sim
    }

    fn start(&mut self) {
        let mut tracker = Tracker::default();
        let watch = tracker.watch(&bus(), &topic("t"));
        self.last_name += 1;
        self.nodes.insert(self.last_name, Node { tracker, own: Vec::new(), watch, streamed: Said::new() });
    }

    fn any(&mut self) -> u8 {
        let names: Vec<u8> = self.nodes.keys().copied().collect();
        names[self.rng.usize(..names.len())]
    }

    fn two(&mut self) -> Option<(u8, u8)> {
        let (a, b) = (self.any(), self.any());
        (a != b).then_some((a, b))
    }

    fn say(&mut self, name: u8) {
        let key = format!("key {}", self.rng.u8(0..6));
        let body = vec![self.rng.u8(..); self.rng.usize(..=self.meta)];
        let node = self.nodes.get_mut(&name).unwrap();
        let at = (!node.own.is_empty()).then(|| self.rng.usize(..node.own.len()));
        match (self.rng.u8(0..5), at) {
            (0, Some(at)) => node.tracker.untrack(node.own.swap_remove(at)),
            (1, Some(at)) => {
                let id = node.own[at];
                node.tracker.update(id, body.clone().into()).unwrap();
                let said = self.history.get_mut(&(name, id)).unwrap();
                let key = said.first().unwrap().0.clone();
                said.insert((key, body));
            }
            // Few enough that all fits in one window.
            _ if node.own.len() < 20 => {
                let id = node.tracker.track(here("t", &key, &body)).unwrap();
                node.own.push(id);
                self.history.entry((name, id)).or_default().insert((key, body));
            }
            _ => {}
        }
    }

    /// One frame of `from` onto its link to `to`, if there is one.
    fn transmit(&mut self, from: u8, to: u8) -> bool {
        let mut frame = Vec::new();
        let node = self.nodes.get_mut(&from).unwrap();
        if !node.tracker.poll_transmit(&to, &mut frame) {
            return false;
        }
        assert!(frame.len() <= MAX_FRAME);
        if self.up.contains(&pair(from, to)) {
            self.halves.entry((to, from)).or_default().frames.push_back(frame);
        }
        true
    }

    fn receive(&mut self, at: u8, from: u8) -> bool {
        let Some(half) = self.halves.get_mut(&(at, from)).filter(|half| half.known) else { return false };
        let Some(frame) = half.frames.pop_front() else { return false };
        self.nodes.get_mut(&at).unwrap().tracker.handle_control(&from, &frame).unwrap();
        true
    }

    /// The link between the two breaks: what was on its way arrives in part, until each side notices.
    fn cut(&mut self, a: u8, b: u8) {
        if self.up.remove(&pair(a, b)) {
            for at in [(a, b), (b, a)] {
                let half = self.halves.entry(at).or_default();
                half.frames.truncate(self.rng.usize(..=half.frames.len()));
            }
        }
    }

    /// A new link, also in the place of one that is up. Sides hear of it one after the other.
    fn link(&mut self, a: u8, b: u8) {
        self.up.insert(pair(a, b));
        for (at, to) in [(a, b), (b, a)] {
            let half = self.halves.entry((at, to)).or_default();
            half.known = false;
            half.frames.clear();
        }
        for (at, to) in [(a, b), (b, a)] {
            // It had something to say and has not heard yet that this is another link.
            while self.rng.u8(0..3) == 0 && self.transmit(at, to) {}
        }
    }

    /// A side hears of its link.
    fn hear(&mut self, at: u8, to: u8) {
        let up = self.up.contains(&pair(at, to));
        let half = self.halves.entry((at, to)).or_default();
        if up && !half.known {
            (half.known, half.there) = (true, true);
            self.nodes.get_mut(&at).unwrap().tracker.handle_linked(&to);
        }
    }

    /// A side whose link is gone has waited for another for long enough.
    fn give_up(&mut self, at: u8, on: u8) {
        let half = self.halves.entry((at, on)).or_default();
        if !self.up.contains(&pair(at, on)) && half.there {
            *half = Half::default();
            self.nodes.get_mut(&at).unwrap().tracker.handle_gone(&on);
            self.seen.remove(&(at, on));
        }
    }

    /// A node ends, with a word or without, and another takes its place.
    fn end(&mut self, name: u8, goodbye: bool) {
        let others: Vec<u8> = self.nodes.keys().copied().filter(|&other| other != name).collect();
        for other in others {
            self.cut(name, other);
            if goodbye {
                self.give_up(other, name);
            }
        }
        self.nodes.remove(&name);
        self.halves.retain(|(at, _), _| *at != name);
        self.seen.retain(|(at, _), _| *at != name);
        self.start();
    }

    fn read(&mut self, name: u8) {
        let (node, seed) = (self.nodes.get_mut(&name).unwrap(), self.seed);
        while let Some(event) = node.tracker.poll_change(node.watch) {
            let of = |place: &Place<u8>| (place.node.unwrap_or(name), place.id);
            match event {
                Event::Joined(place, meta) => {
                    let before = node.streamed.insert(of(&place), (place.key.to_string(), meta.to_vec()));
                    assert_eq!(before, None, "seed {seed}: {name} was told twice of {place:?}");
                }
                Event::Updated { place, was, now } => {
                    let told = (place.key.to_string(), now.to_vec());
                    let before = node.streamed.insert(of(&place), told);
                    assert_eq!(before, Some((place.key.to_string(), was.to_vec())), "seed {seed}: {place:?}");
                    assert_ne!(was, now, "seed {seed}");
                }
                Event::Left(place, was) => {
                    let before = node.streamed.remove(&of(&place));
                    assert_eq!(before, Some((place.key.to_string(), was.to_vec())), "seed {seed}: {place:?}");
                }
            }
        }
        assert_eq!(node.streamed, said(name, node), "seed {seed}: a stream adds up to the list");
    }

    /// What must hold at every moment.
    fn check(&mut self) {
        let seed = self.seed;
        for (&viewer, node) in &self.nodes {
            let listed = said(viewer, node);
            for (&(owner, id), what) in &listed {
                assert!(self.history[&(owner, id)].contains(what), "seed {seed}: never said {what:?}");
                let there = owner == viewer || self.halves.get(&(viewer, owner)).is_some_and(|it| it.there);
                assert!(there, "seed {seed}: {viewer} lists what is on {owner}, which is not there");
                self.seen.entry((viewer, owner)).or_default().insert(id);
            }
            for (&(_, owner), seen) in self.seen.iter().filter(|((at, _), _)| *at == viewer) {
                let Some(owner_node) = self.nodes.get(&owner) else { continue };
                for id in owner_node.own.iter().filter(|id| seen.contains(id)) {
                    assert!(listed.contains_key(&(owner, *id)), "seed {seed}: {viewer} lost {id} of {owner}");
                }
            }
        }
    }

    fn step(&mut self) {
        match self.rng.u8(0..40) {
            0..=9 => {
                let name = self.any();
                (0..self.rng.usize(1..6)).for_each(|_| self.say(name));
            }
            10 => {
                // A partition: two parts that do not reach each other.
                let side = self.rng.u64(..);
                let names: Vec<u8> = self.nodes.keys().copied().collect();
                for (&a, &b) in names.iter().flat_map(|a| names.iter().map(move |b| (a, b))) {
                    if (side >> (a % 64)) & 1 != (side >> (b % 64)) & 1 {
                        self.cut(a, b);
                    }
                }
            }
            11 if self.last_name < 40 => {
                let (name, goodbye) = (self.any(), self.rng.bool());
                self.end(name, goodbye);
            }
            12..=13 => {
                let name = self.any();
                self.read(name);
            }
            action => {
                let Some((a, b)) = self.two() else { return };
                match action {
                    14 => self.cut(a, b),
                    15..=17 => self.link(a, b),
                    18..=22 => self.hear(a, b),
                    23..=24 => self.give_up(a, b),
                    25..=32 => while self.transmit(a, b) && self.rng.bool() {},
                    _ => while self.receive(a, b) && self.rng.u8(0..4) > 0 {},
                }
            }
        }
        self.check();
    }

    fn pairs(&self) -> Vec<(u8, u8)> {
        let names = || self.nodes.keys().copied();
        names().flat_map(|a| names().filter(move |&b| b != a).map(move |b| (a, b))).collect()
    }

    /// Each sends whatever it may, then all of that arrives.
    fn round(&mut self) -> bool {
        let mut moved = false;
        for (a, b) in self.pairs() {
            while self.transmit(a, b) {
                moved = true;
            }
        }
        for (a, b) in self.pairs() {
            while self.receive(a, b) {
                self.check();
            }
        }
        moved
    }

    /// Everybody reaches everybody, and those who are gone are known to be.
    fn mend(&mut self) {
        // What still hangs together is in step.
        while self.round() {}
        for (a, b) in self.pairs() {
            if !self.up.contains(&pair(a, b)) {
                self.link(a, b);
            }
        }
        for (a, b) in self.pairs() {
            self.hear(a, b);
        }
        let dead: Vec<_> =
            self.halves.keys().copied().filter(|(_, on)| !self.nodes.contains_key(on)).collect();
        dead.into_iter().for_each(|(at, on)| self.give_up(at, on));
    }
}

fn said(name: u8, node: &Node) -> Said {
    let all = node.tracker.list(&bus(), &topic("t"));
    all.map(|(it, meta)| ((it.node.unwrap_or(name), it.id), (it.key.to_string(), meta.to_vec()))).collect()
}

#[test]
fn all_live_nodes_list_the_same_one_round_after_the_mend() {
    for seed in 0..300 {
        let mut sim = Sim::new(seed);
        for _ in 0..sim.rng.usize(50..500) {
            sim.step();
        }
        sim.mend();
        // Also what is said at that moment is known within the round.
        for name in sim.nodes.keys().copied().collect::<Vec<_>>() {
            sim.say(name);
        }
        sim.round();
        let truth: Said = sim
            .nodes
            .iter()
            .flat_map(|(&name, node)| said(name, node).into_iter().filter(move |((of, _), _)| *of == name))
            .collect();
        let tracked: usize = sim.nodes.values().map(|node| node.own.len()).sum();
        assert_eq!(truth.len(), tracked, "seed {seed}");
        for name in sim.nodes.keys().copied().collect::<Vec<_>>() {
            assert_eq!(said(name, &sim.nodes[&name]), truth, "seed {seed}: what {name} lists");
            sim.read(name);
        }
    }
}
