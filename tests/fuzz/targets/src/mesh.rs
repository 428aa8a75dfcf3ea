//! All links of a node, whatever others say and whichever way dials and links end.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use talkie_discovery::{HostMark, NodeId, Via};
use talkie_transport::DownReason;
use talkie_transport::proto::members::Member;
use talkie_transport::proto::mesh::{Decision, Dial, Event, Mesh, Offer, Outcome, Target};

use crate::feed::{Feed, addr, begin, node};

/// This node; some ids are greater and some are less.
const OWN: usize = 4;
const NODES: usize = 8;

#[derive(Debug, Default)]
struct Peer {
    link: Option<u64>,
    suspect: bool,
    up: bool,
    adopted: u64,
    left: bool,
}

struct Model {
    mesh: Mesh,
    peers: BTreeMap<NodeId, Peer>,
    /// Dials under way.
    dials: BTreeMap<u64, Target>,
    partners: BTreeMap<usize, bool>,
    now: Instant,
}

/// A peer has one link at most, is told up and down in turns, and is forgotten only when it is down; who left never comes back. Nobody is dialed
/// without an address, nor the node itself, nor whose link lives; no more than 32 at once. Whoever waits for the time that is asked for never waits in
/// vain. When all are gone for long, nothing is left.
pub fn run(data: &[u8]) {
    let mut feed = Feed::new(data);
    let mut random = fastrand::Rng::with_seed(u64::from(feed.byte()));
    let host = feed.flag().then(|| HostMark::from_bytes([7; HostMark::LEN])).flatten();
    let mut model = Model {
        mesh: Mesh::new(node(OWN)).on_host(host),
        peers: (0..NODES).filter(|n| *n != OWN).map(|n| (node(n), Peer::default())).collect(),
        dials: BTreeMap::new(),
        partners: BTreeMap::new(),
        now: begin(),
    };
    let mut link = 0;
    while feed.more() {
        let (id, now) = (node(feed.below(NODES)), model.now);
        match feed.byte() % 16 {
            0 | 1 => {
                let addrs = addrs(&mut feed);
                model.mesh.handle_seen(now, &mut random, id, addrs, feed.flag());
            }
            2 => {
                let host = HostMark::from_bytes([feed.byte() % 8; HostMark::LEN]);
                let told = (0..feed.below(3)).map(|_| node(feed.below(NODES))).collect::<Vec<_>>();
                let told: Vec<Member> =
                    told.into_iter().map(|id| Member { id, addrs: addrs(&mut feed), host }).collect();
                model.mesh.handle_members(now, &mut random, id, &told);
            }
            3 => {
                let partner = feed.below(2);
                model.mesh.handle_partner(now, partner, &addrs(&mut feed));
                model.partners.entry(partner).or_insert(false);
            }
            4 => model.mesh.handle_network(now, &mut random),
            5..8 if id != node(OWN) => {
                link += 1;
                model.offer(&mut feed, id, link);
            }
            8 | 9 => {
                let Some(peer) = model.peers.get(&id) else { continue };
                let link = peer.link.filter(|_| feed.byte() < 224).unwrap_or_else(|| feed.number());
                let reason = [DownReason::Closed, DownReason::Timeout, DownReason::Left][feed.below(3)];
                model.close(&mut random, id, link, reason);
            }
            10 => {
                model.mesh.handle_left(id);
                if let Some(peer) = model.peers.get_mut(&id).filter(|peer| peer.link.is_none()) {
                    // Somebody who is not known is not remembered either.
                    peer.left |= peer.adopted > 0 && peer.up;
                }
            }
            11 => {
                let Some(peer) = model.peers.get_mut(&id) else { continue };
                let link = peer.link.filter(|_| feed.byte() < 224).unwrap_or_else(|| feed.number());
                let suspects = feed.flag();
                if suspects {
                    model.mesh.handle_suspect(now, id, link);
                } else {
                    model.mesh.handle_alive(id, link);
                }
                if peer.link == Some(link) {
                    peer.suspect = suspects;
                }
            }
            12 | 13 => {
                let number = model.dials.keys().nth(feed.below(4)).copied().unwrap_or_else(|| feed.number());
                let outcome = match feed.below(4) {
                    0 => Outcome::Reached(id),
                    1 => Outcome::Failed,
                    2 => Outcome::Unanswered,
                    _ => Outcome::Myself,
                };
                model.dials.remove(&number);
                model.mesh.handle_dial_ended(now, &mut random, number, outcome);
            }
            14 => model.now += feed.pause(),
            _ => model.now = model.mesh.poll_timeout().unwrap_or(now).max(now),
        }
        model.drain();
    }
    model.finish(&mut random);
}

fn addrs(feed: &mut Feed<'_>) -> Vec<SocketAddr> {
    feed.bytes(10).iter().map(|n| addr(usize::from(n % 16))).collect()
}

