//! Who is present, on which topic, with what: this node's own entries and those of all peers that are there.
//!
//! Each node says only what it tracks itself ([`presence`](super::presence) told by a [`Replica`]), so entries of two nodes
//! never conflict, and a node's entries go and come with it as a whole. Whoever watches a topic is told the way from what it
//! was told last to what is so now: it may be slow, and is given no more than there is.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use bytes::Bytes;

use super::presence::{Full, Here, OwnEntries};
use super::replica::{Change, ControlError, Entry as _, Replica};
use crate::topic::{BusName, Topic};

mod watcher;

use watcher::Watcher;

/// Who is present. `N` names a node; none is this one.
///
/// - input: [`track`](Self::track), [`update`](Self::update), [`untrack`](Self::untrack), [`clear`](Self::clear),
///   [`handle_linked`](Self::handle_linked), [`handle_gone`](Self::handle_gone), [`handle_control`](Self::handle_control)
/// - output: [`poll_transmit`](Self::poll_transmit) for each of [`peers`](Self::peers), [`list`](Self::list),
///   [`poll_change`](Self::poll_change) for a [`watch`](Self::watch), after it was in [`poll_woken`](Self::poll_woken)
///
/// It has no timers.
#[derive(Debug)]
pub struct Tracker<N> {
    replica: Replica<N, OwnEntries>,
    spaces: HashMap<(BusName, Topic), Space<N>>,
    watchers: HashMap<u64, ((BusName, Topic), Watcher<N>)>,
    last_watch: u64,
    /// Watchers that have something to read since they last had nothing.
    woken: VecDeque<u64>,
    /// Peers that say more than one may.
    refused: u64,
}

/// One topic of a bus. It is there while somebody is, or watches.
#[derive(Debug)]
struct Space<N> {
    present: BTreeMap<Place<N>, Bytes>,
    watches: Vec<u64>,
}

/// Which entry: in the order in which all are listed, apart from where this node stands among the others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place<N> {
    /// The key. It may be there several times.
    pub key: Arc<str>,
    /// Whose it is; none is this node.
    pub node: Option<N>,
    /// The node's name for the entry, never used again.
    pub id: u64,
}

/// What happened on a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<N> {
    /// An entry is there.
    Joined(Place<N>, Bytes),
    /// It has another meta.
    Updated {
        /// Which.
        place: Place<N>,
        /// The meta that was told before.
        was: Bytes,
        /// The meta.
        now: Bytes,
    },
    /// It is no longer there; what was told of it last.
    Left(Place<N>, Bytes),
}

impl<N> Default for Tracker<N> {
    fn default() -> Self {
        Self {
            replica: Replica::default(),
            spaces: HashMap::new(),
            watchers: HashMap::new(),
            last_watch: 0,
            woken: VecDeque::new(),
            refused: 0,
        }
    }
}

impl<N> Default for Space<N> {
    fn default() -> Self {
        Self { present: BTreeMap::new(), watches: Vec::new() }
    }
}

impl<N: Clone + Ord + Hash + Debug> Tracker<N> {
    /// Says that a key is here; the entry's id.
    ///
    /// # Errors
    /// Where this node tracks as much as it may.
    pub fn track(&mut self, here: Here) -> Result<u64, Full> {
        let id = self.replica.own_mut().insert(here.clone())?;
        self.set(None, id, here);
        Ok(id)
    }

    /// Says it with another meta. Nothing where it is said no more.
    ///
    /// # Errors
    /// Where this node tracks as much as it may; the meta is as it was.
    pub fn update(&mut self, id: u64, meta: Bytes) -> Result<(), Full> {
        if let Some(here) = self.replica.own_mut().update(id, meta)?.cloned() {
            self.replica.changed(id);
            self.set(None, id, here);
        }
        Ok(())
    }

    /// Says it no more.
    pub fn untrack(&mut self, id: u64) {
        if let Some(here) = self.replica.own_mut().remove(id) {
            self.replica.changed(id);
            self.remove(None, id, here);
        }
    }

    /// Says nothing any more.
    pub fn clear(&mut self) {
        use super::replica::Own as _;
        let all: Vec<u64> = self.replica.own().from(0).map(|(id, _)| id).collect();
        all.into_iter().for_each(|id| self.untrack(id));
    }

    /// A link was made or replaced. What the peer said stays in force while it says everything anew.
    pub fn handle_linked(&mut self, peer: &N) {
        self.replica.handle_linked(peer);
    }

    /// The peer is no longer there, for now or for good, and its entries with it.
    pub fn handle_gone(&mut self, peer: &N) {
        self.replica.handle_forgotten(peer);
        self.apply();
    }

    /// This node is no longer there, and so knows of nobody. Watches are told no more than what they had to be told already.
    pub fn handle_closed(&mut self) {
        self.replica = Replica::default();
        self.spaces.values_mut().for_each(|space| space.present.clear());
        self.spaces.retain(|_, space| !space.watches.is_empty());
    }

