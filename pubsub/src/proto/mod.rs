//! Who wants what, decided without socket, clock or task.
//!
//! Public so that simulations can drive the machines; not part of what is kept stable for services.

pub mod backlog;
pub mod envelope;
pub mod exchange;
pub mod fingerprint;
pub mod group;
pub mod headers;
pub mod history;
pub mod index;
pub mod interest;
pub mod ledger;
pub mod pattern_map;
pub mod pending;
pub mod presence;
pub mod replica;
pub mod tracker;
pub mod value;
pub(crate) mod watch;
#[cfg(feature = "testing")]
pub mod wire;
