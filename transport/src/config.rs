//! What a node's transport is started with.

use std::net::SocketAddr;

use talkie_discovery::NodeName;

/// Default of [`Config::max_message`]: 1 MiB.
pub const DEFAULT_MAX_MESSAGE: usize = 1024 * 1024;
/// Most that [`Config::max_message`] may be: 64 MiB.
pub const MAX_MAX_MESSAGE: usize = 64 * 1024 * 1024;
/// The port that a node listens on where it is free, and that a partner is dialed on where none is named.
pub const DEFAULT_PORT: u16 = 8255;

/// Where to listen for links.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenAt {
    /// Every address of both families, one port: [`DEFAULT_PORT`] if free, else one that the system picks.
    #[default]
    Default,
    /// This address and port; `[::]` takes both families, `0.0.0.0` IPv4 only, port 0 one that the system picks.
    At(SocketAddr),
}

/// Settings of a node's links; those of its heartbeats are inside.
#[derive(Debug, Clone)]
pub struct Config {
    /// The human name that peers see.
    pub name: NodeName,
    /// Where to listen.
    pub listen: ListenAt,
    /// Heartbeats, interfaces and partners.
    pub discovery: talkie_discovery::Config,
    /// Largest message, bytes; at most [`MAX_MAX_MESSAGE`], larger values are taken as that.
    pub max_message: usize,
    /// Whether nodes of one host may link by a Unix socket. Without it, and where the system has none without a file,
    /// they link by TCP.
    pub unix: bool,
}

impl Config {
    /// The defaults under this name.
    pub fn new(name: NodeName) -> Self {
        Self {
            name,
            listen: ListenAt::Default,
            discovery: talkie_discovery::Config::default(),
            max_message: DEFAULT_MAX_MESSAGE,
            unix: true,
        }
    }
}
