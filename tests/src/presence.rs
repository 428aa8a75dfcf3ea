//! `talkie-presence`: a program as an author writes it, for presence, which no command shows. This module is both ends of it:
//! what a test tells it, and how it is started.

use serde_json::Value;

use crate::{SOON, command::Talkie, hosts::Host, mesh::Member, mesh::Mesh};

/// A line of its standard input.
#[allow(clippy::exhaustive_enums, reason = "both ends of it are here")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Track a key with a meta.
    Track(String, String),
    /// Another meta for it.
    Update(String, String),
    /// Drop it.
    Untrack(String),
    /// Track so many keys.
    Many(usize),
    /// Print what is listed.
    List,
}

impl Order {
    /// An order from its line.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["track", key, meta] => Some(Self::Track(key.to_owned(), meta.to_owned())),
            ["update", key, meta] => Some(Self::Update(key.to_owned(), meta.to_owned())),
            ["untrack", key] => Some(Self::Untrack(key.to_owned())),
            ["many", keys] => keys.parse().ok().map(Self::Many),
            ["list"] => Some(Self::List),
            _ => None,
        }
    }
}

/// How many keys a service tracks from its start, and how many it lists when it says `complete`; 0: it tells each change.
#[derive(Debug, Clone, Copy, Default)]
pub struct Keys {
    /// Its own.
    pub own: usize,
    /// All.
    pub target: usize,
}

impl Mesh {
    /// The service on loopback. `program` is its path, which only a test knows.
    pub fn presence(&self, program: &str, name: &str, keys: Keys) -> Talkie {
        with(Talkie::program(program, name), name, keys)
            .env("TALKIE_SECRET", self.secret())
            .env("TALKIE_GROUP", self.group().to_string())
            .env("TALKIE_LISTEN", "127.0.0.1:0")
            .env("TALKIE_INTERFACE", "lo")
    }
}

impl Host<'_> {
    /// The service on this host.
    pub fn presence(self, program: &str, secret: &str, name: &str, keys: Keys) -> Talkie {
        with(Talkie::program(program, name), name, keys).env("TALKIE_SECRET", secret).host(&self.namespace())
    }
}

fn with(command: Talkie, name: &str, keys: Keys) -> Talkie {
    command.env("TALKIE_NAME", name).arg("t").arg(keys.own.to_string()).arg(keys.target.to_string())
}

impl Member {
    /// Waits for that to happen to a key, and gives the line.
    ///
    /// # Panics
    /// If it does not happen soon.
    #[track_caller]
    pub fn tells(&self, event: &str, key: &str) -> Value {
        self.expect(event, |line| line["key"] == *key, SOON)
    }

    /// What the service lists now: how many, and a number that is the same where the lists are.
    ///
    /// # Panics
    /// If it does not tell soon.
    #[track_caller]
    pub fn lists(&mut self) -> (u64, u64) {
        self.feed("list");
        let line = self.next("listed");
        (line["count"].as_u64().expect("a count"), line["digest"].as_u64().expect("a digest"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read() {
        assert_eq!(Order::parse("track a b"), Some(Order::Track("a".into(), "b".into())));
        assert_eq!(Order::parse("many 12"), Some(Order::Many(12)));
        assert_eq!(Order::parse("track a"), None);
    }
}
