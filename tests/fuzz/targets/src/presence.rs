//! Who is present, on two nodes whose link comes and goes, and what those who watch are told.

use std::collections::{BTreeMap, VecDeque};
use std::sync::OnceLock;

use bytes::Bytes;
use talkie_pubsub::proto::presence::Here;
use talkie_pubsub::proto::tracker::{Event, Place, Tracker};
use talkie_pubsub::{BusName, Topic};

use crate::feed::Feed;

const TOPICS: [&str; 2] = ["a", "b/c"];
const KEYS: [&str; 3] = ["k", "l", "m"];

struct Side {
    tracker: Tracker<usize>,
    /// Frames on their way to it.
    lane: VecDeque<Vec<u8>>,
    /// Its own, by id.
    own: BTreeMap<u64, Here>,
    watches: BTreeMap<u64, Watch>,
}

/// Topic, what was told of it, and whether there may be more to read.
type Watch = (usize, BTreeMap<Place<usize>, Bytes>, bool);

/// Whoever watches is told, change by change, what leads to what is listed, is woken when there is something to read, and not told
/// anything twice. A node's own keys are listed at once. Those of the other are its very keys once frames flow, and none when it is gone.
/// In the end nothing is charged.
pub fn run(data: &[u8]) {
    let mut feed = Feed::new(data);
    let (mut sides, mut turn, mut whole) = ([Side::new(), Side::new()], 0_u32, false);
    while feed.more() {
        let at = feed.below(2);
        let side = &mut sides[at];
        match feed.byte() % 16 {
            0..3 => {
                let here = Here {
                    bus: bus().clone(),
                    topic: topic(feed.below(2)),
                    key: KEYS[feed.below(3)].into(),
                    meta: Bytes::copy_from_slice(feed.bytes(3)),
                };
                let id = side.tracker.track(here.clone()).expect("there is room");
                assert!(side.own.insert(id, here).is_none());
            }
            3 | 4 => {
                if let Some((id, here)) = side.own.iter_mut().nth(feed.below(8)) {
                    here.meta = Bytes::copy_from_slice(feed.bytes(3));
                    side.tracker.update(*id, here.meta.clone()).expect("there is room");
                }
            }
            5 => {
                let (which, other) = (feed.below(8), feed.number());
                let id = side.own.keys().nth(which).copied().unwrap_or(other);
                side.tracker.untrack(id);
                side.own.remove(&id);
            }
            6 if feed.byte() < 32 => {
                side.tracker.clear();
                side.own.clear();
            }
            6 | 7 => {
                let on = feed.below(2);
                let watch = side.tracker.watch(bus(), &topic(on));
                side.watches.insert(watch, (on, BTreeMap::new(), true));
            }
            8 => {
                if let Some(watch) = side.watches.keys().nth(feed.below(4)).copied() {
                    side.tracker.unwatch(watch);
                    side.watches.remove(&watch);
                    assert!(side.tracker.poll_change(watch).is_none());
                }
            }
            9 => {
                link(&mut sides);
                whole = true;
            }
            10 if feed.flag() => {
                // Each side hears of it in its own time; what is on its way to who has not heard yet still arrives.
                side.tracker.handle_gone(&(1 - at));
                side.lane.clear();
                sides[1 - at].lane.clear();
                whole = false;
            }
            10 | 11 => _ = transmit(&mut sides, at),
            12 | 13 => _ = deliver(&mut sides, at),
            14 => {
                if let Some(watch) = side.watches.keys().nth(feed.below(4)).copied() {
                    side.poll(watch);
                }
            }
            _ => side.read(),
        }
        turn += 1;
        if turn % 4 == 0 {
            sides[at].check(at);
        }
    }
    (0..2).for_each(|at| sides[at].check(at));
    // A link that is there is enough: a new one would tell everything anew.
    if !whole {
        link(&mut sides);
    }
    let mut turns = 0;
    while transmit(&mut sides, 0) | transmit(&mut sides, 1) | deliver(&mut sides, 0) | deliver(&mut sides, 1) {
        turns += 1;
        assert!(turns < 1_000, "there is always more to say");
    }
    for at in 0..2 {
        let (it, other) = (&sides[at], &sides[1 - at]);
        for on in 0..2 {
            let listed = it.tracker.list(bus(), &topic(on)).filter(|(place, _)| place.node.is_some());
            let mut listed: Vec<_> = listed.map(|(place, meta)| (place.id, place.key.clone(), meta.clone())).collect();
            listed.sort_unstable();
            let truth = other.own.iter().filter(|(_, here)| here.topic == topic(on));
            let truth: Vec<_> = truth.map(|(id, here)| (*id, here.key.clone(), here.meta.clone())).collect();
            assert_eq!(listed, truth);
        }
    }
    for at in 0..2 {
        sides[at].read();
        sides[at].tracker.handle_gone(&(1 - at));
        sides[at].own.clear();
        sides[at].tracker.clear();
        sides[at].read();
        assert!(sides[at].watches.values().all(|(_, known, _)| known.is_empty()));
        assert_eq!(sides[at].tracker.size(), (0, 0));
    }
}

