//! The one loop.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::event::Event;
use crate::keys::HeartbeatKey;
use crate::node::Announcement;
use crate::reach::Reach;
use crate::stats::Counters;

/// Events that wait for a slow reader beside the roster's own bounded queue.
pub(crate) const EVENTS: usize = 64;

/// Everything that the loop owns.
#[expect(dead_code, reason = "the loop is not written yet")]
pub(crate) struct Driver {
    pub(crate) config: Config,
    pub(crate) key: HeartbeatKey,
    pub(crate) who: Announcement,
    pub(crate) linked: Vec<watch::Receiver<bool>>,
    pub(crate) reach: watch::Sender<Arc<Reach>>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) stop: CancellationToken,
    pub(crate) abandon: CancellationToken,
    pub(crate) found: mpsc::Sender<Event>,
}

impl Driver {
    pub(crate) async fn run(self) {
        self.abandon.cancelled().await;
    }
}
