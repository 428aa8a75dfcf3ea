//! Two nodes that dial each other, and a network that keeps what they say in any order and breaks what it will.

use std::time::{Duration, Instant};

use talkie_discovery::Via;
use talkie_transport::DownReason;
use talkie_transport::proto::mesh::{Decision, Mesh, Offer, Outcome, Target};

use crate::feed::{Feed, addr, begin, node};

/// What is on its way.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// Both ends are authenticated, and say hello.
    Hello(usize),
    /// The arbiter decides.
    Decide(usize),
    /// Its word arrives: the number under which it took the connection up, or none.
    Word(usize, Option<u64>),
    /// One end hears that the connection is gone.
    Closed(usize, usize),
}

#[derive(Debug)]
struct Conn {
    dialer: usize,
    dial: u64,
    /// What each node says of its side of the pair.
    said: [(u64, bool); 2],
    dead: bool,
}

struct Lan {
    now: Instant,
    random: fastrand::Rng,
    nodes: [Mesh; 2],
    /// The connection that each holds for the link.
    links: [Option<usize>; 2],
    conns: Vec<Conn>,
    steps: Vec<Step>,
}

/// The greater id decides.
const ARBITER: usize = 1;

/// Whatever crosses on the way: once the network is quiet, both keep one link, the same one, and it lives.
pub fn run(data: &[u8]) {
    let mut feed = Feed::new(data);
    let mut lan = Lan {
        now: begin(),
        random: fastrand::Rng::with_seed(u64::from(feed.byte())),
        nodes: [Mesh::new(node(0)), Mesh::new(node(1))],
        links: [None; 2],
        conns: Vec::new(),
        steps: Vec::new(),
    };
    while feed.more() && lan.conns.len() < 100 {
        match feed.byte() % 8 {
            0 => lan.heartbeat(feed.below(2), feed.flag()),
            1 => lan.now += feed.pause() / 8,
            2 => {
                let conn = feed.below(lan.conns.len().max(1));
                lan.kill(conn);
            }
            3 => {
                let at = feed.below(2);
                if let Some(conn) = lan.links[at] {
                    let (now, link) = (lan.now, conn as u64 + 1);
                    lan.nodes[at].handle_suspect(now, node(1 - at), link);
                }
            }
            _ if !lan.steps.is_empty() => {
                let step = lan.steps.swap_remove(feed.below(lan.steps.len()));
                lan.step(step);
            }
            _ => lan.now += Duration::from_millis(20),
        }
        lan.drain();
    }
    // Quiet: everything arrives in its order, and both are heard each second. A link that is suspected falls silent.
    for at in 0..2 {
        if let Some(conn) = lan.links[at].filter(|_| !lan.nodes[at].state_of(node(1 - at)).1) {
            lan.kill(conn);
        }
    }
    for tick in 0..400 {
        if tick % 20 == 0 {
            (0..2).for_each(|at| lan.heartbeat(at, true));
        }
        lan.drain();
        while !lan.steps.is_empty() {
            let step = lan.steps.remove(0);
            lan.step(step);
            lan.drain();
        }
        if lan.is_meshed() {
            return;
        }
        lan.now += Duration::from_millis(50);
    }
    panic!("20 s of quiet, and links {:?} of {:?}", lan.links, lan.conns);
}

impl Lan {
    fn is_meshed(&self) -> bool {
        let [here, there] = self.links;
        let [Some(here), Some(there)] = [here, there] else { return false };
        assert_eq!(here, there, "they keep different links: {:?}", self.conns);
        !self.conns[here].dead && self.nodes.iter().all(|mesh| mesh.linked() == 1)
    }

    fn heartbeat(&mut self, to: usize, mutual: bool) {
        let from = 1 - to;
        self.nodes[to].handle_seen(self.now, &mut self.random, node(from), vec![addr(from)], mutual);
    }

    fn offer(&self, conn: usize, of: usize) -> Offer {
        let (seen, live) = self.conns[conn].said[of];
        Offer { id: node(of), link: conn as u64 + 1, seen, live, via: Via::Multicast }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Hello(conn) => {
                if self.conns[conn].dead {
                    let Conn { dialer, dial, .. } = self.conns[conn];
                    self.nodes[dialer].handle_dial_ended(self.now, &mut self.random, dial, Outcome::Failed);
                    return;
                }
                self.conns[conn].said = [self.nodes[0].state_of(node(1)), self.nodes[1].state_of(node(0))];
                self.steps.push(Step::Decide(conn));
            }
            Step::Decide(conn) => {
                self.reached(conn, ARBITER);
                let offer = self.offer(conn, 0);
                let dead_there = offer.seen == self.nodes[ARBITER].state_of(node(0)).0 && !offer.live;
                let number = match self.nodes[ARBITER].handle_offer(self.now, &offer) {
                    Decision::Adopt { number, replaces } => {
                        self.linked(ARBITER, conn, replaces);
                        Some(number)
                    }
                    Decision::Refuse => {
                        assert!(!dead_there, "its newest link is dead over there, and a new one is refused");
                        None
                    }
                };
                self.steps.push(Step::Word(conn, number));
            }
            Step::Word(conn, number) => {
                self.reached(conn, 0);
                let Some(number) = number.filter(|_| !self.conns[conn].dead) else { return };
                let offer = self.offer(conn, ARBITER);
                let (known, _) = self.nodes[0].state_of(node(ARBITER));
                match self.nodes[0].handle_adopted(self.now, &offer, number) {
                    Decision::Adopt { replaces, .. } => {
                        assert!(number > known, "an older word is followed");
                        self.linked(0, conn, replaces);
                    }
                    Decision::Refuse => self.kill(conn),
                }
            }
            Step::Closed(conn, at) => {
                if self.links[at] == Some(conn) {
                    self.links[at] = None;
                }
                let link = conn as u64 + 1;
                self.nodes[at].handle_closed(self.now, &mut self.random, node(1 - at), link, DownReason::Closed);
            }
        }
    }

    fn reached(&mut self, conn: usize, by: usize) {
        let Conn { dialer, dial, .. } = self.conns[conn];
        if dialer == by {
            let outcome = Outcome::Reached(node(1 - by));
            self.nodes[by].handle_dial_ended(self.now, &mut self.random, dial, outcome);
        }
    }

    fn linked(&mut self, at: usize, conn: usize, replaces: Option<u64>) {
        assert_eq!(replaces, self.links[at].map(|old| old as u64 + 1));
        self.links[at] = Some(conn);
        self.nodes[at].handle_told(node(1 - at), &[addr(1 - at)]);
        if self.conns[conn].dead {
            // It broke while it was being made: the reader finds its end at once.
            self.steps.push(Step::Closed(conn, at));
        }
        if let Some(old) = replaces {
            self.kill(old as usize - 1);
        }
    }

    fn kill(&mut self, conn: usize) {
        if self.conns.get(conn).is_some_and(|conn| !conn.dead) {
            self.conns[conn].dead = true;
            self.steps.extend([Step::Closed(conn, 0), Step::Closed(conn, 1)]);
        }
    }

    fn drain(&mut self) {
        for at in 0..2 {
            self.nodes[at].handle_timeout(self.now);
            while let Some(dial) = self.nodes[at].poll_transmit() {
                assert_eq!(dial.target, Target::Node(node(1 - at)));
                self.steps.push(Step::Hello(self.conns.len()));
                self.conns.push(Conn { dialer: at, dial: dial.number, said: [(0, false); 2], dead: false });
            }
            while self.nodes[at].poll_event().is_some() {}
        }
    }
}
