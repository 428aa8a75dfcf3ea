//! What was measured, told by one command and held to what is promised.
//!
//! `TEST_FIGURES=1` prints a line `FIGURE …` for each time that the tests measure, and turns their limits off, so
//! that one slow run does not hide the others; `TEST_ROUNDS=100` repeats what is measured so often; `TEST_LONG=1`
//! gives faults and storms their full length and size.

use std::{
    env,
    io::Write,
    thread,
    time::{Duration, Instant},
};

use crate::SLACK;

/// How often to repeat what is measured: `rounds`, or what `TEST_ROUNDS` says.
///
/// # Panics
/// If that is no number.
pub fn rounds(rounds: u32) -> u32 {
    env::var("TEST_ROUNDS").map_or(rounds, |text| text.parse().expect("TEST_ROUNDS is a number"))
}

/// Whether faults and storms have their full length and size, which take more time than a usual run of the tests has.
pub fn long() -> bool {
    env::var_os("TEST_LONG").is_some()
}

fn told() -> bool {
    env::var_os("TEST_FIGURES").is_some()
}

/// Times of one kind: each is held to what is promised, and all of them are told together when it is dropped.
#[derive(Debug)]
pub struct Figure {
    what: String,
    promised: Duration,
    slack: Duration,
    times: Vec<Duration>,
}

impl Figure {
    /// What is measured, and the longest that a release build on an idle machine may take.
    pub fn new(what: impl Into<String>, promised: Duration) -> Self {
        Self { what: what.into(), promised, slack: SLACK, times: Vec::new() }
    }

    /// With another allowance for debug builds and busy machines than [`SLACK`].
    #[must_use]
    pub fn slack(mut self, slack: Duration) -> Self {
        self.slack = slack;
        self
    }

    /// One more.
    ///
    /// # Panics
    /// If it took longer than promised and the slack, and figures are not just being taken.
    #[track_caller]
    pub fn add(&mut self, took: Duration) {
        println!("{}: {took:.3?}, promised {:?}", self.what, self.promised);
        self.times.push(took);
        let limit = self.promised + self.slack;
        assert!(took <= limit || told(), "{}: {took:?}, promised {:?}", self.what, self.promised);
    }

    /// From then until then.
    ///
    /// # Panics
    /// As [`Figure::add`].
    #[track_caller]
    pub fn between(&mut self, from: Instant, to: Instant) {
        self.add(to.saturating_duration_since(from));
    }

    fn summary(&mut self) -> String {
        self.times.sort_unstable();
        let Self { what, promised, times, .. } = self;
        let at = |percent: usize| {
            times[(times.len() * percent).div_ceil(100).clamp(1, times.len()) - 1].as_secs_f64()
        };
        format!(
            "FIGURE {what}: median {:.3} s, p99 {:.3} s, longest {:.3} s of {}; promised {:.3} s\n",
            at(50),
            at(99),
            at(100),
            times.len(),
            promised.as_secs_f64(),
        )
    }
}

impl Drop for Figure {
    fn drop(&mut self) {
        if told() && !self.times.is_empty() && !thread::panicking() {
            // Not `println!`: the harness keeps that to itself where a test passes.
            let _ = std::io::stdout().write_all(self.summary().as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(times: impl IntoIterator<Item = u64>) -> Figure {
        let mut figure = Figure::new("row", Duration::from_millis(100));
        figure.times = times.into_iter().map(Duration::from_millis).collect();
        figure
    }

    #[test]
    fn percentiles_are_those_of_the_times() {
        let told = millis((1..=200).rev()).summary();
        assert!(
            told.contains("median 0.100 s, p99 0.198 s, longest 0.200 s of 200; promised 0.100 s"),
            "{told}"
        );
        let told = millis([7]).summary();
        assert!(told.contains("median 0.007 s, p99 0.007 s, longest 0.007 s of 1"), "{told}");
    }

    #[test]
    fn what_takes_too_long_fails() {
        if told() {
            return;
        }
        let limit = Duration::from_millis(100) + SLACK;
        millis([]).add(limit);
        let late = std::panic::catch_unwind(|| millis([]).add(limit + Duration::from_millis(1)));
        assert!(late.is_err());
    }
}
