//! Nouns: all counters of a node, so that its user can check what is promised.
//!
//! `families` is the table of them under the names that monitoring knows (`family` says what one is); `text` and `facade` are made of it.

#[cfg(feature = "metrics")]
pub(crate) mod facade;
mod families;
mod family;
pub(crate) mod latency;
mod text;

use serde::{Serialize, Serializer};
use talkie_discovery::{NodeId, NodeName};
use talkie_transport::{LinkStats, PeerStats, Traffic};

pub use latency::{LatencyBucket, LatencyStats};

use crate::delivery::Receipt;
use crate::proto::history::MAX_ALL_BYTES;
use crate::proto::interest::MAX_INTEREST_BYTES;
use crate::proto::ledger::MAX_JOB_BYTES;
use crate::proto::presence::{MAX_OWN_BYTES, MAX_PEER_BYTES};
use crate::topic::{BusName, Pattern};

/// What a node did since its start, and what it holds now: one reading of all counters; of
/// [`Bus::metrics`](crate::Bus::metrics).
///
/// Counters only grow; what may also shrink is said to be a gauge. The reading is not of one moment: messages go on while
/// it is taken.
///
/// ```no_run
/// # fn example(bus: talkie_pubsub::Bus) -> Result<(), serde_json::Error> {
/// println!("{}", serde_json::to_string(&bus.metrics())?);
/// # Ok(()) }
/// ```
///
/// What is promised, and where it can be seen:
///
/// | promise | counters |
/// |---|---|
/// | nothing is lost silently | publisher: [`Traffic`]`.lost_*`; subscriber: [`Deliveries`]`.missed`, `.dropped`; each is yielded all that it `received` but what was `dropped` and what waits, and gaps for `missed` and `dropped` |
/// | memory is bounded | [`MemoryStats`] under [`MemoryLimits`], per peer [`PeerStats::queued_bytes`], per subscription [`SubscriptionStats::waiting_bytes`] |
/// | a slow peer delays a publisher little | [`PublishStats`]`.waits`, `.waited_us` |
/// | strangers learn nothing and cost little | [`discovery`](Self::discovery)`.rejected_*`, [`LinkStats`]`.refused_*`, `.turned_away` |
/// | one link per pair, made again when it breaks | [`LinkStats`]`.made`, `.replaced`, `.ended_*`, `.told_*` |
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Metrics {
    /// The node.
    #[serde(serialize_with = "as_text")]
    pub node: NodeId,
    /// Its human name.
    pub name: NodeName,
    /// Heartbeats sent and heard, and those refused, by reason. `rejected_auth` are those of other meshes.
    pub discovery: talkie_discovery::Stats,
    /// Connections, links and peers: made, lost, refused, by reason.
    pub links: LinkStats,
    /// Messages and bytes to and from other nodes, and what was lost on the way out, by reason; over all peers, also those that
    /// are gone.
    pub traffic: Traffic,
    /// What was published here, and how long that waited.
    pub published: PublishStats,
    /// What subscriptions here were given, also those that ended.
    pub deliveries: Deliveries,
    /// How long what subscriptions here were given waited for them: a sample.
    pub latency: LatencyStats,
    /// Requests made here and requests taken here.
    pub requests: RequestStats,
    /// What peers sent that could not be used. All stay 0 while every node is sound.
    pub refused: RefusedStats,
    /// Memory in use.
    pub memory: MemoryStats,
    /// What it is held to, beside each subscription's own limit.
    pub limits: MemoryLimits,
    /// Every node that is up or owed something, in the order of ids: at most 1,024 linked and 4,096 away.
    pub peers: Vec<PeerStats>,
    /// Every subscription and handler, those of one pattern together; as many as the program holds.
    pub subscriptions: Vec<SubscriptionStats>,
}

/// What was published on this node, on all buses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PublishStats {
    /// Messages.
    pub messages: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
    /// Messages that nobody wanted: no node that was up, and no subscription here.
    pub unwanted: u64,
    /// Nodes that were up and wanted a message, summed over messages.
    pub nodes: u64,
    /// Subscriptions on this node that were given one, summed over messages.
    pub local: u64,
    /// Nodes for which a message was counted into a gap at once, summed over messages.
    pub overflowed: u64,
    /// Publishes that waited for room.
    pub waits: u64,
    /// How long they waited in all, microseconds; at most 250 ms for a peer and stall, and what a subscription says for its own.
    pub waited_us: u64,
    /// Messages for a [group](crate::SubscribeOptions::group) that a member acknowledged, summed over groups.
    pub acknowledged: u64,
    /// Times that such a message was given to another member, which the first may have had.
    pub redelivered: u64,
}

