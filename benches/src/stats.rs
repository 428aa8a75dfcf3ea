//! Medians and percentiles of samples.

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds of the clock that all processes of one host share.
pub(crate) fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("the system has a monotonic clock");
    now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
}

/// The value below which the part `q` (0 to 1) of the samples lies.
pub(crate) fn quantile(samples: &[f64], q: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = ((sorted.len() as f64 * q) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

pub(crate) fn median(samples: &[f64]) -> f64 {
    quantile(samples, 0.5)
}

/// One line: what, its median, and the spread.
pub(crate) fn print(what: &str, unit: &str, samples: &[f64], target: &str) {
    println!(
        "{what:<58} median {:>8.2} {unit}  min {:>8.2}  max {:>8.1}  n {:>3}   to reach: {target}",
        median(samples),
        quantile(samples, 0.0),
        quantile(samples, 1.0),
        samples.len(),
    );
}
