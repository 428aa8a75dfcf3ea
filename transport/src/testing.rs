//! What a simulated network needs to say of its peers; for the crate above, whose users test on one.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use talkie_discovery::{NodeId, NodeName, Via};

use crate::directory::{Directory, PeerEvents};
use crate::events::{DownReason, LinkKind, Peer};
use crate::stats::{PeerStats, Traffic};

/// Who is up, as somebody says.
#[derive(Debug, Default)]
pub struct Roster(Arc<Directory>);

impl Roster {
    /// A peer is up.
    pub fn up(&self, id: NodeId, name: NodeName, since: Instant) {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let peer = Peer {
            id,
            name,
            addr,
            via: Via::Multicast,
            link: LinkKind::Tcp,
            rtt: None,
            since,
            secrets: None,
        };
        self.0.up(peer);
    }

    /// It is no longer.
    pub fn down(&self, id: NodeId, reason: DownReason) {
        self.0.down(id, reason);
    }

    /// Who is up, in the order of ids.
    pub fn peers(&self) -> Vec<Peer> {
        self.0.peers()
    }

    /// Who comes and goes, those present first.
    pub fn events(&self) -> PeerEvents {
        self.0.listen()
    }

    /// The node has left.
    pub fn close(&self) {
        self.0.close();
    }
}

/// The counters of one peer.
pub fn peer_stats(id: NodeId, name: NodeName, up: bool, queued_bytes: u64, traffic: Traffic) -> PeerStats {
    PeerStats { id, name, up, linked: up, rtt_us: None, queued_bytes, unacknowledged: 0, traffic }
}
