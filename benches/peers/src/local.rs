//! Fan-out within one process: from just before a publish until all subscribers have the message.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use serde_json::json;
use tokio::sync::Notify;

use crate::failure::Failure;
use crate::say::say;
use talkie_instrument::now_ns;

/// Bytes of a message.
pub const BYTES: usize = 64;

/// Counts the subscribers that have the message.
#[derive(Clone, Default)]
pub struct Gate(Arc<Inner>);

#[derive(Default)]
struct Inner {
    missing: AtomicUsize,
    last_ns: AtomicU64,
    all: Notify,
}

impl Gate {
    /// One more has it. The last one says when.
    pub fn pass(&self) {
        if self.0.missing.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.last_ns.store(now_ns(), Ordering::Release);
            self.0.all.notify_one();
        }
    }
}

/// Publishes to `count` subscribers, which pass the gate for each message, and tells how long each took.
pub async fn measure(
    gate: &Gate,
    count: usize,
    mut publish: impl AsyncFnMut(&[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    // Some 100,000 deliveries, at least 30 rounds and at most 2,000: a second or less.
    let rounds = (100_000 / count.max(1)).clamp(30, 2_000);
    let mut took = Vec::new();
    for round in 0..rounds + rounds / 10 {
        gate.0.missing.store(count, Ordering::Release);
        let began = now_ns();
        publish(&[7; BYTES]).await?;
        gate.0.all.notified().await;
        // The first ones warm caches up.
        if round >= rounds / 10 {
            took.push(gate.0.last_ns.load(Ordering::Acquire).saturating_sub(began));
        }
    }
    say(&json!({"event": "local", "ns": took}));
    Ok(())
}
