//! What a node's handles and its dispatch share: own subscriptions, what the peers want, the open buses.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dashmap::DashMap;
use talkie_discovery::NodeId;
use talkie_transport::Interest;
use tokio::sync::Notify;

use super::counters::Counters;
use super::exchange::Exchange;
use super::groups::{Groups, routes as group_routes};
use super::latency::Latencies;
use super::outlet::Outlet;
use super::presences::Presences;
use crate::error::Closed;
use crate::metrics::Deliveries;
use crate::proto::interest::OwnInterests;
use crate::proto::replica::{Change, ControlError, Own as _, Replica};
use crate::topic::{BusName, Topic};

mod bus;
pub(crate) mod exchange;
mod groups;
mod joining;
mod local;
mod ready;

pub(crate) use bus::BusState;
pub(super) use local::Takers;
pub(crate) use local::{Local, Seat};

/// Forgotten peers whose return would still be told as a loss. Each takes 24 bytes.
const MAX_FORGOTTEN: usize = 1_024;

/// The shared state of one node.
///
/// Order of locks: the members, then a bus's order, then an index, then a peer's outbox. A message that arrives
/// takes none of the first two.
#[derive(Debug)]
pub(crate) struct Registry<P: Outlet> {
    members: Mutex<Members<P>>,
    /// Own interests by id: where a message that arrives goes.
    pub(super) locals: DashMap<u64, Arc<Local>>,
    /// Who is present; beside the members, and under a lock of its own.
    pub(crate) presences: Presences<P>,
    /// Notified when a topic may have more or fewer nodes, and when the node closes.
    changed: Notify,
    closed: AtomicBool,
    pub(crate) counters: Counters,
    pub(crate) latencies: Latencies,
    pub(crate) exchange: Exchange<P>,
    pub(crate) groups: Arc<Groups<P>>,
    /// Messages that peers had not confirmed when they left; told by the next flush.
    pub(super) in_doubt: AtomicU64,
}

/// Why a peer's interests end.
enum Away {
    /// It says so.
    No,
    /// It is not there, and may be back with them.
    Forgotten,
}

/// Changes one at a time: own subscriptions and what peers announce.
#[derive(Debug)]
pub(super) struct Members<P: Outlet> {
    replica: Replica<P>,
    pub(super) buses: HashMap<BusName, Arc<BusState<P>>>,
    /// Peers that are owed nothing any more, and what they were told of us.
    forgotten: VecDeque<(NodeId, u64)>,
    /// What subscriptions were given that have ended.
    pub(super) ended: Deliveries,
    /// Peers that announced more than one may.
    pub(super) refused: u64,
    /// Reused for each control frame.
    frame: Vec<u8>,
}

impl<P: Outlet> Default for Registry<P> {
    fn default() -> Self {
        let members = Members {
            replica: Replica::default(),
            buses: HashMap::new(),
            forgotten: VecDeque::new(),
            ended: Deliveries::default(),
            refused: 0,
            frame: Vec::new(),
        };
        Self {
            members: Mutex::new(members),
            locals: DashMap::new(),
            presences: Presences::default(),
            changed: Notify::new(),
            closed: AtomicBool::new(false),
            counters: Counters::default(),
            latencies: Latencies::default(),
            exchange: Exchange::default(),
            groups: Arc::default(),
            in_doubt: AtomicU64::new(0),
        }
    }
}

impl<P: Outlet> Registry<P> {
    /// The bus of this name; what peers announced for it before is in its index.
    pub(crate) fn open(&self, name: BusName) -> Result<Arc<BusState<P>>, Closed> {
        let mut members = self.open_members()?;
        let Members { replica, buses, .. } = &mut *members;
        let bus = buses.entry(name).or_insert_with_key(|name| {
            let bus = BusState::new(name.clone(), Arc::clone(&self.groups));
            for peer in replica.peers() {
                for (id, wanted) in replica.view(peer).filter(|(_, wanted)| wanted.bus == *name) {
                    bus.set_remote(peer, wanted, Interest { id, epoch: wanted.epoch });
                }
            }
            Arc::new(bus)
        });
        Ok(Arc::clone(bus))
    }

