//! What the one who measures orders, and what is told back: JSON, a line each between processes of one machine, and
//! payloads between machines.

use serde::{Deserialize, Serialize};
use talkie_instrument::{Counts, Last, Latencies, Usage};

/// What to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Order {
    /// Tell your clock.
    Who,
    /// Subscribe, count and keep the times from now on.
    Subscribe(Take),
    /// Publish; when it is over, tell what was published.
    Publish(Plan),
    /// Tell what came of so many that were published.
    Report { published: u64 },
    /// Measure this many subscriptions in your own process.
    Local { subscribers: usize, bytes: usize, millis: u64 },
    /// Tell when you are linked to so many others, and when you have a message of each.
    Meet { others: usize },
    /// Tell of peers that come and go.
    Watch,
}

/// What to subscribe to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Take {
    pub(super) topic: String,
    /// Where to send each message back to; for a round trip.
    pub(super) echo: Option<String>,
    /// Whether to keep times; without them only what came is counted, which takes less.
    pub(super) times: bool,
}

/// What to publish.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) topic: String,
    /// Where the messages come back.
    pub(super) echo: Option<String>,
    /// Nodes to wait for.
    pub(super) subscribers: usize,
    pub(super) bytes: usize,
    /// Messages a second; as fast as it goes where there is none.
    pub(super) rate: Option<u64>,
    pub(super) millis: u64,
}

/// What happened.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Word {
    /// The name of the clock; [`talkie_instrument::clock_name`].
    Who {
        clock: Option<String>,
    },
    /// The subscription is in force.
    Ready,
    Published(Box<Published>),
    Got(Box<Got>),
    /// How long until all had each message.
    Local(Box<Latencies>),
    /// Linked to as many as asked for, at this moment of the common clock.
    Linked {
        at_ns: u64,
    },
    /// Has a message of as many as asked for.
    Talked {
        at_ns: u64,
    },
    /// A peer is up.
    Up,
    /// A peer is gone.
    Down {
        at_ns: u64,
    },
    /// It does not go on.
    Failed {
        why: String,
    },
}

/// What a publisher did.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Published {
    /// Messages that count.
    pub(super) count: u64,
    /// From the first of them to the last.
    pub(super) took_ns: u64,
    /// How late each was sent.
    pub(super) late: Latencies,
    /// How long each call of publish took.
    pub(super) call: Latencies,
    /// Messages times nodes for which there was no room.
    pub(super) overflowed: u64,
    /// Processor time from the first message to the last.
    pub(super) cpu_ns: u64,
    pub(super) usage: Usage,
    /// The way there and back, of all subscribers, where it was asked for.
    pub(super) echoes: Option<Times>,
}

/// What a subscriber got.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Got {
    pub(super) counts: Counts,
    pub(super) times: Times,
    /// From its first message that counts to the last.
    pub(super) took_ns: u64,
    pub(super) cpu_ns: u64,
    pub(super) usage: Usage,
}

/// How long messages took.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Times {
    pub(super) from_due: Latencies,
    pub(super) from_sent: Latencies,
    pub(super) last: Last,
}

impl Times {
    /// Adds another subscriber's.
    pub(super) fn merge(&mut self, other: &Self) {
        self.from_due.merge(&other.from_due);
        self.from_sent.merge(&other.from_sent);
        self.last.merge(&other.last);
    }
}
