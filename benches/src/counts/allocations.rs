//! Allocations of two linked nodes in this process.
//!
//! Both run on one thread, so nothing happens beside a call to `try_publish`: what is counted during it is the
//! publisher's, and all the rest is the delivery's: a writer task that seals, the reader, the dispatch, the subscriber, the
//! acknowledgement, and what two nodes do in the meantime, such as heartbeats.

use std::time::Duration;

use bytes::Bytes;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, Stats};
use talkie_pubsub::{Bus, Delivery, Subscription, Topic};
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};

use crate::mesh::{Link, Mesh, PACE, PAYLOAD, TOPIC, WARM_UP, subscribe};

/// Messages that are counted at a pace.
const PACED: u64 = 2_000;
/// Messages that are counted at full speed.
const FULL: u64 = 256_000;
/// Messages that are published at once at full speed. They are far less than the publisher's room.
const BURST: u64 = 256;
/// Longest wait for a message.
const PATIENCE: Duration = Duration::from_secs(10);

/// Of many messages.
#[derive(Debug, Default)]
struct Counted {
    allocations: usize,
    bytes: usize,
}

impl Counted {
    fn add(&mut self, more: Stats) {
        // To grow in place, or by a move, is asked of the allocator too.
        self.allocations += more.allocations + more.reallocations;
        // The bytes that growing adds are among those that were allocated.
        self.bytes += more.bytes_allocated;
    }

    fn per(&self, messages: u64) -> String {
        let each = |of: usize| of as f64 / messages as f64;
        format!("{:>7.3} {:>9.1}", each(self.allocations), each(self.bytes))
    }
}

pub(crate) fn print() {
    println!("Allocations and their bytes, {PAYLOAD} B, two nodes on one thread");
    println!("{:<5} {:<12} {:>17} {:>17}", "link", "pace", "per publish", "per delivery");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for link in Link::BOTH {
        runtime.block_on(measure(link));
    }
}

async fn measure(link: Link) {
    let mesh = Mesh::new(link);
    let (publisher, subscriber) = (mesh.join().await, mesh.join().await);
    let mut pair = Pair {
        subscription: subscribe(&subscriber),
        topic: TOPIC.parse().expect("a topic"),
        payload: Bytes::from(vec![1; PAYLOAD]),
        publisher,
    };
    let linked = pair.publisher.subscribed_on(TOPIC, 1);
    timeout(PATIENCE, linked).await.expect("they meet").expect("it stays open");

    let mut tick = interval(Duration::from_secs(1) / PACE as u32);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pair.count(WARM_UP, 1, Some(&mut tick)).await;
    let paced = pair.count(PACED, 1, Some(&mut tick)).await;
    pair.count(FULL / 8, BURST, None).await;
    let full = pair.count(FULL, BURST, None).await;
    for (pace, (publish, deliver), messages) in [("1,000/s", paced, PACED), ("full speed", full, FULL)] {
        println!("{:<5} {pace:<12} {} {}", link.name(), publish.per(messages), deliver.per(messages));
    }
    pair.publisher.node().leave().await.expect("all has arrived");
    subscriber.node().leave().await.expect("it published nothing");
}

/// A publisher and what it publishes, and a subscription of another node.
struct Pair {
    publisher: Bus,
    topic: Topic,
    payload: Bytes,
    subscription: Subscription,
}

impl Pair {
    /// Publishes so many messages, `burst` at a time, and takes them: what the calls allocated, and what the rest did.
    async fn count(
        &mut self,
        messages: u64,
        burst: u64,
        mut tick: Option<&mut Interval>,
    ) -> (Counted, Counted) {
        let (mut publishing, mut delivering) = (Counted::default(), Counted::default());
        let mut region = Region::new(&INSTRUMENTED_SYSTEM);
        for _ in 0..messages / burst {
            if let Some(tick) = &mut tick {
                tick.tick().await;
            }
            delivering.add(region.change_and_reset());
            for _ in 0..burst {
                let receipt = self.publisher.try_publish(&self.topic, self.payload.clone()).expect("it fits");
                assert_eq!((receipt.nodes, receipt.overflowed), (1, 0), "it goes to the other node");
            }
            publishing.add(region.change_and_reset());
            for _ in 0..burst {
                let next = timeout(PATIENCE, self.subscription.next()).await;
                assert!(matches!(next, Ok(Some(Delivery::Message(_)))), "no message but {next:?}");
            }
        }
        delivering.add(region.change());
        (publishing, delivering)
    }
}
