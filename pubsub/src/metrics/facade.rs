//! The figures for the `metrics` facade: whatever recorder a program has installed is told them.

use std::collections::HashSet;

use metrics::{Key, Label, Level, Metadata, Unit, with_recorder};

use super::Metrics;
use super::families::{FAMILIES, Family, Kind};
use super::family::Part;

/// Tells the recorder of the `metrics` facade what readings say.
#[derive(Debug, Default)]
pub(crate) struct Facade {
    described: bool,
    /// The gauges of the last reading: of those that are not in the next one (a peer that went) 0 is told once, since a
    /// recorder keeps the last value for ever.
    gauges: HashSet<Key>,
}

const METADATA: Metadata<'_> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

impl Facade {
    /// Counters are told as they are in all, gauges as they are now.
    pub(crate) fn record(&mut self, reading: &Metrics) {
        with_recorder(|recorder| {
            if !std::mem::replace(&mut self.described, true) {
                FAMILIES.iter().for_each(|family| describe(recorder, family));
            }
            let mut gauges = HashSet::new();
            for family in FAMILIES {
                family.read(reading, |part, labels, value| {
                    let labels: Vec<_> =
                        labels.iter().map(|(name, said)| Label::new(*name, (*said).to_owned())).collect();
                    let key = Key::from_parts([family.name, part.suffix()].concat(), labels);
                    if is_whole(family.kind, part) {
                        recorder.register_counter(&key, &METADATA).absolute(value as u64);
                    } else {
                        recorder.register_gauge(&key, &METADATA).set(value);
                        gauges.insert(key);
                    }
                });
            }
            for gone in self.gauges.difference(&gauges) {
                recorder.register_gauge(gone, &METADATA).set(0.0);
            }
            self.gauges = gauges;
        });
    }
}

/// Whether it is a counter of the facade, which are whole numbers: a time is a gauge there.
const fn is_whole(kind: Kind, part: Part) -> bool {
    match kind {
        Kind::Counter => true,
        Kind::Time | Kind::Gauge => false,
        Kind::Histogram => !matches!(part, Part::Sum),
    }
}

/// A histogram is told as the counters that Prometheus has for it: what the facade calls one takes each time by itself, and here
/// they are counted already.
fn describe(recorder: &dyn metrics::Recorder, family: &Family) {
    if family.kind == Kind::Histogram {
        for part in [Part::Bucket, Part::Count, Part::Sum] {
            describe_part(recorder, family, part);
        }
    } else {
        describe_part(recorder, family, Part::Whole);
    }
}

fn describe_part(recorder: &dyn metrics::Recorder, family: &Family, part: Part) {
    let unit = match family.name {
        _ if matches!(part, Part::Bucket | Part::Count) => Some(Unit::Count),
        name if name.contains("_seconds") => Some(Unit::Seconds),
        name if name.contains("_bytes") => Some(Unit::Bytes),
        _ => None,
    };
    let name = [family.name, part.suffix()].concat().into();
    if is_whole(family.kind, part) {
        recorder.describe_counter(name, unit, family.help.into());
    } else {
        recorder.describe_gauge(name, unit, family.help.into());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Arc, Mutex};

    use metrics::{Counter, Gauge, Histogram, KeyName, Recorder, SharedString, with_local_recorder};

    use super::*;
    use crate::metrics::latency::{BUCKETS, LatencyStats};
    use crate::metrics::tests::{reading, waiting};

    /// Keeps what it is told, by name and labels.
    #[derive(Default)]
    struct Kept {
        figures: Mutex<HashMap<String, Arc<AtomicU64>>>,
        described: AtomicU64,
    }

    impl Kept {
        fn figure(&self, key: &Key) -> Arc<AtomicU64> {
            let labels: Vec<_> = key.labels().map(|it| format!("{}={}", it.key(), it.value())).collect();
            let name = format!("{} {}", key.name(), labels.join(","));
            self.figures.lock().unwrap().entry(name).or_default().clone()
        }

        fn get(&self, name: &str) -> Option<u64> {
            Some(self.figures.lock().unwrap().get(name)?.load(Ordering::Relaxed))
        }
    }

    impl Recorder for Kept {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {
            self.described.fetch_add(1, Ordering::Relaxed);
        }

        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {
            self.described.fetch_add(1, Ordering::Relaxed);
        }

        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            self.figure(key).into()
        }

        fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
            self.figure(key).into()
        }

        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    #[test]
    fn a_recorder_has_every_figure_and_nothing_of_what_went() {
        let (recorder, mut facade) = (Kept::default(), Facade::default());
        let mut metrics = reading();
        metrics.published.messages = 7;
        metrics.published.waited_us = 2_500_000;
        metrics.subscriptions = vec![waiting("t/*", 3)];
        metrics.latency = LatencyStats::of([2; BUCKETS], 2_500_000);
        with_local_recorder(&recorder, || facade.record(&metrics));
        let queue = "talkie_subscription_waiting bus=default,pattern=t/*";
        assert_eq!(recorder.get("talkie_published_total "), Some(7));
        let gauge = |name: &str| recorder.get(name).map(f64::from_bits);
        assert_eq!(gauge("talkie_publish_wait_seconds_total "), Some(2.5));
        assert_eq!(gauge(queue), Some(3.0));
        assert_eq!(recorder.get("talkie_delivery_latency_seconds_bucket le=0.000005"), Some(6));
        assert_eq!(recorder.get("talkie_delivery_latency_seconds_count "), Some(2 * BUCKETS as u64));
        assert_eq!(gauge("talkie_delivery_latency_seconds_sum "), Some(2.5));
        // A histogram has three names.
        let names = FAMILIES.len() as u64 + 2;
        assert_eq!(recorder.described.load(Ordering::Relaxed), names);

        metrics.published.messages = 9;
        metrics.subscriptions.clear();
        with_local_recorder(&recorder, || facade.record(&metrics));
        assert_eq!(recorder.get("talkie_published_total "), Some(9), "as it is in all, not added");
        assert_eq!(gauge(queue), Some(0.0));
        assert_eq!(recorder.described.load(Ordering::Relaxed), names, "once");
    }
}
