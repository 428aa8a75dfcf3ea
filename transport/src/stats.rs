//! Counters of what happened to links, messages and memory. Each only grows, but for those called gauges.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Serialize, Serializer};
use talkie_discovery::{NodeId, NodeName};

use crate::events::DownReason;
use crate::io::link::SetupError;
use crate::io::reader::End;
use crate::proto::bulk::PieceError;
use crate::proto::handshake::HandshakeError;
use crate::proto::record::{Farewell, RecordError};

/// What a node's links and heartbeats did since its start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Heartbeats: sent, heard, refused.
    pub discovery: talkie_discovery::Stats,
    /// Connections, links and peers.
    pub links: LinkStats,
    /// What all peers, also such that are gone, were sent and sent, and what of it was lost.
    pub traffic: Traffic,
    /// Memory of large messages that are being put together, bytes; 256 MiB at most, or twice the largest. A gauge.
    pub assembling_bytes: u64,
    /// Large messages that wait for such memory, and their senders with them. A gauge.
    pub assembling_waits: u64,
    /// What memory is held to.
    pub limits: Limits,
    /// Every node that is up or owed something, in the order of ids; at most 1,024 linked and 4,096 lost ones.
    pub peers: Vec<PeerStats>,
}

/// Most memory of what waits, bytes. They follow from the largest message, and stay as they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Limits {
    /// For one peer that is up: to be sent or confirmed.
    pub peer_bytes: u64,
    /// For all peers that are away.
    pub away_bytes: u64,
    /// Of large messages that are being put together.
    pub assembling_bytes: u64,
}

/// One node that is up, or away and owed something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PeerStats {
    /// Its id.
    #[serde(serialize_with = "as_text")]
    pub id: NodeId,
    /// Its human name.
    pub name: NodeName,
    /// Whether it counts as being there.
    pub up: bool,
    /// Whether there is a link to it now.
    pub linked: bool,
    /// Smoothed round-trip time of pings, microseconds; none before the first pong.
    pub rtt_us: Option<u64>,
    /// Memory of what waits to be sent or confirmed, bytes, with 128 for each record. A gauge.
    pub queued_bytes: u64,
    /// Messages and gaps that it has not confirmed. A gauge.
    pub unacknowledged: u64,
    /// What it was sent and sent.
    pub traffic: Traffic,
}

