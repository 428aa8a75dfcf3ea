//! The handle of a node: who it is, who else is there, and leaving.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use talkie_discovery::{NodeId, NodeName, Secret};
use talkie_transport::{Peer, PeerEvents, PeerSender, Transport};

use crate::bus::Bus;
use crate::error::{Closed, FlushError, JoinError};
use crate::io::counters::Reading;
use crate::io::keys;
use crate::io::registry::Registry;
use crate::metrics::Metrics;
use crate::topic::BusName;

/// One process on the mesh. A cheap handle: it, its buses and their subscriptions keep the node there, and with the
/// last of them it closes.
#[derive(Clone)]
pub struct Node(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) registry: Arc<Registry<PeerSender>>,
    transport: Transport,
}

impl Node {
    /// Joins the mesh and opens the first bus.
    pub(crate) async fn start(
        config: talkie_transport::Config,
        secret: Secret,
        bus: BusName,
    ) -> Result<Bus, JoinError> {
        let keys = keys::derive(secret).await?;
        let registry = Arc::new(Registry::default());
        let transport = Transport::start(config, keys, registry.clone()).await?;
        let node = Self(Arc::new(Inner { registry, transport }));
        // Nobody else has the node yet, so nobody can have closed it.
        node.open(bus).map_err(|Closed| JoinError::ShuttingDown)
    }

    /// This process's id on the mesh, new at each start.
    pub fn id(&self) -> NodeId {
        self.0.transport.id()
    }

    /// Its human name, as the others see it.
    pub fn name(&self) -> &NodeName {
        self.0.transport.name()
    }

    /// Another bus on the same node. Opening one again gives a handle to the same: its numbering goes on.
    ///
    /// # Errors
    /// After the node has left.
    pub fn open(&self, bus: BusName) -> Result<Bus, Closed> {
        let state = self.0.registry.open(bus)?;
        Ok(Bus::new(self.clone(), state))
    }

    /// The addresses that others can connect to now: a wildcard expanded, all with the same port.
    pub fn listen(&self) -> Vec<SocketAddr> {
        self.0.transport.listen()
    }

    /// Most bytes of a payload that this node publishes.
    pub fn max_message(&self) -> usize {
        self.0.transport.max_message()
    }

    /// The nodes that are up, whatever buses they open.
    pub fn peers(&self) -> Vec<Peer> {
        self.0.transport.peers()
    }

    /// A stream of the nodes that come and go; it begins with those that are up.
    pub fn peer_events(&self) -> PeerEvents {
        self.0.transport.peer_events()
    }

    /// All counters of the node as they are now: what was sent, received, refused and lost, and what waits.
    ///
    /// Takes a short lock for each peer and subscription: microseconds, so it may be called every second, not for every
    /// message. Also after the node has left, when subscriptions and peers are no longer listed.
    pub fn metrics(&self) -> Metrics {
        let transport = self.0.transport.stats();
        let Reading { published, deliveries, requests, refused, memory, subscriptions } =
            self.0.registry.read(&transport);
        let talkie_transport::Stats { discovery, links, traffic, peers, .. } = transport;
        Metrics {
            node: self.id(),
            name: self.name().clone(),
            discovery,
            links,
            traffic,
            published,
            deliveries,
            requests,
            refused,
            memory,
            peers,
            subscriptions,
        }
    }

    /// Leaves the mesh: ends all subscriptions, waits up to 5 s until what was published is handed over, and says
    /// goodbye. From then on every handle of the node is closed. Leaving again does nothing.
    ///
    /// # Errors
    /// Where messages were not confirmed; the node has left all the same.
    pub async fn leave(&self) -> Result<(), FlushError> {
        self.0.registry.close();
        let result = self.0.transport.leave().await;
        self.0.registry.clear();
        Ok(result?)
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("id", &self.id()).field("name", self.name()).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.registry.close();
        self.transport.close();
        self.registry.clear();
    }
}