impl PublishStats {
    /// A message was handed out.
    pub(crate) fn count(&mut self, receipt: &Receipt, bytes: usize) {
        let Receipt { nodes, local, overflowed, .. } = *receipt;
        self.messages += 1;
        self.bytes += bytes as u64;
        self.unwanted += u64::from(nodes + local == 0);
        self.nodes += nodes as u64;
        self.local += local as u64;
        self.overflowed += overflowed as u64;
    }
}

impl std::ops::AddAssign for PublishStats {
    fn add_assign(&mut self, more: Self) {
        let Self { messages, bytes, unwanted, nodes, local, overflowed, waits, waited_us, .. } = more;
        self.acknowledged += more.acknowledged;
        self.redelivered += more.redelivered;
        self.messages += messages;
        self.bytes += bytes;
        self.unwanted += unwanted;
        self.nodes += nodes;
        self.local += local;
        self.overflowed += overflowed;
        self.waits += waits;
        self.waited_us += waited_us;
    }
}

macro_rules! deliveries {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What subscriptions were given. A message that several subscriptions want counts for each.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
        #[non_exhaustive]
        pub struct Deliveries { $($(#[$doc])* pub $name: u64,)* }

        impl std::ops::AddAssign for Deliveries {
            fn add_assign(&mut self, more: Self) {
                $(self.$name = self.$name.saturating_add(more.$name);)*
            }
        }
    };
}

deliveries! {
    /// Messages that came, from other nodes and this one.
    received,
    /// Of those, messages that were dropped, since the reader was slow; told in gaps.
    dropped,
    /// Messages lost on the way here, as far as their number is known; told in gaps.
    missed,
    /// Gaps of unknown size (`exact: false`) that came.
    uncounted,
    /// Messages read and found to be no value of the subscription's type.
    malformed,
    /// Calls of handlers that panicked.
    panicked,
}

/// Requests made here and requests taken here, on all buses. Of a request to all, what becomes of it counts for each responder
/// (for each node, where that is gone or late).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RequestStats {
    /// Requests made.
    pub asked: u64,
    /// Requests whose answers are waited for. A gauge.
    pub open: u64,
    /// Replies that came in time.
    pub replies: u64,
    /// Requests that a responder dropped, or had no room for.
    pub dropped: u64,
    /// Nodes that went while they were asked.
    pub gone: u64,
    /// Nodes that had ceased to respond when the request came.
    pub ceased: u64,
    /// Nodes whose answer was not there in time.
    pub timed_out: u64,
    /// Requests or replies for which there was no room on their way.
    pub no_room: u64,
    /// Requests of another type than the responder takes.
    pub not_understood: u64,
    /// Answers that came when they were not waited for any more.
    pub late: u64,
    /// Requests that came to this node, its own included.
    pub received: u64,
    /// Replies given.
    pub replied: u64,
    /// Requests refused: dropped by a responder, of another type than it takes, or with no room or no responder for them.
    pub refused: u64,
    /// Requests that their asker gave up before anybody took them, or replied.
    pub expired: u64,
    /// Requests and answers that were lost on their way here, as far as their number is known.
    pub lost: u64,
}

/// What peers sent that could not be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RefusedStats {
    /// Messages of an unknown form.
    pub malformed: u64,
    /// Messages on a topic that the subscription which they were sent for does not want, or sent twice.
    pub mismatched: u64,
    /// Announcements of subscriptions and of presence that are none.
    pub control: u64,
    /// Peers of which some subscriptions were refused, since they have more than 131,072, or than fit in 64 MiB.
    pub subscribers: u64,
    /// Peers of which some presence was refused, since they track more than 65,536 keys, or than fit in 64 MiB.
    pub trackers: u64,
}

