//! When the last of all subscribers had each message.

use serde::{Deserialize, Serialize};

use crate::latencies::Latencies;

/// For each message of a round the time until the slowest subscriber had it, and how many had it.
///
/// Each subscriber fills its own; the driver merges them. About 16 bytes a message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Last {
    /// By number: 0 where nobody had it; else one more than the nanoseconds, so that 0 ns is told apart.
    slowest: Vec<u64>,
    had_by: Vec<u32>,
}

/// Most messages of a round that are kept apart: 320 MB. Higher numbers are left out.
const MOST: u64 = 20_000_000;

impl Last {
    /// Most messages of a round.
    pub const MOST: u64 = MOST;

    /// Notes that a subscriber had this message so many nanoseconds after it was due.
    pub fn note(&mut self, number: u64, ns: u64) {
        let Some(at) = usize::try_from(number).ok().filter(|_| number < MOST) else { return };
        if at >= self.slowest.len() {
            self.slowest.resize(at + 1, 0);
            self.had_by.resize(at + 1, 0);
        }
        if let (Some(slowest), Some(had_by)) = (self.slowest.get_mut(at), self.had_by.get_mut(at)) {
            *slowest = (*slowest).max(ns.saturating_add(1));
            *had_by += 1;
        }
    }

    /// Adds another subscriber's.
    pub fn merge(&mut self, other: &Self) {
        let longer = self.slowest.len().max(other.slowest.len());
        self.slowest.resize(longer, 0);
        self.had_by.resize(longer, 0);
        for (mine, theirs) in self.slowest.iter_mut().zip(&other.slowest) {
            *mine = (*mine).max(*theirs);
        }
        for (mine, theirs) in self.had_by.iter_mut().zip(&other.had_by) {
            *mine += theirs;
        }
    }

    /// Over the messages that so many subscribers had: how long the last of them waited. A message that somebody never
    /// had has no last subscriber; it is counted as lost elsewhere.
    pub fn latencies(&self, subscribers: u32) -> Latencies {
        let mut all = Latencies::default();
        for (slowest, had_by) in self.slowest.iter().zip(&self.had_by) {
            if *had_by >= subscribers && *slowest > 0 {
                all.record(slowest - 1);
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_counts_and_a_loss_has_no_last() {
        let (mut one, mut two) = (Last::default(), Last::default());
        [(0, 10), (1, 50), (2, 7)].into_iter().for_each(|(number, ns)| one.note(number, ns));
        [(0, 30), (1, 20), (3, 99)].into_iter().for_each(|(number, ns)| two.note(number, ns));
        one.merge(&two);
        let all = one.latencies(2);
        assert_eq!((all.len(), all.quantile_ns(0.0), all.quantile_ns(1.0)), (2, 30, 50));
        one.note(u64::MAX, 1);
        assert_eq!(one.latencies(1).len(), 4, "a number out of bounds costs no memory");
    }
}
