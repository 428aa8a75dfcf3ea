use std::sync::mpsc::{Receiver, channel};

use super::*;
use crate::delivery::{Delivery, DeliveryRef};
use crate::io::fanout::Nested;
use crate::io::handlers::{Callee, MAX_LATER};

/// A handler that sends on what it gets.
fn noting(node: &Node, pattern: &str) -> (u64, Arc<Callee>, Receiver<Delivery>) {
    let (send, got) = channel();
    let (id, callee) = handling(node, pattern, move |delivery| {
        let _ = send.send(delivery.to_delivery());
    });
    (id, callee, got)
}

fn handling(
    node: &Node,
    pattern: &str,
    call: impl Fn(DeliveryRef<'_>) + Send + Sync + 'static,
) -> (u64, Arc<Callee>) {
    let callee = Callee::new("here".parse().unwrap(), call);
    let pattern = pattern.parse().unwrap();
    let seat = node.registry.handle_with(&node.bus, &pattern, Arc::clone(&callee)).unwrap();
    (seat.interest, callee)
}

fn numbers(got: &Receiver<Delivery>) -> Vec<u64> {
    got.try_iter()
        .map(|delivery| match delivery {
            Delivery::Message(message) => message.seq,
            Delivery::Gap { missed, .. } => 1_000 + missed,
            Delivery::Malformed { .. } => panic!("{delivery:?}"),
        })
        .collect()
}

#[test]
fn handlers_get_what_subscriptions_of_their_epoch_get() {
    let node = Node::new();
    let peer = fake(1);
    let (id, first, got) = noting(&node, "a/*");
    let (same, queue) = node.subscribe("a/*");
    let (_, _second, later) = noting(&node, "a/*");
    assert_eq!(id, same);
    node.link(&peer);
    node.message(&peer, &[(id, 0)], 1, "a/b");
    node.message(&peer, &[(id, 2)], 2, "a/b");
    node.message(&peer, &[(id, 2), (id + 1, 0)], 3, "a/b");
    node.registry.handle(&peer, Inbound::Gap { interests: &[(Interest { id, epoch: 0 }, 5)], exact: true });
    assert_eq!(node.bus.publish_now(publication("a/b").lent()).unwrap().local, 3);
    assert_eq!(numbers(&got), [1, 2, 3, 1_005, 1]);
    assert_eq!(numbers(&later), [2, 3, 1]);
    assert_eq!(seqs(&queue), [2, 3, 1]);
    let stats = first.stats();
    assert_eq!((stats.received, stats.missed, stats.uncounted), (4, 5, 0));
    node.registry.unhandle(&node.bus, id, &first);
    node.message(&peer, &[(id, 2)], 4, "a/b");
    assert_eq!((numbers(&got), numbers(&later), seqs(&queue)), (vec![], vec![4], vec![4]));
    node.registry.handle(&peer, Inbound::Lost);
    assert_eq!(numbers(&later), [1_000]);
}

#[test]
fn a_message_is_lent_with_its_topic_and_sender() {
    let node = Node::new();
    let peer = fake(1);
    let (id, _, got) = noting(&node, "a/b");
    node.link(&peer);
    node.message(&peer, &[(id, 0)], 7, "a/b");
    let _ = node.bus.publish_now(publication("a/b").lent());
    let [Delivery::Message(there), Delivery::Message(here)] = &got.try_iter().collect::<Vec<_>>()[..] else {
        panic!("two messages");
    };
    assert_eq!((there.topic.as_str(), there.from, there.name.as_str()), ("a/b", peer.0.id, "fake"));
    assert_eq!((&there.payload[..], &here.payload[..]), (&b"payload"[..], &b"hello"[..]));
    assert_eq!((here.from, here.name.as_str(), here.seq), (NodeId::from_bytes([0; 16]), "here", 1));
}

#[test]
fn a_handler_that_panics_is_counted_and_called_again() {
    let node = Node::new();
    let peer = fake(1);
    let (_, before, _got) = noting(&node, "a");
    let (id, faulty) = handling(&node, "a", |_| panic!("on purpose"));
    let (_, _after, after) = noting(&node, "a");
    node.link(&peer);
    node.message(&peer, &[(id, 2)], 1, "a");
    node.message(&peer, &[(id, 2)], 2, "a");
    let _ = node.bus.publish_now(publication("a").lent());
    assert_eq!(numbers(&after), [1, 2, 1]);
    assert_eq!((faulty.stats().received, faulty.stats().panicked), (3, 3));
    assert_eq!(before.stats().panicked, 0);
}

/// A node that its handlers can publish on.
fn shared() -> Arc<Node> {
    Arc::new(Node::new())
}

#[test]
fn what_a_handler_publishes_comes_behind_what_it_was_called_for() {
    let node = shared();
    let weak = Arc::downgrade(&node);
    handling(&node, "a", move |delivery| {
        let DeliveryRef::Message(message) = delivery else { return };
        if message.seq < 3 {
            let receipt = weak.upgrade().unwrap().bus.publish_now(publication("a").lent());
            assert_eq!(receipt.unwrap().local, 2, "it is numbered and counted at once");
        }
    });
    let (_, _second, got) = noting(&node, "a");
    let _ = node.bus.publish_now(publication("a").lent());
    assert_eq!(numbers(&got), [1, 2, 3], "the second handler sees the order of publishing");
}

#[test]
fn a_handler_that_feeds_itself_too_much_is_told() {
    let node = shared();
    let weak = Arc::downgrade(&node);
    let (send, got) = channel();
    handling(&node, "a", move |delivery| {
        if matches!(delivery, DeliveryRef::Message(message) if message.seq == 1) {
            let node = weak.upgrade().unwrap();
            let results = (0..MAX_LATER + 5).map(|_| node.bus.publish_now(publication("a").lent()));
            send.send(results.filter(|result| *result == Err(Nested)).count()).unwrap();
            assert!(node.bus.publish_now(publication("b").lent()).is_ok(), "no handler wants that");
        }
    });
    let _ = node.bus.publish_now(publication("a").lent());
    assert_eq!(got.recv().unwrap(), 5);
    let (_, _second, later) = noting(&node, "a");
    assert!(node.bus.publish_now(publication("a").lent()).is_ok());
    assert_eq!(numbers(&later), [MAX_LATER as u64 + 3], "and nothing is left behind");
}

/// Two buses whose handlers publish on the other, from two threads: nobody waits for somebody who waits for it.
#[test]
fn buses_that_feed_each_other_do_not_stand_still() {
    let node = shared();
    let other = node.registry.open("y".parse().unwrap()).unwrap();
    let buses = [Arc::clone(&node.bus), other];
    let (send, got) = channel();
    for (bus, to) in [(&buses[0], &buses[1]), (&buses[1], &buses[0])] {
        let (to, send) = (Arc::clone(to), send.clone());
        let callee = Callee::new("here".parse().unwrap(), move |delivery: DeliveryRef<'_>| {
            let DeliveryRef::Message(message) = delivery else { return };
            match &message.payload[..] {
                b"echo" => send.send(()).unwrap(),
                _ => {
                    let own = Own { payload: Bytes::from_static(b"echo"), ..publication("a") };
                    // The other thread may rest in its turn for long.
                    if to.publish_now(own.lent()) == Err(Nested) {
                        send.send(()).unwrap();
                    }
                }
            }
        });
        node.registry.handle_with(bus, &"a".parse().unwrap(), callee).unwrap();
    }
    std::thread::scope(|scope| {
        for bus in &buses {
            scope.spawn(|| (0..2_000).for_each(|_| _ = bus.publish_now(publication("a").lent())));
        }
    });
    assert_eq!(got.try_iter().count(), 4_000);
}

#[test]
fn a_handler_may_end_itself_and_others() {
    let node = shared();
    let (weak, own) = (Arc::downgrade(&node), Arc::new(Mutex::new(None::<(u64, Arc<Callee>)>)));
    let ended = Arc::clone(&own);
    let (send, got) = channel();
    let handler = handling(&node, "a", move |_| {
        let (id, callee) = lock(&ended).take().unwrap();
        let node = weak.upgrade().unwrap();
        node.registry.unhandle(&node.bus, id, &callee);
        send.send(()).unwrap();
    });
    *lock(&own) = Some(handler);
    let peer = fake(1);
    node.link(&peer);
    for seq in 1..=2 {
        node.message(&peer, &[(1, 0)], seq, "a");
        let _ = node.bus.publish_now(publication("a").lent());
    }
    assert_eq!(got.try_iter().count(), 1, "called once, then no more");
    assert_eq!(node.registry.members().ended.received, 0, "it was in its call when it ended");
}
