//! What the rooms of this crate need of a peer. Its users: transport's [`PeerSender`], and the simulated peers of
//! the tests.

use std::hash::Hash;
use std::time::{Duration, Instant};

use talkie_discovery::{NodeId, NodeName};
use talkie_transport::{Hand, Interests, Parcel, PeerSender, Pushed, Room};

/// A way to one peer; a cheap handle, equal by the peer's id. Nothing here waits.
pub(crate) trait Outlet: Clone + Eq + Hash + Send + Sync + 'static {
    /// The peer's id.
    fn id(&self) -> NodeId;
    /// The peer's name.
    fn name(&self) -> NodeName;
    /// Whether the peer counts as being there.
    fn is_up(&self) -> bool;
    /// Whether the peer is known to be on this host.
    fn is_near(&self) -> bool {
        false
    }
    /// The round-trip time to it, where that was measured.
    fn rtt(&self) -> Option<Duration>;
    /// Whether waiting before [`Self::push`] of a payload of so many bytes is of use.
    fn room(&self, payload: usize, now: Instant) -> Room;
    /// Sends a message, or keeps it, or counts it as a gap. Messages of one `flow` keep their order.
    /// `payload` is how long the message is without its envelope, bytes.
    fn push(&self, interests: &Interests, flow: u64, payload: usize, body: Parcel<'_>, hand: Hand) -> Pushed;
    /// How many messages were unconfirmed when it was lost; told once.
    fn take_in_doubt(&self) -> u64;
    /// Sends a control frame on the link of the moment, if there is one.
    fn control(&self, frame: &[u8]) -> bool;
}

impl Outlet for PeerSender {
    fn id(&self) -> NodeId {
        Self::id(self)
    }

    fn name(&self) -> NodeName {
        Self::name(self)
    }

    fn is_up(&self) -> bool {
        Self::is_up(self)
    }

    fn is_near(&self) -> bool {
        Self::is_near(self)
    }

    fn rtt(&self) -> Option<Duration> {
        Self::rtt(self)
    }

    fn room(&self, payload: usize, now: Instant) -> Room {
        Self::room(self, payload, now)
    }

    fn push(&self, interests: &Interests, flow: u64, payload: usize, body: Parcel<'_>, hand: Hand) -> Pushed {
        Self::push(self, interests, flow, payload, body, hand)
    }

    fn take_in_doubt(&self) -> u64 {
        Self::take_in_doubt(self)
    }

    fn control(&self, frame: &[u8]) -> bool {
        Self::control(self, frame)
    }
}
