//! A handler: a function that is called where a message arrives.

use std::fmt;
use std::sync::Arc;

use crate::io::net::PeerSender;
use talkie_discovery::NodeName;

use crate::audience::SubscriptionId;
use crate::bus::Bus;
use crate::delivery::DeliveryRef;
use crate::error::{Closed, SubscribeError};
use crate::io::handlers::Callee;
use crate::io::registry::{BusState, Seat};
use crate::node::Node;
use crate::topic::{Pattern, ToPattern};

impl Bus {
    /// Calls a function for each message on the topics that the pattern wants, where it arrives: for messages of other nodes in
    /// the task that reads their link, for those of this node in the task that publishes, before its publish returns. There is no
    /// queue and no task between, so it is the quickest way to a message. In force on this node on return.
    ///
    /// What it does, the link and its other subscribers wait for: it must take microseconds and never block. It may publish
    /// ([`try_publish`](Self::try_publish)), subscribe, and drop handlers. What a handler publishes for handlers of this node they
    /// are called for when it has returned. To do more, subscribe, or send what it gets to a task.
    ///
    /// Calls for one publisher come one at a time and in order; those for several may run side by side. A panic is caught,
    /// logged and counted ([`Deliveries::panicked`](crate::Deliveries::panicked)), and the next message calls the function again.
    ///
    /// ```no_run
    /// # use std::sync::atomic::{AtomicU64, Ordering};
    /// # fn example(bus: talkie_pubsub::Bus) -> Result<(), Box<dyn std::error::Error>> {
    /// use talkie_pubsub::DeliveryRef;
    /// static CUPS: AtomicU64 = AtomicU64::new(0);
    /// let counting = bus.handle("orders/*", |delivery| {
    ///     if let DeliveryRef::Message(order) = delivery {
    ///         CUPS.fetch_add(order.payload.len() as u64, Ordering::Relaxed);
    ///     }
    /// })?;
    /// // From now on it is not called any more.
    /// drop(counting);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// For an invalid pattern, and after the node has left.
    pub fn handle(
        &self,
        to: impl ToPattern,
        call: impl Fn(DeliveryRef<'_>) + Send + Sync + 'static,
    ) -> Result<Handler, SubscribeError> {
        let pattern = to.to_pattern()?;
        // Copies that no other handler counts references of.
        let callee = Callee::new(NodeName::lossy(self.node.name().as_str()), call);
        let seat = self.node.0.registry.handle_with(&self.state, &pattern, Arc::clone(&callee))?;
        Ok(Handler { node: self.node.clone(), bus: Arc::clone(&self.state), seat, pattern, callee })
    }
}

/// Has a function called for messages; of [`Bus::handle`].
///
/// It keeps its node there. Dropping it unsubscribes, at once and also outside of a runtime: no call begins from then on, and
/// one that another thread is in goes to its end.
#[must_use = "dropping a handler unsubscribes"]
pub struct Handler {
    node: Node,
    bus: Arc<BusState<PeerSender>>,
    seat: Seat,
    pattern: Pattern,
    callee: Arc<Callee>,
}

impl Handler {
    /// What it wants.
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// Names it, to publish to all but it ([`Audience::AllBut`](crate::Audience::AllBut)).
    pub fn id(&self) -> SubscriptionId {
        SubscriptionId { node: self.node.id(), number: self.seat.born }
    }

    /// As [`Subscription::ready`](crate::Subscription::ready).
    ///
    /// # Errors
    /// When the node leaves meanwhile.
    pub async fn ready(&self) -> Result<(), Closed> {
        self.node.confirmed(self.seat.interest).await
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        self.node.0.registry.unhandle(&self.bus, self.seat.interest, &self.callee);
    }
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handler")
            .field("bus", &self.bus.name)
            .field("pattern", &self.pattern)
            .finish_non_exhaustive()
    }
}
