//! Warnings that would come every second come once a minute.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The pause between two warnings of the same matter.
const PAUSE: Duration = Duration::from_secs(60);

/// The most matters that are remembered: interfaces with two families each; beyond it all are forgotten.
const MAX_MATTERS: usize = 256;

/// When which matter was last warned of.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    warned: HashMap<String, Instant>,
}

impl Notices {
    /// Whether to warn of `matter` now, rather than to note it at the debug level.
    pub(crate) fn is_due(&mut self, matter: &str, now: Instant) -> bool {
        if self.warned.get(matter).is_some_and(|last| now.saturating_duration_since(*last) < PAUSE) {
            return false;
        }
        if self.warned.len() >= MAX_MATTERS {
            self.warned.clear();
        }
        self.warned.insert(matter.to_owned(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_matter_is_due_once_a_minute() {
        let (now, mut notices) = (Instant::now(), Notices::default());
        assert!(notices.is_due("eth0", now));
        assert!(!notices.is_due("eth0", now + PAUSE / 2));
        assert!(notices.is_due("eth1", now + PAUSE / 2));
        assert!(notices.is_due("eth0", now + PAUSE));
        for n in 0..10_000 {
            notices.is_due(&n.to_string(), now);
            assert!(notices.warned.len() <= MAX_MATTERS);
        }
    }
}
