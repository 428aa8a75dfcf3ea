//! The rig of Talkie's tests: real processes, real hosts, and a ledger that finds every message.
//!
//! Nothing here imports the product: the tests see what a user sees, which is a command, its lines,
//! its exit code and what goes over the wire. Only the programs `talkie-service`,
//! `talkie-asker` and `talkie-presence` do, as an author's would.
//!
//! - [`command`]: finds (or builds) `talkie` and describes one run of it
//! - [`process`]: a running `talkie`, its lines awaited with a deadline, killed on drop
//! - [`lines`]: the shape that each JSON line has by contract, checked on every line of every test
//! - [`mesh`]: a secret and a private group on loopback, so that tests in parallel never meet
//! - [`crowd`]: many nodes started at once, and whether they are sound
//! - [`feeder`]: standard input at a steady pace
//! - [`figures`]: the times that tests measure, told and held to what is promised
//! - [`hosts`]: network namespaces on bridges as hosts, and faults as values
//! - [`ledger`]: what was published against what each subscriber printed
//! - [`load`]: messages that flow while something goes wrong, and their account
//! - [`proxy`]: somebody in the middle of a link, who records, cuts and tampers
//! - [`presence`]: a program of an author that tracks keys
//! - [`service`]: a program of an author, for what no command does
//! - [`stranger`]: an attacker on loopback without the secret
//! - [`temp`]: a file that goes with its test
//!
//! Nothing leaves the machine: outside of a namespace every command gets `--interface lo`.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a rig of real processes lives in real time, and a rig that fails should fail loudly"
)]

pub mod command;
pub mod crowd;
pub mod feeder;
pub mod figures;
pub mod hosts;
pub mod ledger;
pub mod lines;
pub mod load;
pub mod mesh;
pub mod presence;
pub mod process;
pub mod proxy;
pub mod service;
pub mod stranger;
pub mod temp;

use std::{env, io::Write as _, thread, time::Duration};

use nix::unistd::Uid;

/// How long a test waits for what should happen at once: far above any honest delay of a debug build
/// on a busy machine of two cores, so that only a wait for nothing reaches it.
pub const SOON: Duration = Duration::from_secs(10);

/// What a debug build on a busy machine may add to a promised delay.
pub const SLACK: Duration = Duration::from_millis(if cfg!(debug_assertions) { 1500 } else { 500 });

/// True where the open files of a node can be looked at: it shows them to root alone. Otherwise the test that asks is skipped.
///
/// # Panics
/// With `CI=true`, where these tests must run.
#[must_use]
pub fn require_insight() -> bool {
    let root = Uid::effective().is_root();
    if !root {
        skip("needs root to see a node's open files");
    }
    root
}

/// Says that the test that calls is skipped: a line `SKIPPED: …` goes to standard output, past the test harness, so that
/// skipped tests can be counted.
///
/// # Panics
/// With `CI=true`, where all tests must run.
pub fn skip(why: &str) {
    // The harness names a test's thread after it.
    let thread = thread::current();
    let test = thread.name().unwrap_or("a test");
    let must = env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(!must, "with CI=true {test} must run: {why}");
    // Not `println!`: the harness keeps that to itself where a test passes.
    let _ = std::io::stdout().write_all(format!("SKIPPED: {test} ({why})\n").as_bytes());
}
