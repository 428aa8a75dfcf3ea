//! A simulated LAN: many meshes in virtual time, by seed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{MS, addr, id};
use crate::proto::members::Member;
use crate::proto::mesh::*;

/// What happens in the simulated network, and when.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// Both ends are authenticated and have said hello.
    Hello {
        conn: usize,
    },
    /// The arbiter decides.
    Decide {
        conn: usize,
    },
    /// The arbiter's word arrives at the other side: adopted under a number, or refused.
    Word {
        conn: usize,
        number: Option<u64>,
    },
    /// One end hears that the connection is gone.
    Closed {
        conn: usize,
        at: usize,
    },
    Heartbeat {
        from: usize,
        to: usize,
    },
    /// What one node tells another of those that it is linked to.
    Told {
        from: usize,
        to: usize,
        members: Vec<u8>,
    },
    Wake {
        node: usize,
    },
}

pub(super) struct Conn {
    dialer: usize,
    other: usize,
    dial: DialNumber,
    said: [(u64, bool); 2],
    dead: bool,
}

/// N nodes on a LAN where everything takes a random few milliseconds.
pub(super) struct Lan {
    start: Instant,
    now: Duration,
    pub(super) rng: fastrand::Rng,
    pub(super) nodes: Vec<Mesh>,
    links: Vec<HashMap<NodeId, LinkNumber>>,
    pub(super) told: Vec<Vec<Event>>,
    pub(super) conns: Vec<Conn>,
    queue: BinaryHeap<Reverse<(Duration, usize, Step)>>,
    order: usize,
    pub(super) cut: bool,
    /// Whether heartbeats go both ways, and whether members tell of members.
    pub(super) mutual: bool,
    pub(super) telling: bool,
    pub(super) most_told: usize,
}

impl Lan {
    pub(super) fn new(seed: u64, count: u8) -> Self {
        Self {
            start: Instant::now(),
            now: Duration::ZERO,
            rng: fastrand::Rng::with_seed(seed),
            nodes: (1..=count).map(|n| Mesh::new(id(n))).collect(),
            links: (1..=count).map(|_| HashMap::new()).collect(),
            told: (1..=count).map(|_| Vec::new()).collect(),
            conns: Vec::new(),
            queue: BinaryHeap::new(),
            order: 0,
            cut: false,
            mutual: false,
            telling: false,
            most_told: 64,
        }
    }

    pub(super) fn later(&mut self, step: Step) {
        let delay = Duration::from_micros(self.rng.u64(50..5_000));
        self.at(self.now + delay, step);
    }

    fn at(&mut self, at: Duration, step: Step) {
        self.order += 1;
        self.queue.push(Reverse((at, self.order, step)));
    }

    pub(super) fn run_until(&mut self, end: Duration) {
        while let Some(Reverse((at, ..))) = self.queue.peek() {
            if *at > end {
                break;
            }
            let Some(Reverse((at, _, step))) = self.queue.pop() else { break };
            self.now = at;
            self.step(step);
        }
        self.now = end;
    }

    fn index(node: NodeId) -> usize {
        usize::from(node.as_bytes()[0]) - 1
    }

    /// The two ends of a connection: arbiter first.
    fn ends(&self, conn: usize) -> (usize, usize) {
        let Conn { dialer, other, .. } = self.conns[conn];
        (dialer.max(other), dialer.min(other))
    }

    fn offer(&self, conn: usize, of: usize) -> Offer {
        let (seen, live) = self.conns[conn].said[usize::from(of == self.conns[conn].dialer)];
        Offer { id: id(of as u8 + 1), link: conn as u64 + 1, seen, live, via: Via::Multicast }
    }

