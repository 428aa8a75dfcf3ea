use super::*;
use crate::audience::Audience;
use crate::proto::history::{History, max_bytes};
use crate::proto::interest::Role;

const MOST: usize = max_bytes(0);

/// The fake peer wants this, and what was kept of it.
fn asks(node: &Node, fake: &Fake, pattern: &str) -> Interest {
    let (bus, pattern) = ("x".parse().unwrap(), pattern.parse().unwrap());
    let (interest, _) = lock(&fake.0.replica).join(&bus, &pattern, Role::Subscriber, true);
    node.settle(fake);
    interest
}

fn keep(node: &Node, topic: &str, last: usize) {
    node.bus.keep(&topic.parse().unwrap(), History::last(last), MOST).unwrap();
}

fn publish(node: &Node, topic: &str, count: usize) {
    (0..count).for_each(|_| _ = node.bus.publish_now(publication(topic).lent()));
}

/// What was pushed to it since: from which epoch on a message of a history is, and its number; none: a plain one.
fn pushed(fake: &Fake) -> Vec<(Option<u64>, u64)> {
    let pushed = std::mem::take(&mut *lock(&fake.0.pushed));
    let read = |body: &Bytes| match envelope::decode_past(body) {
        Ok((from, _, envelope)) => (Some(from), envelope.seq),
        Err(_) => (None, envelope::decode(body).unwrap().seq),
    };
    pushed.iter().map(|(_, body)| read(body)).collect()
}

#[test]
fn a_peer_is_given_what_was_kept_once_for_each_that_asks() {
    let node = Node::new();
    let peer = fake(1);
    node.link(&peer);
    keep(&node, "a/1", 2);
    keep(&node, "a/2", 9);
    publish(&node, "a/1", 4);
    publish(&node, "a/2", 1);
    publish(&node, "a/3", 1);
    node.wants(&peer, "a/1");
    assert_eq!(pushed(&peer), [], "it does not ask");
    asks(&node, &peer, "a/*");
    assert_eq!(pushed(&peer), [(Some(0), 3), (Some(0), 4), (Some(0), 5)]);
    publish(&node, "a/1", 1);
    assert_eq!(pushed(&peer), [(None, 7)]);
    node.wants(&peer, "a/*");
    assert_eq!(pushed(&peer), [], "another subscription, which does not ask");
    asks(&node, &peer, "a/*");
    assert_eq!(pushed(&peer), [(Some(2), 4), (Some(2), 5), (Some(2), 7)]);
    // Another link is no reason to give it again, nor is that nothing was owed to it meanwhile.
    node.registry.handle(&peer, Inbound::Down);
    node.link(&peer);
    assert_eq!(pushed(&peer), []);
    node.registry.handle(&peer, Inbound::Down);
    node.registry.handle(&peer, Inbound::Forgotten);
    node.link(&peer);
    assert_eq!((pushed(&peer), node.nodes("a/1")), (vec![], 1));
    assert_eq!(lock(&node.bus.order).histories.known(), 1);
}

#[test]
fn one_that_ended_is_forgotten_and_another_is_given_all() {
    let node = Node::new();
    let peer = fake(1);
    node.link(&peer);
    keep(&node, "a", 2);
    publish(&node, "a", 3);
    let first = asks(&node, &peer, "a");
    assert_eq!(pushed(&peer), [(Some(0), 2), (Some(0), 3)]);
    lock(&peer.0.replica).unsubscribe(first.id);
    node.settle(&peer);
    assert_eq!((lock(&node.bus.order).histories.known(), node.nodes("a")), (0, 0));
    asks(&node, &peer, "a");
    assert_eq!(pushed(&peer), [(Some(0), 2), (Some(0), 3)]);
}

