//! Who is here: seen, moved, gone. Bounded, and deaf to what it has heard before.

use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::announcer::pace;
use super::beacon::Beacon;
use super::recent::Recent;
use crate::event::Event;
use crate::host::HostMark;
use crate::keys::SecretMark;
use crate::node::{NodeId, NodeName};

/// The most nodes that are here, and the most gone ones whose last sequence is remembered. A member that makes up
/// ids can push out the least recently heard; links do not depend on it.
pub const MAX_NODES: usize = 4_096;

/// How long a node is here without a heartbeat: thirty paces of a small mesh, and three of a large one.
const EXPIRY: Duration = Duration::from_secs(30);
const EXPIRY_PACES: u32 = 3;

/// A heartbeat that left so shortly before a node was first heard has probably reached it: both started together,
/// and what it sent was still on its way.
const CROSSED: Duration = Duration::from_millis(2);

/// After so many paces of silence a node is heard for the first time again: it may have missed us as we missed it.
const SILENT_PACES: u32 = 3;

/// The most ways on which copies of one heartbeat are told apart; further ways are taken for replays.
const MAX_WAYS: usize = 32;

/// The most addresses that are told of one node: those of a heartbeat on each of two networks.
const MAX_KNOWN: usize = 8;

/// For how long the addresses of a way hold that brings nothing any more while others do: as long as some
/// heartbeats in a row may be lost there, in paces, and at least so long.
const TOLD_PACES: u32 = 3;
const TOLD: Duration = Duration::from_secs(10);

/// The most nodes with something to tell, before those without are sorted out: twice what both tables hold.
const MAX_NEWS: usize = 4 * MAX_NODES;

/// By which socket a heartbeat came: one number for each interface and family.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Way(pub u64);

/// What a heartbeat was.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Heard {
    /// Our own, brought back by multicast.
    Own,
    /// News of a node.
    Fresh,
    /// The same heartbeat by another way.
    Copy,
    /// Not newer than what was heard.
    Replayed,
}

/// Keeps who is here, and tells what is new of them.
///
/// The verbs: [`handle_beacon`](Self::handle_beacon), [`handle_sent`](Self::handle_sent); [`poll_event`](Self::poll_event);
/// [`poll_timeout`](Self::poll_timeout) with [`handle_timeout`](Self::handle_timeout). It transmits nothing.
///
/// Events wait inside, one for each node at most: where the reader is slow, a node's later event takes the place
/// of the former. So nothing is lost that still holds, and memory is bounded.
#[derive(Debug)]
pub struct Roster {
    own: NodeId,
    here: Recent<Here>,
    gone: Recent<Gone>,
    news: VecDeque<NodeId>,
    in_news: HashSet<NodeId>,
    /// When this node last spoke.
    sent: Option<Instant>,
}

#[derive(Debug)]
struct Here {
    sequence: u64,
    heard: Instant,
    /// When it was first heard, without a silence since.
    since: Instant,
    name: NodeName,
    /// What the newest heartbeat was sealed under.
    secret: SecretMark,
    host: Option<HostMark>,
    /// What was heard by which way: those of the newest heartbeat in the order in which they came, then others.
    ways: Vec<Told>,
}

/// The last heartbeat by one way.
#[derive(Debug)]
struct Told {
    way: Way,
    sequence: u64,
    heard: Instant,
    addrs: Vec<SocketAddr>,
}

#[derive(Debug)]
struct Gone {
    sequence: u64,
    left: bool,
}

impl Roster {
    /// An empty one of the node `own`.
    #[must_use]
    pub fn new(own: NodeId) -> Self {
        Self {
            own,
            here: Recent::default(),
            gone: Recent::default(),
            news: VecDeque::new(),
            in_news: HashSet::new(),
            sent: None,
        }
    }

    /// This node's own heartbeat went out.
    pub fn handle_sent(&mut self, now: Instant) {
        self.sent = Some(now);
    }

    /// How many nodes the mesh has, ourselves included.
    #[must_use]
    pub fn population(&self) -> usize {
        self.here.len() + 1
    }

    /// A heartbeat that was sealed under `secret` came by `way`; `addrs` are those of its addresses that may be dialled.
    ///
    /// A node's sequence only grows, also after it was forgotten, as long as its last one is remembered. The
    /// largest possible sequence thus mutes its own id and no other.
    pub fn handle_beacon(
        &mut self,
        now: Instant,
        way: Way,
        secret: SecretMark,
        beacon: &Beacon,
        addrs: Vec<SocketAddr>,
    ) -> Heard {
        let id = beacon.id;
        if id == self.own {
            return Heard::Own;
        }
        if let Some(gone) = self.gone.value(id) {
            if beacon.sequence <= gone.sequence {
                return Heard::Replayed;
            }
            if gone.left {
                // Nothing follows a goodbye but its repetitions.
                self.put_gone(id, beacon.sequence, true);
                return Heard::Copy;
            }
        }
        if let Some(here) = self.here.value_mut(id) {
            if beacon.sequence < here.sequence {
                return Heard::Replayed;
            }
            if beacon.sequence == here.sequence {
                return self.handle_copy(now, id, way, addrs);
            }
        }
        self.gone.remove(id);
        let pace = pace(self.population());
        let known = self.here.remove(id);
        if beacon.leaving {
            self.put_gone(id, beacon.sequence, true);
        } else {
            let (sequence, name, host) = (beacon.sequence, beacon.name.clone(), beacon.host);
            let mut here = Here { sequence, heard: now, since: now, name, secret, host, ways: Vec::new() };
            if let Some(known) = known {
                here.follow(known, pace);
            }
            here.put(0, Told { way, sequence, heard: now, addrs });
            self.put_here(id, here);
        }
        self.tell(id);
        Heard::Fresh
    }

