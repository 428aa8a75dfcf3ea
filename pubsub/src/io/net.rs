//! What carries a node's messages: transport's links, or, with the feature `testing`, a simulated network beside them. Without
//! that feature these are transport's own types, and this file is nothing.

#[cfg(not(feature = "testing"))]
pub(crate) use talkie_transport::{PeerSender, Transport};

/// A peer as transport lends it.
pub(crate) use talkie_transport::PeerSender as Lent;

/// Does something with a lent peer as the rooms of this crate know it.
#[cfg(not(feature = "testing"))]
pub(crate) fn with<R>(peer: &Lent, what: impl FnOnce(&PeerSender) -> R) -> R {
    what(peer)
}

#[cfg(feature = "testing")]
pub(crate) use either::{PeerSender, Transport, with};

#[cfg(feature = "testing")]
mod either {
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use talkie_discovery::{Keyring, NodeId, NodeName};
    use talkie_transport::{
        Config, Deliver, Hand, InDoubt, Interests, Parcel, Peer, PeerEvents, Pushed, Room, StartError, Stats,
    };
    use tokio::sync::futures::Notified;

    use crate::io::outlet::Outlet;
    use crate::io::simulated::{SimNode, SimPeer};

    /// A way to a peer.
    #[derive(Debug, Clone, PartialEq, Eq, Hash)]
    pub(crate) enum PeerSender {
        Real(talkie_transport::PeerSender),
        Simulated(SimPeer),
    }

    pub(crate) fn with<R>(peer: &super::Lent, what: impl FnOnce(&PeerSender) -> R) -> R {
        what(&PeerSender::Real(peer.clone()))
    }

    macro_rules! both {
        ($self:ident, $kind:ident, $inner:ident => $call:expr) => {
            match $self {
                $kind::Real($inner) => $call,
                $kind::Simulated($inner) => $call,
            }
        };
    }

    impl PeerSender {
        pub(crate) fn room_freed(&self) -> Notified<'_> {
            both!(self, Self, peer => peer.room_freed())
        }

        pub(crate) async fn flush(&self) -> Result<(), InDoubt> {
            both!(self, Self, peer => peer.flush().await)
        }
    }

    impl Outlet for PeerSender {
        fn id(&self) -> NodeId {
            both!(self, Self, peer => peer.id())
        }

        fn name(&self) -> NodeName {
            both!(self, Self, peer => peer.name())
        }

        fn is_up(&self) -> bool {
            both!(self, Self, peer => peer.is_up())
        }

        fn is_near(&self) -> bool {
            both!(self, Self, peer => peer.is_near())
        }

        fn rtt(&self) -> Option<Duration> {
            both!(self, Self, peer => peer.rtt())
        }

        fn room(&self, payload: usize, now: Instant) -> Room {
            both!(self, Self, peer => peer.room(payload, now))
        }

        fn push(
            &self,
            interests: &Interests,
            flow: u64,
            payload: usize,
            body: Parcel<'_>,
            hand: Hand,
        ) -> Pushed {
            both!(self, Self, peer => peer.push(interests, flow, payload, body, hand))
        }

        fn take_in_doubt(&self) -> u64 {
            both!(self, Self, peer => peer.take_in_doubt())
        }

        fn control(&self, frame: &[u8]) -> bool {
            both!(self, Self, peer => peer.control(frame))
        }
    }

    /// A node's links.
    pub(crate) enum Transport {
        Real(talkie_transport::Transport),
        Simulated(Arc<SimNode>),
    }

    impl Transport {
        pub(crate) async fn start(
            config: Config,
            keys: Keyring,
            deliver: Arc<dyn Deliver>,
        ) -> Result<Self, StartError> {
            talkie_transport::Transport::start(config, keys, deliver).await.map(Self::Real)
        }

        /// A simulated mesh has no secrets.
        pub(crate) fn rekey(&self, keys: Keyring) -> bool {
            match self {
                Self::Real(node) => node.rekey(keys),
                Self::Simulated(_) => false,
            }
        }

        pub(crate) fn id(&self) -> NodeId {
            both!(self, Self, node => node.id())
        }

        pub(crate) fn name(&self) -> &NodeName {
            both!(self, Self, node => node.name())
        }

        pub(crate) fn max_message(&self) -> usize {
            both!(self, Self, node => node.max_message())
        }

        pub(crate) fn listen(&self) -> Vec<SocketAddr> {
            both!(self, Self, node => node.listen())
        }

        pub(crate) fn peers(&self) -> Vec<Peer> {
            both!(self, Self, node => node.peers())
        }

        pub(crate) fn stats(&self) -> Stats {
            both!(self, Self, node => node.stats())
        }

        pub(crate) fn peer_events(&self) -> PeerEvents {
            both!(self, Self, node => node.peer_events())
        }

        pub(crate) async fn leave(&self) -> Result<(), InDoubt> {
            both!(self, Self, node => node.leave().await)
        }

        pub(crate) fn close(&self) {
            both!(self, Self, node => node.close());
        }
    }
}
