//! What was published against what each subscriber printed: nothing twice, nothing out of order, nothing
//! unasked, and nothing lost without a count.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
};

use serde_json::Value;

use crate::{lines, process::Process};

/// The history of a mesh, filled by a test and checked at its end.
///
/// A message is known by its publisher, topic and payload, so the payloads of one publisher on one topic
/// must differ (a running number does). The ledger shares no code with the product, the matching of
/// patterns included.
#[derive(Debug, Default)]
pub struct Ledger {
    publishers: BTreeMap<String, Publisher>,
    subscribers: BTreeMap<String, Subscriber>,
}

#[derive(Debug, Default)]
struct Publisher {
    /// In the order of publishing.
    published: Vec<(String, Vec<u8>)>,
    died: bool,
}

#[derive(Debug)]
struct Subscriber {
    pattern: String,
    /// By publisher: how much it had published when it counted this subscriber. Without an entry the
    /// subscriber is owed everything.
    owed_from: HashMap<String, usize>,
    events: Vec<Event>,
}

#[derive(Debug)]
enum Event {
    Message { from: String, topic: String, payload: Vec<u8> },
    Gap { from: String, missed: u64, at_least: bool },
}

/// What a check that found nothing wrong has counted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Totals {
    /// Messages that subscribers printed.
    pub delivered: u64,
    /// Messages that exact gaps counted.
    pub missed: u64,
    /// Messages owed that only the lower bound of a gap, or a publisher's death, accounts for.
    pub uncounted: u64,
}

/// One broken promise.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Violation {
    /// A message nobody published.
    Unknown {
        /// Who printed it.
        subscriber: String,
        /// What it printed.
        what: String,
    },
    /// A message on a topic that the pattern does not match.
    Unasked {
        /// Who printed it.
        subscriber: String,
        /// The topic.
        topic: String,
    },
    /// The same message again.
    Twice {
        /// Who printed it.
        subscriber: String,
        /// What it printed.
        what: String,
    },
    /// A message after a later one of the same publisher and topic.
    OutOfOrder {
        /// Who printed it.
        subscriber: String,
        /// What it printed.
        what: String,
    },
    /// A hole in the stream that the gaps at that place do not count exactly.
    Misplaced {
        /// Who printed it.
        subscriber: String,
        /// The message after the hole.
        what: String,
        /// How many messages are missing there.
        hole: u64,
        /// How many the gaps there count.
        counted: u64,
    },
    /// Delivered and missed are not what was owed.
    Lost {
        /// Who was owed.
        subscriber: String,
        /// By whom.
        publisher: String,
        /// How many messages it was owed, at least.
        owed: u64,
        /// How many could have reached it, those before it was counted included.
        possible: u64,
        /// How many it printed.
        delivered: u64,
        /// How many its gaps count.
        missed: u64,
    },
    /// A gap that says nothing.
    EmptyGap {
        /// Who printed it.
        subscriber: String,
    },
}

impl Ledger {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// `publisher` (its node id) published this, after all that was recorded of it before.
    pub fn published(&mut self, publisher: &str, topic: &str, payload: impl Into<Vec<u8>>) {
        self.publisher(publisher).published.push((topic.to_owned(), payload.into()));
    }

    /// The publisher died: what it still owed is told by its `peer_down`, without a count.
    pub fn died(&mut self, publisher: &str) {
        self.publisher(publisher).died = true;
    }

    /// A subscriber with one pattern. It is owed all that is recorded of every publisher, unless
    /// [`Ledger::counted`] says otherwise.
    pub fn subscribes(&mut self, subscriber: &str, pattern: &str) {
        let new = Subscriber { pattern: pattern.to_owned(), owed_from: HashMap::new(), events: Vec::new() };
        self.subscribers.insert(subscriber.to_owned(), new);
    }

