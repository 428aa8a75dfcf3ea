//! One who watches a topic: what it was told, and what to look at again.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Event, Place};

/// What of a topic was told, and where it may have changed since. Its memory is bounded by what is there now and what was
/// told to be there, however slowly it is read.
#[derive(Debug)]
pub(super) struct Watcher<N> {
    known: BTreeMap<Place<N>, Bytes>,
    /// To be looked at, in the order of their first change.
    pending: BTreeMap<u64, Place<N>>,
    /// The same, the other way round.
    marks: BTreeMap<Place<N>, u64>,
    last_mark: u64,
}

impl<N> Default for Watcher<N> {
    fn default() -> Self {
        Self { known: BTreeMap::new(), pending: BTreeMap::new(), marks: BTreeMap::new(), last_mark: 0 }
    }
}

impl<N: Clone + Ord> Watcher<N> {
    /// Something happened to an entry, which is there or not. Whether there is something to read that was not before.
    pub(super) fn mark(&mut self, place: &Place<N>, present: bool) -> bool {
        if !present && !self.known.contains_key(place) {
            // Come and gone unseen.
            if let Some(mark) = self.marks.remove(place) {
                self.pending.remove(&mark);
            }
            return false;
        }
        if self.marks.contains_key(place) {
            return false;
        }
        self.last_mark += 1;
        self.marks.insert(place.clone(), self.last_mark);
        self.pending.insert(self.last_mark, place.clone());
        self.pending.len() == 1
    }

    /// The next event, by what is there now.
    pub(super) fn poll<'a>(&mut self, now: impl Fn(&Place<N>) -> Option<&'a Bytes>) -> Option<Event<N>> {
        while let Some((_, place)) = self.pending.pop_first() {
            self.marks.remove(&place);
            match (self.known.get_mut(&place), now(&place)) {
                (None, None) => {}
                (None, Some(meta)) => {
                    self.known.insert(place.clone(), meta.clone());
                    return Some(Event::Joined(place, meta.clone()));
                }
                (Some(known), Some(meta)) if known == meta => {}
                (Some(known), Some(meta)) => {
                    let (was, now) = (std::mem::replace(known, meta.clone()), meta.clone());
                    return Some(Event::Updated { place, was, now });
                }
                (Some(_), None) => {
                    let was = self.known.remove(&place)?;
                    return Some(Event::Left(place, was));
                }
            }
        }
        None
    }

    /// How much is to be looked at.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        assert_eq!(self.pending.len(), self.marks.len());
        self.pending.len()
    }
}
