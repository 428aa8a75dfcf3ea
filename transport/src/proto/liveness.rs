//! Whether the peer of one link lives: pings when it is silent, round-trip time, and when silence is death.

use std::time::{Duration, Instant};

/// A link on which nothing was heard for this long is asked for a sign of life, and again every so often: three times
/// before silence is death. With 15 idle peers two pings a second and link were most of what a node cost.
pub const PING_AFTER: Duration = Duration::from_millis(750);
/// The other side of a link waits this much longer before it asks: so one side pings and both have a sign of life.
const PATIENCE: Duration = Duration::from_millis(150);
/// A ping that is not answered within this makes the link suspect: after 1.5 s of silence in all.
const ANSWER_WITHIN: Duration = Duration::from_millis(750);
/// With more links than this a silent one is pinged later, at most [`LATEST_PING`]: with 255 of them on one host, pings
/// took the greater part of two processors.
const MANY_LINKS: u32 = 64;
/// Two pings still go out before silence is death.
const LATEST_PING: Duration = Duration::from_secs(2);
/// Silence from here on is death.
pub const DEAD_AFTER: Duration = Duration::from_secs(3);
/// While a link is suspected it is looked at this often, so that its recovery is noticed.
const SUSPECTED_LOOK: Duration = Duration::from_millis(100);
/// A timeout handled later than this means that this node was itself suspended, or starved.
const LAG: Duration = Duration::from_millis(500);
/// A fresh round-trip time at least this often, also on a busy link; less often with more than [`MANY_LINKS`].
const MEASURE_EVERY: Duration = Duration::from_secs(5);

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Send a ping with this token.
    Ping(u64),
    /// Silent, and the first ping was not answered; told once per silence.
    Suspect,
    /// Silent for [`DEAD_AFTER`]: end the link.
    Dead,
}

/// One link's liveness. Any authenticated record counts as a sign of life, so a link that is busy with data is
/// never held dead because a pong waits behind it.
#[derive(Debug)]
pub struct Liveness {
    heard: Instant,
    pinged: Option<Instant>,
    token: u64,
    due: Instant,
    suspected: bool,
    first: bool,
    rtt: Option<Duration>,
    best: Option<Duration>,
}

impl Liveness {
    /// A link that was just made: the first ping is due at once, for the round-trip time. `first`: this side asks
    /// when a link is silent, and the other only if it does not.
    pub fn new(now: Instant, first: bool) -> Self {
        Self { heard: now, pinged: None, token: 0, due: now, suspected: false, first, rtt: None, best: None }
    }

    /// Smoothed round-trip time (RFC 6298: seven eighths old, one eighth new).
    pub const fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// The shortest round-trip time of this link: what the way itself takes, without waiting anywhere.
    /// None before there are two: the first is of a link, and often of a process, that is just being made.
    pub const fn best_rtt(&self) -> Option<Duration> {
        self.best
    }

    /// Something authenticated arrived at `at`.
    pub fn handle_heard(&mut self, at: Instant) {
        if at > self.heard {
            self.heard = at;
            self.suspected = false;
        }
    }

    /// There is a reason to think that the link is dead, though it was not silent for long: it is asked at once.
    pub fn handle_doubt(&mut self, now: Instant) {
        self.suspected = true;
        self.pinged = None;
        self.due = now;
    }

    /// Whether it is silent, or doubted, and has given no sign of life since.
    pub const fn is_suspected(&self) -> bool {
        self.suspected
    }

