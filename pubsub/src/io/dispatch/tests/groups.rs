//! Queue groups between the rooms: what is sent to whom, and what is said to what arrives.

use std::task::{Context, Waker};

use super::*;
use crate::delivery::QueueLimits;
use crate::proto::exchange::ASKER;
use crate::proto::group::{self, Grouped, Mark, Verdict};
use crate::proto::interest::Role;
use crate::proto::ledger::MAX_JOBS;

impl Fake {
    /// It has a member of this group.
    fn joins(&self, node: &Node, pattern: &str, group: &str) -> Interest {
        let (bus, pattern) = ("x".parse().unwrap(), pattern.parse().unwrap());
        let role = Role::Member(group.parse().unwrap());
        let (interest, _) = lock(&self.0.replica).join(&bus, &pattern, role, false);
        node.settle(self);
        interest
    }

    /// The numbers that it was given, marked or not, and for which interest.
    fn given(&self) -> Vec<(u64, bool, u64)> {
        let sent = std::mem::take(&mut *lock(&self.0.pushed));
        let message = |(interests, body): (Interests, Bytes)| match (&interests[..], group::decode(&body)) {
            ([one], Ok(Grouped::Message(it))) => {
                assert_eq!((it.topic, &it.payload[..]), ("a", &b"hello"[..]));
                (it.mark.number, it.mark.redelivered, one.id)
            }
            other => panic!("{other:?}"),
        };
        sent.into_iter().map(message).collect()
    }

    /// What it was told.
    fn told(&self) -> Vec<Result<(u64, Verdict), u64>> {
        let sent = std::mem::take(&mut *lock(&self.0.pushed));
        let word = |(interests, body): (Interests, Bytes)| {
            assert_eq!(interests[..], [ASKER]);
            match group::decode(&body) {
                Ok(Grouped::Words(words)) => Ok(words[0]),
                Ok(Grouped::Room(interest)) => Err(interest),
                other => panic!("{other:?}"),
            }
        };
        sent.into_iter().map(word).collect()
    }
}

impl Node {
    fn comes(&self, from: &Fake, interest: u64, body: Bytes) {
        let interests = Interests::from_slice(&[Interest { id: interest, epoch: 0 }]);
        let _ = self.registry.handle(from, Inbound::Messages(&mut vec![Arrival { interests, body }]));
    }

    /// A message for a member here.
    fn gives(&self, from: &Fake, interest: u64, number: u64, topic: &str) {
        let mark = Mark { number, redelivered: false };
        let head = group::message(mark, number, &topic.parse().unwrap());
        self.comes(from, interest, head.freeze());
    }

    fn says(&self, from: &Fake, number: u64, verdict: Verdict) {
        self.comes(from, ASKER.id, group::word(number, verdict));
    }

    fn member(&self, messages: usize) -> (u64, Arc<Queue>) {
        let limits = QueueLimits { messages, ..QueueLimits::default() };
        let options = SubscribeOptions::new().limits(limits).group("g");
        let (seat, queue) = self.subscribe_with("a/*", options);
        (seat.interest, queue)
    }

    fn publish(&self) -> crate::Receipt {
        self.bus.publish_now(publication("a").lent()).unwrap()
    }

    fn owed(&self) -> usize {
        self.registry.groups.stats().0
    }
}

/// A node and two others that have a member each.
fn three() -> (Node, Fake, Fake) {
    let (node, one, two) = (Node::new(), fake(1), fake(2));
    for peer in [&one, &two] {
        node.link(peer);
        peer.joins(&node, "a", "g");
    }
    (node, one, two)
}

#[test]
fn this_host_goes_first_and_who_has_no_room_on_the_way_last() {
    let (node, one, two) = three();
    assert_eq!(node.nodes("a"), 2, "members are subscribers");
    two.0.near.store(true, Ordering::Relaxed);
    let receipt = node.publish();
    assert_eq!((receipt.nodes, receipt.local, receipt.overflowed), (1, 0, 0));
    node.publish();
    assert_eq!((one.given().len(), two.given()), (0, vec![(1, false, 1), (2, false, 1)]));
    *lock(&two.0.room) = Room::Stalled;
    node.publish();
    assert_eq!((one.given(), two.given().len()), (vec![(3, false, 1)], 0));
    assert_eq!(node.owed(), 3);
}

#[test]
fn only_the_words_of_those_who_were_given_it_count() {
    let (node, one, two) = three();
    node.publish();
    let (given, other) = if lock(&one.0.pushed).is_empty() { (&two, &one) } else { (&one, &two) };
    node.says(other, 1, Verdict::Done);
    node.says(given, 2, Verdict::Done);
    node.comes(given, 7, group::word(1, Verdict::Done));
    assert_eq!((node.owed(), node.registry.counters.mismatched.load(Ordering::Relaxed)), (1, 1));
    node.says(given, 1, Verdict::Done);
    assert_eq!(node.owed(), 0);
}

