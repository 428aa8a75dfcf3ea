//! What one peer told us.

use std::collections::BTreeMap;

use talkie_transport::Interest;

use super::frame::Item;
use super::{Change, ControlError, MAX_INTEREST_BYTES, MAX_INTERESTS, Wanted};
use crate::topic::BusName;

/// What one peer told us.
#[derive(Debug, Default)]
pub(super) struct Inward {
    pub(super) view: BTreeMap<u64, Heard>,
    /// What the view is charged.
    pub(super) bytes: usize,
    /// Run and number of the last frame; none until a snapshot begins on this link.
    pub(super) last: Option<(u64, u64)>,
    /// The greatest id of this snapshot and what followed. While it runs, greater ones are from before it.
    pub(super) reached: u64,
    pub(super) in_snapshot: bool,
    pub(super) refused: u64,
}

#[derive(Debug)]
pub(super) struct Heard {
    pub(super) epoch: u64,
    pub(super) wanted: Wanted,
}

impl Inward {
    pub(super) fn apply(
        &mut self,
        item: Item<'_>,
        last_bus: &mut Option<BusName>,
        told: &mut impl FnMut(Change),
    ) -> Result<(), ControlError> {
        match item {
            Item::Add { id, epoch, bus, pattern, role } => {
                if id <= self.reached {
                    return Err(ControlError::IdOrder(id));
                }
                // What the snapshot passes over is gone.
                self.remove_between(self.reached, id, told);
                self.reached = id;
                // Most interests of a node are on one bus: its name is held once.
                let bus = match last_bus {
                    Some(last) if last.as_str() == bus => last.clone(),
                    _ => last_bus.insert(bus.parse().map_err(|_| ControlError::Invalid(id))?).clone(),
                };
                let pattern = pattern.parse().map_err(|_| ControlError::Invalid(id))?;
                self.add(Interest { id, epoch }, Wanted { bus, pattern, role }, told);
            }
            Item::Epoch { id, epoch } => {
                if let Some(heard) = self.view.get_mut(&id) {
                    heard.epoch = epoch;
                    told(Change::Set { interest: Interest { id, epoch }, wanted: heard.wanted.clone() });
                }
            }
            Item::Remove { id } => self.remove(id, told),
            Item::Unknown => {}
        }
        Ok(())
    }

    fn add(&mut self, interest: Interest, wanted: Wanted, told: &mut impl FnMut(Change)) {
        match self.view.get_mut(&interest.id) {
            Some(heard) if heard.wanted == wanted => {
                if heard.epoch == interest.epoch {
                    return;
                }
                heard.epoch = interest.epoch;
                return told(Change::Set { interest, wanted });
            }
            // Another pattern under a known id: faulty, but the last word counts.
            Some(_) => self.remove(interest.id, told),
            None => {}
        }
        let charge = wanted.charge();
        if self.view.len() >= MAX_INTERESTS || self.bytes + charge > MAX_INTEREST_BYTES {
            self.refused += 1;
            if self.refused == 1 {
                told(Change::Refused);
            }
            return;
        }
        self.bytes += charge;
        self.view.insert(interest.id, Heard { epoch: interest.epoch, wanted: wanted.clone() });
        told(Change::Set { interest, wanted });
    }

    fn remove(&mut self, id: u64, told: &mut impl FnMut(Change)) {
        if let Some(heard) = self.view.remove(&id) {
            self.bytes -= heard.wanted.charge();
            told(Change::Removed { id, wanted: heard.wanted });
        }
    }

    /// Removes the ids strictly between the two.
    pub(super) fn remove_between(&mut self, after: u64, before: u64, told: &mut impl FnMut(Change)) {
        let Some(first) = after.checked_add(1) else { return };
        while first < before
            && let Some((&id, _)) = self.view.range(first..before).next()
        {
            self.remove(id, told);
        }
    }
}
