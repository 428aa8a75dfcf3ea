//! [`Config`]: what a node is told before it joins.

use std::ffi::OsStr;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use talkie_discovery::{Groups, InterfaceSpec, NodeName, Partner, SecretFileError, Secrets};
use talkie_transport::{DEFAULT_MAX_MESSAGE, ListenAt, MAX_MAX_MESSAGE};
use tracing::Instrument as _;

use crate::bus::Bus;
use crate::error::JoinError;
use crate::io::secret_file::SecretFile;
use crate::node::Node;
use crate::settings::{self, ConfigError};
use crate::topic::BusName;

/// How a node joins: its secret, and what may differ from the defaults.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use talkie_pubsub::Config;
/// // TALKIE_SECRET, and whatever else of TALKIE_* is set.
/// let bus = Config::from_env()?.join().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use = "a Config does nothing until it joins"]
pub struct Config {
    pub(crate) secrets: Secrets,
    /// Where they were read, and are read again.
    pub(crate) secret_file: Option<SecretFile>,
    pub(crate) bus: BusName,
    pub(crate) name: NodeName,
    pub(crate) listen: ListenAt,
    pub(crate) discovery: talkie_discovery::Config,
    pub(crate) unix: bool,
    pub(crate) max_message: usize,
    pub(crate) metrics: Option<SocketAddr>,
}

impl Config {
    /// The defaults, with this secret; or with several while the mesh changes from one to another.
    pub fn new(secrets: impl Into<Secrets>) -> Self {
        Self {
            secrets: secrets.into(),
            secret_file: None,
            bus: BusName::default(),
            name: default_name(),
            listen: ListenAt::Default,
            discovery: talkie_discovery::Config::default(),
            unix: true,
            max_message: DEFAULT_MAX_MESSAGE,
            metrics: None,
        }
    }

    /// The defaults, with the secrets of a file: one a line, the first is used to send, all are accepted.
    ///
    /// It is read again within about a second of a change, and when [`Node::reread_secrets`](crate::Node::reread_secrets) asks
    /// for it, so that a mesh changes its secret without an end of any node. A bad one is warned of then, and changes nothing.
    ///
    /// # Errors
    /// A file that cannot be read, or holds no secrets that can be used.
    pub fn from_secret_file(path: impl AsRef<Path>) -> Result<Self, SecretFileError> {
        let (secrets, secret_file) = SecretFile::read(path.as_ref())?;
        Ok(Self { secret_file, ..Self::new(secrets) })
    }

    /// What the environment says (`TALKIE_SECRET`, `TALKIE_PARTNERS`, …: every row of
    /// [`SETTINGS`](settings::SETTINGS)), and the defaults for the rest.
    ///
    /// An unknown variable that begins with `TALKIE_` is logged as a warning.
    ///
    /// # Errors
    /// Without a secret, and for the first value or variable that is wrong.
    pub fn from_env() -> Result<Self, ConfigError> {
        settings::from_flags([])
    }

    /// The bus that [`join`](Self::join) opens; `default` where none is named.
    pub fn bus(mut self, name: BusName) -> Self {
        self.bus = name;
        self
    }

    /// What the others call this node; `PROGRAM@HOSTNAME` where nothing is said.
    pub fn name(mut self, name: NodeName) -> Self {
        self.name = name;
        self
    }

    /// Where other nodes connect to. Port 0 is one that the system picks.
    ///
    /// Without it: every address of both families on one port, 8255 if that is free.
    pub fn listen(mut self, at: SocketAddr) -> Self {
        self.listen = ListenAt::At(at);
        self
    }

    /// Nodes to connect to where multicast does not reach. Replaces those named before.
    pub fn partners(mut self, partners: impl IntoIterator<Item = Partner>) -> Self {
        self.discovery.partners = partners.into_iter().collect();
        self
    }

    /// Whether to look for nodes by multicast; on where nothing is said.
    pub fn multicast(mut self, on: bool) -> Self {
        self.discovery.multicast = on;
        self
    }

    /// The multicast groups to meet in, at most one per family.
    pub fn groups(mut self, groups: Groups) -> Self {
        self.discovery.groups = groups;
        self
    }

