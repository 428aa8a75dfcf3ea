//! The same workloads on Talkie, on plain loops, and on its peers.
//!
//! # Floor plan
//! The driver (`bin/peers`) starts a fresh set of processes for each measurement; each is one of the small programs
//! `bin/peers-…`, which holds one system and nothing of the others, so that none pays for another's code.
//! ```text
//! driver    driver: plan · measure · child · summary · folder
//! report    report: table · targets · picture · versions
//! role      role: what a process does, alike for all systems · local
//! systems   systems: one short file each, behind the two traits of `system`
//! nouns     sink · say · failure
//! the rest  ../instrument: clock, pace, stamps, tally, histograms, picture
//! ```

// Benchmarks read clocks, sleep and spawn; no machine of the protocol is in here.
#![allow(clippy::disallowed_methods)]

pub mod driver;
pub mod failure;
pub mod local;
pub mod report;
pub mod role;
pub mod say;
pub mod sink;
pub mod system;
pub mod systems;
