//! One multicast socket for each interface and family.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::time::Instant;

use nix::errno::Errno;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockRef, Socket, Type};
use tokio::net::UdpSocket;

use super::notices::Notices;
use crate::config::Groups;
use crate::proto::removed::Removed;
use crate::proto::roster::Way;
use crate::proto::silence::Ear;
use crate::reach::{Interface, Reach};
use crate::stats::Counters;

/// Heartbeats stay on the link: the lowest time to live of IPv4, and hop limit of IPv6.
const HOPS: u32 = 1;

/// What the kernel may hold for each socket while the loop is busy: about 400 heartbeats as it accounts them (768
/// bytes each and more), the start of a mesh of 100 nodes.
const RECEIVE_BUFFER: usize = 512 * 1024;

/// A socket that sends to and hears the group on one interface.
#[derive(Debug)]
pub(crate) struct GroupSocket {
    place: Place,
    /// The interface's name, for people.
    pub(crate) name: String,
    /// Whether the interface is loopback.
    pub(crate) loopback: bool,
    /// The group, for IPv6 with the interface as scope.
    pub(crate) group: SocketAddr,
    /// The socket.
    pub(crate) udp: UdpSocket,
    /// Whether sending is pointless here: loopback has no route for IPv6 multicast.
    pub(crate) mute: bool,
    /// Whether the last heartbeat could not leave yet: an IPv6 address that was just given is not available until
    /// the system has found it unique, which takes a second or two.
    pub(crate) unready: bool,
    /// Whether this node's own heartbeats, and those of others, were heard by it.
    pub(crate) heard_own: bool,
    pub(crate) heard_others: bool,
}

/// What makes a socket the right one: if any of it changes, another one is opened.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
struct Place {
    index: u32,
    /// What IPv4 leaves from; `None` for IPv6.
    from: Option<Ipv4Addr>,
}

impl GroupSocket {
    /// The index of its interface.
    pub(crate) fn index(&self) -> u32 {
        self.place.index
    }

    /// A number for this interface and family.
    pub(crate) fn way(&self) -> Way {
        Way(u64::from(self.place.index) << 1 | u64::from(self.place.from.is_none()))
    }

    /// What it has heard so far.
    pub(crate) fn ear(&self) -> Ear<'_> {
        let Self { name, loopback, heard_own: own, heard_others: others, .. } = self;
        Ear { interface: name, loopback: *loopback, own: *own, others: *others }
    }

    /// Sends now or not at all: a full queue is an error like any other. (Tokio's own send would first wait to
    /// learn that a new socket is writable.)
    pub(crate) fn send(&self, datagram: &[u8]) -> io::Result<()> {
        SockRef::from(&self.udp).send_to(datagram, &self.group.into()).map(drop)
    }

    /// Joins the group again. Membership can be lost silently; while it is there, the system says so.
    fn rejoin(&self) -> io::Result<()> {
        match join(&SockRef::from(&self.udp), self.group, self.place.index) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(()),
            other => other,
        }
    }

    /// Leaves the group of an interface that was removed, before another one with its index is joined: to close the
    /// socket would leave the group there, and not even at once while a child process is being started.
    fn leave(&self) {
        let (socket, index) = (SockRef::from(&self.udp), self.place.index);
        // The interface may have no successor.
        let _ = match self.group {
            SocketAddr::V4(v4) => {
                socket.leave_multicast_v4_n(v4.ip(), &InterfaceIndexOrAddress::Index(index))
            }
            SocketAddr::V6(v6) => socket.leave_multicast_v6(v6.ip(), index),
        };
    }
}

/// All sockets of a node.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    /// Loopback first, then by interface, IPv4 first.
    pub(crate) all: Vec<GroupSocket>,
    /// Whether one that should be there could not be opened.
    pub(crate) lacking: bool,
}

impl Sockets {
    /// Opens what is missing for `reach`, or was `removed` and is there again, and closes what it no longer has.
    /// Returns whether anything changed. What can not be opened is tried again with the next call.
    pub(crate) fn sync(
        &mut self,
        reach: &Reach,
        groups: Groups,
        removed: &Removed,
        counters: &Counters,
        notices: &mut Notices,
        now: Instant,
    ) -> bool {
        let mut had = std::mem::take(&mut self.all);
        let before = had.len();
        had.retain(|socket| {
            let holds = !removed.has(socket.place.index);
            if !holds {
                socket.leave();
            }
            holds
        });
        let (mut changed, mut failed) = (had.len() < before, None);
        let interfaces = reach.interfaces.iter().filter(|interface| interface.multicast);
        for (interface, place, group) in interfaces.flat_map(|interface| places(interface, groups)) {
            if let Some(at) = had.iter().position(|socket| socket.place == place) {
                let mut socket = had.swap_remove(at);
                socket.name.clone_from(&interface.name);
                self.all.push(socket);
                continue;
            }
            match open(interface, place, group) {
                Ok(socket) => {
                    tracing::debug!(name: "talkie.socket.opened", "heartbeats of {group} on {}", interface.name);
                    changed = true;
                    self.all.push(socket);
                }
                Err(error) => {
                    counters.socket_errors.add();
                    refused(interface, group, &error, notices, now);
                    failed = Some(error);
                }
            }
        }
        let lacking = failed.is_some();
        if let Some(error) = failed.filter(|_| self.all.iter().all(|socket| socket.loopback)) {
            nowhere(reach, &error, notices, now);
        }
        self.lacking = lacking;
        changed || !had.is_empty()
    }

