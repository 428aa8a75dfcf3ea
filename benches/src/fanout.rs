//! One publisher process, four subscriber processes, 64 bytes, 1,000 messages a second: Talkie over TCP and over Unix
//! sockets beside a plain TCP loop, interleaved in one run. Open loop: latency counts from when a message was due.

use crate::command::{Mesh, Process};
use crate::start::keygen;
use crate::stats::{median, quantile};

const SUBSCRIBERS: usize = 4;
const RATE: u64 = 1_000;
const SECONDS: u64 = 4;
/// Name, role, and whether Talkie may use Unix sockets. The floor first.
const SYSTEMS: [(&str, &str, &str); 3] =
    [("tcp", "tcp", "off"), ("talkie-tcp", "talkie", "off"), ("talkie-unix", "talkie", "on")];

pub(crate) fn run(rounds: usize) {
    let mut last = SYSTEMS.map(|_| Vec::new());
    for round in 1..=rounds {
        for ((name, system, unix), last) in SYSTEMS.into_iter().zip(&mut last) {
            let arrivals = measure(system, unix);
            let all: Vec<f64> = arrivals.iter().flatten().copied().collect();
            let slowest: Vec<f64> = (0..arrivals[0].len())
                .map(|at| arrivals.iter().map(|one| one[at]).fold(0.0, f64::max))
                .collect();
            println!(
                "round {round} {name:<11} µs: p50 {:>6.1}  p99 {:>7.1}   last subscriber p50 {:>6.1}  p99 {:>7.1}",
                median(&all),
                quantile(&all, 0.99),
                median(&slowest),
                quantile(&slowest, 0.99),
            );
            last.push(median(&slowest));
        }
    }
    let floor = median(&last[0]);
    for ((name, ..), last) in SYSTEMS.into_iter().zip(&last).skip(1) {
        let talkie = median(last);
        println!(
            "fan-out to {SUBSCRIBERS}, 64 B, {RATE}/s: last subscriber p50, {name} {talkie:.1} µs / plain TCP loop {floor:.1} µs = {:.2}   to reach: {}",
            talkie / floor,
            if name == "talkie-unix" { "1" } else { "2" },
        );
    }
}

/// Per subscriber the latency of each message, µs.
fn measure(system: &str, unix: &'static str) -> Vec<Vec<f64>> {
    let mesh = Mesh::new(&keygen()).unix(unix);
    let publisher = mesh.role(&[
        &format!("{system}-pub"),
        &SUBSCRIBERS.to_string(),
        &RATE.to_string(),
        &(RATE * SECONDS).to_string(),
    ]);
    let (_, ready) = publisher.wait("ready");
    let at = ready["listen"].as_str().expect("an address");
    let subscribers: Vec<Process> =
        (0..SUBSCRIBERS).map(|_| mesh.role(&[&format!("{system}-sub"), at])).collect();
    subscribers
        .iter()
        .map(|subscriber| {
            let (_, line) = subscriber.wait("latencies");
            let ns = line["ns"].as_array().expect("a list");
            assert_eq!(ns.len() as u64, RATE * SECONDS, "every message arrived");
            ns.iter().map(|ns| ns.as_f64().expect("a number") / 1e3).collect()
        })
        .collect()
}
