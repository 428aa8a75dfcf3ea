//! `talkie-service`: a program as an author writes it with the library, for what no single command does, as publishing
//! on two topics over one link, or publishing and subscribing in one process.
//!
//! It reads what to publish from its standard input and prints the lines of the command, with one `published` for each
//! message. This module is both ends of that: what a test writes, and what a payload looks like.

use std::fmt::Write as _;

use crate::{command::Talkie, hosts::Host, mesh::Member};

/// A filler's part: long enough to be cheap, short enough that a piece out of place is noticed.
const PART: usize = 1024;

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
