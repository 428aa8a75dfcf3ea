//! What stands still while one message of a bus is published: its number, and what is remembered of the matches before.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::groups::{GroupIndex, GroupRoute, routes as group_routes};
use super::outlet::Outlet;
use super::registry::Local;
use crate::metrics::PublishStats;
use crate::proto::history::Histories;
use crate::proto::index::{Index, Matches};
use crate::topic::{BusName, Topic};

/// Topics whose matches are remembered: those that a service publishes again and again.
const MAX_ROUTES: usize = 256;

/// Where the messages of one topic go.
#[derive(Debug)]
pub(super) struct Route<P> {
    pub(super) matches: Matches<P, Arc<Local>>,
    /// Names the order that must hold: that of one topic of one bus. Two that share a name by chance only wait more.
    pub(super) flow: u64,
    /// The groups that want it.
    pub(super) groups: Vec<GroupRoute<P>>,
}

/// One bus's.
#[derive(Debug)]
pub(crate) struct Order<P> {
    /// The last number given to a publish.
    sequence: u64,
    /// Of the index that the routes were found in.
    version: u64,
    recent: Option<(Topic, Arc<Route<P>>)>,
    routes: HashMap<Topic, Arc<Route<P>>>,
    /// Memory for what stands before a payload.
    head: Vec<u8>,
    /// What was published so far.
    pub(super) published: PublishStats,
    pub(super) histories: Histories,
}

/// What stands still while one message is handed out.
pub(super) struct Routed<'a, P> {
    pub(super) route: &'a Route<P>,
    /// The last number given.
    pub(super) sequence: &'a mut u64,
    pub(super) head: &'a mut Vec<u8>,
    pub(super) published: &'a mut PublishStats,
    pub(super) histories: &'a mut Histories,
}

impl<P> Default for Order<P> {
    fn default() -> Self {
        Self {
            sequence: 0,
            version: 0,
            recent: None,
            routes: HashMap::new(),
            head: Vec::new(),
            published: PublishStats::default(),
            histories: Histories::default(),
        }
    }
}

impl<P: Outlet> Order<P> {
    /// Where messages of the topic go; matched once for each change of interest.
    pub(super) fn route(
        &mut self,
        bus: &BusName,
        index: &Index<P, Arc<Local>>,
        members: &GroupIndex<P>,
        topic: &Topic,
    ) -> Routed<'_, P> {
        // Before the match: a change that comes while it lasts is found by the next one.
        let version = index.version();
        if version != self.version {
            self.version = version;
            self.forget();
        }
        if self.recent.as_ref().is_some_and(|(known, _)| known != topic) {
            self.recent = None;
        }
        let Self { sequence, recent, routes, head, published, histories, .. } = self;
        let (_, route) = recent.get_or_insert_with(|| {
            if routes.len() >= MAX_ROUTES && !routes.contains_key(topic) {
                routes.clear();
            }
            let found = || {
                let groups = group_routes(members, topic);
                Arc::new(Route { matches: index.matches(topic), flow: flow(bus, topic), groups })
            };
            (topic.clone(), Arc::clone(routes.entry(topic.clone()).or_insert_with(found)))
        });
        Routed { route, sequence, head, published, histories }
    }

    /// Forgets the routes, and whom they lead to.
    pub(super) fn forget(&mut self) {
        self.recent = None;
        self.routes.clear();
    }
}

/// Names the order of a topic.
pub(super) fn flow(bus: &BusName, topic: &Topic) -> u64 {
    let mut hasher = DefaultHasher::new();
    (bus.as_str(), topic.as_str()).hash(&mut hasher);
    hasher.finish()
}
