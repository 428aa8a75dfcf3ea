use super::*;

fn tally(numbers: impl IntoIterator<Item = u64>) -> Tally {
    let mut tally = Tally::default();
    for number in numbers {
        tally.note(&stamp(number), 2_000);
    }
    tally
}

fn stamp(number: u64) -> Stamp {
    Stamp { kind: Kind::Counted, number, due_ns: 500, sent_ns: 1_500 }
}

fn counts(numbers: impl IntoIterator<Item = u64>, published: u64) -> [u64; 4] {
    let Counts { received, lost, doubled, reordered } = tally(numbers).counts(published);
    [received, lost, doubled, reordered]
}

#[test]
fn all_in_order_is_all_there() {
    assert_eq!(counts(0..1_000, 1_000), [1_000, 0, 0, 0]);
}

#[test]
fn what_does_not_come_is_lost_wherever_it_is_missing() {
    assert_eq!(counts([0, 1, 4, 5], 6), [4, 2, 0, 0], "in the middle");
    assert_eq!(counts([2, 3], 4), [2, 2, 0, 0], "at first");
    assert_eq!(counts([0, 1], 5), [2, 3, 0, 0], "at the end");
    assert_eq!(counts([], 5), [0, 5, 0, 0], "all");
}

#[test]
fn what_comes_again_is_doubled_and_not_received_twice() {
    assert_eq!(counts([0, 0, 1, 2, 1, 1], 3), [3, 0, 3, 0]);
    assert_eq!(counts([0, 3, 1, 1, 0], 4), [3, 1, 2, 1], "also one that filled a hole");
}

#[test]
fn what_comes_late_is_reordered_and_not_lost() {
    assert_eq!(counts([0, 2, 1, 3], 4), [4, 0, 0, 1]);
    assert_eq!(counts([4, 3, 2, 1, 0], 5), [5, 0, 0, 4]);
    assert_eq!(counts([0, 9, 4, 2, 6, 5, 1, 3, 7, 8], 10), [10, 0, 0, 8], "holes split and close");
}

#[test]
fn it_agrees_with_a_plain_list_on_any_order() {
    // A fixed sequence that looks like chance, with losses, doubles and late ones.
    let mut state = 17u64;
    let mut next = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for _ in 0..200 {
        let numbers: Vec<u64> = (0..60).map(|at| (at + next(8)).saturating_sub(next(8))).collect();
        let (mut plain, mut highest) = ([0u64; 4], None);
        let mut came = [false; 80];
        for number in &numbers {
            if std::mem::replace(&mut came[*number as usize], true) {
                plain[2] += 1;
                continue;
            }
            plain[0] += 1;
            plain[3] += u64::from(highest.is_some_and(|highest| *number < highest));
            highest = highest.max(Some(*number));
        }
        plain[1] = 80 - plain[0];
        assert_eq!(counts(numbers.clone(), 80), plain, "{numbers:?}");
    }
}

#[test]
fn only_counted_ones_count_and_latency_is_from_due_and_from_sent() {
    let mut tally = Tally::default();
    for kind in [Kind::WarmUp, Kind::End] {
        assert!(!tally.note(&Stamp { kind, ..stamp(0) }, 2_000));
    }
    assert_eq!(tally.counts(1).received, 0);
    assert!(tally.note(&stamp(0), 2_000));
    assert!(!tally.note(&stamp(0), 9_000), "a double is no latency");
    assert_eq!((tally.from_due.len(), tally.from_due.quantile_ns(1.0)), (1, 1_500));
    assert_eq!(tally.from_sent.quantile_ns(1.0), 500);
    assert!(tally.count(&stamp(1)));
    assert_eq!((tally.from_due.len(), tally.counts(2).received), (1, 2));
}
