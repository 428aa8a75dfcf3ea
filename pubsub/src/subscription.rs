//! A subscription: a stream of deliveries.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use talkie_transport::PeerSender;

use crate::delivery::Delivery;
use crate::io::queue::Queue;
use crate::io::registry::BusState;
use crate::node::Node;
use crate::topic::Pattern;

/// Yields what is published on the topics that a pattern wants, by this node and the others.
///
/// It keeps its node there. Dropping it unsubscribes, at once and also outside of a runtime.
#[must_use = "dropping a subscription unsubscribes"]
pub struct Subscription {
    node: Node,
    bus: Arc<BusState<PeerSender>>,
    id: u64,
    pattern: Pattern,
    queue: Arc<Queue>,
}

impl Subscription {
    pub(crate) fn new(
        node: Node,
        bus: Arc<BusState<PeerSender>>,
        id: u64,
        pattern: Pattern,
        queue: Arc<Queue>,
    ) -> Self {
        Self { node, bus, id, pattern, queue }
    }

    /// The next delivery; `None` once the node has left. Cancel safe.
    pub async fn next(&mut self) -> Option<Delivery> {
        poll_fn(|cx| self.queue.poll_pop(cx)).await
    }

    /// A delivery that waits already, without waiting for one: to take all there is in one go.
    pub fn now(&mut self) -> Option<Delivery> {
        self.queue.pop()
    }

    /// What it wants.
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }
}

impl Stream for Subscription {
    type Item = Delivery;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        self.queue.poll_pop(cx)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.node.0.registry.unsubscribe(&self.bus, self.id, &self.queue);
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("bus", &self.bus.name)
            .field("pattern", &self.pattern)
            .finish_non_exhaustive()
    }
}
