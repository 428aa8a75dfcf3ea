//! What is kept for late subscribers.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use bytes::Bytes;
use talkie_pubsub::proto::headers::Headers;
use talkie_pubsub::proto::history::{Histories, MAX_ALL_BYTES, Past};
use talkie_pubsub::{Audience, History, Pattern, Topic};

use crate::feed::{Feed, begin, node};

static FILL: [u8; 6_000] = [7; 6_000];
const TOPICS: [&str; 4] = ["a", "a/b", "b", "b/c"];
const PATTERNS: [&str; 4] = ["**", "a/*", "b", "*/**"];

/// The model of one topic.
struct Kept {
    users: usize,
    last: usize,
    bytes: usize,
    within: Option<Duration>,
    messages: Vec<(Instant, u64, usize, Audience)>,
}

/// What is given is the newest that was published and is for the asker: no more, no older and no longer than was asked for, in its
/// order, and nothing between two of a topic is left out. A subscription is given its history once. Without a publisher nothing is kept.
pub fn run(data: &[u8]) {
    let (mut feed, mut now, mut seq) = (Feed::new(data), begin(), 0);
    let mut histories = Histories::default();
    let mut kept: BTreeMap<&str, Kept> = BTreeMap::new();
    let mut served: HashMap<(u8, u64), u64> = HashMap::new();
    let most = 1 + feed.below(200) * 64;
    while feed.more() {
        let name = TOPICS[feed.below(4)];
        let topic: Topic = name.parse().expect("a topic");
        match feed.byte() % 12 {
            0 | 1 => {
                let (last, bytes) = (feed.below(12), feed.number() as usize % 40_000 * feed.below(12));
                let mut history = History::last(last).bytes(bytes);
                let within = feed.flag().then(|| feed.pause());
                if let Some(within) = within {
                    history = history.within(within);
                }
                histories.keep(&topic, history, most).expect("there is room");
                let known = kept.entry(name).or_insert_with(|| Kept {
                    users: 0,
                    last,
                    bytes,
                    within,
                    messages: Vec::new(),
                });
                (known.users, known.last, known.bytes, known.within) = (known.users + 1, last, bytes, within);
                known.trim(None);
            }
            2 => {
                histories.release(&topic);
                if let Some(known) = kept.get_mut(name) {
                    known.users -= 1;
                    if known.users == 0 {
                        kept.remove(name);
                    }
                }
            }
            3..7 => {
                seq += 1;
                let len = feed.below(20) * usize::from(feed.byte());
                let audience = [Audience::All, Audience::Here, Audience::Others, Audience::Node(node(1))][feed.below(4)];
                histories.push(now, &topic, seq, &Headers::new(), &Bytes::from_static(&FILL[..len]), audience);
                if let Some(known) = kept.get_mut(name).filter(|_| !matches!(audience, Audience::Node(_))) {
                    if len + 192 > known.bytes {
                        known.messages.clear();
                    } else {
                        known.messages.push((now, seq, len + 192, audience));
                        known.trim(Some(now));
                    }
                }
            }
            7 | 8 => {
                let pattern: Pattern = PATTERNS[feed.below(4)].parse().expect("a pattern");
                let mut all = Vec::new();
                for (name, known) in &mut kept {
                    if pattern.matches(&name.parse().expect("a topic")) {
                        known.trim(Some(now));
                        all.extend(known.messages.iter().map(|(_, seq, bytes, audience)| (*seq, *bytes, *audience)));
                    }
                }
                all.sort_unstable_by_key(|(seq, ..)| *seq);
                let here = histories.past_here(now, &pattern);
                let wanted = all.iter().filter(|(.., audience)| *audience != Audience::Others);
                assert!(numbers(&here).eq(wanted.map(|(seq, ..)| *seq)));
                let (older, there) = histories.past_there(now, &pattern);
                all.retain(|(.., audience)| *audience != Audience::Here);
                let mut sum = 0;
                let given = all.iter().rev().take_while(|(_, bytes, _)| {
                    sum += bytes;
                    sum <= most
                });
                let given = given.count();
                assert_eq!(older as usize, all.len() - given);
                assert!(numbers(&there).eq(all.iter().skip(all.len() - given).map(|(seq, ..)| *seq)));
            }
            9 => {
                let (who, interest, epoch) = (feed.byte() % 3, feed.number() % 4, feed.number());
                let asked = if feed.flag() { epoch } else { feed.number().min(epoch) };
                let before = served.get(&(who, interest)).copied();
                let from = histories.serve(node(usize::from(who)), interest, epoch, asked);
                match (from, before) {
                    (Some(from), None) => assert_eq!(from, 0),
                    (Some(from), Some(before)) => assert!(from == before + 1 && before < asked, "given twice"),
                    (None, before) => assert!(before.is_some_and(|before| before >= asked), "never given"),
                }
                served.insert((who, interest), before.unwrap_or(0).max(epoch));
            }
            10 => {
                let (who, interest) = (feed.byte() % 3, feed.number() % 4);
                histories.ended(node(usize::from(who)), interest);
                served.remove(&(who, interest));
            }
            _ => now += feed.pause(),
        }
        let bytes: usize = kept.values().map(|known| known.messages.iter().map(|(_, _, bytes, _)| bytes).sum::<usize>()).sum();
        assert!(histories.bytes() <= kept.values().map(|known| known.bytes).sum::<usize>().min(MAX_ALL_BYTES));
        assert!(histories.bytes() == bytes || kept.values().any(|known| known.within.is_some()));
        assert_eq!(histories.is_empty(), kept.is_empty());
    }
    for (name, known) in kept {
        (0..known.users).for_each(|_| histories.release(&name.parse().expect("a topic")));
    }
    assert!(histories.is_empty() && histories.bytes() == 0);
}

impl Kept {
    fn trim(&mut self, now: Option<Instant>) {
        if let (Some(now), Some(within)) = (now, self.within) {
            let young = self.messages.iter().position(|(at, ..)| now - *at <= within);
            self.messages.drain(..young.unwrap_or(self.messages.len()));
        }
        let mut sum = 0;
        let fit = self.messages.iter().rev().take(self.last).take_while(|(_, _, bytes, _)| {
            sum += bytes;
            sum <= self.bytes
        });
        let fit = fit.count();
        self.messages.drain(..self.messages.len() - fit);
    }
}

fn numbers(past: &[Past]) -> impl Iterator<Item = u64> {
    past.iter().map(|past| past.seq)
}
