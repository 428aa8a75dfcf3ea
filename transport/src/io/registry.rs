//! The sessions of all remote nodes, by id.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use talkie_discovery::{NodeId, NodeName};

use super::session::{Session, lock};
use crate::proto::inbox::Inbox;
use crate::stats::{PeerStats, Traffic};

/// Forgotten sessions of which enough is remembered to tell a late return from a first meeting.
const MAX_RETIRED: usize = 1_024;

#[derive(Debug, Default)]
struct Sessions {
    live: HashMap<NodeId, Arc<Session>>,
    retired: VecDeque<(NodeId, u64)>,
    /// What went to and fro with those that are gone.
    gone: Traffic,
}

/// Shared by the driver, which adds and removes, and by the tasks that set links up, which look.
#[derive(Debug)]
pub(crate) struct Registry {
    max_message: usize,
    sessions: Mutex<Sessions>,
}

impl Registry {
    pub(crate) fn new(max_message: usize) -> Self {
        Self { max_message, sessions: Mutex::default() }
    }

    pub(crate) fn find(&self, id: NodeId) -> Option<Arc<Session>> {
        lock(&self.sessions).live.get(&id).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Session>> {
        lock(&self.sessions).live.values().cloned().collect()
    }

    /// Whether there was a session with `id` of which only that is known.
    pub(crate) fn has_forgotten(&self, id: NodeId) -> bool {
        lock(&self.sessions).retired.iter().any(|(of, _)| *of == id)
    }

    /// The session with `id`; a new one counts its records under `generation`.
    pub(crate) fn find_or_add(&self, id: NodeId, name: &NodeName, generation: u64) -> Arc<Session> {
        let mut sessions = lock(&self.sessions);
        let Sessions { live, retired, .. } = &mut *sessions;
        Arc::clone(live.entry(id).or_insert_with(|| {
            let known = retired.iter().position(|(of, _)| *of == id).and_then(|at| retired.remove(at));
            let inbox = known.map_or_else(Inbox::default, |(_, generation)| Inbox::remembered(generation));
            Arc::new(Session::new(id, name.clone(), self.max_message, generation, inbox))
        }))
    }

    /// Every session in the order of ids, and the sum of all that ever were.
    pub(crate) fn stats(&self) -> (Vec<PeerStats>, Traffic) {
        let sessions = lock(&self.sessions);
        let mut peers: Vec<_> = sessions.live.values().map(|session| session.stats()).collect();
        let mut all = sessions.gone;
        drop(sessions);
        peers.iter().for_each(|peer| all += peer.traffic);
        peers.sort_unstable_by_key(|peer| peer.id);
        (peers, all)
    }

    /// Drops the session of a node that is owed nothing any more.
    pub(crate) fn retire(&self, id: NodeId) -> Option<Arc<Session>> {
        let mut sessions = lock(&self.sessions);
        let session = sessions.live.remove(&id)?;
        session.set_gone();
        sessions.gone += session.stats().traffic;
        if let Some(generation) = lock(&session.inbox).generation() {
            sessions.retired.push_back((id, generation));
            if sessions.retired.len() > MAX_RETIRED {
                sessions.retired.pop_front();
            }
        }
        Some(session)
    }
}
