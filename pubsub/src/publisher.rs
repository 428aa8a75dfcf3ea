//! The handle of a topic that is published often.

use std::fmt;

use bytes::Bytes;

use crate::audience::PublishOptions;
use crate::bus::Bus;
use crate::delivery::Receipt;
use crate::error::PublishError;
use crate::topic::Topic;

/// Publishes on one topic, which is checked once; of [`Bus::publisher`]. A cheap handle; it keeps its node there.
///
/// Whom a topic goes to is found once for each change of interest, whichever way it is published; what this saves is reading
/// the topic again for each message.
#[derive(Clone)]
pub struct Publisher {
    bus: Bus,
    topic: Topic,
    options: PublishOptions,
}

impl Publisher {
    pub(crate) const fn new(bus: Bus, topic: Topic, options: PublishOptions) -> Self {
        Self { bus, topic, options }
    }

    /// The same with other options: to whom it publishes, and with which headers.
    ///
    /// ```no_run
    /// # use talkie_pubsub::{Audience, Bus};
    /// # async fn example(bus: Bus) -> Result<(), Box<dyn std::error::Error>> {
    /// let others = bus.publisher("room/7")?.with(Audience::Others);
    /// others.publish("for other nodes").await?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn with(mut self, options: impl Into<PublishOptions>) -> Self {
        self.options = options.into();
        self
    }

    /// What it publishes on.
    pub const fn topic(&self) -> &Topic {
        &self.topic
    }

    /// As [`Bus::publish_with`] and its options.
    ///
    /// # Errors
    /// As there.
    pub async fn publish(&self, payload: impl Into<Bytes>) -> Result<Receipt, PublishError> {
        self.bus.publish_on(&self.topic, &payload.into(), &self.options).await
    }

    /// As [`Bus::try_publish_with`] and its options.
    ///
    /// # Errors
    /// As there.
    pub fn try_publish(&self, payload: impl Into<Bytes>) -> Result<Receipt, PublishError> {
        self.bus.try_publish_on(&self.topic, &payload.into(), &self.options)
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher")
            .field("bus", self.bus.name())
            .field("topic", &self.topic)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
