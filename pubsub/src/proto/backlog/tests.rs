use bytes::Bytes;

use super::*;

fn node(n: u16) -> NodeId {
    let mut bytes = [0; 16];
    bytes[..2].copy_from_slice(&n.to_be_bytes());
    NodeId::from_bytes(bytes)
}

fn message(from: u16, seq: u64, len: usize) -> Waiting {
    Waiting {
        headers: Headers::new(),
        topic: Some("t".parse().unwrap()),
        from: node(from),
        name: None,
        seq,
        payload: Bytes::from(vec![0; len]),
        group: None,
        came: None,
    }
}

fn gap(from: u16, missed: u64, exact: bool) -> Option<Item> {
    Some(Item::Gap { from: node(from), missed, exact })
}

fn seq(delivery: Option<Item>) -> u64 {
    match delivery {
        Some(Item::Message(message)) => message.seq,
        other => panic!("{other:?}"),
    }
}

fn limited(messages: usize, bytes: usize) -> Backlog {
    Backlog::new(QueueLimits { messages, bytes }, Drop::Oldest, 7)
}

#[test]
fn the_oldest_are_counted_before_what_remains() {
    let mut backlog = limited(3, usize::MAX);
    for n in 1..=5 {
        backlog.push(message(1, n, 10));
    }
    backlog.push(message(2, 1, 10));
    assert_eq!(backlog.pop(), gap(1, 3, true));
    assert_eq!([seq(backlog.pop()), seq(backlog.pop()), seq(backlog.pop())], [4, 5, 1]);
    assert!(backlog.pop().is_none() && backlog.is_empty() && backlog.bytes == 0);
}

#[test]
fn bytes_are_limited_but_one_long_message_waits_beside_them() {
    let each = CHARGE + 1 + 100;
    let mut backlog = limited(100, 3 * each);
    for n in 1..=4 {
        backlog.push(message(1, n, 100));
    }
    assert_eq!(backlog.waiting.len(), 3);
    backlog.push(message(1, 5, 100_000));
    assert_eq!(backlog.waiting(), (1 + 4, 3 * each + CHARGE + 1 + 100_000));
    // What follows pushes out the others, and not yet the long one.
    for n in 6..=8 {
        backlog.push(message(1, n, 100));
    }
    assert_eq!(backlog.pop(), gap(1, 4, true));
    assert_eq!(seq(backlog.pop()), 5);
    assert_eq!([seq(backlog.pop()), seq(backlog.pop()), seq(backlog.pop())], [6, 7, 8]);
    assert!(backlog.is_empty() && backlog.waiting() == (0, 0));
    // Of two long ones the older goes, and what is older still.
    for (n, len) in [(1, 100), (2, 100_000), (3, 100), (4, 200_000), (5, 100)] {
        backlog.push(message(1, n, len));
    }
    assert_eq!(backlog.pop(), gap(1, 2, true));
    assert_eq!([seq(backlog.pop()), seq(backlog.pop()), seq(backlog.pop())], [3, 4, 5]);
    assert!(backlog.is_empty() && backlog.waiting() == (0, 0));
}

#[test]
fn gaps_merge_and_become_inexact_together() {
    let mut backlog = limited(2, usize::MAX);
    backlog.push_gap(node(1), 5, true);
    backlog.push_gap(node(1), 2, false);
    backlog.push(message(1, 9, 0));
    backlog.push(message(1, 10, 0));
    backlog.push(message(1, 11, 0));
    assert_eq!(backlog.pop(), gap(1, 8, false));
    assert_eq!([seq(backlog.pop()), seq(backlog.pop())], [10, 11]);
}

#[test]
fn a_gap_stands_between_the_messages_around_it() {
    let mut backlog = limited(10, usize::MAX);
    backlog.push(message(1, 1, 0));
    backlog.push_gap(node(1), 3, true);
    backlog.push(message(1, 5, 0));
    assert_eq!(seq(backlog.pop()), 1);
    assert_eq!(backlog.pop(), gap(1, 3, true));
    assert_eq!(seq(backlog.pop()), 5);
}