#[test]
fn what_finds_no_room_is_a_gap_for_those_who_asked() {
    let node = Node::new();
    let peer = fake(1);
    let asking = SubscribeOptions::new().history(true);
    let ((seat, late), (_, plain)) = (node.subscribe_with("a", asking), node.subscribe("a"));
    node.link(&peer);
    let past = |missed, seq| {
        let mut body = Vec::new();
        envelope::put_past_head(&mut body, 0, missed, seq, &"a".parse().unwrap());
        let interests = [Interest { id: seat.interest, epoch: 1 }][..].into();
        let mut arrived = vec![Arrival { interests, body: body.into() }];
        node.registry.handle(&peer, Inbound::Messages(&mut arrived))
    };
    assert!(past(7, 8).is_none() && past(0, 9).is_none());
    assert_eq!(late.pop(), gap(1, 7, true));
    assert_eq!((seqs(&late), plain.pop()), (vec![8, 9], None));
    // In the order of arrival, whatever comes together.
    let mut body = Vec::new();
    envelope::put_past_head(&mut body, 0, 0, 2, &"a".parse().unwrap());
    let bodies = [
        envelope::encode(1, &"a".parse().unwrap(), b""),
        body.into(),
        envelope::encode(3, &"a".parse().unwrap(), b""),
    ];
    let interests = || [Interest { id: seat.interest, epoch: 1 }][..].into();
    let mut arrived = bodies.map(|body| Arrival { interests: interests(), body }).to_vec();
    let _ = node.registry.handle(&peer, Inbound::Messages(&mut arrived));
    assert_eq!((seqs(&late), seqs(&plain)), (vec![1, 2, 3], vec![1, 3]));
    // Who fills a queue gives way, as with what is live.
    assert!((0..1_000).any(|seq| past(0, seq).is_some()));

    // And what is sent says so.
    let large = Own { payload: vec![0; 600_000].into(), ..publication("b") };
    for topic in ["b", "c"] {
        node.bus.keep(&topic.parse().unwrap(), History::last(9).bytes(MOST), MOST).unwrap();
        for _ in 0..2 {
            node.bus.publish_now(Own { topic: topic.parse().unwrap(), ..large.clone() }.lent()).unwrap();
        }
    }
    asks(&node, &peer, "*");
    let pushed = lock(&peer.0.pushed);
    let missed = |body: &Bytes| envelope::decode_past(body).map(|(_, missed, past)| (missed, past.seq));
    let pushed: Vec<_> = pushed.iter().map(|(_, body)| missed(body).unwrap()).collect();
    assert_eq!(pushed, [(2, 3), (0, 4)]);
}

#[test]
fn a_late_joiner_of_this_node_gets_what_was_for_it() {
    let node = Node::new();
    keep(&node, "a", 9);
    for audience in [Audience::Others, Audience::Node(NodeId::from_bytes([7; 16])), Audience::Here] {
        let _ = node.bus.publish_now(Own { audience, ..publication("a") }.lent());
    }
    publish(&node, "a", 2);
    let (_, late) = node.subscribe_with("a", SubscribeOptions::new().history(true));
    let (_, plain) = node.subscribe("a");
    publish(&node, "a", 1);
    assert_eq!((seqs(&late), seqs(&plain)), (vec![3, 4, 5, 6], vec![6]));
    node.bus.release(&"a".parse().unwrap());
    let (_, late) = node.subscribe_with("a", SubscribeOptions::new().history(true));
    assert_eq!(seqs(&late), []);
}

#[test]
fn what_a_peer_kept_reaches_those_that_asked_and_are_new() {
    let node = Node::new();
    let peer = fake(1);
    let asking = SubscribeOptions::new().history(true);
    let ((seat, first), (_, plain)) = (node.subscribe_with("a", asking.clone()), node.seat("a"));
    let (_, second) = node.subscribe_with("a", asking);
    node.link(&peer);
    let past = |interests: &[(u64, u64)], from, seq, topic: &str| {
        let mut body = Vec::new();
        envelope::put_past_head(&mut body, from, 0, seq, &topic.parse().unwrap());
        let interests: Vec<_> = interests.iter().map(|&(id, epoch)| Interest { id, epoch }).collect();
        let mut arrived = vec![Arrival { interests: interests.into(), body: body.into() }];
        let _ = node.registry.handle(&peer, Inbound::Messages(&mut arrived));
    };
    let id = seat.interest;
    past(&[(id, 0)], 0, 1, "a");
    past(&[(id, 2)], 0, 2, "a");
    past(&[(id, 2)], 1, 3, "a");
    node.message(&peer, &[(id, 2)], 4, "a");
    assert_eq!((seqs(&first), seqs(&plain), seqs(&second)), (vec![1, 2, 4], vec![4], vec![2, 3, 4]));
    // A faulty peer is counted and reaches nobody.
    past(&[(id, 2), (id + 1, 0)], 0, 5, "a");
    past(&[(id, 2)], 0, 6, "b");
    past(&[(id + 9, 0)], 0, 7, "a");
    let mut arrived =
        vec![Arrival { interests: [Interest { id, epoch: 2 }][..].into(), body: Bytes::from_static(&[4]) }];
    let _ = node.registry.handle(&peer, Inbound::Messages(&mut arrived));
    assert_eq!((seqs(&first), seqs(&second)), (vec![], vec![]));
    let counters = &node.registry.counters;
    assert_eq!(counters.mismatched.load(Ordering::Relaxed), 2);
    assert_eq!(counters.malformed.load(Ordering::Relaxed), 1);
}
