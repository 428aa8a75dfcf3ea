//! What a node's publishes and deliveries are counted in, and the reading of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use talkie_transport::Stats;

use super::outlet::Outlet;
use super::registry::{Registry, lock};
use crate::metrics::{
    Deliveries, LatencyStats, MemoryStats, PublishStats, RefusedStats, RequestStats, SubscriptionStats,
};
use crate::proto::replica::Own as _;

/// Relaxed: they say nothing of the order of things. On cache lines of their own (two, since processors fetch pairs), so
/// that publishers disturb nobody who only reads beside them.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Counters {
    waits: AtomicU64,
    waited_us: AtomicU64,
    /// Bodies that are no envelope of a known kind.
    pub(super) malformed: AtomicU64,
    /// Messages for an interest whose pattern does not fit their topic, or out of order.
    pub(super) mismatched: AtomicU64,
    /// Control frames that are none.
    pub(super) control: AtomicU64,
}

fn add(to: &AtomicU64, n: usize) {
    // What did not happen costs nothing.
    if n > 0 {
        to.fetch_add(n as u64, Ordering::Relaxed);
    }
}

impl Counters {
    /// A publish waited for room once; the first time of the same one says so.
    pub(crate) fn waited(&self, first: bool, time: Duration) {
        add(&self.waits, usize::from(first));
        add(&self.waited_us, time.as_micros() as usize);
    }

    fn publish_stats(&self) -> PublishStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        PublishStats { waits: get(&self.waits), waited_us: get(&self.waited_us), ..PublishStats::default() }
    }

    fn refused_stats(&self) -> RefusedStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RefusedStats {
            malformed: get(&self.malformed),
            mismatched: get(&self.mismatched),
            control: get(&self.control),
            subscribers: 0,
            trackers: 0,
        }
    }
}

/// The part of a node's metrics that this crate counts.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) published: PublishStats,
    pub(crate) deliveries: Deliveries,
    pub(crate) latency: LatencyStats,
    pub(crate) requests: RequestStats,
    pub(crate) refused: RefusedStats,
    pub(crate) memory: MemoryStats,
    pub(crate) subscriptions: Vec<SubscriptionStats>,
}

impl<P: Outlet> Registry<P> {
    /// The counters as they are now. Costs a short lock per subscription.
    pub(crate) fn read(&self, transport: &Stats) -> Reading {
        let mut reading = Reading {
            published: self.counters.publish_stats(),
            deliveries: Deliveries::default(),
            latency: self.latencies.stats(),
            requests: self.exchange.stats(),
            refused: self.counters.refused_stats(),
            memory: MemoryStats {
                assembling_bytes: transport.assembling_bytes,
                assembling_waits: transport.assembling_waits,
                ..MemoryStats::default()
            },
            subscriptions: Vec::new(),
        };
        // What ends is added up under the same lock, so that no subscription counts twice or not at all.
        let members = self.members();
        reading.deliveries = members.ended;
        reading.refused.subscribers = members.refused;
        let (interests, bytes) = members.said();
        (reading.memory.interests, reading.memory.interests_bytes) = (interests as u64, bytes as u64);
        for (id, own) in members.own().from(0) {
            let local = self.locals.get(&id).or_else(|| self.groups.locals.get(&id));
            let Some(local) = local.map(|local| std::sync::Arc::clone(&local)) else {
                continue;
            };
            let takers = local.takers();
            let queues = takers.queues.iter().map(|joined| (joined.to.limit(), joined.to.stats()));
            let handlers = takers.handlers.iter().map(|joined| (0, (0, 0, joined.to.stats())));
            for (limit_bytes, (waiting, waiting_bytes, deliveries)) in queues.chain(handlers) {
                let (bus, pattern) = (own.bus.clone(), own.pattern.clone());
                let stats =
                    SubscriptionStats { bus, pattern, waiting, waiting_bytes, limit_bytes, deliveries };
                reading.subscriptions.push(stats);
            }
        }
        let buses: Vec<_> = members.buses.values().cloned().collect();
        drop(members);
        for bus in buses {
            let order = lock(&bus.order);
            reading.published += order.published;
            reading.memory.history_bytes += order.histories.bytes() as u64;
        }
        let (messages, bytes, counted) = self.groups.stats();
        (reading.memory.groups_waiting, reading.memory.groups_bytes) = (messages as u64, bytes as u64);
        (reading.published.acknowledged, reading.published.redelivered) = (counted.done, counted.redelivered);
        let (refused, keys, bytes) = self.presences.stats();
        reading.refused.trackers = refused;
        (reading.memory.presence_keys, reading.memory.presence_bytes) = (keys, bytes);
        for subscription in &reading.subscriptions {
            reading.deliveries += subscription.deliveries;
            reading.memory.subscriptions_bytes += subscription.waiting_bytes;
            reading.memory.subscriptions_waiting += subscription.waiting;
        }
        for peer in &transport.peers {
            let memory = &mut reading.memory;
            *(if peer.up { &mut memory.peers_up_bytes } else { &mut memory.peers_away_bytes }) +=
                peer.queued_bytes;
        }
        reading
    }
}
