//! Requests and answers between this node and simulated peers.

use std::task::{Context, Poll, Waker};

use bytes::BufMut;

use super::*;
use crate::answer::{Answer, Unanswered};
use crate::delivery::QueueLimits;
use crate::io::asker::{NotAsked, Question};
use crate::io::desk::Tray;
use crate::io::registry::exchange::{Inquiry, from_now};
use crate::proto::exchange::{self, ASKER, Exchange, Reach, Refusal, Request};
use crate::proto::interest::Role;

const LONG: Duration = Duration::from_secs(60);
const OWN: NodeId = NodeId::from_bytes([0; 16]);

impl Node {
    fn respond(&self, pattern: &str, messages: usize) -> (u64, Arc<Tray<Fake>>) {
        let limits = QueueLimits { messages, ..QueueLimits::default() };
        self.registry.respond(&self.bus, &pattern.parse().unwrap(), limits).unwrap()
    }

    fn ask(&self, topic: &str, reach: Reach) -> Result<Question, NotAsked> {
        let (topic, name) = (topic.parse().unwrap(), "me".parse().unwrap());
        let payload = Bytes::from_static(b"what?");
        let (headers, deadline) = (Headers::new(), from_now(LONG));
        let inquiry = Inquiry { topic, headers, payload, from: OWN, name, deadline, reach };
        self.registry.ask(&self.bus, &inquiry)
    }

    /// A request of the peer, for these ids.
    fn asked(&self, fake: &Fake, ids: &[u64], number: u64, reach: Reach, topic: &str) {
        let mut body = exchange::request(number, LONG, reach, &topic.parse().unwrap());
        body.put_slice(b"what?");
        self.arrives(fake, ids, body.freeze());
    }

    /// An answer of the peer.
    fn answered(&self, fake: &Fake, number: u64, of: u64) {
        let mut body = exchange::reply(number, of);
        body.put_slice(b"that");
        self.arrives(fake, &[ASKER.id], body.freeze());
    }

    fn arrives(&self, fake: &Fake, ids: &[u64], body: Bytes) {
        let interests: Vec<_> = ids.iter().map(|&id| Interest { id, epoch: 0 }).collect();
        let mut arrived = vec![Arrival { interests: interests.into(), body }];
        let _ = self.registry.handle(fake, Inbound::Messages(&mut arrived));
    }

    /// What waits for a responder.
    fn take(&self, tray: &Tray<Fake>) -> Option<crate::io::desk::Asked<Fake>> {
        match self.registry.exchange.poll_take(tray, &Context::from_waker(Waker::noop())) {
            Poll::Ready(asked) => asked,
            Poll::Pending => None,
        }
    }

    fn late(&self) -> u64 {
        self.registry.exchange.stats().late
    }
}

impl Fake {
    /// It answers this.
    fn responds(&self, node: &Node, pattern: &str) -> Interest {
        let (bus, pattern) = ("x".parse().unwrap(), pattern.parse().unwrap());
        let (interest, _) = lock(&self.0.replica).join(&bus, &pattern, Role::Responder, false);
        node.settle(self);
        interest
    }

    fn sent(&self) -> Vec<(Interests, Bytes)> {
        std::mem::take(&mut *lock(&self.0.pushed))
    }

    /// The refusals that it was sent: number, of how many, and why.
    fn refusals(&self) -> Vec<(u64, u64, Refusal)> {
        let refusal = |(interests, body): (Interests, Bytes)| {
            assert_eq!(interests[..], [ASKER]);
            match exchange::decode(&body) {
                Ok(Exchange::Answer(exchange::Answer { number, of, said: Err(why) })) => (number, of, why),
                other => panic!("{other:?}"),
            }
        };
        self.sent().into_iter().map(refusal).collect()
    }
}

/// What waits of a question; an end is told apart from nothing.
fn next(question: &mut Question) -> Option<Result<(NodeId, Bytes), Option<Unanswered>>> {
    match question.poll_next(&mut Context::from_waker(Waker::noop())) {
        Poll::Pending => None,
        Poll::Ready(None) => Some(Err(None)),
        Poll::Ready(Some(Answer::Reply(reply))) => Some(Ok((reply.from, reply.payload))),
        Poll::Ready(Some(Answer::Missing { why, .. })) => Some(Err(Some(why))),
    }
}

