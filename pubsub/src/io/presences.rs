//! The shell of the tracker: one lock, the ways to the peers, and those who wait for a change.

use std::collections::{BTreeMap, HashMap};
use std::hash::{Hash, Hasher};
use std::ops::RangeBounds;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use talkie_discovery::{NodeId, NodeName};

use super::outlet::Outlet;
use super::registry::lock;
use crate::proto::presence::{Full, Here};
use crate::proto::replica::ControlError;
use crate::proto::tracker::{Event, Place, Tracker};
use crate::topic::{BusName, Topic};

/// Who is present on this node and all others. Its lock is held while peers are told, so that they hear of changes in their
/// order: after a peer's inbox, before its outbox, and beside no other.
#[derive(Debug)]
pub(crate) struct Presences<P>(Mutex<State<P>>);

#[derive(Debug)]
struct State<P> {
    tracker: Tracker<Who>,
    /// Ways to those who are there.
    outlets: BTreeMap<NodeId, (Who, P)>,
    /// Those who wait, by their watch.
    readers: HashMap<u64, Waker>,
    closed: bool,
    /// Reused for each control frame.
    frame: Vec<u8>,
}

/// A node, one and the same by its id.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    pub(crate) id: NodeId,
    pub(crate) name: NodeName,
}

impl<P> Default for Presences<P> {
    fn default() -> Self {
        Self(Mutex::new(State {
            tracker: Tracker::default(),
            outlets: BTreeMap::new(),
            readers: HashMap::new(),
            closed: false,
            frame: Vec::new(),
        }))
    }
}

impl<P: Outlet> Presences<P> {
    /// Says that a key is here, to everybody; the entry's id. None once the node is closing.
    pub(crate) fn track(&self, here: Here) -> Option<Result<u64, Full>> {
        self.change(.., |state| (!state.closed).then(|| state.tracker.track(here)))
    }

    /// Says it with another meta. None once the node is closing.
    pub(crate) fn update(&self, id: u64, meta: Bytes) -> Option<Result<(), Full>> {
        self.change(.., |state| (!state.closed).then(|| state.tracker.update(id, meta)))
    }

    /// Says it no more.
    pub(crate) fn untrack(&self, id: u64) {
        self.change(.., |state| state.tracker.untrack(id));
    }

    /// Everybody on a topic.
    pub(crate) fn list(&self, bus: &BusName, topic: &Topic) -> Vec<(Place<Who>, Bytes)> {
        let state = lock(&self.0);
        state.tracker.list(bus, topic).map(|(place, meta)| (place.clone(), meta.clone())).collect()
    }

    /// The entries of one key.
    pub(crate) fn find(&self, bus: &BusName, topic: &Topic, key: &str) -> Vec<(Place<Who>, Bytes)> {
        let state = lock(&self.0);
        state.tracker.find(bus, topic, key).map(|(place, meta)| (place.clone(), meta.clone())).collect()
    }

    /// Watches a topic; those that are there are told first.
    pub(crate) fn watch(&self, bus: &BusName, topic: &Topic) -> u64 {
        lock(&self.0).tracker.watch(bus, topic)
    }

    pub(crate) fn unwatch(&self, watch: u64) {
        let mut state = lock(&self.0);
        state.readers.remove(&watch);
        state.tracker.unwatch(watch);
    }

    /// The next event of a watch; `None` behind the last one of a node that has left.
    pub(crate) fn poll_change(&self, watch: u64, cx: &mut Context<'_>) -> Poll<Option<Event<Who>>> {
        let mut state = lock(&self.0);
        match state.tracker.poll_change(watch) {
            Some(event) => Poll::Ready(Some(event)),
            None if state.closed => Poll::Ready(None),
            None => {
                state.readers.insert(watch, cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// A link to the peer: everything is told anew.
    pub(super) fn linked(&self, peer: &P) {
        self.change(only(peer), |state| {
            if state.closed {
                return;
            }
            let who = Who::of(peer);
            state.tracker.handle_linked(&who);
            state.outlets.insert(who.id, (who, peer.clone()));
        });
    }

    /// The peer is down, or gone: nobody is present there.
    pub(super) fn gone(&self, peer: &P) {
        self.change(only(peer), |state| {
            if let Some((who, _)) = state.outlets.remove(&peer.id()) {
                state.tracker.handle_gone(&who);
            }
        });
    }

    /// A control frame about presence: what it says is so on return.
    pub(super) fn control(&self, peer: &P, frame: &[u8]) -> Result<(), ControlError> {
        self.change(only(peer), |state| {
            let Some((who, _)) = state.outlets.get(&peer.id()) else { return Ok(()) };
            let refused = state.tracker.refused();
            let result = state.tracker.handle_control(who, frame);
            if state.tracker.refused() > refused {
                tracing::warn!(name: "talkie.presence.refused", peer = %who.name, "tracks more keys than one node may: the rest is refused");
            }
            result
        })
    }

    /// How many peers track more than one may; how many keys are present, and what they are charged, bytes.
    pub(super) fn stats(&self) -> (u64, u64, u64) {
        let state = lock(&self.0);
        let (keys, bytes) = state.tracker.size();
        (state.tracker.refused(), keys as u64, bytes as u64)
    }

    /// Says nothing any more, here and to the peers. Streams end behind what they still hold.
    pub(super) fn close(&self) {
        self.change(.., |state| {
            state.closed = true;
            state.tracker.clear();
        });
        let readers = std::mem::take(&mut lock(&self.0).readers);
        readers.into_values().for_each(Waker::wake);
    }

    /// Lets go of the peers, which would otherwise hold what holds this, and of what they said. No stream is told of that.
    pub(super) fn clear(&self) {
        let mut state = lock(&self.0);
        state.outlets.clear();
        state.tracker.handle_closed();
    }

    /// Changes something, tells these peers of it, and then whoever waits.
    fn change<T>(&self, told: impl RangeBounds<NodeId>, change: impl FnOnce(&mut State<P>) -> T) -> T {
        let mut state = lock(&self.0);
        let result = change(&mut state);
        let State { tracker, outlets, readers, frame, .. } = &mut *state;
        for (who, outlet) in outlets.range(told).map(|(_, to)| to) {
            while tracker.poll_transmit(who, frame) {
                // Without a link the frame is lost, as the next link's snapshot expects.
                outlet.control(frame);
                frame.clear();
            }
        }
        let mut woken = Vec::new();
        while let Some(watch) = tracker.poll_woken() {
            woken.extend(readers.remove(&watch));
        }
        drop(state);
        woken.into_iter().for_each(Waker::wake);
        result
    }
}

/// The peer alone.
fn only(peer: &impl Outlet) -> std::ops::RangeInclusive<NodeId> {
    peer.id()..=peer.id()
}

impl Who {
    fn of(peer: &impl Outlet) -> Self {
        Self { id: peer.id(), name: peer.name() }
    }
}

impl PartialEq for Who {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Who {}

impl PartialOrd for Who {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Who {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.id.cmp(&other.id)
    }
}

impl Hash for Who {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}