    /// From here on `publisher` counts `subscriber`; what it published before may arrive or not.
    ///
    /// # Panics
    /// If the subscriber is unknown.
    pub fn counted(&mut self, subscriber: &str, publisher: &str) {
        let so_far = self.publisher(publisher).published.len();
        let subscriber = self.subscribers.get_mut(subscriber).expect("a subscriber of this ledger");
        subscriber.owed_from.insert(publisher.to_owned(), so_far);
    }

    /// A line that the subscriber printed; lines that are no message and no gap are passed over.
    ///
    /// # Panics
    /// If the subscriber is unknown or the line is not as the contract has it.
    pub fn printed(&mut self, subscriber: &str, line: &Value) {
        let subscriber = self.subscribers.get_mut(subscriber).expect("a subscriber of this ledger");
        let text = |field: &str| line[field].as_str().expect(field).to_owned();
        match line["event"].as_str() {
            Some("message") => {
                let payload = lines::payload(line).expect("a payload");
                subscriber.events.push(Event::Message { from: text("node"), topic: text("topic"), payload });
            }
            Some("gap") => {
                let missed = line["missed"].as_u64().expect("missed");
                let at_least = line["at_least"] == true;
                subscriber.events.push(Event::Gap { from: text("node"), missed, at_least });
            }
            _ => {}
        }
    }

    /// All that a subscriber's process has printed so far.
    pub fn printed_all(&mut self, subscriber: &str, process: &Process) {
        for line in process.events(&["message", "gap"]) {
            self.printed(subscriber, &line);
        }
    }

    /// Checks every subscriber against every publisher.
    ///
    /// # Errors
    /// Every broken promise found.
    pub fn check(&self) -> Result<Totals, Vec<Violation>> {
        let mut totals = Totals::default();
        let mut violations = Vec::new();
        for (name, subscriber) in &self.subscribers {
            for (id, publisher) in &self.publishers {
                let pair = Pair { name, subscriber, id, publisher };
                pair.check(&mut totals, &mut violations);
            }
            for event in &subscriber.events {
                let (Event::Message { from, .. } | Event::Gap { from, .. }) = event;
                if !self.publishers.contains_key(from) {
                    violations.push(Violation::Unknown { subscriber: name.clone(), what: event.to_string() });
                }
            }
        }
        if violations.is_empty() { Ok(totals) } else { Err(violations) }
    }

    /// As [`Ledger::check`], for the end of a test.
    ///
    /// # Panics
    /// With the first violations, if there are any.
    #[track_caller]
    pub fn balance(&self) -> Totals {
        match self.check() {
            Ok(totals) => totals,
            Err(violations) => {
                let first: Vec<_> = violations.iter().take(10).collect();
                panic!("{} broken promises, the first: {first:#?}", violations.len())
            }
        }
    }

    fn publisher(&mut self, id: &str) -> &mut Publisher {
        self.publishers.entry(id.to_owned()).or_default()
    }
}

/// One subscriber and what it heard of one publisher.
struct Pair<'a> {
    name: &'a str,
    subscriber: &'a Subscriber,
    id: &'a str,
    publisher: &'a Publisher,
}

