//! Subscriptions in the publisher's own process: from the publish until the last of them has the message.

use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use divan::Bencher;
use divan::counter::ItemsCount;
use talkie_pubsub::{Bus, Config, Delivery, Secret, Subscription, Topic};
use tokio::runtime::Runtime;

/// Subscriptions to the one topic.
const SUBSCRIPTIONS: [usize; 3] = [1, 10, 1_000];

#[divan::bench(args = SUBSCRIPTIONS, sample_size = 16)]
fn publish_and_take(bencher: Bencher<'_, '_>, subscriptions: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let bus = join_alone(&runtime);
    let topic: Topic = "orders/42".parse().unwrap();
    let payload = Bytes::from(vec![1; 64]);
    let mut taking: Vec<Subscription> = (0..subscriptions).map(|_| bus.subscribe(&topic).unwrap()).collect();
    bencher.counter(ItemsCount::new(subscriptions)).bench_local(|| {
        let receipt = bus.try_publish(&topic, payload.clone()).unwrap();
        assert_eq!(receipt.local, subscriptions);
        for subscription in &mut taking {
            assert!(matches!(divan::black_box(subscription.now()), Some(Delivery::Message(_))));
        }
    });
    runtime.block_on(bus.node().leave()).unwrap();
}

/// A node that looks for no other, and sends nothing.
pub(crate) fn join_alone(runtime: &Runtime) -> Bus {
    let config = Config::new(Secret::generate())
        .interfaces(["lo".parse().unwrap()])
        .listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .multicast(false);
    runtime.block_on(config.join()).unwrap()
}
