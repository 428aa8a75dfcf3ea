use super::*;
use crate::proto::inbox::{Admit, Begin, Inbox};
use crate::proto::open::Reassembly;
use crate::proto::record::{DataFrame, parse_data};

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

/// A link's bytes in flight, and the receiving end of it.
struct Link {
    wire: Vec<u8>,
    data: Reassembly,
    next: u64,
}

struct Receiver {
    inbox: Inbox,
    had: BTreeMap<u64, Had>,
}

impl Receiver {
    /// Handles up to `bytes` of what is on the link.
    fn take(&mut self, link: &mut Link, bytes: usize) {
        let bytes = bytes.min(link.wire.len());
        let chunk: Vec<u8> = link.wire.drain(..bytes).collect();
        link.data.push(&chunk);
        while let Some(frame) = link.data.next_frame().expect("the sender is honest") {
            let admit = self.inbox.admit(link.next);
            link.next += 1;
            match admit {
                Admit::Duplicate => continue,
                Admit::Hole => panic!("a number was skipped"),
                Admit::Deliver => {}
            }
            match parse_data(&frame).expect("the sender is honest") {
                DataFrame::Message { interests, body } => {
                    let number = u64::from_be_bytes(body[..8].try_into().expect("eight bytes"));
                    for it in interests {
                        self.had.entry(it.id).or_default().seen.push(number);
                    }
                }
                DataFrame::Gap { missed, exact } => {
                    for (it, count) in missed {
                        let had = self.had.entry(it.id).or_default();
                        had.missed += count;
                        had.vague |= !exact;
                    }
                }
                DataFrame::Unknown => panic!("the sender is honest"),
            }
        }
    }
}

/// Random publishes, polls, acknowledgements, and links that break with and without late bytes of the old one.
/// Per interest: delivered + missed = published, in order, nothing twice, within the limit.
#[test]
fn across_links_everything_arrives_once_in_order_or_is_counted() {
    let (mut messages, mut gaps, mut breaks) = (0u64, 0u64, 0u64);
    for seed in 0..1_500 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let limit = rng.usize(2_000..20_000);
        let mut outbox = Outbox::new(limit);
        let mut receiver = Receiver { inbox: Inbox::default(), had: BTreeMap::new() };
        let mut published: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        let generation = rng.u64(..);
        let mut number = 0;
        let mut link: Option<Link> = None;
        let mut late: Vec<Link> = Vec::new();
        for step in 0..400 {
            match rng.u32(0..100) {
                0..45 => {
                    let ids: Vec<u64> = (1..=4).filter(|_| rng.bool()).collect();
                    let mut body = vec![0; 8 + rng.usize(0..600)];
                    body[..8].copy_from_slice(&u64::to_be_bytes(number));
                    if !ids.is_empty() {
                        outbox.push(&interests(&ids), &Bytes::from(body));
                        for id in ids {
                            published.entry(id).or_default().push(number);
                        }
                        messages += 1;
                    }
                    number += 1;
                    assert!(outbox.used() <= limit + 4 * (RECORD_CHARGE + 24 * 4), "seed {seed} step {step}");
                }
                45..70 => {
                    if let Some(link) = &mut link {
                        outbox.poll_transmit(&mut link.wire, rng.usize(1..3_000));
                    }
                }
                70..85 => {
                    if let Some(link) = &mut link {
                        receiver.take(link, rng.usize(0..3_000));
                    }
                }
                85..93 => {
                    if let (Some(_), Some((_, had))) = (&link, receiver.inbox.received()) {
                        outbox.acknowledge(had);
                    }
                }
                93..96 => {
                    // The link breaks; what was on it is lost, or handled only after the next link is there.
                    if let Some(old) = link.take() {
                        breaks += 1;
                        if rng.bool() {
                            late.push(old);
                        }
                    }
                }
                _ => {
                    if link.is_none() {
                        let said = receiver.inbox.received().map(|(_, had)| had);
                        if let Some(mut old) = late.pop() {
                            receiver.take(&mut old, usize::MAX);
                        }
                        let first = outbox.resume(Some(said.unwrap_or(0)));
                        let begin = receiver.inbox.start(generation, first);
                        assert_ne!(begin, Begin::Lost, "seed {seed} step {step}");
                        link = Some(Link { wire: Vec::new(), data: Reassembly::new(1 << 20), next: first });
                    }
                }
            }
        }
        // A last link on which everything flows.
        let first = outbox.resume(Some(receiver.inbox.received().map_or(0, |(_, had)| had)));
        assert_ne!(receiver.inbox.start(generation, first), Begin::Lost);
        let mut link = Link { wire: Vec::new(), data: Reassembly::new(1 << 20), next: first };
        for turn in 0.. {
            if outbox.is_empty() {
                break;
            }
            assert!(turn < 1_000, "seed {seed}: something is never sent again");
            outbox.poll_transmit(&mut link.wire, 10_000);
            receiver.take(&mut link, usize::MAX);
            outbox.acknowledge(receiver.inbox.received().map_or(0, |(_, had)| had));
        }
        for (id, published) in published {
            let had = receiver.had.remove(&id).unwrap_or_default();
            assert_eq!(
                had.seen.len() as u64 + had.missed,
                published.len() as u64,
                "seed {seed} interest {id}"
            );
            assert!(had.seen.is_sorted_by(|a, b| a < b), "seed {seed} interest {id}");
            assert!(had.seen.iter().all(|number| published.contains(number)), "seed {seed} interest {id}");
            assert!(!had.vague, "seed {seed}: an exact loss was told as a vague one");
            gaps += u64::from(had.missed > 0);
        }
    }
    // The seeds did meet what they are there for.
    assert!(messages > 100_000 && breaks > 5_000 && gaps > 1_000, "{messages} {breaks} {gaps}");
}

