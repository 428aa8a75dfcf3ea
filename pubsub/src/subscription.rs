//! A subscription: a stream of deliveries.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use futures_core::Stream;
use talkie_discovery::{NodeId, NodeName};

use crate::audience::SubscriptionId;
use crate::delivery::{Delivery, Message};
use crate::error::Closed;
use crate::io::net::PeerSender;
use crate::io::queue::Queue;
use crate::io::registry::{BusState, Seat};
use crate::node::Node;
use crate::proto::backlog::{Item, Waiting};
use crate::proto::fingerprint::{Fingerprint, LEN};
use crate::proto::group::Verdict;
use crate::proto::value::DecodeError;
use crate::topic::{Pattern, Topic};
use crate::trace;

/// Yields what is published on the topics that a pattern wants, by this node and the others: as bytes, or as values where
/// it comes from [`Typed::subscribe`](crate::Typed::subscribe).
///
/// It is a `Stream`, and [`next`](Self::next) needs no trait for that. What is not read waits, up to the
/// [`QueueLimits`](crate::QueueLimits) that it was made with; then the oldest make room and become a gap.
///
/// It keeps its node there. Dropping it unsubscribes, at once and also outside of a runtime.
#[must_use = "dropping a subscription unsubscribes"]
pub struct Subscription<T = Bytes> {
    held: Held,
    /// What was taken out of the queue and not given yet.
    taken: VecDeque<Item>,
    form: Form<T>,
}

/// What is given back on drop.
struct Held {
    node: Node,
    bus: Arc<BusState<PeerSender>>,
    seat: Seat,
    pattern: Pattern,
    queue: Arc<Queue>,
    /// As a member of a group: what was given and not acknowledged. From a node (none: this one), and its number there.
    given: Option<(Option<NodeId>, u64)>,
    /// The topic that the pattern is, if it is one, and the node's name: copies that no other subscription counts
    /// references of.
    topic: Topic,
    name: NodeName,
}

/// How payloads are read.
pub(crate) struct Form<T> {
    /// Of the type, where it is not bytes.
    pub(crate) fingerprint: Fingerprint,
    pub(crate) decode: fn(&Fingerprint, Bytes) -> Result<T, DecodeError>,
}

impl Form<Bytes> {
    /// As they come.
    pub(crate) const BYTES: Self =
        Self { fingerprint: Fingerprint([0; LEN]), decode: |_, payload| Ok(payload) };
}

impl Subscription {
    pub(crate) fn new(
        node: Node,
        bus: Arc<BusState<PeerSender>>,
        seat: Seat,
        pattern: Pattern,
        queue: Arc<Queue>,
    ) -> Self {
        let (topic, name) = (pattern.own_topic(), NodeName::lossy(node.name().as_str()));
        Self {
            held: Held { node, bus, seat, pattern, queue, given: None, topic, name },
            taken: VecDeque::new(),
            form: Form::BYTES,
        }
    }

    /// The same with payloads read in another form.
    pub(crate) fn of<T>(self, form: Form<T>) -> Subscription<T> {
        Subscription { held: self.held, taken: self.taken, form }
    }
}

