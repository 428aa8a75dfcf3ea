//! What each node says of itself: its interests, kept equal on every peer.
//!
//! Outward, one peer at a time: a snapshot when a link is made, then changes, in numbered frames of which a few
//! may be unacknowledged. Inward, the same from each peer: a snapshot is applied as a difference, so that what
//! the peer still wants stays in force while the snapshot runs.
//!
//! Adds go out in the order of their ids, and ids only grow. That makes the snapshot simple: an id that it
//! passes over is gone, and a new interest is one that the walk has not reached yet.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use talkie_transport::Interest;

use super::interest::{OwnInterests, Role};
use crate::topic::{BusName, Pattern};

mod frame;
mod inward;
mod outward;

use frame::{Ack, Frame};
use inward::Inward;
use outward::{Outward, WINDOW};

/// Most bytes of a control frame. Small against a link's buffers, so that frames and messages take turns.
pub const MAX_FRAME: usize = 32 * 1024;

/// Most interests that one peer may have here; further ones are refused. A service has tens.
pub const MAX_INTERESTS: usize = 65_536;

/// Most memory that one peer's interests may take here, in bytes, [`CHARGE`] included.
pub const MAX_INTEREST_BYTES: usize = 16 * 1024 * 1024;

/// What one interest is charged besides its texts, in bytes: the entry, two allocations, its place in the index.
pub const CHARGE: usize = 192;

/// The replica of one node: what it tells, and what it was told. `P` names a peer.
///
/// - input: [`subscribe`](Self::subscribe), [`join`](Self::join), [`unsubscribe`](Self::unsubscribe),
///   [`handle_linked`](Self::handle_linked), [`handle_unlinked`](Self::handle_unlinked),
///   [`handle_forgotten`](Self::handle_forgotten), [`handle_control`](Self::handle_control)
/// - output: [`poll_transmit`](Self::poll_transmit) for each of [`peers`](Self::peers),
///   [`poll_event`](Self::poll_event)
///
/// It has no timers: the lane below delivers in order or dies with its link, and each link begins anew.
#[derive(Debug)]
pub struct Replica<P> {
    own: OwnInterests,
    /// Subscriptions made so far; each is younger than all before.
    joins: u64,
    peers: HashMap<P, Peer>,
    events: VecDeque<(P, Change)>,
}

/// A change of what a peer wants.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// It wants this, or another subscription joined there.
    Set {
        /// Its name for it.
        interest: Interest,
        /// What.
        wanted: Wanted,
    },
    /// It no longer does.
    Removed {
        /// The interest's id.
        id: u64,
        /// What.
        wanted: Wanted,
    },
    /// It announced more than [`MAX_INTERESTS`] or [`MAX_INTEREST_BYTES`]; told once per peer.
    Refused,
}

/// A pattern on a bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The bus.
    pub bus: BusName,
    /// The pattern.
    pub pattern: Pattern,
    /// What for.
    pub role: Role,
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
    #[error("interest {0} announced out of order")]
    IdOrder(u64),
    /// A bus name or pattern that none can be.
    #[error("interest {0} has no valid bus or pattern")]
    Invalid(u64),
}

#[derive(Debug, Default)]
struct Peer {
    outward: Outward,
    inward: Inward,
}

impl<P> Default for Replica<P> {
    fn default() -> Self {
        Self { own: OwnInterests::default(), joins: 0, peers: HashMap::new(), events: VecDeque::new() }
    }
}

impl<P: Clone + Eq + Hash> Replica<P> {
    /// One more local subscription: what it is announced as, and how many were made so far, itself included.
    pub fn subscribe(&mut self, bus: &BusName, pattern: &Pattern) -> (Interest, u64) {
        self.join(bus, pattern, Role::Subscriber)
    }

