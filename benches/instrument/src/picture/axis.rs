//! Scales and their ticks.

/// A logarithmic scale of nanoseconds, from the bottom of a panel to its top.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeAxis {
    low: f64,
    high: f64,
}

impl TimeAxis {
    /// Holds both, with whole steps of 1, 2, 5 around them and at least a factor of ten between its ends.
    pub(super) fn around(least_ns: u64, most_ns: u64) -> Self {
        let least = least_ns.max(1) as f64;
        let low = steps().rev().find(|step| *step <= least).unwrap_or(1.0);
        let high = steps().find(|step| *step >= most_ns as f64 && *step >= low * 10.0).unwrap_or(1e13);
        Self { low, high }
    }

    /// Where a time lies: 0 at the bottom, 1 at the top.
    pub(super) fn place(&self, ns: f64) -> f32 {
        ((ns.max(self.low) / self.low).ln() / (self.high / self.low).ln()) as f32
    }

    /// The times to write beside it: 1, 2, 5 of each decade, or only the decades where those would be many.
    pub(super) fn ticks(&self) -> Vec<(f32, String)> {
        let few = self.high / self.low <= 2e3;
        let decade = |step: f64| (step.log10() - step.log10().round()).abs() < 1e-9;
        let within = steps().filter(|step| (self.low..=self.high).contains(step));
        within.filter(|step| few || decade(*step)).map(|step| (self.place(step), duration(step))).collect()
    }
}

/// 1, 2, 5, 10, 20, … nanoseconds, to three hours.
fn steps() -> impl DoubleEndedIterator<Item = f64> {
    (0..=13).flat_map(|power| [1.0, 2.0, 5.0].map(|step| step * 10f64.powi(power)))
}

/// A round time with its unit.
fn duration(ns: f64) -> String {
    match ns {
        ns if ns < 1e3 => format!("{ns:.0} ns"),
        ns if ns < 1e6 => format!("{:.0} µs", ns / 1e3),
        ns if ns < 1e9 => format!("{:.0} ms", ns / 1e6),
        ns => format!("{:.0} s", ns / 1e9),
    }
}

/// How many nines of percentiles so many values can tell: the last of 10,000 is the 99.99th; 2 to 6.
pub(super) fn nines(values: u64) -> u32 {
    (values.max(1) as f64).log10().ceil().clamp(2.0, 6.0) as u32
}

/// The percentiles to write below the panel, each with its place in nines: half, 90 %, 99 %, …
pub(super) fn percentile_ticks(nines: u32) -> Vec<(f32, String)> {
    let mut ticks = vec![(0.0, "0 %".to_owned()), (0.5f32.log10().abs(), "50 %".to_owned())];
    for nine in 1..=nines {
        let text = match nine {
            1 => "90 %".to_owned(),
            2 => "99 %".to_owned(),
            more => format!("99.{} %", "9".repeat(more as usize - 2)),
        };
        ticks.push((nine as f32, text));
    }
    ticks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_lie_between_the_ends_with_ticks_that_are_round() {
        let axis = TimeAxis::around(34_000, 1_176_000);
        let ticks: Vec<String> = axis.ticks().into_iter().map(|(_, text)| text).collect();
        assert_eq!(ticks, ["20 µs", "50 µs", "100 µs", "200 µs", "500 µs", "1 ms", "2 ms"]);
        assert_eq!((axis.place(20_000.0), axis.place(2e6)), (0.0, 1.0));
        assert!(axis.place(1.0) >= 0.0, "what is below is at the bottom");
        let wide = TimeAxis::around(0, 3_600_000_000_000);
        assert!(wide.ticks().len() < 16 && wide.place(3.6e12) <= 1.0);
        let one = TimeAxis::around(70, 70);
        assert!(one.place(70.0) > 0.0 && one.place(70.0) < 1.0);
    }

    #[test]
    fn so_many_values_tell_so_many_nines() {
        assert_eq!([0, 100, 101, 20_000, u64::MAX].map(nines), [2, 2, 3, 5, 6]);
        let ticks: Vec<String> = percentile_ticks(4).into_iter().map(|(_, text)| text).collect();
        assert_eq!(ticks, ["0 %", "50 %", "90 %", "99 %", "99.9 %", "99.99 %"]);
    }
}
