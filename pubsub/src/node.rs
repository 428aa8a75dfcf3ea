//! The handle of a node: who it is, who else is there, and leaving.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use talkie_discovery::{Keyring, NodeId, NodeName, Secrets};
use talkie_transport::{Peer, PeerEvents};
use tokio::sync::Notify;
use tracing::Instrument as _;

use crate::bus::Bus;
use crate::error::{Closed, FlushError, JoinError};
use crate::io::counters::Reading;
use crate::io::endpoint::{Endpoint, Socket};
use crate::io::keys;
use crate::io::net::{PeerSender, Transport};
use crate::io::registry::Registry;
use crate::io::secret_file::SecretFile;
use crate::metrics::{MemoryLimits, Metrics};
use crate::topic::BusName;

/// One process on the mesh. A cheap handle: it, its buses and their subscriptions keep the node there, and with the
/// last of them it closes.
#[derive(Clone)]
pub struct Node(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) registry: Arc<Registry<PeerSender>>,
    transport: Transport,
    /// Where the counters are served, once it is told who serves.
    endpoint: OnceLock<Endpoint>,
    /// That the secret file be read again; none where the secrets are from elsewhere.
    wishes: OnceLock<Arc<Notify>>,
}

impl Node {
    /// Joins the mesh and opens the first bus.
    pub(crate) async fn start(
        config: talkie_transport::Config,
        (secrets, file): (Secrets, Option<SecretFile>),
        bus: BusName,
        metrics: Option<SocketAddr>,
    ) -> Result<Bus, JoinError> {
        let unserved = |at| move |source| JoinError::Metrics { at, source };
        // Before the node is seen: whoever finds the address taken has not been there.
        let socket = match metrics {
            Some(at) => Some((at, Socket::bind(at).await.map_err(unserved(at))?)),
            None => None,
        };
        let keys = keys::derive(secrets).await.map_err(|Closed| JoinError::ShuttingDown)?;
        let registry = Arc::new(Registry::default());
        let transport = Transport::start(config, keys, registry.clone()).await?;
        let node =
            Self(Arc::new(Inner { registry, transport, endpoint: OnceLock::new(), wishes: OnceLock::new() }));
        if let Some(file) = file {
            // It is the first.
            let _ = node.0.wishes.set(file.follow(Arc::downgrade(&node.0)));
        }
        if let Some((at, socket)) = socket {
            let endpoint = socket.serve(Arc::downgrade(&node.0)).map_err(unserved(at))?;
            // It is the first.
            let _ = node.0.endpoint.set(endpoint);
        }
        tracing::debug!(name: "talkie.joined", node = %node.id(), "joined as {}", node.name());
        // Nobody else has the node yet, so nobody can have closed it.
        node.open(bus).map_err(|Closed| JoinError::ShuttingDown)
    }

    /// A node of a simulated mesh, and its bus.
    #[cfg(feature = "testing")]
    pub(crate) fn simulated(
        id: NodeId,
        name: NodeName,
        bus: BusName,
    ) -> (Arc<crate::io::simulated::SimNode>, Bus) {
        let registry = Arc::new(Registry::default());
        let simulated = crate::io::simulated::SimNode::new(id, name, &registry);
        let state = registry.open_new(bus);
        let transport = Transport::Simulated(Arc::clone(&simulated));
        let node =
            Self(Arc::new(Inner { registry, transport, endpoint: OnceLock::new(), wishes: OnceLock::new() }));
        (simulated, Bus::new(node, state))
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

    /// From now on these secrets are accepted, and the first is used to send: how a mesh changes from one to another without
    /// an end of any node. First every node accepts the new one, too; then every node sends under it; then the old one goes.
    /// [`Peer::secrets`](crate::Peer::secrets) shows who is how far.
    ///
    /// Links are made anew one by one, so nothing is lost; those to nodes that hold none of these secrets end within 1.5 s. The
    /// node's id stays. A node whose secrets come from a file needs no call: it reads the file again when it changes, which
    /// then takes the place of what is said here.
    ///
    /// # Errors
    /// After the node has left.
    pub async fn rekey(&self, secrets: impl Into<Secrets>) -> Result<(), Closed> {
        self.0.registry.check_open()?;
        let keys = keys::derive(secrets.into()).await?;
        self.0.registry.check_open()?;
        self.0.rekey(keys);
        Ok(())
    }

    /// Reads the secret file again now, as happens by itself within about a second of a change: for SIGHUP, say. What comes of
    /// it is logged. `false` where the secrets do not come from a file that can change.
    pub fn reread_secrets(&self) -> bool {
        if let Some(wishes) = self.0.wishes.get() {
            wishes.notify_one();
        }
        self.0.wishes.get().is_some()
    }

    /// Waits until every node that is up has confirmed an interest of this one.
    pub(crate) async fn confirmed(&self, interest: u64) -> Result<(), Closed> {
        let up = || self.peers().into_iter().map(|peer| peer.id).collect();
        self.0.registry.ready(interest, up).await
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
        self.0.metrics()
    }

    /// Where the counters are served, with the port that the system picked: [`Config::metrics`](crate::Config::metrics).
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.0.endpoint.get().map(|endpoint| endpoint.at)
    }