    /// The interfaces to use; every usable one where none is named. Replaces those named before.
    pub fn interfaces(mut self, interfaces: impl IntoIterator<Item = InterfaceSpec>) -> Self {
        self.discovery.interfaces = interfaces.into_iter().collect();
        self
    }

    /// Whether to link to nodes of this host by a Unix socket, which is quicker, where they have it on, too; on where nothing
    /// is said. Only on Linux, and only within one network namespace; nodes link by TCP otherwise. [`interfaces`](Self::interfaces)
    /// does not limit it.
    pub fn unix(mut self, on: bool) -> Self {
        self.unix = on;
        self
    }

    /// The longest payload that is published or taken, in bytes; 1 MiB where nothing is said. A longer one that another node
    /// publishes is a gap here: set it alike on all.
    ///
    /// Held to 1 byte to 64 MiB. Memory follows it: each peer that reads slowly may take twice as much.
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes.clamp(1, MAX_MAX_MESSAGE);
        self
    }

    /// Where this node's counters are served over HTTP, at `/metrics`, for Prometheus and all that speak its language; nowhere
    /// where nothing is said. Port 0 is one that the system picks: [`Node::metrics_addr`](crate::Node::metrics_addr).
    ///
    /// Neither encrypted nor guarded: who reaches the address reads names of nodes, patterns and figures (no topic, no
    /// payload, no secret). 127.0.0.1 is seen by this host alone.
    pub fn metrics(mut self, at: SocketAddr) -> Self {
        self.metrics = Some(at);
        self
    }

    /// Starts the node and opens its bus.
    ///
    /// Within a tokio runtime that has its clock and its sockets (`enable_all`, as `#[tokio::main]` has).
    ///
    /// It is up when this returns, and meets the others from then on. A passphrase takes some 50 ms longer than
    /// a generated secret, because guessing it is made as costly; a weak one is
    /// logged as a warning.
    ///
    /// # Errors
    /// Where an address cannot be listened on (that of the metrics included), or a chosen interface is not there. Being without a network is none.
    pub async fn join(self) -> Result<Bus, JoinError> {
        let transport = talkie_transport::Config {
            name: self.name,
            listen: self.listen,
            discovery: self.discovery,
            max_message: self.max_message,
            unix: self.unix,
        };
        let span = tracing::debug_span!("talkie.join", name = %transport.name, bus = %self.bus);
        Node::start(transport, (self.secrets, self.secret_file), self.bus, self.metrics)
            .instrument(span)
            .await
    }

    /// The longest payload that is published or taken, in bytes.
    pub fn longest_message(&self) -> usize {
        self.max_message
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("secrets", &format_args!("(not shown)"))
            .field("secret_file", &self.secret_file)
            .field("bus", &self.bus)
            .field("name", &self.name)
            .field("listen", &self.listen)
            .field("discovery", &self.discovery)
            .field("unix", &self.unix)
            .field("max_message", &self.max_message)
            .field("metrics", &self.metrics)
            .finish()
    }
}

/// `PROGRAM@HOSTNAME`, as far as a name may hold it.
fn default_name() -> NodeName {
    let first = std::env::args_os().next().map(PathBuf::from).or_else(|| std::env::current_exe().ok());
    let program = first.as_deref().and_then(Path::file_name).unwrap_or_else(|| OsStr::new("node"));
    let host = gethostname::gethostname();
    NodeName::lossy(&format!("{}@{}", program.to_string_lossy(), host.to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use talkie_discovery::Secret;

    use super::*;

    #[test]
    fn debug_does_not_show_the_secret() {
        let secret = Secret::parse("correct horse battery").unwrap();
        assert!(!format!("{:?}", Config::new(secret)).contains("horse"));
    }

    #[test]
    fn the_longest_message_is_held_to_its_bounds() {
        let config = Config::new(Secret::generate());
        assert_eq!(config.clone().max_message(0).max_message, 1);
        assert_eq!(config.max_message(usize::MAX).max_message, MAX_MAX_MESSAGE);
    }
}
