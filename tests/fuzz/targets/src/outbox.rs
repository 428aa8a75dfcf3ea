//! What one peer is owed, and what it makes of it: over links that break, with messages of every size.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use talkie_transport::fuzzing::Data;
use talkie_transport::proto::bulk::{Assembly, Window};
use talkie_transport::proto::inbox::{Admit, Begin, Inbox};
use talkie_transport::proto::open::Reassembly;
use talkie_transport::proto::outbox::{Outbox, RECORD_CHARGE};
use talkie_transport::proto::record::MAX_FRAME;
use talkie_transport::{Body, Interest, Interests, LARGE, SMALL};

use crate::feed::Feed;

/// What messages consist of behind their number.
static FILL: [u8; LARGE + 4_096] = {
    let mut fill = [0; LARGE + 4_096];
    let mut at = 0;
    while at < fill.len() {
        fill[at] = (at % 251) as u8;
        at += 1;
    }
    fill
};

/// What gaps, which are let in where they are due, may take beyond the limit.
const BESIDE: usize = 4 * (RECORD_CHARGE + 24 * 4);

/// Each interest gets each message once, in the order of each flow and with its own bytes, or is told of it in a gap: delivered +
/// missed = published, where the peer did not forget or had its room cut. What is held never goes beyond the limit, what is flushed
/// has arrived, and in the end nothing is held.
pub fn run(data: &[u8]) {
    let mut feed = Feed::new(data);
    let mut simulation = Simulation::new([2_000, 20_000, 300_000, 1_200_000][feed.below(4)]);
    while feed.more() {
        simulation.step(&mut feed);
    }
    simulation.finish();
    simulation.check();
}

/// What one interest has had: numbers of messages in their order, and how many it was told to miss.
#[derive(Debug, Default, Clone)]
struct Had {
    seen: Vec<u64>,
    missed: u64,
    vague: bool,
}

enum Content {
    Data(Vec<u8>),
    Piece(Vec<u8>),
}

/// Records in flight, and both ends of a link.
struct Link {
    wire: VecDeque<Content>,
    window: Window,
    data: Reassembly,
    bulk: Assembly,
    next: u64,
}

struct Flush {
    /// Messages from this number on are none of its business.
    before: u64,
    mark: u64,
    target: Option<u64>,
}

struct Simulation {
    limit: usize,
    outbox: Outbox,
    inbox: Inbox,
    had: BTreeMap<u64, Had>,
    link: Option<Link>,
    late: Option<Link>,
    number: u64,
    /// Per interest: flow and number of each message.
    published: BTreeMap<u64, Vec<(u64, u64)>>,
    flush: Option<Flush>,
    /// Losses without a count may have been told.
    vague: bool,
    /// The peer said what is not so: what it misses by that is its own affair.
    liar: bool,
}

