//! Interests: what a node says of itself that it wants. One per distinct pattern and role of a bus, however many
//! subscriptions share it.
//!
//! | kind | item | fields |
//! |---|---|---|
//! | 1 | add | id, epoch, bus, pattern (texts: length, bytes), asked |
//! | 2 | epoch | id, epoch, asked |
//! | 3 | remove | id |
//! | 4 | add responder | as add: what it names wants requests, not messages |
//! | 5 | add group member | id, epoch, bus, pattern, group: each of its messages is for one member |
//!
//! `asked` is one more than the epoch of the newest subscription that asked for history, 0 where none did, or where it is missing.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use talkie_transport::Interest;

use super::replica::{ControlError, Entry, Item, Own, Replica, append, take};
use crate::group::GroupName;
use crate::topic::{BusName, Pattern};

/// Most interests that one peer may have here; further ones are refused. A service has tens; a gateway, which subscribes for
/// each of its clients, may have a hundred thousand.
pub const MAX_INTERESTS: usize = 131_072;

/// Most memory that one peer's interests may take here, in bytes, [`CHARGE`] included: so many with texts of 160 bytes.
pub const MAX_INTEREST_BYTES: usize = 64 * 1024 * 1024;

/// What one interest is charged besides its texts, in bytes: the entry, two allocations, its place in the index. Measured with
/// 100,000 exact patterns (`numbers interests`: 366 with texts of 24 bytes).
pub const CHARGE: usize = 352;

const ADD: u8 = 1;
const EPOCH: u8 = 2;
/// A kind of its own, so that whoever does not know it takes it for no subscriber.
const ADD_RESPONDER: u8 = 4;
/// Also a kind of its own: who does not know it gives a group nothing, instead of everything to all of it.
const ADD_MEMBER: u8 = 5;

/// What an interest is for. All are announced alike, and none gets what is meant for another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Role {
    /// It takes what is published.
    #[default]
    Subscriber,
    /// It answers requests.
    Responder,
    /// It takes, with others, what is published: each message goes to one of the group.
    Member(GroupName),
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
    /// The epoch of the newest one that asked for what was published before.
    pub asked: Option<u64>,
}

impl Entry for Wanted {
    /// The epoch, and who asked.
    type Change = (u64, Option<u64>);

    const FRAMES: (u8, u8) = (1, 2);
    const MAX: usize = MAX_INTERESTS;
    const MAX_BYTES: usize = MAX_INTEREST_BYTES;

    fn charge(&self) -> usize {
        let group = if let Role::Member(group) = &self.role { group.as_str().len() } else { 0 };
        CHARGE + self.bus.as_str().len() + self.pattern.as_str().len() + group
    }

    fn continues(&self, before: &Self) -> bool {
        self.bus == before.bus && self.pattern == before.pattern && self.role == before.role
    }

    fn change(&mut self, (epoch, asked): Self::Change) {
        self.epoch = epoch;
        self.asked = asked;
    }

    fn write_add(&self, id: u64, fields: &mut Vec<u8>) -> u8 {
        append(fields, &(id, self.epoch, self.bus.as_str(), self.pattern.as_str()));
        let kind = match &self.role {
            Role::Subscriber => ADD,
            Role::Responder => ADD_RESPONDER,
            Role::Member(group) => {
                append(fields, &group.as_str());
                // No member is given what was kept.
                return ADD_MEMBER;
            }
        };
        append(fields, &asked(self.asked));
        kind
    }

    fn write_change(&self, id: u64, fields: &mut Vec<u8>) -> u8 {
        append(fields, &(id, self.epoch, asked(self.asked)));
        EPOCH
    }

    fn read(kind: u8, fields: &[u8], last: Option<&Self>) -> Result<Item<Self>, ControlError> {
        Ok(match kind {
            ADD | ADD_RESPONDER | ADD_MEMBER => {
                let ((id, epoch, bus, pattern), rest) = take::<(u64, u64, &str, &str)>(fields)?;
                let (role, asked) = match kind {
                    ADD => (Role::Subscriber, take_asked(rest)?),
                    ADD_RESPONDER => (Role::Responder, take_asked(rest)?),
                    _ => {
                        let group = take::<&str>(rest)?.0;
                        (Role::Member(group.parse().map_err(|_| ControlError::Invalid(id))?), None)
                    }
                };
                // Most interests of a node are on one bus: its name is held once.
                let bus = match last {
                    Some(last) if last.bus.as_str() == bus => last.bus.clone(),
                    _ => bus.parse().map_err(|_| ControlError::Invalid(id))?,
                };
                let pattern = pattern.parse().map_err(|_| ControlError::Invalid(id))?;
                Item::Add { id, entry: Self { bus, pattern, role, epoch, asked } }
            }
            EPOCH => {
                let ((id, epoch), rest) = take::<(u64, u64)>(fields)?;
                Item::Change { id, change: (epoch, take_asked(rest)?) }
            }
            _ => Item::Unknown,
        })
    }
}

