//! This node's own interests: one per distinct pattern and role of a bus, however many subscriptions share it.

use std::collections::{BTreeMap, HashMap};

use talkie_transport::Interest;

use crate::topic::{BusName, Pattern};

/// What an interest is for. Both are announced alike, and never get what is meant for the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Role {
    /// It takes what is published.
    #[default]
    Subscriber,
    /// It answers requests.
    Responder,
}

/// One announced interest of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    /// The bus that it is on.
    pub bus: BusName,
    /// What it wants.
    pub pattern: Pattern,
    /// What for.
    pub role: Role,
    /// Grows by one whenever another subscription joins; starts at 0.
    pub epoch: u64,
    /// Subscriptions that share it; never 0.
    subscriptions: usize,
}

/// The table of own interests. Ids grow from 1 and are never used again, so that a message or a gap that was
/// meant for an earlier interest cannot reach a later one.
#[derive(Debug, Default)]
pub struct OwnInterests {
    last_id: u64,
    by_id: BTreeMap<u64, Own>,
    by_pattern: HashMap<(BusName, Pattern, Role), u64>,
}

impl OwnInterests {
    /// One more subscription; the epoch is the one that it joined in.
    pub fn subscribe(&mut self, bus: &BusName, pattern: &Pattern, role: Role) -> Interest {
        let key = (bus.clone(), pattern.clone(), role);
        if let Some(&id) = self.by_pattern.get(&key)
            && let Some(own) = self.by_id.get_mut(&id)
        {
            own.epoch += 1;
            own.subscriptions += 1;
            return Interest { id, epoch: own.epoch };
        }
        self.last_id += 1;
        let own = Own { bus: bus.clone(), pattern: pattern.clone(), role, epoch: 0, subscriptions: 1 };
        self.by_id.insert(self.last_id, own);
        self.by_pattern.insert(key, self.last_id);
        Interest { id: self.last_id, epoch: 0 }
    }

    /// One subscription less; the interest itself, if that was its last. Unknown ids are ignored.
    pub fn unsubscribe(&mut self, id: u64) -> Option<Own> {
        let own = self.by_id.get_mut(&id)?;
        own.subscriptions -= 1;
        if own.subscriptions > 0 {
            return None;
        }
        let own = self.by_id.remove(&id)?;
        self.by_pattern.remove(&(own.bus.clone(), own.pattern.clone(), own.role));
        Some(own)
    }

    /// The interest of this id, while it has a subscription.
    pub fn get(&self, id: u64) -> Option<&Own> {
        self.by_id.get(&id)
    }

    /// The interests from this id on, in the order of their ids.
    pub fn from(&self, id: u64) -> impl Iterator<Item = (u64, &Own)> {
        self.by_id.range(id..).map(|(&id, own)| (id, own))
    }

    /// How many interests there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_keeps_its_id_while_shared_and_never_gets_it_back() {
        let (bus, pattern) = (BusName::default(), "a/*".parse().unwrap());
        let mut own = OwnInterests::default();
        let role = Role::Subscriber;
        assert_eq!(own.subscribe(&bus, &pattern, role), Interest { id: 1, epoch: 0 });
        assert_eq!(own.subscribe(&bus, &pattern, role), Interest { id: 1, epoch: 1 });
        let other: BusName = "other".parse().unwrap();
        assert_eq!(own.subscribe(&other, &pattern, role), Interest { id: 2, epoch: 0 });
        assert_eq!(own.unsubscribe(1), None);
        assert!(own.unsubscribe(1).is_some_and(|own| own.bus == bus && own.epoch == 1));
        assert_eq!(own.unsubscribe(1), None);
        assert_eq!(own.subscribe(&bus, &pattern, role), Interest { id: 3, epoch: 0 });
        assert_eq!(own.subscribe(&bus, &pattern, Role::Responder), Interest { id: 4, epoch: 0 });
        assert_eq!(own.from(0).map(|(id, _)| id).collect::<Vec<_>>(), [2, 3, 4]);
    }
}
