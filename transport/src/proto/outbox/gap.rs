//! Losses that are counted and not yet told.

use std::collections::BTreeMap;

use crate::interest::Interest;
use crate::proto::record::MAX_INTERESTS;

/// Interests that one gap counts apart: as many as a peer may have. Only one that changes them while it takes nothing
/// gets beyond; then losses of an interest's later epochs are counted with an earlier one, as lower bounds.
pub(super) const MAX_COUNTS: usize = 65_536;

/// Losses per interest.
pub(super) type Counts = BTreeMap<Interest, u64>;

/// Losses that are not yet a record.
#[derive(Debug)]
pub(super) struct Gap {
    pub(super) counts: Counts,
    pub(super) exact: bool,
}

impl Default for Gap {
    fn default() -> Self {
        Self { counts: Counts::new(), exact: true }
    }
}

impl Gap {
    pub(super) fn count(&mut self, interest: Interest, missed: u64) {
        let full = self.counts.len() >= MAX_COUNTS && !self.counts.contains_key(&interest);
        let place = if full {
            self.exact = false;
            let first = Interest { epoch: 0, ..interest };
            self.counts.range_mut(first..interest).next_back().map(|(_, count)| count)
        } else {
            Some(self.counts.entry(interest).or_default())
        };
        if let Some(count) = place {
            *count = count.saturating_add(missed);
        }
    }

    /// How many records it takes.
    pub(super) fn records(&self) -> usize {
        self.counts.len().div_ceil(MAX_INTERESTS)
    }
}

/// Cuts counts into what one gap frame may carry.
pub(super) fn chunks(counts: Counts) -> impl DoubleEndedIterator<Item = Vec<(Interest, u64)>> {
    let all: Vec<_> = counts.into_iter().collect();
    let parts: Vec<Vec<_>> = all.chunks(MAX_INTERESTS).map(<[_]>::to_vec).collect();
    parts.into_iter()
}