#[test]
fn a_full_outbox_counts_until_half_of_it_is_free() {
    let mut outbox = Outbox::new(10 * (RECORD_CHARGE + 100));
    let body = Bytes::from(vec![0; 84]);
    let pushed = (0..30).filter(|_| outbox.push(&interests(&[1]), &body)).count();
    assert_eq!(pushed, 10);
    assert!(outbox.is_overflowing());
    let mut buf = Vec::new();
    while outbox.poll_transmit(&mut buf, 1_000) {}
    outbox.acknowledge(4);
    assert!(!outbox.push(&interests(&[1]), &body), "less than half is free");
    outbox.acknowledge(5);
    assert!(!outbox.is_overflowing(), "the gap became a record");
    assert!(outbox.push(&interests(&[1]), &body));
    assert_eq!(outbox.unacknowledged(), 5 + 1 + 1);
}

#[test]
fn a_peer_cannot_acknowledge_what_never_left() {
    let mut outbox = Outbox::new(10_000);
    for _ in 0..5 {
        outbox.push(&interests(&[1]), &Bytes::from_static(b"x"));
    }
    outbox.acknowledge(u64::MAX);
    assert_eq!(outbox.unacknowledged(), 5);
    assert_eq!(outbox.resume(Some(u64::MAX)), 1);
}

#[test]
fn a_peer_that_forgot_is_told_a_gap_without_a_size() {
    let mut outbox = Outbox::new(10_000);
    for number in 0u64..4 {
        outbox.push(&interests(&[1]), &Bytes::copy_from_slice(&number.to_be_bytes()));
    }
    let mut buf = Vec::new();
    // Two records and a part of the third leave.
    outbox.poll_transmit(&mut buf, 2 * 12 + 5);
    let first = outbox.resume(None);
    let mut receiver = Receiver { inbox: Inbox::default(), had: BTreeMap::new() };
    assert_eq!(receiver.inbox.start(1, first), Begin::Fresh);
    let mut link = Link { wire: Vec::new(), data: Reassembly::new(1_000), next: first };
    while outbox.poll_transmit(&mut link.wire, 1_000) {}
    receiver.take(&mut link, usize::MAX);
    assert_eq!(receiver.had[&1], Had { seen: vec![3], missed: 0, vague: true });
    outbox.acknowledge(receiver.inbox.received().expect("started").1);
    assert!(outbox.is_empty());
}