fn missing(why: Unanswered) -> Option<Result<(NodeId, Bytes), Option<Unanswered>>> {
    Some(Err(Some(why)))
}

fn that(fake: &Fake) -> Option<Result<(NodeId, Bytes), Option<Unanswered>>> {
    Some(Ok((fake.0.id, Bytes::from_static(b"that"))))
}

const END: Option<Result<(NodeId, Bytes), Option<Unanswered>>> = Some(Err(None));

fn linked(n: u8) -> (Node, Fake) {
    let (node, peer) = (Node::new(), fake(n));
    node.link(&peer);
    (node, peer)
}

#[tokio::test]
async fn messages_go_to_subscribers_and_requests_to_responders() {
    let (node, peer) = linked(1);
    let wants = node.wants(&peer, "a/*");
    let answers = peer.responds(&node, "a/*");
    assert_ne!(wants.id, answers.id);
    assert_eq!(
        (node.nodes("a/b"), node.registry.responders(&node.bus, OWN, &"a/b".parse().unwrap()).len()),
        (1, 1)
    );
    assert_eq!(node.bus.publish_now(publication("a/b").lent()).unwrap().nodes, 1);
    assert_eq!(peer.sent()[0].0[..], [wants]);
    let mut question = node.ask("a/b", Reach::One).unwrap();
    let sent = peer.sent();
    assert_eq!((sent.len(), &sent[0].0[..]), (1, &[answers][..]));
    let Ok(Exchange::Request(Request { number, topic: "a/b", .. })) = exchange::decode(&sent[0].1) else {
        panic!("no request");
    };
    assert_eq!(next(&mut question), None);
    node.answered(&peer, number, 1);
    assert_eq!((next(&mut question), next(&mut question)), (that(&peer), END));
    assert!(matches!(node.ask("b", Reach::One), Err(NotAsked::NoResponders)));
}

#[tokio::test]
async fn the_nearest_is_asked_and_only_of_those_that_are_up() {
    let node = Node::new();
    let peers = [fake(1), fake(2), fake(3), fake(4)];
    let rtts = [None, Some(300), Some(200), Some(100)];
    for (peer, rtt) in peers.iter().zip(rtts) {
        *lock(&peer.0.rtt) = rtt.map(Duration::from_micros);
        node.link(peer);
        peer.responds(&node, "q");
    }
    for nearest in [3, 2, 1, 0] {
        let _question = node.ask("q", Reach::One).unwrap();
        let asked: Vec<_> = peers.iter().map(|peer| peer.sent().len()).collect();
        assert_eq!(asked.iter().sum::<usize>(), 1);
        assert_eq!(asked[nearest], 1);
        peers[nearest].0.up.store(false, Ordering::Relaxed);
    }
    assert!(matches!(node.ask("q", Reach::All), Err(NotAsked::NoResponders)));
    let (_, tray) = node.respond("q", 1);
    let mut question = node.ask("q", Reach::One).unwrap();
    let asked = node.take(&tray).unwrap();
    assert_eq!((asked.payload, asked.ticket.from), (Bytes::from_static(b"what?"), OWN));
    assert!(
        node.registry
            .exchange
            .answer(asked.ticket, Ok((Headers::new(), Bytes::from_static(b"mine"))))
            .is_ok()
    );
    assert_eq!(next(&mut question), Some(Ok((OWN, Bytes::from_static(b"mine")))));
}

#[tokio::test]
async fn only_who_was_asked_can_answer() {
    let (node, asked) = linked(1);
    let other = fake(2);
    node.link(&other);
    asked.responds(&node, "q");
    let mut question = node.ask("q", Reach::One).unwrap();
    node.answered(&other, 1, 1);
    node.answered(&asked, 2, 1);
    assert_eq!((next(&mut question), node.late()), (None, 2));
    // Not where answers go.
    let (id, _) = node.subscribe("q");
    let (desk, _) = node.respond("q", 1);
    for ids in [&[id][..], &[desk], &[desk + 100], &[ASKER.id, desk]] {
        node.arrives(&asked, ids, exchange::reply(1, 1).freeze());
    }
    assert_eq!(next(&mut question), None);
    // A body to a subscription that is no message is malformed, the others are no answers to anybody.
    assert_eq!(node.registry.counters.malformed.load(Ordering::Relaxed), 1);
    assert_eq!(node.registry.counters.mismatched.load(Ordering::Relaxed), 3);
    node.answered(&asked, 1, 1);
    assert_eq!(next(&mut question), that(&asked));
    // And once.
    node.answered(&asked, 1, 1);
    assert_eq!((next(&mut question), node.late()), (END, 3));
}

