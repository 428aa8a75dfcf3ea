//! What subscribers send back to the publisher: the way there and back, by one clock.

use std::collections::HashMap;
use std::pin::pin;

use talkie_instrument::{Kind, Stamp, Tally, now_ns};
use talkie_pubsub::{Bus, Delivery, NodeId, Subscription};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::taker::{LAST_WITHIN, next_unless, subscribe};
use super::wire::Times;

/// Counts echoes until each subscriber has sent back the last message.
pub(super) struct Echoes {
    task: JoinHandle<Times>,
    enough: Option<oneshot::Sender<()>>,
}

impl Echoes {
    /// Listens from now on.
    pub(super) fn start(bus: &Bus, topic: &str, senders: usize) -> Result<Self, String> {
        let subscription = subscribe(bus, topic)?;
        let (enough, told) = oneshot::channel();
        Ok(Self { task: tokio::spawn(times(subscription, senders, told)), enough: Some(enough) })
    }

    /// What came, as soon as the last one is here or too late.
    pub(super) async fn finish(mut self) -> Result<Times, String> {
        let times = match tokio::time::timeout(LAST_WITHIN, &mut self.task).await {
            Ok(times) => times,
            Err(_) => {
                drop(self.enough.take());
                (&mut self.task).await
            }
        };
        times.map_err(|error| format!("counting what came back ended: {error}"))
    }
}

impl Drop for Echoes {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn times(mut subscription: Subscription, senders: usize, told: oneshot::Receiver<()>) -> Times {
    let mut times = Times::default();
    let mut tallies: HashMap<NodeId, Tally> = HashMap::new();
    let (mut ended, mut told) = (0, pin!(told));
    while ended < senders {
        let Some(delivery) = next_unless(&mut subscription, told.as_mut()).await else { break };
        let Delivery::Message(message) = delivery else { continue };
        let Some(stamp) = Stamp::read(&message.payload) else { continue };
        ended += usize::from(stamp.kind == Kind::End);
        let now = now_ns();
        if tallies.entry(message.from).or_default().note(&stamp, now) {
            times.last.note(stamp.number, now.saturating_sub(stamp.due_ns));
        }
    }
    for tally in tallies.values() {
        times.from_due.merge(&tally.from_due);
        times.from_sent.merge(&tally.from_sent);
    }
    times
}