#[test]
fn what_comes_back_goes_to_the_other_and_waits_where_that_has_no_room() {
    let (node, one, two) = three();
    one.0.near.store(true, Ordering::Relaxed);
    node.publish();
    assert_eq!(one.given(), [(1, false, 1)]);
    node.says(&one, 1, Verdict::Full);
    assert_eq!(two.given(), [(2, false, 1)]);
    node.says(&two, 2, Verdict::Full);
    assert_eq!((one.given(), two.given()), (vec![], vec![]), "it waits");
    node.comes(&two, ASKER.id, group::room(1));
    assert_eq!(two.given(), [(3, false, 1)]);
    node.says(&two, 3, Verdict::Tried);
    assert_eq!((one.given(), two.given()), (vec![], vec![(4, true, 1)]));
    // It goes: nothing of it counts any more.
    two.0.up.store(false, Ordering::Relaxed);
    node.registry.handle(&two, Inbound::Down);
    assert_eq!((one.given(), two.given()), (vec![], vec![]), "the other has no room");
    node.comes(&one, ASKER.id, group::room(1));
    let late = fake(3);
    node.link(&late);
    late.joins(&node, "*", "g");
    assert_eq!((one.given(), late.given()), (vec![(5, true, 1)], vec![]));
    // What it is told first when it is back.
    lock(&two.0.frames).clear();
    two.0.up.store(true, Ordering::Relaxed);
    node.registry.handle(&two, Inbound::Linked);
    let frames = lock(&two.0.frames).clone();
    let standing = frames.iter().find_map(|frame| group::decode_standing(frame)).unwrap().unwrap();
    assert!((1..=5).all(|number| standing.is_void(number)) && !standing.is_void(6));
    node.says(&two, 4, Verdict::Done);
    assert_eq!(node.owed(), 1);
    node.registry.handle(&one, Inbound::Forgotten);
    assert_eq!(node.owed(), 1);
    assert_eq!(late.given().len() + two.given().len(), 1);
}

#[test]
fn what_does_not_leave_is_told_as_lost_there_and_not_owed() {
    let (node, one, two) = three();
    for peer in [&one, &two] {
        *lock(&peer.0.push) = Pushed::Overflowed;
    }
    let receipt = node.publish();
    assert_eq!((receipt.nodes, receipt.overflowed, node.owed()), (0, 1, 0));
}

#[test]
fn publishers_wait_where_every_member_is_full_and_moves_and_for_acknowledgements() {
    let (node, one, two) = three();
    let attempt = || node.bus.attempt(publication("a").lent(), Duration::ZERO);
    let until = Instant::now() + Duration::from_secs(9);
    *lock(&one.0.room) = Room::Wait { until };
    assert!(matches!(attempt(), Attempt::Done(_)), "the other has room");
    *lock(&two.0.room) = Room::Wait { until };
    assert!(matches!(attempt(), Attempt::Wait(..)));
    for peer in [&one, &two] {
        *lock(&peer.0.room) = Room::Free;
    }
    while node.owed() < MAX_JOBS {
        assert!(matches!(attempt(), Attempt::Done(_)));
    }
    assert!(matches!(attempt(), Attempt::WaitGroups(_)));
    assert!(matches!(node.bus.attempt(publication("b").lent(), Duration::ZERO), Attempt::Done(_)));
    one.given();
    two.given();
    assert_eq!(node.publish().nodes, 1, "given all the same");
    let given = [one.given(), two.given()].concat();
    assert_eq!(given, [(0, false, 1)], "and not remembered");
}

#[test]
fn a_member_takes_what_it_has_room_for_and_says_so() {
    let node = Node::new();
    let peer = fake(1);
    let (id, queue) = node.member(2);
    node.link(&peer);
    (1..=3).for_each(|number| node.gives(&peer, id, number, "a/b"));
    assert_eq!(peer.told(), [Ok((3, Verdict::Full))]);
    node.gives(&peer, id, 0, "a/b");
    assert_eq!(peer.told(), [], "nobody waits for a word of it");
    let mut taken = std::collections::VecDeque::new();
    let mut cx = Context::from_waker(Waker::noop());
    let mut take = || {
        let next = queue.poll_pop(&mut taken, &mut cx);
        node.registry.groups.took(&queue, id);
        next
    };
    assert!(take().is_ready());
    assert_eq!(peer.told(), [Err(id)], "half of it is free");
    assert!(take().is_ready());
    assert_eq!(take(), std::task::Poll::Ready(gap(1, 1, true)), "in its place");
    assert_eq!(peer.told(), []);
    // Who is not there gives it back, and so does who goes.
    node.gives(&peer, id + 1, 5, "a/b");
    node.gives(&peer, id, 6, "a/b");
    assert_eq!(peer.told(), [Ok((5, Verdict::Back))]);
    node.registry.leave_group(&node.bus, id, &queue, Some((Some(peer.0.id), 1)));
    assert_eq!(peer.told(), [Ok((6, Verdict::Back)), Ok((1, Verdict::Tried))]);
    node.gives(&peer, id, 7, "a/b");
    assert_eq!(peer.told(), [Ok((7, Verdict::Back))]);
}