    /// Tells the recorder of the [`metrics`](https://docs.rs/metrics) facade all counters, now and each time that `every`
    /// has passed, until the node has left; under the names of
    /// [`Metrics::to_prometheus`](crate::Metrics::to_prometheus). It keeps no node alive.
    ///
    /// The recorder is told the node's own counters as they stand, so nothing is counted twice and publishing costs no more
    /// than without. Of several nodes in one process tell of one, for they would overwrite each other. Times that add up
    /// (`talkie_publish_wait_seconds_total`) are gauges there, since the facade's counters are whole numbers; a histogram is told
    /// as the counters of its buckets. The gauges of a peer that went are set to 0.
    ///
    /// ```no_run
    /// # fn example(bus: talkie_pubsub::Bus) {
    /// // Behind the installation of a recorder, such as that of `metrics-exporter-prometheus`.
    /// tokio::spawn(bus.node().record_metrics(std::time::Duration::from_secs(5)));
    /// # }
    /// ```
    #[cfg(feature = "metrics")]
    pub fn record_metrics(&self, every: std::time::Duration) -> impl Future<Output = ()> + Send + use<> {
        crate::io::recorder::record(Arc::downgrade(&self.0), every)
    }

    /// Leaves the mesh: ends all subscriptions, waits up to 5 s until what was published is handed over, and says
    /// goodbye. From then on every handle of the node is closed. Leaving again does nothing.
    ///
    /// # Errors
    /// Where messages were not confirmed; the node has left all the same.
    pub async fn leave(&self) -> Result<(), FlushError> {
        self.0.registry.close();
        let span = tracing::debug_span!("talkie.leave", node = %self.id());
        let result = self.0.transport.leave().instrument(span).await;
        self.0.close_endpoint();
        self.0.registry.clear();
        tracing::debug!(name: "talkie.left", node = %self.id(), "left the mesh");
        Ok(result?)
    }
}

impl Inner {
    /// Whether these are others than before.
    pub(crate) fn rekey(&self, keys: Keyring) -> bool {
        self.transport.rekey(keys)
    }

    /// [`Node::metrics`].
    pub(crate) fn metrics(&self) -> Metrics {
        let transport = self.transport.stats();
        let Reading { published, deliveries, latency, requests, refused, memory, subscriptions } =
            self.registry.read(&transport);
        let talkie_transport::Stats { discovery, links, traffic, peers, limits, .. } = transport;
        Metrics {
            node: self.transport.id(),
            name: self.transport.name().clone(),
            discovery,
            links,
            traffic,
            published,
            deliveries,
            latency,
            requests,
            refused,
            memory,
            limits: MemoryLimits::new(limits),
            peers,
            subscriptions,
        }
    }

    /// Nothing is served any more.
    fn close_endpoint(&self) {
        if let Some(endpoint) = self.endpoint.get() {
            endpoint.close();
        }
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
