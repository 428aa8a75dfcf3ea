//! How many datagrams of whom are opened: token buckets, per source and for all together.
//!
//! To open one costs about 2 µs. So the shares below bound the cost of a flood to a few hundredths of a core,
//! while the whole start of 256 nodes on one host (four heartbeats of each within 0.7 s) passes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::proto::bucket::{Bucket, Limit};

/// What one source may send: datagrams a second, and at once.
const SOURCE: Limit = Limit { rate: 1_000.0, burst: 2_048.0 };

/// What all strangers together may send.
const STRANGERS: Limit = Limit { rate: 20_000.0, burst: 20_000.0 };

/// What all known sources together may send: a share that strangers can not use.
const KNOWN: Limit = Limit { rate: 20_000.0, burst: 20_000.0 };

/// What this host may send over loopback, where all its nodes and users share one address: one of them that floods
/// must not silence the others, so it is a share as large as all strangers'.
const LOCAL: Limit = Limit { rate: 20_000.0, burst: 20_000.0 };

/// How long a source stays known after a fresh heartbeat: longer than the slowest pace of the largest mesh.
const KNOWN_FOR: Duration = Duration::from_secs(120);

/// The most known sources: as many as the roster has nodes.
const MAX_KNOWN: usize = 4_096;

/// The most strangers with a bucket of their own. Beyond it (spoofed sources) only the common bucket counts.
const MAX_STRANGERS: usize = 1_024;

/// Least time between two searches for strangers that can be forgotten.
const SWEEP: Duration = Duration::from_millis(100);

/// The buckets of all sources. At most 5,120 entries of about 64 bytes.
#[derive(Debug, Default)]
pub(super) struct Rates {
    sources: HashMap<IpAddr, Source>,
    known: usize,
    local: Bucket,
    all_known: Bucket,
    all_strangers: Bucket,
    swept: Option<Instant>,
}

#[derive(Debug, Default)]
struct Source {
    bucket: Bucket,
    known_until: Option<Instant>,
}

impl Rates {
    /// Whether a datagram from `source` may be opened.
    pub(super) fn take(&mut self, now: Instant, source: IpAddr) -> bool {
        if source.is_loopback() {
            return self.local.take(now, LOCAL);
        }
        if let Some(entry) = self.sources.get_mut(&source) {
            let all = if entry.known_until.is_some() { &mut self.all_known } else { &mut self.all_strangers };
            let limit = if entry.known_until.is_some() { KNOWN } else { STRANGERS };
            return entry.bucket.take(now, SOURCE) && all.take(now, limit);
        }
        if !self.all_strangers.take(now, STRANGERS) {
            return false;
        }
        if self.has_room(now) {
            self.sources.entry(source).or_default().bucket.take(now, SOURCE);
        }
        true
    }

    /// Makes `source` a known one, if there is room.
    pub(super) fn know(&mut self, now: Instant, source: IpAddr) {
        if source.is_loopback() {
            return;
        }
        let until = Some(now + KNOWN_FOR);
        if let Some(Source { known_until: known @ Some(_), .. }) = self.sources.get_mut(&source) {
            *known = until;
            return;
        }
        if self.known >= MAX_KNOWN {
            self.sweep(now);
        }
        if self.known < MAX_KNOWN {
            self.known += 1;
            self.sources.entry(source).or_default().known_until = until;
        }
    }

    fn has_room(&mut self, now: Instant) -> bool {
        if self.sources.len() - self.known >= MAX_STRANGERS {
            self.sweep(now);
        }
        self.sources.len() - self.known < MAX_STRANGERS
    }

    /// Forgets strangers that may send a whole burst again: a new bucket would be the same.
    fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|last| now < last + SWEEP) {
            return;
        }
        self.swept = Some(now);
        self.sources.retain(|_, source| {
            if source.known_until.is_some_and(|until| until <= now) {
                source.known_until = None;
            }
            source.known_until.is_some() || !source.bucket.is_full(now, SOURCE)
        });
        self.known = self.sources.values().filter(|source| source.known_until.is_some()).count();
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "some instant to count from")]
    fn start() -> Instant {
        Instant::now()
    }

    fn source(n: u32) -> IpAddr {
        Ipv4Addr::from_bits(0x0a00_0000 + n).into()
    }

    #[test]
    fn one_source_has_its_burst_and_its_rate() {
        let (start, mut rates) = (start(), Rates::default());
        let passed = (0..5_000).filter(|_| rates.take(start, source(1))).count();
        assert_eq!(passed, 2_048);
        let mut passed = 0;
        for ms in 0..1_000 {
            let now = start + Duration::from_millis(ms);
            passed += (0..100).filter(|_| rates.take(now, source(1))).count();
        }
        assert!((990..=1_000).contains(&passed), "{passed} in a second");
        assert!(rates.take(start + Duration::from_secs(1), source(2)), "another one is not touched");
    }

    #[test]
    fn a_flood_on_loopback_leaves_room_for_others_there_and_elsewhere() {
        let (start, mut rates) = (start(), Rates::default());
        let (mut flood, mut honest) = (0, 0);
        for tick in 0..100_000_u64 {
            let now = start + Duration::from_micros(100 * tick);
            // Twenty nodes with a heartbeat a second, each somewhere among the flood of 100,000.
            let place = (tick % 500 == 250).then_some(tick / 500 % 10);
            for n in 0..10 {
                honest += usize::from(place == Some(n) && rates.take(now, Ipv4Addr::LOCALHOST.into()));
                flood += usize::from(rates.take(now, Ipv4Addr::LOCALHOST.into()));
            }
            assert!(rates.take(now, source(u32::try_from(tick % 100).unwrap())));
        }
        assert!(flood <= 20_000 * 11, "{flood} of a million");
        assert!(honest >= 20, "{honest} of 200 heartbeats in ten seconds");
    }

    #[test]
    fn spoofed_sources_cost_bounded_memory_and_spare_the_known() {
        let (start, mut rates) = (start(), Rates::default());
        for n in 0..100 {
            rates.know(start, source(n));
        }
        let (mut opened, mut known) = (0, 0);
        for ms in 0..10_000_u32 {
            let now = start + Duration::from_millis(ms.into());
            opened += (0..100).filter(|n| rates.take(now, source(1_000 + ms * 100 + n))).count();
            known += usize::from(rates.take(now, source(ms % 100)));
            assert!(rates.sources.len() <= MAX_STRANGERS + 100);
        }
        assert!(opened <= 20_000 * 11, "{opened} strangers of a million");
        assert_eq!(known, 10_000, "every known one");
    }

    #[test]
    fn known_sources_are_bounded_and_forgotten() {
        let (start, mut rates) = (start(), Rates::default());
        for n in 0..10_000 {
            rates.know(start, source(n));
        }
        assert_eq!(rates.known, MAX_KNOWN);
        assert_eq!(rates.sources.len(), MAX_KNOWN);
        rates.know(start + KNOWN_FOR, source(20_000));
        assert_eq!((rates.known, rates.sources.len()), (1, 1));
    }
}
