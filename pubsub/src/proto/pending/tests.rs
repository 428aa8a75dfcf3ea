use std::collections::BTreeMap;
use std::time::Duration;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn events(pending: &mut Pending<char>) -> Vec<Event<char>> {
    std::iter::from_fn(|| pending.poll_event()).collect()
}

const fn missing(question: u64, node: char, why: Missing) -> Event<char> {
    Event::Missing { question, node, why }
}

#[test]
fn an_answer_ends_its_question_and_no_other() {
    let (mut pending, now) = (Pending::default(), Instant::now());
    let first = pending.ask(now + SECOND, ['a']).unwrap();
    let second = pending.ask(now + SECOND, ['a']).unwrap();
    assert_ne!(first, second);
    assert!(pending.handle_answer(now, second, &'a', 1, None));
    assert_eq!(events(&mut pending), [Event::Done { question: second }]);
    assert!(!pending.handle_answer(now, second, &'a', 1, None), "once");
    assert!(!pending.handle_answer(now, first, &'b', 1, None), "b was not asked");
    assert_eq!((pending.late(), pending.len()), (2, 1));
    assert!(pending.handle_answer(now, first, &'a', 1, Some(Refusal::Dropped)));
    assert_eq!(
        events(&mut pending),
        [missing(first, 'a', Missing::Refused(Refusal::Dropped)), Event::Done { question: first }]
    );
    assert!(pending.is_empty() && pending.poll_timeout().is_none());
}

#[test]
fn a_node_of_several_responders_owes_as_many_answers() {
    let (mut pending, now) = (Pending::default(), Instant::now());
    let all = pending.ask(now + SECOND, ['a', 'b']).unwrap();
    assert!(pending.handle_answer(now, all, &'a', 3, None));
    assert!(pending.handle_answer(now, all, &'b', 1, None));
    assert!(pending.handle_answer(now, all, &'a', 3, Some(Refusal::Dropped)));
    assert_eq!(
        events(&mut pending),
        [missing(all, 'a', Missing::Refused(Refusal::Dropped))],
        "a owes one more"
    );
    assert!(!pending.handle_answer(now, all, &'b', 1, None), "b owes none");
    assert!(pending.handle_answer(now, all, &'a', 3, None));
    assert_eq!(events(&mut pending), [Event::Done { question: all }]);
}

#[test]
fn a_node_without_responders_says_so() {
    let (mut pending, now) = (Pending::default(), Instant::now());
    let asked = pending.ask(now + SECOND, ['a']).unwrap();
    assert!(pending.handle_answer(now, asked, &'a', 0, Some(Refusal::NoResponder)));
    let told = [missing(asked, 'a', Missing::Refused(Refusal::NoResponder)), Event::Done { question: asked }];
    assert_eq!(events(&mut pending), told);
}

#[test]
fn a_node_that_goes_is_missing_in_every_question_that_it_owes() {
    let (mut pending, now) = (Pending::default(), Instant::now());
    let (one, two) =
        (pending.ask(now + SECOND, ['a', 'b']).unwrap(), pending.ask(now + SECOND, ['a']).unwrap());
    let three = pending.ask(now + SECOND, ['b']).unwrap();
    assert!(pending.handle_answer(now, one, &'a', 2, None));
    pending.handle_gone(&'a');
    let gone = |question| missing(question, 'a', Missing::Gone);
    assert_eq!(events(&mut pending), [gone(one), gone(two), Event::Done { question: two }]);
    assert!(!pending.handle_answer(now, one, &'a', 2, None), "it was told gone");
    pending.handle_gone(&'a');
    assert_eq!(events(&mut pending), []);
    assert!(pending.handle_answer(now, three, &'b', 1, None));
}

#[test]
fn what_is_late_is_counted_and_never_given() {
    let (mut pending, now) = (Pending::default(), Instant::now());
    let later = pending.ask(now + 2 * SECOND, ['c']).unwrap();
    let soon = pending.ask(now + SECOND, ['a', 'b']).unwrap();
    assert_eq!(pending.poll_timeout(), Some(now + SECOND));
    assert!(pending.handle_answer(now, soon, &'a', 1, None));
    pending.handle_timeout(now + SECOND - Duration::from_nanos(1));
    assert_eq!(events(&mut pending), []);
    // Nobody looked at the clock before it came.
    assert!(!pending.handle_answer(now + SECOND, soon, &'b', 1, None));
    assert_eq!(events(&mut pending), [missing(soon, 'b', Missing::Late), Event::Done { question: soon }]);
    assert_eq!((pending.late(), pending.poll_timeout()), (1, Some(now + 2 * SECOND)));
    assert!(pending.handle_answer(now + SECOND, later, &'c', 1, None));
}

