//! What a message costs that no clock shows: allocations and system calls, over real links on loopback.
//!
//! `cargo run --release -p talkie-benches --bin counts`
//!
//! Allocations are those of two nodes in this process (`allocations.rs`), system calls those of a publisher's and a
//! subscriber's process, one of them under `strace` (`calls.rs`, `role.rs`).

// A benchmark paces itself; it stops at the first thing that goes wrong.
#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::indexing_slicing, clippy::unwrap_used)]

mod allocations;
mod calls;
mod mesh;
mod role;

use std::alloc::System;
use std::env;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    let args: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => {
            if cfg!(debug_assertions) {
                eprintln!("warning: a debug build allocates and calls otherwise");
            }
            allocations::print();
            calls::print();
        }
        // What the processes do that this one starts.
        ["role", words @ ..] => role::run(words),
        _ => {
            eprintln!("usage: counts");
            std::process::exit(2);
        }
    }
}