    fn handle_copy(&mut self, now: Instant, id: NodeId, way: Way, addrs: Vec<SocketAddr>) -> Heard {
        let Some(here) = self.here.value_mut(id) else {
            return Heard::Replayed;
        };
        let sequence = here.sequence;
        let current = here.ways.iter().take_while(|told| told.sequence == sequence);
        let current: Vec<_> = current.map(|told| told.way).collect();
        if current.contains(&way) || current.len() >= MAX_WAYS {
            return Heard::Replayed;
        }
        let before = here.addrs();
        here.put(current.len(), Told { way, sequence, heard: now, addrs });
        if here.addrs().iter().any(|addr| !before.contains(addr)) {
            self.tell(id);
        }
        Heard::Copy
    }

    /// What is new of one node.
    pub fn poll_event(&mut self) -> Option<Event> {
        loop {
            let id = self.news.pop_front()?;
            self.in_news.remove(&id);
            if let Some(here) = self.here.value(id) {
                // Without an address there is nobody to dial: a copy by another way may bring some.
                let (name, host, secret, addrs) = (here.name.clone(), here.host, here.secret, here.addrs());
                if !addrs.is_empty() {
                    let mutual = self.sent.is_some_and(|sent| sent + CROSSED >= here.since);
                    return Some(Event::Seen { id, name, addrs, host, mutual, secret });
                }
            } else if self.gone.value(id).is_some_and(|gone| gone.left) {
                return Some(Event::Left { id });
            }
        }
    }

    /// Whether [`Self::poll_event`] may have something.
    #[must_use]
    pub fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    /// When to call [`Self::handle_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.here.oldest().map(|(_, here)| here.heard + self.expiry())
    }

    /// Forgets who was not heard for long. It tells nobody: only links know who lives.
    pub fn handle_timeout(&mut self, now: Instant) {
        while self.poll_timeout().is_some_and(|at| at <= now) {
            self.forget_oldest();
        }
    }

    fn expiry(&self) -> Duration {
        EXPIRY.max(pace(self.population()) * EXPIRY_PACES)
    }

    fn put_here(&mut self, id: NodeId, here: Here) {
        self.here.put(id, here);
        while self.here.len() > MAX_NODES {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((id, here)) = self.here.pop_oldest() {
            self.put_gone(id, here.sequence, false);
        }
    }

    fn put_gone(&mut self, id: NodeId, sequence: u64, left: bool) {
        self.gone.put(id, Gone { sequence, left });
        while self.gone.len() > MAX_NODES {
            self.gone.pop_oldest();
        }
    }

    fn tell(&mut self, id: NodeId) {
        if self.in_news.insert(id) {
            self.news.push_back(id);
        }
        // Nothing is to be told of those that were pushed out. What remains is at most half of it, so that this
        // search is rare.
        if self.news.len() > MAX_NEWS {
            let (here, gone) = (&self.here, &self.gone);
            self.news.retain(|id| here.value(*id).is_some() || gone.value(*id).is_some_and(|gone| gone.left));
            self.in_news = self.news.iter().copied().collect();
        }
    }
}

impl Here {
    /// Takes over what still holds of what was known before this heartbeat.
    fn follow(&mut self, known: Self, pace: Duration) {
        let now = self.heard;
        if now.saturating_duration_since(known.heard) <= pace * SILENT_PACES {
            self.since = known.since;
        }
        let told = TOLD.max(pace * TOLD_PACES);
        self.ways = known.ways;
        self.ways.retain(|way| now.saturating_duration_since(way.heard) <= told);
    }

    /// Puts in what was heard by a way, in the place of what was heard there before.
    fn put(&mut self, at: usize, told: Told) {
        self.ways.retain(|other| other.way != told.way);
        self.ways.insert(at.min(self.ways.len()), told);
        self.ways.truncate(MAX_WAYS);
    }

    /// The addresses by all ways, each once.
    fn addrs(&self) -> Vec<SocketAddr> {
        let mut all = Vec::new();
        for addr in self.ways.iter().flat_map(|told| &told.addrs) {
            if all.len() < MAX_KNOWN && !all.contains(addr) {
                all.push(*addr);
            }
        }
        all
    }
}

#[cfg(test)]
mod tests;
