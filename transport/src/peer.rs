//! The border to pubsub: two doors without logic.
//!
//! Outward a [`PeerSender`] (lock, push, wake); inward the trait [`Deliver`], the one inversion of the
//! house: transport must not import pubsub, so pubsub hands it an implementation at start.

use bytes::Bytes;
use smallvec::SmallVec;

/// Names an interest of the receiving node.
///
/// Opaque here: the pair travels with each message, and what an overflowing outbox drops is counted per pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interest {
    /// Never reused by the node that announced it.
    pub id: u64,
    /// Grows by one whenever another local subscription joins the same interest.
    pub epoch: u64,
}

/// The interests that one message goes to on one peer; most often one.
pub type Interests = SmallVec<[Interest; 2]>;

/// What arrives from one peer, in order, one call at a time.
#[derive(Debug)]
#[non_exhaustive]
pub enum Inbound<'a> {
    /// A link was made or replaced: the control lane starts anew, so send a snapshot.
    Linked,
    /// A frame of the peer's control lane, as it was given to its [`PeerSender::control`].
    Control(&'a [u8]),
    /// A message, for these interests of ours.
    Message {
        /// Interests of this node that matched at the publisher.
        interests: &'a [Interest],
        /// The body as the publisher pushed it.
        body: Bytes,
    },
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
    fn deliver(&self, from: &PeerSender, what: Inbound<'_>);
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

/// Sends to one peer. A cheap handle; equal and hashed by the peer's id.
#[derive(Clone)]
pub struct PeerSender(std::sync::Arc<()>);

impl PeerSender {
    /// Placeholder until the outbox lands.
    pub fn push(&self, _interests: &Interests, _body: &Bytes) -> Pushed {
        Pushed::Kept
    }
}
