//! What a figure of monitoring is: a name, a kind, and how it is read.

use super::{LatencyStats, Metrics};

/// Figures of one name.
pub(crate) struct Family {
    /// As Prometheus would have it: `talkie_`, what, unit, and `_total` where it only grows.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// One line, without a full stop.
    pub(crate) help: &'static str,
    pub(super) read: fn(&Metrics, &mut Tell<'_>),
}

/// How figures of one name behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Only grows while the node lives.
    Counter,
    /// The same in seconds and their parts.
    Time,
    /// May also shrink.
    Gauge,
    /// Times by their length: of each bucket how many were no longer than its end, their number and their sum.
    Histogram,
}

/// What stands behind a family's name for one of its figures; nothing, but for a histogram's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Whole,
    /// How many were no longer than the label `le` says, in seconds.
    Bucket,
    Count,
    /// In seconds.
    Sum,
}

impl Part {
    pub(crate) const fn suffix(self) -> &'static str {
        match self {
            Self::Whole => "",
            Self::Bucket => "_bucket",
            Self::Count => "_count",
            Self::Sum => "_sum",
        }
    }
}

/// What tells one figure of a name from another: a label and its value.
pub(crate) type Label<'a> = (&'static str, &'a str);

/// Takes the figures of a name.
pub(super) struct Tell<'a>(&'a mut dyn FnMut(Part, &[Label<'_>], f64));

impl Tell<'_> {
    pub(super) fn labelled(&mut self, labels: &[Label<'_>], value: u64) {
        // Exact up to 2^53: 9 PB, or a million messages a second for 285 years.
        (self.0)(Part::Whole, labels, value as f64);
    }

    pub(super) fn one(&mut self, value: u64) {
        self.labelled(&[], value);
    }

    pub(super) fn seconds(&mut self, labels: &[Label<'_>], us: u64) {
        (self.0)(Part::Whole, labels, seconds(us));
    }

    pub(super) fn histogram(&mut self, times: &LatencyStats) {
        let mut so_far = 0;
        for bucket in &times.buckets {
            so_far += bucket.samples;
            let le = bucket.at_most_us.map_or_else(|| "+Inf".to_owned(), |us| seconds(us).to_string());
            (self.0)(Part::Bucket, &[("le", &le)], so_far as f64);
        }
        (self.0)(Part::Sum, &[], seconds(times.total_us));
        (self.0)(Part::Count, &[], so_far as f64);
    }

    pub(super) fn by<const N: usize>(&mut self, label: &'static str, values: [(&str, u64); N]) {
        for (name, value) in values {
            self.labelled(&[(label, name)], value);
        }
    }
}

impl Family {
    pub(super) const fn counter(
        name: &'static str,
        help: &'static str,
        read: fn(&Metrics, &mut Tell<'_>),
    ) -> Self {
        Self { name, kind: Kind::Counter, help, read }
    }

    pub(super) const fn gauge(
        name: &'static str,
        help: &'static str,
        read: fn(&Metrics, &mut Tell<'_>),
    ) -> Self {
        Self { name, kind: Kind::Gauge, help, read }
    }

    /// Gives each figure of this name with its labels.
    pub(crate) fn read(&self, metrics: &Metrics, mut take: impl FnMut(Part, &[Label<'_>], f64)) {
        (self.read)(metrics, &mut Tell(&mut take));
    }
}

fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}