    fn step(&mut self, step: Step) {
        let now = self.start + self.now;
        match step {
            Step::Hello { conn } => {
                let Conn { dialer, other, dial, .. } = self.conns[conn];
                if self.cut {
                    self.nodes[dialer].handle_dial_ended(now, &mut self.rng, dial, Outcome::Failed);
                    self.drain(dialer);
                    return;
                }
                let said = |lan: &Self, of: usize, to: usize| lan.nodes[of].state_of(id(to as u8 + 1));
                self.conns[conn].said = [said(self, other, dialer), said(self, dialer, other)];
                self.later(Step::Decide { conn });
            }
            Step::Decide { conn } => {
                let (arbiter, lesser) = self.ends(conn);
                if self.conns[conn].dialer == arbiter {
                    let dial = self.conns[conn].dial;
                    let reached = Outcome::Reached(id(lesser as u8 + 1));
                    self.nodes[arbiter].handle_dial_ended(now, &mut self.rng, dial, reached);
                }
                let offer = self.offer(conn, lesser);
                let number = match self.nodes[arbiter].handle_offer(now, &offer) {
                    Decision::Adopt { number, replaces } => {
                        self.linked(arbiter, lesser, conn, replaces);
                        Some(number)
                    }
                    Decision::Refuse => None,
                };
                self.later(Step::Word { conn, number });
                self.drain(arbiter);
            }
            Step::Word { conn, number } => {
                let (arbiter, lesser) = self.ends(conn);
                if self.conns[conn].dialer == lesser {
                    let dial = self.conns[conn].dial;
                    let reached = Outcome::Reached(id(arbiter as u8 + 1));
                    self.nodes[lesser].handle_dial_ended(now, &mut self.rng, dial, reached);
                }
                let Some(number) = number.filter(|_| !self.conns[conn].dead) else {
                    self.drain(lesser);
                    return;
                };
                let offer = self.offer(conn, arbiter);
                match self.nodes[lesser].handle_adopted(now, &offer, number) {
                    Decision::Adopt { replaces, .. } => self.linked(lesser, arbiter, conn, replaces),
                    Decision::Refuse => self.kill(conn),
                }
                self.drain(lesser);
            }
            Step::Closed { conn, at } => {
                let (arbiter, lesser) = self.ends(conn);
                let peer = id(if at == arbiter { lesser } else { arbiter } as u8 + 1);
                let link = conn as u64 + 1;
                if self.links[at].get(&peer) == Some(&link) {
                    self.links[at].remove(&peer);
                }
                self.nodes[at].handle_closed(now, &mut self.rng, peer, link, DownReason::Closed);
                self.drain(at);
            }
            Step::Heartbeat { from, to } => {
                if !self.cut {
                    let (node, at) = (id(from as u8 + 1), addr(from as u8 + 1));
                    self.nodes[to].handle_seen(now, &mut self.rng, node, vec![at], self.mutual);
                    self.drain(to);
                }
                let pause = MS * self.rng.u32(800..1_200);
                self.at(self.now + pause, Step::Heartbeat { from, to });
            }
            Step::Told { from, to, members } => {
                let told: Vec<_> = members
                    .iter()
                    .map(|n| Member { id: id(*n), addrs: vec![addr(*n)], host: None })
                    .collect();
                self.nodes[to].handle_members(now, &mut self.rng, id(from as u8 + 1), &told);
                self.drain(to);
            }
            Step::Wake { node } => {
                self.drain(node);
            }
        }
    }

    fn linked(&mut self, node: usize, peer: usize, conn: usize, replaces: Option<LinkNumber>) {
        self.links[node].insert(id(peer as u8 + 1), conn as u64 + 1);
        if self.telling {
            let members = self.nodes[node].members().map(|(id, ..)| id.as_bytes()[0]);
            let members: Vec<u8> = members.filter(|n| usize::from(*n) != peer + 1).collect();
            let members = self.rng.choose_multiple(members, self.most_told);
            self.later(Step::Told { from: node, to: peer, members });
        }
        if self.conns[conn].dead {
            // It broke while it was being made: the reader finds its end at once.
            self.later(Step::Closed { conn, at: node });
        }
        if let Some(old) = replaces {
            self.kill(old as usize - 1);
        }
    }

    /// Both ends hear of it, each in its own time.
    pub(super) fn kill(&mut self, conn: usize) {
        if !std::mem::replace(&mut self.conns[conn].dead, true) {
            let (a, b) = self.ends(conn);
            self.later(Step::Closed { conn, at: a });
            self.later(Step::Closed { conn, at: b });
        }
    }

    fn drain(&mut self, node: usize) {
        let now = self.start + self.now;
        self.nodes[node].handle_timeout(now);
        while let Some(dial) = self.nodes[node].poll_transmit() {
            let Target::Node(to) = dial.target else { panic!("there are no partners here") };
            let conn = self.conns.len();
            let (other, dial) = (Self::index(to), dial.number);
            self.conns.push(Conn { dialer: node, other, dial, said: [(0, false); 2], dead: false });
            self.later(Step::Hello { conn });
        }
        while let Some(event) = self.nodes[node].poll_event() {
            self.told[node].push(event);
        }
        if let Some(at) = self.nodes[node].poll_timeout() {
            let at = at.saturating_duration_since(self.start).max(self.now + MS);
            if at < self.now + Duration::from_secs(5) {
                self.at(at, Step::Wake { node });
            }
        }
    }

    /// Every pair has one link, and it is the same one on both sides.
    pub(super) fn assert_meshed(&self, seed: u64) {
        for a in 0..self.nodes.len() {
            for b in (0..self.nodes.len()).filter(|b| *b != a) {
                let (here, there) = (
                    self.links[a].get(&id(b as u8 + 1)).copied(),
                    self.links[b].get(&id(a as u8 + 1)).copied(),
                );
                assert!(here.is_some(), "seed {seed}: {a} is not linked to {b}");
                assert_eq!(here, there, "seed {seed}: {a} and {b} keep different links");
                assert!(
                    !self.conns[here.map_or(0, |n| n as usize - 1)].dead,
                    "seed {seed}: a dead link is kept"
                );
            }
        }
    }
}
