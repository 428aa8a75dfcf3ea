use super::*;

const MOST: usize = max_bytes(0);

fn topic(text: &str) -> Topic {
    text.parse().unwrap()
}

fn seqs(histories: &mut Histories, now: Instant, pattern: &str) -> Vec<u64> {
    histories.past_here(now, &pattern.parse().unwrap()).iter().map(|past| past.seq).collect()
}

fn publish(histories: &mut Histories, now: Instant, at: &str, seqs: std::ops::Range<u64>, len: usize) {
    for seq in seqs {
        histories.push(now, &topic(at), seq, &Headers::new(), &vec![0; len].into(), Audience::All);
    }
}

#[test]
fn the_last_are_kept_in_order_of_publishing() {
    let (mut all, now) = (Histories::default(), Instant::now());
    all.keep(&topic("a/1"), History::last(3), MOST).unwrap();
    all.keep(&topic("a/2"), History::last(1), MOST).unwrap();
    publish(&mut all, now, "a/1", 1..5, 1);
    publish(&mut all, now, "a/2", 5..8, 1);
    publish(&mut all, now, "a/3", 8..9, 1);
    publish(&mut all, now, "a/1", 9..10, 1);
    assert_eq!(seqs(&mut all, now, "a/*"), [3, 4, 7, 9]);
    assert_eq!(seqs(&mut all, now, "a/2"), [7]);
    assert_eq!(seqs(&mut all, now, "b"), []);
}

#[test]
fn time_and_bytes_are_bounds() {
    let (mut all, now) = (Histories::default(), Instant::now());
    let second = Duration::from_secs(1);
    all.keep(&topic("t"), History::last(100).within(second).bytes(3 * (CHARGE + 10)), MOST).unwrap();
    publish(&mut all, now, "t", 1..6, 10);
    assert_eq!((seqs(&mut all, now, "t"), all.bytes()), (vec![3, 4, 5], 3 * (CHARGE + 10)));
    publish(&mut all, now + second, "t", 6..7, 10);
    assert_eq!(seqs(&mut all, now + second, "t"), [4, 5, 6]);
    assert_eq!(seqs(&mut all, now + second + second / 2, "t"), [6]);
    // One that cannot be kept leaves no hole before what follows.
    publish(&mut all, now + second, "t", 7..8, 3 * CHARGE);
    publish(&mut all, now + second, "t", 8..9, 10);
    assert_eq!(seqs(&mut all, now + second, "t"), [8]);
    let (half, topics) = (MAX_ALL_BYTES / 2, ["u", "v", "w"].map(topic));
    all.release(&topic("t"));
    all.keep(&topics[0], History::last(1).bytes(half), MOST).unwrap();
    all.keep(&topics[1], History::last(1).bytes(half), MOST).unwrap();
    assert_eq!(all.keep(&topics[2], History::last(1).bytes(1), MOST), Err(Full));
    assert!(all.keep(&topics[0], History::last(1).bytes(half), MOST).is_ok(), "the same once more");
    all.release(&topics[0]);
    assert_eq!(all.keep(&topics[2], History::last(1).bytes(1), MOST), Err(Full), "it has another handle");
    all.release(&topics[0]);
    assert!(all.keep(&topics[2], History::last(1).bytes(1), MOST).is_ok());
}

#[test]
fn another_node_is_given_the_newest_that_find_room() {
    let (mut all, now) = (Histories::default(), Instant::now());
    let (quarter, pattern) = (MOST / 4 - CHARGE, "*".parse().unwrap());
    for at in ["a", "b"] {
        all.keep(&topic(at), History::last(9).bytes(MOST), MOST).unwrap();
    }
    let given = |histories: &mut Histories| {
        let (older, past) = histories.past_there(now, &pattern);
        (older, past.iter().map(|past| past.seq).collect::<Vec<_>>())
    };
    assert_eq!(given(&mut all), (0, vec![]));
    publish(&mut all, now, "a", 1..4, quarter);
    publish(&mut all, now, "b", 4..5, quarter);
    assert_eq!(given(&mut all), (0, vec![1, 2, 3, 4]), "the most that is given");
    publish(&mut all, now, "b", 5..7, quarter);
    assert_eq!(given(&mut all), (2, vec![3, 4, 5, 6]));
    publish(&mut all, now, "b", 7..8, MOST - CHARGE);
    assert_eq!(given(&mut all), (3, vec![7]), "the largest that is kept at all");
    assert_eq!(max_bytes(64 << 20) - (64 << 20), 512 * 1024);
}

#[test]
fn each_is_given_what_was_for_it() {
    let (mut all, now, pattern) = (Histories::default(), Instant::now(), "t".parse().unwrap());
    all.keep(&topic("t"), History::last(9), MOST).unwrap();
    let node = NodeId::from_bytes([1; 16]);
    let but = Audience::AllBut(crate::audience::SubscriptionId { node, number: 1 });
    let audiences = [Audience::All, Audience::Here, Audience::Others, Audience::Node(node), but];
    for (seq, audience) in (1..).zip(audiences) {
        all.push(now, &topic("t"), seq, &Headers::new(), &Bytes::new(), audience);
    }
    assert_eq!(seqs(&mut all, now, "t"), [1, 2, 5]);
    let there: Vec<_> = all.past_there(now, &pattern).1.iter().map(|past| past.seq).collect();
    assert_eq!(there, [1, 3, 5]);
}

#[test]
fn a_part_of_something_long_does_not_hold_it() {
    let (mut all, now) = (Histories::default(), Instant::now());
    all.keep(&topic("t"), History::last(9), MOST).unwrap();
    let long = Bytes::from(vec![7; 100_000]);
    all.push(now, &topic("t"), 1, &Headers::new(), &long.slice(..10), Audience::All);
    assert!(long.is_unique());
    assert_eq!(all.past_here(now, &"t".parse().unwrap())[0].payload, long.slice(..10));
}

#[test]
fn what_has_ended_is_known_no_more() {
    let (mut all, node) = (Histories::default(), NodeId::from_bytes([1; 16]));
    all.serve(node, 1, 0, 0);
    for id in 2..10 * MAX_SERVED as u64 {
        all.serve(node, id, 0, 0);
        all.ended(node, id);
    }
    assert_eq!((all.served.len(), all.first.len() <= 3), (1, true));
    assert_eq!(all.serve(node, 1, 0, 0), None, "the oldest is still known");
    all.ended(node, 7);
}

#[test]
fn each_subscription_is_served_once() {
    let (mut all, node) = (Histories::default(), NodeId::from_bytes([1; 16]));
    assert_eq!(all.serve(node, 1, 0, 0), Some(0));
    assert_eq!(all.serve(node, 1, 0, 0), None, "told again");
    assert_eq!(all.serve(node, 1, 1, 0), None, "one joined that asked for none");
    assert_eq!(all.serve(node, 1, 4, 3), Some(2), "several joined, and one of them asked");
    assert_eq!(all.serve(node, 1, 2, 0), None);
    assert_eq!(all.serve(node, 1, 4, 3), None);
    assert_eq!(all.serve(node, 2, 9, 7), Some(0));
    for id in 3..3 + MAX_SERVED as u64 {
        all.serve(node, id, 0, 0);
    }
    assert_eq!((all.served.len(), all.first.len()), (MAX_SERVED, MAX_SERVED));
}
