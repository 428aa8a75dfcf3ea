//! A simulated network: one task for each pair of nodes does what its machine (`proto::wire`) says.

use std::fmt;
use std::future::Future;
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use talkie_discovery::{NodeId, NodeName};
use talkie_transport::testing::{self, Roster};
use talkie_transport::{
    DEFAULT_MAX_MESSAGE, DownReason, Hand, InDoubt, Inbound, Interests, Parcel, Peer, PeerEvents, Pressed,
    Pushed, Room, Stats, Traffic,
};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::clock;
use super::net::PeerSender;
use super::registry::{Registry, lock};
use crate::proto::wire::{Arrived, Side, Step, Wire};

/// As transport has it: a reader gives way to those that it feeds for so long.
const GIVE_WAY: Duration = Duration::from_millis(10);
/// As transport has it: what was published is waited for so long before goodbye.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);

/// One node's links, as [`net::Transport`](super::net::Transport) has them.
pub(crate) struct SimNode {
    id: NodeId,
    name: NodeName,
    registry: Weak<Registry<PeerSender>>,
    roster: Roster,
    pairs: Mutex<Vec<(Side, Arc<Pair>)>>,
}

/// Two nodes and what is between them.
pub(crate) struct Pair {
    wire: Mutex<Wire>,
    /// Something was pushed or changed.
    wake: Notify,
    /// Something arrived, or never will.
    progress: Notify,
    a: End,
    b: End,
}

struct End {
    id: NodeId,
    name: NodeName,
    node: Weak<SimNode>,
    registry: Weak<Registry<PeerSender>>,
}

/// One node as the other of a pair sees it.
#[derive(Clone)]
pub(crate) struct SimPeer {
    pair: Arc<Pair>,
    /// Which one it is.
    at: Side,
}

impl SimNode {
    pub(crate) fn new(id: NodeId, name: NodeName, registry: &Arc<Registry<PeerSender>>) -> Arc<Self> {
        let (roster, registry) = (Roster::default(), Arc::downgrade(registry));
        Arc::new(Self { id, name, registry, roster, pairs: Mutex::default() })
    }

    /// Connects two nodes: they link when their task first runs. Within a tokio runtime.
    pub(crate) fn connect(a: &Arc<Self>, b: &Arc<Self>, random: fastrand::Rng) -> Arc<Pair> {
        let end = |node: &Arc<Self>| End {
            id: node.id,
            name: node.name.clone(),
            node: Arc::downgrade(node),
            registry: Weak::clone(&node.registry),
        };
        let wire = Mutex::new(Wire::new(random));
        let pair =
            Arc::new(Pair { wire, wake: Notify::new(), progress: Notify::new(), a: end(a), b: end(b) });
        lock(&a.pairs).push((Side::A, Arc::clone(&pair)));
        lock(&b.pairs).push((Side::B, Arc::clone(&pair)));
        tokio::spawn(run(Arc::clone(&pair)));
        pair
    }

    pub(crate) const fn id(&self) -> NodeId {
        self.id
    }

    pub(crate) const fn name(&self) -> &NodeName {
        &self.name
    }

    pub(crate) const fn max_message(&self) -> usize {
        DEFAULT_MAX_MESSAGE
    }

    /// There is nowhere to connect to.
    pub(crate) const fn listen(&self) -> Vec<SocketAddr> {
        Vec::new()
    }

    pub(crate) fn peers(&self) -> Vec<Peer> {
        let mut peers = self.roster.peers();
        for peer in &mut peers {
            peer.rtt = self.senders().find(|sender| sender.id() == peer.id).and_then(|sender| sender.rtt());
        }
        peers
    }

    pub(crate) fn peer_events(&self) -> PeerEvents {
        self.roster.events()
    }

