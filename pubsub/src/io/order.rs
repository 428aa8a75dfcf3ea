//! What stands still while one message of a bus is published: its number, and what is remembered of the matches before.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};

use super::outlet::Outlet;
use super::registry::{Local, lock};
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
    /// Memory for its next bodies: those who share it are for the same nodes, so none of it is kept for one message that a
    /// node is owed for long.
    chunk: Mutex<BytesMut>,
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
}

impl<P> Default for Order<P> {
    fn default() -> Self {
        Self { sequence: 0, version: 0, recent: None, routes: HashMap::new() }
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
            self.forget();
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
            .or_insert_with(|| Arc::new(Route::new(index.matches(topic), flow(bus, topic))));
        let route = Arc::clone(route);
        self.recent = Some((topic.clone(), Arc::clone(&route)));
        route
    }

    /// Forgets the routes, and whom they lead to.
    pub(super) fn forget(&mut self) {
        self.recent = None;
        self.routes.clear();
    }
}

impl<P> Route<P> {
    fn new(matches: Matches<P, Arc<Local>>, flow: u64) -> Self {
        Self { matches, flow, chunk: Mutex::default() }
    }

    /// The body of a message that is not large.
    pub(super) fn body(&self, sequence: u64, topic: &Topic, payload: &[u8]) -> Bytes {
        let len = envelope::MAX_OVERHEAD + payload.len();
        if len > SHARED {
            return envelope::encode(sequence, topic, payload);
        }
        let mut chunk = lock(&self.chunk);
        if chunk.capacity() < len {
            *chunk = BytesMut::with_capacity(CHUNK);
        }
        envelope::put(&mut chunk, sequence, topic, payload);
        chunk.split().freeze()
    }
}

fn flow(bus: &BusName, topic: &Topic) -> u64 {
    let mut hasher = DefaultHasher::new();
    (bus.as_str(), topic.as_str()).hash(&mut hasher);
    hasher.finish()
}
