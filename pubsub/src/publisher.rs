//! The handle of a topic that is published often.

use std::fmt;

use bytes::Bytes;

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
}

impl Publisher {
    pub(crate) const fn new(bus: Bus, topic: Topic) -> Self {
        Self { bus, topic }
    }

    /// What it publishes on.
    pub const fn topic(&self) -> &Topic {
        &self.topic
    }

    /// As [`Bus::publish`].
    ///
    /// # Errors
    /// As there.
    pub async fn publish(&self, payload: impl Into<Bytes>) -> Result<Receipt, PublishError> {
        self.bus.publish_on(&self.topic, &payload.into()).await
    }

    /// As [`Bus::try_publish`].
    ///
    /// # Errors
    /// As there.
    pub fn try_publish(&self, payload: impl Into<Bytes>) -> Result<Receipt, PublishError> {
        self.bus.try_publish_on(&self.topic, &payload.into())
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher")
            .field("bus", self.bus.name())
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}
