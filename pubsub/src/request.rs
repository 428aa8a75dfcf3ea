//! Asking: one responder, or all of them.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use talkie_discovery::NodeId;
use tracing::Instrument as _;

use crate::answer::{Answer, Reply, Unanswered};
use crate::audience::Sending;
use crate::bus::Bus;
use crate::error::{Closed, RequestError, SubscribedOnError};
use crate::io::asker::{NotAsked, Question};
use crate::io::registry::exchange::{self, Inquiry};
use crate::node::Node;
use crate::proto::exchange::Reach;
use crate::proto::headers::Headers;
use crate::subscription::Form;
use crate::topic::{ToTopic, Topic, TopicError};
use crate::trace::Traced;

impl Bus {
    /// Asks one responder of the topic ([`respond`](Self::respond)) and waits for its reply, `within` that time (a year at
    /// most).
    ///
    /// The nearest is asked: one of this node, else one of the node with the shortest round-trip time. Several responders of
    /// a node take turns. A request is sent once, and never to a second responder by itself: whoever is told that the
    /// responder is gone decides whether to ask again. Dropping the future gives up; the responder is not told.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # async fn example(bus: talkie_pubsub::Bus) -> Result<(), talkie_pubsub::RequestError> {
    /// let reply = bus.request("devices/7", "restart", Duration::from_secs(2)).await?;
    /// println!("{} says {:?}", reply.name, reply.payload);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Each in its own way, and all but the last at once: an invalid topic, a payload over [`Node::max_message`], no
    /// responder, one that dropped the request, one that is gone, no room on the way, and no reply in time.
    pub async fn request(
        &self,
        to: impl ToTopic,
        payload: impl Into<Bytes>,
        within: Duration,
    ) -> Result<Reply, RequestError> {
        self.request_with(to, payload, RequestOptions::within(within)).await
    }

    /// Asks one responder with options: how long to wait, and headers beside the payload.
    ///
    /// ```no_run
    /// # async fn example(bus: talkie_pubsub::Bus) -> Result<(), talkie_pubsub::RequestError> {
    /// use std::time::Duration;
    /// use talkie_pubsub::RequestOptions;
    /// let options = RequestOptions::within(Duration::from_secs(2)).header("user", "ann");
    /// let reply = bus.request_with("devices/7", "restart", options).await?;
    /// println!("{} says {:?}, {:?}", reply.name, reply.payload, reply.headers);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`request`](Self::request), and for a header that cannot be.
    pub async fn request_with(
        &self,
        to: impl ToTopic,
        payload: impl Into<Bytes>,
        options: RequestOptions,
    ) -> Result<Reply, RequestError> {
        self.request_as(Form::BYTES, to.to_topic()?, payload.into(), options).await
    }

    /// Asks every responder of the topic, here and on all nodes that are up. The answers come as they are given, and
    /// whoever fails to reply `within` that time is named among them.
    ///
    /// # Errors
    /// As [`request`](Self::request), as far as it is known when the request is sent: for a node that is not up to it there is
    /// an [`Answer::Missing`].
    pub async fn request_all(
        &self,
        to: impl ToTopic,
        payload: impl Into<Bytes>,
        within: Duration,
    ) -> Result<Answers, RequestError> {
        self.request_all_with(to, payload, RequestOptions::within(within)).await
    }

    /// Asks every responder with options, as [`request_with`](Self::request_with) asks one.
    ///
    /// # Errors
    /// As [`request_all`](Self::request_all), and for a header that cannot be.
    pub async fn request_all_with(
        &self,
        to: impl ToTopic,
        payload: impl Into<Bytes>,
        options: RequestOptions,
    ) -> Result<Answers, RequestError> {
        self.request_all_as(Form::BYTES, to.to_topic()?, payload.into(), options).await
    }

    /// The nodes that are up and answer the topic, as far as this one knows now: this one, then the others, nearest
    /// first.
    ///
    /// # Errors
    /// For an invalid topic.
    pub fn responders(&self, topic: impl ToTopic) -> Result<Vec<NodeId>, TopicError> {
        let topic = topic.to_topic()?;
        Ok(self.node.0.registry.responders(&self.state, self.node.id(), &topic))
    }

    /// Waits until at least this many nodes, this one included, are up and answer the topic.
    ///
    /// Whoever has just joined calls it before it asks, or nobody answers yet.
    ///
    /// # Errors
    /// For an invalid topic, and when the node leaves meanwhile.
    pub async fn answered_on(&self, topic: impl ToTopic, nodes: usize) -> Result<(), SubscribedOnError> {
        let topic = topic.to_topic()?;
        Ok(self.node.0.registry.answered_on(&self.state, self.node.id(), &topic, nodes).await?)
    }

