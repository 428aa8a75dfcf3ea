//! A token bucket: how often something may happen, and how often at once.

use std::time::{Duration, Instant};

/// What a bucket allows.
#[derive(Debug, Copy, Clone, PartialEq)]
pub struct Limit {
    /// Times a second in the long run.
    pub rate: f64,
    /// Times at once, at least 1.
    pub burst: f64,
}

/// A bucket, full at first.
#[derive(Debug, Default)]
pub struct Bucket {
    /// What is missing to a full one.
    used: f64,
    at: Option<Instant>,
}

impl Bucket {
    /// Takes one, if there is one.
    pub fn take(&mut self, now: Instant, limit: Limit) -> bool {
        self.refill(now, limit);
        let free = self.used + 1.0 <= limit.burst;
        if free {
            self.used += 1.0;
        }
        free
    }

    /// Whether a new bucket would be the same.
    pub fn is_full(&mut self, now: Instant, limit: Limit) -> bool {
        self.refill(now, limit);
        self.used <= 0.0
    }

    fn refill(&mut self, now: Instant, limit: Limit) {
        let passed = self.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.used = (self.used - passed.as_secs_f64() * limit.rate).max(0.0);
        self.at = Some(now);
    }
}
