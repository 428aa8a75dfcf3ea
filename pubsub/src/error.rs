//! What can fail: one enum per operation.

use std::time::Duration;

use talkie_discovery::NodeId;

use crate::answer::Unanswered;
use crate::group::GroupNameError;
use crate::proto::headers::HeadersError;
use crate::proto::presence::Full;
use crate::proto::value::{DecodeError, EncodeError};
use crate::topic::{PatternError, TopicError};

/// The node has left, or is leaving.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the node has left the mesh")]
pub struct Closed;

/// Why a node did not join.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The address cannot be listened on, a chosen interface does not exist, or the system gives no socket or no random
    /// bytes. Being without a network is no error: it is waited for.
    #[error(transparent)]
    Start(#[from] talkie_transport::StartError),
    /// The counters cannot be served there ([`Config::metrics`](crate::Config::metrics), `TALKIE_METRICS`).
    #[error("cannot serve metrics at {at}: {source}")]
    Metrics {
        /// The address asked for.
        at: std::net::SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The runtime ended before the node was up.
    #[error("the runtime is shutting down")]
    ShuttingDown,
}

/// Why nothing was published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// What was given is no topic.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The value cannot be a payload; only of [`Typed::publish`](crate::Typed::publish).
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The payload is over the node's limit ([`Config::max_message`](crate::Config::max_message), `TALKIE_MAX_MESSAGE`).
    /// Nothing was sent.
    #[error("payload of {given} bytes is over the limit of {limit}")]
    TooLarge {
        /// Its length in bytes.
        given: usize,
        /// The most that is allowed, in bytes.
        limit: usize,
    },
    /// A header cannot be ([`PublishOptions::header`](crate::PublishOptions::header)). Nothing was sent.
    #[error(transparent)]
    Headers(#[from] HeadersError),
    /// Nothing is known of the node that it was to go to ([`Audience::Node`](crate::Audience::Node)): it was never met, has left, or
    /// is lost for so long that nothing is kept for it.
    #[error("no node {0} is here, nor was lost of late")]
    UnknownNode(NodeId),
    /// Payload and headers are over the bytes of the history that the publisher keeps
    /// ([`Publisher::keeping`](crate::Publisher::keeping)), so that a late joiner would miss them. Nothing was sent.
    #[error("payload and headers of {given} bytes are over the {limit} that the history of the topic holds")]
    OverHistory {
        /// Their length in bytes.
        given: usize,
        /// The most that it holds, in bytes.
        limit: usize,
    },
    /// A handler published for handlers of this node, and so many such messages wait for their calls already. Nothing was sent.
    /// Only in handlers.
    #[error("{limit} messages that handlers published wait for handlers already: return, or publish less")]
    Nested {
        /// The most that may wait, in messages.
        limit: usize,
    },
    /// The node has left.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// Why no history is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// It would hold nothing: no messages, or less than the 192 bytes that each is charged.
    #[error("a history of no messages; say how many of the last, and at least 192 bytes for each")]
    Empty,
    /// It is over the limit for one topic.
    #[error("a history of {given} bytes is over the limit of {limit}")]
    TooLarge {
        /// What was asked for, in bytes.
        given: usize,
        /// The most that is allowed, in bytes.
        limit: usize,
    },
    /// All histories of the bus would be over their limit.
    #[error("the histories of the bus would be over the limit of {limit} bytes: let some hold less")]
    Full {
        /// The most that is allowed together, in bytes.
        limit: usize,
    },
    /// The node has left.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// Why there is no subscription.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// What was given is no pattern.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// What was given is no name of a group.
    #[error(transparent)]
    Group(#[from] GroupNameError),
    /// The node has left.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// Why there is no presence of a topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PresenceError {
    /// What was given is no topic.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The node has left.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// Why a key was not tracked, or not updated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrackError {
    /// The key is empty or too long; only of [`Presence::track`](crate::Presence::track).
    #[error("a key of {given} bytes is not one of 1 to {limit}")]
    Key {
        /// Its length in bytes.
        given: usize,
        /// The most that is allowed, in bytes.
        limit: usize,
    },
    /// The meta does not serialise.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The meta is too long.
    #[error("a meta of {given} encoded bytes is over the limit of {limit}")]
    MetaTooLarge {
        /// Its length in bytes, encoded.
        given: usize,
        /// The most that is allowed, in bytes.
        limit: usize,
    },
    /// This node tracks as much as it may; other nodes would refuse more.
    #[error(transparent)]
    Full(#[from] Full),
    /// The node has left.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// Why waiting for subscribers, or responders, ended without them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribedOnError {
    /// What was given is no topic.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The node has left.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// Why a request has no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// What was given is no topic.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The payload is over the node's limit ([`Config::max_message`](crate::Config::max_message), `TALKIE_MAX_MESSAGE`).
    /// Nothing was sent.
    #[error("payload of {given} bytes is over the limit of {limit}")]
    TooLarge {
        /// Its length in bytes.
        given: usize,
        /// The most that is allowed, in bytes.
        limit: usize,
    },
    /// A header cannot be ([`RequestOptions::header`](crate::RequestOptions::header)). Nothing was sent.
    #[error(transparent)]
    Headers(#[from] HeadersError),
    /// No node that is up answers the topic, this one included; or the one that was asked has just ceased to. Told at once.
    #[error("no node answers this topic")]
    NoResponders,
    /// No reply was there in time. The responder may be at work, or have replied too late.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The responder dropped the request, or had no room for one more. Told at once.
    #[error("the responder dropped the request")]
    Dropped,
    /// The responder's node left or was told down while the request was under way; it may have acted on it, and a request that had
    /// not reached it is not acted on when it is back. Told at once.
    #[error("the responder is gone")]
    Gone,
    /// The request or its reply found no room on its way: what waits for the other node is at its limit, or it is over the
    /// other node's [`Config::max_message`](crate::Config::max_message). Told at once.
    #[error("no room on the way: the other node stands still, or takes no message of this length")]
    NoRoom,
    /// The value cannot be a payload; only of [`Typed::request`](crate::Typed::request).
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The responder takes values of another type than the request's. Told at once.
    #[error("the responder takes requests of another type")]
    NotUnderstood,
    /// The reply is no value of the type that was asked for.
    #[error("the reply is of no use: {0}")]
    Malformed(DecodeError),
    /// 65,536 answers are waited for already; nothing was sent.
    #[error("too many requests wait for their answers")]
    TooMany,
    /// The node has left.
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl RequestError {
    pub(crate) fn of(why: Unanswered, within: Duration) -> Self {
        match why {
            Unanswered::Dropped => Self::Dropped,
            Unanswered::Gone => Self::Gone,
            Unanswered::NoResponder => Self::NoResponders,
            Unanswered::Timeout => Self::Timeout(within),
            Unanswered::NoRoom => Self::NoRoom,
            Unanswered::NotUnderstood => Self::NotUnderstood,
            Unanswered::Malformed(error) => Self::Malformed(error),
        }
    }
}

/// Why nobody responds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RespondError {
    /// What was given is no pattern.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// The node has left.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// Why a reply was not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// The payload is over the node's limit ([`Config::max_message`](crate::Config::max_message), `TALKIE_MAX_MESSAGE`). The
    /// asker is told that the request was dropped.
    #[error("payload of {given} bytes is over the limit of {limit}")]
    TooLarge {
        /// Its length in bytes.
        given: usize,
        /// The most that is allowed, in bytes.
        limit: usize,
    },
    /// The value cannot be a payload; only of [`Request::reply_typed`](crate::Request::reply_typed). The asker is told that the
    /// request was dropped.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// Its asker waited until [`Request::deadline`](crate::Request::deadline), and has been told that no answer came in time.
    #[error("the asker gave up {ago:?} ago: reply before the request's deadline, or have it ask for longer")]
    TooLate {
        /// How long ago, as far as it can be told here.
        ago: Duration,
    },
    /// What waits for the asker's node is at its limit, or the reply is over that node's
    /// [`Config::max_message`](crate::Config::max_message). The asker is told, if there is room for that.
    #[error("no room on the way: the asker's node stands still, or takes no message of this length")]
    NoRoom,
    /// The node has left.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// Why it is not known that everything was handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FlushError {
    /// Peers were lost before they had confirmed everything. What they are owed is kept for their return, for ten minutes.
    #[error("{messages} messages in doubt: a peer was lost before it had confirmed them")]
    InDoubt {
        /// Sent and not confirmed, over all peers; they may have arrived.
        messages: u64,
    },
    /// The node has left.
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl From<talkie_transport::InDoubt> for FlushError {
    fn from(doubt: talkie_transport::InDoubt) -> Self {
        Self::InDoubt { messages: doubt.messages }
    }
}
