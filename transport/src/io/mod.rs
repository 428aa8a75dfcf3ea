//! Shells: sockets, tasks and the clock. They decide nothing that a test would want to check.

pub(crate) mod budget;
pub(crate) mod bulk;
pub(crate) mod complaints;
pub(crate) mod dialer;
pub(crate) mod driver;
pub(crate) mod input;
pub(crate) mod link;
pub(crate) mod listener;
pub(crate) mod pump;
pub(crate) mod reader;
pub(crate) mod registry;
pub(crate) mod session;
pub(crate) mod start;
pub(crate) mod stop;
pub(crate) mod stream;
pub(crate) mod unix;
pub(crate) mod writer;