    /// The pong to `token` arrived.
    pub fn handle_pong(&mut self, now: Instant, token: u64) {
        self.handle_heard(now);
        if token != self.token {
            return;
        }
        if let Some(sent) = self.pinged {
            let sample = now.saturating_duration_since(sent);
            self.best = self.rtt.map(|first| self.best.unwrap_or(first).min(sample));
            self.rtt = Some(self.rtt.map_or(sample, |old| (old * 7 + sample) / 8));
        }
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub const fn poll_timeout(&self) -> Instant {
        self.due
    }

    /// Time has come, on a node that has so many `links`. `now` much later than [`Self::poll_timeout`] means that this
    /// node stood still: the others are then given that time again, for they may well have spoken.
    pub fn handle_timeout(&mut self, now: Instant, links: usize) -> Option<Action> {
        let pace = pace(links);
        let ping_after = if self.first { pace } else { pace + PATIENCE };
        let late = now.saturating_duration_since(self.due);
        if late > LAG {
            self.heard = (self.heard + late).min(now);
        }
        let silent = now.saturating_duration_since(self.heard);
        if silent >= DEAD_AFTER {
            return Some(Action::Dead);
        }
        if silent >= pace + ANSWER_WITHIN && !self.suspected {
            self.suspected = true;
            self.due = now;
            return Some(Action::Suspect);
        }
        let since_ping = self.pinged.map(|at| now.saturating_duration_since(at));
        let quiet = silent >= ping_after && since_ping.is_none_or(|since| since >= ANSWER_WITHIN);
        let stale = since_ping.is_none_or(|since| since >= stretched(MEASURE_EVERY, links));
        let ping = quiet || stale;
        if ping {
            self.pinged = Some(now);
            self.token += 1;
        }
        let silence_ends = if silent < ping_after { self.heard + ping_after } else { now + ANSWER_WITHIN };
        let look = if self.suspected { now + SUSPECTED_LOOK } else { silence_ends };
        self.due = silence_ends.min(look).min(self.heard + DEAD_AFTER).max(now + Duration::from_millis(1));
        ping.then_some(Action::Ping(self.token))
    }
}

/// After which silence a node that has so many links asks for a sign of life.
fn pace(links: usize) -> Duration {
    LATEST_PING.min(stretched(PING_AFTER, links))
}

/// `every`, in proportion longer with more than [`MANY_LINKS`].
fn stretched(every: Duration, links: usize) -> Duration {
    let links = u32::try_from(links).unwrap_or(u32::MAX).max(MANY_LINKS);
    every.saturating_mul(links) / MANY_LINKS
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test says when its time begins")]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Runs timeouts on time until `end`, answering nothing.
    fn silence(live: &mut Liveness, start: Instant, end: Duration) -> Vec<(Duration, Action)> {
        let mut seen = Vec::new();
        while live.poll_timeout() <= start + end {
            let now = live.poll_timeout();
            if let Some(action) = live.handle_timeout(now, 15) {
                seen.push((now - start, action));
                if action == Action::Dead {
                    break;
                }
            }
        }
        seen
    }

    #[test]
    fn silence_is_pinged_suspected_and_death_at_three_seconds() {
        let start = Instant::now();
        let mut live = Liveness::new(start, true);
        let seen = silence(&mut live, start, Duration::from_secs(10));
        assert_eq!(seen.first(), Some(&(Duration::ZERO, Action::Ping(1))));
        assert_eq!(seen.last(), Some(&(DEAD_AFTER, Action::Dead)));
        assert_eq!(seen.iter().filter(|(_, a)| *a == Action::Suspect).count(), 1);
        assert!(seen.iter().any(|(at, a)| *a == Action::Suspect
            && *at >= PING_AFTER + ANSWER_WITHIN
            && *at < 2 * DEAD_AFTER / 3));
        let pings = seen.iter().filter(|(_, a)| matches!(a, Action::Ping(_))).count();
        assert!((4..=5).contains(&pings), "one at the start, three in the silence: {seen:?}");
    }

    #[test]
    fn a_node_with_many_links_asks_less_often_and_death_comes_no_later() {
        for (links, expected) in [(64, 750), (96, 1_125), (255, 2_000), (usize::MAX, 2_000)] {
            let start = Instant::now();
            let mut live = Liveness::new(start, true);
            let mut seen = Vec::new();
            while seen.last().is_none_or(|(_, action)| *action != Action::Dead) {
                let now = live.poll_timeout();
                seen.extend(live.handle_timeout(now, links).map(|action| (now - start, action)));
            }
            let pings = seen.iter().filter(|(at, it)| matches!(it, Action::Ping(_)) && !at.is_zero());
            let pings: Vec<_> = pings.map(|(at, _)| at.as_millis()).collect();
            assert_eq!(pings.first(), Some(&expected), "{links} links: {seen:?}");
            assert!(pings.len() >= 2, "{links} links: {seen:?}");
            assert_eq!(seen.last(), Some(&(DEAD_AFTER, Action::Dead)));
        }
    }

    #[test]
    fn a_doubted_link_is_asked_at_once_and_any_sign_of_life_clears_it() {
        let start = Instant::now();
        let mut live = Liveness::new(start, true);
        live.handle_timeout(start, 15);
        live.handle_pong(start + MS, 1);
        live.handle_doubt(start + 10 * MS);
        assert!(live.is_suspected() && live.poll_timeout() == start + 10 * MS);
        assert_eq!(live.handle_timeout(start + 10 * MS, 15), Some(Action::Ping(2)));
        assert!(live.poll_timeout() <= start + 10 * MS + SUSPECTED_LOOK);
        live.handle_pong(start + 11 * MS, 2);
        assert!(!live.is_suspected());
    }

    #[test]
    fn any_sign_of_life_puts_death_off() {
        let start = Instant::now();
        let mut live = Liveness::new(start, true);
        for step in 1..=20u32 {
            let until = start + 400 * MS * step;
            while live.poll_timeout() <= until {
                let now = live.poll_timeout();
                assert!(!matches!(live.handle_timeout(now, 15), Some(Action::Dead | Action::Suspect)));
            }
            live.handle_heard(until);
        }
    }

    #[test]
    fn a_node_that_stood_still_does_not_bury_the_others() {
        let start = Instant::now();
        let mut live = Liveness::new(start, true);
        live.handle_timeout(start, 15);
        let woken = start + Duration::from_secs(10);
        assert_ne!(live.handle_timeout(woken, 15), Some(Action::Dead));
        // But it does so when the silence goes on.
        let seen = silence(&mut live, woken, Duration::from_secs(10));
        assert!(matches!(seen.last(), Some((at, Action::Dead)) if *at <= DEAD_AFTER));
    }

    /// Two sides whose pings and pongs take a millisecond: one of them asks.
    #[test]
    fn one_side_of_an_idle_link_pings_and_neither_suspects() {
        let start = Instant::now();
        let mut sides = [Liveness::new(start, true), Liveness::new(start, false)];
        let mut pings = [0, 0];
        for ms in 0..10_000 {
            let now = start + MS * ms;
            for side in 0..2 {
                if sides[side].poll_timeout() > now {
                    continue;
                }
                match sides[side].handle_timeout(now, 15) {
                    Some(Action::Ping(token)) => {
                        pings[side] += 1;
                        sides[1 - side].handle_heard(now + MS);
                        sides[side].handle_pong(now + MS, token);
                    }
                    Some(other) => panic!("{other:?} after {ms} ms"),
                    None => {}
                }
            }
        }
        assert!((12..=15).contains(&pings[0]), "{pings:?}");
        assert!(pings[1] <= 3, "only for the round-trip time: {pings:?}");
    }

    #[test]
    fn round_trip_times_are_smoothed_and_old_pongs_ignored() {
        let start = Instant::now();
        let mut live = Liveness::new(start, true);
        assert_eq!(live.handle_timeout(start, 15), Some(Action::Ping(1)));
        live.handle_pong(start + 8 * MS, 1);
        assert_eq!((live.rtt(), live.best_rtt()), (Some(8 * MS), None));
        live.handle_pong(start + 100 * MS, 7);
        assert_eq!(live.rtt(), Some(8 * MS));
        let now = start + 850 * MS;
        assert_eq!(live.handle_timeout(now, 15), Some(Action::Ping(2)));
        live.handle_pong(now + 16 * MS, 2);
        assert_eq!((live.rtt(), live.best_rtt()), (Some(9 * MS), Some(8 * MS)));
    }
}