#[test]
fn an_absent_peer_keeps_the_oldest_and_an_exact_count() {
    let mut outbox = Outbox::new(100_000);
    for number in 0u64..100 {
        outbox.push(&interests(&[1]), &Bytes::copy_from_slice(&number.to_be_bytes()));
    }
    outbox.set_limit(10 * (RECORD_CHARGE + 24));
    assert!(outbox.used() <= 10 * (RECORD_CHARGE + 24));
    outbox.push(&interests(&[1]), &Bytes::from_static(&[0; 8]));
    outbox.set_limit(100_000);
    let first = outbox.resume(Some(0));
    let mut receiver = Receiver { inbox: Inbox::default(), had: BTreeMap::new() };
    receiver.inbox.start(1, first);
    let mut link = Link { wire: Vec::new(), data: Reassembly::new(1_000), next: first };
    while outbox.poll_transmit(&mut link.wire, 1_000) {}
    receiver.take(&mut link, usize::MAX);
    assert_eq!(receiver.had[&1], Had { seen: (0..10).collect(), missed: 91, vague: false });
}

#[test]
fn messages_for_more_interests_than_a_frame_holds_go_out_in_parts() {
    let mut outbox = Outbox::new(MIN_LIMIT);
    let ids: Vec<u64> = (0..2_500).collect();
    outbox.push(&interests(&ids), &Bytes::from_static(&[0; 8]));
    let mut receiver = Receiver { inbox: Inbox::default(), had: BTreeMap::new() };
    receiver.inbox.start(1, outbox.resume(Some(0)));
    let mut link = Link { wire: Vec::new(), data: Reassembly::new(1 << 20), next: 1 };
    while outbox.poll_transmit(&mut link.wire, 1 << 20) {}
    receiver.take(&mut link, usize::MAX);
    assert_eq!(receiver.had.len(), 2_500);
    assert!(receiver.had.values().all(|had| had.seen == [0]));
}

#[test]
fn a_peer_that_changes_its_interests_while_it_takes_nothing_costs_bounded_memory() {
    let mut outbox = Outbox::new(1_000);
    assert!(outbox.push(&interests(&[1]), &Bytes::from(vec![0; 600])), "more than half is taken");
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
    assert!(outbox.push(&interests(&[1]), &body));
    outbox.refuse(&interests(&[1]));
    assert!(!outbox.is_overflowing(), "over half full, and still room");
    assert!(outbox.push(&interests(&[1]), &Bytes::from_static(&[0; 8])));
    assert_eq!(outbox.unacknowledged(), 3);
}

#[test]
fn an_absent_peer_that_had_everything_under_way_keeps_to_its_share_too() {
    let mut outbox = Outbox::new(100_000);
    for _ in 0..100 {
        outbox.push(&interests(&[1]), &Bytes::from_static(&[0; 8]));
    }
    let mut buf = Vec::new();
    while outbox.poll_transmit(&mut buf, 1_000) {}
    outbox.set_limit(1_000);
    assert!(outbox.used() <= 1_000);
    outbox.set_limit(100_000);
    let first = outbox.resume(Some(3));
    assert!(first > 100, "no number is used twice");
    let mut receiver = Receiver { inbox: Inbox::default(), had: BTreeMap::new() };
    receiver.inbox.start(1, first);
    let mut link = Link { wire: Vec::new(), data: Reassembly::new(1_000), next: first };
    while outbox.poll_transmit(&mut link.wire, 1_000) {}
    receiver.take(&mut link, usize::MAX);
    assert_eq!(receiver.had[&1], Had { seen: vec![], missed: 0, vague: true });
}
