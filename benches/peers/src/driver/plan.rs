//! What is measured, with which systems, for how long.

use serde::{Deserialize, Serialize};
use talkie_pubsub::settings::SETTINGS;

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Case {
    /// W1: a publisher process sends at a pace to subscriber processes.
    Fanout {
        /// Subscriber processes.
        subscribers: usize,
        /// Messages a second.
        rate: u64,
        /// A message of 16 MiB travels beside them each second.
        large: bool,
    },
    /// W2: a publisher process sends as fast as it goes.
    Throughput {
        /// Subscriber processes.
        subscribers: usize,
        /// Bytes of a message.
        bytes: usize,
    },
    /// W3: a publisher and its subscribers in one process.
    Local {
        /// Subscribers.
        subscribers: usize,
    },
    /// W4: processes that start at once, until each has a message of each.
    Start {
        /// Processes.
        processes: usize,
    },
    /// W6: memory of a node that has nothing to do.
    Memory {
        /// Other nodes.
        peers: usize,
    },
}

/// The workloads that a user may choose among.
pub const WORKLOADS: [&str; 5] = ["w1", "w2", "w3", "w4", "w6"];

impl Case {
    /// The workload that it belongs to.
    pub fn workload(self) -> &'static str {
        match self {
            Self::Fanout { .. } => "w1",
            Self::Throughput { .. } => "w2",
            Self::Local { .. } => "w3",
            Self::Start { .. } => "w4",
            Self::Memory { .. } => "w6",
        }
    }

    /// Its name: the workload, and what tells it from the others of it.
    pub fn name(self) -> String {
        let workload = self.workload();
        match self {
            Self::Fanout { subscribers, rate, large } => {
                format!("{workload}-{subscribers}-{rate}{}", if large { "-large" } else { "" })
            }
            Self::Throughput { subscribers, bytes } => format!("{workload}-{subscribers}-{bytes}"),
            Self::Local { subscribers } => format!("{workload}-{subscribers}"),
            Self::Start { processes } => format!("{workload}-{processes}"),
            Self::Memory { peers } => format!("{workload}-{peers}"),
        }
    }

    /// What it is, in words.
    pub fn title(self) -> String {
        match self {
            Self::Fanout { subscribers, rate, large } => format!(
                "W1 fan-out latency: {subscribers} subscriber{}, 64 B, {rate} messages a second{}",
                if subscribers == 1 { "" } else { "s" },
                if large { ", beside one of 16 MiB each second" } else { "" }
            ),
            Self::Throughput { subscribers, bytes } => format!(
                "W2 throughput: {subscribers} subscriber{}, {bytes} B",
                if subscribers == 1 { "" } else { "s" }
            ),
            Self::Local { subscribers } => format!("W3 in one process: {subscribers} subscribers, 64 B"),
            Self::Start { processes } => format!("W4 cold start: {processes} processes at once"),
            Self::Memory { peers } => format!("W6 memory of an idle node: {peers} peers"),
        }
    }
}

/// Bytes of a message in W1.
pub const SMALL: usize = 64;

/// All cases in their order.
pub const CASES: [Case; 20] = [
    fanout(1, 1_000, false),
    fanout(4, 1_000, false),
    fanout(16, 1_000, false),
    fanout(4, 20_000, false),
    fanout(4, 1_000, true),
    throughput(1, 64),
    throughput(1, 1_024),
    throughput(1, 65_536),
    throughput(4, 64),
    throughput(4, 1_024),
    throughput(4, 65_536),
    Case::Local { subscribers: 1 },
    Case::Local { subscribers: 10 },
    Case::Local { subscribers: 1_000 },
    Case::Local { subscribers: 10_000 },
    Case::Start { processes: 2 },
    Case::Start { processes: 16 },
    Case::Memory { peers: 0 },
    Case::Memory { peers: 1 },
    Case::Memory { peers: 15 },
];

const fn fanout(subscribers: usize, rate: u64, large: bool) -> Case {
    Case::Fanout { subscribers, rate, large }
}

const fn throughput(subscribers: usize, bytes: usize) -> Case {
    Case::Throughput { subscribers, bytes }
}

/// A system: its name, the program that holds its roles, and the workloads that it takes part in.
#[derive(Debug, Clone, Copy)]
pub struct System {
    /// Its name in the tables.
    pub name: &'static str,
    /// The program beside this one.
    pub program: &'static str,
    /// What it takes part in.
    workloads: &'static [&'static str],
    /// What it is, in a few words.
    pub meaning: &'static str,
}

/// W1 beside large messages.
const BESIDE: &str = "w1-large";