#[test]
fn a_member_does_not_take_what_somebody_else_has_or_what_is_none() {
    let node = Node::new();
    let peer = fake(1);
    let (id, queue) = node.member(8);
    node.link(&peer);
    node.registry.handle(&peer, Inbound::Control(&group::standing(9, &[4])));
    (3..=4).chain([10]).for_each(|number| node.gives(&peer, id, number, "a/b"));
    assert_eq!(seqs(&queue), [4, 10]);
    let count = || {
        let counters = &node.registry.counters;
        (counters.mismatched.load(Ordering::Relaxed), counters.malformed.load(Ordering::Relaxed))
    };
    node.gives(&peer, id, 11, "b");
    node.comes(&peer, id, Bytes::from_static(&[5, 0, 1]));
    node.comes(&peer, id, Bytes::from_static(&[5, 0, 12, 0, 1, 2, b'/', b'/']));
    let interests = Interests::from_slice(&[Interest { id, epoch: 0 }, Interest { id, epoch: 0 }]);
    let body = group::message(Mark { number: 12, redelivered: false }, 1, &"a/b".parse().unwrap()).freeze();
    let _ = node.registry.handle(&peer, Inbound::Messages(&mut vec![Arrival { interests, body }]));
    assert_eq!((count(), queue.pop()), ((2, 2), None));
    // A loss is told to one of those that share it.
    let (same, other) = node.member(8);
    assert_eq!(same, id);
    let interests = &[(Interest { id, epoch: 1 }, 3)];
    node.registry.handle(&peer, Inbound::Gap { interests, exact: true });
    assert_eq!((queue.pop(), other.pop()), (gap(1, 3, true), None));
}

#[test]
fn headers_go_with_a_message_and_with_its_second_try() {
    let (node, one, two) = three();
    let headers: Headers = [("a", "1"), ("b", "two")].try_into().unwrap();
    two.0.near.store(true, Ordering::Relaxed);
    let own = Own { headers: headers.clone(), ..publication("a") };
    node.bus.publish_now(own.lent()).unwrap();
    let sent = lock(&two.0.pushed)[0].1.clone();
    two.0.up.store(false, Ordering::Relaxed);
    node.registry.handle(&two, Inbound::Down);
    let again = lock(&one.0.pushed)[0].1.clone();
    for mut body in [sent, again.clone()] {
        assert_eq!(Headers::take(&mut body), Ok(headers.clone()));
        assert!(matches!(group::decode(&body), Ok(Grouped::Message(it)) if it.payload == "hello"));
    }
    // As the member's node reads it.
    let (there, from) = (Node::new(), fake(3));
    let options = SubscribeOptions::new().group("g");
    let (seat, queue) = there.subscribe_with("a", options.clone());
    there.link(&from);
    there.comes(&from, seat.interest, again);
    let Some(Item::Message(got)) = queue.pop() else { panic!("nothing came") };
    assert_eq!((got.headers, &got.payload[..]), (headers.clone(), &b"hello"[..]));
    assert!(got.group.is_some_and(|mark| mark.redelivered));
    // And to a member on the publisher's own node.
    let (_, here) = node.subscribe_with("a", options);
    node.bus.publish_now(own.lent()).unwrap();
    let Some(Item::Message(got)) = here.pop() else { panic!("nothing came") };
    assert_eq!(got.headers, headers);
    let (messages, bytes, _) = node.registry.groups.stats();
    assert!(messages == 2 && bytes >= 2 * (headers.size() + "hello".len() + "a".len() + 256), "{bytes}");
}

#[test]
fn who_is_told_down_while_it_is_chosen_does_not_keep_it() {
    let (node, one, two) = three();
    one.0.near.store(true, Ordering::Relaxed);
    let (asks, asked) = mpsc::channel();
    let (go_on, goes_on) = mpsc::channel();
    let (ended, end) = mpsc::channel();
    std::thread::scope(|threads| {
        *lock(&one.0.held) = Some((asks, goes_on));
        threads.spawn(|| node.publish());
        asked.recv().unwrap();
        one.0.up.store(false, Ordering::Relaxed);
        threads.spawn(|| {
            node.registry.handle(&one, Inbound::Down);
            ended.send(()).unwrap();
        });
        // Either this ends now, or it waits for the choice.
        let _ = end.recv_timeout(Duration::from_millis(100));
        go_on.send(()).unwrap();
    });
    assert_eq!(two.given().len(), 1, "{:?} was given it", one.given());
}