impl Model {
    fn offer(&mut self, feed: &mut Feed<'_>, id: NodeId, link: u64) {
        let (adopted, lives) = self.mesh.state_of(id);
        let seen = if feed.byte() < 192 { adopted } else { feed.number() };
        let offer = Offer { id, link, seen, live: feed.flag(), via: Via::Multicast };
        let peer = self.peers.get_mut(&id).expect("not this node");
        let decision = if self.mesh.is_arbiter(id) {
            self.mesh.handle_offer(self.now, &offer)
        } else {
            let number = if feed.byte() < 192 { adopted.saturating_add(1) } else { feed.number() };
            self.mesh.handle_adopted(self.now, &offer, number)
        };
        match decision {
            Decision::Adopt { number, replaces } => {
                assert!(!peer.left, "who left does not come back");
                assert!(number > adopted || number == u64::MAX, "{number} after {adopted}");
                assert_eq!(replaces, peer.link);
                assert!(!lives || !self.mesh.is_arbiter(id) || (seen == adopted && !offer.live), "a live link is replaced");
                *peer = Peer { link: Some(link), suspect: false, adopted: number, ..*peer };
                // As its shell does at once.
                self.mesh.handle_told(id, &[addr(usize::from(id.as_bytes()[0]))]);
                let host = HostMark::from_bytes([feed.byte() % 8; HostMark::LEN]);
                self.mesh.handle_host(id, host);
                assert_eq!(self.mesh.state_of(id), (number, true));
            }
            Decision::Refuse => {}
        }
    }

    fn close(&mut self, random: &mut fastrand::Rng, id: NodeId, link: u64, reason: DownReason) {
        self.mesh.handle_closed(self.now, random, id, link, reason);
        if let Some(peer) = self.peers.get_mut(&id).filter(|peer| peer.link == Some(link)) {
            (peer.link, peer.suspect) = (None, false);
            peer.left |= reason == DownReason::Left;
        }
    }

    fn drain(&mut self) {
        self.mesh.handle_timeout(self.now);
        assert!(self.mesh.poll_timeout().is_none_or(|due| due > self.now), "it would be asked for ever");
        while let Some(Dial { number, target, addrs, via, unix, .. }) = self.mesh.poll_transmit() {
            assert!(self.dials.insert(number, target).is_none(), "a number is used twice");
            assert!((1..=8).contains(&addrs.len()), "{addrs:?}");
            assert_eq!(addrs.iter().collect::<BTreeSet<_>>().len(), addrs.len(), "none twice");
            match target {
                Target::Node(id) => {
                    assert_ne!(id, node(OWN));
                    let peer = &self.peers[&id];
                    assert!((peer.link.is_none() || peer.suspect) && !peer.left, "{peer:?} is dialed");
                    assert!(unix.is_none_or(|unix| unix == id));
                }
                Target::Partner(_, to) => assert!(addrs == [to] && via == Via::Partner && unix.is_none()),
            }
        }
        assert!(self.dials.len() <= 32);
        while let Some(event) = self.mesh.poll_event() {
            match event {
                Event::Up(id) => assert!(!std::mem::replace(&mut self.peers.get_mut(&id).expect("a peer").up, true)),
                Event::Down(id, _) => {
                    assert!(std::mem::replace(&mut self.peers.get_mut(&id).expect("a peer").up, false));
                }
                Event::Forgotten(id) => {
                    let peer = self.peers.get_mut(&id).expect("a peer");
                    assert!(!peer.up && peer.link.is_none() && peer.adopted > 0, "{peer:?}");
                    peer.adopted = 0;
                }
                Event::Partner(partner, linked) => {
                    assert_eq!(self.partners.insert(partner, linked), Some(!linked), "no news");
                }
            }
        }
        let linked = self.peers.values().filter(|peer| peer.link.is_some()).count();
        assert_eq!((self.mesh.linked(), self.mesh.members().count()), (linked, linked));
        for peer in self.peers.values() {
            assert!(peer.up || peer.link.is_none(), "a peer with a link is up");
        }
    }

    fn finish(mut self, random: &mut fastrand::Rng) {
        let links: Vec<_> = self.peers.iter().filter_map(|(id, peer)| Some((*id, peer.link?))).collect();
        for (id, link) in links {
            self.close(random, id, link, DownReason::Closed);
        }
        self.drain();
        self.now += Duration::from_secs(10);
        for (number, _) in std::mem::take(&mut self.dials) {
            self.mesh.handle_dial_ended(self.now, random, number, Outcome::Failed);
        }
        self.drain();
        assert!(self.peers.values().all(|peer| !peer.up), "it is dead and told up");
        self.now += Duration::from_secs(3_600);
        self.drain();
        assert!(self.peers.keys().all(|id| self.mesh.via(*id).is_none()), "somebody is remembered for ever");
        assert!(self.partners.values().all(|linked| !linked) || !self.partners.is_empty());
    }
}
