//! The picture: percentile curves of the fan-out, and bars.

use talkie_instrument::{Bar, BarChart, Curve, Host, Picture};

use crate::driver::Curves;
use crate::driver::plan::Case;
use crate::report::{Medians, Row};

/// What each chart of bars shows.
const CHARTS: [(Case, &str, &str, &str); 10] = [
    (fanout(1, 1_000, false), "last p50", "1 subscriber, 1,000/s: last has it, p50", "µs"),
    (fanout(4, 1_000, false), "last p50", "4 subscribers, 1,000/s: last has it, p50", "µs"),
    (fanout(16, 1_000, false), "last p50", "16 subscribers, 1,000/s: last has it, p50", "µs"),
    (fanout(4, 20_000, false), "p99", "4 subscribers, 20,000/s: p99", "µs"),
    (throughput(1, 64), "messages/s", "Throughput, 1 subscriber, 64 B", "messages/s"),
    (throughput(4, 64), "messages/s", "Throughput, 4 subscribers, 64 B", "messages/s each"),
    (throughput(1, 65_536), "MiB/s", "Throughput, 1 subscriber, 64 KiB", "MiB/s"),
    (throughput(4, 65_536), "MiB/s", "Throughput, 4 subscribers, 64 KiB", "MiB/s each"),
    (
        Case::Local { subscribers: 1_000 },
        "ns per delivery",
        "One process, 1,000 subscribers",
        "ns per delivery",
    ),
    (Case::Memory { peers: 15 }, "resident MiB", "Idle node with 15 peers, resident", "MiB"),
];

const fn fanout(subscribers: usize, rate: u64, large: bool) -> Case {
    Case::Fanout { subscribers, rate, large }
}

const fn throughput(subscribers: usize, bytes: usize) -> Case {
    Case::Throughput { subscribers, bytes }
}

/// A system that does not reach the rate has a latency that grows without end, which says nothing beside the others.
fn keeps_up(case: Case, row: &Row) -> bool {
    let Case::Fanout { rate, .. } = case else { return true };
    row.figures.get("rate").is_none_or(|reached| reached.median >= 0.99 * rate as f64)
}

/// Of all that was measured.
pub fn picture(
    medians: &Medians,
    curves: &Curves,
    host: &Host,
    warnings: &[String],
    rounds: usize,
) -> Picture {
    let s = if rounds == 1 { "" } else { "s" };
    let shown = fanout(4, 1_000, false);
    // In the order of the table, so that a system has the same colour everywhere.
    let curves = medians
        .rows(shown)
        .iter()
        .filter_map(|row| {
            let latencies = curves.get(&(shown, row.system.clone()))?.clone();
            (!latencies.is_empty()).then(|| Curve { label: row.system.clone(), latencies })
        })
        .collect();
    let bars = CHARTS
        .into_iter()
        .map(|(case, figure, title, unit)| BarChart {
            title: title.to_owned(),
            unit: unit.to_owned(),
            bars: medians
                .rows(case)
                .iter()
                .map(|row| Bar {
                    label: row.system.clone(),
                    value: keeps_up(case, row)
                        .then(|| row.figures.get(figure).map(|spread| spread.median))
                        .flatten(),
                })
                .collect(),
        })
        .filter(|chart| !chart.bars.is_empty())
        .collect();
    Picture {
        title: "Talkie, plain loops and peers: the same workloads".to_owned(),
        subtitle: format!(
            "Curves: 1 publisher process, 4 subscriber processes, 64 B, 1,000 messages a second; time until the last \
             subscriber has a message. Bars: medians of {rounds} interleaved round{s}; no figure where a system fails or cannot keep up. {}.",
            host.words()
        ),
        curves,
        bars,
        notes: warnings.to_vec(),
    }
}