#[tokio::test]
async fn what_does_not_get_through_is_told_at_once() {
    let (node, full) = linked(1);
    let well = fake(2);
    node.link(&well);
    full.responds(&node, "q");
    well.responds(&node, "q");
    *lock(&full.0.push) = Pushed::Overflowed;
    let mut question = node.ask("q", Reach::All).unwrap();
    assert_eq!(next(&mut question), missing(Unanswered::NoRoom));
    assert_eq!(next(&mut question), None);
    node.answered(&well, 1, 1);
    assert_eq!((next(&mut question), next(&mut question)), (that(&well), END));

    let mut question = node.ask("q", Reach::All).unwrap();
    assert_eq!(next(&mut question), missing(Unanswered::NoRoom));
    node.registry.handle(&well, Inbound::Down);
    assert_eq!((next(&mut question), next(&mut question)), (missing(Unanswered::Gone), END));
    let stats = node.registry.exchange.stats();
    assert_eq!((stats.asked, stats.replies, stats.no_room, stats.gone, stats.open), (2, 1, 2, 1, 0));
}

#[tokio::test]
async fn a_node_of_several_responders_answers_for_each() {
    let (node, peer) = linked(1);
    peer.responds(&node, "q");
    let mut question = node.ask("q", Reach::All).unwrap();
    for left in [2, 1, 0] {
        node.answered(&peer, 1, 3);
        assert_eq!(next(&mut question), that(&peer));
        assert_eq!(next(&mut question), if left > 0 { None } else { END });
    }
}

#[test]
fn requests_reach_the_responders_that_they_are_for() {
    let (node, peer) = linked(1);
    let (a, first) = node.respond("a/*", 8);
    let (same, second) = node.respond("a/*", 8);
    let (b, third) = node.respond("**", 8);
    assert_eq!(a, same);
    let waiting = || [&first, &second, &third].map(|tray| std::iter::from_fn(|| node.take(tray)).count());
    for number in 0..6 {
        node.asked(&peer, &[a, b], number, Reach::One, "a/x");
    }
    assert_eq!(waiting(), [2, 2, 2], "they take turns");
    node.asked(&peer, &[a, b], 7, Reach::All, "a/x");
    assert_eq!(waiting(), [1, 1, 1]);
    node.asked(&peer, &[a], 8, Reach::All, "a/x");
    assert_eq!(waiting(), [1, 1, 0]);
    // What the interest does not want, or twice.
    node.asked(&peer, &[b, a], 9, Reach::All, "a/x");
    node.asked(&peer, &[a], 10, Reach::All, "b/x");
    assert_eq!(waiting(), [0, 0, 0]);
    assert_eq!(node.registry.counters.mismatched.load(Ordering::Relaxed), 2);
    assert_eq!(peer.refusals(), [(10, 0, Refusal::NoResponder)]);
    node.asked(&peer, &[a], 11, Reach::One, "a/x");
    node.registry.unrespond(&node.bus, a, &first);
    node.registry.unrespond(&node.bus, a, &second);
    assert_eq!(peer.refusals(), [(11, 1, Refusal::Dropped)]);
    node.asked(&peer, &[a], 12, Reach::One, "a/x");
    assert_eq!(peer.refusals(), [(12, 0, Refusal::NoResponder)]);
    // A message for responders is for nobody.
    let body = envelope::encode(1, &"a/x".parse().unwrap(), b"");
    node.arrives(&peer, &[b], body);
    assert_eq!((waiting(), peer.sent().len()), ([0, 0, 0], 0));
}