fn topic(n: usize) -> Topic {
    static ALL: OnceLock<[Topic; 2]> = OnceLock::new();
    ALL.get_or_init(|| TOPICS.map(|topic| topic.parse().expect("a topic")))[n].clone()
}

fn bus() -> &'static BusName {
    static BUS: OnceLock<BusName> = OnceLock::new();
    BUS.get_or_init(BusName::default)
}

/// A new link; what was on the old one is lost.
fn link(sides: &mut [Side; 2]) {
    for at in 0..2 {
        sides[at].lane.clear();
        sides[at].tracker.handle_linked(&(1 - at));
    }
}

fn transmit(sides: &mut [Side; 2], at: usize) -> bool {
    let mut frame = Vec::new();
    let sent = sides[at].tracker.poll_transmit(&(1 - at), &mut frame);
    if sent {
        sides[1 - at].lane.push_back(frame);
    }
    sent
}

fn deliver(sides: &mut [Side; 2], at: usize) -> bool {
    let Some(frame) = sides[at].lane.pop_front() else { return false };
    sides[at].tracker.handle_control(&(1 - at), &frame).expect("the other side is honest");
    true
}

impl Side {
    fn new() -> Self {
        Self {
            tracker: Tracker::default(),
            lane: VecDeque::new(),
            own: BTreeMap::new(),
            watches: BTreeMap::new(),
        }
    }

    /// Reads all that there is to read; then what was told is what is listed.
    fn read(&mut self) {
        let watches: Vec<u64> = self.watches.keys().copied().collect();
        for watch in watches {
            while self.poll(watch) {}
            let (on, known, _) = &self.watches[&watch];
            assert!(self.tracker.list(bus(), &topic(*on)).eq(known), "what was told is what is so");
        }
    }

    /// Reads one change; whether there was one.
    fn poll(&mut self, watch: u64) -> bool {
        while let Some(woken) = self.tracker.poll_woken() {
            if let Some((_, _, awake)) = self.watches.get_mut(&woken) {
                *awake = true;
            }
        }
        let (_, known, awake) = self.watches.get_mut(&watch).expect("it is there");
        match self.tracker.poll_change(watch) {
            Some(Event::Joined(place, meta)) => assert!(known.insert(place, meta).is_none()),
            Some(Event::Updated { place, was, now }) => {
                assert_ne!(was, now);
                assert_eq!(known.insert(place, now), Some(was));
            }
            Some(Event::Left(place, was)) => assert_eq!(known.remove(&place), Some(was)),
            None => {
                *awake = false;
                return false;
            }
        }
        assert!(*awake, "it was not woken");
        true
    }

    fn check(&self, at: usize) {
        let mut listed = 0;
        for on in 0..2 {
            let all: Vec<_> = self.tracker.list(bus(), &topic(on)).collect();
            assert!(all.iter().is_sorted_by_key(|(place, _)| *place));
            listed += all.len();
            let own = all.iter().filter(|(place, _)| place.node.is_none());
            let own: BTreeMap<u64, &Bytes> = own.map(|(place, meta)| (place.id, *meta)).collect();
            let truth = self.own.iter().filter(|(_, here)| here.topic == topic(on));
            assert!(own.into_iter().eq(truth.map(|(id, here)| (*id, &here.meta))), "its own are listed at once");
            for key in KEYS {
                let of_key = all.iter().filter(|(place, _)| &*place.key == key);
                assert!(self.tracker.find(bus(), &topic(on), key).eq(of_key.copied()));
            }
            assert!(all.iter().all(|(place, _)| place.node.is_none_or(|node| node == 1 - at)));
        }
        assert_eq!(self.tracker.size().0, listed);
    }
}
