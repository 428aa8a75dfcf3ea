//! What a system must do to be measured: publish, and subscribe. The rest (pace, figures, processes) is alike for all.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::sink::Sink;

/// What a role is told.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Setup {
    /// The system's name in the tables; some files serve several variants.
    pub system: String,
    /// Where the publisher, or the server, is reached; empty where the publisher itself says it.
    pub endpoint: String,
    /// A folder for sockets, keys and certificates that all processes of a measurement share.
    pub folder: PathBuf,
    /// As fast as it goes: what a user would set for throughput may be set.
    pub flood: bool,
    /// Messages of 16 MiB travel beside the small ones.
    pub large: bool,
    /// How many subscribers share the process, or how many others a node has to meet.
    pub count: usize,
}

impl Setup {
    /// Whether it is one of the plain loops.
    pub fn is_floor(&self) -> bool {
        self.system == "unix" || self.system.starts_with("tcp")
    }
}

/// The topic of the messages that are measured.
pub const TOPIC: &str = "bench";
/// The topic of the large messages beside them.
pub const LARGE_TOPIC: &str = "large";
/// Bytes of a large message.
pub const LARGE: usize = 16 << 20;

/// The publishing side.
pub trait Publisher: Sized {
    /// Starts it.
    fn open(setup: &Setup) -> impl Future<Output = Result<Self, Failure>>;

    /// What the subscribers need to reach it; empty where they find it otherwise.
    fn endpoint(&self) -> String {
        String::new()
    }

    /// Waits for this many subscribers, where the system knows them. Probes do the rest.
    fn gather(&mut self, _subscribers: usize) -> impl Future<Output = Result<(), Failure>> {
        async { Ok(()) }
    }

    /// Publishes one message.
    fn publish(&mut self, payload: &[u8]) -> impl Future<Output = Result<(), Failure>>;

    /// Pushes out what a client holds back, where it does.
    fn flush(&mut self) -> impl Future<Output = Result<(), Failure>> {
        async { Ok(()) }
    }

    /// From now on publishes [`LARGE`] bytes on [`LARGE_TOPIC`] each second, beside the small ones.
    fn large(&self) -> Result<(), Failure> {
        Err(Failure::new("not tried beside large messages"))
    }
}

/// The subscribing side.
pub trait Subscriber: 'static {
    /// Subscribes, and hands each payload to the sink for as long as it is not dropped.
    fn run(setup: Setup, sink: Sink) -> impl Future<Output = Result<(), Failure>> + Send + 'static;
}
