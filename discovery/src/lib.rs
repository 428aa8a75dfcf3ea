//! Who is there? Secrets and keys, sealed heartbeats over UDP multicast, fixed partners, and the interfaces by
//! which others are reached.
//!
//! A heartbeat goes `proto/announcer` (it is time) → `proto/seal` → `io/sender` ‖ `io/receiver` → `proto/open`
//! (cheap refusals, then the cipher) → `proto/roster` (fresh?) → [`Event::Seen`]. It never proves that a node
//! lives, and is never answered: it tells whom to dial.
//!
//! | room | question |
//! |---|---|
//! | [`Discovery`], [`Events`] | the handle: start, events, stop |
//! | [`Config`], [`Partner`], [`Groups`], [`InterfaceSpec`] | what a user may choose |
//! | [`Secret`], [`MeshKeys`] | what a mesh shares, and all keys made of it |
//! | [`Secrets`], [`Keyring`] | the same while it changes from one to another |
//! | [`NodeId`], [`NodeName`] | who a node is |
//! | [`HostMark`] | which host it is on |
//! | [`Reach`], [`Interface`] | what this host can reach |
//! | [`proto`] | the machines: no socket, clock, task or global randomness |
//! | `io` | the shells around them |

mod config;
mod discovery;
mod error;
mod event;
mod host;
#[allow(clippy::disallowed_methods)]
mod io;
mod keyring;
mod keys;
mod node;
pub mod proto;
mod reach;
mod secret;
mod secrets;
mod stats;

pub use config::{Config, DEFAULT_PORT, Groups, Host, HostName, InterfaceSpec, Partner, Scope, Via};
pub use discovery::{Discovery, Events};
pub use error::{
    GroupError, InterfaceError, InterfaceSpecError, NodeIdError, NodeNameError, PartnerError, SecretError,
    SecretFileError, StartError, TooManySecrets,
};
pub use event::Event;
pub use host::HostMark;
pub use keyring::Keyring;
pub use keys::{CheckWord, HeartbeatKey, LinkPsk, MeshKeys, SecretMark};
pub use node::{Announcement, NodeId, NodeName};
pub use reach::{Interface, Reach};
pub use secret::Secret;
pub use secrets::Secrets;
pub use stats::{Stats, StatsReader};
