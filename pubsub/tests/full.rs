//! What happens when a subscription's queue is full, over real links between nodes of one process and within one node.

#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

use std::time::{Duration, Instant};

use talkie_pubsub::{Delivery, SubscribeOptions, WhenFull};

mod common;

use common::{Mesh, message, soon};

/// Far more than anything here takes.
const LONG: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_or_the_oldest_make_room() {
    let mesh = Mesh::new();
    let (from, to) = (mesh.join("from").await, mesh.join("to").await);
    let few = SubscribeOptions::new().messages(10);
    let mut oldest = to.subscribe_with("t", few.clone()).unwrap();
    let mut newest = to.subscribe_with("t", few.clone().when_full(WhenFull::DropNewest)).unwrap();
    let mut here = from.subscribe_with("t", few.when_full(WhenFull::DropNewest)).unwrap();
    soon(from.subscribed_on("t", 1)).await.unwrap();
    // The second of the pattern is told apart from the first by its epoch.
    soon(newest.ready()).await.unwrap();
    soon(oldest.ready()).await.unwrap();
    for _ in 0..100 {
        from.publish("t", "x").await.unwrap();
    }
    soon(from.flush()).await.unwrap();
    let gap = Delivery::Gap { from: from.node().id(), missed: 90, exact: true };
    assert_eq!(oldest.now().as_ref(), Some(&gap));
    for n in 1..=10 {
        assert_eq!(message(&mut oldest).await.seq, n + 90);
        assert_eq!(message(&mut newest).await.seq, n);
        assert_eq!(message(&mut here).await.seq, n);
    }
    // Told without waiting for another message.
    assert_eq!(newest.now().as_ref(), Some(&gap));
    assert_eq!(here.now().as_ref(), Some(&gap));
    from.publish("t", "y").await.unwrap();
    for subscription in [&mut oldest, &mut newest, &mut here] {
        assert_eq!(message(subscription).await.seq, 101);
    }
    assert_eq!(to.metrics().deliveries.dropped, 180);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_of_this_node_waits_for_the_reader() {
    let bus = Mesh::new().join("alone").await;
    let options = SubscribeOptions::new().messages(4).when_full(WhenFull::Wait(LONG));
    let mut slow = bus.typed::<u32>().subscribe_with("t", options).unwrap();
    let publishing = tokio::spawn({
        let bus = bus.clone();
        async move {
            for n in 0..10_000_u32 {
                bus.typed().publish("t", &n).await.unwrap();
            }
        }
    });
    for n in 0..10_000 {
        assert_eq!(message(&mut slow).await.payload, n, "none is dropped");
    }
    publishing.await.unwrap();
    assert!(bus.metrics().published.waits > 0 && bus.metrics().deliveries.dropped == 0);
    // Without waiting the oldest go.
    for n in 0..6_u32 {
        bus.typed().try_publish("t", &n).unwrap();
    }
    assert!(matches!(slow.now(), Some(Delivery::Gap { missed: 2, exact: true, .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_stands_still_holds_a_publisher_up_once() {
    let bus = Mesh::new().join("alone").await;
    let options = SubscribeOptions::new().messages(4).when_full(WhenFull::Wait(Duration::from_millis(200)));
    let mut still = bus.subscribe_with("t", options.clone()).unwrap();
    let begun = Instant::now();
    for _ in 0..1_000 {
        bus.publish("t", "").await.unwrap();
    }
    assert!(begun.elapsed() >= Duration::from_millis(200));
    assert_eq!(bus.metrics().published.waits, 1);
    assert!(matches!(still.now(), Some(Delivery::Gap { missed: 996, .. })));

    // Nobody waits for one that has gone.
    let options = options.when_full(WhenFull::Wait(LONG));
    let gone = bus.subscribe_with("u", options).unwrap();
    for _ in 0..4 {
        bus.try_publish("u", "").unwrap();
    }
    let waiting = tokio::spawn({
        let bus = bus.clone();
        async move { bus.publish("u", "").await }
    });
    tokio::task::yield_now().await;
    drop(gone);
    assert_eq!(soon(waiting).await.unwrap().unwrap().local, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_gives_way_to_a_reader_that_is_waited_for() {
    let mesh = Mesh::new();
    let (from, to) = (mesh.join("from").await, mesh.join("to").await);
    let options = SubscribeOptions::new().messages(1_024).when_full(WhenFull::Wait(LONG));
    let mut slow = to.subscribe_with("t", options).unwrap();
    let mut other = to.subscribe("other").unwrap();
    soon(from.subscribed_on("t", 1)).await.unwrap();
    soon(from.subscribed_on("other", 1)).await.unwrap();
    for _ in 0..20_000 {
        from.publish("t", "x").await.unwrap();
    }
    // Nobody reads, and yet others are served.
    from.publish("other", "now").await.unwrap();
    assert_eq!(message(&mut other).await.payload, "now");
    let mut accounted = 0;
    while accounted < 20_000 {
        match soon(slow.next()).await {
            Some(Delivery::Message(message)) => {
                accounted += 1;
                assert_eq!(message.seq, accounted);
            }
            Some(Delivery::Gap { missed, exact: true, .. }) => accounted += missed,
            other => panic!("{other:?}"),
        }
    }
}