/// All systems in the order in which they are measured and shown.
pub const SYSTEMS: &[System] = &[
    system("tcp", "peers-floor", &["w1", "w2"], "plain tokio TCP loop: the floor"),
    system("tcp-chacha", "peers-floor", &["w1", "w2"], "the same with ChaCha20-Poly1305 per link"),
    system("tcp-batch", "peers-floor", &["w1", "w2"], "a queue and a writer task per link"),
    system("unix", "peers-floor", &["w1", "w2"], "plain loop over Unix sockets"),
    system("tokio-broadcast", "peers-floor", &["w3"], "tokio's broadcast channel"),
    system("tokio-mpsc", "peers-floor", &["w3"], "a tokio mpsc channel per subscriber"),
    system("talkie", "peers-talkie", &["w1", BESIDE, "w2", "w3", "w4", "w6"], "Talkie over TCP"),
    system("talkie-unix", "peers-talkie", &["w1", BESIDE, "w2", "w4", "w6"], "Talkie over Unix sockets"),
    system(
        "talkie-handler",
        "peers-talkie",
        &["w1", "w2", "w3"],
        "Talkie over TCP, handlers instead of queues",
    ),
    system("talkie-unix-handler", "peers-talkie", &["w1", "w2"], "the same over Unix sockets"),
    system("zenoh", "peers-zenoh", &["w1", BESIDE, "w2", "w3", "w4", "w6"], "zenoh, default setting"),
    system("zenoh-ll", "peers-zenoh", &["w1", "w2"], "zenoh, low-latency transport, QoS off, express"),
    system("zenoh-block", "peers-zenoh", &["w2"], "zenoh, waits instead of dropping"),
    system("zenoh-tls", "peers-zenoh", &["w1", "w2"], "zenoh over TLS, waits instead of dropping"),
    system("nats", "peers-nats", &["w1", "w2"], "nats-server and async-nats"),
    system("zmq", "peers-zmq", &["w1", "w2"], "ZeroMQ PUB/SUB, default setting"),
    system("zmq-curve", "peers-zmq", &["w1"], "the same with CURVE"),
    system("zmq-nodrop", "peers-zmq", &["w2"], "ZeroMQ, waits instead of dropping"),
    system("zmq-curve-nodrop", "peers-zmq", &["w2"], "the same with CURVE"),
    system("redis", "peers-redis", &["w1", "w2"], "redis-server and the crate redis"),
];

const fn system(
    name: &'static str,
    program: &'static str,
    workloads: &'static [&'static str],
    meaning: &'static str,
) -> System {
    System { name, program, workloads, meaning }
}

impl System {
    /// The system of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        SYSTEMS.iter().find(|system| system.name == name)
    }

    fn takes(&self, case: Case) -> bool {
        let beside = matches!(case, Case::Fanout { large: true, .. });
        let wanted = if beside { BESIDE } else { case.workload() };
        self.workloads.contains(&wanted)
    }

    /// Talkie, whatever its links are.
    pub fn is_talkie(&self) -> bool {
        self.program == "peers-talkie"
    }

    /// Talkie over Unix sockets.
    pub fn is_unix_talkie(&self) -> bool {
        self.name.starts_with("talkie-unix")
    }

    /// A plain loop, or a channel of tokio: nothing that is compared with as a peer.
    pub fn is_floor(&self) -> bool {
        self.program == "peers-floor"
    }

    /// Its links are encrypted. (Talkie's always are.)
    pub fn is_sealed(&self) -> bool {
        self.is_talkie() || ["-tls", "-curve", "-chacha"].iter().any(|mark| self.name.contains(mark))
    }
}

/// Whether this Talkie can link over Unix sockets.
pub fn has_unix() -> bool {
    SETTINGS.iter().any(|setting| setting.variable == "TALKIE_UNIX")
}

/// What to run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How often each system is measured.
    pub rounds: usize,
    /// A few cases for a second each, Talkie and the floors only.
    pub short: bool,
    /// The workloads; all where none is named.
    pub only: Vec<String>,
    /// The systems; all where none is named.
    pub systems: Vec<String>,
}

impl Plan {
    /// The cases and the systems of each.
    pub fn cases(&self) -> Vec<(Case, Vec<String>)> {
        let chosen = |case: &Case| {
            (!self.short || SHORT.contains(case))
                && (self.only.is_empty()
                    || self.only.iter().any(|only| *only == case.workload() || *only == case.name()))
        };
        CASES.into_iter().filter(chosen).map(|case| (case, self.systems_of(case))).collect()
    }

    fn systems_of(&self, case: Case) -> Vec<String> {
        let chosen = |system: &&System| {
            system.takes(case)
                && (!self.short || system.is_floor() || system.is_talkie())
                && (!system.is_unix_talkie() || has_unix())
                && (self.systems.is_empty() || self.systems.iter().any(|name| name == system.name))
        };
        SYSTEMS.iter().filter(chosen).map(|system| system.name.to_owned()).collect()
    }

    /// How long a pace is measured, milliseconds.
    pub fn fanout_ms(&self) -> u64 {
        if self.short { 700 } else { 4_000 }
    }

    /// How long it goes as fast as it can, milliseconds.
    pub fn throughput_ms(&self) -> u64 {
        if self.short { 300 } else { 2_000 }
    }

    /// Before that, milliseconds.
    pub fn warm_up_ms(&self) -> u64 {
        if self.short { 200 } else { 500 }
    }

    /// Cold starts in one measurement.
    pub fn starts(&self) -> usize {
        if self.short { 1 } else { 5 }
    }
}

/// The cases of the short form: each kind once.
const SHORT: [Case; 6] = [
    fanout(4, 1_000, false),
    throughput(1, 64),
    throughput(4, 65_536),
    Case::Local { subscribers: 10 },
    Case::Start { processes: 2 },
    Case::Memory { peers: 1 },
];
