use std::sync::atomic::AtomicUsize;

use super::*;
use crate::audience::SubscriptionId;
use crate::io::handlers::Callee;

/// What reached the two peers, two subscriptions of one pattern, one of another, and a handler.
fn reached(to: impl FnOnce(Seat, Seat, &Fake) -> Audience) -> [usize; 6] {
    let node = Node::new();
    let peers = [fake(1), fake(2)];
    for peer in &peers {
        node.link(peer);
        node.wants(peer, "a");
    }
    let ((own, first), (_, second), (_, wild)) = (node.seat("a"), node.seat("a"), node.seat("*"));
    let called = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&called);
    let callee = Callee::new("here".parse().unwrap(), move |_| _ = counter.fetch_add(1, Ordering::Relaxed));
    let handler = node.registry.handle_with(&node.bus, &"a".parse().unwrap(), callee).unwrap();

    let own = Own { audience: to(own, handler, &peers[1]), ..publication("a") };
    let receipt = node.bus.publish_now(own.lent()).unwrap();
    let sent = peers.each_ref().map(|peer| lock(&peer.0.pushed).len());
    let local = [&first, &second, &wild].map(|queue| seqs(queue).len());
    let called = called.load(Ordering::Relaxed);
    assert_eq!((receipt.nodes, receipt.local), (sent.iter().sum(), local.iter().sum::<usize>() + called));
    // Numbers go on whoever it goes to.
    assert_eq!(node.bus.publish_now(publication("b").lent()).unwrap().seq, 2);
    [sent[0], sent[1], local[0], local[1], local[2], called]
}

const HERE: NodeId = NodeId::from_bytes([0; 16]);

#[test]
fn each_audience_is_reached_and_nobody_else() {
    let but = |node, number| Audience::AllBut(SubscriptionId { node, number });
    assert_eq!(reached(|_, _, _| Audience::All), [1, 1, 1, 1, 1, 1]);
    assert_eq!(reached(|own, _, _| but(HERE, own.born)), [1, 1, 0, 1, 1, 1]);
    assert_eq!(reached(|_, handler, _| but(HERE, handler.born)), [1, 1, 1, 1, 1, 0]);
    assert_eq!(reached(|own, _, peer| but(peer.0.id, own.born)), [1, 1, 1, 1, 1, 1], "another node's");
    assert_eq!(reached(|_, _, _| Audience::Others), [1, 1, 0, 0, 0, 0]);
    assert_eq!(reached(|_, _, _| Audience::Here), [0, 0, 1, 1, 1, 1]);
    assert_eq!(reached(|_, _, peer| Audience::Node(peer.0.id)), [0, 1, 0, 0, 0, 0]);
}

#[test]
fn only_those_in_the_audience_are_waited_for() {
    let node = Node::new();
    let (full, free) = (fake(1), fake(2));
    for peer in [&full, &free] {
        node.link(peer);
        node.wants(peer, "a");
    }
    *lock(&full.0.room) = Room::Wait { until: Instant::now() + Duration::from_secs(9) };
    let to = |audience| node.bus.attempt(Own { audience, ..publication("a") }.lent(), Duration::ZERO);
    assert!(matches!(to(Audience::Node(free.0.id)), Attempt::Done(receipt) if receipt.nodes == 1));
    assert!(matches!(to(Audience::Here), Attempt::Done(receipt) if receipt.nodes == 0));
    assert!(matches!(to(Audience::Others), Attempt::Wait(..)));
    assert!(matches!(to(Audience::Node(full.0.id)), Attempt::Wait(..)));
    assert!(node.registry.knows(full.0.id));
    node.registry.handle(&full, Inbound::Down);
    assert!(node.registry.knows(full.0.id), "it is owed what is published");
    node.registry.handle(&full, Inbound::Forgotten);
    assert!(!node.registry.knows(full.0.id));
}
