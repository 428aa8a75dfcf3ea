//! To whom a message goes, over real links between nodes of one process, on loopback alone.

#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

use talkie_pubsub::{Audience, Bus, Delivery, PeerEvent, PublishError, PublishOptions, Subscription};

mod common;

use common::{Mesh, message, soon};

/// What comes on each of them until the mark, which goes to all.
async fn until_mark(from: &Bus, all: &mut [Subscription]) -> Vec<Vec<String>> {
    from.publish("room", "mark").await.unwrap();
    let mut got = Vec::new();
    for subscription in all {
        let mut texts = Vec::new();
        loop {
            let text = String::from_utf8(message(subscription).await.payload.to_vec()).unwrap();
            if text == "mark" {
                break;
            }
            texts.push(text);
        }
        got.push(texts);
    }
    got
}

#[tokio::test(flavor = "multi_thread")]
async fn each_message_reaches_its_audience() {
    let mesh = Mesh::new();
    let (from, one, two) = (mesh.join("from").await, mesh.join("one").await, mesh.join("two").await);
    let mut all: Vec<_> =
        [&from, &from, &one, &two].iter().map(|bus| bus.subscribe("room").unwrap()).collect();
    soon(from.subscribed_on("room", 2)).await.unwrap();

    let receipt = from.publish_with("room", "but me", &all[0]).await.unwrap();
    assert_eq!((receipt.nodes, receipt.local), (2, 1));
    let receipt = from.publish_with("room", "others", Audience::Others).await.unwrap();
    assert_eq!((receipt.nodes, receipt.local), (2, 0));
    let receipt = from.try_publish_with("room", "here", Audience::Here).unwrap();
    assert_eq!((receipt.nodes, receipt.local), (0, 2));
    let to_two = from.publisher("room").unwrap().with(Audience::Node(two.node().id()));
    let receipt = to_two.publish("two").await.unwrap();
    assert_eq!((receipt.nodes, receipt.local), (1, 0));
    to_two.try_publish("two again").unwrap();
    let me = PublishOptions::new().to(Audience::Node(from.node().id()));
    assert_eq!(from.publish_with("room", "me", me).await.unwrap().local, 2);
    // A large one goes the same ways.
    to_two.publish(vec![b'x'; 100_000]).await.unwrap();

    let large = "x".repeat(100_000);
    let expected: [&[&str]; 4] = [
        &["here", "me"],
        &["but me", "here", "me"],
        &["but me", "others"],
        &["but me", "others", "two", "two again", &large],
    ];
    assert_eq!(until_mark(&from, &mut all).await, expected);

    // From a handler that answers all others.
    let echoing = one.clone();
    let handler = std::sync::Arc::new(std::sync::OnceLock::<talkie_pubsub::SubscriptionId>::new());
    let own = handler.clone();
    let handle = one.handle("room", move |_| {
        if let Some(own) = own.get() {
            echoing.try_publish_with("room", "echo", Audience::AllBut(*own)).unwrap();
        }
    });
    let handle = handle.unwrap();
    soon(one.subscribed_on("room", 2)).await.unwrap();
    soon(two.subscribed_on("room", 2)).await.unwrap();
    // It shares the interest of the subscription, so the others must know that one more has joined.
    soon(handle.ready()).await.unwrap();
    handler.set(handle.id()).unwrap();
    two.publish_with("room", "once", Audience::Node(one.node().id())).await.unwrap();
    assert_eq!(message(&mut all[2]).await.payload, "once");
    for subscription in &mut all {
        assert_eq!(message(subscription).await.payload, "echo", "and the handler did not echo itself");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_nothing_is_known_of_is_an_error() {
    let mesh = Mesh::new();
    let (from, to) = (mesh.join("from").await, mesh.join("to").await);
    let mut room = to.typed::<u8>().subscribe("room").unwrap();
    soon(from.subscribed_on("room", 1)).await.unwrap();
    let direct = Audience::Node(to.node().id());
    from.typed().publish_with("room", &7_u8, direct).await.unwrap();
    assert_eq!(message(&mut room).await.payload, 7);
    assert_eq!(from.publish_with("elsewhere", "", direct).await.unwrap().nodes, 0, "it is known");

    let stranger = Mesh::new().join("stranger").await.node().id();
    let error = from.publish_with("room", "", Audience::Node(stranger)).await.unwrap_err();
    assert_eq!(error, PublishError::UnknownNode(stranger));
    assert!(error.to_string().contains(&stranger.to_string()));
    let mut events = from.node().peer_events();
    soon(to.node().leave()).await.unwrap();
    while !matches!(soon(events.recv()).await, Some(PeerEvent::Down { .. })) {}
    assert_eq!(from.try_publish_with("room", "", direct), Err(PublishError::UnknownNode(to.node().id())));
    assert!(!matches!(room.now(), Some(Delivery::Message(_))));
}