    /// The same in any role.
    pub fn join(&mut self, bus: &BusName, pattern: &Pattern, role: Role) -> (Interest, u64) {
        let interest = self.own.subscribe(bus, pattern, role);
        self.joins += 1;
        if interest.epoch > 0 {
            self.changed(interest.id);
        }
        (interest, self.joins)
    }

    /// One local subscription less; whether it was the last of its interest.
    pub fn unsubscribe(&mut self, id: u64) -> bool {
        let last = self.own.unsubscribe(id).is_some();
        if last {
            self.changed(id);
        }
        last
    }

    /// A link was made or replaced: everything is told anew, and expected anew.
    pub fn handle_linked(&mut self, peer: &P) {
        let Peer { outward, inward } = self.peers.entry(peer.clone()).or_default();
        *outward = Outward {
            linked: true,
            run: outward.run + 1,
            restart: true,
            announced: outward.announced,
            ..Outward::default()
        };
        inward.last = None;
        inward.in_snapshot = false;
    }

    /// The link is gone: nothing is told until the next. What the peer wants stays in force.
    pub fn handle_unlinked(&mut self, peer: &P) {
        if let Some(Peer { outward, inward }) = self.peers.get_mut(peer) {
            outward.linked = false;
            outward.pending.clear();
            inward.last = None;
        }
    }

    /// The peer is owed nothing any more: what it wants is removed.
    pub fn handle_forgotten(&mut self, peer: &P) {
        let Some(gone) = self.peers.remove(peer) else { return };
        let removed =
            gone.inward.view.into_iter().map(|(id, heard)| Change::Removed { id, wanted: heard.wanted });
        self.events.extend(removed.map(|change| (peer.clone(), change)));
    }

    /// A frame from the peer. Changes it makes come from [`poll_event`](Self::poll_event).
    pub fn handle_control(&mut self, peer: &P, bytes: &[u8]) -> Result<(), ControlError> {
        let Some(Peer { outward, inward }) = self.peers.get_mut(peer) else { return Ok(()) };
        match Frame::decode(bytes)? {
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
                let mut last_bus = None;
                for item in state.items() {
                    inward.apply(item?, &mut last_bus, &mut told)?;
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
        if let Some(ack) = outward.ack.take() {
            ack.encode(buf);
            return true;
        }
        let idle = !outward.restart
            && !outward.in_snapshot
            && outward.pending.is_empty()
            && self.own.from(outward.cursor).next().is_none();
        if idle || outward.sent - outward.acked >= WINDOW {
            return false;
        }
        outward.write_state(&self.own, buf);
        outward.announced = self.joins;
        true
    }

    /// The next change of what a peer wants.
    pub fn poll_event(&mut self) -> Option<(P, Change)> {
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

    /// Everything that a peer wants, as far as it was told.
    pub fn view(&self, peer: &P) -> impl Iterator<Item = (Interest, &Wanted)> {
        let views = self.peers.get(peer).map(|peer| &peer.inward.view);
        views.into_iter().flatten().map(|(&id, heard)| (Interest { id, epoch: heard.epoch }, &heard.wanted))
    }

    /// How many subscriptions had been made when the peer was last told anything: it may know of those.
    pub fn announced(&self, peer: &P) -> u64 {
        self.peers.get(peer).map_or(0, |peer| peer.outward.announced)
    }

    /// How many interests of the peer were refused for want of room.
    pub fn refused(&self, peer: &P) -> u64 {
        self.peers.get(peer).map_or(0, |peer| peer.inward.refused)
    }

    /// This node's interests.
    pub fn own(&self) -> &OwnInterests {
        &self.own
    }

    /// An own interest joined or gone is told again to those who were told of it.
    fn changed(&mut self, id: u64) {
        for Peer { outward, .. } in self.peers.values_mut() {
            outward.changed(id);
        }
    }
}

impl Wanted {
    fn charge(&self) -> usize {
        CHARGE + self.bus.as_str().len() + self.pattern.as_str().len()
    }
}

#[cfg(test)]
mod tests;
