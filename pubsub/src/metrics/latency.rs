//! How long messages are on this node before they are read: which are timed, and the buckets that their times are counted in.

use std::time::Duration;

use serde::Serialize;

/// One message of so many is timed, on average.
const ONE_OF: u64 = 16;

/// Whether a publisher's message of this number is timed: the first, and then one of 16. Not each 16th, or of a publisher that takes
/// turns at some topics it would be those of the same topic each time: steps of the golden ratio meet none of them more often.
pub(crate) const fn is_timed(seq: u64) -> bool {
    seq.wrapping_sub(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) < u64::MAX / ONE_OF
}

/// Where buckets end, microseconds: from less than the wake-up of a reader takes to what nobody waits for any more. Three to each
/// power of ten, so that the end of one is at most 2.5 times what is in it.
pub(crate) const BOUNDS_US: [u64; 22] = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000,
    500_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000,
];

/// The buckets, with that of all that took longer.
pub(crate) const BUCKETS: usize = BOUNDS_US.len() + 1;

/// The bucket of a time, from 0.
pub(crate) fn bucket(time: Duration) -> usize {
    BOUNDS_US.partition_point(|bound| Duration::from_micros(*bound) < time)
}

/// How long messages were on this node before a subscription yielded them: those of other nodes since they came, its own since they
/// were published. One message of 16 is timed, in each subscription that yields it; one that becomes a gap before is not.
///
/// Not among them are what handlers are called with (that is at once), requests, and what was kept for who subscribes later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LatencyStats {
    /// Times that were taken.
    pub samples: u64,
    /// Their sum, microseconds.
    pub total_us: u64,
    /// How many of them were how long, the shortest first.
    pub buckets: Vec<LatencyBucket>,
}

/// Times that were about the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LatencyBucket {
    /// The longest that is in it, microseconds; what is no longer than that of the bucket before is in that. None: there is no longest.
    pub at_most_us: Option<u64>,
    /// How many.
    pub samples: u64,
}

impl LatencyStats {
    /// Of so many in each bucket, and their sum.
    pub(crate) fn of(counted: [u64; BUCKETS], total_us: u64) -> Self {
        let bounds = BOUNDS_US.into_iter().map(Some).chain([None]);
        let buckets: Vec<_> =
            bounds.zip(counted).map(|(at_most_us, samples)| LatencyBucket { at_most_us, samples }).collect();
        Self { samples: counted.iter().sum(), total_us, buckets }
    }

    /// What this share of them (0.99: 99 of 100) was no longer than; as the end of a bucket, so up to 2.5 times what it was. None
    /// where nothing was timed, or it was longer than 10 s.
    ///
    /// ```no_run
    /// # fn example(bus: talkie_pubsub::Bus) {
    /// if let Some(p99) = bus.metrics().latency.quantile(0.99) {
    ///     println!("99 of 100 messages are read within {p99:?}");
    /// }
    /// # }
    /// ```
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let wanted = (share.clamp(0.0, 1.0) * self.samples as f64).ceil().max(1.0) as u64;
        let mut so_far = 0;
        let reached = self.buckets.iter().find(|bucket| {
            so_far += bucket.samples;
            so_far >= wanted
        });
        reached?.at_most_us.map(Duration::from_micros)
    }
}

impl Default for LatencyStats {
    fn default() -> Self {
        Self::of([0; BUCKETS], 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_16_is_timed_whatever_takes_turns() {
        assert!(is_timed(1), "the first, so that one message shows");
        for turns in [1, 2, 3, 7, 8, 16, 48] {
            for turn in 0..turns {
                let of_topic = (0..16_000).map(|n| 1 + turn + n * turns);
                let timed = of_topic.filter(|seq| is_timed(*seq)).count();
                assert!((980..=1_020).contains(&timed), "{timed} of 16,000, {turn} of {turns}");
            }
        }
        // Also where a number is no publisher's, but made up.
        let _ = (is_timed(0), is_timed(u64::MAX));
    }

    #[test]
    fn a_time_is_in_the_first_bucket_that_is_not_shorter() {
        let ns = Duration::from_nanos;
        assert_eq!((bucket(ns(0)), bucket(ns(1_000)), bucket(ns(1_001))), (0, 0, 1));
        assert_eq!((bucket(ns(2_000)), bucket(ns(2_001))), (1, 2));
        assert_eq!(bucket(Duration::from_secs(10)), BOUNDS_US.len() - 1);
        assert_eq!(bucket(Duration::from_secs(11)), BUCKETS - 1);
        assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
        assert!(BOUNDS_US.is_sorted_by(|one, next| one < next));
    }

    #[test]
    fn a_share_is_within_the_bucket_that_it_ends_in() {
        assert_eq!(LatencyStats::default().quantile(0.5), None, "nothing was timed");
        let mut counted = [0; BUCKETS];
        (counted[3], counted[9], counted[BUCKETS - 1]) = (90, 9, 1);
        let stats = LatencyStats::of(counted, 7);
        assert_eq!((stats.samples, stats.total_us, stats.buckets.len()), (100, 7, BUCKETS));
        assert_eq!(stats.quantile(0.0), Some(Duration::from_micros(10)));
        assert_eq!(stats.quantile(0.9), Some(Duration::from_micros(10)));
        assert_eq!(stats.quantile(0.91), Some(Duration::from_millis(1)));
        assert_eq!(stats.quantile(0.99), Some(Duration::from_millis(1)));
        assert_eq!(stats.quantile(1.0), None, "longer than all bounds");
    }
}