/// Memory in use by what waits. All are gauges, in bytes unless said otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MemoryStats {
    /// For peers that are up: to be sent or confirmed. Each may take twice the largest message and 2 MiB, or 4 MiB.
    pub peers_up_bytes: u64,
    /// For peers that are away: kept for their return. 64 MiB in all.
    pub peers_away_bytes: u64,
    /// In subscriptions, not read yet; [`QueueLimits`](crate::QueueLimits) bound each.
    pub subscriptions_bytes: u64,
    /// The same, in deliveries.
    pub subscriptions_waiting: u64,
    /// For keys that are present, of this node and all others that are up: texts, metas and 320 for each.
    pub presence_bytes: u64,
    /// The same, in keys.
    pub presence_keys: u64,
    /// Of what this node's publishers keep for those who subscribe later, with 192 for each message; 256 MiB at most for a bus.
    pub history_bytes: u64,
    /// For messages to groups that no member has acknowledged, with 256 for each; 16 MiB at most, or one longer message.
    pub groups_bytes: u64,
    /// The same, in messages; 16,384 at most.
    pub groups_waiting: u64,
    /// For large messages from other nodes that are not whole yet; 256 MiB at most, or twice the largest.
    pub assembling_bytes: u64,
    /// Large messages that wait for such memory, in messages: their senders wait with them.
    pub assembling_waits: u64,
    /// What all other nodes want: texts and 352 for each.
    pub interests_bytes: u64,
    /// The same, in interests.
    pub interests: u64,
}

/// What memory is held to, bytes. A node's stay as they are; beyond them things wait, or are refused, or lost and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MemoryLimits {
    /// For one peer that is up: to be sent or confirmed.
    pub peer_bytes: u64,
    /// What one peer wants.
    pub peer_interests_bytes: u64,
    /// Keys that one peer tracks.
    pub peer_presence_bytes: u64,
    /// Keys that this node tracks.
    pub own_presence_bytes: u64,
    /// For all peers that are away.
    pub peers_away_bytes: u64,
    /// Of what publishers of one bus keep.
    pub bus_history_bytes: u64,
    /// For messages to groups.
    pub groups_bytes: u64,
    /// For large messages that are not whole yet.
    pub assembling_bytes: u64,
}

impl MemoryLimits {
    pub(crate) const fn new(links: talkie_transport::Limits) -> Self {
        Self {
            peer_bytes: links.peer_bytes,
            peer_interests_bytes: MAX_INTEREST_BYTES as u64,
            peer_presence_bytes: MAX_PEER_BYTES as u64,
            own_presence_bytes: MAX_OWN_BYTES as u64,
            peers_away_bytes: links.away_bytes,
            bus_history_bytes: MAX_ALL_BYTES as u64,
            groups_bytes: MAX_JOB_BYTES as u64,
            assembling_bytes: links.assembling_bytes,
        }
    }
}

/// One subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SubscriptionStats {
    /// The bus that it is on.
    #[serde(serialize_with = "as_text")]
    pub bus: BusName,
    /// What it wants.
    #[serde(serialize_with = "as_text")]
    pub pattern: Pattern,
    /// Messages and gaps that wait to be read. A gauge.
    pub waiting: u64,
    /// Memory of what waits, bytes, with 192 for each message. A gauge.
    pub waiting_bytes: u64,
    /// What it is held to, but for a single message that is longer; 0 for a handler, where nothing waits.
    pub limit_bytes: u64,
    /// What it was given.
    pub deliveries: Deliveries,
}

fn as_text<S: Serializer>(what: &impl std::fmt::Display, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node without any past.
    pub(crate) fn reading() -> Metrics {
        Metrics {
            node: "000102030405060708090a0b0c0d0e0f".parse().unwrap(),
            name: "ann".parse().unwrap(),
            discovery: Default::default(),
            links: Default::default(),
            traffic: Default::default(),
            published: Default::default(),
            deliveries: Default::default(),
            latency: Default::default(),
            requests: Default::default(),
            refused: Default::default(),
            memory: Default::default(),
            limits: MemoryLimits::new(Default::default()),
            peers: Vec::new(),
            subscriptions: Vec::new(),
        }
    }

    /// A subscription in which so much waits, of 100 bytes each.
    pub(crate) fn waiting(pattern: &str, waiting: u64) -> SubscriptionStats {
        SubscriptionStats {
            bus: BusName::default(),
            pattern: pattern.parse().unwrap(),
            waiting,
            waiting_bytes: waiting * 100,
            limit_bytes: 1_000,
            deliveries: Deliveries::default(),
        }
    }
}
