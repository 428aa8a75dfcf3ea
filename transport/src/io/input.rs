//! What the driver is told by the tasks around it.

use std::net::SocketAddr;

use bytes::BytesMut;
use serde::{Deserialize, Serialize};
use talkie_discovery::{HostMark, NodeId, NodeName, SecretMark};
use tokio::sync::oneshot;

use super::stream::Stream;
use crate::events::DownReason;
use crate::proto::members::Member;
use crate::proto::mesh::{DialNumber, LinkNumber, Offer, Outcome, Target};
use crate::proto::open::Open;
use crate::proto::seal::Seal;

/// What the driver is told.
pub(crate) enum Input {
    Established(Box<Established>),
    DialEnded {
        number: DialNumber,
        outcome: Outcome,
    },
    DialFailed {
        number: DialNumber,
        target: Target,
        outcome: Outcome,
        why: String,
    },
    Closed {
        id: NodeId,
        link: LinkNumber,
        reason: DownReason,
    },
    /// What a linked peer told of others.
    Members {
        teller: NodeId,
        told: Vec<Member>,
    },
    /// Which secrets a linked peer accepts from now on.
    Secrets {
        id: NodeId,
        theirs: Vec<SecretMark>,
    },
    Leave(oneshot::Sender<()>),
}

/// A link that is ready for the driver.
pub(crate) struct Established {
    pub(crate) offer: Offer,
    pub(crate) hello: Hello,
    /// The peer's host, where its Unix sockets are used.
    pub(crate) host: Option<HostMark>,
    /// The secret that the handshake proved.
    pub(crate) secret: SecretMark,
    /// Those that the peer accepts; empty where it says nothing.
    pub(crate) theirs: Vec<SecretMark>,
    /// Those that it was told this node accepts.
    pub(crate) told: Vec<SecretMark>,
    pub(crate) addr: SocketAddr,
    pub(crate) stream: Stream,
    pub(crate) seal: Seal,
    pub(crate) open: Open,
    pub(crate) wire: BytesMut,
    /// Control frames that came in one record with the arbiter's word.
    pub(crate) early: Vec<u8>,
    /// The number under which the arbiter took it up; none where this node is the arbiter.
    pub(crate) adopted: Option<u64>,
    /// The dial that led here.
    pub(crate) dial: Option<DialNumber>,
}

/// What each side says before a link is taken up; behind it its host mark, and the secrets that it accepts. A later version may append fields.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) name: NodeName,
    pub(crate) listen: Vec<SocketAddr>,
    pub(crate) max_message: u64,
    /// Number of the newest link taken up with the other side; 0 for none.
    pub(crate) seen: u64,
    /// Whether that link lives.
    pub(crate) live: bool,
    /// Generation and number of the last data frame had from the other side.
    pub(crate) received: Option<(u64, u64)>,
    /// Data frames were had, but which is no longer known.
    pub(crate) forgotten: bool,
    /// How the dialing side found the other; [`via_code`].
    pub(crate) via: u8,
}