#[test]
fn what_a_node_owes_no_more_is_settled() {
    let (mut pending, now) = (Pending::default(), Instant::now());
    assert_eq!(pending.settled(&'a'), 0);
    let first = pending.ask(now + SECOND, ['a', 'b']).unwrap();
    let second = pending.ask(now + SECOND, ['a']).unwrap();
    assert_eq!((pending.settled(&'a'), pending.settled(&'c')), (first - 1, second));
    assert!(pending.handle_answer(now, first, &'a', 1, None));
    assert_eq!((pending.settled(&'a'), pending.settled(&'b')), (first, first - 1));
    pending.handle_gone(&'b');
    pending.handle_timeout(now + SECOND);
    assert_eq!((pending.settled(&'a'), pending.settled(&'b')), (second, second));
}

#[test]
fn nobody_hears_of_a_question_that_was_cancelled() {
    let (mut pending, now) = (Pending::default(), Instant::now());
    let asked = pending.ask(now + SECOND, ['a']).unwrap();
    pending.handle_cancelled(asked);
    pending.handle_cancelled(asked);
    assert!(pending.poll_timeout().is_none());
    assert!(!pending.handle_answer(now, asked, &'a', 1, None));
    pending.handle_gone(&'a');
    pending.handle_timeout(now + SECOND);
    assert_eq!((events(&mut pending), pending.late()), (vec![], 1));
}

#[test]
fn a_question_to_nobody_is_done() {
    let (mut pending, now) = (Pending::default(), Instant::now());
    let asked = pending.ask(now + SECOND, []).unwrap();
    assert_eq!(events(&mut pending), [Event::Done { question: asked }]);
}

#[test]
fn what_is_owed_is_bounded_and_room_comes_back() {
    let (mut pending, now) = (Pending::default(), Instant::now());
    let half = MAX_OWED as u32 / 2;
    let first = pending.ask(now + SECOND, 0..half).unwrap();
    let second = pending.ask(now + 2 * SECOND, 0..half).unwrap();
    assert_eq!(pending.ask(now + SECOND, [0]), Err(TooMany));
    assert!(pending.handle_answer(now, first, &7, 1, None));
    pending.ask(now + 3 * SECOND, [0]).unwrap();
    assert_eq!(pending.ask(now + SECOND, [0]), Err(TooMany));
    pending.handle_timeout(now + SECOND);
    pending.handle_cancelled(second);
    let full = pending.ask(now + 3 * SECOND, 1..MAX_OWED as u32).unwrap();
    assert!(pending.handle_answer(now, full, &1, 1, None));
}

/// Whatever comes in whatever order: each question ends once, behind exactly one word of each node that owed.
#[test]
fn every_question_ends_once_with_a_word_of_everyone() {
    for seed in 0..500 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (mut pending, start) = (Pending::default(), Instant::now());
        let mut now = start;
        // Of each question: the nodes that were asked, and the words that they said.
        let mut open: BTreeMap<u64, BTreeMap<char, u64>> = BTreeMap::new();
        let (mut asked, mut ended, mut cancelled) = (0, 0, 0);
        for step in 0..400 {
            let last = step == 399;
            match rng.u8(0..10) {
                0..=3 => {
                    let nodes: Vec<char> = ('a'..='e').filter(|_| rng.bool()).collect();
                    let deadline = now + rng.u32(1..20) * SECOND;
                    let number = pending.ask(deadline, nodes.iter().copied()).unwrap();
                    asked += 1;
                    open.insert(number, nodes.into_iter().map(|node| (node, 0)).collect());
                }
                4..=6 => {
                    let (question, node) = (rng.u64(1..=asked + 1), rng.char('a'..='e'));
                    let refused = rng.bool().then_some(Refusal::Dropped);
                    let taken = pending.handle_answer(now, question, &node, 1, refused);
                    if taken && refused.is_none() {
                        *open.get_mut(&question).unwrap().get_mut(&node).unwrap() += 1;
                    }
                }
                7 => pending.handle_gone(&rng.char('a'..='e')),
                8 => {
                    let question = rng.u64(1..=asked + 1);
                    // What was told of it before it was cancelled is told all the same.
                    if events(&mut pending).is_empty() && open.remove(&question).is_some() {
                        pending.handle_cancelled(question);
                        cancelled += 1;
                    }
                }
                _ => now += SECOND,
            }
            if last {
                now += 20 * SECOND;
            }
            pending.handle_timeout(now);
            for event in events(&mut pending) {
                match event {
                    Event::Missing { question, node, .. } => {
                        *open.get_mut(&question).unwrap().get_mut(&node).unwrap() += 1;
                    }
                    Event::Done { question } => {
                        let words = open.remove(&question).expect("it ends once");
                        assert!(words.values().all(|words| *words == 1), "seed {seed}: {words:?}");
                        ended += 1;
                    }
                }
            }
        }
        assert_eq!((ended + cancelled, open.len(), pending.owed), (asked, 0, 0), "seed {seed}");
        assert!(pending.is_empty() && pending.poll_timeout().is_none(), "seed {seed}");
    }
}
