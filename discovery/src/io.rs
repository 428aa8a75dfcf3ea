//! The shells: they own sockets, tasks and the clock, and decide nothing that a test would want to check.

pub(crate) mod driver;
pub(crate) mod interfaces;
