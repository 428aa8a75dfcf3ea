//! What the mesh tells its user of peers.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use talkie_discovery::{NodeId, NodeName, SecretMark, Via};

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
    /// Which of this node's secrets it holds, as far as it says; none where there are no secrets, in a simulated mesh.
    pub secrets: Option<PeerSecrets>,
}

/// Which of this node's secrets a peer holds, while a mesh changes from one to another. A secret has the place that it has
/// in this node's list, 1 for the first.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerSecrets {
    /// The one that it sends under; none: one that this node does not hold.
    pub sends: Option<usize>,
    /// Those that it does not accept, ascending.
    pub lacks: Vec<usize>,
}

impl PeerSecrets {
    pub(crate) fn of(ours: &[SecretMark], theirs: &[SecretMark]) -> Option<Self> {
        let first = theirs.first()?;
        let sends = ours.iter().position(|mark| mark == first).map(|at| at + 1);
        let missing = ours.iter().enumerate().filter(|(_, mark)| !theirs.contains(mark));
        Some(Self { sends, lacks: missing.map(|(at, _)| at + 1).collect() })
    }

    /// Whether it sends under the secret that this node sends under.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.sends == Some(1)
    }
}

/// As a sentence's end: `sends under secret 2, lacks secret 1`.
impl std::fmt::Display for PeerSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.sends {
            Some(place) => write!(f, "sends under secret {place}")?,
            None => f.write_str("sends under a secret that this node does not hold")?,
        }
        self.lacks.iter().try_for_each(|place| write!(f, ", lacks secret {place}"))
    }
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
    /// The two share no secret any more: one was removed on one side.
    Secret,
}

impl std::fmt::Display for DownReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Closed => "closed",
            Self::Left => "left",
            Self::Timeout => "timeout",
            Self::Secret => "secret",
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
