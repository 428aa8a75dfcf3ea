//! The border to pubsub: two doors without logic.
//!
//! Outward a [`PeerSender`] (lock, push, wake); inward the trait [`Deliver`], the one inversion of the
//! house: transport must not import pubsub, so pubsub hands it an implementation at start.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use talkie_discovery::{NodeId, NodeName};
use tokio::sync::futures::OwnedNotified;

use crate::body::Parcel;
use crate::error::InDoubt;
use crate::interest::{Interest, Interests};
use crate::io::session::Session;
use crate::proto::record::Kind;

/// What arrives from one peer, in order, one call at a time.
#[derive(Debug)]
#[non_exhaustive]
pub enum Inbound<'a> {
    /// A link was made or replaced: the control lane starts anew, so send a snapshot.
    Linked,
    /// A frame of the peer's control lane, as it was given to its [`PeerSender::control`].
    Control(&'a [u8]),
    /// Messages, in their order; one or more. What is left of them is dropped.
    Messages(&'a mut Vec<Arrival>),
    /// Messages that were meant for us and are lost, where they would have been in the stream.
    Gap {
        /// How many are missing, per interest.
        interests: &'a [(Interest, u64)],
        /// Whether the counts are exact, or lower bounds.
        exact: bool,
    },
    /// The peer no longer knew us when it came back: whatever it owed us is lost, uncounted.
    Lost,
    /// Told down: keep its interests (it is owed what is published), but do not count it.
    Down,
    /// Nothing is owed any more: drop its interests.
    Forgotten,
}

/// Takes what arrives. Implemented by pubsub; must never wait.
pub trait Deliver: Send + Sync + 'static {
    /// One arrival. Calls for one peer come one at a time and in order; calls for several run side by side.
    ///
    /// Where it fills somebody's room, the word of when there is some again: before it reads on, the reader of this peer's link
    /// gives way until then, 10 ms at most.
    fn deliver(&self, from: &PeerSender, what: Inbound<'_>) -> Option<Pressed>;
}

/// Why a reader gives way.
#[derive(Debug)]
#[allow(clippy::exhaustive_enums, reason = "there is nothing between waiting and not")]
pub enum Pressed {
    /// When there is room again.
    Until(OwnedNotified),
    /// Whoever reads had its time: it is only let run where it has no other thread.
    Passing,
}

/// A message that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "tests of the crate above make some")]
pub struct Arrival {
    /// Interests of this node that matched at the publisher.
    pub interests: Interests,
    /// The body as the publisher pushed it.
    pub body: Bytes,
}

/// What became of a pushed message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pushed {
    /// In the queue of a linked peer.
    Queued,
    /// The peer is down; kept for its return.
    Kept,
    /// No room: counted, and told to the peer as a gap.
    Overflowed,
}

/// Who writes a pushed message, and when it was pushed: a moment that is only compared with earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "there are no other hands")]
pub enum Hand {
    /// The caller's own task, where the link rests; else the link's writer task.
    Own(Instant),
    /// The link's writer task: for a message to so many peers that the last would wait for all writes before.
    Writer(Instant),
}

/// Whether a publisher should wait before it pushes to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Room {
    /// It fits.
    Free,
    /// Full, but the peer moves: worth waiting for [`PeerSender::room_freed`], until then at the latest.
    Wait {
        /// When to push all the same; what does not fit then is a gap.
        until: Instant,
    },
    /// Full and standing still, or away: waiting is no use.
    Stalled,
}

/// Sends to one peer. A cheap handle; equal and hashed by the peer's id.
#[derive(Clone)]
pub struct PeerSender(pub(crate) Arc<Session>);

impl PeerSender {
    /// The peer's id.
    pub fn id(&self) -> NodeId {
        self.0.id
    }

    /// The peer's human name, as it was told on the newest link.
    pub fn name(&self) -> NodeName {
        self.0.name()
    }

    /// Whether the peer is up: linked, or lost only a moment ago.
    pub fn is_up(&self) -> bool {
        self.0.is_up()
    }

    /// Whether its newest link leads to this host.
    pub fn is_near(&self) -> bool {
        self.0.is_near()
    }

    /// Smoothed round-trip time of pings; none before the first pong.
    pub fn rtt(&self) -> Option<Duration> {
        self.0.rtt()
    }

    /// Queues a message for these interests of the peer; never waits. `hand` says who writes it.
    ///
    /// `flow` names the order that must hold, such as a hash of a topic: messages of other flows may pass a large one.
    /// `payload`, bytes, is what counts against the largest message that the peer takes; a larger one is a gap.
    pub fn push(
        &self,
        interests: &Interests,
        flow: u64,
        payload: usize,
        body: Parcel<'_>,
        hand: Hand,
    ) -> Pushed {
        self.0.push(interests, flow, payload, body, hand)
    }

    /// Whether to wait before pushing a message with a payload of so many bytes. Full queues hold publishers up for
    /// 250 ms at most, once per stall: until half of the room is free, and only where the peer confirmed something within
    /// the last 250 ms. Large messages stall apart from the others, for which some room is kept.
    pub fn room(&self, payload: usize, now: Instant) -> Room {
        self.0.room(payload, now)
    }

    /// Resolves when [`Self::room`] may have changed. Enable it before asking for room, so that nothing is missed.
    pub fn room_freed(&self) -> tokio::sync::futures::Notified<'_> {
        self.0.progress.notified()
    }

    /// Sends a frame on the link's control lane: ahead of data, in order, at most once, and lost with the link
    /// (then [`Inbound::Linked`] follows on the next one). `false`: there is no link, the frame is over 64,000
    /// bytes, or 4 MiB of frames wait already.
    pub fn control(&self, frame: &[u8]) -> bool {
        self.0.control(None, Kind::Above, frame)
    }

    /// How many messages were unconfirmed when the peer was told down or left, and were pushed since; told once, here or
    /// by [`Self::flush`].
    pub fn take_in_doubt(&self) -> u64 {
        self.0.take_in_doubt()
    }

    /// Waits until the peer has confirmed everything pushed so far. A peer that is away is not waited for.
    ///
    /// # Errors
    /// The peer was told down, or left, before it had confirmed everything; what was pushed since is counted too. Told
    /// once, and nothing of it where the peer is back.
    pub async fn flush(&self) -> Result<(), InDoubt> {
        self.0.flush().await
    }
}

impl PartialEq for PeerSender {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for PeerSender {}

impl Hash for PeerSender {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

impl fmt::Debug for PeerSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PeerSender").field(&self.id()).finish()
    }
}
