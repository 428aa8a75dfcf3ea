//! `talkie-service`: a program as an author writes it with the library, for what no single command does, as publishing
//! on two topics over one link, or publishing and subscribing in one process.
//!
//! It reads what to publish from its standard input and prints the lines of the command, with one `published` for each
//! message. This module is both ends of that: what a test writes, and what a payload looks like.

use std::{fmt::Write as _, time::Instant};

use serde_json::Value;

use crate::{SOON, command::Talkie, feeder::Feeder, hosts::Host, ledger::Ledger, mesh::Member};

/// A filler's part: long enough to be cheap, short enough that a piece out of place is noticed.
const PART: usize = 1024;

/// The bytes of a message whose length does not matter.
pub const SMALL: usize = 16;

/// The payload of a service's message of this number: the number, and text that is different everywhere, so that it
/// is whole where it is equal. At least 8 bytes.
#[must_use]
pub fn payload(number: u64, bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + PART);
    let _ = write!(text, "{number:08}");
    while text.len() < bytes {
        let _ = write!(text, "{:>width$}", text.len(), width = PART);
    }
    text.truncate(bytes.max(8));
    text
}

/// The line that tells a service to publish its next message on this topic.
#[must_use]
pub fn publish(topic: &str, bytes: usize) -> String {
    format!("{topic} {bytes}")
}

/// A service that publishes at a steady pace and tells of each message to how many nodes it went.
#[derive(Debug)]
pub struct Steady {
    /// The service.
    pub member: Member,
    topic: String,
    feeder: Feeder,
}

impl Steady {
    /// So many messages a second on this topic, from now on.
    pub fn start(mut member: Member, topic: &str, per_second: u32) -> Self {
        let line = publish(topic, SMALL);
        let feeder = Feeder::start(member.take_stdin(), per_second, move |_| line.clone());
        Self { member, topic: topic.to_owned(), feeder }
    }

    /// Waits for a message, of those that are published from now on, that goes to so many nodes; gives its number and
    /// when it was published.
    ///
    /// # Panics
    /// If that does not come soon.
    #[track_caller]
    pub fn counts(&self, nodes: usize) -> (u64, Instant) {
        let from = self.member.count("published");
        let is_it = |line: &Value| line["nodes"] == nodes && line["number"].as_u64() >= Some(from as u64);
        let line = self.member.sees_line("published", is_it, SOON);
        (line.json.expect("an event is JSON")["number"].as_u64().expect("a number"), line.at)
    }

    /// To how many nodes each message went so far.
    pub fn counted(&self) -> Vec<u64> {
        let lines = self.member.events(&["published"]);
        lines.iter().map(|line| line["nodes"].as_u64().expect("a number of nodes")).collect()
    }

    /// Ends the publishing and records in the ledger what was published, of which each of `subs` is owed what came from
    /// its number on; waits until each has the last message, and records what it printed.
    ///
    /// # Panics
    /// If that does not come soon.
    #[track_caller]
    pub fn account(self, ledger: &mut Ledger, subs: &[(&Member, u64)]) -> u64 {
        let count = self.feeder.finish(SOON);
        self.member.expect_count("published", count as usize, SOON);
        for (sub, _) in subs {
            ledger.subscribes(&sub.id, &self.topic);
        }
        for number in 0..count {
            for (sub, _) in subs.iter().filter(|(_, from)| *from == number) {
                ledger.counted(&sub.id, &self.member.id);
            }
            ledger.published(&self.member.id, &self.topic, payload(number, SMALL));
        }
        let last = Value::from(payload(count - 1, SMALL));
        for (sub, _) in subs {
            sub.expect(
                "message",
                |line| line["payload"] == last && line["node"] == *self.member.id,
                SOON + SOON,
            );
            ledger.printed_all(&sub.id, sub);
        }
        count
    }
}

impl Host<'_> {
    /// A service on this host: it subscribes to this pattern, and publishes so many messages on `greeting`, one a
    /// millisecond, whenever it meets another node. `program` is its path, which only a test knows.
    pub fn service(self, program: &str, secret: &str, name: &str, pattern: &str, greetings: u32) -> Talkie {
        let command = Talkie::program(program, name).env("TALKIE_SECRET", secret).env("TALKIE_NAME", name);
        command.arg(pattern).arg(greetings.to_string()).host(&self.namespace())
    }

    /// The same, joined and its subscription in force.
    #[track_caller]
    pub fn serve(self, program: &str, secret: &str, name: &str, pattern: &str) -> Member {
        let member = Member::start(self.service(program, secret, name, pattern, 0));
        member.next("subscribed");
        member
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_has_its_length_and_no_two_equal_parts() {
        for bytes in [8, 9, 1032, 100_000] {
            let payload = payload(7, bytes);
            assert_eq!(payload.len(), bytes);
            assert!(payload.starts_with("00000007"));
        }
        let long = payload(7, 100_000);
        let parts: std::collections::HashSet<_> = long.as_bytes()[8..].chunks(PART).collect();
        assert_eq!(parts.len(), 100_000usize.div_ceil(PART));
        assert_eq!(payload(7, 0), "00000007");
    }
}
