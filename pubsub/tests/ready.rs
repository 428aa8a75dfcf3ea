//! Waiting until the others know of a subscription, over real links between nodes of one process, on loopback alone.

#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

use talkie_pubsub::{Closed, PeerEvent};

mod common;

use common::{Mesh, message, soon};

#[tokio::test(flavor = "multi_thread")]
async fn once_ready_nothing_is_missed() {
    let mesh = Mesh::new();
    let to = mesh.join("to").await;
    let alone = to.subscribe("alone").unwrap();
    soon(alone.ready()).await.unwrap();
    let others = [mesh.join("a").await, mesh.join("b").await, mesh.join("c").await];
    let mut events = to.node().peer_events();
    for _ in &others {
        assert!(matches!(soon(events.recv()).await, Some(PeerEvent::Up(_))));
    }
    for round in 0..50 {
        let topic = format!("t/{}", round % 10);
        let mut subscription = to.subscribe(&topic).unwrap();
        // Another of the same pattern joins under another epoch, and a handler does as well.
        let mut second = to.subscribe(&topic).unwrap();
        let handler = to.handle(&topic, |_| {}).unwrap();
        soon(subscription.ready()).await.unwrap();
        soon(second.ready()).await.unwrap();
        soon(handler.ready()).await.unwrap();
        for other in &others {
            assert_eq!(other.try_publish(&topic, "x").unwrap().nodes, 1);
        }
        for _ in &others {
            message(&mut subscription).await;
            message(&mut second).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_may_come_and_go_meanwhile() {
    let mesh = Mesh::new();
    let to = mesh.join("to").await;
    // So many that telling them takes several frames and answers.
    let many: Vec<_> = (0..5_000).map(|n| to.subscribe(format!("many/{n}")).unwrap()).collect();
    let passing = tokio::spawn({
        let config = mesh.config("passing");
        async move {
            for _ in 0..5 {
                let bus = config.clone().join().await.unwrap();
                let mut events = bus.node().peer_events();
                soon(events.recv()).await.unwrap();
                soon(bus.node().leave()).await.unwrap();
            }
        }
    });
    while !passing.is_finished() {
        for subscription in many.iter().step_by(1_000) {
            soon(subscription.ready()).await.unwrap();
        }
    }
    passing.await.unwrap();
    soon(to.node().leave()).await.unwrap();
    assert_eq!(soon(many[0].ready()).await, Err(Closed));
}