    /// A frame from the peer: what it says is in force on return.
    ///
    /// # Errors
    /// Where it is not what it should be.
    pub fn handle_control(&mut self, peer: &N, bytes: &[u8]) -> Result<(), ControlError> {
        let result = self.replica.handle_control(peer, bytes);
        self.apply();
        result
    }

    /// Appends the next frame for the peer to `buf`; false where there is nothing to send, or no window.
    pub fn poll_transmit(&mut self, peer: &N, buf: &mut Vec<u8>) -> bool {
        self.replica.poll_transmit(peer, buf)
    }

    /// The peers that are there.
    pub fn peers(&self) -> impl Iterator<Item = &N> {
        self.replica.peers()
    }

    /// How many peers said more than one may.
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// How many entries there are in all, and what they are charged, bytes.
    pub fn size(&self) -> (usize, usize) {
        let (own, others) = (self.replica.own().size(), self.replica.size());
        (own.0 + others.0, own.1 + others.1)
    }

    /// Everybody on a topic, with their metas, by key, node and id; this node before the others.
    pub fn list(
        &self,
        bus: &BusName,
        topic: &Topic,
    ) -> impl Iterator<Item = (&Place<N>, &Bytes)> + use<'_, N> {
        let space = self.spaces.get(&(bus.clone(), topic.clone()));
        space.into_iter().flat_map(|space| &space.present)
    }

    /// The entries of one key.
    pub fn find(&self, bus: &BusName, topic: &Topic, key: &str) -> impl Iterator<Item = (&Place<N>, &Bytes)> {
        let first = Place { key: key.into(), node: None, id: 0 };
        let space = self.spaces.get(&(bus.clone(), topic.clone()));
        let from = space.map(|space| space.present.range(first.clone()..));
        from.into_iter().flatten().take_while(move |(place, _)| place.key == first.key)
    }

    /// Watches a topic; those that are there are told first.
    pub fn watch(&mut self, bus: &BusName, topic: &Topic) -> u64 {
        self.last_watch += 1;
        let at = (bus.clone(), topic.clone());
        let space = self.spaces.entry(at.clone()).or_default();
        space.watches.push(self.last_watch);
        let mut watcher = Watcher::default();
        space.present.keys().for_each(|place| _ = watcher.mark(place, true));
        self.watchers.insert(self.last_watch, (at, watcher));
        self.last_watch
    }

    /// Watches no more.
    pub fn unwatch(&mut self, watch: u64) {
        let Some((at, _)) = self.watchers.remove(&watch) else { return };
        if let Some(space) = self.spaces.get_mut(&at) {
            space.watches.retain(|&other| other != watch);
        }
        self.tidy(&at);
    }

    /// The next event of what is watched.
    pub fn poll_change(&mut self, watch: u64) -> Option<Event<N>> {
        let (at, watcher) = self.watchers.get_mut(&watch)?;
        let space = self.spaces.get(at)?;
        watcher.poll(|place| space.present.get(place))
    }

    /// The next watch that has something to read since it last had nothing.
    pub fn poll_woken(&mut self) -> Option<u64> {
        self.woken.pop_front()
    }

    /// Brings what peers say into the topics.
    fn apply(&mut self) {
        while let Some((peer, change)) = self.replica.poll_event() {
            match change {
                Change::Set { id, entry } => self.set(Some(peer), id, entry),
                Change::Removed { id, entry } => self.remove(Some(peer), id, entry),
                Change::Refused => self.refused += 1,
            }
        }
    }

    fn set(&mut self, node: Option<N>, id: u64, here: Here) {
        let Here { bus, topic, key, meta } = here;
        let place = Place { key, node, id };
        let space = self.spaces.entry((bus, topic)).or_default();
        space.present.insert(place.clone(), meta);
        Self::mark(&mut self.watchers, &mut self.woken, &space.watches, &place, true);
    }

    fn remove(&mut self, node: Option<N>, id: u64, here: Here) {
        let Here { bus, topic, key, .. } = here;
        let (at, place) = ((bus, topic), Place { key, node, id });
        if let Some(space) = self.spaces.get_mut(&at) {
            space.present.remove(&place);
            Self::mark(&mut self.watchers, &mut self.woken, &space.watches, &place, false);
        }
        self.tidy(&at);
    }

    fn mark(
        watchers: &mut HashMap<u64, ((BusName, Topic), Watcher<N>)>,
        woken: &mut VecDeque<u64>,
        watches: &[u64],
        place: &Place<N>,
        present: bool,
    ) {
        for watch in watches {
            if watchers.get_mut(watch).is_some_and(|(_, watcher)| watcher.mark(place, present)) {
                woken.push_back(*watch);
            }
        }
    }

    /// Forgets a topic where nobody is or watches.
    fn tidy(&mut self, at: &(BusName, Topic)) {
        if self.spaces.get(at).is_some_and(|space| space.present.is_empty() && space.watches.is_empty()) {
            self.spaces.remove(at);
        }
    }
}

/// Whether a control frame is about presence.
pub fn is_about(frame: &[u8]) -> bool {
    let (state, ack) = Here::FRAMES;
    frame.first().is_some_and(|&kind| kind == state || kind == ack)
}

#[cfg(test)]
mod tests;
