//! Nouns: how a subscription is made.

use std::time::Duration;

use crate::delivery::QueueLimits;
use crate::group::{GroupName, GroupNameError};

/// How a subscription is made; of [`Bus::subscribe_with`](crate::Bus::subscribe_with). [`QueueLimits`] alone are one, too.
///
/// ```no_run
/// # fn example(bus: talkie_pubsub::Bus) -> Result<(), talkie_pubsub::SubscribeError> {
/// use std::time::Duration;
/// use talkie_pubsub::{SubscribeOptions, WhenFull};
/// let options = SubscribeOptions::new().messages(64).when_full(WhenFull::Wait(Duration::from_secs(1)));
/// let orders = bus.subscribe_with("orders/*", options)?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct SubscribeOptions {
    pub(crate) limits: QueueLimits,
    pub(crate) when_full: WhenFull,
    pub(crate) history: bool,
    /// What is wrong with it is told by who subscribes.
    pub(crate) group: Option<Result<GroupName, GroupNameError>>,
}

/// What happens to a message for which a subscription's queue has no room. Whatever is dropped is told as a gap, in its place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// The oldest make room: who falls behind gets what is new.
    #[default]
    DropOldest,
    /// It is dropped: who falls behind gets what it began with.
    DropNewest,
    /// Its publisher waits until the reader has made room, at most this long, and then the oldest make room. A reader that
    /// took nothing in all that time is not waited for again until it does.
    ///
    /// [`Bus::publish`](crate::Bus::publish) on the same node waits, and nobody else does meanwhile;
    /// [`Bus::try_publish`](crate::Bus::try_publish) never waits. Publishers on other nodes are held up by their link, whose
    /// reader gives way, 10 ms at once and a tenth of the time at most, so that others behind it are not held up: much more than
    /// the reader can take is dropped.
    Wait(Duration),
}

impl SubscribeOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// How much may wait.
    pub const fn limits(mut self, limits: QueueLimits) -> Self {
        self.limits = limits;
        self
    }

    /// How many messages and gaps may wait; see [`QueueLimits::messages`].
    pub const fn messages(mut self, messages: usize) -> Self {
        self.limits.messages = messages;
        self
    }

    /// How many bytes may wait; see [`QueueLimits::bytes`].
    pub const fn bytes(mut self, bytes: usize) -> Self {
        self.limits.bytes = bytes;
        self
    }

    /// Whether to begin with what publishers have kept of the topics ([`Publisher::keeping`](crate::Publisher::keeping)); not,
    /// where nothing is said. Of each publisher what it kept comes first, in order, and then what it publishes from then on,
    /// without a hole and without a double. Another node gives the newest 1.5 MiB, or 512 KiB more than its largest message where
    /// that is more; were older ones kept, a gap with their count comes first. What does not fit into the queue is a gap, as ever.
    ///
    /// For subscriptions alone: a handler ([`Bus::handle`](crate::Bus::handle)) begins with what is published next.
    pub const fn history(mut self, history: bool) -> Self {
        self.history = history;
        self
    }

    /// What happens to a message for which there is no room.
    pub const fn when_full(mut self, when_full: WhenFull) -> Self {
        self.when_full = when_full;
        self
    }

    /// Makes it a member of a queue group of the bus: each message goes to one member of the group, and to all that are in none
    /// as ever. Members of one group whose patterns differ share the messages that the patterns of both want.
    ///
    /// The nearest is given it (of the publisher's node, then of its host, then of others), among equals the one that has the fewest,
    /// by turns. A member acknowledges a message by asking for the next one, or with
    /// [`Subscription::acknowledge`](crate::Subscription::acknowledge). If it is dropped before, or its node is lost, the publisher's
    /// node gives the message to another member, marked [`Message::redelivered`](crate::Message::redelivered) where the first may
    /// have had it. So each message is done at least once while the publisher's node lives, and twice only where it is marked.
    ///
    /// A member that has no room for a message ([`messages`](Self::messages), [`bytes`](Self::bytes)) gets no gap: it goes to another,
    /// or waits at the publisher's node until one has room ([`WhenFull`] has no say). So few messages of room spread the work by need,
    /// and more save a round trip. That node remembers 16,384 messages and 16 MiB until they are acknowledged; beyond that publishers
    /// wait as for a slow node, and then messages are handed over without a second try: who has no room for one gets a gap.
    ///
    /// While all members are away, what is published is kept for them; another that comes gets it first. What is published while there
    /// is no member at all goes to none. A member is given no [`history`](Self::history), also where it asks for it.
    ///
    /// Messages of one publisher on one topic reach a member in their order, but for those that come back or had to wait.
    ///
    /// ```no_run
    /// # async fn example(bus: talkie_pubsub::Bus) -> Result<(), Box<dyn std::error::Error>> {
    /// use talkie_pubsub::{Delivery, SubscribeOptions};
    /// let mut jobs = bus.subscribe_with("jobs/*", SubscribeOptions::new().group("workers").messages(8))?;
    /// while let Some(delivery) = jobs.next().await {
    ///     if let Delivery::Message(job) = delivery {
    ///         println!("{} (perhaps again: {})", job.topic, job.redelivered);
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub fn group(mut self, name: impl AsRef<str>) -> Self {
        self.group = Some(name.as_ref().parse());
        self
    }
}

impl From<QueueLimits> for SubscribeOptions {
    fn from(limits: QueueLimits) -> Self {
        Self::new().limits(limits)
    }
}

impl From<WhenFull> for SubscribeOptions {
    fn from(when_full: WhenFull) -> Self {
        Self::new().when_full(when_full)
    }
}
