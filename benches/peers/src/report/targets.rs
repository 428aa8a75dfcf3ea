//! What Talkie is held to, beside what was measured.

use crate::driver::plan::{Case, System};
use crate::report::Medians;

/// A bound of a figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// It must not be more.
    AtMost(f64),
    /// It must not be less.
    AtLeast(f64),
    /// It must be less.
    Below(f64),
    /// It must be more.
    Above(f64),
}

/// A target.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// What is measured, in words.
    pub what: String,
    /// What was measured.
    pub measured: f64,
    /// What is to be reached.
    pub limit: Bound,
}

impl Target {
    /// Whether it is reached.
    pub fn met(&self) -> bool {
        match self.limit {
            Bound::AtMost(limit) => self.measured <= limit,
            Bound::AtLeast(limit) => self.measured >= limit,
            Bound::Below(limit) => self.measured < limit,
            Bound::Above(limit) => self.measured > limit,
        }
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtMost(limit) => write!(f, "≤ {limit}"),
            Self::AtLeast(limit) => write!(f, "≥ {limit}"),
            Self::Below(limit) => write!(f, "< {limit}"),
            Self::Above(limit) => write!(f, "> {limit}"),
        }
    }
}

/// What a delivery to one of 10,000 callbacks in the publisher's process took with zenoh, on a machine like those that the figures
/// are from, nanoseconds.
const ZENOH_LOCAL_NS: f64 = 109.0;

const fn fanout(subscribers: usize, rate: u64, large: bool) -> Case {
    Case::Fanout { subscribers, rate, large }
}

/// All targets for which both sides were measured.
pub fn targets(medians: &Medians) -> Vec<Target> {
    let mut found = Vec::new();
    for talkie in ["talkie", "talkie-handler", "talkie-unix", "talkie-unix-handler"] {
        let mut judge = Judge { medians, talkie, found: &mut found };
        judge.latency();
        judge.fast();
        judge.throughput();
        judge.rest();
    }
    found
}

struct Judge<'a> {
    medians: &'a Medians,
    talkie: &'static str,
    found: &'a mut Vec<Target>,
}