    pub(crate) fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        for sender in self.senders() {
            let mut wire = lock(&sender.pair.wire);
            let (out, came) = (wire.sent(sender.at), wire.sent(sender.at.other()));
            let (up, queued) = (wire.is_up(), wire.queued(sender.at) as u64);
            drop(wire);
            let mut traffic = Traffic::default();
            (traffic.sent_messages, traffic.sent_bytes, traffic.lost_full) =
                (out.messages, out.bytes, out.lost);
            (traffic.received_messages, traffic.received_bytes) = (came.messages, came.bytes);
            stats.traffic += traffic;
            stats.links.up += u64::from(up);
            stats.links.linked += u64::from(up);
            stats.peers.push(testing::peer_stats(sender.id(), sender.name(), up, queued, traffic));
        }
        stats.peers.sort_by_key(|peer| peer.id);
        stats
    }

    /// As transport does: what was published is handed over first, as far as somebody is there.
    pub(crate) async fn leave(&self) -> Result<(), InDoubt> {
        let mut messages = 0;
        let until = tokio::time::Instant::now() + LEAVE_WITHIN;
        let senders: Vec<_> = self.senders().collect();
        for sender in senders {
            match tokio::time::timeout_at(until, sender.flush()).await {
                Ok(Ok(())) => {}
                Ok(Err(doubt)) => messages += doubt.messages,
                Err(_) => messages += 1,
            }
        }
        self.close();
        if messages == 0 { Ok(()) } else { Err(InDoubt { messages }) }
    }

    pub(crate) fn close(&self) {
        self.end(DownReason::Left);
    }

    /// Its process dies: nothing that it would still say is heard.
    pub(crate) fn kill(&self) {
        self.end(DownReason::Closed);
        if let Some(registry) = self.registry.upgrade() {
            registry.close();
            registry.clear();
        }
    }

    fn end(&self, reason: DownReason) {
        self.roster.close();
        for (side, pair) in std::mem::take(&mut *lock(&self.pairs)) {
            lock(&pair.wire).handle_gone(side, reason);
            pair.wake.notify_one();
            pair.progress.notify_waiters();
        }
    }

    /// Whether it left, or was killed.
    pub(crate) fn is_gone(&self) -> bool {
        self.registry.upgrade().is_none_or(|registry| registry.check_open().is_err())
    }

    /// The others, as this one sees them.
    fn senders(&self) -> impl Iterator<Item = SimPeer> {
        let pairs = lock(&self.pairs).clone();
        pairs.into_iter().map(|(side, pair)| SimPeer { pair, at: side.other() })
    }
}

impl Pair {
    /// The network between them changes.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Wire, Instant)) {
        change(&mut lock(&self.wire), clock::now());
        self.wake.notify_one();
    }

    /// Whether it is between these two.
    pub(crate) fn is_of(&self, one: NodeId, other: NodeId) -> bool {
        [(one, other), (other, one)].contains(&(self.a.id, self.b.id))
    }

    /// Whether one of the two is this.
    pub(crate) fn has(&self, node: NodeId) -> bool {
        self.a.id == node || self.b.id == node
    }

    const fn end(&self, side: Side) -> &End {
        match side {
            Side::A => &self.a,
            Side::B => &self.b,
        }
    }

    /// This side's rooms are told something of the other one.
    fn tell(self: &Arc<Self>, side: Side, what: Inbound<'_>) -> Option<Pressed> {
        let registry = self.end(side).registry.upgrade()?;
        let other = PeerSender::Simulated(SimPeer { pair: Arc::clone(self), at: side.other() });
        registry.handle(&other, what)
    }
}

