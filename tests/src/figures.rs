//! What was measured, told by one command and held to what is promised.
//!
//! `TEST_FIGURES=1` prints a line `FIGURE …` for each time that the tests measure, and turns their limits off, so
//! that one slow run does not hide the others. `TEST_STRICT=1` prints them, too, and holds 99 of 100 to what is promised,
//! with no allowance: for a release build on an idle machine. `TEST_ROUNDS=100` repeats what is measured so often; `TEST_LONG=1`
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

fn strict() -> bool {
    env::var_os("TEST_STRICT").is_some()
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
    /// If it took longer than promised and the slack. Not where figures are just being taken, nor where they are held
    /// to what is promised strictly: then dropping it does, once all of them are known.
    #[track_caller]
    pub fn add(&mut self, took: Duration) {
        println!("{}: {took:.3?}, promised {:?}", self.what, self.promised);
        self.times.push(took);
        let limit = self.promised + self.slack;
        assert!(took <= limit || told() || strict(), "{}: {took:?}, promised {:?}", self.what, self.promised);
    }

    /// From then until then.
    ///
    /// # Panics
    /// As [`Figure::add`].
    #[track_caller]
    pub fn between(&mut self, from: Instant, to: Instant) {
        self.add(to.saturating_duration_since(from));
    }

    /// The shortest time that so many percent of them do not exceed.
    fn at(&self, percent: usize) -> Duration {
        self.times[(self.times.len() * percent).div_ceil(100).clamp(1, self.times.len()) - 1]
    }

    fn summary(&self) -> String {
        let [median, p99, longest] = [50, 99, 100].map(|percent| self.at(percent).as_secs_f64());
        let (what, count, promised) = (&self.what, self.times.len(), self.promised.as_secs_f64());
        format!(
            "FIGURE {what}: median {median:.3} s, p99 {p99:.3} s, longest {longest:.3} s of {count}; promised \
             {promised:.3} s{}\n",
            if self.holds() { "" } else { ", BROKEN" }
        )
    }

    /// Whether 99 of 100 are as promised.
    fn holds(&self) -> bool {
        self.at(99) <= self.promised
    }
}

impl Drop for Figure {
    fn drop(&mut self) {
        if self.times.is_empty() || thread::panicking() || !(told() || strict()) {
            return;
        }
        self.times.sort_unstable();
        let summary = self.summary();
        // Not `println!`: the harness keeps that to itself where a test passes.
        let _ = std::io::stdout().write_all(summary.as_bytes());
        assert!(self.holds() || !strict(), "{summary}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(times: impl IntoIterator<Item = u64>) -> Figure {
        let mut figure = Figure::new("row", Duration::from_millis(100));
        figure.times = times.into_iter().map(Duration::from_millis).collect();
        figure.times.sort_unstable();
        figure
    }

    /// What is told of these times; they are not told as figures of a run.
    fn told_of(times: impl IntoIterator<Item = u64>) -> String {
        let mut figure = millis(times);
        let summary = figure.summary();
        figure.times.clear();
        summary
    }

    #[test]
    fn percentiles_are_those_of_the_times() {
        let told = told_of((1..=200).rev());
        let expected = "median 0.100 s, p99 0.198 s, longest 0.200 s of 200; promised 0.100 s, BROKEN\n";
        assert!(told.ends_with(expected), "{told}");
        let told = told_of([7]);
        assert!(
            told.ends_with("median 0.007 s, p99 0.007 s, longest 0.007 s of 1; promised 0.100 s\n"),
            "{told}"
        );
    }

    #[test]
    fn one_of_a_hundred_may_break_what_is_promised() {
        assert!(!told_of((1..=99).chain([101])).contains("BROKEN"));
        assert!(told_of((1..=98).chain([101, 101])).contains("BROKEN"));
        assert!(told_of([101]).contains("BROKEN"));
    }

    #[test]
    fn what_takes_too_long_fails() {
        if told() || strict() {
            return;
        }
        let limit = Duration::from_millis(100) + SLACK;
        millis([]).add(limit);
        let late = std::panic::catch_unwind(|| millis([]).add(limit + Duration::from_millis(1)));
        assert!(late.is_err());
    }
}
