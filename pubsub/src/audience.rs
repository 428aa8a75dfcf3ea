//! Whom a message goes to, and what goes along.

use talkie_discovery::NodeId;

use crate::handler::Handler;
use crate::proto::headers::{Headers, HeadersError};
use crate::subscription::Subscription;

/// Whom a message goes to, of all that want its topic. Of a [group](crate::SubscribeOptions::group) it goes to one member of those
/// that are meant, also when it is given to another one later.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Audience {
    /// All of them, here and on other nodes.
    #[default]
    All,
    /// All but one subscription or handler of this node, as a rule the publisher's own ([`Subscription::id`]). One that has
    /// ended, or is of another node, leaves nobody out.
    AllBut(SubscriptionId),
    /// Those of other nodes.
    Others,
    /// Those of this node.
    Here,
    /// Those of one node, which may be this one. One that is away gets it when it is back, as ever; one that nothing is known
    /// of is an error ([`PublishError::UnknownNode`](crate::PublishError::UnknownNode)).
    Node(NodeId),
}

/// Names a subscription or a handler of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SubscriptionId {
    pub(crate) node: NodeId,
    /// How many subscriptions the node had made, itself included: never 0.
    pub(crate) number: u64,
}

/// How a message is published; of [`Bus::publish_with`](crate::Bus::publish_with) and
/// [`Publisher::with`](crate::Publisher::with). An [`Audience`] is one, too.
///
/// ```no_run
/// # async fn example(bus: talkie_pubsub::Bus) -> Result<(), Box<dyn std::error::Error>> {
/// use talkie_pubsub::{Audience, PublishOptions};
/// let room = bus.subscribe("room/7")?;
/// bus.publish_with("room/7", "for everybody but me", &room).await?;
/// bus.publish_with("room/7", "for this node alone", Audience::Here).await?;
/// for peer in bus.node().peers() {
///     bus.publish_with("room/7", "for one node", Audience::Node(peer.id)).await?;
/// }
/// let options = PublishOptions::new().to(Audience::Others).header("language", "en");
/// bus.publish_with("room/7", "for other nodes, with a header", options).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct PublishOptions {
    pub(crate) audience: Audience,
    pub(crate) headers: Sending,
}

/// Headers to send, or what was wrong with the first that cannot be: told by whatever would send them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sending(Result<Headers, Box<HeadersError>>);

impl Default for Sending {
    fn default() -> Self {
        Self(Ok(Headers::new()))
    }
}

impl From<Headers> for Sending {
    fn from(headers: Headers) -> Self {
        Self(Ok(headers))
    }
}

impl Sending {
    /// Bytes of them; those that cannot be sent have none.
    pub(crate) fn size(&self) -> usize {
        self.0.as_ref().map_or(0, Headers::size)
    }

    /// One more.
    pub(crate) fn add(&mut self, key: &str, value: &[u8]) {
        if let Ok(headers) = &mut self.0
            && let Err(error) = headers.insert(key, value)
        {
            self.0 = Err(Box::new(error));
        }
    }

    pub(crate) fn get(&self) -> Result<&Headers, HeadersError> {
        self.0.as_ref().map_err(|error| HeadersError::clone(error))
    }
}

impl PublishOptions {
    /// The defaults: to all.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whom it goes to.
    pub const fn to(mut self, audience: Audience) -> Self {
        self.audience = audience;
        self
    }

    /// One more header beside the payload, in the place of one of the same key. One that cannot be ([`Headers::insert`]) is told
    /// by the publish: [`PublishError::Headers`](crate::PublishError::Headers).
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

impl From<Headers> for PublishOptions {
    fn from(headers: Headers) -> Self {
        Self::new().headers(headers)
    }
}

impl From<Audience> for PublishOptions {
    fn from(audience: Audience) -> Self {
        Self::new().to(audience)
    }
}

/// To all but it.
impl<T> From<&Subscription<T>> for PublishOptions {
    fn from(own: &Subscription<T>) -> Self {
        Audience::AllBut(own.id()).into()
    }
}

/// To all but it.
impl From<&Handler> for PublishOptions {
    fn from(own: &Handler) -> Self {
        Audience::AllBut(own.id()).into()
    }
}
