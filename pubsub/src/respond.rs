//! Answering: requests as a stream.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use futures_core::Stream;
use talkie_discovery::{NodeId, NodeName};
use talkie_transport::PeerSender;

use crate::bus::Bus;
use crate::delivery::QueueLimits;
use crate::error::{ReplyError, RespondError};
use crate::io::desk::{Asked, Ticket, Tray};
use crate::io::registry::BusState;
use crate::io::registry::exchange::NoRoom;
use crate::node::Node;
use crate::proto::exchange::Refusal;
use crate::topic::{Pattern, ToPattern, Topic};

impl Bus {
    /// Answers requests on the topics that the pattern wants, with the default [`QueueLimits`] for what waits to be answered.
    /// In force on this node on return; other nodes hear of it in the background.
    ///
    /// A responder gets no messages, and a subscription no requests. Several responders of one node are several: a request to
    /// one goes to each in turn, a request to all to all of them.
    ///
    /// ```no_run
    /// # async fn example(bus: talkie_pubsub::Bus) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut requests = bus.respond("devices/7")?;
    /// while let Some(request) = requests.next().await {
    ///     let done = format!("did {:?} for {}", request.payload, request.name);
    ///     request.reply(done)?;
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// For an invalid pattern, and after the node has left.
    pub fn respond(&self, to: impl ToPattern) -> Result<Requests, RespondError> {
        self.respond_with(to, QueueLimits::default())
    }

    /// Answers requests with limits of its own to what may wait. For what does not fit, its asker is told at once that it was
    /// dropped.
    ///
    /// # Errors
    /// As [`respond`](Self::respond).
    pub fn respond_with(&self, to: impl ToPattern, limits: QueueLimits) -> Result<Requests, RespondError> {
        let pattern = to.to_pattern()?;
        let (id, tray) = self.node.0.registry.respond(&self.state, &pattern, limits)?;
        Ok(Requests { node: self.node.clone(), bus: Arc::clone(&self.state), id, pattern, tray })
    }
}

/// Yields the requests on the topics that a pattern wants; of [`Bus::respond`].
///
/// It is a `Stream`, and [`next`](Self::next) needs no trait for that. What its asker has given up is left out.
///
/// It keeps its node there. Dropping it ends the responder, at once and also outside of a runtime: what waits in it is dropped,
/// and the askers are told. Requests that it has given stay good.
#[must_use = "dropping it ends the responder"]
pub struct Requests {
    node: Node,
    bus: Arc<BusState<PeerSender>>,
    id: u64,
    pattern: Pattern,
    tray: Arc<Tray<PeerSender>>,
}

impl Requests {
    /// The next request; `None` once the node has left. Cancel safe.
    pub async fn next(&mut self) -> Option<Request> {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// What it answers.
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Option<Request>> {
        let taken = self.node.0.registry.exchange.poll_take(&self.tray, cx);
        taken.map(|asked| asked.map(|asked| Request::new(asked, self.node.clone())))
    }
}

impl Stream for Requests {
    type Item = Request;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Request>> {
        self.poll(cx)
    }
}

impl Drop for Requests {
    fn drop(&mut self) {
        self.node.0.registry.unrespond(&self.bus, self.id, &self.tray);
    }
}

impl fmt::Debug for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requests")
            .field("bus", &self.bus.name)
            .field("pattern", &self.pattern)
            .finish_non_exhaustive()
    }
}

/// A request to be answered with [`reply`](Self::reply). Dropped without that, its asker is told so at once.
///
/// It keeps its node there.
#[derive(Debug)]
#[must_use = "dropping a request tells its asker that there will be no reply"]
#[non_exhaustive]
pub struct Request {
    /// What was asked of.
    pub topic: Topic,
    /// The node that asked.
    pub from: NodeId,
    /// The name of that node; names may repeat.
    pub name: NodeName,
    /// What was asked.
    pub payload: Bytes,
    /// When the asker gives up, as far as it can be told here: a reply that is later is of no use.
    pub deadline: Instant,
    owed: Owed,
}

impl Request {
    fn new(asked: Asked<PeerSender>, node: Node) -> Self {
        let Asked { topic, name, payload, deadline, ticket } = asked;
        let from = ticket.from;
        Self { topic, from, name, payload, deadline, owed: Owed { node, ticket: Some(ticket) } }
    }

    /// Replies. Whether the asker still waits is not known here: a reply that is too late is counted on its side
    /// ([`RequestStats::late`](crate::RequestStats::late)), and is no error on any.
    ///
    /// # Errors
    /// For a payload over [`Node::max_message`], where there is no room for it on the way, and after the node has left.
    pub fn reply(mut self, payload: impl Into<Bytes>) -> Result<(), ReplyError> {
        let Owed { node, ticket } = &mut self.owed;
        node.0.registry.check_open()?;
        let payload = payload.into();
        let (given, limit) = (payload.len(), node.max_message());
        if given > limit {
            return Err(ReplyError::TooLarge { given, limit });
        }
        let Some(ticket) = ticket.take() else { return Ok(()) };
        node.0.registry.exchange.answer(ticket, Ok(payload)).map_err(|NoRoom| ReplyError::NoRoom)
    }
}

/// An answer that is owed: given, or refused on drop.
struct Owed {
    node: Node,
    ticket: Option<Ticket<PeerSender>>,
}

impl Drop for Owed {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let _ = self.node.0.registry.exchange.answer(ticket, Err(Refusal::Dropped));
        }
    }
}

impl fmt::Debug for Owed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owed").field("node", &self.node).finish_non_exhaustive()
    }
}
