//! The rooms between two machines, with a simulated peer: what it is sent is noted, what it says is made up.

use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use talkie_discovery::{NodeId, NodeName};
use talkie_transport::{Hand, Interests, Parcel, Pushed, Room};

use super::*;
use crate::audience::Audience;
use crate::io::fanout::{Attempt, Publication};
use crate::io::queue::Queue;
use crate::io::registry::{BusState, Seat, lock};
use crate::options::SubscribeOptions;
use crate::proto::backlog::Item;
use crate::proto::replica::Replica;
use crate::topic::Topic;

mod audience;
mod exchange;
mod groups;
mod handlers;
mod headers;
mod history;
mod waiting;

/// Another node, as this one sees it; with a replica of its own for what it says.
#[derive(Debug, Clone)]
struct Fake(Arc<State>);

#[derive(Debug)]
struct State {
    id: NodeId,
    up: AtomicBool,
    near: AtomicBool,
    rtt: Mutex<Option<Duration>>,
    room: Mutex<Room>,
    /// Where the next one that asks for room says so, and then waits.
    held: Mutex<Option<(mpsc::Sender<()>, mpsc::Receiver<()>)>>,
    push: Mutex<Pushed>,
    pushed: Mutex<Vec<(Interests, Bytes)>>,
    frames: Mutex<Vec<Vec<u8>>>,
    in_doubt: AtomicU64,
    replica: Mutex<Replica<()>>,
}

impl PartialEq for Fake {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for Fake {}

impl Hash for Fake {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}

impl Outlet for Fake {
    fn id(&self) -> NodeId {
        self.0.id
    }

    fn name(&self) -> NodeName {
        "fake".parse().unwrap()
    }

    fn is_up(&self) -> bool {
        self.0.up.load(Ordering::Relaxed)
    }

    fn is_near(&self) -> bool {
        self.0.near.load(Ordering::Relaxed)
    }

    fn rtt(&self) -> Option<Duration> {
        *lock(&self.0.rtt)
    }

    fn room(&self, _: usize, _: Instant) -> Room {
        let held = lock(&self.0.held).take();
        if let Some((asks, goes_on)) = held {
            asks.send(()).unwrap();
            goes_on.recv().unwrap();
        }
        *lock(&self.0.room)
    }

    fn take_in_doubt(&self) -> u64 {
        self.0.in_doubt.swap(0, Ordering::Relaxed)
    }

    fn push(&self, interests: &Interests, _: u64, _: usize, body: Parcel<'_>, _: Hand) -> Pushed {
        lock(&self.0.pushed).push((interests.clone(), body.joined()));
        *lock(&self.0.push)
    }

    fn control(&self, frame: &[u8]) -> bool {
        lock(&self.0.frames).push(frame.to_vec());
        true
    }
}

/// One node and its handles, without sockets.
struct Node {
    registry: Registry<Fake>,
    bus: Arc<BusState<Fake>>,
}

impl Node {
    fn new() -> Self {
        let registry = Registry::default();
        let bus = registry.open("x".parse().unwrap()).unwrap();
        Self { registry, bus }
    }

    fn subscribe(&self, pattern: &str) -> (u64, Arc<Queue>) {
        let (seat, queue) = self.seat(pattern);
        (seat.interest, queue)
    }

    fn seat(&self, pattern: &str) -> (Seat, Arc<Queue>) {
        self.subscribe_with(pattern, SubscribeOptions::new())
    }

    fn subscribe_with(&self, pattern: &str, options: SubscribeOptions) -> (Seat, Arc<Queue>) {
        let own = NodeId::from_bytes([0; 16]);
        self.registry.subscribe(&self.bus, own, &pattern.parse().unwrap(), options).unwrap()
    }

    fn link(&self, fake: &Fake) {
        fake.0.up.store(true, Ordering::Relaxed);
        lock(&fake.0.replica).handle_linked(&());
        self.registry.handle(fake, Inbound::Linked);
        self.settle(fake);
    }

    /// Carries control frames both ways until there are none.
    fn settle(&self, fake: &Fake) {
        loop {
            let sent = std::mem::take(&mut *lock(&fake.0.frames));
            let mut replica = lock(&fake.0.replica);
            for frame in &sent {
                replica.handle_control(&(), frame).unwrap();
            }
            let mut frame = Vec::new();
            if !replica.poll_transmit(&(), &mut frame) {
                if sent.is_empty() {
                    return;
                }
                continue;
            }
            drop(replica);
            self.registry.handle(fake, Inbound::Control(&frame));
        }
    }

    /// The fake peer wants this.
    fn wants(&self, fake: &Fake, pattern: &str) -> Interest {
        let (interest, _) = lock(&fake.0.replica).subscribe(&"x".parse().unwrap(), &pattern.parse().unwrap());
        self.settle(fake);
        interest
    }

    fn message(&self, fake: &Fake, interests: &[(u64, u64)], seq: u64, topic: &str) {
        let interests: Vec<_> = interests.iter().map(|&(id, epoch)| Interest { id, epoch }).collect();
        let body = envelope::encode(seq, &topic.parse().unwrap(), b"payload");
        let mut arrived = vec![Arrival { interests: interests.into(), body }];
        let _ = self.registry.handle(fake, Inbound::Messages(&mut arrived));
    }

