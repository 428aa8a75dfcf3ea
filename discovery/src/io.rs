//! The shells: they own sockets, tasks and the clock, and decide nothing that a test would want to check.

pub(crate) mod driver;
pub(crate) mod host;
mod interfaces;
mod kernel;
mod notices;
mod partners;
mod receiver;
mod sender;
mod socket;
