//! For the tests of services: a mesh within one process, without sockets, whose network can be broken and mended.
//!
//! Its nodes are what a service has: the same [`Bus`], subscriptions, requests and presence, over a simulated network. With
//! tokio's clock paused (`start_paused`), all that takes time takes none: a lost node is told down after three seconds of that
//! clock, which pass as soon as nothing else is to be done.
//!
//! ```
//! use std::time::Duration;
//! use talkie_pubsub::testing::Mesh;
//! use talkie_pubsub::{Delivery, PeerEvent};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
//! // In a test: #[tokio::test(start_paused = true)]
//! let mesh = Mesh::new();
//! let (shop, office) = (mesh.join("shop"), mesh.join("office"));
//! let mut orders = office.subscribe("orders/*").unwrap();
//! shop.subscribed_on("orders/1", 1).await.unwrap();
//!
//! mesh.between(&shop, &office).delay(Duration::from_secs(1)).cut();
//! shop.publish("orders/1", "tea").await.unwrap();
//! let mut peers = shop.node().peer_events();
//! while !matches!(peers.recv().await, Some(PeerEvent::Down { .. })) {}
//! // What it is owed is kept.
//! mesh.between(&shop, &office).mend();
//! assert!(matches!(orders.next().await, Some(Delivery::Message(_))));
//! # }
//! ```
//!
//! # What is simulated, and what is not
//! Interests, queues, gaps, requests and presence are the real ones. The network keeps what the real one promises: order,
//! each message at most once, 4 MiB that wait for a peer and gaps with a count beyond, publishers that wait 250 ms at most, what
//! a lost node is owed kept for ten minutes, goodbyes. There is no discovery, no handshake, no cipher and no byte on a wire; large
//! messages pass in one piece and let nobody pass; of the metrics, links and heartbeats say next to nothing. So what a service does
//! is tried here, and that it is fast, or gets through a firewall, is not.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use talkie_discovery::{NodeId, NodeName};

use crate::bus::Bus;
use crate::io::simulated::{Pair, SimNode};
use crate::node::Node;
use crate::topic::BusName;

/// A mesh within this process; a cheap handle. Nodes that join it are linked to all others of it, and to nobody else.
#[derive(Clone)]
pub struct Mesh(Arc<Mutex<State>>);

struct State {
    nodes: Vec<Arc<SimNode>>,
    pairs: Vec<Arc<Pair>>,
    random: fastrand::Rng,
}

impl Mesh {
    /// A mesh of nobody yet. What is lost, and the ids of nodes, are the same each time: [`seeded`](Self::seeded) with 0.
    #[must_use]
    pub fn new() -> Self {
        Self::seeded(0)
    }

    /// A mesh whose chances come from this seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        Self(Arc::new(Mutex::new(State { nodes: Vec::new(), pairs: Vec::new(), random })))
    }

    /// A node more, with the bus `default` open. It links to the others in the background, as over a real network: wait for what
    /// you need, as [`Bus::subscribed_on`].
    ///
    /// `name` is cut to what a name may hold.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use = "dropping the bus takes the node away"]
    pub fn join(&self, name: &str) -> Bus {
        let mut state = self.state();
        let State { nodes, pairs, random } = &mut *state;
        let id = NodeId::from_bytes(random.u128(..).to_be_bytes());
        let (node, bus) = Node::simulated(id, NodeName::lossy(name), BusName::default());
        nodes.retain(|other| !other.is_gone());
        pairs.retain(|pair| nodes.iter().any(|node| pair.has(node.id())));
        pairs.extend(nodes.iter().map(|other| SimNode::connect(other, &node, random.fork())));
        nodes.push(node);
        bus
    }

    /// Several nodes, `node1` to `nodeN`.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use = "dropping a bus takes its node away"]
    pub fn join_all(&self, count: usize) -> Vec<Bus> {
        (1..=count).map(|n| self.join(&format!("node{n}"))).collect()
    }

    /// The network between two nodes.
    #[must_use]
    pub fn between(&self, one: &Bus, other: &Bus) -> Network {
        let (one, other) = (one.node().id(), other.node().id());
        Network(self.state().pairs.iter().filter(|pair| pair.is_of(one, other)).cloned().collect())
    }

    /// The network between one node and all others.
    #[must_use]
    pub fn around(&self, node: &Bus) -> Network {
        let node = node.node().id();
        Network(self.state().pairs.iter().filter(|pair| pair.has(node)).cloned().collect())
    }

    /// The network between all nodes of the one part and all of the other: cut it, and the mesh is parted.
    #[must_use]
    pub fn across<'a>(
        &self,
        one: impl IntoIterator<Item = &'a Bus>,
        other: impl IntoIterator<Item = &'a Bus> + Clone,
    ) -> Network {
        let mut pairs = Vec::new();
        for one in one {
            for other in other.clone() {
                pairs.extend(self.between(one, other).0);
            }
        }
        Network(pairs)
    }

    /// All of the network.
    #[must_use]
    pub fn everywhere(&self) -> Network {
        Network(self.state().pairs.clone())
    }

    /// The node's process dies: it says no goodbye, the others are told that its link closed, and its handles are closed. (A host
    /// that loses power is silent instead: cut what is [`around`](Self::around) it.)
    pub fn kill(&self, node: &Bus) {
        let id = node.node().id();
        let found = self.state().nodes.iter().find(|node| node.id() == id).cloned();
        if let Some(node) = found {
            node.kill();
        }
    }
}

impl Mesh {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Mesh {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Mesh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mesh").field("nodes", &self.state().nodes.len()).finish_non_exhaustive()
    }
}

/// The network between some nodes, to be broken and mended. What is changed holds until it is changed again.
#[derive(Clone)]
pub struct Network(Vec<Arc<Pair>>);

impl Network {
    /// Nothing passes any more. Three seconds later the nodes are told down for each other.
    pub fn cut(&self) -> &Self {
        self.change(|pair| pair.change(|wire, now| wire.handle_cut(now)))
    }

    /// All passes again, and what was owed first.
    pub fn mend(&self) -> &Self {
        self.change(|pair| pair.change(|wire, _| wire.handle_mended()))
    }

    /// Whatever is sent from now on is so long under way, each way.
    pub fn delay(&self, delay: Duration) -> &Self {
        self.change(|pair| pair.change(|wire, _| wire.handle_delay(delay)))
    }

    /// A message (a request, an answer) that is sent from now on is lost with this probability, and told as a gap: what happens
    /// over a real network where a queue is full. 0 is none, 1 is all.
    pub fn lose(&self, probability: f64) -> &Self {
        self.change(|pair| pair.change(|wire, _| wire.handle_loss(probability)))
    }

    fn change(&self, change: impl Fn(&Pair)) -> &Self {
        self.0.iter().for_each(|pair| change(pair));
        self
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").field("links", &self.0.len()).finish_non_exhaustive()
    }
}
