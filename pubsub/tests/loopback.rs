//! Nodes of one process over real sockets, on loopback alone.

#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

use std::time::Duration;

use talkie_pubsub::{
    Closed, Delivery, DownReason, PeerEvent, PublishError, QueueLimits, SubscribeError, SubscribedOnError,
};

mod common;

use common::{Mesh, message, soon};

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_meet_talk_and_part() {
    let mesh = Mesh::new();
    let (shop, office) = (mesh.join("shop").await, mesh.join("office").await);
    let mut events = office.node().peer_events();
    let mut orders = office.subscribe("orders/*").unwrap();
    soon(shop.subscribed_on("orders/42", 1)).await.unwrap();
    assert_eq!(shop.subscribers("orders/42").unwrap(), [office.node().id()]);

    let receipt = shop.publish("orders/42", "two coffees").await.unwrap();
    assert_eq!((receipt.seq, receipt.nodes, receipt.local, receipt.overflowed), (1, 1, 0, 0));
    let order = message(&mut orders).await;
    assert_eq!((order.topic.as_str(), &order.payload[..], order.seq), ("orders/42", &b"two coffees"[..], 1));
    assert_eq!((order.from, order.name.as_str()), (shop.node().id(), "shop"));
    assert_eq!(shop.publish("elsewhere", "").await.unwrap().nodes, 0);

    assert!(matches!(soon(events.recv()).await, Some(PeerEvent::Up(peer)) if peer.id == shop.node().id()));
    soon(shop.flush()).await.unwrap();
    soon(shop.node().leave()).await.unwrap();
    match soon(events.recv()).await {
        Some(PeerEvent::Down { peer, reason }) => {
            assert_eq!((peer.id, reason), (shop.node().id(), DownReason::Left));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn order_holds_and_each_subscription_gets_each_message_once() {
    let mesh = Mesh::new();
    let (from, to) = (mesh.join("from").await, mesh.join("to").await);
    let patterns = ["t/a", "t/*", "**", "t/a"];
    let mut subscriptions: Vec<_> = patterns.iter().map(|pattern| to.subscribe(*pattern).unwrap()).collect();
    let mut own = from.subscribe("t/**").unwrap();
    let ready = to.subscribe("ready").unwrap();
    soon(from.subscribed_on("ready", 1)).await.unwrap();
    for n in 1..=900_u64 {
        let receipt = soon(from.publish("t/a", n.to_string())).await.unwrap();
        assert_eq!((receipt.seq, receipt.nodes, receipt.local), (n, 1, 1));
    }
    subscriptions.push(ready);
    for subscription in subscriptions.iter_mut().take(4).chain([&mut own]) {
        for n in 1..=900 {
            let message = message(subscription).await;
            assert_eq!((message.seq, &message.payload[..]), (n, n.to_string().as_bytes()));
        }
        assert!(subscription.now().is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn buses_never_mix_and_share_a_node() {
    let mesh = Mesh::new();
    let (a, b) = (mesh.join("a").await, mesh.join("b").await);
    let (a2, b2) =
        (a.node().open("two".parse().unwrap()).unwrap(), b.node().open("two".parse().unwrap()).unwrap());
    let (mut one, mut two) = (b.subscribe("t").unwrap(), b2.subscribe("t").unwrap());
    soon(a.subscribed_on("t", 1)).await.unwrap();
    soon(a2.subscribed_on("t", 1)).await.unwrap();
    a2.publish("t", "two").await.unwrap();
    a.publish("t", "one").await.unwrap();
    assert_eq!(message(&mut one).await.payload, "one");
    assert_eq!(message(&mut two).await.payload, "two");
    drop((a2, b2));
    let again = a.node().open("two".parse().unwrap()).unwrap();
    assert_eq!(again.publish("t", "").await.unwrap().seq, 2, "the numbering goes on");
    assert_eq!(b.node().peers().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_subscription_is_withdrawn_also_outside_of_a_runtime() {
    let mesh = Mesh::new();
    let (a, b) = (mesh.join("a").await, mesh.join("b").await);
    let gone = b.subscribe("gone").unwrap();
    soon(a.subscribed_on("gone", 1)).await.unwrap();
    std::thread::spawn(move || drop(gone)).join().unwrap();
    // Told in order: who knows the second knows that the first is gone.
    let _here = b.subscribe("here").unwrap();
    soon(a.subscribed_on("here", 1)).await.unwrap();
    assert!(a.subscribers("gone").unwrap().is_empty());
    assert_eq!(a.publish("gone", "").await.unwrap().nodes, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_message_passes_and_a_larger_one_is_refused() {
    let mesh = Mesh::new();
    let a = mesh.config("a").max_message(300_000).join().await.unwrap();
    let b = mesh.config("b").max_message(300_000).join().await.unwrap();
    let mut all = b.subscribe("**").unwrap();
    soon(a.subscribed_on("t", 1)).await.unwrap();
    let refused = a.publish("t", vec![7; 300_001]).await;
    assert_eq!(refused, Err(PublishError::TooLarge { given: 300_001, limit: 300_000 }));
    let topic = format!("{}/{}", "x".repeat(127), "y".repeat(127));
    assert_eq!(a.publish(&topic, vec![7; 300_000]).await.unwrap().seq, 1);
    let got = message(&mut all).await;
    assert_eq!((got.payload.len(), got.topic.as_str()), (300_000, &topic[..]));
    assert!(a.publish("a/*", "").await.unwrap_err().to_string().contains("a/*"));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_leaving_everything_is_closed() {
    let mesh = Mesh::new();
    let bus = mesh.join("a").await;
    let mut all = bus.subscribe("**").unwrap();
    bus.publish("t", "last").await.unwrap();
    let waiting = tokio::spawn({
        let bus = bus.clone();
        async move { bus.subscribed_on("t", 1).await }
    });
    soon(bus.node().leave()).await.unwrap();
    assert_eq!(soon(waiting).await.unwrap(), Err(SubscribedOnError::Closed(Closed)));
    assert_eq!(message(&mut all).await.payload, "last");
    assert_eq!(soon(all.next()).await, None);
    assert_eq!(bus.publish("t", "").await, Err(PublishError::Closed(Closed)));
    assert_eq!(bus.try_publish("t", ""), Err(PublishError::Closed(Closed)));
    assert!(matches!(bus.subscribe("t"), Err(SubscribeError::Closed(_))));
    assert!(bus.flush().await.is_err() && bus.node().open("b".parse().unwrap()).is_err());
    assert_eq!(soon(bus.node().leave()).await, Ok(()));
    assert!(bus.node().peers().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_handle_closes_the_node() {
    let mesh = Mesh::new();
    let (a, b) = (mesh.join("a").await, mesh.join("b").await);
    let mut events = a.node().peer_events();
    let kept = b.subscribe("t").unwrap();
    drop(b);
    soon(a.subscribed_on("t", 1)).await.unwrap();
    assert!(matches!(soon(events.recv()).await, Some(PeerEvent::Up(_))));
    drop(kept);
    assert!(matches!(soon(events.recv()).await, Some(PeerEvent::Down { reason: DownReason::Left, .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_gets_a_counted_gap_before_what_remains() {
    let mesh = Mesh::new();
    let (a, b) = (mesh.join("a").await, mesh.join("b").await);
    let limits = QueueLimits { messages: 10, bytes: 1 << 20 };
    let mut slow = b.subscribe_with("t", limits).unwrap();
    let mut done = b.subscribe("done").unwrap();
    soon(a.subscribed_on("done", 1)).await.unwrap();
    for _ in 0..100 {
        a.publish("t", "x").await.unwrap();
    }
    a.publish("done", "").await.unwrap();
    message(&mut done).await;
    assert_eq!(slow.now(), Some(Delivery::Gap { from: a.node().id(), missed: 90, exact: true }));
    assert_eq!(message(&mut slow).await.seq, 91);
}

/// What fills the outbox in one go after a pause is waited for: the peer did not stand still, it had nothing to confirm.
#[tokio::test]
async fn a_burst_after_a_pause_is_handed_over_whole() {
    let mesh = Mesh::new();
    let (from, to) = (mesh.join("from").await, mesh.join("to").await);
    let mut all = to.subscribe_with("burst", QueueLimits { messages: 20_000, bytes: 64 << 20 }).unwrap();
    soon(from.subscribed_on("burst", 1)).await.unwrap();
    from.publish("burst", "first").await.unwrap();
    soon(from.flush()).await.unwrap();
    // Longer than a peer that confirms nothing counts as one that moves.
    tokio::time::sleep(Duration::from_millis(300)).await;
    for _ in 0..10_000 {
        let receipt = soon(from.publish("burst", vec![0; 1_000])).await.unwrap();
        assert_eq!(receipt.overflowed, 0);
    }
    soon(from.flush()).await.unwrap();
    for seq in 1..=10_001 {
        assert_eq!(message(&mut all).await.seq, seq);
    }
}

/// On one thread, so that nothing has left yet when the handle goes.
#[tokio::test]
async fn dropping_the_last_handle_hands_over_first() {
    let mesh = Mesh::new();
    let (from, to) = (mesh.join("from").await, mesh.join("to").await);
    let mut all = to.subscribe_with("last", QueueLimits { messages: 20_000, bytes: 64 << 20 }).unwrap();
    let mut events = to.node().peer_events();
    assert!(matches!(soon(events.recv()).await, Some(PeerEvent::Up(_))));
    soon(from.subscribed_on("last", 1)).await.unwrap();
    for _ in 0..3_000 {
        from.try_publish("last", vec![0; 1_000]).unwrap();
    }
    drop(from);
    for seq in 1..=3_000 {
        assert_eq!(message(&mut all).await.seq, seq);
    }
    let down = soon(events.recv()).await;
    assert!(matches!(down, Some(PeerEvent::Down { reason: DownReason::Left, .. })), "{down:?}");
}

/// One that takes only small messages gets a gap for a large one, in its place, and the link stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_with_a_smaller_limit_gets_a_gap_in_place() {
    let mesh = Mesh::new();
    let small = mesh.config("small").max_message(1_000).join().await.unwrap();
    let from = mesh.join("from").await;
    let mut all = small.subscribe("sizes").unwrap();
    soon(from.subscribed_on("sizes", 1)).await.unwrap();
    for size in [1_000, 1_001, 1_000 + 32 * 1024, 1 << 20, 10] {
        from.publish("sizes", vec![0; size]).await.unwrap();
    }
    assert_eq!(message(&mut all).await.payload.len(), 1_000);
    let mut lost = 0;
    loop {
        match soon(all.next()).await {
            Some(Delivery::Gap { missed, exact: true, .. }) => lost += missed,
            Some(Delivery::Message(message)) => {
                assert_eq!((message.payload.len(), lost), (10, 3));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    soon(from.flush()).await.unwrap();
}
