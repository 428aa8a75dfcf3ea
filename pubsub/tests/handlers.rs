//! Handlers over real links between nodes of one process, on loopback alone, and within one node.

#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

use talkie_pubsub::{Bus, Delivery, DeliveryRef, Handler, SubscribeError};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

mod common;

use common::{Mesh, message, soon};

fn noting(bus: &Bus, pattern: &str) -> (Handler, UnboundedReceiver<Delivery>) {
    let (send, got) = unbounded_channel();
    let handler = bus.handle(pattern, move |delivery| drop(send.send(delivery.to_delivery()))).unwrap();
    (handler, got)
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_come_in_order_without_a_queue() {
    let mesh = Mesh::new();
    let (from, to) = (mesh.join("from").await, mesh.join("to").await);
    let (handler, mut got) = noting(&to, "orders/*");
    assert_eq!(handler.pattern().as_str(), "orders/*");
    soon(from.subscribed_on("orders/42", 1)).await.unwrap();
    for n in 0..5_000 {
        from.publish("orders/42", format!("order {n}")).await.unwrap();
    }
    for n in 0..5_000 {
        let Some(Delivery::Message(message)) = soon(got.recv()).await else { panic!("no message {n}") };
        assert_eq!((message.topic.as_str(), message.name.as_str()), ("orders/42", "from"));
        assert_eq!((message.from, message.payload), (from.node().id(), format!("order {n}").into()));
    }
    let metrics = to.metrics();
    let [of] = &metrics.subscriptions[..] else { panic!("{:?}", metrics.subscriptions) };
    assert_eq!((of.waiting, of.deliveries.received), (0, 5_000));
    // The others hear that nobody wants it any more, at once.
    drop(handler);
    assert!(to.metrics().subscriptions.is_empty());
    assert_eq!(to.publish("orders/42", "").await.unwrap().local, 0);
    assert_eq!(soon(got.recv()).await, None, "the function and what it held are gone");
    assert_eq!(to.metrics().deliveries.received, 5_000, "what ended is counted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_survives_a_handler_that_panics() {
    let mesh = Mesh::new();
    let (from, to) = (mesh.join("from").await, mesh.join("to").await);
    let faulty = to.handle("t", |_| panic!("on purpose")).unwrap();
    let mut sound = to.subscribe("t").unwrap();
    soon(from.subscribed_on("t", 1)).await.unwrap();
    for n in 1..=3 {
        from.publish("t", "").await.unwrap();
        assert_eq!(message(&mut sound).await.seq, n);
    }
    soon(from.flush()).await.unwrap();
    assert_eq!(to.metrics().deliveries.panicked, 3);
    assert_eq!(to.metrics().links.made, from.metrics().links.made);
    assert_eq!(from.metrics().links.told_up, 1, "the link is the first one");
    drop(faulty);
}

/// A ping that goes to and fro between handlers of two nodes, each in the task that reads the link.
#[tokio::test(flavor = "multi_thread")]
async fn handlers_answer_each_other() {
    const ROUNDS: usize = 1_000;
    let mesh = Mesh::new();
    let (one, two) = (mesh.join("one").await, mesh.join("two").await);
    let (done, mut ended) = unbounded_channel();
    let answering = {
        let two = two.clone();
        two.clone().handle("ping", move |delivery| {
            let DeliveryRef::Message(ping) = delivery else { return };
            two.try_publish("pong", ping.payload.clone()).unwrap();
        })
    };
    let asking = {
        let one = one.clone();
        one.clone().handle("pong", move |delivery| {
            let DeliveryRef::Message(pong) = delivery else { return };
            match pong.payload.len() {
                ROUNDS => done.send(()).unwrap(),
                n => drop(one.try_publish("ping", vec![0; n + 1]).unwrap()),
            }
        })
    };
    soon(one.subscribed_on("ping", 1)).await.unwrap();
    soon(two.subscribed_on("pong", 1)).await.unwrap();
    one.publish("ping", vec![0; 1]).await.unwrap();
    soon(ended.recv()).await.unwrap();
    // They hold their nodes.
    drop((asking, answering));
}

#[tokio::test(flavor = "multi_thread")]
async fn within_one_node_it_has_run_when_the_publish_returns() {
    let bus = Mesh::new().join("alone").await;
    let (_handler, mut got) = noting(&bus, "**");
    assert_eq!(bus.publish("a/b", "x").await.unwrap().local, 1);
    assert!(matches!(got.try_recv(), Ok(Delivery::Message(message)) if message.name.as_str() == "alone"));
    bus.node().leave().await.unwrap();
    assert!(matches!(bus.handle("a", |_| {}), Err(SubscribeError::Closed(_))));
    assert!(matches!(bus.handle("a//b", |_| {}), Err(SubscribeError::Pattern(_))));
}