fn asked(epoch: Option<u64>) -> u64 {
    epoch.map_or(0, |epoch| epoch.saturating_add(1))
}

fn take_asked(fields: &[u8]) -> Result<Option<u64>, ControlError> {
    if fields.is_empty() {
        return Ok(None);
    }
    Ok(take::<u64>(fields)?.0.checked_sub(1))
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
    pub fn subscribe(&mut self, bus: &BusName, pattern: &Pattern, role: Role, history: bool) -> Interest {
        self.joins += 1;
        let key = (bus.clone(), pattern.clone(), role.clone());
        if let Some(shared) = self.by_pattern.get_mut(&key)
            && let Some(own) = self.by_id.get_mut(&shared.id)
        {
            shared.subscriptions += 1;
            own.epoch += 1;
            if history {
                own.asked = Some(own.epoch);
            }
            return Interest { id: shared.id, epoch: own.epoch };
        }
        self.last_id += 1;
        let id = self.last_id;
        let asked = history.then_some(0);
        self.by_id.insert(id, Wanted { bus: bus.clone(), pattern: pattern.clone(), role, epoch: 0, asked });
        self.by_pattern.insert(key, Shared { id, subscriptions: 1 });
        Interest { id, epoch: 0 }
    }

    /// One subscription less; the interest itself, if that was its last. Unknown ids are ignored.
    pub fn unsubscribe(&mut self, id: u64) -> Option<Wanted> {
        let own = self.by_id.get(&id)?;
        let key = (own.bus.clone(), own.pattern.clone(), own.role.clone());
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
        self.join(bus, pattern, Role::Subscriber, false)
    }

    /// The same in any role, and with what was published before where it asks for that.
    pub fn join(&mut self, bus: &BusName, pattern: &Pattern, role: Role, history: bool) -> (Interest, u64) {
        let interest = self.own_mut().subscribe(bus, pattern, role, history);
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
        assert_eq!(own.subscribe(&bus, &pattern, Role::Subscriber, false), Interest { id: 1, epoch: 0 });
        assert_eq!(own.subscribe(&bus, &pattern, Role::Subscriber, false), Interest { id: 1, epoch: 1 });
        let other: BusName = "other".parse().unwrap();
        assert_eq!(own.subscribe(&other, &pattern, Role::Subscriber, false), Interest { id: 2, epoch: 0 });
        assert_eq!(own.unsubscribe(1), None);
        assert!(own.unsubscribe(1).is_some_and(|own| own.bus == bus && own.epoch == 1));
        assert_eq!(own.unsubscribe(1), None);
        assert_eq!(own.subscribe(&bus, &pattern, Role::Subscriber, false), Interest { id: 3, epoch: 0 });
        assert_eq!(own.from(0).map(|(id, _)| id).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn who_asked_for_history_is_told_and_may_be_missing() {
        let (bus, pattern) = (BusName::default(), "a".parse().unwrap());
        let mut own = OwnInterests::default();
        let asked = |own: &OwnInterests| own.get(1).unwrap().asked;
        own.subscribe(&bus, &pattern, Role::Subscriber, false);
        assert_eq!(asked(&own), None);
        own.subscribe(&bus, &pattern, Role::Subscriber, true);
        own.subscribe(&bus, &pattern, Role::Subscriber, false);
        assert_eq!((asked(&own), own.get(1).unwrap().epoch), (Some(1), 2));
        let (own, mut fields) = (own.get(1).unwrap(), Vec::new());
        let kind = own.write_add(1, &mut fields);
        assert!(matches!(Wanted::read(kind, &fields, None), Ok(Item::Add { id: 1, entry }) if entry == *own));
        // As from a version that knows nothing of it.
        fields.pop();
        assert!(
            matches!(Wanted::read(kind, &fields, None), Ok(Item::Add { id: 1, entry }) if entry.asked.is_none())
        );
        fields.clear();
        let kind = own.write_change(1, &mut fields);
        assert!(matches!(
            Wanted::read(kind, &fields, None),
            Ok(Item::Change { id: 1, change: (2, Some(1)) })
        ));
    }

    #[test]
    fn a_member_says_its_group() {
        let (bus, pattern, group) = (BusName::default(), "a/*".parse().unwrap(), "workers".parse().unwrap());
        let own = Wanted { bus, pattern, role: Role::Member(group), epoch: 3, asked: None };
        let mut fields = Vec::new();
        assert_eq!(own.write_add(7, &mut fields), ADD_MEMBER);
        match Wanted::read(ADD_MEMBER, &fields, None) {
            Ok(Item::Add { id: 7, entry }) => assert_eq!(entry, own),
            other => panic!("{other:?}"),
        }
        fields.truncate(fields.len() - "workers".len() - 1);
        assert!(matches!(Wanted::read(ADD_MEMBER, &fields, None), Err(ControlError::Malformed)));
        append(&mut fields, &"");
        assert!(matches!(Wanted::read(ADD_MEMBER, &fields, None), Err(ControlError::Invalid(7))));
    }
}