impl<T> Subscription<T> {
    /// The next delivery; `None` once the node has left. Cancel safe.
    pub async fn next(&mut self) -> Option<Delivery<T>> {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// A delivery that waits already, without waiting for one: to take all there is in one go. `None` says only that
    /// nothing waits now.
    pub fn now(&mut self) -> Option<Delivery<T>> {
        if self.held.queue.is_of_member() {
            let mut cx = Context::from_waker(Waker::noop());
            return match self.poll_member(&mut cx) {
                Poll::Ready(delivery) => delivery,
                Poll::Pending => None,
            };
        }
        if self.taken.is_empty() {
            self.held.queue.take(&mut self.taken);
        }
        self.taken.pop_front().map(|delivery| self.read(delivery))
    }

    /// What it wants.
    pub fn pattern(&self) -> &Pattern {
        &self.held.pattern
    }

    /// Names it, to publish to all but it ([`Audience::AllBut`](crate::Audience::AllBut)).
    pub fn id(&self) -> SubscriptionId {
        SubscriptionId { node: self.held.node.id(), number: self.held.seat.born }
    }

    /// Resolves when every node that is up has confirmed that it knows of this subscription: what any of them publishes from
    /// then on reaches it. Nodes that come while it waits must confirm it as well, and those that go need not. Where no node is
    /// up, that is at once. Cancel safe.
    ///
    /// # Errors
    /// When the node leaves meanwhile.
    pub async fn ready(&self) -> Result<(), Closed> {
        let Held { node, seat, .. } = &self.held;
        node.confirmed(seat.interest).await
    }

    /// As a member of a [group](crate::SubscribeOptions::group): acknowledges the message that was given last, as asking for the next
    /// does. For whoever ends behind it, or has it safe before the work is done.
    pub fn acknowledge(&mut self) {
        if let Some((from, number)) = self.held.given.take() {
            self.held.node.0.registry.groups.say(from, number, Verdict::Done);
        }
    }

    /// The next delivery of a member of a group.
    fn poll_member(&mut self, cx: &mut Context<'_>) -> Poll<Option<Delivery<T>>> {
        self.acknowledge();
        loop {
            let Held { queue, node, seat, given, .. } = &mut self.held;
            let Some(item) = ready!(queue.poll_pop(&mut self.taken, cx)) else { return Poll::Ready(None) };
            let groups = &node.0.registry.groups;
            groups.took(queue, seat.interest);
            if let Item::Message(Waiting { from, name, group: Some(mark), .. }) = &item {
                if name.is_some() && groups.is_void(*from, mark.number) {
                    // Somebody else was given it meanwhile.
                    continue;
                }
                *given = Some((name.as_ref().map(|_| *from), mark.number));
            }
            return Poll::Ready(Some(self.read(item)));
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Delivery<T>>> {
        if self.held.queue.is_of_member() {
            return self.poll_member(cx);
        }
        if let Some(delivery) = self.taken.pop_front() {
            return Poll::Ready(Some(self.read(delivery)));
        }
        self.held.queue.poll_pop(&mut self.taken, cx).map(|next| next.map(|delivery| self.read(delivery)))
    }

    fn read(&self, item: Item) -> Delivery<T> {
        let Waiting { topic, from, name, seq, headers, payload, group, came } = match item {
            Item::Message(message) => message,
            Item::Gap { from, missed, exact } => return Delivery::Gap { from, missed, exact },
        };
        let Held { node, queue, topic: own, name: here, .. } = &self.held;
        if let Some(came) = came {
            node.0.registry.latencies.took(came);
        }
        let topic = topic.unwrap_or_else(|| own.clone());
        let name = name.unwrap_or_else(|| here.clone());
        let _within = trace::delivery(&headers, &topic, &name);
        match (self.form.decode)(&self.form.fingerprint, payload) {
            Ok(payload) => {
                let redelivered = group.is_some_and(|mark| mark.redelivered);
                Delivery::Message(Message { topic, from, name, seq, headers, payload, redelivered })
            }
            Err(error) => {
                queue.count_malformed();
                Delivery::Malformed { topic, from, name, seq, error }
            }
        }
    }
}

impl<T> Stream for Subscription<T> {
    type Item = Delivery<T>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Delivery<T>>> {
        self.get_mut().poll(cx)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let (registry, interest) = (&self.node.0.registry, self.seat.interest);
        if self.queue.is_of_member() {
            registry.leave_group(&self.bus, interest, &self.queue, self.given.take());
        } else {
            registry.unsubscribe(&self.bus, interest, &self.queue);
        }
    }
}

impl<T> fmt::Debug for Subscription<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("bus", &self.held.bus.name)
            .field("pattern", &self.held.pattern)
            .finish_non_exhaustive()
    }
}
