//! What one peer told us.

use std::collections::BTreeMap;

use super::{Change, ControlError, Entry, Item};

/// What one peer told us.
#[derive(Debug)]
pub(super) struct Inward<E> {
    pub(super) view: BTreeMap<u64, E>,
    /// What the view is charged.
    pub(super) bytes: usize,
    /// Run and number of the last frame; none until a snapshot begins on this link.
    pub(super) last: Option<(u64, u64)>,
    /// The greatest id of this snapshot and what followed. While it runs, greater ones are from before it.
    pub(super) reached: u64,
    pub(super) in_snapshot: bool,
    pub(super) refused: u64,
}

impl<E> Default for Inward<E> {
    fn default() -> Self {
        Self { view: BTreeMap::new(), bytes: 0, last: None, reached: 0, in_snapshot: false, refused: 0 }
    }
}

impl<E: Entry> Inward<E> {
    pub(super) fn apply(
        &mut self,
        item: Item<E>,
        told: &mut impl FnMut(Change<E>),
    ) -> Result<(), ControlError> {
        match item {
            Item::Add { id, entry } => {
                if id <= self.reached {
                    return Err(ControlError::IdOrder(id));
                }
                // What the snapshot passes over is gone.
                self.remove_between(self.reached, id, told);
                self.reached = id;
                match self.view.get(&id) {
                    Some(known) if *known == entry => {}
                    Some(known) if entry.continues(known) => self.set(id, entry, told),
                    // Something else under a known id: faulty, but the last word counts.
                    Some(_) => {
                        self.remove(id, told);
                        self.set(id, entry, told);
                    }
                    None => self.set(id, entry, told),
                }
            }
            Item::Change { id, change } => {
                if let Some(known) = self.view.get(&id) {
                    let mut entry = known.clone();
                    entry.change(change);
                    self.set(id, entry, told);
                }
            }
            Item::Remove { id } => self.remove(id, told),
            Item::Unknown => {}
        }
        Ok(())
    }

    /// Puts an entry into its place, if there is room for it. An entry that grew beyond that is removed: what is no longer
    /// so is not told.
    fn set(&mut self, id: u64, entry: E, told: &mut impl FnMut(Change<E>)) {
        let (known, charge) = (self.view.get(&id).map(Entry::charge), entry.charge());
        let bytes = self.bytes - known.unwrap_or(0) + charge;
        if (known.is_none() && self.view.len() >= E::MAX) || bytes > E::MAX_BYTES {
            self.remove(id, told);
            self.refused += 1;
            if self.refused == 1 {
                told(Change::Refused);
            }
            return;
        }
        self.bytes = bytes;
        self.view.insert(id, entry.clone());
        told(Change::Set { id, entry });
    }

    fn remove(&mut self, id: u64, told: &mut impl FnMut(Change<E>)) {
        if let Some(entry) = self.view.remove(&id) {
            self.bytes -= entry.charge();
            told(Change::Removed { id, entry });
        }
    }

    /// Removes the ids strictly between the two.
    pub(super) fn remove_between(&mut self, after: u64, before: u64, told: &mut impl FnMut(Change<E>)) {
        let Some(first) = after.checked_add(1) else { return };
        while first < before
            && let Some((&id, _)) = self.view.range(first..before).next()
        {
            self.remove(id, told);
        }
    }
}
