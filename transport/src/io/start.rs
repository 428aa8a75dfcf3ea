//! Puts a node's links together: key, listener, heartbeats, driver.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use talkie_discovery::{Announcement, Discovery, Keyring};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::budget::Budget;
use super::driver::Driver;
use super::link::{Context, Setups};
use super::listener;
use super::registry::Registry;
use super::{stop, unix};
use crate::config::{Config, MAX_MAX_MESSAGE};
use crate::directory::Directory;
use crate::error::StartError;
use crate::peer::Deliver;
use crate::proto::handshake::Identity;
use crate::stats::Counters;

/// Inputs that may wait for the driver; tasks that bring more wait themselves.
const INPUTS: usize = 1_024;

/// Listens before the first heartbeat goes out: who hears it dials at once.
pub(crate) fn start(
    config: Config,
    keys: Keyring,
    deliver: Arc<dyn Deliver>,
) -> Result<(Arc<Context>, Arc<Directory>), StartError> {
    let identity = Identity::generate().map_err(StartError::Key)?;
    let listener = listener::listen(config.listen)?;
    let bound = listener.local_addr().map_err(|source| StartError::Listen {
        addr: std::net::SocketAddr::from(([0, 0, 0, 0], 0)),
        source,
    })?;
    let door = config.unix.then(|| unix::listen(identity.id())).flatten();
    let host = door.as_ref().map(|door| door.host);
    let announcement = Announcement { id: identity.id(), name: config.name.clone(), listen: bound, host };
    let (discovery, heard) = Discovery::start(config.discovery, keys.clone(), announcement)?;
    let (inputs, outputs) = mpsc::channel(INPUTS);
    let max_message = config.max_message.min(MAX_MAX_MESSAGE);
    let context = Arc::new(Context {
        identity,
        keys: watch::Sender::new(keys),
        name: config.name,
        max_message,
        registry: Registry::new(max_message),
        budget: Arc::new(Budget::new(max_message)),
        links: AtomicU64::new(0),
        setups: Setups::default(),
        bound,
        host,
        reach: discovery.reach(),
        inputs,
        closing: CancellationToken::new(),
        counters: Counters::default(),
        heartbeats: discovery.stats_reader(),
        pairs: Mutex::new(HashMap::new()),
    });
    let directory = Arc::new(Directory::default());
    let accepting = tokio::spawn(listener::accept(Arc::clone(&context), listener, door)).abort_handle();
    let driver = Driver::new(
        Arc::clone(&context),
        deliver,
        Arc::clone(&directory),
        discovery,
        accepting,
        fastrand::Rng::new(),
    );
    tokio::spawn(driver.run(outputs, heard));
    tokio::spawn(stop::when_closed(Arc::clone(&context)));
    Ok((context, directory))
}
