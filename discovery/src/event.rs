//! What discovery tells.

use std::net::SocketAddr;

use crate::host::HostMark;
use crate::keys::SecretMark;
use crate::node::{NodeId, NodeName};

/// What discovery found. All of it is a hint of whom to dial: only a link makes a member.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A fresh heartbeat of another node, or a copy of it by which more of its addresses are known.
    Seen {
        /// Who it is.
        id: NodeId,
        /// What it is called.
        name: NodeName,
        /// Where it listens: 1 to 8 addresses that came sealed in its heartbeats and are on-link here, those
        /// of the interface that it was heard on last first. Link-local IPv6 has the scope of its interface. An
        /// address that is no longer told is forgotten within 10 s (in a mesh of over 167 nodes, three paces).
        addrs: Vec<SocketAddr>,
        /// Its host, where it also takes links by an abstract Unix socket.
        host: Option<HostMark>,
        /// Whether it has probably heard this node too: this node has sent a heartbeat since it first heard that
        /// node, or within 20 ms before.
        mutual: bool,
        /// The secret that its last heartbeat was sealed under, which it thus accepts.
        secret: SecretMark,
    },
    /// Another node said goodbye.
    Left {
        /// Which one.
        id: NodeId,
    },
    /// A partner's addresses as they are now. Told again with back-off until it is said to be linked.
    Partner {
        /// Its place in [`Config::partners`](crate::Config::partners).
        partner: usize,
        /// One or more addresses, without repetition, in the resolver's order.
        addrs: Vec<SocketAddr>,
    },
}
