//! The handle of a bus: publish and subscribe.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use talkie_discovery::NodeId;
use talkie_transport::InDoubt;

use crate::audience::{Audience, PublishOptions};
use crate::delivery::Receipt;
use crate::error::{Closed, FlushError, PresenceError, PublishError, SubscribeError, SubscribedOnError};
use crate::io::fanout::{self, Publication};
use crate::io::net::PeerSender;
use crate::io::registry::BusState;
use crate::metrics::Metrics;
use crate::node::Node;
use crate::options::SubscribeOptions;
use crate::presence::Presence;
use crate::proto::headers::Headers;
use crate::publisher::Publisher;
use crate::subscription::Subscription;
use crate::topic::{BusName, ToPattern, ToTopic, Topic, TopicError};
use crate::trace::Traced;
use crate::typed::Typed;

/// A named space of topics on a mesh. A cheap handle; it keeps its node there.
#[derive(Clone)]
pub struct Bus {
    pub(crate) node: Node,
    pub(crate) state: Arc<BusState<PeerSender>>,
}

impl Bus {
    pub(crate) fn new(node: Node, state: Arc<BusState<PeerSender>>) -> Self {
        Self { node, state }
    }

    /// The node that opened it.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Its name.
    pub fn name(&self) -> &BusName {
        &self.state.name
    }

    /// Publishes a message to all that want its topic, here and on other nodes.
    ///
    /// Waits for room where what waits for a node is at its limit and the node moves. A node that stands still holds
    /// it up for 250 ms at most, once per stall, and then gets a counted gap. Messages that one task publishes are
    /// received in that order. Dropping the future before it is done publishes nothing.
    ///
    /// It also waits for subscriptions of this node that ask for that ([`WhenFull::Wait`](crate::WhenFull::Wait)).
    ///
    /// Without interest there is nobody to hand the message to: see [`subscribed_on`](Self::subscribed_on).
    ///
    /// # Errors
    /// For an invalid topic, a payload over [`Node::max_message`], and after the node has left.
    pub async fn publish(
        &self,
        to: impl ToTopic,
        payload: impl Into<Bytes>,
    ) -> Result<Receipt, PublishError> {
        self.publish_with(to, payload, PublishOptions::new()).await
    }