    /// Makes sure of the membership of every socket; closes those that have lost it for good, and returns whether
    /// there were such.
    pub(crate) fn rejoin(&mut self) -> bool {
        let had = self.all.len();
        self.all.retain(|socket| {
            let joined = socket.rejoin();
            if let Err(error) = &joined {
                tracing::debug!(name: "talkie.socket.failed", "cannot join {} on {} again: {error}", socket.group, socket.name);
            }
            joined.is_ok()
        });
        self.all.len() < had
    }

    /// Closes a socket that failed; the next [`Self::sync`] opens another one.
    pub(crate) fn close(&mut self, at: usize) {
        if at < self.all.len() {
            let socket = self.all.remove(at);
            tracing::debug!(name: "talkie.socket.closed", "heartbeats of {} on {}: socket closed", socket.group, socket.name);
        }
    }
}

fn places(interface: &Interface, groups: Groups) -> impl Iterator<Item = (&Interface, Place, SocketAddr)> {
    let index = interface.index;
    let v4 = groups.v4.zip(interface.v4());
    let v4 = v4.map(|(group, from)| (interface, Place { index, from: Some(from) }, SocketAddr::V4(group)));
    let v6 = groups.v6.filter(|_| interface.has_v6());
    let v6 = v6.map(|group| {
        let scoped = SocketAddrV6::new(*group.ip(), group.port(), 0, index);
        (interface, Place { index, from: None }, SocketAddr::V6(scoped))
    });
    v4.into_iter().chain(v6)
}

/// Every option in one place. The socket is bound to the group itself, so that unicast to the port is not ours,
/// and hears the group on its own interface only.
fn open(interface: &Interface, place: Place, group: SocketAddr) -> io::Result<GroupSocket> {
    let socket = Socket::new(Domain::for_address(group), Type::DGRAM, Some(Protocol::UDP))?;
    // Not SO_REUSEPORT: it would keep out the nodes of other users.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // The system may allow less than is asked for.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    match group {
        SocketAddr::V4(_) => {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            socket.set_multicast_all_v4(false)?;
            // By address: with an index alone the source on loopback would be another interface's.
            socket.set_multicast_if_v4(&place.from.unwrap_or(Ipv4Addr::UNSPECIFIED))?;
            socket.set_multicast_ttl_v4(HOPS)?;
            socket.set_multicast_loop_v4(true)?;
        }
        SocketAddr::V6(_) => {
            socket.set_only_v6(true)?;
            // Linux knows it since 4.20; without it the address check of what is heard still holds.
            #[cfg(any(target_os = "linux", target_os = "android"))]
            let _ = socket.set_multicast_all_v6(false);
            socket.set_multicast_if_v6(place.index)?;
            socket.set_multicast_hops_v6(HOPS)?;
            socket.set_multicast_loop_v6(true)?;
        }
    }
    socket.bind(&group.into())?;
    join(&SockRef::from(&socket), group, place.index)?;
    let udp = UdpSocket::from_std(socket.into())?;
    let (name, loopback) = (interface.name.clone(), interface.loopback);
    Ok(GroupSocket {
        place,
        name,
        loopback,
        group,
        udp,
        mute: false,
        unready: false,
        heard_own: false,
        heard_others: false,
    })
}

fn join(socket: &Socket, group: SocketAddr, index: u32) -> io::Result<()> {
    match group {
        SocketAddr::V4(v4) => socket.join_multicast_v4_n(v4.ip(), &InterfaceIndexOrAddress::Index(index)),
        SocketAddr::V6(v6) => socket.join_multicast_v6(v6.ip(), index),
    }
}

/// Where not even one interface beyond loopback could be joined, though there are some, that is worth a word more.
fn nowhere(reach: &Reach, error: &io::Error, notices: &mut Notices, now: Instant) {
    let beyond = reach.interfaces.iter().any(|interface| !interface.loopback && interface.multicast);
    if beyond && notices.is_due("nowhere", now) {
        tracing::warn!(
            name: "talkie.socket.nowhere",
            "multicast can be joined on no interface ({error}): other hosts are found by partners only; trying again"
        );
    }
}

fn refused(interface: &Interface, group: SocketAddr, error: &io::Error, notices: &mut Notices, now: Instant) {
    let name = &interface.name;
    let group = match group {
        SocketAddr::V6(v6) => SocketAddrV6::new(*v6.ip(), v6.port(), 0, 0).into(),
        SocketAddr::V4(v4) => SocketAddr::V4(SocketAddrV4::new(*v4.ip(), v4.port())),
    };
    // Loopback often has no IPv6 multicast at all, and an interface may vanish between look and open.
    let common = (interface.loopback && group.is_ipv6())
        || matches!(error.raw_os_error().map(Errno::from_raw), Some(Errno::ENODEV | Errno::ENXIO));
    if !common && notices.is_due(&format!("open {group} {name}"), now) {
        let meaning = match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EADDRINUSE) => ": another program holds this port for itself alone",
            Some(Errno::EPERM | Errno::EACCES) => ": this program is not permitted to",
            Some(Errno::ENOBUFS) => {
                ": this host lets no more groups be joined (net.ipv4.igmp_max_memberships)"
            }
            _ => "",
        };
        tracing::warn!(name: "talkie.socket.failed", "no heartbeats of {group} on {name}: {error}{meaning}");
    } else {
        tracing::debug!(name: "talkie.socket.failed", "no heartbeats of {group} on {name}: {error}");
    }
}
