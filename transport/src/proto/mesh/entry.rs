//! What is known of one other node.

use std::net::SocketAddr;
use std::time::Instant;

use talkie_discovery::proto::bucket::Bucket;
use talkie_discovery::{HostMark, SecretMark, Via};

use super::dials::{MAX_ADDRS, Pace};
use super::offer::LinkNumber;
use super::{CANDIDATE_FOR, OWED_FOR};

#[derive(Debug)]
pub(super) struct Entry {
    /// Where it may be dialed, as far as its heartbeats, its hello and other members tell.
    pub(super) addrs: Vec<SocketAddr>,
    /// Where the link in use, or the last one, led to; and what the peer's hello told beside it.
    pub(super) told: Vec<SocketAddr>,
    /// The host that it is on, if it takes links by a Unix socket there.
    pub(super) host: Option<HostMark>,
    pub(super) via: Via,
    pub(super) heard: Instant,
    pub(super) link: Option<LinkNumber>,
    /// Nothing is heard on the link: another way is looked for, while there is hope for this one.
    pub(super) suspect: bool,
    /// The link is to be made anew for the sake of its secret, and works.
    pub(super) stale: bool,
    /// The secret that the node most likely accepts.
    pub(super) secret: Option<SecretMark>,
    /// When that link, or the last one, was taken up.
    pub(super) linked: Instant,
    /// Number of the newest link taken up; 0 before the first.
    pub(super) adopted: u64,
    pub(super) told_up: bool,
    pub(super) lost: Option<Instant>,
    pub(super) grace: Option<Instant>,
    pub(super) pace: Pace,
    /// How many unknown nodes it may still tell of.
    pub(super) tellings: Bucket,
}

impl Entry {
    pub(super) fn new(now: Instant, via: Via) -> Self {
        Self {
            addrs: Vec::new(),
            told: Vec::new(),
            host: None,
            via,
            heard: now,
            link: None,
            suspect: false,
            stale: false,
            secret: None,
            linked: now,
            adopted: 0,
            told_up: false,
            lost: None,
            grace: None,
            pace: Pace::default(),
            tellings: Bucket::default(),
        }
    }

    /// Whether a link is to be made.
    pub(super) const fn wants_link(&self) -> bool {
        self.link.is_none() || self.suspect || self.stale
    }

    /// When nothing is to be kept of it any more; none while it is linked.
    pub(super) fn ends(&self) -> Option<Instant> {
        let unlinked = self.link.is_none();
        unlinked.then(|| self.lost.map_or(self.heard + CANDIDATE_FOR, |lost| lost + OWED_FOR))
    }

    /// Where to dial it, the likeliest first. The way of a link that fell silent comes last: another LAN may be whole.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        let mut addrs: Vec<SocketAddr> = Vec::new();
        for addr in self.told.iter().chain(&self.addrs) {
            if !addrs.contains(addr) {
                addrs.push(*addr);
            }
        }
        if let Some(silent) = self.told.first().filter(|_| self.suspect) {
            addrs.retain(|addr| addr != silent);
            addrs.push(*silent);
        }
        addrs.truncate(MAX_ADDRS);
        addrs
    }

    /// One more address, where there is room.
    pub(super) fn add(&mut self, addr: SocketAddr) {
        if self.addrs.len() < MAX_ADDRS && !self.addrs.contains(&addr) {
            self.addrs.push(addr);
        }
    }
}
