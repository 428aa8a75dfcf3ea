use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::gap::MAX_COUNTS;
use super::*;
use crate::proto::bulk::{Assembly, Window};
use crate::proto::inbox::{Admit, Begin, Inbox};
use crate::proto::open::Reassembly;
use crate::proto::record::{DataFrame, MAX_FRAME, parse_data};

mod large;

fn interest(id: u64) -> Interest {
    Interest { id, epoch: 0 }
}

fn interests(ids: &[u64]) -> Interests {
    ids.iter().map(|id| interest(*id)).collect()
}

/// What one subscriber has had: numbers of messages in order, and how many it was told to miss.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Had {
    seen: Vec<u64>,
    missed: u64,
    vague: bool,
}

/// A record on its way.
enum Content {
    Data(Vec<u8>),
    Piece(Vec<u8>),
}

/// A link's records in flight, and both ends of it.
struct Link {
    wire: VecDeque<Content>,
    window: Window,
    data: Reassembly,
    bulk: Assembly,
    next: u64,
}

impl Link {
    fn new(first: u64) -> Self {
        Self {
            wire: VecDeque::new(),
            window: Window::new(64 * 1024),
            data: Reassembly::new(MAX_FRAME),
            bulk: Assembly::new(1 << 20),
            next: first,
        }
    }

    /// A record of the data lane leaves. `false`: there is nothing.
    fn send(&mut self, outbox: &mut Outbox, room: usize) -> bool {
        let mut content = Vec::new();
        let sent = outbox.poll_transmit(&mut content, room);
        if sent {
            self.wire.push_back(Content::Data(content));
        }
        sent
    }

    /// A piece leaves, if the window allows. `false`: it does not, or there is nothing.
    fn send_piece(&mut self, outbox: &mut Outbox) -> bool {
        if outbox.next_piece().is_none_or(|len| len > self.window.room()) {
            return false;
        }
        let mut content = Vec::new();
        let piece = outbox.poll_piece(&mut content).expect("there is one");
        self.window.handle_sent(piece.len, piece.last);
        self.wire.push_back(Content::Piece(content));
        true
    }
}

#[derive(Default)]
struct Receiver {
    inbox: Inbox,
    had: BTreeMap<u64, Had>,
}

impl Receiver {
    /// Handles up to `records` of what is on the link.
    fn take(&mut self, link: &mut Link, records: usize) {
        for _ in 0..records.min(link.wire.len()) {
            match link.wire.pop_front() {
                Some(Content::Piece(piece)) => {
                    link.bulk.push(&piece).expect("the sender is honest");
                    if link.bulk.wanted().is_some() {
                        link.bulk.handle_granted();
                    }
                }
                Some(Content::Data(content)) => {
                    link.data.push(bytes::BytesMut::from(&content[..]));
                    self.deliver(link);
                }
                None => {}
            }
            if let Some(taken) = link.bulk.poll_taken() {
                link.window.handle_taken(taken);
            }
        }
    }

    fn deliver(&mut self, link: &mut Link) {
        while let Some(frame) = link.data.next_frame().expect("the sender is honest") {
            let frame = parse_data(&frame).expect("the sender is honest");
            let large =
                matches!(frame, DataFrame::Large { .. }).then(|| link.bulk.take().expect("it came whole"));
            let admit = self.inbox.admit(link.next);
            link.next += 1;
            match admit {
                Admit::Duplicate => continue,
                Admit::Hole => panic!("a number was skipped"),
                Admit::Deliver => {}
            }
            match (frame, large) {
                (frame @ (DataFrame::Message { .. } | DataFrame::Large { .. }), large) => {
                    let (interests, body) = match (frame, &large) {
                        (DataFrame::Message { interests, body }, None) => (interests, body),
                        (DataFrame::Large { interests }, Some(body)) => (interests, &body[..]),
                        (frame, _) => panic!("{frame:?}"),
                    };
                    let number = u64::from_be_bytes(body[..8].try_into().expect("eight bytes"));
                    assert!(body[8..].iter().all(|byte| *byte == number as u8), "another's bytes");
                    for it in interests {
                        self.had.entry(it.id).or_default().seen.push(number);
                    }
                }
                (DataFrame::Gap { missed, exact }, None) => {
                    for (it, count) in missed {
                        let had = self.had.entry(it.id).or_default();
                        had.missed += count;
                        had.vague |= !exact;
                    }
                }
                _ => panic!("the sender is honest"),
            }
        }
    }

