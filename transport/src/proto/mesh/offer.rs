//! Noun: a link that was just authenticated, and what becomes of it.

use talkie_discovery::{NodeId, Via};

/// Names one connection of this node.
pub type LinkNumber = u64;

/// What a peer says of its side of the pair, on a link that was just authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// Who.
    pub id: NodeId,
    /// The connection.
    pub link: LinkNumber,
    /// Number of the newest link that the peer took up with us; 0 for none.
    pub seen: u64,
    /// Whether that link lives for the peer.
    pub live: bool,
    /// How the two found each other, as far as the dialing side knows.
    pub via: Via,
}

/// What becomes of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is taken up under this number; the other link, where there was one, ends.
    Adopt {
        /// Number of the link in this pair.
        number: u64,
        /// The link that it replaces.
        replaces: Option<LinkNumber>,
    },
    /// Another link is in use, or there are too many peers.
    Refuse,
}
