//! Large messages between hosts: whole, in order, never lost silently, and never in the way of small ones.
#![allow(clippy::disallowed_methods, reason = "how long a message takes is measured in real time")]

use std::time::{Duration, Instant};

use serde_json::Value;
use talkie_tests::{
    SOON,
    crowd::settles,
    figures::{Figure, rounds},
    hosts::{Fault, Host, Lan, require_root},
    ledger::{Ledger, Totals},
    mesh::{Member, keygen},
    service::{SMALL, payload, publish},
};

const SERVICE: &str = env!("CARGO_BIN_EXE_talkie-service");

/// What is promised to leave room to small ones.
const LARGE: usize = 16 << 20;

/// A debug build on a busy machine takes seconds to print and compare a large message.
const PATIENCE: Duration = Duration::from_secs(40);

/// A service on host 1 and a subscriber to all of its topics on host 2, both of which take large messages.
struct Pair {
    publisher: Member,
    sub: Member,
    ledger: Ledger,
    number: u64,
}

impl Pair {
    fn new(lan: &Lan) -> Self {
        let secret = keygen();
        let most = ["--max-message".to_owned(), LARGE.to_string()];
        let sub = Member::start(lan.host(2).talkie("sub", &secret).name("sub").arg("data/*").args(most));
        let start = |host: Host<'_>| {
            let service = host.service(SERVICE, &secret, "service", "unused", 0);
            Member::start(service.env("TALKIE_MAX_MESSAGE", LARGE.to_string()))
        };
        let mut pair = Self { publisher: start(lan.host(1)), sub, ledger: Ledger::new(), number: 0 };
        pair.ledger.subscribes("sub", "data/*");
        pair.publisher.meets(&pair.sub);
        // Until it is counted: what comes before may arrive or not.
        let mut nodes = Value::from(0);
        while nodes == 0 {
            pair.publish("data/first", SMALL);
            nodes = pair.publisher.next("published").get("nodes").cloned().unwrap_or_default();
        }
        pair.ledger.counted("sub", &pair.publisher.id);
        pair
    }

    /// Publishes the next message; gives its number.
    fn publish(&mut self, topic: &str, bytes: usize) -> u64 {
        self.publisher.feed(publish(topic, bytes));
        self.ledger.published(&self.publisher.id, topic, payload(self.number, bytes));
        self.number += 1;
        self.number - 1
    }

    /// Waits until the subscriber has this message; gives the moment when it came.
    #[track_caller]
    fn has(&self, number: u64) -> Instant {
        let begins = format!("{number:08}");
        let is_it = |line: &Value| line["payload"].as_str().is_some_and(|it| it.starts_with(&begins));
        self.sub.sees_line("message", is_it, PATIENCE).at
    }

    /// How many large ones have arrived.
    fn large(&self) -> usize {
        self.sub.events(&["message"]).iter().filter(|line| line["topic"] == "data/large").count()
    }

    #[track_caller]
    fn balance(mut self) {
        self.ledger.printed_all("sub", &self.sub);
        let totals = self.ledger.balance();
        assert_eq!((totals.missed, totals.uncounted), (0, 0), "{totals:?}");
        assert_ne!(totals, Totals::default());
    }
}

#[test]
fn small_messages_flow_while_a_large_one_crosses_a_slow_link() {
    if !require_root() {
        return;
    }
    let lan = Lan::new(2);
    let mut small = Figure::new("a small message beside 16 MiB at 40 Mbit/s", Duration::from_millis(200));
    for _ in 0..rounds(1) {
        let mut pair = Pair::new(&lan);
        // 16 MiB take three and a half seconds.
        let slow = lan.inject(Fault::Rate(1, 0, 40_000));
        let large = pair.publish("data/large", LARGE);
        let mut beside = 0;
        while pair.large() == 0 {
            let (from, number) = (Instant::now(), pair.publish("data/small", SMALL));
            let arrived = pair.has(number);
            if pair.large() == 0 {
                small.between(from, arrived);
                beside += 1;
            }
        }
        assert!(beside >= 20, "{beside} small messages arrived before the large one");
        pair.has(large);
        slow.heal();
        pair.balance();
    }
}

#[test]
fn what_breaks_in_the_middle_of_a_large_message_costs_nobody_anything() {
    if !require_root() {
        return;
    }
    let lan = Lan::new(2);
    for fault in [Fault::Reset(1, 2), Fault::Isolate(vec![1, 2]), Fault::NoCarrier(2, 0)] {
        let mut pair = Pair::new(&lan);
        let slow = lan.inject(Fault::Rate(1, 0, 40_000));
        let before = lan.host(1).sent(0);
        let large = pair.publish("data/large", LARGE);
        let after = pair.publish("data/large", SMALL);
        let first = pair.publish("data/small", SMALL);
        settles(SOON, "a third of it has left", || lan.host(1).sent(0) - before > LARGE as u64 / 3);
        assert_eq!(pair.large(), 0, "it is in the middle");
        let lasts = !matches!(fault, Fault::Reset(..));
        let broken = lan.inject(fault);
        let during = pair.publish("data/small", SMALL);
        if lasts {
            pair.sub.expect("peer_down", |line| line["node"] == *pair.publisher.id, SOON);
        }
        broken.heal();
        let last = pair.publish("data/small", SMALL);
        for number in [first, during, last, large, after] {
            pair.has(number);
        }
        slow.heal();
        pair.balance();
    }
}