    /// The first bus of a node that nobody else has yet, so that it cannot be closed.
    #[cfg(feature = "testing")]
    pub(crate) fn open_new(&self, name: BusName) -> Arc<BusState<P>> {
        let bus = Arc::new(BusState::new(name.clone(), Arc::clone(&self.groups)));
        self.members().buses.insert(name, Arc::clone(&bus));
        bus
    }

    /// The nodes that are up and want the topic.
    pub(crate) fn subscribers(&self, bus: &BusState<P>, topic: &Topic) -> Vec<NodeId> {
        let remote = bus.index.matches(topic).remote;
        let up = remote.iter().filter(|(peer, _)| peer.is_up()).map(|(peer, _)| peer.id());
        let mut nodes: Vec<NodeId> = up.collect();
        for group in group_routes(&bus.members, topic) {
            nodes.extend(group.peers().filter(|peer| peer.is_up()).map(Outlet::id));
        }
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }

    /// Resolves when at least `nodes` nodes are up and want the topic.
    pub(crate) async fn subscribed_on(
        &self,
        bus: &BusState<P>,
        topic: &Topic,
        nodes: usize,
    ) -> Result<(), Closed> {
        self.until(|| self.subscribers(bus, topic).len() >= nodes).await
    }

    /// Resolves when this is so; it is looked at after every change.
    async fn until(&self, mut so: impl FnMut() -> bool) -> Result<(), Closed> {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Listening before looking, so that no change falls between.
            changed.as_mut().enable();
            self.check_open()?;
            if so() {
                return Ok(());
            }
            changed.await;
        }
    }

    /// Whether a node is linked, or may be owed something.
    pub(crate) fn knows(&self, node: NodeId) -> bool {
        lock(&self.members).replica.peers().any(|peer| peer.id() == node)
    }

    /// Messages that peers had not confirmed when they left, since this was last asked.
    pub(crate) fn take_in_doubt(&self) -> u64 {
        self.in_doubt.swap(0, Ordering::AcqRel)
    }

    /// Every peer that may be owed something.
    pub(crate) fn peers(&self) -> Vec<P> {
        lock(&self.members).replica.peers().cloned().collect()
    }

    /// An error once the node is closing.
    pub(crate) fn check_open(&self) -> Result<(), Closed> {
        if self.closed.load(Ordering::Acquire) { Err(Closed) } else { Ok(()) }
    }

    /// Ends all subscriptions behind what waits in them, and tells the peers. Nothing begins from now on. Whether
    /// this was the first call.
    pub(crate) fn close(&self) -> bool {
        let mut members = lock(&self.members);
        if self.closed.swap(true, Ordering::AcqRel) {
            return false;
        }
        let locals: Vec<(u64, Arc<Local>)> =
            self.locals.iter().map(|entry| (*entry.key(), Arc::clone(entry.value()))).collect();
        self.locals.clear();
        for (id, local) in &locals {
            while !members.replica.unsubscribe(*id) && members.replica.own().get(*id).is_some() {}
            for bus in members.buses.values() {
                bus.index.remove_local(&local.pattern);
            }
        }
        let trays = self.close_exchange(&mut members);
        let shared = self.close_groups(&mut members);
        members.tell_all();
        let takers: Vec<_> = locals.iter().map(|(_, local)| local.takers()).collect();
        for takers in &takers {
            takers.queues.iter().for_each(|joined| members.ended += joined.to.stats().2);
            takers.handlers.iter().for_each(|joined| members.ended += joined.to.stats());
        }
        let buses: Vec<_> = members.buses.values().map(Arc::clone).collect();
        drop(members);
        // Nothing is published any more, and handles of a bus may stay.
        for bus in &buses {
            let mut order = lock(&bus.order);
            order.forget();
            order.histories.clear();
        }
        for takers in &takers {
            takers.queues.iter().for_each(|joined| joined.to.close());
            takers.handlers.iter().for_each(|joined| joined.to.end());
        }
        self.presences.close();
        self.end_exchange(&trays);
        shared.iter().for_each(|queue| self.end_member(queue));
        self.groups.freed.notify_waiters();
        self.changed.notify_waiters();
        true
    }

    /// Lets go of the peers, which would otherwise hold what holds this.
    pub(crate) fn clear(&self) {
        let mut members = lock(&self.members);
        members.replica = Replica::default();
        members.buses.clear();
        drop(members);
        self.groups.clear();
        self.presences.clear();
    }

    pub(super) fn members(&self) -> MutexGuard<'_, Members<P>> {
        lock(&self.members)
    }

    pub(super) fn wake_waiters(&self) {
        self.changed.notify_waiters();
    }

    /// The members, of a node that is not closing.
    fn open_members(&self) -> Result<MutexGuard<'_, Members<P>>, Closed> {
        let members = lock(&self.members);
        self.check_open()?;
        Ok(members)
    }
}

