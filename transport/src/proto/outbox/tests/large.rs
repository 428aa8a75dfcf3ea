//! Large messages: what passes them, what waits, and what is lost.

use super::*;

/// Everything that can leaves and arrives.
fn drain(outbox: &mut Outbox) -> Receiver {
    let mut receiver = Receiver::default();
    let first = outbox.resume(Some(0));
    receiver.inbox.start(1, first);
    let mut link = Link::new(first);
    while link.send(outbox, 10_000) | link.send_piece(outbox) {
        receiver.take(&mut link, usize::MAX);
    }
    receiver
}

fn push(outbox: &mut Outbox, flow: u64, number: u64, len: usize) -> bool {
    outbox.push(&interests(&[1]), flow, &body(number, len))
}

#[test]
fn small_ones_of_other_flows_pass_and_those_of_its_own_wait() {
    let mut outbox = Outbox::new(3 << 20);
    for (number, (flow, len)) in
        [(1, 10), (1, 300_000), (1, 10), (2, 10), (2, LARGE), (1, 300_000), (2, 10), (3, 300_000), (1, 10)]
            .into_iter()
            .enumerate()
    {
        assert!(push(&mut outbox, flow, number as u64, len));
    }
    assert_eq!(outbox.unacknowledged(), 9, "what is held counts");
    let had = drain(&mut outbox).had.remove(&1).expect("it got something");
    // 4 is larger than a small one by its eight bytes.
    assert_eq!(had.seen, [0, 3, 1, 2, 4, 6, 5, 8, 7]);
}

#[test]
fn a_loss_is_told_behind_what_is_held() {
    let mut outbox = Outbox::new(3 << 20);
    assert!(push(&mut outbox, 1, 0, 300_000));
    outbox.lose(&[interest(1)]);
    assert!(outbox.is_overflowing(), "half is free, but the large one comes first");
    while outbox.poll_piece(&mut Vec::new()).is_some() {}
    assert!(!outbox.is_overflowing());
    let had = drain(&mut outbox).had.remove(&1).expect("it got something");
    assert_eq!(had, Had { seen: vec![0], missed: 1, vague: false });
}

#[test]
fn a_large_one_without_room_is_lost_alone_and_in_its_place() {
    let mut outbox = Outbox::new(3 << 20);
    let mut number = 0;
    while push(&mut outbox, 1, number, 300_000) {
        number += 1;
    }
    assert!(!outbox.is_overflowing() && outbox.used() <= 9 << 18, "a quarter is left to others");
    assert!(!push(&mut outbox, 1, 98, 300_000));
    assert_eq!(outbox.held.len() as u64, number + 1, "two losses in a row are one record");
    assert!(push(&mut outbox, 1, 99, 1_000) && push(&mut outbox, 2, 100, 10_000));
    let had = drain(&mut outbox).had.remove(&1).expect("it got something");
    let mut wanted: Vec<u64> = (0..number).chain([99]).collect();
    wanted.insert(0, 100);
    assert_eq!(had, Had { seen: wanted, missed: 2, vague: false });
}

#[test]
fn a_loss_that_has_left_does_not_grow() {
    let mut outbox = Outbox::new(3 << 20);
    for _ in 0..2 {
        outbox.refuse(&interests(&[1]), 1);
        outbox.refuse(&interests(&[1]), 1);
        assert!(outbox.poll_transmit(&mut Vec::new(), 1_000));
    }
    assert_eq!(outbox.unacknowledged(), 2);
}

#[test]
fn where_room_shrinks_the_newest_of_a_flow_goes_first() {
    let mut outbox = Outbox::new(3 << 20);
    for (number, len) in [10, 300_000, 10].into_iter().enumerate() {
        assert!(push(&mut outbox, 1, number as u64, len));
    }
    outbox.set_limit(10_000);
    outbox.set_limit(3 << 20);
    let had = drain(&mut outbox).had.remove(&1).expect("it got something");
    assert_eq!(had, Had { seen: vec![0], missed: 2, vague: false });
}
