//! The simulated mesh keeps the promises of the real one, and breaks as a test asks; in its own time.

#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::time::{Duration, Instant};

use common::message;
use talkie_pubsub::testing::Mesh;
use talkie_pubsub::{
    Answer, Bus, Delivery, DownReason, PeerEvent, PresenceChange, PublishError, QueueLimits, RequestError,
    SubscribeOptions,
};

const SECOND: Duration = Duration::from_secs(1);

/// Waits until the node was told that one is down, and why.
async fn down(bus: &Bus) -> DownReason {
    let mut peers = bus.node().peer_events();
    loop {
        if let Some(PeerEvent::Down { reason, .. }) = peers.recv().await {
            return reason;
        }
    }
}

async fn up(bus: &Bus, nodes: usize) {
    let mut peers = bus.node().peer_events();
    while bus.node().peers().len() != nodes {
        peers.recv().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn messages_pass_in_order_and_wait_for_who_is_away() {
    let begun = Instant::now();
    let mesh = Mesh::new();
    let (a, b) = (mesh.join("a"), mesh.join("b"));
    let mut all = b.typed::<u32>().subscribe("t/*").unwrap();
    a.subscribed_on("t/1", 1).await.unwrap();
    mesh.between(&a, &b).delay(SECOND);
    let sent = tokio::time::Instant::now();
    for n in 0..10_u32 {
        assert_eq!(a.typed().publish("t/1", &n).await.unwrap().nodes, 1);
    }
    for n in 0..10_u32 {
        let got = message(&mut all).await;
        assert_eq!((got.payload, got.name.as_str(), got.from), (n, "a", a.node().id()));
    }
    assert_eq!(sent.elapsed(), SECOND, "of the virtual clock");

    let mut peers = b.node().peer_events();
    let cut = tokio::time::Instant::now();
    mesh.between(&a, &b).delay(Duration::ZERO).cut();
    a.typed().publish("t/1", &10_u32).await.unwrap();
    assert_eq!(down(&a).await, DownReason::Timeout);
    assert_eq!(cut.elapsed(), 3 * SECOND);
    assert_eq!(a.typed().publish("t/1", &11_u32).await.unwrap().nodes, 0);
    assert_eq!(all.now(), None);
    mesh.between(&a, &b).mend();
    assert_eq!((message(&mut all).await.payload, message(&mut all).await.payload), (10, 11));
    let told: Vec<_> =
        [peers.recv().await, peers.recv().await, peers.recv().await].into_iter().flatten().collect();
    assert!(matches!(&told[..], [PeerEvent::Up(_), PeerEvent::Down { .. }, PeerEvent::Up(_)]), "{told:?}");
    assert!(begun.elapsed() < 3 * SECOND, "of the real clock");
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_is_a_gap_with_its_count_in_its_place() {
    let mesh = Mesh::seeded(7);
    let (a, b) = (mesh.join("a"), mesh.join("b"));
    let mut all = b.typed::<u64>().subscribe("t").unwrap();
    a.subscribed_on("t", 1).await.unwrap();
    mesh.between(&a, &b).lose(0.3);
    for n in 1..=500_u64 {
        a.typed().publish("t", &n).await.unwrap();
    }
    mesh.between(&a, &b).lose(0.0);
    a.typed().publish("t", &501_u64).await.unwrap();
    let (mut next, mut lost) = (1, 0);
    while next <= 501 {
        match all.next().await.unwrap() {
            Delivery::Message(it) => {
                assert_eq!(it.payload, next);
                next += 1;
            }
            Delivery::Gap { from, missed, exact } => {
                assert_eq!((from, exact), (a.node().id(), true));
                next += missed;
                lost += missed;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!((100..200).contains(&lost), "{lost}");
    assert_eq!(a.metrics().traffic.lost_full, lost);
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_is_bounded_and_the_rest_is_counted() {
    let mesh = Mesh::new();
    let (a, b) = (mesh.join("a"), mesh.join("b"));
    let mut all = b.subscribe("t").unwrap();
    a.subscribed_on("t", 1).await.unwrap();
    mesh.around(&b).cut();
    down(&a).await;
    let mut overflowed = 0;
    for _ in 0..100 {
        overflowed += a.publish("t", vec![0; 100_000]).await.unwrap().overflowed;
    }
    assert_eq!(overflowed, 59, "4 MiB are 41 of them");
    mesh.around(&b).mend();
    for _ in 0..41 {
        message(&mut all).await;
    }
    assert!(matches!(all.next().await, Some(Delivery::Gap { missed: 59, exact: true, .. })));
    assert_eq!(a.publish("t", "").await.unwrap().nodes, 1);
    message(&mut all).await;
}

#[tokio::test(start_paused = true)]
async fn a_publisher_waits_for_a_slow_network_and_not_for_a_dead_one() {
    let mesh = Mesh::new();
    let (a, b) = (mesh.join("a"), mesh.join("b"));
    let _all = b.subscribe("t").unwrap();
    a.subscribed_on("t", 1).await.unwrap();
    mesh.between(&a, &b).delay(Duration::from_millis(100));
    let mut overflowed = 0;
    for _ in 0..100 {
        overflowed += a.publish("t", vec![0; 100_000]).await.unwrap().overflowed;
    }
    let waited = a.metrics().published;
    assert!(overflowed == 0 && waited.waits > 0 && waited.waited_us > 100_000, "{waited:?}");
    mesh.between(&a, &b).cut();
    let begun = tokio::time::Instant::now();
    for _ in 0..100 {
        a.publish("t", vec![0; 100_000]).await.unwrap();
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn requests_are_answered_refused_late_or_gone() {
    let mesh = Mesh::new();
    let [asker, near, far] = <[Bus; 3]>::try_from(mesh.join_all(3)).unwrap();
    let (mut nearly, mut farly) = (near.respond("q/*").unwrap(), far.respond("q/*").unwrap());
    asker.answered_on("q/1", 2).await.unwrap();
    mesh.between(&asker, &far).delay(Duration::from_millis(50));
    mesh.between(&asker, &near).delay(Duration::from_millis(10));

    let (answer, ()) = tokio::join!(asker.request("q/1", "who?", SECOND), async {
        nearly.next().await.unwrap().reply("near").unwrap();
    });
    assert_eq!(answer.unwrap().payload, "near");
    let (answer, ()) = tokio::join!(asker.request("q/1", "no?", SECOND), async {
        drop(nearly.next().await);
    });
    assert_eq!(answer.unwrap_err(), RequestError::Dropped);
    let begun = tokio::time::Instant::now();
    assert_eq!(asker.request("q/1", "never?", SECOND).await.unwrap_err(), RequestError::Timeout(SECOND));
    assert_eq!(begun.elapsed(), SECOND);
    drop(nearly.next().await);

    let mut answers = asker.request_all("q/1", "all?", SECOND).await.unwrap();
    farly.next().await.unwrap().reply("far").unwrap();
    let asked = nearly.next().await.unwrap();
    mesh.kill(&near);
    assert!(asked.reply("too late").is_err());
    let mut heard = Vec::new();
    while let Some(answer) = answers.next().await {
        heard.push(match answer {
            Answer::Reply(reply) => format!("{:?}", reply.payload),
            Answer::Missing { name, why, .. } => format!("{name}: {why}"),
            _ => unreachable!(),
        });
    }
    heard.sort();
    assert_eq!(heard, ["b\"far\"", "node2: the responder is gone"]);
}

#[tokio::test(start_paused = true)]
async fn presence_parts_with_the_mesh_and_comes_together() {
    let mesh = Mesh::new();
    let nodes = mesh.join_all(4);
    let rooms: Vec<_> = nodes.iter().map(|node| node.presence("room").unwrap()).collect();
    let here: Vec<_> =
        rooms.iter().enumerate().map(|(n, room)| room.track(format!("p{n}"), &n).unwrap()).collect();
    let mut changes = rooms[0].changes();
    for _ in 0..4 {
        assert!(matches!(changes.next().await, Some(PresenceChange::Joined(_))));
    }
    let (left, right) = nodes.split_at(2);
    mesh.across(left, right).cut();
    for _ in 0..2 {
        assert!(
            matches!(changes.next().await, Some(PresenceChange::Left(it)) if ["p2", "p3"].contains(&&*it.key))
        );
    }
    assert_eq!(rooms[1].list().len(), 2);
    mesh.everywhere().mend();
    for _ in 0..2 {
        assert!(
            matches!(changes.next().await, Some(PresenceChange::Joined(it)) if ["p2", "p3"].contains(&&*it.key))
        );
    }
    nodes[3].node().leave().await.unwrap();
    assert!(matches!(changes.next().await, Some(PresenceChange::Left(it)) if &*it.key == "p3"));
    drop(here);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_hands_over_and_who_is_killed_does_not() {
    let mesh = Mesh::new();
    let (a, b, c) = (mesh.join("a"), mesh.join("b"), mesh.join("c"));
    let mut all = c.subscribe("t").unwrap();
    a.subscribed_on("t", 1).await.unwrap();
    b.subscribed_on("t", 1).await.unwrap();
    up(&c, 2).await;
    let mut peers = c.node().peer_events();
    for _ in 0..2 {
        assert!(matches!(peers.recv().await, Some(PeerEvent::Up(_))));
    }
    mesh.everywhere().delay(SECOND);
    a.publish("t", "from a").await.unwrap();
    a.node().leave().await.unwrap();
    assert_eq!(message(&mut all).await.payload, "from a");
    assert!(
        matches!(peers.recv().await, Some(PeerEvent::Down { peer, reason: DownReason::Left }) if peer.name.as_str() == "a")
    );
    b.publish("t", "from b").await.unwrap();
    mesh.kill(&b);
    assert!(
        matches!(peers.recv().await, Some(PeerEvent::Down { peer, reason: DownReason::Closed }) if peer.name.as_str() == "b")
    );
    assert_eq!(all.now(), None);
    assert!(matches!(b.publish("t", "x").await, Err(PublishError::Closed(_))));
    assert!(c.node().peers().is_empty());

    // A node that comes later meets those that are there.
    let d = mesh.join("d");
    d.subscribed_on("t", 1).await.unwrap();
    drop((c, all));
    assert_eq!(down(&d).await, DownReason::Left);
}

/// Not paused: the same on a runtime with threads and the real clock.
#[tokio::test(flavor = "multi_thread")]
async fn it_runs_in_real_time_too() {
    let mesh = Mesh::new();
    let nodes = mesh.join_all(8);
    let mut subscriptions: Vec<_> = nodes.iter().map(|node| node.subscribe("t").unwrap()).collect();
    for node in &nodes {
        node.subscribed_on("t", 7).await.unwrap();
        node.publish("t", "hello").await.unwrap();
    }
    for subscription in &mut subscriptions {
        for _ in 0..8 {
            assert_eq!(message(subscription).await.payload, "hello");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_latency_of_deliveries_is_from_the_arrival_until_they_are_read() {
    const MS: Duration = Duration::from_millis(1);
    let timed = |bus: &Bus| {
        let latency = bus.metrics().latency;
        (latency.samples, latency.total_us)
    };
    let mesh = Mesh::new();
    let (a, b) = (mesh.join("a"), mesh.join("b"));
    let one = QueueLimits { messages: 1, bytes: 1 << 20 };
    let mut here = a.subscribe_with("t", one).unwrap();
    let mut there = b.subscribe("t").unwrap();
    a.subscribed_on("t", 1).await.unwrap();
    mesh.between(&a, &b).delay(100 * MS);

    a.publish("t", "the first is timed").await.unwrap();
    tokio::time::sleep(150 * MS).await;
    assert_eq!((timed(&a), timed(&b)), ((0, 0), (0, 0)), "nobody has read it");
    message(&mut here).await;
    message(&mut there).await;
    assert_eq!(timed(&a), (1, 150_000), "since it was published");
    assert_eq!(timed(&b), (1, 50_000), "since it came");
    assert_eq!(b.metrics().latency.quantile(0.5), Some(50 * MS));

    // On a bus of its own it is the first again. In a queue for one the second pushes it out.
    let other = a.node().open("other".parse().unwrap()).unwrap();
    let mut slow = other.subscribe_with("t", one).unwrap();
    other.publish("t", "timed, and dropped").await.unwrap();
    tokio::time::sleep(MS).await;
    other.publish("t", "not timed").await.unwrap();
    assert!(matches!(slow.next().await, Some(Delivery::Gap { missed: 1, .. })));
    message(&mut slow).await;
    assert_eq!(timed(&a), (1, 150_000), "a gap has none");

    // One of 16, each where it is read.
    for _ in 1..1_600 {
        a.publish("t", "").await.unwrap();
        message(&mut here).await;
        message(&mut there).await;
    }
    let (samples, total) = timed(&b);
    assert!((98..=102).contains(&samples), "{samples}");
    assert_eq!(total, 50_000, "all others were read as they came");
    assert_eq!(timed(&a), (samples, 150_000));
}

#[tokio::test(start_paused = true)]
async fn the_latency_of_a_members_deliveries_is_timed_too() {
    let mesh = Mesh::new();
    let (a, b) = (mesh.join("a"), mesh.join("b"));
    let mut here = a.subscribe_with("t/here", SubscribeOptions::new().group("g")).unwrap();
    let mut there = b.subscribe_with("t/there", SubscribeOptions::new().group("g")).unwrap();
    a.subscribed_on("t/there", 1).await.unwrap();
    a.publish("t/here", "").await.unwrap();
    tokio::time::sleep(SECOND).await;
    message(&mut here).await;
    assert_eq!(a.metrics().latency.total_us, 1_000_000);
    for _ in 0..64 {
        a.publish("t/there", "").await.unwrap();
    }
    tokio::time::sleep(SECOND).await;
    for _ in 0..64 {
        message(&mut there).await;
    }
    let latency = b.metrics().latency;
    assert!((3..=5).contains(&latency.samples), "{latency:?}");
    assert_eq!(latency.total_us, latency.samples * 1_000_000);
}
