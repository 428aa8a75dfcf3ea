//! Whom to dial, which of two links to a peer stays, when it is told up and down, and when it is forgotten.
//!
//! Either side dials what it hears of at once. Of two links that meet, the node with the greater id decides: it is
//! the pair's *arbiter*, so both sides keep the same one whatever crosses on the way. Every link that is taken up
//! has a number, one more than the last of that pair; a peer that dials says which number it saw last and whether
//! that link lives for it, and so the arbiter tells a twin dial (refuse it) from a link that is dead over there.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use talkie_discovery::{HostMark, NodeId, SecretMark, Via};

use crate::events::DownReason;

mod dials;
mod entry;
mod hearsay;
mod leads;
mod offer;
use dials::Dials;
pub use dials::{Dial, DialNumber, Outcome, Target};
use entry::Entry;
use leads::Leads;
pub use offer::{Decision, LinkNumber, Offer};

/// Peers that may be linked at once.
pub const MAX_PEERS: usize = 1_024;
/// Nodes known and not linked: heard of, or lost and owed something.
pub const MAX_UNLINKED: usize = 4_096;
/// A link that broke is dialed again before its peer is told down, this long at most. A killed process refuses at
/// once; a reset link of a live one is back in a few milliseconds.
pub const GRACE: Duration = Duration::from_millis(50);
/// How long what a lost peer is owed is kept.
pub const OWED_FOR: Duration = Duration::from_secs(600);
/// Nodes that left and are remembered: as many as may leave within the seconds that a link takes to be made.
const MAX_LEFT: usize = 256;
/// A node that was only heard of, and of which nothing is heard any more.
const CANDIDATE_FOR: Duration = Duration::from_secs(30);

/// What the mesh wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The first link to a peer, or the first after it was told down.
    Up(NodeId),
    /// The peer is gone for now.
    Down(NodeId, DownReason),
    /// The peer left, or was away for [`OWED_FOR`]: it is owed nothing any more.
    Forgotten(NodeId),
    /// Whether one of our partners (by its place in the settings) is linked has changed.
    Partner(usize, bool),
}

/// The cold machine of all links: belongs to one task.
#[derive(Debug)]
pub struct Mesh {
    own: NodeId,
    /// This host, where its Unix sockets are used.
    host: Option<HostMark>,
    peers: HashMap<NodeId, Entry>,
    leads: Leads,
    /// Nodes that said goodbye: an id never comes back, but a link that was on its way may.
    left: VecDeque<NodeId>,
    dials: Dials,
    transmits: VecDeque<Dial>,
    events: VecDeque<Event>,
}

