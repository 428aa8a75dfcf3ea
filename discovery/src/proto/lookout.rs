//! When to look at the interfaces: soon after the kernel tells of a change, and from time to time in any case.

use std::time::{Duration, Instant};

/// From the first notice to the look: a change comes as several notices (the interface, its addresses, its routes),
/// each a few milliseconds after the other.
const SETTLE: Duration = Duration::from_millis(20);

/// Least time between two looks for notices: a look costs about 0.1 ms, and notices may come in floods.
const SPACING: Duration = Duration::from_millis(100);

/// Time between two looks without any notice: notices are not promised to arrive.
const SELDOM: Duration = Duration::from_secs(30);

/// The same where the kernel gives no notices, or something is to be tried again: a new network is used within it.
const OFTEN: Duration = Duration::from_secs(1);

/// Says when to look.
///
/// The verbs: [`handle_notice`](Self::handle_notice), [`handle_deaf`](Self::handle_deaf),
/// [`handle_wish`](Self::handle_wish);
/// [`poll_timeout`](Self::poll_timeout) with [`handle_timeout`](Self::handle_timeout). It neither transmits nor
/// tells.
#[derive(Debug)]
pub struct Lookout {
    pause: Duration,
    next: Instant,
    looked: Option<Instant>,
    roused: bool,
}

impl Lookout {
    /// One that looks `now`, and expects notices.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { pause: SELDOM, next: now, looked: None, roused: false }
    }

    /// The kernel told of something.
    pub fn handle_notice(&mut self, now: Instant) {
        if !self.roused {
            self.roused = true;
            let spaced = self.looked.map_or(now, |looked| looked + SPACING);
            self.next = self.next.min((now + SETTLE).max(spaced));
        }
    }

    /// There are no notices, or no more: only looks tell.
    pub fn handle_deaf(&mut self, now: Instant) {
        self.pause = OFTEN;
        self.handle_wish(now);
    }

    /// Something is to be tried again with the next look, which comes within a second.
    pub fn handle_wish(&mut self, now: Instant) {
        self.next = self.next.min(now + OFTEN);
    }

    /// Whether a notice came since the last look: until the next one further notices say nothing new.
    #[must_use]
    pub fn is_roused(&self) -> bool {
        self.roused
    }

    /// When to call [`Self::handle_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Instant {
        self.next
    }

    /// Whether to look now. What is noticed from here on leads to another look.
    pub fn handle_timeout(&mut self, now: Instant) -> bool {
        if now < self.next {
            return false;
        }
        self.roused = false;
        self.looked = Some(now);
        self.next = now + self.pause;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "some instant to count from")]
    fn start() -> Instant {
        Instant::now()
    }

    const MILLI: Duration = Duration::from_millis(1);

    /// The looks of `lookout` until `until`, milliseconds after `start`; notices come every `notices`, if any do.
    fn looks(lookout: &mut Lookout, start: Instant, until: u32, notices: Option<u32>) -> Vec<u32> {
        let mut at = Vec::new();
        for milli in 0..until {
            let now = start + MILLI * milli;
            if notices.is_some_and(|every| milli % every == 0) {
                lookout.handle_notice(now);
            }
            if lookout.poll_timeout() <= now {
                assert!(lookout.handle_timeout(now));
                at.push(milli);
            }
            assert!(!lookout.handle_timeout(now), "once");
        }
        at
    }

    #[test]
    fn it_looks_at_once_and_then_seldom() {
        let start = start();
        assert_eq!(looks(&mut Lookout::new(start), start, 61_000, None), [0, 30_000, 60_000]);
    }

    #[test]
    fn it_looks_often_where_nothing_is_noticed() {
        let start = start();
        let mut lookout = Lookout::new(start);
        lookout.handle_deaf(start);
        assert_eq!(looks(&mut lookout, start, 3_001, None), [0, 1_000, 2_000, 3_000]);
        // Also when the notices cease later.
        let mut lookout = Lookout::new(start);
        looks(&mut lookout, start, 5_000, None);
        lookout.handle_deaf(start + 5_000 * MILLI);
        assert_eq!(lookout.poll_timeout(), start + 6_000 * MILLI);
    }

    #[test]
    fn what_is_to_be_tried_again_is_within_a_second() {
        let start = start();
        let mut lookout = Lookout::new(start);
        looks(&mut lookout, start, 1, None);
        lookout.handle_wish(start);
        lookout.handle_wish(start + 500 * MILLI);
        assert_eq!(looks(&mut lookout, start, 5_000, None), [1_000], "once");
        lookout.handle_notice(start + 5_000 * MILLI);
        lookout.handle_wish(start + 5_000 * MILLI);
        assert_eq!(lookout.poll_timeout(), start + 5_020 * MILLI, "a notice is sooner");
    }

    #[test]
    fn it_looks_soon_after_a_notice() {
        let start = start();
        let mut lookout = Lookout::new(start);
        looks(&mut lookout, start, 500, None);
        let noticed = start + 500 * MILLI;
        lookout.handle_notice(noticed);
        assert!(lookout.is_roused());
        assert_eq!(lookout.poll_timeout(), noticed + SETTLE);
        lookout.handle_notice(noticed + SETTLE / 2);
        assert_eq!(lookout.poll_timeout(), noticed + SETTLE, "a flood does not put it off");
        assert!(lookout.handle_timeout(noticed + SETTLE) && !lookout.is_roused());
        assert_eq!(lookout.poll_timeout(), noticed + SETTLE + SELDOM);
        // The next change comes right behind.
        lookout.handle_notice(noticed + SETTLE + MILLI);
        assert_eq!(lookout.poll_timeout(), noticed + SETTLE + SPACING);
    }

    #[test]
    fn a_flood_of_notices_costs_ten_looks_a_second() {
        let start = start();
        let at = looks(&mut Lookout::new(start), start, 10_000, Some(1));
        assert_eq!(at.len(), 100, "{at:?}");
        assert!(at.windows(2).all(|pair| pair[1] - pair[0] == 100), "{at:?}");
    }
}
