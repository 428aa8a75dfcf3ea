//! Questions that wait for answers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use talkie_pubsub::proto::exchange::Refusal;
use talkie_pubsub::proto::pending::{Event, Missing, Pending};

use crate::feed::{Feed, begin};

/// What the model knows of a question: until when it waits, and for how many answers of whom.
#[derive(Debug)]
struct Question {
    deadline: Instant,
    owing: BTreeMap<u8, Option<u64>>,
}

/// Each question ends once: when each that was asked has answered, refused, gone or is late, and then it is told so and never spoken of
/// again. Exactly those who owe an answer are heard, and told as missing. In the end nobody owes anything.
pub fn run(data: &[u8]) {
    let (mut feed, mut now) = (Feed::new(data), begin());
    let mut pending: Pending<u8> = Pending::default();
    let mut open: BTreeMap<u64, Question> = BTreeMap::new();
    let mut late = 0;
    let mut expected = Vec::new();
    while feed.more() {
        match feed.byte() % 8 {
            0 | 1 => {
                let deadline = now + feed.pause();
                let asked: BTreeSet<u8> = feed.bytes(4).iter().map(|node| node % 6).collect();
                let number = pending.ask(deadline, asked.iter().copied()).expect("there are few");
                assert!(open.keys().all(|known| *known < number));
                open.insert(number, Question { deadline, owing: asked.iter().map(|node| (*node, None)).collect() });
                finish(&mut open, &mut expected);
            }
            2..5 => {
                let question = match open.keys().nth(feed.below(4)) {
                    Some(number) => *number,
                    None => feed.number(),
                };
                let (node, of) = (feed.byte() % 6, feed.number());
                let why = [None, Some(Refusal::Dropped), None, Some(Refusal::NoRoom)][feed.below(4)];
                lapse(&mut open, now, &mut expected);
                let awaited = pending.handle_answer(now, question, &node, of, why);
                let left = open.get_mut(&question).and_then(|it| it.owing.get_mut(&node));
                assert_eq!(awaited, left.is_some());
                let Some(left) = left else {
                    late += 1;
                    continue;
                };
                let fewer = left.unwrap_or(of).saturating_sub(1);
                *left = Some(fewer);
                if let Some(why) = why {
                    expected.push(Event::Missing { question, node, why: Missing::Refused(why) });
                }
                if fewer == 0 {
                    open.get_mut(&question).expect("so").owing.remove(&node);
                }
                finish(&mut open, &mut expected);
            }
            5 => {
                let node = feed.byte() % 6;
                pending.handle_gone(&node);
                for (question, it) in &mut open {
                    if it.owing.remove(&node).is_some() {
                        let (question, why) = (*question, Missing::Gone);
                        expected.push(Event::Missing { question, node, why });
                        if it.owing.is_empty() {
                            expected.push(Event::Done { question });
                        }
                    }
                }
                open.retain(|_, it| !it.owing.is_empty());
            }
            6 => {
                let (at, other) = (feed.below(4), feed.number());
                let question = open.keys().nth(at).copied().unwrap_or(other);
                pending.handle_cancelled(question);
                open.remove(&question);
            }
            _ => {
                now += feed.pause();
                pending.handle_timeout(now);
                assert!(pending.poll_timeout().is_none_or(|due| due > now));
                lapse(&mut open, now, &mut expected);
            }
        }
        let told: Vec<_> = std::iter::from_fn(|| pending.poll_event()).collect();
        assert_eq!(told, std::mem::take(&mut expected));
        assert_eq!((pending.len(), pending.is_empty()), (open.len(), open.is_empty()));
        assert_eq!(pending.poll_timeout(), open.values().map(|it| it.deadline).min());
        for node in 0..6 {
            let oldest = open.iter().find(|(_, it)| it.owing.contains_key(&node)).map(|(number, _)| *number);
            assert!(oldest.is_none_or(|oldest| pending.settled(&node) == oldest - 1));
        }
    }
    assert_eq!(pending.late(), late);
    pending.handle_timeout(now + Duration::from_secs(86_400));
    assert!(pending.is_empty() && pending.poll_timeout().is_none());
}

/// Those whose time is over.
fn lapse(open: &mut BTreeMap<u64, Question>, now: Instant, expected: &mut Vec<Event<u8>>) {
    let mut over: Vec<(Instant, u64)> = open.iter().map(|(number, it)| (it.deadline, *number)).collect();
    over.retain(|(deadline, _)| *deadline <= now);
    over.sort_unstable();
    for (_, question) in over {
        for node in open.remove(&question).expect("it is there").owing.into_keys() {
            expected.push(Event::Missing { question, node, why: Missing::Late });
        }
        expected.push(Event::Done { question });
    }
}

/// Those that nobody owes anything for.
fn finish(open: &mut BTreeMap<u64, Question>, expected: &mut Vec<Event<u8>>) {
    let done: Vec<u64> = open.iter().filter(|(_, it)| it.owing.is_empty()).map(|(number, _)| *number).collect();
    for question in done {
        open.remove(&question);
        expected.push(Event::Done { question });
    }
}
