//! Two honest nodes that tell each other what they want, over links that come and go.

use std::collections::{BTreeMap, VecDeque};

use talkie_pubsub::proto::interest::{Role, Wanted};
use talkie_pubsub::proto::replica::{Change, Own as _, Replica, Seen};
use talkie_pubsub::{BusName, Pattern};

use crate::feed::Feed;

const PATTERNS: [&str; 4] = ["a", "b/*", "**", "c"];

/// One node, named by its place.
struct Side {
    replica: Replica<usize>,
    /// Frames on their way to it.
    lane: VecDeque<Vec<u8>>,
    /// What it was told, change by change.
    view: BTreeMap<u64, Wanted>,
    own: Vec<u64>,
    /// An own interest that is waited for until the other side knows of it.
    watch: Option<(u64, u64, Seen<usize>)>,
}

/// What is said to be confirmed is known there. No more than eight frames and two words are on their way. Once frames flow each side knows exactly
/// what the other wants, whatever was lost with how many links, and there is nothing left to say.
pub fn run(data: &[u8]) {
    let mut feed = Feed::new(data);
    let mut sides = [Side::new(), Side::new()];
    let (mut linked, mut whole) = (false, false);
    while feed.more() {
        let at = feed.below(2);
        match feed.byte() % 12 {
            0..3 => subscribe(&mut feed, &mut sides[at]),
            3 => {
                let which = feed.below(8);
                if let Some(id) = sides[at].own.get(which).copied() {
                    sides[at].own.remove(which);
                    let last = sides[at].replica.unsubscribe(id);
                    assert_eq!(last, !sides[at].own.contains(&id));
                }
            }
            4 => {
                link(&mut sides);
                (linked, whole) = (true, true);
            }
            5 => {
                // Each side hears of it in its own time.
                sides[at].replica.handle_unlinked(&(1 - at));
                whole = false;
                if feed.flag() {
                    sides[1 - at].replica.handle_unlinked(&at);
                    sides.iter_mut().for_each(|side| side.lane.clear());
                    linked = false;
                }
            }
            6 if !linked => {
                sides[at].replica.handle_forgotten(&(1 - at));
                sides[at].read();
                assert!(sides[at].view.is_empty());
            }
            7..9 => {
                transmit(&mut sides, at);
            }
            9 => confirmed(&mut sides, at),
            _ => {
                for _ in 0..=feed.below(3) {
                    deliver(&mut sides, at);
                }
            }
        }
    }
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
        let truth: BTreeMap<u64, Wanted> =
            sides[1 - at].replica.own().from(0).map(|(id, own)| (id, own.clone())).collect();
        assert_eq!(sides[at].view, truth);
        confirmed(&mut sides, at);
        let watch = sides[at].watch.take();
        if let Some((id, _, mut seen)) = watch.filter(|(id, ..)| sides[at].replica.own().get(*id).is_some()) {
            assert!(sides[at].replica.is_confirmed(id, &mut seen), "it is known, and not confirmed");
        }
        // What came and went while nothing was told need not be.
        assert!(whole || sides[at].replica.announced(&(1 - at)) == sides[at].replica.own().said());
    }
    for at in 0..2 {
        sides[at].replica.handle_forgotten(&(1 - at));
        sides[at].read();
        assert!(sides[at].view.is_empty());
        assert_eq!(sides[at].replica.size(), (0, 0));
    }
}

impl Side {
    fn new() -> Self {
        let replica = Replica::default();
        Self { replica, lane: VecDeque::new(), view: BTreeMap::new(), own: Vec::new(), watch: None }
    }

    /// Takes what is told of the other side.
    fn read(&mut self) {
        while let Some((peer, change)) = self.replica.poll_event() {
            match change {
                Change::Set { id, entry } => _ = self.view.insert(id, entry),
                Change::Removed { id, entry } => assert_eq!(self.view.remove(&id), Some(entry)),
                change => panic!("{peer}: {change:?}"),
            }
        }
    }
}

fn subscribe(feed: &mut Feed<'_>, side: &mut Side) {
    let bus: BusName = if feed.flag() { BusName::default() } else { "other".parse().expect("a name") };
    let pattern: Pattern = PATTERNS[feed.below(4)].parse().expect("a pattern");
    let role = match feed.below(4) {
        0 => Role::Responder,
        1 => Role::Member("workers".parse().expect("a name")),
        _ => Role::Subscriber,
    };
    // A member is not given what was kept, and does not ask for it.
    let history = feed.flag() && !matches!(role, Role::Member(_));
    let (interest, _) = side.replica.join(&bus, &pattern, role, history);
    side.own.push(interest.id);
    if feed.flag() {
        side.watch = Some((interest.id, interest.epoch, Seen::default()));
    }
}

/// A new link; what was on the old one is lost.
fn link(sides: &mut [Side; 2]) {
    for at in 0..2 {
        sides[at].lane.clear();
        sides[at].replica.handle_linked(&(1 - at));
    }
}

fn transmit(sides: &mut [Side; 2], at: usize) -> bool {
    let mut frame = Vec::new();
    let sent = sides[at].replica.poll_transmit(&(1 - at), &mut frame);
    if sent {
        let to = &mut sides[1 - at];
        to.lane.push_back(frame);
        assert!(to.lane.iter().filter(|frame| frame[0] == 1).count() <= 8, "more than the window");
    }
    sent
}

fn deliver(sides: &mut [Side; 2], at: usize) -> bool {
    let Some(frame) = sides[at].lane.pop_front() else { return false };
    sides[at].replica.handle_control(&(1 - at), &frame).expect("the other side is honest");
    sides[at].read();
    true
}

/// What is confirmed is known there, at least as it was.
fn confirmed(sides: &mut [Side; 2], at: usize) {
    let [here, there] = sides.get_disjoint_mut([at, 1 - at]).expect("two of two");
    let Some((id, epoch, seen)) = &mut here.watch else { return };
    let linked = here.replica.linked().count() > 0;
    if linked && here.replica.own().get(*id).is_some() && here.replica.is_confirmed(*id, seen) {
        let known = there.view.get(id);
        assert!(known.is_some_and(|known| known.epoch >= *epoch), "{known:?} of {id} since {epoch}");
    }
}
