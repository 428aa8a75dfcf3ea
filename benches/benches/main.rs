//! What one room of the house costs, without the others: `cargo bench -p talkie-benches`, and with a part of a name behind
//! `--` only those.
//!
//! | file | what |
//! |---|---|
//! | `records.rs` | to seal and to open, by size and cipher |
//! | `matching.rs` | 100,000 exact and 10,000 wildcard interests: add, remove, match |
//! | `outbox.rs` | push, poll_transmit, acknowledge |
//! | `envelope.rs` | encode and decode |
//! | `heartbeat.rs` | to seal, open and refuse a beacon |
//! | `local.rs` | publish until all subscriptions of the same process have it |
//! | `publish.rs` | a publish beside its deliveries, and a subscription, among few and among 110,000 others |
//!
//! A sample is of many calls where one is as short as the clock is fine. No packet leaves
//! the process. Figures drift with the machine and the hour: compare those of one run.

// A benchmark reads clocks, and stops at the first thing that goes wrong.
#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::indexing_slicing, clippy::unwrap_used)]

mod envelope;
mod heartbeat;
mod local;
mod matching;
mod outbox;
mod publish;
mod records;

fn main() {
    divan::main();
}