async fn run(pair: Arc<Pair>) {
    loop {
        let mut woken = std::pin::pin!(pair.wake.notified());
        woken.as_mut().enable();
        let step = lock(&pair.wire).poll(clock::now());
        match step {
            Step::Link => {
                for side in [Side::A, Side::B] {
                    let other = pair.end(side.other());
                    if let Some(node) = pair.end(side).node.upgrade() {
                        node.roster.up(other.id, other.name.clone(), clock::now());
                    }
                    pair.tell(side, Inbound::Linked);
                }
            }
            Step::Deliver(side, arrived) => {
                let pressed = match arrived {
                    Arrived::Control(frame) => pair.tell(side, Inbound::Control(&frame)),
                    Arrived::Messages(mut messages) => pair.tell(side, Inbound::Messages(&mut messages)),
                    Arrived::Gap(lost) => pair.tell(side, Inbound::Gap { interests: &lost, exact: true }),
                };
                pair.progress.notify_waiters();
                match pressed {
                    Some(Pressed::Until(room)) => _ = tokio::time::timeout(GIVE_WAY, room).await,
                    Some(Pressed::Passing) => tokio::task::yield_now().await,
                    None => {}
                }
            }
            Step::Down(told, reason) => {
                for side in told {
                    if let Some(node) = pair.end(side).node.upgrade() {
                        node.roster.down(pair.end(side.other()).id, reason);
                    }
                    pair.tell(side, Inbound::Down);
                }
                pair.progress.notify_waiters();
            }
            Step::Forget(told) => {
                for side in told {
                    pair.tell(side, Inbound::Forgotten);
                }
            }
            Step::Wait(Some(until)) => {
                let _ = tokio::time::timeout_at(until.into(), woken).await;
                continue;
            }
            Step::Wait(None) => {
                woken.await;
                continue;
            }
            Step::End => return,
        }
        // Others have their turn between any two steps.
        tokio::task::yield_now().await;
    }
}

impl SimPeer {
    pub(crate) fn id(&self) -> NodeId {
        self.pair.end(self.at).id
    }

    pub(crate) fn name(&self) -> NodeName {
        self.pair.end(self.at).name.clone()
    }

    pub(crate) fn is_up(&self) -> bool {
        lock(&self.pair.wire).is_up()
    }

    /// All are as far from each other.
    pub(crate) const fn is_near(&self) -> bool {
        false
    }

    pub(crate) fn rtt(&self) -> Option<Duration> {
        let wire = lock(&self.pair.wire);
        wire.is_up().then(|| wire.round_trip())
    }

    pub(crate) fn room(&self, payload: usize, now: Instant) -> Room {
        lock(&self.pair.wire).room(self.at, payload, now)
    }

    pub(crate) fn push(
        &self,
        interests: &Interests,
        _flow: u64,
        _payload: usize,
        body: Parcel<'_>,
        _hand: Hand,
    ) -> Pushed {
        let pushed = lock(&self.pair.wire).push(self.at, interests, body.joined(), clock::now());
        self.pair.wake.notify_one();
        pushed
    }

    pub(crate) fn control(&self, frame: &[u8]) -> bool {
        let sent = lock(&self.pair.wire).control(self.at, frame, clock::now());
        self.pair.wake.notify_one();
        sent
    }

    pub(crate) fn take_in_doubt(&self) -> u64 {
        lock(&self.pair.wire).take_in_doubt(self.at)
    }

    pub(crate) fn room_freed(&self) -> Notified<'_> {
        self.pair.progress.notified()
    }

    pub(crate) fn flush(&self) -> impl Future<Output = Result<(), InDoubt>> + Send + use<> {
        let Self { pair, at } = self.clone();
        async move {
            loop {
                let mut progress = std::pin::pin!(pair.progress.notified());
                progress.as_mut().enable();
                {
                    let mut wire = lock(&pair.wire);
                    if !wire.is_up() {
                        let messages = wire.take_in_doubt(at);
                        return if messages == 0 { Ok(()) } else { Err(InDoubt { messages }) };
                    }
                    if wire.is_delivered(at) {
                        return Ok(());
                    }
                }
                progress.await;
            }
        }
    }
}

impl PartialEq for SimPeer {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for SimPeer {}

impl Hash for SimPeer {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

impl fmt::Debug for SimPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SimPeer").field(&self.id()).finish()
    }
}
