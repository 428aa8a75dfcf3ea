//! What can fail: one enum per operation.

use crate::proto::value::EncodeError;
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
    /// The node has left.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// Why waiting for subscribers ended without them.
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
