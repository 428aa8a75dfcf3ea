//! Talkie's links: how do my bytes reach the others, safely and in order?
//!
//! One authenticated, encrypted link per pair of nodes, over TCP or, on one host, over a Unix socket, made by whichever side hears first; numbered records
//! that outlive a link, each delivered at most once and in order; what does not fit is counted and told as a gap.
//!
//! ```text
//! handle   transport · peer (the border to pubsub) · directory · events · body · interest · stats · config · error
//! io/      start · stop · driver (input) · listener · dialer · link · reader · pump → session → writer · registry · stream · unix
//! proto/   mesh · rotation · strangers · handshake · outbox → seal ‖ open → inbox · bulk · liveness · record (noun)
//! ```

mod body;
mod config;
mod directory;
mod error;
mod events;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod interest;
#[allow(clippy::disallowed_methods, reason = "clocks, timers and tasks live here")]
mod io;
mod peer;
#[allow(clippy::exhaustive_enums, reason = "shells and simulators must handle every case of a machine")]
pub mod proto;
mod stats;
#[cfg(feature = "testing")]
pub mod testing;
mod transport;

pub use body::{Body, Parcel};
pub use config::{Config, DEFAULT_MAX_MESSAGE, DEFAULT_PORT, ListenAt, MAX_MAX_MESSAGE};
pub use directory::PeerEvents;
pub use error::{InDoubt, StartError};
pub use events::{DownReason, LinkKind, Peer, PeerEvent, PeerSecrets};
pub use interest::{Interest, Interests};
pub use peer::{Arrival, Deliver, Hand, Inbound, PeerSender, Pressed, Pushed, Room};
pub use proto::outbox::SMALL;
pub use proto::record::LARGE;
pub use stats::{Limits, LinkStats, PeerStats, Stats, Traffic};
pub use transport::Transport;