    pub(crate) async fn request_as<T>(
        &self,
        form: Form<T>,
        topic: Topic,
        payload: Bytes,
        options: RequestOptions,
    ) -> Result<Reply<T>, RequestError> {
        let span = tracing::debug_span!("talkie.request", bus = %self.name(), topic = topic.as_str());
        let answered = async {
            let mut question = self.ask(topic, payload, &options, Reach::One).await?;
            match poll_fn(|cx| question.poll_next(cx)).await.map(|answer| form.read(answer)) {
                Some(Answer::Reply(reply)) => Ok(reply),
                Some(Answer::Missing { why, .. }) => Err(RequestError::of(why, options.within)),
                None => Err(Closed.into()),
            }
        };
        answered.instrument(span).await
    }

    pub(crate) async fn request_all_as<T>(
        &self,
        form: Form<T>,
        topic: Topic,
        payload: Bytes,
        options: RequestOptions,
    ) -> Result<Answers<T>, RequestError> {
        let span = tracing::debug_span!("talkie.request_all", bus = %self.name(), topic = topic.as_str());
        let question = self.ask(topic, payload, &options, Reach::All).instrument(span).await?;
        Ok(Answers { question, node: self.node.clone(), form })
    }

    async fn ask(
        &self,
        topic: Topic,
        payload: Bytes,
        RequestOptions { within, headers }: &RequestOptions,
        reach: Reach,
    ) -> Result<Question, RequestError> {
        let (given, limit) = (payload.len(), self.node.max_message());
        if given > limit {
            return Err(RequestError::TooLarge { given, limit });
        }
        let (headers, within) = (Traced::here(headers.get()?).headers().clone(), *within);
        let (from, name, deadline) = (self.node.id(), self.node.name().clone(), exchange::from_now(within));
        let inquiry = Inquiry { topic, headers, payload, from, name, deadline, reach };
        let asked = exchange::ask(&self.node.0.registry, &self.state, &inquiry).await;
        asked.map_err(|why| match why {
            NotAsked::NoResponders => RequestError::NoResponders,
            NotAsked::Late => RequestError::Timeout(within),
            NotAsked::TooMany => RequestError::TooMany,
            NotAsked::Closed => Closed.into(),
        })
    }
}

/// How a request is made; of [`Bus::request_with`] and [`Bus::request_all_with`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct RequestOptions {
    within: Duration,
    headers: Sending,
}

impl RequestOptions {
    /// Waits so long for the answer, a year at most; no headers.
    pub fn within(within: Duration) -> Self {
        Self { within, headers: Sending::default() }
    }

    /// One more header beside the payload, in the place of one of the same key. One that cannot be ([`Headers::insert`]) is told
    /// by the request: [`RequestError::Headers`].
    pub fn header(mut self, key: impl AsRef<str>, value: impl AsRef<[u8]>) -> Self {
        self.headers.add(key.as_ref(), value.as_ref());
        self
    }

    /// These headers, and no others.
    pub fn headers(mut self, headers: Headers) -> Self {
        self.headers = headers.into();
        self
    }
}

/// The answers to a request to all, as they come: as bytes, or as values where they come from
/// [`Typed::request_all`](crate::Typed::request_all).
///
/// It ends when there was one of every responder, or word that it will not come: an [`Answer::Missing`] for each that
/// dropped the request, is gone, or was not there in time. It also ends when this node leaves.
///
/// It is a `Stream`, and [`next`](Self::next) needs no trait for that. What is not read waits, 64 MiB at most; replies beyond
/// are missing, too. It keeps its node there. Dropping it gives up.
#[must_use = "dropping it gives up waiting for the answers"]
pub struct Answers<T = Bytes> {
    question: Question,
    node: Node,
    form: Form<T>,
}

impl<T> Answers<T> {
    /// The next answer; `None` when there was one of everybody. Cancel safe.
    pub async fn next(&mut self) -> Option<Answer<T>> {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Answer<T>>> {
        self.question.poll_next(cx).map(|next| next.map(|answer| self.form.read(answer)))
    }
}

impl<T> Form<T> {
    fn read(&self, answer: Answer) -> Answer<T> {
        match answer {
            Answer::Reply(Reply { from, name, headers, payload }) => {
                match (self.decode)(&self.fingerprint, payload) {
                    Ok(payload) => Answer::Reply(Reply { from, name, headers, payload }),
                    Err(error) => Answer::Missing { from, name, why: Unanswered::Malformed(error) },
                }
            }
            Answer::Missing { from, name, why } => Answer::Missing { from, name, why },
        }
    }
}

impl<T> Stream for Answers<T> {
    type Item = Answer<T>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Answer<T>>> {
        self.get_mut().poll(cx)
    }
}

impl<T> fmt::Debug for Answers<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").field("node", &self.node).finish_non_exhaustive()
    }
}