    /// Publishes without waiting: a node for which there is no room gets a counted gap.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn try_publish(&self, to: impl ToTopic, payload: impl Into<Bytes>) -> Result<Receipt, PublishError> {
        self.try_publish_with(to, payload, PublishOptions::new())
    }

    /// Publishes with options: to all but one's own subscription, to other nodes, to this node, or to one of them; with headers.
    /// See [`PublishOptions`].
    ///
    /// # Errors
    /// As [`publish`](Self::publish), for a node that nothing is known of, and for a header that cannot be.
    pub async fn publish_with(
        &self,
        to: impl ToTopic,
        payload: impl Into<Bytes>,
        options: impl Into<PublishOptions>,
    ) -> Result<Receipt, PublishError> {
        self.publish_on(&to.to_topic()?, &payload.into(), &options.into()).await
    }

    /// The same without waiting.
    ///
    /// # Errors
    /// As [`publish_with`](Self::publish_with).
    pub fn try_publish_with(
        &self,
        to: impl ToTopic,
        payload: impl Into<Bytes>,
        options: impl Into<PublishOptions>,
    ) -> Result<Receipt, PublishError> {
        self.try_publish_on(&to.to_topic()?, &payload.into(), &options.into())
    }

    /// For a topic that is published often.
    ///
    /// # Errors
    /// For an invalid topic.
    pub fn publisher(&self, to: impl ToTopic) -> Result<Publisher, TopicError> {
        Ok(Publisher::new(self.clone(), to.to_topic()?, PublishOptions::new()))
    }

    /// Waits until all that this node published so far, on any bus, is confirmed by the nodes that are up and want
    /// it. Nodes that are away are not waited for. Of messages to groups it waits for the node that they were given to, and
    /// [`settled`](Self::settled) for the member.
    ///
    /// # Errors
    /// Where a node was lost before it had confirmed everything, also one that was lost since the last flush (each loss
    /// is told once), and after this node has left.
    pub async fn flush(&self) -> Result<(), FlushError> {
        self.node.0.registry.check_open()?;
        let peers = self.node.0.registry.peers();
        // Side by side, and all begun now: one after the other would also wait for what is published meanwhile.
        let mut flushes: Vec<Flush<'_>> =
            peers.iter().map(|peer| Box::pin(peer.flush()) as Flush<'_>).collect();
        let mut messages = 0;
        poll_fn(|cx| {
            flushes.retain_mut(|flush| match flush.as_mut().poll(cx) {
                Poll::Pending => true,
                Poll::Ready(done) => {
                    messages += done.err().map_or(0, |doubt| doubt.messages);
                    false
                }
            });
            if flushes.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        messages += self.node.0.registry.take_in_doubt();
        if messages == 0 { Ok(()) } else { Err(FlushError::InDoubt { messages }) }
    }

    /// Waits until everything that this node published to [groups](SubscribeOptions::group) so far, on any bus, is acknowledged by a
    /// member: who publishes work and leaves before loses the second try of it. It waits as long as that takes, also for members to come.
    ///
    /// # Errors
    /// When the node leaves meanwhile.
    pub async fn settled(&self) -> Result<(), Closed> {
        self.node.0.registry.settled().await
    }

    /// Subscribes with the default [`SubscribeOptions`]. In force on this node on return; other nodes hear of it in the
    /// background.
    ///
    /// # Errors
    /// For an invalid pattern, and after the node has left.
    pub fn subscribe(&self, to: impl ToPattern) -> Result<Subscription, SubscribeError> {
        self.subscribe_with(to, SubscribeOptions::new())
    }

    /// Subscribes with limits of its own to what may wait, and what happens then.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    pub fn subscribe_with(
        &self,
        to: impl ToPattern,
        options: impl Into<SubscribeOptions>,
    ) -> Result<Subscription, SubscribeError> {
        let pattern = to.to_pattern()?;
        let (seat, queue) =
            self.node.0.registry.subscribe(&self.state, self.node.id(), &pattern, options.into())?;
        Ok(Subscription::new(self.node.clone(), Arc::clone(&self.state), seat, pattern, queue))
    }

    /// The same bus for values of a type instead of bytes: `T` in, `T` out.
    ///
    /// Each value travels behind a [`Fingerprint`](crate::Fingerprint) of its type, so a subscriber of another type is
    /// told [`Delivery::Malformed`](crate::Delivery::Malformed) and never given nonsense. See [`Typed`].
    ///
    /// The first use of a type in a process takes some microseconds to find its fingerprint (a large protocol some
    /// milliseconds); from then on it is known.
    pub fn typed<T: Serialize + DeserializeOwned + 'static>(&self) -> Typed<'_, T> {
        Typed::new(self)
    }

    /// Who is present on a topic, on all nodes: to track keys, and to list and watch them. A topic's presence and its
    /// messages have nothing to do with each other but the name.
    ///
    /// # Errors
    /// For an invalid topic, and after the node has left.
    pub fn presence(&self, topic: impl ToTopic) -> Result<Presence, PresenceError> {
        let topic = topic.to_topic()?;
        self.node.0.registry.check_open()?;
        Ok(Presence::new(self.node.clone(), Arc::clone(&self.state), topic))
    }

    /// Waits until at least this many other nodes are up and want the topic.
    ///
    /// A publisher that has just joined calls it first, or its message has nobody to go to yet.
    ///
    /// # Errors
    /// For an invalid topic, and when the node leaves meanwhile.
    pub async fn subscribed_on(&self, topic: impl ToTopic, nodes: usize) -> Result<(), SubscribedOnError> {
        let topic = topic.to_topic()?;
        Ok(self.node.0.registry.subscribed_on(&self.state, &topic, nodes).await?)
    }

    /// The other nodes that are up and want the topic, as far as this one knows now; in no particular order.
    ///
    /// # Errors
    /// For an invalid topic.
    pub fn subscribers(&self, topic: impl ToTopic) -> Result<Vec<NodeId>, TopicError> {
        Ok(self.node.0.registry.subscribers(&self.state, &topic.to_topic()?))
    }

    /// [`Node::metrics`]: of the whole node, all its buses included.
    pub fn metrics(&self) -> Metrics {
        self.node.metrics()
    }

    pub(crate) async fn publish_on(
        &self,
        topic: &Topic,
        payload: &Bytes,
        options: &PublishOptions,
    ) -> Result<Receipt, PublishError> {
        let traced = Traced::publish(self.name(), topic, options.headers.get()?);
        let publication = self.publication(topic, traced.headers(), payload, options.audience)?;
        traced.within(fanout::publish(&self.node.0.registry, &self.state, publication)).await
    }

    pub(crate) fn try_publish_on(
        &self,
        topic: &Topic,
        payload: &Bytes,
        options: &PublishOptions,
    ) -> Result<Receipt, PublishError> {
        let traced = Traced::publish(self.name(), topic, options.headers.get()?);
        let publication = self.publication(topic, traced.headers(), payload, options.audience)?;
        Ok(traced.run(|| self.state.publish_now(publication))?)
    }

    fn publication<'a>(
        &'a self,
        topic: &'a Topic,
        headers: &'a Headers,
        payload: &'a Bytes,
        audience: Audience,
    ) -> Result<Publication<'a>, PublishError> {
        self.node.0.registry.check_open()?;
        let (given, limit) = (payload.len(), self.node.max_message());
        if given > limit {
            return Err(PublishError::TooLarge { given, limit });
        }
        let from = self.node.id();
        let audience = match audience {
            Audience::Node(node) if node == from => Audience::Here,
            Audience::Node(node) if !self.node.0.registry.knows(node) => {
                return Err(PublishError::UnknownNode(node));
            }
            audience => audience,
        };
        Ok(Publication { topic, headers, payload, from, audience })
    }
}

type Flush<'a> = Pin<Box<dyn Future<Output = Result<(), InDoubt>> + Send + 'a>>;

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus").field("name", self.name()).field("node", &self.node).finish_non_exhaustive()
    }
}