impl Pair<'_> {
    fn check(&self, totals: &mut Totals, violations: &mut Vec<Violation>) {
        let asked: Vec<(usize, &(String, Vec<u8>))> = (self.publisher.published.iter().enumerate())
            .filter(|(_, (topic, _))| matches(&self.subscriber.pattern, topic))
            .collect();
        let places: HashMap<(&str, &[u8]), usize> = (asked.iter().enumerate())
            .map(|(place, (_, (t, p)))| ((t.as_str(), p.as_slice()), place))
            .collect();
        let owed_from = self.subscriber.owed_from.get(self.id).copied().unwrap_or(0);
        let optional = asked.iter().take_while(|(number, _)| *number < owed_from).count();
        let one_topic = asked.windows(2).all(|pair| pair[0].1.0 == pair[1].1.0);

        let mut seen = HashSet::new();
        let mut last: HashMap<&str, usize> = HashMap::new();
        let (mut delivered, mut missed) = (0, 0);
        let mut any_at_least = false;
        // Since the last message: what gaps counted, and whether that is exact.
        let (mut here, mut here_exact) = (0, true);
        let mut expected = 0;
        for event in &self.subscriber.events {
            match event {
                Event::Message { from, topic, payload } if from == self.id => {
                    let what = || event.to_string();
                    let subscriber = self.name.to_owned();
                    if !matches(&self.subscriber.pattern, topic) {
                        violations.push(Violation::Unasked { subscriber, topic: topic.clone() });
                        continue;
                    }
                    let Some(&place) = places.get(&(topic.as_str(), payload.as_slice())) else {
                        violations.push(Violation::Unknown { subscriber, what: what() });
                        continue;
                    };
                    if !seen.insert(place) {
                        violations.push(Violation::Twice { subscriber, what: what() });
                        continue;
                    }
                    delivered += 1;
                    if last.get(topic.as_str()).is_some_and(|&before| before > place) {
                        violations.push(Violation::OutOfOrder { subscriber, what: what() });
                        continue;
                    }
                    last.insert(topic, place);
                    // Only the order within a topic is promised, so a place is known only where there
                    // is one topic; what came before the subscriber was counted may be missing.
                    if one_topic {
                        let hole = place.saturating_sub(expected) as u64;
                        let unpromised = optional.saturating_sub(expected) as u64;
                        let most = if here_exact { hole } else { u64::MAX };
                        let least = if here_exact { hole.saturating_sub(unpromised) } else { 0 };
                        let fits =
                            (here_exact && (least..=most).contains(&here)) || (!here_exact && here <= hole);
                        if !fits {
                            let what = what();
                            violations.push(Violation::Misplaced { subscriber, what, hole, counted: here });
                        }
                        expected = place + 1;
                    }
                    (here, here_exact) = (0, true);
                }
                Event::Gap { from, missed: count, at_least } if from == self.id => {
                    if *count == 0 && !at_least {
                        violations.push(Violation::EmptyGap { subscriber: self.name.to_owned() });
                    }
                    missed += count;
                    here += count;
                    here_exact &= !at_least;
                    any_at_least |= at_least;
                }
                _ => {}
            }
        }

        let possible = asked.len() as u64;
        let owed = possible - optional as u64;
        let told = delivered + missed;
        let short_is_fine = any_at_least || self.publisher.died;
        // What arrived of the optional ones does not pay for owed ones.
        let early = seen.iter().filter(|&&place| place < optional).count() as u64;
        let paid = told.saturating_sub(early);
        if told > possible || (paid < owed && !short_is_fine) {
            violations.push(Violation::Lost {
                subscriber: self.name.to_owned(),
                publisher: self.id.to_owned(),
                owed,
                possible,
                delivered,
                missed,
            });
        }
        totals.delivered += delivered;
        totals.missed += missed;
        totals.uncounted += owed.saturating_sub(paid);
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message { from, topic, payload } => {
                let start = String::from_utf8_lossy(&payload[..payload.len().min(40)]);
                write!(f, "{start:?} on {topic} from {from}")
            }
            Self::Gap { from, missed, at_least } => {
                write!(f, "gap of {missed} (at least: {at_least}) from {from}")
            }
        }
    }
}

/// CONTRACT's patterns: `*` is one segment, `**` any number of them.
fn matches(pattern: &str, topic: &str) -> bool {
    fn segments(pattern: &[&str], topic: &[&str]) -> bool {
        match (pattern, topic) {
            ([], []) => true,
            (["**", rest @ ..], _) => (0..=topic.len()).any(|skip| segments(rest, &topic[skip..])),
            (["*", rest @ ..], [_, topic @ ..]) => segments(rest, topic),
            ([word, rest @ ..], [first, topic @ ..]) if word == first => segments(rest, topic),
            _ => false,
        }
    }
    segments(&pattern.split('/').collect::<Vec<_>>(), &topic.split('/').collect::<Vec<_>>())
}

#[cfg(test)]
mod tests;
