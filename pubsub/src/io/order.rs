//! What stands still while one message of a bus is published: its number, and what is remembered of the matches before.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::outlet::Outlet;
use super::registry::Local;
use crate::proto::envelope;
use crate::proto::index::{Index, Matches};
use crate::topic::{BusName, Topic};

/// Topics whose matches are remembered: those that a service publishes again and again.
const MAX_ROUTES: usize = 256;
/// Small bodies share memory of so many bytes, so that few of them ask the allocator.
const CHUNK: usize = 4 * 1024;
/// Bodies of more bytes have memory of their own: at least eight share a chunk.
const SHARED: usize = 512;

/// Where the messages of one topic go.
#[derive(Debug)]
pub(super) struct Route<P> {
    pub(super) matches: Matches<P, Arc<Local>>,
    /// Names the order that must hold: that of one topic of one bus. Two that share a name by chance only wait more.
    pub(super) flow: u64,
}

/// One bus's.
#[derive(Debug)]
pub(crate) struct Order<P> {
    /// The last number given to a publish.
    pub(super) sequence: u64,
    /// Of the index that the routes were found in.
    version: u64,
    recent: Option<(Topic, Arc<Route<P>>)>,
    routes: HashMap<Topic, Arc<Route<P>>>,
    chunk: BytesMut,
}

impl<P> Default for Order<P> {
    fn default() -> Self {
        Self { sequence: 0, version: 0, recent: None, routes: HashMap::new(), chunk: BytesMut::new() }
    }
}

impl<P: Outlet> Order<P> {
    /// Where messages of the topic go; matched once for each change of interest.
    pub(super) fn route(
        &mut self,
        bus: &BusName,
        index: &Index<P, Arc<Local>>,
        topic: &Topic,
    ) -> Arc<Route<P>> {
        // Before the match: a change that comes while it lasts is found by the next one.
        let version = index.version();
        if version != self.version {
            self.version = version;
            self.recent = None;
            self.routes.clear();
        }
        if let Some((_, route)) = self.recent.as_ref().filter(|(known, _)| known == topic) {
            return Arc::clone(route);
        }
        if self.routes.len() >= MAX_ROUTES && !self.routes.contains_key(topic) {
            self.routes.clear();
        }
        let route = self
            .routes
            .entry(topic.clone())
            .or_insert_with(|| Arc::new(Route { matches: index.matches(topic), flow: flow(bus, topic) }));
        let route = Arc::clone(route);
        self.recent = Some((topic.clone(), Arc::clone(&route)));
        route
    }

    /// The body of a message that is not large.
    pub(super) fn body(&mut self, topic: &Topic, payload: &[u8]) -> Bytes {
        let len = envelope::MAX_OVERHEAD + payload.len();
        if len > SHARED {
            return envelope::encode(self.sequence, topic, payload);
        }
        if self.chunk.capacity() < len {
            self.chunk = BytesMut::with_capacity(CHUNK);
        }
        envelope::put(&mut self.chunk, self.sequence, topic, payload);
        self.chunk.split().freeze()
    }
}

fn flow(bus: &BusName, topic: &Topic) -> u64 {
    let mut hasher = DefaultHasher::new();
    (bus.as_str(), topic.as_str()).hash(&mut hasher);
    hasher.finish()
}