    fn nodes(&self, topic: &str) -> usize {
        self.registry.subscribers(&self.bus, &topic.parse().unwrap()).len()
    }
}

fn fake(n: u8) -> Fake {
    Fake(Arc::new(State {
        id: NodeId::from_bytes([n; 16]),
        up: AtomicBool::new(false),
        near: AtomicBool::new(false),
        rtt: Mutex::default(),
        room: Mutex::new(Room::Free),
        held: Mutex::default(),
        push: Mutex::new(Pushed::Queued),
        pushed: Mutex::default(),
        frames: Mutex::default(),
        in_doubt: AtomicU64::new(0),
        replica: Mutex::default(),
    }))
}

/// What a handle would lend.
#[derive(Clone)]
struct Own {
    topic: Topic,
    headers: Headers,
    payload: Bytes,
    audience: Audience,
}

impl Own {
    fn lent(&self) -> Publication<'_> {
        let Self { topic, headers, payload, audience } = self;
        Publication { topic, headers, payload, from: NodeId::from_bytes([0; 16]), audience: *audience }
    }
}

fn publication(topic: &str) -> Own {
    let payload = Bytes::from_static(b"hello");
    Own { topic: topic.parse().unwrap(), headers: Headers::new(), payload, audience: Audience::All }
}

fn seqs(queue: &Queue) -> Vec<u64> {
    let all = std::iter::from_fn(|| queue.pop());
    all.map(|delivery| match delivery {
        Item::Message(message) => message.seq,
        Item::Gap { .. } => panic!("{delivery:?}"),
    })
    .collect()
}

fn gap(from: u8, missed: u64, exact: bool) -> Option<Item> {
    Some(Item::Gap { from: NodeId::from_bytes([from; 16]), missed, exact })
}

#[test]
fn ids_lead_to_the_subscriptions_of_their_epoch() {
    let node = Node::new();
    let peer = fake(1);
    let (id, first) = node.subscribe("a/*");
    let (same, second) = node.subscribe("a/*");
    assert_eq!(id, same);
    node.link(&peer);
    node.message(&peer, &[(id, 0)], 1, "a/b");
    node.message(&peer, &[(id, 1)], 2, "a/b");
    node.message(&peer, &[(id + 7, 1)], 3, "a/b");
    assert_eq!((seqs(&first), seqs(&second)), (vec![1, 2], vec![2]));
    node.registry.handle(
        &peer,
        Inbound::Gap {
            interests: &[(Interest { id, epoch: 0 }, 5), (Interest { id, epoch: 1 }, 2)],
            exact: true,
        },
    );
    assert_eq!((first.pop(), second.pop()), (gap(1, 7, true), gap(1, 2, true)));
    node.registry.unsubscribe(&node.bus, id, &first);
    node.message(&peer, &[(id, 1)], 4, "a/b");
    assert_eq!((seqs(&first), seqs(&second)), (vec![], vec![4]));
}

#[test]
fn a_faulty_peer_is_counted_and_reaches_nobody() {
    let node = Node::new();
    let peer = fake(1);
    let (id, queue) = node.subscribe("a/*");
    node.link(&peer);
    node.message(&peer, &[(id, 0), (id, 0)], 1, "a/b");
    assert_eq!(seqs(&queue), [1], "once, though named twice");
    node.message(&peer, &[(id, 0)], 2, "b");
    let interests = [Interest { id, epoch: 0 }];
    for body in [&b""[..], b"\x09abc", b"\x00\x01\x04a//b", b"\x00\x01\x03a/*"] {
        let body = Bytes::from_static(body);
        let mut arrived = vec![Arrival { interests: interests[..].into(), body }];
        let _ = node.registry.handle(&peer, Inbound::Messages(&mut arrived));
    }
    node.registry.handle(&peer, Inbound::Control(&[]));
    assert!(queue.pop().is_none());
    let counters = &node.registry.counters;
    assert_eq!(counters.mismatched.load(Ordering::Relaxed), 2);
    assert_eq!(counters.malformed.load(Ordering::Relaxed), 4);
    assert_eq!(counters.control.load(Ordering::Relaxed), 1);
}

#[test]
fn a_loss_reaches_those_who_were_announced() {
    let node = Node::new();
    let (_, old) = node.subscribe("a");
    let peer = fake(1);
    node.link(&peer);
    node.registry.handle(&peer, Inbound::Down);
    let (_, young) = node.subscribe("b");
    node.registry.handle(&peer, Inbound::Lost);
    assert_eq!((old.pop(), young.pop()), (gap(1, 0, false), None));
    // Forgotten and yet back: what it published meanwhile is unknown.
    node.registry.handle(&peer, Inbound::Forgotten);
    node.link(&fake(1));
    assert_eq!((old.pop(), young.pop()), (gap(1, 0, false), None));
    node.link(&fake(2));
    assert_eq!(old.pop(), None);
}

