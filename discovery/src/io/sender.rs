//! Heartbeat -> every socket.

use std::io;
use std::time::Instant;

use nix::errno::Errno;

use super::notices::Notices;
use super::socket::{GroupSocket, Sockets};
use crate::keys::HeartbeatKey;
use crate::node::Announcement;
use crate::proto::addresses::told;
use crate::proto::announcer::Pulse;
use crate::proto::beacon::{Beacon, Versions};
use crate::proto::seal::{NONCE_LEN, seal};
use crate::reach::Reach;
use crate::stats::Counters;

/// Which sockets send.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// All of them.
    All,
    /// Those whose address was not ready: the same heartbeat again.
    Unready,
}

/// What a heartbeat is made of.
pub(crate) struct Sender<'a> {
    pub(crate) key: &'a HeartbeatKey,
    pub(crate) who: &'a Announcement,
    pub(crate) reach: &'a Reach,
    pub(crate) counters: &'a Counters,
    pub(crate) notices: &'a mut Notices,
}

impl Sender<'_> {
    /// Sends one heartbeat: sealed anew for each socket, with the addresses that matter there. A socket that
    /// fails keeps none of the others from sending. Returns whether it left by any.
    pub(crate) fn send(&mut self, sockets: &mut Sockets, which: Which, pulse: Pulse, now: Instant) -> bool {
        let mut left = false;
        for socket in sockets.all.iter_mut().filter(|socket| !socket.mute) {
            if which == Which::All || socket.unready {
                left |= self.send_one(socket, pulse, now);
            }
        }
        left
    }

    fn send_one(&mut self, socket: &mut GroupSocket, pulse: Pulse, now: Instant) -> bool {
        socket.unready = false;
        let Some(beacon) = self.beacon(pulse, socket.index()) else {
            return false;
        };
        let sent = self.send_by(socket, &beacon);
        match &sent {
            Ok(()) => self.counters.sent.add(),
            Err(error) => self.failed(socket, error, now),
        }
        sent.is_ok()
    }

    fn beacon(&self, pulse: Pulse, index: u32) -> Option<Beacon> {
        let addrs = told(self.reach.interface(index)?, self.reach, self.who.listen);
        if addrs.is_empty() {
            return None;
        }
        Some(Beacon {
            id: self.who.id,
            sequence: pulse.sequence,
            versions: Versions::OURS,
            port: self.who.listen.port().try_into().ok()?,
            addrs,
            name: self.who.name.clone(),
            leaving: pulse.leaving,
            host: self.who.host,
        })
    }

    fn send_by(&self, socket: &GroupSocket, beacon: &Beacon) -> io::Result<()> {
        let mut nonce = [0; NONCE_LEN];
        // From the system each time: a generator in this process would repeat itself in a copied machine.
        getrandom::fill(&mut nonce).map_err(|error| io::Error::other(error.to_string()))?;
        socket.send(&seal(self.key, socket.group, nonce, beacon))
    }

    fn failed(&mut self, socket: &mut GroupSocket, error: &io::Error, now: Instant) {
        self.counters.send_errors.add();
        let name = &socket.name;
        let group = socket.group;
        let errno = error.raw_os_error().map(Errno::from_raw);
        if socket.loopback && group.is_ipv6() {
            tracing::debug!(name: "talkie.heartbeat.unsent", "no IPv6 heartbeats on {name}: {error}");
            socket.mute = true;
        } else if errno == Some(Errno::EADDRNOTAVAIL) {
            tracing::debug!(name: "talkie.heartbeat.unsent", "cannot send heartbeats to {group} on {name} yet: {error}");
            socket.unready = true;
        } else if self.notices.is_due(&format!("send {} {name}", group.is_ipv6()), now) {
            tracing::warn!(name: "talkie.heartbeat.unsent", "cannot send heartbeats to {group} on {name}: {error}{}", meaning(errno));
        } else {
            tracing::debug!(name: "talkie.heartbeat.unsent", "cannot send heartbeats to {group} on {name}: {error}");
        }
    }
}

fn meaning(errno: Option<Errno>) -> &'static str {
    match errno {
        Some(Errno::EPERM | Errno::EACCES) => ": a firewall of this host forbids it",
        Some(Errno::ENOBUFS | Errno::EAGAIN) => ": the interface's queue is full",
        Some(Errno::ENETUNREACH | Errno::EHOSTUNREACH) => ": there is no route for it",
        Some(Errno::ENETDOWN | Errno::ENODEV | Errno::ENXIO) => ": the interface is going away",
        _ => "",
    }
}
