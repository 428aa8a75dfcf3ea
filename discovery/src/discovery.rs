//! The handle: start, events, stop.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::config::Config;
use crate::error::StartError;
use crate::event::Event;
use crate::io::driver;
use crate::keyring::Keyring;
use crate::node::Announcement;
use crate::reach::Reach;
use crate::stats::{Counters, Stats, StatsReader};

/// How long [`Discovery::stop`] may take: three goodbyes some milliseconds apart, with room for a busy host.
const STOP_BOUND: Duration = Duration::from_millis(50);

/// Finds other nodes: sends and hears heartbeats, resolves partners. Dropping it stops without a goodbye.
#[derive(Debug)]
pub struct Discovery {
    stop: CancellationToken,
    partners: Vec<watch::Sender<bool>>,
    reach: watch::Receiver<Arc<Reach>>,
    counters: Arc<Counters>,
    keys: watch::Sender<Keyring>,
    driver: Option<JoinHandle<()>>,
    // Ends everything at once when this handle goes.
    _abandon: DropGuard,
}

/// The stream of what discovery found.
///
/// It may be read slowly: what waits is bounded by the number of nodes, for only the latest of each is kept.
#[derive(Debug)]
pub struct Events {
    pub(crate) found: mpsc::Receiver<Event>,
}

impl Events {
    /// The next event; `None` once discovery has stopped. Cancel-safe.
    pub async fn recv(&mut self) -> Option<Event> {
        self.found.recv().await
    }

    /// The next event, if one is there already.
    pub fn try_recv(&mut self) -> Option<Event> {
        self.found.try_recv().ok()
    }
}

impl Discovery {
    /// Starts to announce `who` and to look for others, within a tokio runtime.
    ///
    /// A missing network is no error: it is waited for.
    ///
    /// # Errors
    /// No runtime; the interfaces can not be told; a chosen one does not exist.
    pub fn start(
        config: Config,
        keys: impl Into<Keyring>,
        who: Announcement,
    ) -> Result<(Self, Events), StartError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| StartError::NoRuntime)?;
        let reach = Arc::new(Reach::look(&config.interfaces)?);
        let (reach_now, reach) = watch::channel(reach);
        let (partners, linked) = config.partners.iter().map(|_| watch::channel(false)).unzip();
        let counters = Arc::new(Counters::default());
        let (stop, abandon) = (CancellationToken::new(), CancellationToken::new());
        let (keys, keys_now) = watch::channel(keys.into());
        let (found_tx, found) = mpsc::channel(driver::EVENTS);
        let start = driver::Start {
            config,
            keys: keys_now,
            who,
            linked,
            reach: reach_now,
            counters: Arc::clone(&counters),
            stop: stop.clone(),
            abandon: abandon.clone(),
            found: found_tx,
        };
        let driver = Some(runtime.spawn(driver::run(start)));
        let handle = Self { stop, partners, reach, counters, keys, driver, _abandon: abandon.drop_guard() };
        Ok((handle, Events { found }))
    }

    /// Says whether a partner (by its place in [`Config::partners`]) is linked: while it is, it is not resolved
    /// again. An unknown place is ignored.
    pub fn partner_linked(&self, partner: usize, linked: bool) {
        if let Some(known) = self.partners.get(partner) {
            known.send_if_modified(|now| std::mem::replace(now, linked) != linked);
        }
    }

    /// From now on heartbeats are sealed with the first of these keys, and opened with any of them. A burst of heartbeats
    /// tells those that knew only one of them.
    pub fn rekey(&self, keys: Keyring) {
        self.keys.send_replace(keys);
    }

    /// The interfaces in use, now and whenever they change.
    #[must_use]
    pub fn reach(&self) -> watch::Receiver<Arc<Reach>> {
        self.reach.clone()
    }

    /// The counters as they are now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.counters.snapshot()
    }

    /// The same for whoever does not hold this handle.
    #[must_use]
    pub fn stats_reader(&self) -> StatsReader {
        StatsReader(Arc::clone(&self.counters))
    }

    /// Says goodbye (three sealed heartbeats) and stops. Takes 50 ms at most.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(driver) = self.driver.take() {
            // Too late or ended is all the same: what is left is cut off by the drop of this handle.
            let _ = tokio::time::timeout(STOP_BOUND, driver).await;
        }
    }
}
