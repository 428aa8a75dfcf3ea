//! What each node says of itself, kept equal on every peer: its interests, or who is present on it.
//!
//! Outward, one peer at a time: a snapshot when a link is made, then changes, in numbered frames of which a few
//! may be unacknowledged. Inward, the same from each peer: a snapshot is applied as a difference, so that what
//! the peer still says stays in force while the snapshot runs.
//!
//! Adds go out in the order of their ids, and ids only grow. That makes the snapshot simple: an id that it
//! passes over is gone, and a new entry is one that the walk has not reached yet.
//!
//! What is said is an [`Entry`]: a pattern ([`interest`](super::interest)) or a key that is present
//! ([`presence`](super::presence)). Each kind has frames of its own, so that neither waits for the other.

use std::collections::{HashMap, VecDeque};
use std::fmt::Debug;
use std::hash::Hash;

use super::interest::OwnInterests;

mod frame;
mod inward;
mod outward;

pub(super) use frame::{append, take};

use frame::{Ack, Frame};
use inward::Inward;
use outward::{Outward, WINDOW};

/// Most bytes of a control frame. Small against a link's buffers, so that frames and messages take turns.
pub const MAX_FRAME: usize = 32 * 1024;

/// Most bytes of one entry in a frame. At least one fits behind a frame's head.
pub const MAX_ITEM: usize = MAX_FRAME - 64;

/// One thing that a node says of itself.
pub trait Entry: Clone + PartialEq + Debug {
    /// What of it may change while it keeps its id.
    type Change;

    /// The kinds of the frames that tell it, and that acknowledge those.
    const FRAMES: (u8, u8);

    /// Most entries that one peer may have here; further ones are refused.
    const MAX: usize;

    /// Most memory that one peer's entries may take here, in bytes, by [`charge`](Self::charge).
    const MAX_BYTES: usize;

    /// What it is charged, bytes.
    fn charge(&self) -> usize;

    /// Whether it is what was said before, at most changed.
    fn continues(&self, before: &Self) -> bool;

    /// Takes what changed.
    fn change(&mut self, change: Self::Change);

    /// Appends the fields of the item that adds it, at most [`MAX_ITEM`] bytes, and gives the item's kind.
    fn write_add(&self, id: u64, fields: &mut Vec<u8>) -> u8;

    /// The same of the item that tells its change.
    fn write_change(&self, id: u64, fields: &mut Vec<u8>) -> u8;

    /// An item from a peer. `last` is the entry that was added before it in the frame: what both have can be shared.
    fn read(kind: u8, fields: &[u8], last: Option<&Self>) -> Result<Item<Self>, ControlError>;
}

/// An item of a frame.
#[derive(Debug)]
pub enum Item<E: Entry> {
    /// An entry under an id.
    Add {
        /// Its id.
        id: u64,
        /// What is said.
        entry: E,
    },
    /// A change of one that was added.
    Change {
        /// Its id.
        id: u64,
        /// What changed.
        change: E::Change,
    },
    /// Said no more.
    Remove {
        /// Its id.
        id: u64,
    },
    /// Of a later version.
    Unknown,
}

/// The kind of the item that removes an entry, whatever the entry is; its field is the id.
pub const REMOVE: u8 = 3;

/// What this node says of itself, by ids that grow from 1 and are never used again.
pub trait Own: Default + Debug {
    /// What it consists of.
    type Entry: Entry;

    /// The entry of this id, while it is said.
    fn get(&self, id: u64) -> Option<&Self::Entry>;

    /// The entries from this id on, in the order of their ids.
    fn from(&self, id: u64) -> impl Iterator<Item = (u64, &Self::Entry)>;

    /// Counts what was ever said. See [`Replica::announced`].
    fn said(&self) -> u64;
}

/// The replica of one node: what it tells, and what it was told. `P` names a peer.
///
/// - input: [`own_mut`](Self::own_mut) and [`changed`](Self::changed), [`handle_linked`](Self::handle_linked),
///   [`handle_unlinked`](Self::handle_unlinked), [`handle_forgotten`](Self::handle_forgotten),
///   [`handle_control`](Self::handle_control)
/// - output: [`poll_transmit`](Self::poll_transmit) for each of [`peers`](Self::peers),
///   [`poll_event`](Self::poll_event)
///
/// It has no timers: the lane below delivers in order or dies with its link, and each link begins anew.
#[derive(Debug)]
pub struct Replica<P, O: Own = OwnInterests> {
    own: O,
    /// Links so far. Frames and acks of an earlier one are told by it, also of a peer that was forgotten meanwhile.
    runs: u64,
    peers: HashMap<P, Peer<O::Entry>>,
    events: VecDeque<(P, Change<O::Entry>)>,
}

