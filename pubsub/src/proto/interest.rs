//! Interests: what a node says of itself that it wants. One per distinct pattern and role of a bus, however many
//! subscriptions share it.
//!
//! | kind | item | fields |
//! |---|---|---|
//! | 1 | add | id, epoch, bus, pattern (texts: length, bytes) |
//! | 2 | epoch | id, epoch |
//! | 3 | remove | id |
//! | 4 | add responder | as add: what it names wants requests, not messages |

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use talkie_transport::Interest;

use super::replica::{ControlError, Entry, Item, Own, Replica, append, take};
use crate::topic::{BusName, Pattern};

/// Most interests that one peer may have here; further ones are refused. A service has tens.
pub const MAX_INTERESTS: usize = 65_536;

/// Most memory that one peer's interests may take here, in bytes, [`CHARGE`] included.
pub const MAX_INTEREST_BYTES: usize = 16 * 1024 * 1024;

/// What one interest is charged besides its texts, in bytes: the entry, two allocations, its place in the index.
pub const CHARGE: usize = 192;

const ADD: u8 = 1;
const EPOCH: u8 = 2;
/// A kind of its own, so that whoever does not know it takes it for no subscriber.
const ADD_RESPONDER: u8 = 4;

/// What an interest is for. Both are announced alike, and never get what is meant for the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Role {
    /// It takes what is published.
    #[default]
    Subscriber,
    /// It answers requests.
    Responder,
}

/// A pattern on a bus that somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The bus.
    pub bus: BusName,
    /// The pattern.
    pub pattern: Pattern,
    /// What for.
    pub role: Role,
    /// Grows by one whenever another subscription joins; starts at 0.
    pub epoch: u64,
}

impl Entry for Wanted {
    type Change = u64;

    const FRAMES: (u8, u8) = (1, 2);
    const MAX: usize = MAX_INTERESTS;
    const MAX_BYTES: usize = MAX_INTEREST_BYTES;

    fn charge(&self) -> usize {
        CHARGE + self.bus.as_str().len() + self.pattern.as_str().len()
    }

    fn continues(&self, before: &Self) -> bool {
        self.bus == before.bus && self.pattern == before.pattern && self.role == before.role
    }

    fn change(&mut self, epoch: u64) {
        self.epoch = epoch;
    }

    fn write_add(&self, id: u64, fields: &mut Vec<u8>) -> u8 {
        append(fields, &(id, self.epoch, self.bus.as_str(), self.pattern.as_str()));
        match self.role {
            Role::Subscriber => ADD,
            Role::Responder => ADD_RESPONDER,
        }
    }

    fn write_change(&self, id: u64, fields: &mut Vec<u8>) -> u8 {
        append(fields, &(id, self.epoch));
        EPOCH
    }

    fn read(kind: u8, fields: &[u8], last: Option<&Self>) -> Result<Item<Self>, ControlError> {
        Ok(match kind {
            ADD | ADD_RESPONDER => {
                let role = if kind == ADD { Role::Subscriber } else { Role::Responder };
                let (id, epoch, bus, pattern) = take::<(u64, u64, &str, &str)>(fields)?.0;
                // Most interests of a node are on one bus: its name is held once.
                let bus = match last {
                    Some(last) if last.bus.as_str() == bus => last.bus.clone(),
                    _ => bus.parse().map_err(|_| ControlError::Invalid(id))?,
                };
                let pattern = pattern.parse().map_err(|_| ControlError::Invalid(id))?;
                Item::Add { id, entry: Self { bus, pattern, role, epoch } }
            }
            EPOCH => {
                let (id, change) = take(fields)?.0;
                Item::Change { id, change }
            }
            _ => Item::Unknown,
        })
    }
}

/// The table of own interests. Ids grow from 1 and are never used again, so that a message or a gap that was
/// meant for an earlier interest cannot reach a later one.
#[derive(Debug, Default)]
pub struct OwnInterests {
    last_id: u64,
    /// Subscriptions made so far; each is younger than all before.
    joins: u64,
    by_id: BTreeMap<u64, Wanted>,
    by_pattern: HashMap<(BusName, Pattern, Role), Shared>,
}

