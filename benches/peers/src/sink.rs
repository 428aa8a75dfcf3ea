//! What a subscriber does with what it gets: it counts, and notes when each message came.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::json;
use talkie_instrument::{Counts, Kind, Last, Latencies, Stamp, Tally, Usage, now_ns};

use crate::say::say;

/// Takes each payload; tells the driver when the first one and the end are there.
#[derive(Debug)]
pub struct Sink {
    /// Latency is asked for.
    paced: bool,
    connected: bool,
    ended: bool,
    tally: Tally,
    last: Last,
    first_ns: u64,
    cpu_ns: u64,
    large: Large,
}

/// What a subscriber got.
#[derive(Debug, Serialize, Deserialize)]
pub struct Got {
    /// Its counts.
    pub counts: Counts,
    /// From when each message was due until it arrived.
    pub latencies: Latencies,
    /// The same by number.
    pub last: Last,
    /// From the first message to the end, nanoseconds.
    pub ns: u64,
    /// Processor time of this process meanwhile, nanoseconds.
    pub cpu_ns: u64,
    /// Bytes of large messages.
    pub large_bytes: u64,
}

/// Counts large messages beside the small ones, also from another task.
#[derive(Debug, Default, Clone)]
pub struct Large(Arc<AtomicU64>);

impl Large {
    /// Notes one that came.
    pub fn take(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Sink {
    /// For messages at a pace, whose latency is asked for, or not.
    pub fn new(paced: bool) -> Self {
        Self {
            paced,
            connected: false,
            ended: false,
            tally: Tally::default(),
            last: Last::default(),
            first_ns: 0,
            cpu_ns: 0,
            large: Large::default(),
        }
    }

    /// The counter of large messages.
    pub fn large(&self) -> Large {
        self.large.clone()
    }

    /// Notes a payload that is there now.
    #[inline]
    pub fn take(&mut self, payload: &[u8]) {
        let Some(stamp) = Stamp::read(payload) else { return };
        match stamp.kind {
            Kind::Counted => {
                if self.first_ns == 0 {
                    (self.first_ns, self.cpu_ns) = (now_ns(), Usage::own().cpu_ns);
                }
                if !self.paced {
                    self.tally.count(&stamp);
                    return;
                }
                let now = now_ns();
                if self.tally.note(&stamp, now) {
                    self.last.note(stamp.number, now.saturating_sub(stamp.due_ns));
                }
            }
            Kind::WarmUp if !self.connected => {
                self.connected = true;
                say(&json!({"event": "connected"}));
            }
            Kind::End if !self.ended => {
                self.ended = true;
                self.tell(stamp.number);
            }
            _ => {}
        }
    }

    fn tell(&mut self, published: u64) {
        let now = now_ns();
        let got = Got {
            counts: self.tally.counts(published),
            latencies: std::mem::take(&mut self.tally.from_due),
            last: std::mem::take(&mut self.last),
            ns: if self.first_ns == 0 { 0 } else { now - self.first_ns },
            cpu_ns: Usage::own().cpu_ns - self.cpu_ns,
            large_bytes: self.large.0.load(Ordering::Relaxed),
        };
        say(&json!({"event": "got", "got": got}));
    }
}
