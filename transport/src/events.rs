//! What the mesh tells its user of peers.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use talkie_discovery::{NodeId, NodeName, Via};

/// A node of the same mesh that this node is, or was, linked to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// Its id, new at each start.
    pub id: NodeId,
    /// Its human name; names may repeat.
    pub name: NodeName,
    /// Where it listens, as far as it is known: the host that the link leads to, and the port that the peer tells.
    pub addr: SocketAddr,
    /// How it was found.
    pub via: Via,
    /// What its link goes over.
    pub link: LinkKind,
    /// Smoothed round-trip time of pings; none before the first pong.
    pub rtt: Option<Duration>,
    /// Since when it has been up.
    pub since: Instant,
}

/// What a link goes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkKind {
    /// TCP.
    Tcp,
    /// A Unix socket: the peer is on this host.
    Unix,
}

impl std::fmt::Display for LinkKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Unix => "unix",
        })
    }
}

/// Why a peer was told down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DownReason {
    /// Its link closed and could not be made again at once.
    Closed,
    /// It said goodbye.
    Left,
    /// Nothing was heard of it for three seconds.
    Timeout,
}

impl std::fmt::Display for DownReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Closed => "closed",
            Self::Left => "left",
            Self::Timeout => "timeout",
        })
    }
}

/// A peer came or went.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerEvent {
    /// Linked. Replacing one of two links is no event.
    Up(Peer),
    /// Gone, for now or for good.
    Down {
        /// As it was last known.
        peer: Peer,
        /// Why.
        reason: DownReason,
    },
}