/// Where an own interest is found, and by how many subscriptions it is shared; never 0.
#[derive(Debug)]
struct Shared {
    id: u64,
    subscriptions: usize,
}

impl OwnInterests {
    /// One more subscription; the epoch is the one that it joined in.
    pub fn subscribe(&mut self, bus: &BusName, pattern: &Pattern, role: Role) -> Interest {
        self.joins += 1;
        let key = (bus.clone(), pattern.clone(), role);
        if let Some(shared) = self.by_pattern.get_mut(&key)
            && let Some(own) = self.by_id.get_mut(&shared.id)
        {
            shared.subscriptions += 1;
            own.epoch += 1;
            return Interest { id: shared.id, epoch: own.epoch };
        }
        self.last_id += 1;
        let id = self.last_id;
        self.by_id.insert(id, Wanted { bus: bus.clone(), pattern: pattern.clone(), role, epoch: 0 });
        self.by_pattern.insert(key, Shared { id, subscriptions: 1 });
        Interest { id, epoch: 0 }
    }

    /// One subscription less; the interest itself, if that was its last. Unknown ids are ignored.
    pub fn unsubscribe(&mut self, id: u64) -> Option<Wanted> {
        let own = self.by_id.get(&id)?;
        let key = (own.bus.clone(), own.pattern.clone(), own.role);
        let shared = self.by_pattern.get_mut(&key)?;
        shared.subscriptions -= 1;
        if shared.subscriptions > 0 {
            return None;
        }
        self.by_pattern.remove(&key);
        self.by_id.remove(&id)
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

impl Own for OwnInterests {
    type Entry = Wanted;

    fn get(&self, id: u64) -> Option<&Wanted> {
        self.by_id.get(&id)
    }

    fn from(&self, id: u64) -> impl Iterator<Item = (u64, &Wanted)> {
        self.by_id.range(id..).map(|(&id, own)| (id, own))
    }

    fn said(&self) -> u64 {
        self.joins
    }
}

impl<P: Clone + Eq + Hash> Replica<P> {
    /// One more local subscription: what it is announced as, and how many were made so far, itself included.
    pub fn subscribe(&mut self, bus: &BusName, pattern: &Pattern) -> (Interest, u64) {
        self.join(bus, pattern, Role::Subscriber)
    }

    /// The same in any role.
    pub fn join(&mut self, bus: &BusName, pattern: &Pattern, role: Role) -> (Interest, u64) {
        let interest = self.own_mut().subscribe(bus, pattern, role);
        if interest.epoch > 0 {
            self.changed(interest.id);
        }
        (interest, self.own().said())
    }

    /// One local subscription less; whether it was the last of its interest.
    pub fn unsubscribe(&mut self, id: u64) -> bool {
        let last = self.own_mut().unsubscribe(id).is_some();
        if last {
            self.changed(id);
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_keeps_its_id_while_shared_and_never_gets_it_back() {
        let (bus, pattern) = (BusName::default(), "a/*".parse().unwrap());
        let mut own = OwnInterests::default();
        assert_eq!(own.subscribe(&bus, &pattern, Role::Subscriber), Interest { id: 1, epoch: 0 });
        assert_eq!(own.subscribe(&bus, &pattern, Role::Subscriber), Interest { id: 1, epoch: 1 });
        let other: BusName = "other".parse().unwrap();
        assert_eq!(own.subscribe(&other, &pattern, Role::Subscriber), Interest { id: 2, epoch: 0 });
        assert_eq!(own.unsubscribe(1), None);
        assert!(own.unsubscribe(1).is_some_and(|own| own.bus == bus && own.epoch == 1));
        assert_eq!(own.unsubscribe(1), None);
        assert_eq!(own.subscribe(&bus, &pattern, Role::Subscriber), Interest { id: 3, epoch: 0 });
        assert_eq!(own.from(0).map(|(id, _)| id).collect::<Vec<_>>(), [2, 3]);
    }
}
