//! The one match: a topic to what wants it, here and on each peer.
//!
//! Shared by all publishers of a bus, so it is the one machine with locks inside: exact topics, by far the most,
//! sit in a sharded map; only patterns with wildcards are searched, in a trie behind a read lock.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use smallvec::SmallVec;
use talkie_transport::{Interest, Interests};

use super::pattern_map::PatternMap;
use crate::topic::{Pattern, Topic};

/// Who wants what on one bus. `P` names a peer, `L` what takes messages on this node (one per pattern).
#[derive(Debug)]
pub struct Index<P: Eq + Hash, L> {
    exact: DashMap<Topic, Wants<P, L>>,
    wild: RwLock<PatternMap<Wants<P, L>>>,
    /// Grows with each change, after it.
    version: AtomicU64,
}

/// Who wants one pattern.
#[derive(Debug)]
struct Wants<P, L> {
    local: Option<L>,
    /// At most one entry per peer. Most patterns are wanted by one: that takes no allocation.
    remote: SmallVec<[(P, Interest); 1]>,
}

/// What one topic goes to.
#[derive(Debug)]
pub struct Matches<P, L> {
    /// One for each matching pattern that this node subscribes to.
    pub local: SmallVec<[L; 2]>,
    /// One for each peer with a matching pattern; its interests in ascending order of their ids.
    pub remote: Vec<(P, Interests)>,
}

impl<P: Eq + Hash, L> Default for Index<P, L> {
    fn default() -> Self {
        Self { exact: DashMap::new(), wild: RwLock::default(), version: AtomicU64::new(0) }
    }
}

impl<P, L> Default for Wants<P, L> {
    fn default() -> Self {
        Self { local: None, remote: SmallVec::new() }
    }
}

impl<P: Clone + Eq + Hash, L: Clone> Index<P, L> {
    /// Sets what takes messages for the pattern on this node.
    pub fn set_local(&self, pattern: &Pattern, local: L) {
        self.change(pattern, |wants| wants.local = Some(local));
    }

    /// Nothing on this node wants the pattern any more.
    pub fn remove_local(&self, pattern: &Pattern) {
        self.change(pattern, |wants| wants.local = None);
    }

    /// The peer wants the pattern under this interest, which stands in the place of an earlier one.
    pub fn set_remote(&self, peer: &P, pattern: &Pattern, interest: Interest) {
        self.change(pattern, |wants| match wants.remote.iter_mut().find(|(known, _)| known == peer) {
            Some((_, known)) => *known = interest,
            None => wants.remote.push((peer.clone(), interest)),
        });
    }

    /// The peer no longer wants the pattern under this id; if it does under a newer one, that stays.
    pub fn remove_remote(&self, peer: &P, pattern: &Pattern, id: u64) {
        self.change(pattern, |wants| {
            wants.remote.retain(|(known, interest)| known != peer || interest.id != id)
        });
    }

    /// Grows with each change: what was matched under the same version before is still right.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Something beside changed that is remembered together with what is matched here.
    pub fn touch(&self) {
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Everything that wants the topic.
    pub fn matches(&self, topic: &Topic) -> Matches<P, L> {
        let mut matches = Matches { local: SmallVec::new(), remote: Vec::new() };
        if let Some(wants) = self.exact.get(topic) {
            matches.local.extend(wants.local.clone());
            let remote = wants.remote.iter();
            matches
                .remote
                .extend(remote.map(|(peer, interest)| (peer.clone(), Interests::from_slice(&[*interest]))));
        }
        let wild = self.read();
        // Behind this many peers, finding one again goes by hash.
        const FEW: usize = 16;
        let mut place: HashMap<P, usize> = HashMap::new();
        wild.for_each_match(topic, |wants| {
            matches.local.extend(wants.local.clone());
            let first = matches.remote.is_empty();
            for (peer, interest) in &wants.remote {
                let at = if first {
                    None
                } else if matches.remote.len() < FEW {
                    matches.remote.iter().position(|(known, _)| known == peer)
                } else {
                    let indexed = place.len();
                    let missing = matches.remote.iter().enumerate().skip(indexed);
                    place.extend(missing.map(|(at, (known, _))| (known.clone(), at)));
                    place.get(peer).copied()
                };
                match at.and_then(|at| matches.remote.get_mut(at)) {
                    Some((_, interests)) => interests.push(*interest),
                    None => matches.remote.push((peer.clone(), Interests::from_slice(&[*interest]))),
                }
            }
        });
        drop(wild);
        for (_, interests) in &mut matches.remote {
            if interests.len() > 1 {
                interests.sort_unstable();
            }
        }
        matches
    }

    /// Whether nobody wants anything.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.read().is_empty()
    }

    fn change(&self, pattern: &Pattern, change: impl FnOnce(&mut Wants<P, L>)) {
        self.change_wants(pattern, change);
        self.version.fetch_add(1, Ordering::Release);
    }

    fn change_wants(&self, pattern: &Pattern, change: impl FnOnce(&mut Wants<P, L>)) {
        if let Some(topic) = pattern.as_topic() {
            match self.exact.entry(topic) {
                Entry::Occupied(mut entry) => {
                    change(entry.get_mut());
                    if entry.get().is_empty() {
                        entry.remove();
                    }
                }
                Entry::Vacant(entry) => {
                    let mut wants = Wants::default();
                    change(&mut wants);
                    if !wants.is_empty() {
                        entry.insert(wants);
                    }
                }
            }
        } else {
            let mut wild = self.write();
            let wants = wild.get_or_insert_with(pattern, Wants::default);
            change(wants);
            if wants.is_empty() {
                wild.remove(pattern);
            }
        }
    }

    // A panic while the lock was held would be a defect of ours; the trie is then still a trie.
    fn read(&self) -> RwLockReadGuard<'_, PatternMap<Wants<P, L>>> {
        self.wild.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, PatternMap<Wants<P, L>>> {
        self.wild.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P, L> Wants<P, L> {
    fn is_empty(&self) -> bool {
        self.local.is_none() && self.remote.is_empty()
    }
}

#[cfg(test)]
mod tests;
