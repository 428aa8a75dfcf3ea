//! What is heard of other nodes: by their heartbeats, from their own hellos, and from members that are linked to them.

use std::net::SocketAddr;
use std::time::Instant;

use talkie_discovery::proto::bucket::Limit;
use talkie_discovery::{HostMark, NodeId, SecretMark, Via};

use super::dials::{self, MAX_ADDRS};
use super::entry::Entry;
use super::{CANDIDATE_FOR, MAX_PEERS, Mesh};
use crate::proto::members::Member;

/// Unknown nodes that one member may tell of: a whole mesh at once, then a few. One that makes them up costs a bounded
/// number of dials.
const TELLINGS: Limit = Limit { rate: 16.0, burst: MAX_PEERS as f64 };

impl Mesh {
    /// A fresh, authenticated heartbeat: the node lives and can be dialed at these addresses. `mutual`: it has most
    /// likely heard this node, too, and will dial.
    pub fn handle_seen(
        &mut self,
        now: Instant,
        rng: &mut fastrand::Rng,
        id: NodeId,
        addrs: Vec<SocketAddr>,
        mutual: bool,
    ) {
        if addrs.is_empty() {
            return;
        }
        let (members, yields) = (self.peers.len(), mutual && self.own < id);
        let Some(entry) = self.candidate(now, id, Via::Multicast) else { return };
        entry.addrs = addrs;
        entry.heard = now;
        if entry.link.is_none() {
            if entry.lost.is_some_and(|lost| now.saturating_duration_since(lost) > CANDIDATE_FOR) {
                entry.told.clear();
            }
            entry.pace.hurry(now, dials::spread(rng, members, yields));
        }
    }

    /// A linked member tells of nodes that it is linked to. That adds nodes and addresses, and never removes any.
    pub fn handle_members(&mut self, now: Instant, rng: &mut fastrand::Rng, teller: NodeId, told: &[Member]) {
        for Member { id, addrs, host } in told {
            if addrs.is_empty() || self.peers.get(id).is_some_and(|entry| !entry.wants_link()) {
                continue;
            }
            if !self.peers.contains_key(id) && !self.may_tell(now, teller) {
                continue;
            }
            let (members, yields) = (self.peers.len(), self.own < *id);
            let Some(entry) = self.candidate(now, *id, Via::Member) else { continue };
            entry.heard = now;
            entry.host = entry.host.or(*host);
            let known = entry.addrs.len();
            addrs.iter().for_each(|addr| entry.add(*addr));
            // A node that is known, and not reached so far, is not reached any better for being told of.
            let news = entry.addrs.len() > known || entry.lost.is_some();
            if entry.link.is_none() && news {
                entry.pace.hurry(now, dials::spread(rng, members, yields));
            }
        }
    }

    fn may_tell(&mut self, now: Instant, teller: NodeId) -> bool {
        self.peers.get_mut(&teller).is_some_and(|entry| entry.tellings.take(now, TELLINGS))
    }

    /// The entry of a node that is not this one and has not left; a new one where there is room.
    fn candidate(&mut self, now: Instant, id: NodeId, via: Via) -> Option<&mut Entry> {
        if id == self.own || self.left.contains(&id) {
            return None;
        }
        if !self.peers.contains_key(&id) && !self.make_room(now) {
            return None;
        }
        Some(self.peers.entry(id).or_insert_with(|| Entry::new(now, via)))
    }

    /// Where a peer's link leads to, and what the peer tells of itself over it: where to dial it when the link breaks,
    /// and what others are told of it.
    pub fn handle_told(&mut self, id: NodeId, addrs: &[SocketAddr]) {
        if let Some(entry) = self.peers.get_mut(&id) {
            entry.told = addrs.iter().take(MAX_ADDRS).copied().collect();
        }
    }

    /// The host that a node says it is on, where it takes links by a Unix socket.
    pub fn handle_host(&mut self, id: NodeId, host: Option<HostMark>) {
        if let Some(entry) = self.peers.get_mut(&id) {
            entry.host = host;
        }
    }

    /// A secret that a node accepts, as far as it shows: the one to begin with when it is dialed.
    pub fn handle_secret(&mut self, id: NodeId, secret: SecretMark) {
        if let Some(entry) = self.peers.get_mut(&id).filter(|entry| !entry.stale) {
            entry.secret = Some(secret);
        }
    }

    /// The linked peers, where their links lead to and which hosts they are on: what a member may be told of.
    pub fn members(&self) -> impl Iterator<Item = (NodeId, &[SocketAddr], Option<HostMark>)> {
        let linked = self.peers.iter().filter(|(_, entry)| entry.link.is_some());
        linked.map(|(id, entry)| (*id, entry.told.as_slice(), entry.host))
    }
}
