//! Counters of what was sent, heard and refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What discovery did since its start. Each counter only grows, but those that say `now`.
        #[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize)]
        #[non_exhaustive]
        pub struct Stats { $($(#[$doc])* pub $name: u64,)* }

        /// The counters behind [`Stats`], shared by the driver and the handle.
        #[derive(Debug, Default)]
        pub(crate) struct Counters { $(pub(crate) $name: Counter,)* }

        impl Counters {
            pub(crate) fn snapshot(&self) -> Stats {
                Stats { $($name: self.$name.0.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Heartbeats sent: datagrams, one for each interface and family.
    sent,
    /// Datagrams that could not be sent.
    send_errors,
    /// Datagrams received, of whatever content.
    heard,
    /// Fresh heartbeats of other nodes: each is an event.
    fresh,
    /// Heartbeats of this node itself, which multicast brings back.
    own,
    /// The same heartbeat, heard on another interface or family.
    copies,
    /// Refused: not of a heartbeat's size.
    rejected_size,
    /// Refused: not a heartbeat, or of another version.
    rejected_magic,
    /// Refused unread: more than a source, or all sources, may send.
    rejected_rate,
    /// Refused: not sealed with this mesh's secret.
    rejected_auth,
    /// Refused: sealed with this mesh's secret, but for this mesh's other group.
    rejected_group,
    /// Refused: sealed with this mesh's secret, but not of a heartbeat's form.
    rejected_malformed,
    /// Refused: not newer than what was heard of that node.
    rejected_replayed,
    /// Sockets that are open now: one for each interface and family.
    sockets,
    /// Sockets that could not be opened, or not join their group; tried again with each look.
    socket_errors,
    /// Nodes that are heard now, without this one.
    nodes,
    /// Times that the kernel told of a change of interfaces or addresses; those at about the same time count once.
    notices,
    /// Looks at the interfaces.
    looks,
    /// Looks that found a change of the interfaces or their addresses.
    network_changes,
    /// Look-ups of partners that led to no address.
    partner_errors,
}

/// Reads the counters, also where the [`Discovery`](crate::Discovery) is out of reach.
#[derive(Debug, Clone)]
pub struct StatsReader(pub(crate) Arc<Counters>);

impl StatsReader {
    /// The counters as they are now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.0.snapshot()
    }
}

/// One counter.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, value: usize) {
        self.0.store(value.try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}
