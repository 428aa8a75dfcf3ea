//! Figures from what the processes of one measurement told.

use serde::de::DeserializeOwned;
use serde_json::Value;
use talkie_instrument::{Counts, Last, Latencies};

use crate::driver::Figures;
use crate::failure::Failure;
use crate::role::{Load, Sent};
use crate::sink::Got;

/// A number of a line; 0 where there is none.
pub fn number(line: &Value, name: &str) -> f64 {
    line.get(name).and_then(Value::as_f64).unwrap_or(0.0)
}

/// A list of numbers of a line.
pub fn numbers(line: &Value, name: &str) -> Vec<f64> {
    line.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_f64).collect()
}

/// The value below which the part `q` (0 to 1) of the samples lies; NaN where there are none.
pub fn quantile(samples: &[f64], q: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = ((sorted.len() as f64 * q) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

/// A part of a line.
pub fn part<T: DeserializeOwned>(line: &Value, name: &str) -> Result<T, Failure> {
    Ok(T::deserialize(line.get(name).unwrap_or(&Value::Null))?)
}

/// The figures of one measurement, and for the picture the time until the last subscriber had each message.
#[derive(Debug, Default)]
pub struct Measured {
    /// By name.
    pub figures: Figures,
    /// Of W1 only.
    pub last: Latencies,
}

impl<const N: usize> From<[(String, f64); N]> for Measured {
    fn from(figures: [(String, f64); N]) -> Self {
        Self { figures: figures.into(), last: Latencies::default() }
    }
}

/// The figures of W1 and W2.
pub fn deliveries(load: &Load, sent: &Sent, got: &[Got], server_ns: u64) -> Result<Measured, Failure> {
    let mut counts = Counts::default();
    got.iter().for_each(|got| counts.add(&got.counts));
    if counts.received == 0 {
        return Err(Failure::new("nothing was delivered"));
    }
    let received = counts.received as f64;
    let cpu_ns = sent.cpu_ns + server_ns + got.iter().map(|got| got.cpu_ns).sum::<u64>();
    let mut measured = Measured::from([
        ("lost %".to_owned(), 100.0 * counts.lost as f64 / (sent.published.max(1) as f64 * got.len() as f64)),
        ("lost".to_owned(), counts.lost as f64),
        ("doubled".to_owned(), counts.doubled as f64),
        ("reordered".to_owned(), counts.reordered as f64),
        // Microseconds per delivery are seconds per million.
        ("cpu s per million".to_owned(), cpu_ns as f64 / received / 1e3),
    ]);
    let mut put = |name: &str, value: f64| measured.figures.insert(name.to_owned(), value);
    if load.rate == 0 {
        let rates = got.iter().map(|got| got.counts.received as f64 / got.ns.max(1) as f64 * 1e9);
        // The mean over subscribers, as they share the machine.
        let rate = rates.sum::<f64>() / got.len() as f64;
        put("messages/s", rate);
        put("MiB/s", rate * load.bytes as f64 / f64::from(1 << 20));
        return Ok(measured);
    }
    let (mut all, mut last) = (Latencies::default(), Last::default());
    for got in got {
        all.merge(&got.latencies);
        last.merge(&got.last);
    }
    let last = last.latencies(got.len() as u32);
    for (name, of, q) in [
        ("p50", &all, 0.5),
        ("p90", &all, 0.9),
        ("p99", &all, 0.99),
        ("p99.9", &all, 0.999),
        ("max", &all, 1.0),
        ("last p50", &last, 0.5),
        ("last p99", &last, 0.99),
        ("call p50", &sent.calls, 0.5),
    ] {
        put(name, of.quantile_us(q));
    }
    put("rate", sent.published as f64 / sent.ns.max(1) as f64 * 1e9);
    measured.last = last;
    Ok(measured)
}

#[cfg(test)]
mod tests {
    use talkie_instrument::{Kind, Stamp, Tally};

    use super::*;

    fn got(latencies_us: &[Option<u64>]) -> Got {
        let (mut tally, mut last) = (Tally::default(), Last::default());
        for (number, us) in latencies_us.iter().enumerate() {
            let Some(us) = us else { continue };
            let number = number as u64;
            tally.note(&Stamp { kind: Kind::Counted, number, due_ns: 0, sent_ns: 0 }, us * 1_000);
            last.note(number, us * 1_000);
        }
        let counts = tally.counts(latencies_us.len() as u64);
        Got { counts, latencies: tally.from_due, last, ns: 1, cpu_ns: 250, large_bytes: 0 }
    }

    #[test]
    fn the_last_subscriber_counts_and_losses_are_told() {
        let load = Load { subscribers: 2, bytes: 64, rate: 1, ms: 1, warm_up_ms: 0 };
        let sent = Sent { published: 3, ns: 1_000_000_000, cpu_ns: 500, calls: Latencies::default() };
        let got = [got(&[Some(10), Some(20), Some(30)]), got(&[Some(90), None, Some(5)])];
        let figures = deliveries(&load, &sent, &got, 1_000).unwrap().figures;
        let figure = |name: &str| figures.get(name).copied().unwrap();
        assert_eq!(figure("lost"), 1.0);
        assert!((figure("lost %") - 100.0 / 6.0).abs() < 1e-9);
        // The message that one of them never got has no last subscriber: 90 and 30 are left.
        assert!((figure("last p50") - 30.0).abs() < 0.1, "{figures:?}");
        assert!((figure("last p99") - 90.0).abs() < 0.1, "{figures:?}");
        assert_eq!(figure("cpu s per million"), 0.4);
        assert_eq!(figure("rate"), 3.0);
    }
}