/// A change of what a peer says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change<E> {
    /// It says this, or says it changed.
    Set {
        /// Its name for it.
        id: u64,
        /// What.
        entry: E,
    },
    /// It no longer does.
    Removed {
        /// Its name for it.
        id: u64,
        /// What.
        entry: E,
    },
    /// It says more than [`Entry::MAX`] or [`Entry::MAX_BYTES`]; told once per peer.
    Refused,
}

/// Why a control frame was not taken. What it said up to there holds; the peer's next snapshot repairs the rest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// Not what its kind promises.
    #[error("malformed control frame")]
    Malformed,
    /// Frames are numbered one after the other.
    #[error("control frame {given} where {expected} was due")]
    OutOfOrder {
        /// Its number.
        given: u64,
        /// The number that was due.
        expected: u64,
    },
    /// Adds come in the order of their ids.
    #[error("entry {0} announced out of order")]
    IdOrder(u64),
    /// A bus, a pattern, a topic or a key that none can be.
    #[error("entry {0} has an invalid name")]
    Invalid(u64),
}

#[derive(Debug)]
struct Peer<E> {
    outward: Outward,
    inward: Inward<E>,
}

/// The link and the frame of it that each peer is to acknowledge; see [`Replica::is_confirmed`].
#[derive(Debug)]
pub struct Seen<P>(HashMap<P, (u64, u64)>);

impl<P> Default for Seen<P> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<E> Default for Peer<E> {
    fn default() -> Self {
        Self { outward: Outward::default(), inward: Inward::default() }
    }
}

impl<P, O: Own> Default for Replica<P, O> {
    fn default() -> Self {
        Self { own: O::default(), runs: 0, peers: HashMap::new(), events: VecDeque::new() }
    }
}

impl<P: Clone + Eq + Hash, O: Own> Replica<P, O> {
    /// A link was made or replaced: everything is told anew, and expected anew.
    pub fn handle_linked(&mut self, peer: &P) {
        let Peer { outward, inward } = self.peers.entry(peer.clone()).or_default();
        self.runs += 1;
        *outward = Outward {
            linked: true,
            run: self.runs,
            restart: true,
            announced: outward.announced,
            ..Outward::default()
        };
        inward.last = None;
        inward.in_snapshot = false;
    }

    /// The link is gone: nothing is told until the next. What the peer said stays in force.
    pub fn handle_unlinked(&mut self, peer: &P) {
        if let Some(Peer { outward, inward }) = self.peers.get_mut(peer) {
            outward.linked = false;
            outward.pending.clear();
            inward.last = None;
        }
    }

    /// The peer counts no more: what it said is removed.
    pub fn handle_forgotten(&mut self, peer: &P) {
        let Some(gone) = self.peers.remove(peer) else { return };
        let removed = gone.inward.view.into_iter().map(|(id, entry)| Change::Removed { id, entry });
        self.events.extend(removed.map(|change| (peer.clone(), change)));
    }

    /// A frame from the peer. Changes it makes come from [`poll_event`](Self::poll_event).
    pub fn handle_control(&mut self, peer: &P, bytes: &[u8]) -> Result<(), ControlError> {
        let Some(Peer { outward, inward }) = self.peers.get_mut(peer) else { return Ok(()) };
        match Frame::decode(O::Entry::FRAMES, bytes)? {
            Frame::Ack(ack) => {
                if ack.run == outward.run && ack.number <= outward.sent {
                    outward.acked = outward.acked.max(ack.number);
                }
                Ok(())
            }
            Frame::State(state) => {
                // Sent before the peer knew of this link: what follows repeats it.
                let expected = match inward.last {
                    // A peer that counts to the end has no next number: only a new link helps.
                    Some((run, number)) if run == state.run => number.saturating_add(1),
                    _ if state.begin => state.number,
                    _ => return Ok(()),
                };
                if state.number != expected {
                    inward.last = None;
                    return Err(ControlError::OutOfOrder { given: state.number, expected });
                }
                inward.last = Some((state.run, state.number));
                outward.ack = Some(Ack { run: state.run, number: state.number });
                if state.begin {
                    inward.reached = 0;
                    inward.in_snapshot = true;
                }
                let events = &mut self.events;
                let mut told = |change| events.push_back((peer.clone(), change));
                let mut last = None::<O::Entry>;
                for item in state.items() {
                    let (kind, fields) = item?;
                    let item = frame::read(kind, fields, last.as_ref())?;
                    if let Item::Add { entry, .. } = &item {
                        last = Some(entry.clone());
                    }
                    inward.apply(item, &mut told)?;
                }
                if state.end && inward.in_snapshot {
                    inward.in_snapshot = false;
                    inward.remove_between(inward.reached, u64::MAX, &mut told);
                }
                Ok(())
            }
            Frame::Unknown => Ok(()),
        }
    }

