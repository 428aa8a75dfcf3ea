//! What late joiners get, over real links between nodes of one process, on loopback alone, and within one node.

#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use talkie_pubsub::{
    Bus, Closed, History, HistoryError, PublishError, PublishOptions, SubscribeOptions, Subscription,
};

mod common;

use common::{Mesh, message, soon};

fn late() -> SubscribeOptions {
    SubscribeOptions::new().history(true)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_joiner_gets_the_last_values_first() {
    let mesh = Mesh::new();
    let from = mesh.join("from").await;
    let state = from.publisher("devices/7/state").unwrap().keeping(History::last(1)).unwrap();
    let log = from.publisher("devices/7/log").unwrap().keeping(History::last(3)).unwrap();
    let large = from.publisher("devices/7/picture").unwrap().keeping(History::last(2)).unwrap();
    for n in 0..10 {
        state.publish(format!("state {n}")).await.unwrap();
        log.publish(format!("log {n}")).await.unwrap();
    }
    large.publish(vec![b'x'; 300_000]).await.unwrap();
    let node = mesh.join("late").await;
    let mut all = node.subscribe_with("devices/7/*", late()).unwrap();
    let mut plain = node.subscribe("devices/7/*").unwrap();
    soon(from.subscribed_on("devices/7/state", 1)).await.unwrap();
    soon(plain.ready()).await.unwrap();
    state.publish("state now").await.unwrap();
    let mut got = Vec::new();
    for _ in 0..6 {
        let message = message(&mut all).await;
        assert_eq!((message.from, message.name.as_str()), (from.node().id(), "from"));
        got.push(match message.payload.len() {
            300_000 => "picture".into(),
            _ => String::from_utf8(message.payload.to_vec()).unwrap(),
        });
    }
    // A large one takes turns with what is on other topics.
    got.sort();
    assert_eq!(got, ["log 7", "log 8", "log 9", "picture", "state 9", "state now"]);
    assert_eq!(message(&mut plain).await.payload, "state now");
    // One more that asks, of the same pattern: the first ones get nothing again.
    let mut more = node.subscribe_with("devices/7/*", late()).unwrap();
    soon(more.ready()).await.unwrap();
    log.publish("end").await.unwrap();
    let mut count = 0;
    while message(&mut more).await.payload != "end" {
        count += 1;
    }
    // The picture may come behind the end.
    assert!((4..=5).contains(&count), "{count}");
    assert_eq!(message(&mut all).await.payload, "end");
    assert_eq!(message(&mut plain).await.payload, "end");
    assert!(from.metrics().memory.history_bytes > 300_000);
    drop((state, log, large));
    assert_eq!(from.metrics().memory.history_bytes, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_published_beside_a_message_is_kept_with_it() {
    let mesh = Mesh::new();
    let from = mesh.join("from").await;
    let state = from.publisher("state").unwrap().keeping(History::last(1).bytes(1_000)).unwrap();
    let state = state.with(PublishOptions::new().header("unit", "°C"));
    state.publish("21").await.unwrap();
    let node = mesh.join("late").await;
    for bus in [&node, &from] {
        let message = message(&mut bus.subscribe_with("state", late()).unwrap()).await;
        assert_eq!((&*message.payload, message.headers.text("unit")), (&b"21"[..], Some("°C")));
    }
    let too_much = state.with(PublishOptions::new().header("unit", vec![b'x'; 900]));
    let told = too_much.publish("21").await;
    assert!(matches!(told, Err(PublishError::OverHistory { given: 909, limit: 808 })), "{told:?}");
    let said = "payload and headers of 909 bytes are over the 808 that the history of the topic holds";
    assert_eq!(told.unwrap_err().to_string(), said);
}

/// Takes so many, of which each has the number that follows the one before.
async fn follows(mut all: Subscription, count: u32) {
    let number = |payload: &[u8]| u32::from_be_bytes(payload.try_into().unwrap());
    let first = number(&message(&mut all).await.payload);
    for n in 1..count {
        assert_eq!(number(&message(&mut all).await.payload), first + n, "no hole and no double, {n} in");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn between_history_and_what_follows_is_no_hole_and_no_double() {
    const KEPT: u32 = 50;
    let mesh = Mesh::new();
    let (from, to) = (mesh.join("from").await, mesh.join("to").await);
    let publisher = from.publisher("t").unwrap().keeping(History::last(KEPT as usize)).unwrap();
    for n in 0..KEPT {
        publisher.publish(n.to_be_bytes().to_vec()).await.unwrap();
    }
    let stop = Arc::new(AtomicBool::new(false));
    let publishing = tokio::spawn({
        let (stop, publisher) = (stop.clone(), publisher.clone());
        async move {
            for n in KEPT.. {
                publisher.publish(n.to_be_bytes().to_vec()).await.unwrap();
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                if n % 64 == 0 {
                    tokio::task::yield_now().await;
                }
            }
        }
    });
    let roomy = late().messages(1 << 20).bytes(1 << 30);
    let subscribers = |bus: &Bus| -> Vec<_> {
        let all = (0..20).map(|_| bus.subscribe_with("t", roomy.clone()).unwrap());
        all.map(|subscription| tokio::spawn(follows(subscription, KEPT + 100))).collect()
    };
    let mut all = subscribers(&to);
    all.extend(subscribers(&from));
    // One after the other, each an interest of its own: the moment between the two is met often.
    for _ in 0..300 {
        soon(follows(to.subscribe_with("*", roomy.clone()).unwrap(), KEPT + 20)).await;
    }
    // A node that comes while it is published.
    let third = mesh.join("late").await;
    all.extend(subscribers(&third));
    let wild = third.subscribe_with("**", roomy).unwrap();
    all.push(tokio::spawn(follows(wild, KEPT + 100)));
    for one in all {
        soon(one).await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    publishing.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_larger_than_its_bound_is_an_error() {
    let bus = Mesh::new().join("alone").await;
    let publisher = || bus.publisher("t").unwrap();
    assert_eq!(publisher().keeping(History::last(0)).unwrap_err(), HistoryError::Empty);
    assert_eq!(publisher().keeping(History::last(1).bytes(100)).unwrap_err(), HistoryError::Empty);
    let limit = 3 << 19;
    assert!(limit > bus.node().max_message());
    let error = publisher().keeping(History::last(1).bytes(limit + 1)).unwrap_err();
    assert_eq!(error, HistoryError::TooLarge { given: limit + 1, limit });
    let most = History::last(1).bytes(limit);
    let all = 256 << 20;
    let full: Vec<_> =
        (0..all / limit).map(|n| bus.publisher(format!("t/{n}")).unwrap().keeping(most).unwrap()).collect();
    let error = publisher().keeping(most).unwrap_err();
    assert_eq!(error, HistoryError::Full { limit: all });
    drop(full);
    let keeping = publisher().keeping(History::last(5).bytes(1_000)).unwrap();
    keeping.publish(vec![0; 808]).await.unwrap();
    let refused = keeping.publish(vec![0; 809]).await;
    assert_eq!(refused, Err(PublishError::OverHistory { given: 809, limit: 808 }));
    assert_eq!(keeping.try_publish(vec![0; 809]), refused);
    let mut late = bus.subscribe_with("t", SubscribeOptions::new().history(true)).unwrap();
    assert_eq!(message(&mut late).await.payload.len(), 808);
    bus.node().leave().await.unwrap();
    assert_eq!(publisher().keeping(History::last(1)).unwrap_err(), HistoryError::Closed(Closed));
}
