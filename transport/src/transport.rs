//! The handle of a node's links.

use std::net::SocketAddr;
use std::sync::Arc;

use talkie_discovery::{Keyring, NodeId, NodeName};

use crate::config::Config;
use crate::directory::{Directory, PeerEvents};
use crate::error::{InDoubt, StartError};
use crate::events::Peer;
use crate::io::driver::ABSENT_BUDGET;
use crate::io::link::Context;
use crate::io::{start, stop};
use crate::peer::Deliver;
use crate::proto::outbox::limit_for;
use crate::stats::{Limits, LinkStats, PeerStats, Stats};

/// The links of one node, and its heartbeats. Dropping it does not end them: [`Transport::close`] does.
#[derive(Debug)]
pub struct Transport {
    context: Arc<Context>,
    directory: Arc<Directory>,
}

impl Transport {
    /// Listens, announces and links. What arrives goes to `deliver`. Within a tokio runtime.
    ///
    /// # Errors
    /// The listening address is taken, the heartbeats cannot be set up, or the system gives no random bytes.
    pub async fn start(
        config: Config,
        keys: impl Into<Keyring>,
        deliver: Arc<dyn Deliver>,
    ) -> Result<Self, StartError> {
        let (context, directory) = start::start(config, keys.into(), deliver)?;
        Ok(Self { context, directory })
    }

    /// From now on these secrets are accepted, and the first is used to send. Links are made anew one by one where both
    /// sides send under another secret than theirs, before the old ones end; those of a secret that is not accepted any more
    /// are made anew at once, or end within 1.5 s.
    ///
    /// Returns whether that is a change.
    pub fn rekey(&self, keys: impl Into<Keyring>) -> bool {
        let keys = keys.into();
        self.context.keys.send_if_modified(|known| {
            let changed = known.marks() != keys.marks();
            if changed {
                *known = keys;
            }
            changed
        })
    }

    /// This node's id.
    pub fn id(&self) -> NodeId {
        self.context.identity.id()
    }

    /// This node's name.
    pub fn name(&self) -> &NodeName {
        &self.context.name
    }

    /// Largest message, bytes.
    pub fn max_message(&self) -> usize {
        self.context.max_message
    }

    /// The addresses that this node can be dialed at now, a wildcard expanded.
    pub fn listen(&self) -> Vec<SocketAddr> {
        let reach = Arc::clone(&self.context.reach.borrow());
        reach.addresses(self.context.bound)
    }

    /// Who is up, in the order of ids.
    pub fn peers(&self) -> Vec<Peer> {
        let mut peers = self.directory.peers();
        for peer in &mut peers {
            peer.rtt = self.context.registry.find(peer.id).and_then(|session| session.rtt());
        }
        peers
    }

    /// The counters as they are now. Costs a short lock per peer.
    pub fn stats(&self) -> Stats {
        let (peers, traffic) = self.context.registry.stats();
        let count = |which: fn(&PeerStats) -> bool| peers.iter().filter(|peer| which(peer)).count() as u64;
        let (assembling, waits) = self.context.budget.stats();
        let links = LinkStats {
            linked: count(|peer| peer.linked),
            up: count(|peer| peer.up),
            setting_up: self.context.setups.count() as u64,
            secrets: self.context.keys.borrow().iter().count() as u64,
            other_secret: self.directory.count_other_secret(),
            ..self.context.counters.snapshot()
        };
        Stats {
            discovery: self.context.heartbeats.stats(),
            links,
            traffic,
            assembling_bytes: assembling as u64,
            assembling_waits: waits as u64,
            limits: Limits {
                peer_bytes: limit_for(self.context.max_message) as u64,
                away_bytes: ABSENT_BUDGET as u64,
                assembling_bytes: self.context.budget.limit() as u64,
            },
            peers,
        }
    }

    /// Peers as they come and go, those present first.
    pub fn peer_events(&self) -> PeerEvents {
        self.directory.listen()
    }

    /// Waits until peers have confirmed what they were sent (5 s at most), says goodbye, and ends. Dropping the future
    /// does not stop that. Leaving again waits for the same end.
    ///
    /// # Errors
    /// Some messages were not confirmed.
    pub async fn leave(&self) -> Result<(), InDoubt> {
        stop::leave(Arc::clone(&self.context)).await
    }

    /// The same in the background. Also outside of a runtime.
    pub fn close(&self) {
        self.context.closing.cancel();
    }
}
