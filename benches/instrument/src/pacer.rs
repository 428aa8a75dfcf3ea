//! When each message is due: an open loop.
//!
//! The schedule is fixed at the start and never shifts. A publisher that falls behind sends what is overdue at once and
//! one after the other, and each message's latency counts from when it was due: a stall of 100 ms is seen in a hundred
//! messages of a thousand a second, not in one. (A closed loop would pause with the system that it measures.)

use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_nanosleep};

use crate::clock::now_ns;

/// Messages a second: 1 to 1,000,000,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(u64);

/// A rate that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RateError {
    /// No message, or more than one a nanosecond.
    #[error("{given} messages a second is not a rate from 1 to 1000000000")]
    OutOfRange {
        /// What was given.
        given: u64,
    },
}

impl Rate {
    /// So many messages a second.
    ///
    /// # Errors
    /// For 0, and for more than one a nanosecond.
    pub fn per_second(given: u64) -> Result<Self, RateError> {
        if (1..=1_000_000_000).contains(&given) {
            Ok(Self(given))
        } else {
            Err(RateError::OutOfRange { given })
        }
    }

    /// Messages a second.
    pub fn get(self) -> u64 {
        self.0
    }
}

/// Tells when the next message is due, and sleeps until then in the caller's own thread.
#[derive(Debug, Clone)]
pub struct Pacer {
    start_ns: u64,
    rate: Rate,
    next: u64,
}

/// One message's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// The message's number, from 0.
    pub number: u64,
    /// When it was due, by [`now_ns`].
    pub due_ns: u64,
    /// When the pacer returned.
    pub sent_ns: u64,
}

impl Turn {
    /// How late the publisher was, nanoseconds: the sleep's own slack, or a publish before that took too long.
    pub fn late_ns(&self) -> u64 {
        self.sent_ns.saturating_sub(self.due_ns)
    }
}

impl Pacer {
    /// Begins now: message 0 is due at once.
    pub fn start(rate: Rate) -> Self {
        Self::start_at(now_ns(), rate)
    }

    /// Begins at a moment of [`now_ns`].
    pub fn start_at(start_ns: u64, rate: Rate) -> Self {
        // The kernel may otherwise add 50 µs to each sleep of this thread, to wake several at once. Where it does not
        // let us, the pacer is that much later, and says so.
        let _ = prctl::set_timerslack(1);
        Self { start_ns, rate, next: 0 }
    }

    /// When a message is due, nanoseconds of [`now_ns`].
    pub fn due_ns(&self, number: u64) -> u64 {
        let since = u128::from(number) * 1_000_000_000 / u128::from(self.rate.0);
        self.start_ns.saturating_add(u64::try_from(since).unwrap_or(u64::MAX))
    }

    /// Waits until the next message is due. Returns at once for one that is overdue.
    ///
    /// Sleeps in the kernel and never spins, so it takes no processor time from what it measures. Blocks its thread:
    /// in an asynchronous program call it on a thread of its own.
    pub fn wait(&mut self) -> Turn {
        let number = self.next;
        self.next += 1;
        let due_ns = self.due_ns(number);
        sleep_until(due_ns);
        Turn { number, due_ns, sent_ns: now_ns() }
    }
}

/// Sleeps until a moment of [`now_ns`].
fn sleep_until(due_ns: u64) {
    let at = TimeSpec::from_duration(Duration::from_nanos(due_ns));
    while now_ns() < due_ns {
        match clock_nanosleep(ClockId::CLOCK_MONOTONIC, ClockNanosleepFlags::TIMER_ABSTIME, &at) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => thread::sleep(Duration::from_nanos(due_ns.saturating_sub(now_ns()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_never_shifts() {
        let mut pacer = Pacer::start(Rate::per_second(1_000).unwrap());
        let first = pacer.wait();
        // A stall of five messages: they come at once, each due when it was.
        sleep_until(first.due_ns + 5_500_000);
        let turns: Vec<Turn> = (0..8).map(|_| pacer.wait()).collect();
        for (index, turn) in turns.iter().enumerate() {
            assert_eq!(turn.due_ns, first.due_ns + (index as u64 + 1) * 1_000_000);
            assert!(turn.sent_ns >= turn.due_ns, "nothing is sent before it is due");
        }
        assert!(turns[0].late_ns() >= 4_500_000, "{turns:?}");
        assert!(turns[0].late_ns() > turns[4].late_ns(), "what was overdue catches up: {turns:?}");
    }

    #[test]
    fn rates_that_do_not_divide_a_second_do_not_drift() {
        let pacer = Pacer::start_at(7, Rate::per_second(3).unwrap());
        assert_eq!(pacer.due_ns(3), 1_000_000_007);
        assert_eq!(pacer.due_ns(3_000_000_000), 1_000_000_000_000_000_007);
        assert!(Rate::per_second(0).is_err() && Rate::per_second(1_000_000_001).is_err());
    }
}
