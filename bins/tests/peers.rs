//! `talkie peers` among nodes.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test of real processes lives in real time and says so by panicking"
)]

mod common;

use std::time::{Duration, Instant};

use common::{Mesh, Running, run};

#[test]
fn peers_ends_as_soon_as_there_are_enough_and_fails_where_there_are_not() {
    let mesh = Mesh::new();
    let (code, _, said) = run(&mut mesh.talkie(["peers", "--count", "1", "--wait", "0.2"]));
    assert_eq!((code, said.as_str()), (1, "talkie: 0 of 1 other node answered within 0.2 s\n"));
    let _one = Running::start(&mut mesh.talkie(["join"]));
    let asked = Instant::now();
    let (code, stdout, said) = run(&mut mesh.talkie(["peers", "--count", "1", "--wait", "60", "--json"]));
    assert_eq!((code, stdout.lines().count(), said.as_str()), (0, 1, ""));
    assert!(asked.elapsed() < Duration::from_secs(30), "it waited on: {:?}", asked.elapsed());
    let (code, stdout, said) = run(&mut mesh.talkie(["peers", "--count", "2", "--wait", "1"]));
    assert_eq!((code, said.as_str()), (1, "talkie: 1 of 2 other nodes answered within 1 s\n"));
    assert!(stdout.contains("talkie@"), "who is there is printed all the same: {stdout}");
}