#[test]
fn receipts_count_who_is_up_and_what_overflows() {
    let node = Node::new();
    let (up, down) = (fake(1), fake(2));
    for peer in [&up, &down] {
        node.link(peer);
        node.wants(peer, "a/*");
        node.wants(peer, "a/b");
    }
    assert_eq!(node.nodes("a/b"), 2);
    down.0.up.store(false, Ordering::Relaxed);
    node.registry.handle(&down, Inbound::Down);
    assert_eq!(node.nodes("a/b"), 1);
    *lock(&down.0.push) = Pushed::Overflowed;
    let (_, local) = node.subscribe("**");
    let receipt = node.bus.publish_now(publication("a/b").lent()).unwrap();
    assert_eq!((receipt.seq, receipt.nodes, receipt.local, receipt.overflowed), (1, 1, 1, 1));
    assert_eq!(seqs(&local), [1]);
    let pushed = lock(&up.0.pushed);
    assert_eq!(pushed.len(), 1, "one body, whatever matches");
    assert_eq!(pushed[0].0.iter().map(|interest| interest.id).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(pushed[0].1, lock(&down.0.pushed)[0].1);
    drop(pushed);
    let long = Own { payload: vec![7; 10_000].into(), ..publication("a/b") };
    node.bus.publish_now(long.lent()).unwrap();
    assert_eq!(lock(&up.0.pushed)[1].1, lock(&down.0.pushed)[1].1);
    node.registry.handle(&down, Inbound::Forgotten);
    assert_eq!(node.bus.publish_now(publication("a/b").lent()).unwrap().overflowed, 0);
    assert_eq!(lock(&down.0.pushed).len(), 2, "nothing for who is forgotten");
}

#[test]
fn a_full_peer_that_moves_is_waited_for_before_anything_is_sent() {
    let node = Node::new();
    let (full, free) = (fake(1), fake(2));
    for peer in [&full, &free] {
        node.link(peer);
        node.wants(peer, "a");
    }
    let until = Instant::now() + Duration::from_secs(9);
    *lock(&full.0.room) = Room::Wait { until };
    assert!(
        matches!(node.bus.attempt(publication("a").lent(), Duration::ZERO), Attempt::Wait(peer, at) if peer == full && at == until)
    );
    assert!(lock(&free.0.pushed).is_empty());
    *lock(&full.0.room) = Room::Wait { until: Instant::now() };
    assert!(
        matches!(node.bus.attempt(publication("a").lent(), Duration::ZERO), Attempt::Done(receipt) if receipt.seq == 1)
    );
    *lock(&full.0.room) = Room::Stalled;
    assert!(
        matches!(node.bus.attempt(publication("a").lent(), Duration::ZERO), Attempt::Done(receipt) if receipt.seq == 2)
    );
    assert!(
        matches!(node.bus.attempt(publication("b").lent(), Duration::ZERO), Attempt::Done(receipt) if receipt.nodes == 0)
    );
}

#[test]
fn a_bus_that_is_opened_late_knows_what_was_announced() {
    let registry = Registry::default();
    let early = Node { bus: registry.open("y".parse().unwrap()).unwrap(), registry };
    let peer = fake(1);
    early.link(&peer);
    early.wants(&peer, "a/*");
    assert_eq!(early.nodes("a/b"), 0, "another bus");
    let bus = early.registry.open("x".parse().unwrap()).unwrap();
    let late = Node { bus, registry: early.registry };
    assert_eq!(late.nodes("a/b"), 1);
    assert!(Arc::ptr_eq(&late.bus, &late.registry.open("x".parse().unwrap()).unwrap()));
}

#[test]
fn peers_hear_at_once_when_the_last_of_a_pattern_goes() {
    let node = Node::new();
    let peer = fake(1);
    node.link(&peer);
    let (id, first) = node.subscribe("a");
    let (_, second) = node.subscribe("a");
    node.settle(&peer);
    node.registry.unsubscribe(&node.bus, id, &first);
    assert!(lock(&peer.0.frames).is_empty(), "another still wants it");
    node.registry.unsubscribe(&node.bus, id, &second);
    assert!(!lock(&peer.0.frames).is_empty());
    node.settle(&peer);
    assert_eq!(lock(&peer.0.replica).view(&()).count(), 0);
    assert_eq!(node.bus.publish_now(publication("a").lent()).unwrap().local, 0);
}

#[test]
fn closing_withdraws_what_was_announced_and_ends_the_queues() {
    let node = Node::new();
    let peer = fake(1);
    node.link(&peer);
    let (_, queue) = node.subscribe("a");
    node.subscribe("a");
    node.subscribe("b/*");
    node.settle(&peer);
    assert_eq!(lock(&peer.0.replica).view(&()).count(), 2);
    let (id, _) = node.subscribe("a");
    node.message(&peer, &[(id, 9)], 1, "a");
    node.registry.close();
    node.settle(&peer);
    assert_eq!(lock(&peer.0.replica).view(&()).count(), 0);
    assert_eq!(seqs(&queue), [1], "what waited is still read");
    node.registry.clear();
    node.registry.handle(&peer, Inbound::Forgotten);
}