#[test]
fn counts_stay_bounded_with_many_senders() {
    let mut backlog = limited(1, usize::MAX);
    let senders = MAX_SENDERS as u16 + 500;
    for from in 0..senders {
        backlog.push(message(from, 1, 0));
    }
    assert_eq!(backlog.lost.len(), MAX_SENDERS);
    let all: Vec<_> = std::iter::from_fn(|| backlog.pop()).collect();
    let missed = all.iter().map(|delivery| match delivery {
        Item::Gap { missed, .. } => *missed,
        Item::Message(_) => 1,
    });
    assert_eq!(missed.sum::<u64>(), u64::from(senders));
    assert!(matches!(all[MAX_SENDERS - 1], Item::Gap { exact: false, .. }));
    assert!(matches!(all[MAX_SENDERS - 2], Item::Gap { missed: 1, exact: true, .. }));
}

/// Delivered and missed together are what was published, in order, whatever the reader does.
#[test]
fn nothing_is_lost_uncounted() {
    for seed in 0..500 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut backlog = limited(rng.usize(1..20), rng.usize(200..5_000));
        backlog.drop = if rng.bool() { Drop::Oldest } else { Drop::Newest };
        let mut published = [0_u64; 3];
        let mut seen = [0_u64; 3];
        for _ in 0..rng.usize(1..400) {
            let from = rng.usize(..3);
            match rng.u8(..10) {
                0..=4 => {
                    published[from] += 1;
                    let len = rng.usize(..600);
                    let (room, dropped) = (backlog.has_room(1, len), backlog.dropped());
                    backlog.push(message(from as u16, published[from], len));
                    // For room, gaps may make way, too; no message is dropped while there is some.
                    assert!(!room || dropped == backlog.dropped(), "seed {seed}");
                }
                5 => {
                    let missed = rng.u64(1..9);
                    published[from] += missed;
                    backlog.push_gap(node(from as u16), missed, true);
                }
                _ => follow(&mut seen, backlog.pop(), seed),
            }
            // A gap for each sender may stand beside what is kept.
            let beside = if backlog.drop == Drop::Newest { 3 } else { 0 };
            assert!(backlog.waiting.len() <= backlog.limits.messages + beside, "seed {seed}");
        }
        while !backlog.is_empty() {
            follow(&mut seen, backlog.pop(), seed);
        }
        assert_eq!((seen, backlog.bytes), (published, 0), "seed {seed}");
    }
}

fn follow(seen: &mut [u64; 3], delivery: Option<Item>, seed: u64) {
    match delivery {
        Some(Item::Message(message)) => {
            let seen = &mut seen[usize::from(message.from.as_bytes()[1])];
            *seen += 1;
            assert_eq!(message.seq, *seen, "seed {seed}: out of order");
        }
        Some(Item::Gap { from, missed, exact: true }) => seen[usize::from(from.as_bytes()[1])] += missed,
        Some(other) => panic!("seed {seed}: {other:?}"),
        None => {}
    }
}

fn keeping(messages: usize, bytes: usize) -> Backlog {
    Backlog::new(QueueLimits { messages, bytes }, Drop::Newest, 7)
}

#[test]
fn the_newest_are_counted_behind_what_waits() {
    let mut backlog = keeping(3, usize::MAX);
    for n in 1..=5 {
        backlog.push(message(1, n, 10));
    }
    backlog.push(message(2, 1, 10));
    backlog.push_gap(node(1), 7, true);
    assert_eq!((backlog.dropped(), backlog.waiting().0), (3, 5));
    assert_eq!(seq(backlog.pop()), 1);
    // There is room again: what was refused stands before what comes now.
    backlog.push(message(1, 6, 10));
    assert_eq!([seq(backlog.pop()), seq(backlog.pop())], [2, 3]);
    assert_eq!((backlog.pop(), backlog.pop()), (gap(1, 9, true), gap(2, 1, true)));
    assert_eq!(seq(backlog.pop()), 6);
    assert!(backlog.pop().is_none() && backlog.is_empty() && backlog.bytes == 0);
}

#[test]
fn what_was_refused_is_told_without_another_message() {
    let mut backlog = keeping(2, usize::MAX);
    (1..=4).for_each(|n| backlog.push(message(1, n, 10)));
    let mut all = VecDeque::new();
    while !backlog.is_empty() {
        let mut taken = VecDeque::new();
        backlog.take(100, usize::MAX, &mut taken);
        assert!(!taken.is_empty());
        all.append(&mut taken);
    }
    let mut taken = all.into_iter();
    assert_eq!([seq(taken.next()), seq(taken.next())], [1, 2]);
    assert_eq!((taken.next(), taken.next()), (gap(1, 2, true), None));
}