impl Mesh {
    /// The mesh seen from node `own`.
    pub fn new(own: NodeId) -> Self {
        Self {
            own,
            host: None,
            peers: HashMap::new(),
            leads: Leads::default(),
            left: VecDeque::new(),
            dials: Dials::default(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// The same on this host, where its Unix sockets are used.
    #[must_use]
    pub const fn on_host(mut self, host: Option<HostMark>) -> Self {
        self.host = host;
        self
    }

    /// Whether this node decides which link to `id` stays.
    pub fn is_arbiter(&self, id: NodeId) -> bool {
        self.own > id
    }

    /// The newest link taken up with `id` (0: none), and whether it lives, as far as can be told.
    pub fn state_of(&self, id: NodeId) -> (u64, bool) {
        self.peers.get(&id).map_or((0, false), |entry| (entry.adopted, !entry.wants_link()))
    }

    /// How the node was found.
    pub fn via(&self, id: NodeId) -> Option<Via> {
        self.peers.get(&id).map(|entry| entry.via)
    }

    /// Linked peers.
    pub fn linked(&self) -> usize {
        self.peers.values().filter(|entry| entry.link.is_some()).count()
    }

    /// A partner's name led to these addresses.
    pub fn handle_partner(&mut self, now: Instant, partner: usize, addrs: &[SocketAddr]) {
        self.leads.handle_partner(now, partner, addrs);
    }

    /// This host's interfaces changed: what could not be reached before may be reached now, so planned dials are
    /// brought forward.
    pub fn handle_network(&mut self, now: Instant, rng: &mut fastrand::Rng) {
        let members = self.peers.len();
        let waiting =
            self.peers.values_mut().filter(|entry| entry.wants_link() && entry.pace.due().is_some());
        for entry in waiting {
            entry.pace.hurry(now, dials::spread(rng, members, false));
        }
        self.leads.handle_network(now);
    }

    /// Nothing is heard on this link, or the address that it is made from is gone: another way is looked for at once.
    pub fn handle_suspect(&mut self, now: Instant, id: NodeId, link: LinkNumber) {
        if let Some(entry) = self.peers.get_mut(&id).filter(|entry| entry.link == Some(link)) {
            entry.suspect = true;
            entry.pace.begin(now);
        }
    }

    /// The link that was suspected lives.
    pub fn handle_alive(&mut self, id: NodeId, link: LinkNumber) {
        if let Some(entry) = self.peers.get_mut(&id).filter(|entry| entry.link == Some(link)) {
            entry.suspect = false;
            if !entry.stale {
                entry.pace.stop();
            }
        }
    }

    /// The link works, but another one under this secret is to take its place.
    pub fn handle_stale(&mut self, now: Instant, id: NodeId, link: LinkNumber, secret: SecretMark) {
        if let Some(entry) = self.peers.get_mut(&id).filter(|entry| entry.link == Some(link)) {
            entry.stale = true;
            entry.secret = Some(secret);
            entry.pace.begin(now);
        }
    }

    /// It need not be made anew after all.
    pub fn handle_kept(&mut self, id: NodeId, link: LinkNumber) {
        if let Some(entry) = self.peers.get_mut(&id).filter(|entry| entry.link == Some(link)) {
            entry.stale = false;
            if !entry.suspect {
                entry.pace.stop();
            }
        }
    }

    /// A dial came to its end.
    pub fn handle_dial_ended(
        &mut self,
        now: Instant,
        rng: &mut fastrand::Rng,
        number: DialNumber,
        outcome: Outcome,
    ) {
        match self.dials.end(now, number, outcome) {
            Some(Target::Node(id)) => {
                let Some(entry) = self.peers.get_mut(&id) else { return };
                let current = entry.pace.ended(number);
                if entry.wants_link() && current {
                    let lost_for = entry.lost.map(|at| now.saturating_duration_since(at));
                    entry.pace.back_off(now, rng, dials::cap(lost_for));
                    // The immediate redial did not work: there is nothing to wait for.
                    let failed = matches!(outcome, Outcome::Failed | Outcome::Unanswered);
                    if failed && entry.grace.take().is_some() {
                        self.tell_down(id, DownReason::Closed);
                    }
                }
            }
            Some(Target::Partner(partner, addr)) => {
                self.leads.handle_dial_ended(now, rng, (partner, addr), number, outcome);
                self.tell_partners();
            }
            None => {}
        }
    }

    /// The arbiter's decision over a link that was just authenticated.
    pub fn handle_offer(&mut self, now: Instant, offer: &Offer) -> Decision {
        if let Some(entry) = self.peers.get(&offer.id) {
            // Our newest link is dead over there: only then does this one replace it.
            let dead_there = offer.seen == entry.adopted && !offer.live;
            if !entry.wants_link() && !dead_there {
                return Decision::Refuse;
            }
        }
        let adopted = self.peers.get(&offer.id).map_or(0, |entry| entry.adopted);
        self.take_up(now, offer, adopted.max(offer.seen).saturating_add(1))
    }

    /// The arbiter took a link up under `number`: follow it, unless it took up a newer one since.
    pub fn handle_adopted(&mut self, now: Instant, offer: &Offer, number: u64) -> Decision {
        // Also of a node that is new here: 0 stands for none, and such a peer would never be forgotten.
        if number <= self.state_of(offer.id).0 {
            return Decision::Refuse;
        }
        self.take_up(now, offer, number)
    }

    fn take_up(&mut self, now: Instant, offer: &Offer, number: u64) -> Decision {
        if self.left.contains(&offer.id) {
            return Decision::Refuse;
        }
        let known = self.peers.contains_key(&offer.id);
        let replaces = self.peers.get(&offer.id).is_some_and(|entry| entry.link.is_some());
        if (!known && !self.make_room(now)) || (!replaces && self.linked() >= MAX_PEERS) {
            return Decision::Refuse;
        }
        let entry = self.peers.entry(offer.id).or_insert_with(|| Entry::new(now, offer.via));
        let replaces = entry.link.replace(offer.link);
        entry.adopted = number;
        entry.suspect = false;
        entry.stale = false;
        entry.lost = None;
        entry.grace = None;
        entry.linked = now;
        entry.pace.stop();
        if !entry.told_up {
            entry.told_up = true;
            self.events.push_back(Event::Up(offer.id));
        }
        self.tell_partners();
        Decision::Adopt { number, replaces }
    }

    /// A link ended. One that was replaced is of no interest any more.
    pub fn handle_closed(
        &mut self,
        now: Instant,
        rng: &mut fastrand::Rng,
        id: NodeId,
        link: LinkNumber,
        reason: DownReason,
    ) {
        let Some(entry) = self.peers.get_mut(&id) else { return };
        if entry.link != Some(link) {
            return;
        }
        entry.link = None;
        entry.suspect = false;
        entry.stale = false;
        if reason == DownReason::Left {
            self.leave(id);
            return;
        }
        entry.lost = Some(now);
        let lived = now.saturating_duration_since(entry.linked);
        entry.pace.again(now, rng, lived);
        self.leads.handle_closed(now, rng, id, lived);
        if reason == DownReason::Closed && !entry.addresses().is_empty() {
            entry.grace = Some(now + GRACE);
        } else {
            self.tell_down(id, reason);
        }
        self.tell_partners();
    }

    /// A node said goodbye by heartbeat. Where a link lives, the link decides.
    pub fn handle_left(&mut self, id: NodeId) {
        if self.peers.get(&id).is_some_and(|entry| entry.link.is_none()) {
            self.leave(id);
        }
    }

    /// The next connection to make.
    pub fn poll_transmit(&mut self) -> Option<Dial> {
        self.transmits.pop_front()
    }

    /// The next thing to do.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Self::handle_timeout`] wants to be called; none: nothing is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let (room, told) = (self.dials.has_room(Via::Multicast), self.dials.has_room(Via::Member));
        let peers = self.peers.values().filter(|entry| entry.wants_link()).flat_map(|entry| {
            let room = if entry.via == Via::Member { told } else { room };
            [entry.ends(), entry.grace, entry.pace.due().filter(|_| room)]
        });
        let leads = self.leads.poll_timeout().filter(|_| room);
        peers.flatten().chain(leads).min()
    }

    /// Time has come: dials that are due, peers to tell down, nodes to forget.
    pub fn handle_timeout(&mut self, now: Instant) {
        let mut over = Vec::new();
        let mut done = Vec::new();
        for (id, entry) in self.peers.iter_mut().filter(|(_, entry)| entry.wants_link()) {
            if entry.grace.is_some_and(|until| until <= now) {
                entry.grace = None;
                over.push(*id);
            }
            let target = Target::Node(*id);
            if entry.ends().is_some_and(|end| end <= now) {
                done.push(*id);
            } else if let Some(number) = entry.pace.start(now, &mut self.dials, target, entry.via) {
                let (addrs, via, secret) = (entry.addresses(), entry.via, entry.secret);
                let here = self.host.is_some() && entry.host == self.host;
                self.transmits.push_back(Dial {
                    number,
                    target,
                    addrs,
                    via,
                    unix: here.then_some(*id),
                    secret,
                });
            }
        }
        let peers = &self.peers;
        let linked = |id| is_linked(peers, id);
        self.leads.handle_timeout(now, &mut self.dials, linked, &mut self.transmits);
        for id in over {
            self.tell_down(id, DownReason::Closed);
        }
        for id in done {
            self.forget(id);
        }
    }

    fn leave(&mut self, id: NodeId) {
        self.tell_down(id, DownReason::Left);
        self.forget(id);
        self.left.push_back(id);
        if self.left.len() > MAX_LEFT {
            self.left.pop_front();
        }
    }

    fn tell_down(&mut self, id: NodeId, reason: DownReason) {
        if let Some(entry) = self.peers.get_mut(&id)
            && std::mem::take(&mut entry.told_up)
        {
            self.events.push_back(Event::Down(id, reason));
        }
    }

    fn forget(&mut self, id: NodeId) {
        let Some(entry) = self.peers.remove(&id) else { return };
        if entry.told_up {
            self.events.push_back(Event::Down(id, DownReason::Closed));
        }
        if entry.adopted > 0 {
            self.events.push_back(Event::Forgotten(id));
        }
        self.leads.forget(id);
        self.tell_partners();
    }

    /// Makes room for one more node, at the cost of the one unheard or lost for longest.
    fn make_room(&mut self, now: Instant) -> bool {
        let unlinked = self.peers.values().filter(|entry| entry.link.is_none()).count();
        if unlinked < MAX_UNLINKED {
            return true;
        }
        let oldest = self
            .peers
            .iter()
            .filter(|(_, entry)| entry.link.is_none())
            // What was only heard of goes before what is owed something.
            .max_by_key(|(_, entry)| (entry.lost.is_none(), now.saturating_duration_since(entry.heard)))
            .map(|(id, _)| *id);
        let Some(id) = oldest else { return false };
        self.forget(id);
        true
    }

    fn tell_partners(&mut self) {
        let changes = self.leads.changes(|id| is_linked(&self.peers, id));
        self.events.extend(changes.into_iter().map(|(partner, linked)| Event::Partner(partner, linked)));
    }
}

fn is_linked(peers: &HashMap<NodeId, Entry>, id: NodeId) -> bool {
    peers.get(&id).is_some_and(|entry| entry.link.is_some())
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test says when its time begins")]
mod tests;