    fn received(&self) -> u64 {
        self.inbox.received().map_or(0, |(_, had)| had)
    }
}

/// A message that says its number in every byte.
fn body(number: u64, len: usize) -> Body {
    let mut body = vec![number as u8; 8 + len];
    body[..8].copy_from_slice(&number.to_be_bytes());
    let head = Bytes::from(body.split_off(len.min(5)));
    Body::new(Bytes::from(body), head)
}

/// How far a flush has come.
struct Flush {
    /// Messages from this number on are none of its business.
    before: u64,
    mark: u64,
    target: Option<u64>,
}

/// What the seeds have met.
#[derive(Debug, Default)]
struct Tally {
    messages: u64,
    larges: u64,
    passed: u64,
    gaps: u64,
    breaks: u64,
    halves: u64,
    flushes: u64,
    shrunk: u64,
}

struct Simulation {
    rng: fastrand::Rng,
    limit: usize,
    /// How long a message may be beside its number.
    lengths: [usize; 2],
    outbox: Outbox,
    receiver: Receiver,
    link: Option<Link>,
    late: Vec<Link>,
    generation: u64,
    number: u64,
    /// Per interest: flow and number of each message.
    published: BTreeMap<u64, Vec<(u64, u64)>>,
    flush: Option<Flush>,
    shrunk: bool,
}

