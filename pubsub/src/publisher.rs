//! The handle of a topic that is published often.

use std::fmt;
use std::sync::Arc;

use crate::io::net::PeerSender;
use bytes::Bytes;

use crate::audience::PublishOptions;
use crate::bus::Bus;
use crate::delivery::Receipt;
use crate::error::{HistoryError, PublishError};
use crate::io::registry::BusState;
use crate::proto::backlog::CHARGE;
use crate::proto::history::{Full, History, MAX_ALL_BYTES, max_bytes};
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
    keeping: Option<Arc<Keeping>>,
}

impl Publisher {
    pub(crate) const fn new(bus: Bus, topic: Topic, options: PublishOptions) -> Self {
        Self { bus, topic, options, keeping: None }
    }

    /// The same, and it keeps the last messages of the topic for those who subscribe later and ask for them
    /// ([`SubscribeOptions::history`](crate::SubscribeOptions::history)): as long as it, or a clone of it, is there.
    ///
    /// Kept is what this node publishes on the topic from now on, through whichever handle, but not what is for one node alone
    /// ([`Audience::Node`](crate::Audience::Node)). Of several handles that keep the same topic, the last one says how much.
    /// What is published through another handle and is over the bytes of the history is not kept, nor is what was before it.
    ///
    /// # Errors
    /// For a history of no messages, of more bytes than [`History::bytes`] allows, or where all histories of the bus together may
    /// have more than 256 MiB; and after the node has left.
    pub fn keeping(mut self, history: History) -> Result<Self, HistoryError> {
        self.bus.node.0.registry.check_open()?;
        if history.last == 0 || !history.holds(0) {
            return Err(HistoryError::Empty);
        }
        let Self { bus, topic, .. } = &self;
        let limit = max_bytes(bus.node.max_message());
        if history.bytes > limit {
            return Err(HistoryError::TooLarge { given: history.bytes, limit });
        }
        bus.state.keep(topic, history, limit).map_err(|Full| HistoryError::Full { limit: MAX_ALL_BYTES })?;
        let (bus, topic) = (Arc::clone(&bus.state), topic.clone());
        self.keeping = Some(Arc::new(Keeping { bus, topic, history }));
        Ok(self)
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
    /// As there, and for a payload that is over the bytes of the history that it keeps.
    pub async fn publish(&self, payload: impl Into<Bytes>) -> Result<Receipt, PublishError> {
        let payload = payload.into();
        self.check(payload.len())?;
        self.bus.publish_on(&self.topic, &payload, &self.options).await
    }

    /// As [`Bus::try_publish_with`] and its options.
    ///
    /// # Errors
    /// As there, and for a payload that is over the bytes of the history that it keeps.
    pub fn try_publish(&self, payload: impl Into<Bytes>) -> Result<Receipt, PublishError> {
        let payload = payload.into();
        self.check(payload.len())?;
        self.bus.try_publish_on(&self.topic, &payload, &self.options)
    }

    /// Whether a payload of so many bytes can be kept with the headers, where it is to be.
    fn check(&self, payload: usize) -> Result<(), PublishError> {
        let given = self.options.headers.size() + payload;
        match &self.keeping {
            Some(keeping) if !keeping.history.holds(given) => {
                Err(PublishError::OverHistory { given, limit: keeping.history.bytes.saturating_sub(CHARGE) })
            }
            _ => Ok(()),
        }
    }
}

/// What ends with the last handle that keeps a history.
struct Keeping {
    bus: Arc<BusState<PeerSender>>,
    topic: Topic,
    history: History,
}

impl Drop for Keeping {
    fn drop(&mut self) {
        self.bus.release(&self.topic);
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher")
            .field("bus", self.bus.name())
            .field("topic", &self.topic)
            .field("options", &self.options)
            .field("keeping", &self.keeping.as_ref().map(|keeping| keeping.history))
            .finish_non_exhaustive()
    }
}
