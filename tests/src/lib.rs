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

use std::time::Duration;

/// How long a test waits for what should happen at once: far above any honest delay of a debug build
/// on a busy machine of two cores, so that only a wait for nothing reaches it.
pub const SOON: Duration = Duration::from_secs(10);

/// What a debug build on a busy machine may add to a promised delay.
pub const SLACK: Duration = Duration::from_millis(if cfg!(debug_assertions) { 1500 } else { 500 });