impl Simulation {
    /// `large`: with messages that go in pieces, and room for some of them.
    fn new(seed: u64, large: bool) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let limit = if large { rng.usize(600_000..2_400_000) } else { rng.usize(2_000..20_000) };
        Self {
            generation: rng.u64(..),
            limit,
            lengths: if large { [2_400, 480_000] } else { [600, 600] },
            outbox: Outbox::new(limit),
            receiver: Receiver::default(),
            link: None,
            late: Vec::new(),
            number: 0,
            published: BTreeMap::new(),
            flush: None,
            shrunk: false,
            rng,
        }
    }

    fn publish(&mut self, tally: &mut Tally) {
        // An interest may be in several flows, and a flow be for several interests.
        let flow = self.rng.u64(0..4);
        let ids: Vec<u64> = (1..=4).filter(|_| self.rng.bool()).collect();
        let longest = self.lengths[usize::from(self.rng.u8(0..8) == 0)];
        let body = body(self.number, self.rng.usize(0..longest));
        if ids.is_empty() {
            return;
        }
        tally.messages += 1;
        tally.larges += u64::from(body.len() > LARGE);
        tally.passed += u64::from(!self.outbox.held.is_empty() && !self.outbox.held.holds(flow));
        self.outbox.push(&interests(&ids), flow, &body);
        for id in ids {
            self.published.entry(id).or_default().push((flow, self.number));
        }
        self.number += 1;
        assert!(self.outbox.used() <= self.limit + 4 * (RECORD_CHARGE + 24 * 4));
    }

    fn step(&mut self, tally: &mut Tally) {
        match (self.rng.u32(0..100), &mut self.link) {
            (0..40, _) => self.publish(tally),
            (40..55, Some(link)) => {
                link.send(&mut self.outbox, self.rng.usize(1..3_000));
            }
            (55..72, Some(link)) => {
                link.send_piece(&mut self.outbox);
            }
            (72..87, Some(link)) => self.receiver.take(link, self.rng.usize(0..4)),
            (87..93, Some(_)) => self.acknowledge(tally),
            (93..95, link @ Some(_)) => {
                // The link breaks; what was on it is lost, or handled only after the next link is there.
                tally.breaks += 1;
                tally.halves += u64::from(self.outbox.bulk.sent > 0);
                self.late.extend(link.take().filter(|_| self.rng.bool()));
            }
            (95, None) => {
                self.shrunk = true;
                self.outbox.set_limit(self.limit / 3);
                assert!(self.outbox.used() <= self.limit / 3 + 4 * (RECORD_CHARGE + 24 * 4));
                tally.shrunk += 1;
            }
            (96, _) => {
                self.flush = Some(Flush { before: self.number, mark: self.outbox.mark(), target: None });
            }
            (97.., None) => self.relink(),
            _ => {}
        }
    }

    fn relink(&mut self) {
        let said = self.receiver.received();
        while let Some(mut old) = self.late.pop() {
            self.receiver.take(&mut old, usize::MAX);
            // Those of still older links came to nothing.
            self.late.clear();
        }
        self.outbox.set_limit(self.limit);
        let first = self.outbox.resume(Some(said));
        if self.receiver.inbox.start(self.generation, first) == Begin::Lost {
            assert!(self.shrunk, "nothing was lost uncounted");
            (1..=4).for_each(|id| self.receiver.had.entry(id).or_default().vague = true);
        }
        self.link = Some(Link::new(first));
    }

    fn acknowledge(&mut self, tally: &mut Tally) {
        self.outbox.acknowledge(self.receiver.received());
        let Some(flush) = &mut self.flush else { return };
        if flush.target.is_none() && self.outbox.is_numbered(flush.mark) {
            flush.target = Some(self.outbox.last());
        }
        if !flush.target.is_some_and(|target| self.outbox.is_acknowledged(target)) {
            return;
        }
        for (id, published) in &self.published {
            let had = self.receiver.had.get(id).cloned().unwrap_or_default();
            let wanted = published.iter().filter(|(_, number)| *number < flush.before).count();
            let seen = had.seen.iter().filter(|number| **number < flush.before).count();
            assert!(had.vague || seen as u64 + had.missed >= wanted as u64, "flushed too early");
        }
        tally.flushes += 1;
        self.flush = None;
    }

    /// A last link on which everything flows.
    fn finish(&mut self, tally: &mut Tally) {
        self.late.clear();
        self.relink();
        let mut link = self.link.take().expect("it was just made");
        for turn in 0.. {
            if self.outbox.is_empty() {
                break;
            }
            assert!(turn < 1_000, "something is never sent again");
            link.send(&mut self.outbox, 10_000);
            link.send_piece(&mut self.outbox);
            self.receiver.take(&mut link, usize::MAX);
            self.acknowledge(tally);
        }
        assert_eq!((self.outbox.used(), self.outbox.unacknowledged(), self.outbox.larges), (0, 0, 0));
    }

    /// Per interest: delivered + missed = published, nothing twice, each flow in order.
    fn check(mut self, tally: &mut Tally) {
        for (id, published) in self.published {
            let had = self.receiver.had.remove(&id).unwrap_or_default();
            let flows: BTreeMap<u64, u64> = published.iter().map(|(flow, number)| (*number, *flow)).collect();
            let told = had.seen.len() as u64 + had.missed;
            if self.shrunk && had.vague {
                assert!(told <= published.len() as u64, "interest {id}");
            } else {
                assert_eq!(told, published.len() as u64, "interest {id}");
                assert!(!had.vague, "an exact loss was told as a vague one");
            }
            let mut last = BTreeMap::new();
            for number in had.seen {
                let flow = *flows.get(&number).expect("it was published for this interest");
                let before = last.insert(flow, number);
                assert!(before.is_none_or(|before| before < number), "interest {id} flow {flow}");
            }
            tally.gaps += u64::from(had.missed > 0);
        }
    }
}

