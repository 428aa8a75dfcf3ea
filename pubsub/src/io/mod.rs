//! Locks, wakers and the clock around the machines.

pub(crate) mod asker;
pub(crate) mod clock;
pub(crate) mod counters;
pub(crate) mod desk;
pub(crate) mod dispatch;
pub(crate) mod endpoint;
pub(crate) mod exchange;
pub(crate) mod fanout;
pub(crate) mod groups;
pub(crate) mod handlers;
mod kept;
pub(crate) mod keys;
pub(crate) mod latency;
pub(crate) mod net;
mod order;
pub(crate) mod outlet;
pub(crate) mod presences;
pub(crate) mod queue;
#[cfg(feature = "metrics")]
pub(crate) mod recorder;
pub(crate) mod registry;
pub(crate) mod secret_file;
#[cfg(feature = "testing")]
pub(crate) mod simulated;
