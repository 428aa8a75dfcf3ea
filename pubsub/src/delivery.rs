//! Nouns: what a subscription yields, and what a publish reports.

use bytes::Bytes;
use talkie_discovery::{NodeId, NodeName};

use crate::proto::headers::Headers;
use crate::proto::value::DecodeError;
use crate::topic::Topic;

/// What a subscription yields.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivery<T = Bytes> {
    /// A message on a topic that the pattern wants.
    Message(Message<T>),
    /// Messages that the subscription would have had and did not get, in the place where they would have been.
    Gap {
        /// Who published them.
        from: NodeId,
        /// How many; 0 where not even a lower bound is known.
        missed: u64,
        /// Whether `missed` is their number, or a lower bound.
        exact: bool,
    },
    /// A message that is no value of the subscriber's type, in its place. Only typed subscriptions have it
    /// ([`Bus::typed`](crate::Bus::typed)).
    Malformed {
        /// Where it was published.
        topic: Topic,
        /// The node that published it.
        from: NodeId,
        /// The name of that node.
        name: NodeName,
        /// As in [`Message::seq`].
        seq: u64,
        /// What is wrong with it.
        error: DecodeError,
    },
}

/// What a handler is called with: as [`Delivery`], but lent, so that nothing is counted or copied for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeliveryRef<'a> {
    /// A message on a topic that the pattern wants.
    Message(MessageRef<'a>),
    /// As [`Delivery::Gap`].
    Gap {
        /// Who published them.
        from: NodeId,
        /// How many; 0 where not even a lower bound is known.
        missed: u64,
        /// Whether `missed` is their number, or a lower bound.
        exact: bool,
    },
}

/// A message as it was published, lent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageRef<'a> {
    /// Where it was published.
    pub topic: &'a Topic,
    /// The node that published it.
    pub from: NodeId,
    /// The name of that node; names may repeat.
    pub name: &'a NodeName,
    /// As in [`Message::seq`].
    pub seq: u64,
    /// What was published beside the payload.
    pub headers: &'a Headers,
    /// What was published. A clone shares its memory.
    pub payload: &'a Bytes,
}

impl DeliveryRef<'_> {
    /// To keep it, or to send it elsewhere. Shares the payload's memory.
    pub fn to_delivery(self) -> Delivery {
        match self {
            Self::Message(message) => Delivery::Message(message.to_message()),
            Self::Gap { from, missed, exact } => Delivery::Gap { from, missed, exact },
        }
    }
}

impl MessageRef<'_> {
    /// To keep it, or to send it elsewhere. Shares the payload's memory.
    pub fn to_message(self) -> Message {
        let Self { topic, from, name, seq, headers, payload } = self;
        let (topic, name) = (topic.clone(), name.clone());
        Message {
            topic,
            from,
            name,
            seq,
            headers: headers.clone(),
            payload: payload.clone(),
            redelivered: false,
        }
    }
}

/// A message as it was published.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message<T = Bytes> {
    /// Where it was published.
    pub topic: Topic,
    /// The node that published it.
    pub from: NodeId,
    /// The name of that node; names may repeat.
    pub name: NodeName,
    /// Counts the sender's publishes on the bus, from 1. A hole is a message on another topic, not a loss.
    pub seq: u64,
    /// What was published beside the payload ([`PublishOptions::headers`](crate::PublishOptions::headers)).
    pub headers: Headers,
    /// What was published.
    pub payload: T,
    /// Another member of a [group](crate::SubscribeOptions::group) may have had it: it was lost before it acknowledged it. False for
    /// all that is in no group.
    pub redelivered: bool,
}

/// What became of a publish at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// The message's number: counts this node's publishes on the bus, from 1.
    pub seq: u64,
    /// Nodes that are up and want it. Nodes that are away are not counted, though it is kept for their return.
    pub nodes: usize,
    /// Subscriptions and handlers on this node that got it.
    pub local: usize,
    /// Nodes, also such that are away, that get a counted gap instead, since what waits for them is at its limit.
    pub overflowed: usize,
}

/// How much may wait in one subscription. What happens to what does not fit is [`WhenFull`](crate::WhenFull): by default the
/// oldest make room and become a gap.
///
/// More rides out longer pauses of the reader and costs memory; a reader that stays slower than its publishers
/// gets gaps with any limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// Messages and gaps; at least 1 is allowed. By default 1,024.
    pub messages: usize,
    /// Bytes of payloads, headers, topics and a fixed 192 per message. By default 8 MiB: a queue full of messages of 8 KiB.
    /// One message that is longer than this waits beside them.
    pub bytes: usize,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self { messages: 1_024, bytes: 8 * 1024 * 1024 }
    }
}
