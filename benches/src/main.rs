//! Prints the figures that Talkie is held to, measured on this machine over real processes on loopback.
//!
//! `cargo build --release --workspace && target/release/numbers [start|detect|idle|fanout|large|interests|presence|request] [ROUNDS]`, or
//! `target/release/numbers mesh [NODES] [ROUNDS]`
//!
//! All traffic stays on the loopback interface. Absolute figures drift with the machine and the hour: compare the
//! ratios of one run.

// A benchmark reads clocks and paces itself; it stops at the first thing that goes wrong.
#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::indexing_slicing, clippy::unwrap_used)]

mod command;
mod detect;
mod fanout;
mod idle;
mod interests;
mod large;
mod mesh;
mod present;
mod request;
mod role;
mod start;
mod stats;

use std::env;

fn main() {
    let args: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    if cfg!(debug_assertions) {
        eprintln!("warning: a debug build says nothing of speed");
    }
    let number = |at: usize, default| words.get(at).and_then(|word| word.parse().ok()).unwrap_or(default);
    let rounds = |default: usize| number(1, default);
    match words.first().copied() {
        Some("start") => start::run(rounds(25)),
        Some("detect") => detect::run(rounds(20)),
        Some("idle") => idle::run(),
        Some("fanout") => fanout::run(rounds(5)),
        Some("large") => large::run(rounds(5)),
        Some("interests") => interests::run(rounds(5)),
        Some("presence") => present::run(rounds(5)),
        Some("request") => request::run(rounds(5)),
        Some("mesh") => mesh::run(number(1, 16), number(2, 5)),
        // What the processes that the others start do.
        Some("role") => role::run(&words[1..]),
        None => {
            start::run(25);
            detect::run(20);
            idle::run();
            fanout::run(5);
            large::run(5);
            interests::run(5);
            present::run(5);
            request::run(5);
        }
        Some(other) => {
            eprintln!(
                "there is no measurement `{other}`: start, detect, idle, fanout, large, interests, presence, \
                 request, mesh"
            );
            std::process::exit(2);
        }
    }
}
