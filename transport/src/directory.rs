//! Who is up, and whoever wants to hear of it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use talkie_discovery::{NodeId, NodeName};

use crate::events::{DownReason, LinkKind, Peer, PeerEvent, PeerSecrets};
use crate::io::session::lock;

/// Events kept for a listener that is slow to read; beyond it the listener is told the difference instead.
const MAX_PENDING: usize = 1_024;

#[derive(Debug, Default)]
struct Queue {
    pending: VecDeque<PeerEvent>,
    /// Events were dropped: what was told no longer adds up to what is.
    lagged: bool,
    closed: bool,
    waker: Option<Waker>,
}

#[derive(Debug, Default)]
struct State {
    peers: BTreeMap<NodeId, Peer>,
    listeners: Vec<Weak<Mutex<Queue>>>,
    closed: bool,
}

/// Changed and told under one lock, so that no change falls between.
#[derive(Debug, Default)]
pub(crate) struct Directory(Mutex<State>);

impl Directory {
    pub(crate) fn peers(&self) -> Vec<Peer> {
        lock(&self.0).peers.values().cloned().collect()
    }

    /// Peers that send under another secret than this node.
    pub(crate) fn count_other_secret(&self) -> u64 {
        let other = |peer: &&Peer| peer.secrets.as_ref().is_some_and(|secrets| !secrets.is_current());
        lock(&self.0).peers.values().filter(other).count() as u64
    }

    pub(crate) fn up(&self, peer: Peer) {
        let mut state = lock(&self.0);
        state.peers.insert(peer.id, peer.clone());
        state.tell(&PeerEvent::Up(peer));
    }

    /// Which secrets a peer holds; its name if that is news. No event: it comes and goes with no link.
    pub(crate) fn set_secrets(&self, id: NodeId, secrets: Option<PeerSecrets>) -> Option<NodeName> {
        let mut state = lock(&self.0);
        let peer = state.peers.get_mut(&id).filter(|peer| peer.secrets != secrets)?;
        peer.secrets = secrets;
        Some(peer.name.clone())
    }

    /// A newer link took the place of the peer's: no event.
    pub(crate) fn relinked(&self, id: NodeId, link: LinkKind) {
        if let Some(peer) = lock(&self.0).peers.get_mut(&id) {
            peer.link = link;
        }
    }

    /// The peer as it was last known; none if it was not up.
    pub(crate) fn down(&self, id: NodeId, reason: DownReason) -> Option<Peer> {
        let mut state = lock(&self.0);
        let peer = state.peers.remove(&id)?;
        state.tell(&PeerEvent::Down { peer: peer.clone(), reason });
        Some(peer)
    }

    /// The node has left: all streams end behind what they still hold.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.0);
        state.closed = true;
        state.peers.clear();
        for queue in state.listeners.drain(..).filter_map(|listener| listener.upgrade()) {
            let mut queue = lock(&queue);
            queue.closed = true;
            queue.wake();
        }
    }

    /// A new listener; those present come first.
    pub(crate) fn listen(self: &Arc<Self>) -> PeerEvents {
        let mut state = lock(&self.0);
        let pending = state.peers.values().cloned().map(PeerEvent::Up).collect();
        let closed = state.closed;
        let queue = Arc::new(Mutex::new(Queue { pending, closed, ..Queue::default() }));
        state.listeners.retain(|listener| listener.strong_count() > 0);
        state.listeners.push(Arc::downgrade(&queue));
        PeerEvents { queue, directory: Arc::clone(self), known: HashMap::new() }
    }
}

impl State {
    fn tell(&mut self, event: &PeerEvent) {
        for queue in self.listeners.iter().filter_map(Weak::upgrade) {
            let mut queue = lock(&queue);
            if queue.pending.len() >= MAX_PENDING {
                queue.pending.clear();
                queue.lagged = true;
            }
            if !queue.lagged {
                queue.pending.push_back(event.clone());
            }
            queue.wake();
        }
    }
}

impl Queue {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// A stream of peers that come and go; it begins with those present, and ends when the node has left.
///
/// Bounded: a listener that falls 1,024 events behind is told the difference instead of each step.
#[derive(Debug)]
pub struct PeerEvents {
    queue: Arc<Mutex<Queue>>,
    directory: Arc<Directory>,
    /// What this listener was told to be up.
    known: HashMap<NodeId, Peer>,
}

impl PeerEvents {
    /// The next event; `None` once the node has left. Cancel safe.
    pub async fn recv(&mut self) -> Option<PeerEvent> {
        std::future::poll_fn(|cx| self.poll_recv(cx)).await
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<PeerEvent>> {
        // The directory before the queue: the order in which events are told.
        let state = lock(&self.directory.0);
        let mut queue = lock(&self.queue);
        if std::mem::take(&mut queue.lagged) {
            queue.pending = difference(&self.known, &state.peers);
        }
        drop(state);
        match queue.pending.pop_front() {
            Some(event) => {
                match &event {
                    PeerEvent::Up(peer) => self.known.insert(peer.id, peer.clone()),
                    PeerEvent::Down { peer, .. } => self.known.remove(&peer.id),
                };
                Poll::Ready(Some(event))
            }
            None if queue.closed => Poll::Ready(None),
            None => {
                queue.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Stream for PeerEvents {
    type Item = PeerEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<PeerEvent>> {
        self.poll_recv(cx)
    }
}

/// What leads from `known` to `now`.
fn difference(known: &HashMap<NodeId, Peer>, now: &BTreeMap<NodeId, Peer>) -> VecDeque<PeerEvent> {
    let gone = known
        .values()
        .filter(|peer| now.get(&peer.id).is_none_or(|there| there.since != peer.since))
        .map(|peer| PeerEvent::Down { peer: peer.clone(), reason: DownReason::Closed });
    let come = now
        .values()
        .filter(|peer| known.get(&peer.id).is_none_or(|there| there.since != peer.since))
        .map(|peer| PeerEvent::Up(peer.clone()));
    gone.chain(come).collect()
}
