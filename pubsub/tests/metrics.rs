//! The counters, checked against what a test really did.

#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

mod common;

use common::{Mesh, message, soon};
use talkie_pubsub::{Bus, Delivery, Metrics, QueueLimits, SubscriptionStats};

fn of<'a>(metrics: &'a Metrics, pattern: &str) -> &'a SubscriptionStats {
    metrics.subscriptions.iter().find(|one| one.pattern.as_str() == pattern).expect("it is listed")
}

/// Until what was published has been handed out on the other side.
async fn handed_over(from: &Bus) {
    soon(from.flush()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_published_is_delivered_dropped_or_missed() {
    let mesh = Mesh::new();
    let from = mesh.join("from").await;
    let to = mesh.config("to").max_message(1_000).join().await.unwrap();
    let mut slow = to.subscribe_with("t/slow", QueueLimits { messages: 10, bytes: 1 << 20 }).unwrap();
    let mut typed = to.typed::<u32>().subscribe("t/typed").unwrap();
    let all = to.subscribe("t/**").unwrap();
    let here = from.subscribe("t/*").unwrap();
    soon(from.subscribed_on("t/slow", 1)).await.unwrap();
    soon(from.subscribed_on("t/typed", 1)).await.unwrap();
    soon(from.subscribed_on("t", 1)).await.unwrap();

    for n in 0..100_u32 {
        from.publish("t/slow", vec![0; 50]).await.unwrap();
        from.typed().try_publish("t/typed", &n).unwrap();
    }
    from.publish("t/typed", "not typed").await.unwrap();
    // Larger than the other node takes; and nobody's.
    from.publish("t/slow", vec![0; 1_001]).await.unwrap();
    from.publish("elsewhere", "12345").await.unwrap();
    handed_over(&from).await;

    let sent = from.metrics();
    assert_eq!((sent.node, sent.name.as_str()), (from.node().id(), "from"));
    let published = sent.published;
    // A typed 0 to 99 is one byte behind the fingerprint.
    assert_eq!((published.messages, published.bytes), (203, 100 * 50 + 100 * 9 + 9 + 1_001 + 5));
    assert_eq!((published.unwanted, published.nodes, published.local), (1, 202, 202));
    assert_eq!((published.overflowed, sent.traffic.lost_too_large), (1, 1));
    assert_eq!((sent.traffic.sent_messages, sent.traffic.lost_full, sent.traffic.lost_absent), (201, 0, 0));
    let own = of(&sent, "t/*");
    assert_eq!((own.bus.as_str(), own.waiting, own.deliveries.received), ("default", 202, 202));
    assert_eq!(own.limit_bytes, 8 << 20);
    assert_eq!(own.waiting_bytes, 100 * (192 + 6 + 50) + 100 * (192 + 7 + 9) + 192 + 7 + 9 + 192 + 6 + 1_001);
    assert_eq!(sent.memory.subscriptions_bytes, own.waiting_bytes);
    assert_eq!((sent.memory.subscriptions_waiting, sent.memory.peers_up_bytes), (202, 0));
    let [peer] = &sent.peers[..] else { panic!("{:?}", sent.peers) };
    assert_eq!((peer.id, peer.up, peer.unacknowledged), (to.node().id(), true, 0));
    assert_eq!(peer.traffic, sent.traffic, "there is no other");

    assert_eq!(slow.now(), Some(Delivery::Gap { from: from.node().id(), missed: 91, exact: true }));
    assert!(matches!(slow.now(), Some(Delivery::Message(_))));
    for n in 0..100 {
        assert_eq!(message(&mut typed).await.payload, n);
    }
    assert!(matches!(typed.now(), Some(Delivery::Malformed { .. })));
    let had = to.metrics();
    // Three patterns that one node wants, with a bus beside each; the other wants one.
    let texts = "t/slow".len() + "t/typed".len() + "t/**".len();
    let interests = (3 * (352 + "default".len()) + texts) as u64;
    assert_eq!((sent.memory.interests, sent.memory.interests_bytes), (3, interests));
    assert_eq!(had.memory.interests, 1);
    // Twice the largest message, here 1 MiB and 1,000 bytes, with 32 KiB before it and 1 MiB for others; 4 MiB at least.
    let peer = 2 * ((1 << 20) + (32 << 10) + (1 << 20));
    assert_eq!((sent.limits.peer_bytes, had.limits.peer_bytes), (peer, 4 << 20));
    assert_eq!((sent.limits.peers_away_bytes, sent.limits.assembling_bytes), (64 << 20, 256 << 20));
    assert_eq!(of(&had, "t/slow").limit_bytes, 1 << 20);
    assert_eq!((had.traffic.received_messages, had.traffic.received_bytes), (201, sent.traffic.sent_bytes));
    let stats = of(&had, "t/slow");
    let told = stats.deliveries;
    assert_eq!(
        (told.received, told.dropped, told.missed, told.uncounted, told.malformed),
        (100, 91, 1, 0, 0)
    );
    // The gap of the larger one takes a place too.
    assert_eq!((stats.waiting, stats.waiting_bytes), (9, 8 * (192 + 6 + 50)));
    assert_eq!((of(&had, "t/typed").deliveries.received, of(&had, "t/typed").deliveries.malformed), (101, 1));
    assert_eq!((of(&had, "t/**").deliveries.received, of(&had, "t/**").deliveries.missed), (201, 1));
    assert_eq!((had.deliveries.received, had.deliveries.dropped, had.deliveries.missed), (402, 91, 2));
    assert_eq!((had.deliveries.malformed, had.refused), (1, Default::default()));

    // What has ended is counted and no longer listed.
    let before = to.metrics().deliveries;
    drop((slow, typed, all));
    let after = to.metrics();
    assert_eq!((after.deliveries, after.subscriptions.len()), (before, 0));
    assert_eq!(after.memory.subscriptions_bytes, 0);

    let json = serde_json::to_value(&sent).unwrap();
    assert_eq!(json["node"], from.node().id().to_string());
    assert_eq!(json["peers"][0]["id"], to.node().id().to_string());
    assert_eq!(json["subscriptions"][0]["pattern"], "t/*");
    assert_eq!(json["published"]["messages"], 203);
    soon(to.node().leave()).await.unwrap();
    let left = to.metrics();
    assert_eq!((left.deliveries, left.traffic.received_messages), (before, 201));
    soon(from.node().leave()).await.unwrap();
    let left = from.metrics();
    assert_eq!((left.deliveries.received, left.subscriptions.len()), (202, 0), "closed, not dropped");
    drop(here);
    assert_eq!(from.metrics().deliveries, left.deliveries);
}

/// On one thread, so that nothing leaves before the queue to the peer is full.
#[tokio::test]
async fn what_overflows_is_missed_and_who_waits_is_counted() {
    let mesh = Mesh::new();
    let (from, to) = (mesh.join("from").await, mesh.join("to").await);
    let limits = QueueLimits { messages: 100_000, bytes: 256 << 20 };
    let _all = to.subscribe_with("t", limits).unwrap();
    soon(from.subscribed_on("t", 1)).await.unwrap();
    let overflowed: usize =
        (0..8_000).map(|_| from.try_publish("t", vec![0; 1_000]).unwrap().overflowed).sum();
    assert!(overflowed > 0);
    let full = from.metrics();
    assert_eq!(full.traffic.lost_full, overflowed as u64);
    assert_eq!(full.traffic.sent_messages, 8_000 - overflowed as u64);
    assert_eq!((full.published.overflowed, full.published.waits), (overflowed as u64, 0));
    assert!(
        full.memory.peers_up_bytes > 3 << 20 && full.memory.peers_up_bytes <= 5 << 20,
        "{:?}",
        full.memory
    );
    assert_eq!(full.peers.first().unwrap().queued_bytes, full.memory.peers_up_bytes);
    handed_over(&from).await;
    assert_eq!(from.metrics().memory.peers_up_bytes, 0);
    let had = to.metrics();
    assert_eq!(had.deliveries.missed, overflowed as u64);
    assert_eq!(had.deliveries.received, 8_000 - overflowed as u64);

    for _ in 0..8_000 {
        from.publish("t", vec![0; 1_000]).await.unwrap();
    }
    handed_over(&from).await;
    let waited = from.metrics();
    assert!(waited.published.waits > 0 && waited.published.waited_us > 0, "{:?}", waited.published);
    // On a busy machine a wait may come to its end and make a gap.
    let (lost, had) = (waited.traffic.lost_full, to.metrics().deliveries);
    assert_eq!((had.missed, had.received, waited.published.overflowed), (lost, 16_000 - lost, lost));
}

#[tokio::test(flavor = "multi_thread")]
async fn links_members_and_large_messages_are_counted() {
    let mesh = Mesh::new();
    let (a, b) = (mesh.join("a").await, mesh.join("b").await);
    let mut all = b.subscribe("large").unwrap();
    soon(a.subscribed_on("large", 1)).await.unwrap();
    a.publish("large", vec![1; 1 << 20]).await.unwrap();
    assert_eq!(message(&mut all).await.payload.len(), 1 << 20);
    handed_over(&a).await;
    let had = b.metrics();
    let (messages, memory) = (had.traffic.received_messages, had.memory);
    assert_eq!((messages, memory.assembling_bytes, memory.assembling_waits), (1, 0, 0));
    assert!(had.traffic.wire_received_bytes > 1 << 20 && had.traffic.received_bytes > 1 << 20);

    let c = mesh.join("c").await;
    let told = async {
        while c.metrics().links.told_of == 0 || [&a, &b, &c].iter().any(|bus| bus.metrics().links.told_up < 2)
        {
            tokio::task::yield_now().await;
        }
    };
    soon(told).await;
    for bus in [&a, &b, &c] {
        let metrics = bus.metrics();
        let links = metrics.links;
        assert_eq!((links.linked, links.up, links.told_up, metrics.peers.len()), (2, 2, 2, 2), "{links:?}");
        assert_eq!(links.made - links.replaced, 2, "{links:?}");
        assert_eq!((links.refused_secret, links.ended_invalid, links.turned_away), (0, 0, 0), "{links:?}");
        assert!(
            metrics.discovery.sent > 0 && metrics.discovery.rejected_auth == 0,
            "{:?}",
            metrics.discovery
        );
    }
    drop(c);
    let gone = async {
        while a.metrics().links.told_left == 0 || b.metrics().links.told_left == 0 {
            tokio::task::yield_now().await;
        }
    };
    soon(gone).await;
    assert_eq!((a.metrics().links.told_closed, a.metrics().links.told_timeout), (0, 0));
}
