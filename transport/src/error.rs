//! What can fail where a user sees it.

use std::io;
use std::net::SocketAddr;

/// Why a node could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The listening address cannot be had.
    #[error("cannot listen on {addr}: {source}")]
    Listen {
        /// The address asked for.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The system gave no random bytes for the node's key.
    #[error("cannot draw a key: {0}")]
    Key(#[source] snow::Error),
    /// Heartbeats could not be set up.
    #[error(transparent)]
    Discovery(#[from] talkie_discovery::StartError),
}

/// A peer was lost before it had confirmed everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the peer was lost with {messages} messages in doubt")]
pub struct InDoubt {
    /// Pushed and not confirmed: the peer may have them or not.
    pub messages: u64,
}