fn simulate(seeds: u64, large: bool) -> Tally {
    let mut tally = Tally::default();
    for seed in 0..seeds {
        let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut simulation = Simulation::new(seed, large);
            (0..500).for_each(|_| simulation.step(&mut tally));
            simulation.finish(&mut tally);
            simulation.check(&mut tally);
        }));
        if let Err(panic) = run {
            println!("seed {seed}, large {large}");
            std::panic::resume_unwind(panic);
        }
    }
    tally
}

/// Random publishes, polls, acknowledgements, and links that break with and without late bytes of the old one.
#[test]
fn across_links_everything_arrives_once_in_order_or_is_counted() {
    let tally = simulate(1_500, false);
    let Tally { messages, breaks, gaps, flushes, .. } = tally;
    // The seeds did meet what they are there for.
    assert!(messages > 100_000 && breaks > 5_000 && gaps > 1_000 && flushes > 1_000, "{tally:?}");
}

#[test]
fn beside_large_messages_everything_arrives_once_in_order_or_is_counted() {
    let tally = simulate(600, true);
    let Tally { larges, passed, breaks, gaps, halves, flushes, shrunk, .. } = tally;
    assert!(larges > 5_000 && passed > 10_000 && breaks > 2_000 && gaps > 500, "{tally:?}");
    assert!(halves > 500 && flushes > 500 && shrunk > 500, "{tally:?}");
}

#[test]
fn a_full_outbox_counts_until_half_of_it_is_free() {
    // Of each a length, a kind, a count and an interest; the last needs room for what one might be at most.
    let mut outbox = Outbox::new(9 * (run::CHARGE + 5 + 84) + RECORD_CHARGE + 16 + 84);
    let body = Bytes::from(vec![0; 84]);
    let pushed = (0..30).filter(|_| outbox.push(&interests(&[1]), 0, &body.clone().into())).count();
    assert_eq!(pushed, 10);
    assert!(outbox.is_overflowing());
    let mut buf = Vec::new();
    while outbox.poll_transmit(&mut buf, 1_000) {}
    outbox.acknowledge(4);
    assert!(!outbox.push(&interests(&[1]), 0, &body.clone().into()), "less than half is free");
    outbox.acknowledge(5);
    assert!(!outbox.is_overflowing(), "the gap became a record");
    assert!(outbox.push(&interests(&[1]), 0, &body.clone().into()));
    assert_eq!(outbox.unacknowledged(), 5 + 1 + 1);
}

#[test]
fn a_peer_cannot_acknowledge_what_never_left() {
    let mut outbox = Outbox::new(10_000);
    for _ in 0..5 {
        outbox.push(&interests(&[1]), 0, &Bytes::from_static(b"x").into());
    }
    outbox.acknowledge(u64::MAX);
    assert_eq!(outbox.unacknowledged(), 5);
    assert_eq!(outbox.resume(Some(u64::MAX)), 1);
}

#[test]
fn a_peer_that_forgot_is_told_a_gap_without_a_size() {
    let mut outbox = Outbox::new(10_000);
    for number in 0u64..4 {
        outbox.push(&interests(&[1]), 0, &Bytes::copy_from_slice(&number.to_be_bytes()).into());
    }
    let mut buf = Vec::new();
    // Two records and a part of the third leave.
    outbox.poll_transmit(&mut buf, 2 * 12 + 5);
    let first = outbox.resume(None);
    let mut receiver = Receiver::default();
    assert_eq!(receiver.inbox.start(1, first), Begin::Fresh);
    let mut link = Link::new(first);
    while link.send(&mut outbox, 1_000) {}
    receiver.take(&mut link, usize::MAX);
    assert_eq!(receiver.had[&1], Had { seen: vec![3], missed: 0, vague: true });
    outbox.acknowledge(receiver.inbox.received().expect("started").1);
    assert!(outbox.is_empty());
}