#[test]
fn a_full_responder_refuses_and_another_takes_its_turn() {
    let (node, peer) = linked(1);
    let (id, small) = node.respond("q", 1);
    let (_, large) = node.respond("q", 3);
    for number in 1..=6 {
        node.asked(&peer, &[id], number, Reach::One, "q");
    }
    assert_eq!(peer.refusals(), [(5, 1, Refusal::Dropped), (6, 1, Refusal::Dropped)]);
    node.asked(&peer, &[id], 7, Reach::All, "q");
    assert_eq!(peer.refusals(), [(7, 2, Refusal::Dropped), (7, 2, Refusal::Dropped)]);
    assert!(node.take(&small).is_some());
    node.asked(&peer, &[id], 8, Reach::All, "q");
    assert_eq!(peer.refusals(), [(8, 2, Refusal::Dropped)]);
    // A node that leaves refuses what waits.
    assert!(node.registry.close());
    let refused = peer.refusals();
    assert_eq!(refused.len(), 4, "{refused:?}");
    assert!(node.take(&large).is_none());
}

#[tokio::test]
async fn a_node_that_leaves_asks_and_answers_no_more() {
    let (node, peer) = linked(1);
    peer.responds(&node, "q");
    let mut question = node.ask("q", Reach::One).unwrap();
    assert!(node.registry.close());
    assert_eq!(next(&mut question), END);
    assert!(matches!(node.ask("q", Reach::One), Err(NotAsked::Closed)));
    let limits = QueueLimits::default();
    assert!(node.registry.respond(&node.bus, &"q".parse().unwrap(), limits).is_err());
}

#[test]
fn a_reply_without_room_is_told_on_both_sides() {
    let (node, peer) = linked(1);
    let (id, tray) = node.respond("q", 8);
    node.asked(&peer, &[id], 1, Reach::One, "q");
    *lock(&peer.0.push) = Pushed::Overflowed;
    let ticket = node.take(&tray).unwrap().ticket;
    assert!(node.registry.exchange.answer(ticket.clone(), Ok(Default::default())).is_err());
    assert!(
        matches!(exchange::decode(&peer.sent()[1].1), Ok(Exchange::Answer(answer)) if answer.said == Err(Refusal::NoRoom))
    );
    peer.0.up.store(false, Ordering::Relaxed);
    assert!(node.registry.exchange.answer(ticket, Ok(Default::default())).is_ok(), "nobody waits for it");
    let lost = [(ASKER, 3), (Interest { id, epoch: 0 }, 2), (Interest { id: id + 7, epoch: 0 }, 9)];
    node.registry.handle(&peer, Inbound::Gap { interests: &lost, exact: true });
    assert_eq!(node.registry.exchange.stats().lost, 5);
}

#[tokio::test]
async fn what_nobody_waits_for_is_not_acted_on_when_it_comes_on_the_next_link() {
    let (node, peer) = linked(1);
    peer.responds(&node, "q");
    let mut question = node.ask("q", Reach::One).unwrap();
    node.registry.handle(&peer, Inbound::Down);
    assert_eq!(next(&mut question), missing(Unanswered::Gone));
    lock(&peer.0.frames).clear();
    node.registry.handle(&peer, Inbound::Linked);
    assert_eq!(lock(&peer.0.frames)[0], exchange::settled(1), "ahead of all else");

    assert_eq!(peer.sent().len(), 1, "the request");
    let (id, tray) = node.respond("q", 8);
    node.registry.handle(&peer, Inbound::Control(&exchange::settled(2)));
    for number in 1..=3 {
        node.asked(&peer, &[id], number, Reach::One, "q");
    }
    assert_eq!(node.registry.exchange.stats().expired, 2);
    assert!(node.take(&tray).is_some() && node.take(&tray).is_none());
    assert_eq!(peer.refusals(), []);
    assert_eq!(node.registry.counters.control.load(Ordering::Relaxed), 0);
}

#[test]
fn nonsense_is_counted() {
    let (node, peer) = linked(1);
    let (id, _tray) = node.respond("q", 8);
    let counters = &node.registry.counters;
    for (expected, body) in [&[1_u8][..], &[2, 0x80], &[9, 1], &[], &[1, 1, 1, 0, 1, b'*']].iter().enumerate()
    {
        assert_eq!(counters.malformed.load(Ordering::Relaxed), expected as u64);
        node.arrives(&peer, &[id], Bytes::from_static(body));
    }
    assert_eq!(counters.malformed.load(Ordering::Relaxed), 5);
    assert_eq!(peer.sent().len(), 0);
}
