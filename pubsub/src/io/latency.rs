//! What the times of deliveries are counted in.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::clock;
use crate::metrics::latency::{BUCKETS, LatencyStats, bucket};

/// Of all subscriptions of a node. Relaxed, and on cache lines of its own, as [`Counters`](super::counters::Counters).
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Latencies {
    buckets: [AtomicU64; BUCKETS],
    /// Nanoseconds: enough for 584 years of waiting.
    total: AtomicU64,
}

impl Latencies {
    /// A reader takes a message that is timed, and came then.
    #[cold]
    pub(crate) fn took(&self, came: Instant) {
        let time = clock::now().saturating_duration_since(came);
        if let Some(bucket) = self.buckets.get(bucket(time)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.total.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
    }

    pub(super) fn stats(&self) -> LatencyStats {
        let counted = self.buckets.each_ref().map(|bucket| bucket.load(Ordering::Relaxed));
        LatencyStats::of(counted, self.total.load(Ordering::Relaxed) / 1_000)
    }
}
