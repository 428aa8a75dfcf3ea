//! A subscriber that counts what it gets and keeps the times.

use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use futures_core::Stream as _;
use talkie_instrument::{Kind, Last, STAMP_BYTES, Stamp, Tally, Usage, now_ns};
use talkie_pubsub::{Bus, Delivery, QueueLimits, Subscription};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::wire::{Got, Take, Times};

/// A subscription under way. Ends when it is dropped.
pub(super) struct Taker {
    task: JoinHandle<Taken>,
    enough: Option<oneshot::Sender<()>>,
}

/// How long after the publisher has flushed its last message that may still be on its way through this process.
pub(super) const LAST_WITHIN: Duration = Duration::from_secs(3);

/// What may wait in front of the counting task: about what a link delivers in a quarter of a second. The default is made for
/// services, which would rather lose the oldest.
const MESSAGES: usize = 1 << 20;
const BYTES: usize = 256 << 20;

impl Taker {
    /// Subscribes; in force on return.
    pub(super) fn start(bus: &Bus, take: Take) -> Result<Self, String> {
        let subscription = subscribe(bus, &take.topic)?;
        let (enough, told) = oneshot::channel();
        let task = tokio::spawn(taken(bus.clone(), subscription, take, told));
        Ok(Self { task, enough: Some(enough) })
    }

    /// What came of so many that were published, now or as soon as the last one is here.
    pub(super) async fn report(mut self, published: u64) -> Result<Got, String> {
        let taken = match tokio::time::timeout(LAST_WITHIN, &mut self.task).await {
            Ok(taken) => taken,
            Err(_) => {
                drop(self.enough.take());
                (&mut self.task).await
            }
        };
        let taken = taken.map_err(|error| format!("the subscriber ended: {error}"))?;
        Ok(taken.into_got(published))
    }
}

impl Drop for Taker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Subscribes with much room.
pub(super) fn subscribe(bus: &Bus, topic: &str) -> Result<Subscription, String> {
    let mut limits = QueueLimits::default();
    (limits.messages, limits.bytes) = (MESSAGES, BYTES);
    bus.subscribe_with(topic, limits).map_err(|error| error.to_string())
}

/// What came so far.
#[derive(Default)]
struct Taken {
    tally: Tally,
    last: Last,
    first_ns: u64,
    last_ns: u64,
    before: Usage,
    after: Usage,
}

impl Taken {
    /// Notes a message; `true`: it was the last.
    fn note(&mut self, stamp: &Stamp, times: bool) -> bool {
        match stamp.kind {
            // The last one to warm up: the publisher pauses behind it.
            Kind::WarmUp if stamp.number == 0 => self.before = Usage::own(),
            Kind::Counted if times => {
                let now = now_ns();
                if self.tally.note(stamp, now) {
                    self.last.note(stamp.number, now.saturating_sub(stamp.due_ns));
                }
                self.span(now);
            }
            Kind::Counted => {
                self.tally.count(stamp);
                // A clock is read for some of them only: at millions a second it would cost a tenth.
                if self.first_ns == 0 || stamp.number.is_multiple_of(64) {
                    self.span(now_ns());
                }
            }
            Kind::End => {
                if !times {
                    self.span(now_ns());
                }
                return true;
            }
            _ => {}
        }
        false
    }

    fn span(&mut self, now: u64) {
        if self.first_ns == 0 {
            self.first_ns = now;
        }
        self.last_ns = now;
    }

    fn into_got(self, published: u64) -> Got {
        Got {
            counts: self.tally.counts(published),
            times: Times { from_due: self.tally.from_due, from_sent: self.tally.from_sent, last: self.last },
            took_ns: self.last_ns - self.first_ns,
            cpu_ns: self.after.cpu_ns.saturating_sub(self.before.cpu_ns),
            usage: self.after,
        }
    }
}

async fn taken(bus: Bus, mut subscription: Subscription, take: Take, told: oneshot::Receiver<()>) -> Taken {
    let mut taken = Taken { before: Usage::own(), ..Taken::default() };
    let mut told = pin!(told);
    loop {
        match next_unless(&mut subscription, told.as_mut()).await {
            Some(Delivery::Message(message)) => {
                let Some(stamp) = Stamp::read(&message.payload) else { continue };
                let ended = taken.note(&stamp, take.times);
                if let Some(echo) = &take.echo {
                    // What cannot be sent back is not measured, which the counts show.
                    let stamp = message.payload.slice(..STAMP_BYTES.min(message.payload.len()));
                    let _ = bus.publish(echo.as_str(), stamp).await;
                }
                if ended {
                    break;
                }
            }
            // What is missing is missing among the numbers.
            Some(_) => {}
            None => break,
        }
    }
    taken.after = Usage::own();
    taken
}

/// What comes next; `None` once it is enough and nothing more is there. Whether it is enough is asked only where nothing
/// is there, so that a message costs nothing more.
pub(super) async fn next_unless(
    subscription: &mut Subscription,
    mut enough: Pin<&mut oneshot::Receiver<()>>,
) -> Option<Delivery> {
    poll_fn(|cx| match pin!(&mut *subscription).poll_next(cx) {
        Poll::Pending => enough.as_mut().poll(cx).map(|_| None),
        ready => ready,
    })
    .await
}
