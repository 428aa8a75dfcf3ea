//! The bodies of the fuzz targets: each takes any bytes and panics where something does not hold that must.
//!
//! cargo-fuzz calls them (`tests/fuzz/fuzz_targets`), and so does an ordinary test with the corpora that are kept
//! (`tests/corpora.rs`). `tests/fuzz/README.md` is the table of what each holds to.
//!
//! - **Decoders** take the bytes as they might arrive, and what is read must be within its bounds, and be read again
//!   from what is written of it.
//! - **Machines** are driven by the bytes ([`feed`]): which input comes next, and with what. A model beside them says what must
//!   have come of it, and in the end everything goes away and nothing may be left.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::needless_range_loop,
    clippy::unwrap_used,
    reason = "a target that panics has found something, and two nodes are named by their places"
)]

pub mod feed;

/// A fuzz target.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_structs, reason = "a row of a table")]
pub struct Target {
    /// Its name, as cargo-fuzz knows it.
    pub name: &'static str,
    /// Panics where something does not hold.
    pub run: fn(&[u8]),
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(pub mod $name;)*

        /// All of them.
        pub const TARGETS: &[Target] = &[$(Target { name: stringify!($name), run: $name::run },)*];
    };
}

targets! {
    backlog
    control
    envelopes
    handshake
    heartbeat
    hello
    histories
    index
    kernel
    lan
    ledger
    liveness
    members
    mesh
    outbox
    pacing
    pieces
    presence
    questions
    records
    replicas
    roster
    scrape
    sealed
    strangers
    texts
    values
}