impl Judge<'_> {
    fn own(&self, case: Case, figure: &str) -> Option<f64> {
        self.medians.median(case, self.talkie, figure)
    }

    fn put(&mut self, what: String, measured: Option<f64>, limit: Bound) {
        if let Some(measured) = measured {
            self.found.push(Target { what: format!("{}: {what}", self.talkie), measured, limit });
        }
    }

    /// The same figure as a multiple of another system's.
    fn beside(&mut self, case: Case, figure: &str, what: &str, other: Option<f64>, limit: Bound) {
        let ratio = self.own(case, figure).zip(other).map(|(own, other)| own / other);
        self.put(format!("{}, {figure} / {what}", case.title()), ratio, limit);
    }

    /// A figure of the peers: their least, or their greatest.
    fn peers(&self, case: Case, figure: &str, clear: bool, pick: fn(f64, f64) -> f64) -> Option<f64> {
        let rows = self.medians.rows(case).iter();
        rows.filter(|row| {
            System::named(&row.system).is_some_and(|system| {
                !(system.is_talkie() || system.is_floor() || clear && system.is_sealed())
            })
        })
        .filter_map(|row| Some(row.figures.get(figure)?.median))
        .reduce(pick)
    }

    fn latency(&mut self) {
        let unix = self.talkie.starts_with("talkie-unix");
        for subscribers in [1, 4, 16] {
            let case = fanout(subscribers, 1_000, false);
            for figure in ["last p50", "last p99"] {
                let tcp = self.medians.median(case, "tcp", figure);
                let limit = if unix { Bound::Below(1.0) } else { Bound::AtMost(1.15) };
                self.beside(case, figure, "tcp", tcp, limit);
                if subscribers > 4 {
                    continue;
                }
                let zenoh = ["zenoh", "zenoh-ll"]
                    .into_iter()
                    .filter_map(|system| self.medians.median(case, system, figure))
                    .reduce(f64::min);
                let limit = Bound::AtMost(if unix { 0.5 } else { 0.6 });
                self.beside(case, figure, "zenoh's better", zenoh, limit);
            }
            let least = self.peers(case, "cpu s per million", false, f64::min);
            self.beside(case, "cpu s per million", "the peers' least", least, Bound::Below(1.0));
        }
    }

    fn fast(&mut self) {
        let case = fanout(4, 20_000, false);
        let rate = self.own(case, "rate").map(|rate| rate / 20_000.0);
        self.put(format!("{}, part of the rate that is reached", case.title()), rate, Bound::AtLeast(0.99));
        self.beside(
            case,
            "p50",
            "the peers' least",
            self.peers(case, "p50", false, f64::min),
            Bound::Below(1.0),
        );
        let batch = self.medians.median(case, "tcp-batch", "p99");
        self.beside(case, "p99", "tcp-batch", batch, Bound::AtMost(1.0));
        let alone = self.own(fanout(4, 1_000, false), "p99");
        self.beside(fanout(4, 1_000, true), "p99", "the same alone", alone, Bound::AtMost(3.0));
    }

    fn throughput(&mut self) {
        for subscribers in [1, 4] {
            let limits =
                [(64, Bound::AtLeast(2.0)), (1_024, Bound::AtLeast(1.3)), (65_536, Bound::Above(1.0))];
            for (bytes, limit) in limits {
                let case = Case::Throughput { subscribers, bytes };
                let fastest = self.peers(case, "messages/s", true, f64::max);
                self.beside(case, "messages/s", "the fastest peer in clear", fastest, limit);
                let least = self.peers(case, "cpu s per million", false, f64::min);
                self.beside(case, "cpu s per million", "the peers' least", least, Bound::Below(1.0));
            }
        }
    }

    fn rest(&mut self) {
        for subscribers in [1, 10, 1_000, 10_000] {
            let case = Case::Local { subscribers };
            if self.talkie == "talkie-handler" {
                let zenoh = self.medians.median(case, "zenoh", "ns per delivery");
                self.beside(case, "ns per delivery", "zenoh", zenoh, Bound::Below(1.0));
                let many = self.own(case, "ns per delivery").filter(|_| subscribers == 10_000);
                self.put(format!("{}, ns per delivery", case.title()), many, Bound::Below(ZENOH_LOCAL_NS));
                continue;
            }
            let mpsc = self.medians.median(case, "tokio-mpsc", "ns per delivery");
            self.beside(case, "ns per delivery", "tokio-mpsc", mpsc, Bound::Below(1.0));
        }
        for (processes, limit) in [(2, 12.0), (16, 120.0)] {
            let case = Case::Start { processes };
            self.put(format!("{}, ms", case.title()), self.own(case, "ms"), Bound::Below(limit));
        }
        let full = self.own(Case::Memory { peers: 15 }, "resident MiB");
        self.put("W6 resident with 15 peers, MiB".to_owned(), full, Bound::AtMost(8.0));
        let one = self.own(Case::Memory { peers: 1 }, "resident MiB");
        let further = full.zip(one).map(|(full, one)| (full - one) * 1_024.0 / 14.0);
        self.put("W6 resident per further peer, KiB".to_owned(), further, Bound::AtMost(48.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::{Figures, Outcome};

    fn outcome(system: &str, rate: f64) -> Outcome {
        Outcome {
            case: Case::Throughput { subscribers: 1, bytes: 64 },
            system: system.to_owned(),
            round: 1,
            figures: Figures::from([("messages/s".to_owned(), rate)]),
            failed: None,
        }
    }

    #[test]
    fn only_peers_in_clear_are_compared_with() {
        let outcomes = [
            outcome("tcp-batch", 900.0),
            outcome("talkie", 190.0),
            outcome("zenoh", 100.0),
            outcome("zenoh-tls", 500.0),
        ];
        let targets = targets(&Medians::of(&outcomes));
        assert_eq!(targets.len(), 1, "{targets:?}");
        assert!((targets[0].measured - 1.9).abs() < 1e-9 && !targets[0].met(), "{targets:?}");
    }
}
