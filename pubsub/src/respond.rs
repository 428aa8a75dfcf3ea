//! Answering: requests as a stream.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use futures_core::Stream;
use talkie_discovery::{NodeId, NodeName};

use crate::bus::Bus;
use crate::delivery::QueueLimits;
use crate::error::{ReplyError, RespondError};
use crate::io::desk::{Asked, Ticket, Tray};
use crate::io::exchange::NoRoom;
use crate::io::net::PeerSender;
use crate::io::registry::BusState;
use crate::node::Node;
use crate::proto::exchange::Refusal;
use crate::proto::headers::Headers;
use crate::subscription::Form;
use crate::topic::{Pattern, ToPattern, Topic};
use crate::trace;

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
    ///     if let Err(error) = request.reply(done) {
    ///         eprintln!("not replied: {error}");
    ///     }
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
        self.respond_as(Form::BYTES, to.to_pattern()?, limits)
    }

    pub(crate) fn respond_as<T>(
        &self,
        form: Form<T>,
        pattern: Pattern,
        limits: QueueLimits,
    ) -> Result<Requests<T>, RespondError> {
        let (id, tray) = self.node.0.registry.respond(&self.state, &pattern, limits)?;
        let held = Held { node: self.node.clone(), bus: Arc::clone(&self.state), id, pattern, tray };
        Ok(Requests { held, form })
    }
}

/// Yields the requests on the topics that a pattern wants: as bytes, or as values where it comes from
/// [`Typed::respond`](crate::Typed::respond).
///
/// It is a `Stream`, and [`next`](Self::next) needs no trait for that. What its asker has given up is left out.
///
/// It keeps its node there. Dropping it ends the responder, at once and also outside of a runtime: what waits in it is dropped,
/// and the askers are told. Requests that it has given stay good.
#[must_use = "dropping it ends the responder"]
pub struct Requests<T = Bytes> {
    held: Held,
    form: Form<T>,
}

/// What is given back on drop.
struct Held {
    node: Node,
    bus: Arc<BusState<PeerSender>>,
    id: u64,
    pattern: Pattern,
    tray: Arc<Tray<PeerSender>>,
}

impl<T> Requests<T> {
    /// The next request; `None` once the node has left. Cancel safe.
    pub async fn next(&mut self) -> Option<Request<T>> {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// What it answers.
    pub fn pattern(&self) -> &Pattern {
        &self.held.pattern
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Option<Request<T>>> {
        let Held { node, tray, .. } = &self.held;
        let exchange = &node.0.registry.exchange;
        loop {
            let Some(asked) = ready!(exchange.poll_take(tray, cx)) else { return Poll::Ready(None) };
            let Asked { topic, name, headers, payload, deadline, ticket } = asked;
            let _within = trace::delivery(&headers, &topic, &name);
            match (self.form.decode)(&self.form.fingerprint, payload) {
                Ok(payload) => {
                    let from = ticket.from;
                    let owed = Owed { node: node.clone(), ticket: Some(ticket) };
                    let request = Request { topic, from, name, headers, payload, deadline, owed };
                    return Poll::Ready(Some(request));
                }
                Err(error) => {
                    tracing::debug!(name: "talkie.request.refused", topic = topic.as_str(), asker = %name, "request refused: {error}");
                    let _ = exchange.answer(ticket, Err(Refusal::NotUnderstood));
                }
            }
        }
    }
}

impl<T> Stream for Requests<T> {
    type Item = Request<T>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Request<T>>> {
        self.poll(cx)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.node.0.registry.unrespond(&self.bus, self.id, &self.tray);
    }
}

impl<T> fmt::Debug for Requests<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requests")
            .field("bus", &self.held.bus.name)
            .field("pattern", &self.held.pattern)
            .finish_non_exhaustive()
    }
}

/// A request to be answered with [`reply`](Self::reply). Dropped without that, its asker is told so at once.
///
/// It keeps its node there.
#[derive(Debug)]
#[must_use = "dropping a request tells its asker that there will be no reply"]
#[non_exhaustive]
pub struct Request<T = Bytes> {
    /// What was asked of.
    pub topic: Topic,
    /// The node that asked.
    pub from: NodeId,
    /// The name of that node; names may repeat.
    pub name: NodeName,
    /// What was asked beside the payload ([`RequestOptions`](crate::RequestOptions)).
    pub headers: Headers,
    /// What was asked.
    pub payload: T,
    /// When the asker gives up, as far as it can be told here: a reply that is later is of no use.
    pub deadline: Instant,
    owed: Owed,
}

impl<T> Request<T> {
    /// Replies. Whether the asker is still there is not known here: a reply that comes to one that has given up otherwise than by
    /// its deadline is counted on its side ([`RequestStats::late`](crate::RequestStats::late)), and is no error on any.
    ///
    /// # Errors
    /// After the request's [`deadline`](Self::deadline), for a payload over [`Node::max_message`], where there is no room for it on
    /// the way, and after the node has left.
    pub fn reply(self, payload: impl Into<Bytes>) -> Result<(), ReplyError> {
        self.reply_with(payload, Headers::new())
    }

    /// Replies with headers beside the payload.
    ///
    /// # Errors
    /// As [`reply`](Self::reply).
    pub fn reply_with(mut self, payload: impl Into<Bytes>, headers: Headers) -> Result<(), ReplyError> {
        let Owed { node, ticket } = &mut self.owed;
        node.0.registry.check_open()?;
        let payload = payload.into();
        let (given, limit) = (payload.len(), node.max_message());
        if given > limit {
            return Err(ReplyError::TooLarge { given, limit });
        }
        let Some(ticket) = ticket.take() else { return Ok(()) };
        if let Some(ago) = node.0.registry.exchange.overdue(self.deadline) {
            return Err(ReplyError::TooLate { ago });
        }
        node.0.registry.exchange.answer(ticket, Ok((headers, payload))).map_err(|NoRoom| ReplyError::NoRoom)
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
