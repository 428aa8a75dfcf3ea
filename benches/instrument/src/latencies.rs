//! A histogram of nanoseconds.

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer, V2Serializer};
use serde::{Deserialize, Serialize};

/// The quantiles that a report shows, with their labels and what a program calls them.
pub const QUANTILES: [(f64, &str, &str); 5] = [
    (0.5, "p50", "p50_us"),
    (0.9, "p90", "p90_us"),
    (0.99, "p99", "p99_us"),
    (0.999, "p99.9", "p99_9_us"),
    (1.0, "max", "max_us"),
];

/// Significant decimal digits that are kept: a value is off by a thousandth at most.
const DIGITS: u8 = 3;

/// Latencies in nanoseconds, each to a thousandth; from 1 ns to 1 hour (what is longer counts as an hour).
///
/// Serialises as base64 of the HdrHistogram format V2, deflated.
#[derive(Debug, Clone, PartialEq)]
pub struct Latencies(Histogram<u64>);

/// Why bytes are no histogram.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HistogramError {
    /// Not base64, or not the format V2.
    #[error("this is no HdrHistogram of format V2")]
    Malformed,
}

/// The longest that is told apart: an hour.
const LONGEST_NS: u64 = 3_600_000_000_000;

impl Default for Latencies {
    fn default() -> Self {
        Self(empty())
    }
}

/// Grows with its values, from 1 ns on.
#[allow(clippy::expect_used, reason = "a constant that is tried by every test")]
fn empty() -> Histogram<u64> {
    Histogram::new(DIGITS).expect("three digits are allowed")
}

impl Latencies {
    /// Adds one.
    pub fn record(&mut self, ns: u64) {
        // It grows, and an hour fits.
        let _ = self.0.record(ns.min(LONGEST_NS));
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Self) {
        let _ = self.0.add(&other.0);
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value that the part `q` (0 to 1) of all is not above, in nanoseconds; 0 where there is none.
    pub fn quantile_ns(&self, q: f64) -> u64 {
        if q >= 1.0 { self.0.max() } else { self.0.value_at_quantile(q) }
    }

    /// The same in microseconds.
    pub fn quantile_us(&self, q: f64) -> f64 {
        self.quantile_ns(q) as f64 / 1e3
    }

    /// The mean in nanoseconds; 0 where there is none.
    pub fn mean_ns(&self) -> f64 {
        if self.is_empty() { 0.0 } else { self.0.mean() }
    }

    /// The HdrHistogram format V2, as its other implementations read it; nanoseconds.
    ///
    /// # Errors
    /// Never for values within an hour, as all are.
    pub fn to_v2(&self) -> Result<Vec<u8>, HistogramError> {
        let mut bytes = Vec::new();
        let written = V2Serializer::new().serialize(&self.0, &mut bytes);
        written.map(|_| bytes).map_err(|_| HistogramError::Malformed)
    }

    /// Reads the format V2, deflated or not.
    ///
    /// # Errors
    /// For anything else.
    pub fn from_v2(mut bytes: &[u8]) -> Result<Self, HistogramError> {
        Deserializer::new().deserialize(&mut bytes).map(Self).map_err(|_| HistogramError::Malformed)
    }
}

impl TryFrom<String> for Latencies {
    type Error = HistogramError;

    fn try_from(text: String) -> Result<Self, HistogramError> {
        let bytes = data_encoding::BASE64.decode(text.as_bytes()).map_err(|_| HistogramError::Malformed)?;
        Self::from_v2(&bytes)
    }
}

impl Serialize for Latencies {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(&self.0, &mut bytes).map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(&data_encoding::BASE64.encode(&bytes))
    }
}

impl<'de> Deserialize<'de> for Latencies {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::try_from(text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_exact_to_a_thousandth() {
        let mut all = Latencies::default();
        assert_eq!((all.quantile_ns(0.5), all.mean_ns()), (0, 0.0));
        (1..=100_000).for_each(|us| all.record(us * 1_000));
        for (q, expected) in [(0.5, 50_000.0), (0.9, 90_000.0), (0.999, 99_900.0), (1.0, 100_000.0)] {
            let off = (all.quantile_us(q) / expected - 1.0).abs();
            assert!(off < 0.002, "{q}: {} for {expected}", all.quantile_us(q));
        }
        all.record(u64::MAX);
        assert!(all.quantile_ns(1.0) >= LONGEST_NS, "a longer one counts as an hour");
    }

    #[test]
    fn it_survives_both_forms_and_refuses_others() {
        let mut all = Latencies::default();
        [5, 70_000, 3_000_000].into_iter().for_each(|ns| all.record(ns));
        assert_eq!(Latencies::from_v2(&all.to_v2().unwrap()).unwrap(), all);
        let text = serde_json::to_string(&all).unwrap();
        assert_eq!(serde_json::from_str::<Latencies>(&text).unwrap(), all);
        assert!(Latencies::from_v2(b"nonsense").is_err());
        assert!(serde_json::from_str::<Latencies>("\"!\"").is_err());
    }
}
