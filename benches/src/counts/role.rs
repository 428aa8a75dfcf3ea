//! What the two processes do whose system calls are counted: a publisher and a subscriber, as in a service.

use std::time::Duration;

use bytes::Bytes;
use talkie_instrument::{Pacer, Rate};
use talkie_pubsub::{Bus, Config, Delivery, Topic};
use tokio::time::timeout;

use crate::mesh::{PACE, PAYLOAD, TOPIC, WARM_UP, subscribe};

/// A process ends by itself after this long, whatever became of the others.
const PATIENCE: Duration = Duration::from_secs(60);

/// `pub PACED FULL` or `sub PACED FULL`: so many messages at a pace and then at full speed, after those to warm up.
pub(crate) fn run(words: &[&str]) {
    let [role, paced, full] = words else { panic!("a role and two numbers") };
    let number = |word: &str| word.parse::<u64>().expect("a number");
    let (paced, full) = (WARM_UP + number(paced), number(full));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads");
    let work = async {
        let bus = Config::from_env().expect("the parent sets it").join().await.expect("it joins");
        match *role {
            "pub" => publish(&bus, paced, full).await,
            "sub" => take(&bus, paced + full).await,
            other => panic!("there is no role {other}"),
        }
        // A peer that has left is none to be waited for.
        let _ = bus.node().leave().await;
    };
    let done = runtime.block_on(async { timeout(PATIENCE, work).await });
    done.expect("it ends in time");
}

async fn publish(bus: &Bus, paced: u64, full: u64) {
    let topic: Topic = TOPIC.parse().expect("a topic");
    let payload = Bytes::from(vec![1; PAYLOAD]);
    bus.subscribed_on(&topic, 1).await.expect("it stays open");
    let mut pacer = Pacer::start(Rate::per_second(PACE).expect("a rate"));
    for _ in 0..paced {
        // The main thread's own sleep: the runtime's other threads go on.
        pacer.wait();
        bus.publish(&topic, payload.clone()).await.expect("it fits");
    }
    for _ in 0..full {
        bus.publish(&topic, payload.clone()).await.expect("it fits");
    }
    bus.flush().await.expect("the subscriber lives");
}

async fn take(bus: &Bus, messages: u64) {
    // As in a service: a task of the runtime, not its main thread.
    let mut subscription = subscribe(bus);
    let taking = tokio::spawn(async move {
        for _ in 0..messages {
            let next = subscription.next().await;
            assert!(matches!(next, Some(Delivery::Message(_))), "a loss: {next:?}");
        }
    });
    taking.await.expect("nothing is lost");
}