impl<P: Outlet> Members<P> {
    /// This node's interests.
    pub(super) fn own(&self) -> &OwnInterests {
        self.replica.own()
    }

    /// How many of the subscriptions made so far the peer may know of.
    pub(super) fn announced(&self, peer: &P) -> u64 {
        self.replica.announced(peer)
    }

    /// What all peers want: how many interests, and what they are charged, bytes.
    pub(super) fn said(&self) -> (usize, usize) {
        self.replica.said()
    }

    /// A link: all is told anew. If the peer was forgotten, what it had been told of us then.
    pub(super) fn linked(&mut self, peer: &P) -> Option<u64> {
        let id = peer.id();
        let at = self.forgotten.iter().position(|(known, _)| *known == id);
        let told = at.and_then(|at| self.forgotten.remove(at)).map(|(_, told)| told);
        self.replica.handle_linked(peer);
        self.tell(peer);
        told
    }

    pub(super) fn unlinked(&mut self, peer: &P) {
        self.replica.handle_unlinked(peer);
    }

    pub(super) fn forgotten(&mut self, peer: &P) {
        let told = self.replica.announced(peer);
        if told > 0 {
            if self.forgotten.len() >= MAX_FORGOTTEN {
                self.forgotten.pop_front();
            }
            self.forgotten.push_back((peer.id(), told));
        }
        self.replica.handle_forgotten(peer);
        self.apply(Away::Forgotten);
    }

    /// A control frame: what it changes is in force on return.
    pub(super) fn control(&mut self, peer: &P, frame: &[u8]) -> Result<(), ControlError> {
        let result = self.replica.handle_control(peer, frame);
        self.apply(Away::No);
        self.tell(peer);
        result
    }

    /// Brings what peers now want into the indexes of the open buses.
    fn apply(&mut self, away: Away) {
        while let Some((peer, change)) = self.replica.poll_event() {
            match change {
                Change::Set { id, entry } => {
                    if let Some(bus) = self.buses.get(&entry.bus) {
                        let interest = Interest { id, epoch: entry.epoch };
                        bus.set_remote(&peer, &entry, interest);
                    }
                }
                Change::Removed { id, entry } => {
                    if let Some(bus) = self.buses.get(&entry.bus) {
                        bus.remove_remote(&peer, &entry, id);
                        if matches!(away, Away::No) {
                            bus.end_subscriber(&peer, &entry, id);
                        }
                    }
                }
                Change::Refused => {
                    self.refused += 1;
                    tracing::warn!(name: "talkie.subscriptions.refused", peer = %peer.name(), "subscribes to more than one peer may: the rest is refused");
                }
            }
        }
    }

    fn tell_all(&mut self) {
        let peers: Vec<P> = self.replica.peers().cloned().collect();
        for peer in peers {
            self.tell(&peer);
        }
    }

    fn tell(&mut self, peer: &P) {
        while self.replica.poll_transmit(peer, &mut self.frame) {
            // Without a link the frame is lost, as the next link's snapshot expects.
            peer.control(&self.frame);
            self.frame.clear();
        }
    }
}

/// A panic elsewhere is no reason for one here: what the locks guard is whole between any two statements that
/// could panic.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