    /// Appends the next frame for the peer to `buf`; false where there is nothing to send, or no window.
    pub fn poll_transmit(&mut self, peer: &P, buf: &mut Vec<u8>) -> bool {
        let Some(Peer { outward, .. }) = self.peers.get_mut(peer) else { return false };
        if !outward.linked {
            return false;
        }
        let (state, ack) = O::Entry::FRAMES;
        if let Some(last) = outward.ack.take() {
            last.encode(ack, buf);
            return true;
        }
        let idle = !outward.restart
            && !outward.in_snapshot
            && outward.pending.is_empty()
            && self.own.from(outward.cursor).next().is_none();
        if idle || outward.sent - outward.acked >= WINDOW {
            return false;
        }
        outward.write_state(state, &self.own, buf);
        outward.announced = self.own.said();
        true
    }

    /// The next change of what a peer says.
    pub fn poll_event(&mut self) -> Option<(P, Change<O::Entry>)> {
        let event = self.events.pop_front();
        if self.events.is_empty() && self.events.capacity() > 1_024 {
            self.events = VecDeque::new();
        }
        event
    }

    /// The peers that were linked and not forgotten.
    pub fn peers(&self) -> impl Iterator<Item = &P> {
        self.peers.keys()
    }

    /// How many entries they all said, and what those are charged, bytes.
    pub fn said(&self) -> (usize, usize) {
        let inward = self.peers.values().map(|peer| &peer.inward);
        inward.fold((0, 0), |(entries, bytes), of| (entries + of.view.len(), bytes + of.bytes))
    }

    /// Those of them that are linked now.
    pub fn linked(&self) -> impl Iterator<Item = &P> {
        self.peers.iter().filter(|(_, peer)| peer.outward.linked).map(|(peer, _)| peer)
    }

    /// Everything that a peer says, as far as it was told.
    pub fn view(&self, peer: &P) -> impl Iterator<Item = (u64, &O::Entry)> {
        let views = self.peers.get(peer).map(|peer| &peer.inward.view);
        views.into_iter().flatten().map(|(&id, entry)| (id, entry))
    }

    /// How much had been [said](Own::said) when the peer was last told anything: it may know of that.
    pub fn announced(&self, peer: &P) -> u64 {
        self.peers.get(peer).map_or(0, |peer| peer.outward.announced)
    }

    /// Whether every linked peer has confirmed that it knows of this own entry, as it was when `seen` was new. `seen` is what
    /// is waited for of each; it is kept from one look to the next.
    pub fn is_confirmed(&self, id: u64, seen: &mut Seen<P>) -> bool {
        let mut all = true;
        for (peer, Peer { outward, .. }) in self.peers.iter().filter(|(_, peer)| peer.outward.linked) {
            let known = seen.0.get(peer).filter(|(run, _)| *run == outward.run).map(|(_, number)| *number);
            // What was told by now stands in the last frame that was sent, or in one before.
            let due = known.or_else(|| outward.has_told(id).then_some(outward.sent));
            if known.is_none()
                && let Some(number) = due
            {
                seen.0.insert(peer.clone(), (outward.run, number));
            }
            all &= due.is_some_and(|number| outward.acked >= number);
        }
        all
    }

    /// How many entries all peers have here, and what they are charged, bytes.
    pub fn size(&self) -> (usize, usize) {
        let sizes = self.peers.values().map(|peer| (peer.inward.view.len(), peer.inward.bytes));
        sizes.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
    }

    /// How many entries of the peer were refused for want of room.
    pub fn refused(&self, peer: &P) -> u64 {
        self.peers.get(peer).map_or(0, |peer| peer.inward.refused)
    }

    /// What this node says.
    pub fn own(&self) -> &O {
        &self.own
    }

    /// The same, to say more or less. [`changed`](Self::changed) follows for an id that was there before.
    pub fn own_mut(&mut self) -> &mut O {
        &mut self.own
    }

    /// An own entry changed or is gone: told again to those who were told of it.
    pub fn changed(&mut self, id: u64) {
        for Peer { outward, .. } in self.peers.values_mut() {
            outward.changed(id);
        }
    }
}

#[cfg(test)]
mod tests;