#[test]
fn an_absent_peer_keeps_the_oldest_and_an_exact_count() {
    let mut outbox = Outbox::new(100_000);
    for number in 0u64..100 {
        outbox.push(&interests(&[1]), 0, &Bytes::copy_from_slice(&number.to_be_bytes()).into());
    }
    outbox.set_limit(10 * (run::CHARGE + 5 + 8));
    assert!(outbox.used() <= 10 * (run::CHARGE + 5 + 8));
    outbox.push(&interests(&[1]), 0, &Bytes::from_static(&[0; 8]).into());
    outbox.set_limit(100_000);
    let first = outbox.resume(Some(0));
    let mut receiver = Receiver::default();
    receiver.inbox.start(1, first);
    let mut link = Link::new(first);
    while link.send(&mut outbox, 1_000) {}
    receiver.take(&mut link, usize::MAX);
    assert_eq!(receiver.had[&1], Had { seen: (0..10).collect(), missed: 91, vague: false });
}

#[test]
fn messages_for_more_interests_than_a_frame_holds_go_out_in_parts() {
    let mut outbox = Outbox::new(MIN_LIMIT);
    let ids: Vec<u64> = (0..2_500).collect();
    outbox.push(&interests(&ids), 0, &Bytes::from_static(&[0; 8]).into());
    let mut receiver = Receiver::default();
    receiver.inbox.start(1, outbox.resume(Some(0)));
    let mut link = Link::new(1);
    while link.send(&mut outbox, 1_000) {}
    receiver.take(&mut link, usize::MAX);
    assert_eq!(receiver.had.len(), 2_500);
    assert!(receiver.had.values().all(|had| had.seen == [0]));
}

#[test]
fn a_peer_that_changes_its_interests_while_it_takes_nothing_costs_bounded_memory() {
    let mut outbox = Outbox::new(1_000);
    assert!(outbox.push(&interests(&[1]), 0, &Bytes::from(vec![0; 600]).into()), "more than half is taken");
    for epoch in 0..200_000 {
        outbox.lose(&[Interest { id: 7, epoch }]);
    }
    let Gap { counts, exact } = outbox.open.take().expect("it overflows");
    assert_eq!(counts.len(), MAX_COUNTS);
    assert_eq!(counts.values().sum::<u64>(), 200_000, "nothing is uncounted");
    assert!(!exact);
}

#[test]
fn one_message_that_the_peer_does_not_take_costs_the_others_nothing() {
    let mut outbox = Outbox::new(10_000);
    let body = Bytes::from(vec![0; 6_000]);
    assert!(outbox.push(&interests(&[1]), 0, &body.clone().into()));
    outbox.refuse(&interests(&[1]), 0);
    assert!(!outbox.is_overflowing(), "over half full, and still room");
    assert!(outbox.push(&interests(&[1]), 0, &Bytes::from_static(&[0; 8]).into()));
    assert_eq!(outbox.unacknowledged(), 3);
}

#[test]
fn an_absent_peer_that_had_everything_under_way_keeps_to_its_share_too() {
    let mut outbox = Outbox::new(100_000);
    for _ in 0..100 {
        outbox.push(&interests(&[1]), 0, &Bytes::from_static(&[0; 8]).into());
    }
    let mut buf = Vec::new();
    while outbox.poll_transmit(&mut buf, 1_000) {}
    outbox.set_limit(1_000);
    assert!(outbox.used() <= 1_000);
    outbox.set_limit(100_000);
    let first = outbox.resume(Some(3));
    assert!(first > 100, "no number is used twice");
    let mut receiver = Receiver::default();
    receiver.inbox.start(1, first);
    let mut link = Link::new(first);
    while link.send(&mut outbox, 1_000) {}
    receiver.take(&mut link, usize::MAX);
    assert_eq!(receiver.had[&1], Had { seen: vec![], missed: 0, vague: true });
}