impl Simulation {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            outbox: Outbox::new(limit),
            inbox: Inbox::default(),
            had: BTreeMap::new(),
            link: None,
            late: None,
            number: 0,
            published: BTreeMap::new(),
            flush: None,
            vague: false,
            liar: false,
        }
    }

    fn step(&mut self, feed: &mut Feed<'_>) {
        match (feed.byte() % 16, self.link.is_some()) {
            (0..6, _) => self.publish(feed),
            (6 | 7, true) => {
                let room = 1 + usize::from(feed.byte()) * 16;
                self.send(room);
            }
            (8, true) => self.send_piece(),
            (9 | 10, true) => self.receive(feed.below(4)),
            (11, true) => self.acknowledge(),
            (12, true) => {
                let old = self.link.take();
                // What was on it is lost, or handled only before the next link is there.
                self.late = old.filter(|_| feed.flag());
            }
            (13, true) => self.flush = Some(Flush { before: self.number, mark: self.outbox.mark(), target: None }),
            (14, true) if feed.byte() < 8 => {
                self.liar = true;
                self.outbox.acknowledge(feed.number());
            }
            (13, false) => {
                self.vague = true;
                let share = self.limit / (1 + feed.below(8));
                self.outbox.set_limit(share);
                assert!(self.outbox.used() <= share + BESIDE, "{} of {share}", self.outbox.used());
            }
            (14, false) if feed.byte() < 32 => self.relink_forgotten(),
            (_, false) => self.relink(None),
            _ => {}
        }
        assert!(self.outbox.used() <= self.limit + BESIDE, "{} of {}", self.outbox.used(), self.limit);
    }

    fn publish(&mut self, feed: &mut Feed<'_>) {
        let kind = feed.byte();
        let flow = u64::from(kind % 3);
        let interests: Interests =
            (1..=3).filter(|id| kind >> (1 + id) & 1 == 1).map(|id| Interest { id, epoch: 0 }).collect();
        if interests.is_empty() {
            return;
        }
        let len = match feed.byte() {
            small @ 0..200 => usize::from(small) * 4,
            edge @ 200..232 => SMALL - 8 - 16 + usize::from(edge - 200),
            medium @ 232..244 => usize::from(medium - 231) * 4_000,
            edge @ 244.. => LARGE - 8 - 6 + usize::from(edge - 244),
        };
        let number = Bytes::copy_from_slice(&self.number.to_be_bytes());
        let body = Body::new(number, Bytes::from_static(&FILL[..len]));
        let room = self.outbox.has_room(body.len() + 16 * interests.len());
        match kind >> 5 {
            0 => self.outbox.lose(&interests),
            1 => self.outbox.refuse(&interests, flow),
            _ => assert_eq!(self.outbox.push(&interests, flow, &body), room),
        }
        for interest in &interests {
            self.published.entry(interest.id).or_default().push((flow, self.number));
        }
        self.number += 1;
    }

    fn send(&mut self, room: usize) -> bool {
        let Some(link) = &mut self.link else { return false };
        let (unsent, mut content) = (self.outbox.has_unsent(), Vec::new());
        let sent = self.outbox.poll_transmit(&mut content, room);
        assert_eq!((sent, content.is_empty()), (unsent, !unsent));
        assert!(content.len() <= room);
        if sent {
            link.wire.push_back(Content::Data(content));
        }
        sent
    }

    fn send_piece(&mut self) {
        let Some(link) = &mut self.link else { return };
        if self.outbox.next_piece().is_none_or(|len| len > link.window.room()) {
            return;
        }
        let mut content = Vec::new();
        let piece = self.outbox.poll_piece(&mut content).expect("there is one");
        link.window.handle_sent(piece.len, piece.last);
        link.wire.push_back(Content::Piece(content));
    }

    fn receive(&mut self, records: usize) {
        if let Some(mut link) = self.link.take() {
            self.take(&mut link, records);
            self.link = Some(link);
        }
    }

    /// Handles up to so many of the records on a link.
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
                    link.data.push(BytesMut::from(&content[..]));
                    while let Some(frame) = link.data.next_frame().expect("the sender is honest") {
                        let frame = Data::read(&frame).expect("the sender is honest");
                        let large = matches!(frame, Data::Large { .. }).then(|| link.bulk.take().expect("it is whole"));
                        let admit = self.inbox.admit(link.next);
                        link.next += 1;
                        match admit {
                            Admit::Duplicate => {}
                            Admit::Hole => panic!("a number was skipped"),
                            Admit::Deliver => self.deliver(frame, large.as_deref()),
                        }
                    }
                }
                None => {}
            }
            if let Some(taken) = link.bulk.poll_taken() {
                link.window.handle_taken(taken);
            }
        }
    }

    fn deliver(&mut self, frame: Data, large: Option<&[u8]>) {
        let (interests, body) = match &frame {
            Data::Message { interests, body } => (interests, &body[..]),
            Data::Large { interests } => (interests, large.expect("it came in pieces")),
            Data::Gap { missed, exact } => {
                for (interest, count) in missed {
                    let had = self.had.entry(interest.id).or_default();
                    had.missed += count;
                    had.vague |= !exact;
                }
                return;
            }
            Data::Unknown => panic!("the sender is honest"),
        };
        let (number, fill) = body.split_first_chunk().expect("eight bytes");
        assert!(FILL.starts_with(fill), "another's bytes");
        for interest in interests {
            self.had.entry(interest.id).or_default().seen.push(u64::from_be_bytes(*number));
        }
    }

    fn received(&self) -> u64 {
        self.inbox.received().map_or(0, |(_, had)| had)
    }

    /// A new link; the peer says what it has had, or something else.
    fn relink(&mut self, lie: Option<u64>) {
        let said = lie.unwrap_or_else(|| self.received());
        if let Some(mut old) = self.late.take() {
            self.take(&mut old, usize::MAX);
        }
        self.outbox.set_limit(self.limit);
        let first = self.outbox.resume(Some(said));
        if self.inbox.start(1, first) == Begin::Lost {
            assert!(self.vague || self.liar, "nothing was lost uncounted");
            (1..=3).for_each(|id| self.had.entry(id).or_default().vague = true);
        }
        self.begin(first);
    }

    /// A new link to a peer that no longer knows what it has had.
    fn relink_forgotten(&mut self) {
        self.vague = true;
        self.late = None;
        self.outbox.set_limit(self.limit);
        let first = self.outbox.resume(None);
        self.inbox = Inbox::default();
        assert_eq!(self.inbox.start(1, first), Begin::Fresh);
        (1..=3).for_each(|id| self.had.entry(id).or_default().vague = true);
        self.begin(first);
    }

    fn begin(&mut self, first: u64) {
        self.link = Some(Link {
            wire: VecDeque::new(),
            window: Window::new(64 * 1024),
            data: Reassembly::new(MAX_FRAME),
            bulk: Assembly::new(1 << 20),
            next: first,
        });
    }

    fn acknowledge(&mut self) {
        let number = self.received();
        self.outbox.acknowledge(number);
        let Some(flush) = &mut self.flush else { return };
        if flush.target.is_none() && self.outbox.is_numbered(flush.mark) {
            flush.target = Some(self.outbox.last());
        }
        if !flush.target.is_some_and(|target| self.outbox.is_acknowledged(target)) {
            return;
        }
        for (id, published) in &self.published {
            let had = self.had.get(id).cloned().unwrap_or_default();
            let wanted = published.iter().filter(|(_, number)| *number < flush.before).count();
            let seen = had.seen.iter().filter(|number| **number < flush.before).count();
            assert!(had.vague || self.liar || seen as u64 + had.missed >= wanted as u64, "flushed too early");
        }
        self.flush = None;
    }

    /// A last link on which everything flows.
    fn finish(&mut self) {
        self.late = None;
        self.link = None;
        self.relink(None);
        for turn in 0.. {
            if self.outbox.is_empty() {
                break;
            }
            assert!(turn < 1_000, "something is never sent again");
            self.send(60_000);
            self.send_piece();
            self.receive(usize::MAX);
            self.acknowledge();
        }
        assert_eq!((self.outbox.used(), self.outbox.unacknowledged()), (0, 0));
    }

    fn check(mut self) {
        for (id, published) in self.published {
            let had = self.had.remove(&id).unwrap_or_default();
            let told = had.seen.len() as u64 + had.missed;
            assert!(told <= published.len() as u64, "interest {id} is told of {told} of {}", published.len());
            if !self.vague && !self.liar {
                assert_eq!(told, published.len() as u64, "interest {id}");
                assert!(!had.vague, "an exact loss was told as a vague one");
            }
            let flows: BTreeMap<u64, u64> = published.iter().map(|(flow, number)| (*number, *flow)).collect();
            let mut last = BTreeMap::new();
            for number in had.seen {
                let flow = *flows.get(&number).expect("it was published for this interest");
                let before = last.insert(flow, number);
                assert!(before.is_none_or(|before| before < number), "interest {id} flow {flow}");
            }
        }
    }
}
