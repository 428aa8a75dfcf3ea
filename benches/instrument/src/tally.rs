//! What a subscriber got.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::latencies::Latencies;
use crate::stamp::{Kind, Stamp};

/// Counts a subscriber's arrivals by their numbers, and how long each took.
///
/// Of the numbers it keeps only where holes are, so an arrival in order costs no memory. Of more than a million holes
/// the oldest is closed: what comes for it after all counts as doubled.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// From when each was due until it arrived.
    pub from_due: Latencies,
    /// From just before the publish call until it arrived.
    pub from_sent: Latencies,
    seen: Seen,
}

/// Numbers of messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Arrivals, each number once.
    pub received: u64,
    /// Numbers that never came.
    pub lost: u64,
    /// Arrivals of a number that had come before.
    pub doubled: u64,
    /// First arrivals that came after one with a higher number.
    pub reordered: u64,
}

impl Counts {
    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.reordered += other.reordered;
    }
}

impl Tally {
    /// Notes an arrival. `true`: it counts and is the first of its number.
    ///
    /// Those for warming up, and the end, are not counted.
    pub fn note(&mut self, stamp: &Stamp, arrived_ns: u64) -> bool {
        if stamp.kind != Kind::Counted || !self.seen.note(stamp.number) {
            return false;
        }
        self.from_due.record(arrived_ns.saturating_sub(stamp.due_ns));
        self.from_sent.record(arrived_ns.saturating_sub(stamp.sent_ns));
        true
    }

    /// Notes an arrival whose times say nothing, as in a measurement of throughput.
    pub fn count(&mut self, stamp: &Stamp) -> bool {
        stamp.kind == Kind::Counted && self.seen.note(stamp.number)
    }

    /// What came of so many that were published.
    pub fn counts(&self, published: u64) -> Counts {
        let Seen { received, doubled, reordered, .. } = self.seen;
        Counts { received, lost: published.saturating_sub(received), doubled, reordered }
    }
}

/// Which numbers came.
#[derive(Debug, Clone, Default)]
struct Seen {
    /// One above the highest.
    next: u64,
    /// Below it, what has not come: first number of each hole, and one above its last.
    holes: BTreeMap<u64, u64>,
    received: u64,
    doubled: u64,
    reordered: u64,
}

/// About 50 MB.
const HOLES: usize = 1_000_000;

impl Seen {
    /// `true`: for the first time.
    fn note(&mut self, number: u64) -> bool {
        if number == self.next {
            self.next += 1;
        } else if number > self.next {
            self.holes.insert(self.next, number);
            self.next = number + 1;
            if self.holes.len() > HOLES {
                self.holes.pop_first();
            }
        } else if self.fill(number) {
            self.reordered += 1;
        } else {
            self.doubled += 1;
            return false;
        }
        self.received += 1;
        true
    }

    /// `true`: it was missing.
    fn fill(&mut self, number: u64) -> bool {
        let Some((&from, &to)) = self.holes.range(..=number).next_back() else { return false };
        if number >= to {
            return false;
        }
        self.holes.remove(&from);
        if from < number {
            self.holes.insert(from, number);
        }
        if number + 1 < to {
            self.holes.insert(number + 1, to);
        }
        true
    }
}

#[cfg(test)]
mod tests;
