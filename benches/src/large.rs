//! A small message every millisecond on one topic, alone and while messages of 16 MiB cross the same link on another,
//! back to back. Open loop: latency counts from when a message was due.

use crate::command::{Mesh, Process};
use crate::start::keygen;
use crate::stats::{median, print, quantile};

const RATE: u64 = 1_000;
const SECONDS: u64 = 4;

pub(crate) fn run(rounds: usize) {
    let [mut p50, mut p99, mut alone, mut speed] = [(); 4].map(|()| Vec::new());
    for round in 1..=rounds {
        let mesh = Mesh::new(&keygen());
        let subscriber = mesh.role(&["large-sub"]);
        let _publisher = mesh.role(&["large-pub", &RATE.to_string(), &(RATE * SECONDS).to_string()]);
        let [without, with] = [(); 2].map(|()| latencies(&subscriber));
        let (_, line) = subscriber.wait("large");
        let rate = line["bytes"].as_f64().expect("a number") / line["ns"].as_f64().expect("a number") * 1e3;
        let [a, b] = [&without, &with].map(|all| [0.5, 0.99].map(|q| quantile(all, q)));
        println!(
            "round {round} µs: alone p50 {:>6.1}  p99 {:>7.1}   beside a large one p50 {:>6.1}  p99 {:>7.1}  max {:>8.1}   large: {rate:>5.0} MB/s, {} messages",
            a[0],
            a[1],
            b[0],
            b[1],
            quantile(&with, 1.0),
            line["count"],
        );
        p50.push(b[0] / a[0]);
        p99.push(b[1] / a[1]);
        alone.push(a[1]);
        speed.push(rate);
    }
    print("small message alone, p99", "µs", &alone, "-");
    print("small beside 16 MiB / alone, p50", "  ", &p50, "-");
    print("small beside 16 MiB / alone, p99", "  ", &p99, "3");
    println!("messages of 16 MiB: median {:.0} MB/s", median(&speed));
}

/// The next run's latencies, µs.
fn latencies(subscriber: &Process) -> Vec<f64> {
    let (_, line) = subscriber.wait("latencies");
    let ns = line["ns"].as_array().expect("a list");
    assert_eq!(ns.len() as u64, RATE * SECONDS, "every message arrived");
    ns.iter().map(|ns| ns.as_f64().expect("a number") / 1e3).collect()
}