macro_rules! traffic {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Messages and bytes from and to one peer, or all.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
        #[non_exhaustive]
        pub struct Traffic { $($(#[$doc])* pub $name: u64,)* }

        impl std::ops::AddAssign for Traffic {
            fn add_assign(&mut self, more: Self) {
                $(self.$name = self.$name.saturating_add(more.$name);)*
            }
        }
    };
}

traffic! {
    /// Messages queued for a peer, or kept for its return; one for each peer that wants it.
    sent_messages,
    /// Their bytes: topic, payload and a few bytes of header. Each is counted once, however often it crosses a link.
    sent_bytes,
    /// Messages received, each once.
    received_messages,
    /// Their bytes.
    received_bytes,
    /// Bytes written to links: sealed records of all kinds, also what is sent again. Handshakes are not counted.
    wire_sent_bytes,
    /// Bytes read from links.
    wire_received_bytes,
    /// Messages counted into a gap, since what waited for a peer that is up was at its limit.
    lost_full,
    /// Messages counted into a gap, since they are over the limit of the peer's `--max-message`.
    lost_too_large,
    /// Messages counted into a gap, since what is kept for a peer that is away was at its share.
    lost_absent,
    /// Messages that a peer may have had or not, since it no longer knew: told as a gap with a lower bound.
    lost_uncertain,
    /// Messages and gaps that were not confirmed when their peer left for good, or had been away for ten minutes.
    lost_forgotten,
}

impl Traffic {
    /// Counts a push: that it was queued, or why it was not.
    pub(crate) fn pushed(&mut self, queued: bool, fits: bool, up: bool, bytes: usize) {
        if queued {
            self.sent_messages += 1;
            self.sent_bytes += bytes as u64;
            return;
        }
        let lost = match (fits, up) {
            (false, _) => &mut self.lost_too_large,
            (true, true) => &mut self.lost_full,
            (true, false) => &mut self.lost_absent,
        };
        *lost += 1;
    }

    /// Puts in what came from the peer.
    pub(crate) fn with(&mut self, received: &Received) {
        self.received_messages = received.messages.get();
        self.received_bytes = received.bytes.get();
        self.wire_received_bytes = received.wire_bytes.get();
    }
}

/// What came in from a peer: counted by the reader of the link in use, which takes no lock of the way out.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pub(crate) messages: Counter,
    pub(crate) bytes: Counter,
    pub(crate) wire_bytes: Counter,
}

/// One counter. Relaxed: a snapshot says nothing of the order of things.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! links {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What became of connections, links and peers.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
        #[non_exhaustive]
        pub struct LinkStats {
            /// Peers with a link. A gauge.
            pub linked: u64,
            /// Peers that are up: linked, or lost only a moment ago. A gauge.
            pub up: u64,
            /// Connections of both directions on their way to a link: in the handshake, or waiting for the word of the
            /// side that decides. A gauge.
            pub setting_up: u64,
            /// Secrets that are accepted: 1, or more while the mesh changes from one to another. A gauge.
            pub secrets: u64,
            /// Peers that are up and send under another secret than this node. A gauge.
            pub other_secret: u64,
            $($(#[$doc])* pub $name: u64,)*
        }

        /// The counters behind [`LinkStats`].
        #[derive(Debug, Default)]
        pub(crate) struct Counters { $(pub(crate) $name: Counter,)* }

        impl Counters {
            /// The counters; the gauges are the caller's.
            pub(crate) fn snapshot(&self) -> LinkStats {
                LinkStats { $($name: self.$name.get(),)* ..LinkStats::default() }
            }
        }
    };
}

links! {
    /// Links taken up.
    made,
    /// Links that took the place of another to the same peer.
    replaced,
    /// Authenticated links that were not taken up: another is in use, or there are 1,024 peers.
    redundant,
    /// Links that ended with the peer's goodbye.
    ended_left,
    /// Links that ended without a goodbye: closed, reset.
    ended_closed,
    /// Links on which nothing was heard for three seconds.
    ended_timeout,
    /// Links ended because what came in did not authenticate: somebody changed, dropped or repeated bytes on the way.
    ended_forged,
    /// Links ended because the peer sent more than this node takes.
    ended_too_large,
    /// Links ended because a large message stood still while others waited for room.
    ended_stalled,
    /// Links ended because what came in was malformed or out of order.
    ended_invalid,
    /// Links that the peer ended because it refused what this node sent.
    ended_refused,
    /// Links ended, by either side, because their secret is not accepted any more.
    ended_secret,
    /// Links that were suspected, whatever came of it: silent for 1.5 s, or this host lost the address that they use.
    suspected,
    /// Peers told up.
    told_up,
    /// Peers told down: they said goodbye.
    told_left,
    /// Peers told down: the link closed and could not be made again at once.
    told_closed,
    /// Peers told down: nothing was heard of them for three seconds.
    told_timeout,
    /// Peers told down: the two share no secret any more.
    told_secret,
    /// Changes of the secrets that this node accepts.
    rekeyed,
    /// Links begun to be made anew because their secret is not the one to send under any more.
    remade,
    /// Nodes that members told of, each time that one did.
    told_of,
    /// Dials begun; each may try several addresses of a node.
    dials,
    /// Dials that led to no member of the mesh.
    dials_failed,
    /// Dials that found another link to the same node in use.
    dials_redundant,
    /// Connections accepted, before they have proven anything.
    accepted,
    /// Connections that were closed at once: too many of strangers, or too often.
    turned_away,
    /// Times that no connection could be accepted, most often for want of file descriptors.
    accept_errors,
    /// Connections, of both directions, that were authenticated and ready to be taken up.
    handshakes,
    /// Handshakes that failed: the other side holds another secret, or somebody changed bytes on the way.
    refused_secret,
    /// Handshakes that failed: the other side does not speak this protocol.
    refused_foreign,
    /// Handshakes that failed: no common version of the protocol.
    refused_version,
    /// Handshakes that failed: authenticated, but malformed.
    refused_malformed,
    /// Handshakes that took longer than 2 s.
    refused_timeout,
    /// Connections that could not be made, or broke during the handshake.
    refused_broken,
}

impl Counters {
    /// A connection did not become a link. What is no failure (it led to this node itself, or to a node that is linked
    /// already) is not counted here.
    pub(crate) fn refused(&self, why: &SetupError) {
        let counter = match why {
            SetupError::Redundant(_)
            | SetupError::Refused
            | SetupError::Handshake(HandshakeError::Myself) => {
                return;
            }
            SetupError::Closed | SetupError::Handshake(HandshakeError::Unauthenticated) => {
                &self.refused_secret
            }
            SetupError::Handshake(HandshakeError::NotTalkie) => &self.refused_foreign,
            SetupError::Handshake(HandshakeError::Version { .. }) => &self.refused_version,
            SetupError::Handshake(_) | SetupError::Record(_) | SetupError::Hello => &self.refused_malformed,
            SetupError::Timeout => &self.refused_timeout,
            SetupError::Io(_) => &self.refused_broken,
        };
        counter.add(1);
    }

    /// A link ended by itself. One that was replaced is counted when that happens.
    pub(crate) fn ended(&self, end: &End) {
        match end {
            End::Bye(Farewell::Leaving) => &self.ended_left,
            End::Bye(Farewell::Refused) => &self.ended_refused,
            End::Bye(Farewell::Secret) => &self.ended_secret,
            End::Bye(Farewell::Redundant) | End::Replaced => return,
            End::Eof | End::Io(_) => &self.ended_closed,
            End::Protocol(RecordError::Forged | RecordError::TooShort(_)) => &self.ended_forged,
            End::Protocol(RecordError::TooLarge { .. } | RecordError::Piece(PieceError::TooLarge { .. })) => {
                &self.ended_too_large
            }
            End::Protocol(RecordError::Piece(PieceError::Stalled)) => &self.ended_stalled,
            End::Protocol(_) => &self.ended_invalid,
        }
        .add(1);
    }

    pub(crate) fn told_down(&self, reason: DownReason) {
        match reason {
            DownReason::Left => &self.told_left,
            DownReason::Closed => &self.told_closed,
            DownReason::Timeout => &self.told_timeout,
            DownReason::Secret => &self.told_secret,
        }
        .add(1);
    }
}

fn as_text<S: Serializer>(what: &impl std::fmt::Display, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(what)
}
