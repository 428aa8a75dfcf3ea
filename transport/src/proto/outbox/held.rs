//! Large messages that wait for their turn, and what waits behind them.
//!
//! Large ones go one at a time, in the order of pushing. Behind each wait the later messages of its own flow, and of
//! no other: order holds within a flow.

use std::collections::{BTreeMap, VecDeque};

use super::entry::Record;

/// Records that have no number yet. Each is counted and charged as if it were in the queue.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// What waits of each flow; a large one is always in front.
    flows: BTreeMap<u64, VecDeque<Record>>,
    /// Flow and place of each large one, in the order in which they go.
    turns: VecDeque<(u64, u64)>,
    /// How many were ever held: the place of the newest.
    places: u64,
    len: usize,
}

impl Held {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether a later message of this flow must wait.
    pub(super) fn holds(&self, flow: u64) -> bool {
        !self.is_empty() && self.flows.contains_key(&flow)
    }

    /// The newest of this flow.
    pub(super) fn back_mut(&mut self, flow: u64) -> Option<&mut Record> {
        self.flows.get_mut(&flow)?.back_mut()
    }

    /// The place of the newest that was ever held.
    pub(super) const fn newest(&self) -> u64 {
        self.places
    }

    /// The place of the oldest that is held: what follows a large one is younger than it.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.turns.front().map(|(_, place)| *place)
    }

    /// Holds a large message, or what must wait behind one of its flow.
    pub(super) fn push(&mut self, flow: u64, record: Record) {
        debug_assert!(record.is_large() || self.holds(flow), "there is nothing to wait for");
        self.places += 1;
        self.len += 1;
        if record.is_large() {
            self.turns.push_back((flow, self.places));
        }
        self.flows.entry(flow).or_default().push_back(record);
    }

    /// The large message whose turn it is.
    pub(super) fn front(&self) -> Option<&Record> {
        self.flows.get(&self.turns.front()?.0)?.front()
    }

    /// Takes the front off: the large one, and what need not wait any longer behind it.
    pub(super) fn pop(&mut self) -> VecDeque<Record> {
        let Some((flow, _)) = self.turns.pop_front() else { return VecDeque::new() };
        let Some(waiting) = self.flows.get_mut(&flow) else { return VecDeque::new() };
        let next = waiting.iter().skip(1).position(Record::is_large);
        let free: VecDeque<_> = waiting.drain(..next.map_or(waiting.len(), |next| next + 1)).collect();
        if waiting.is_empty() {
            self.flows.remove(&flow);
        }
        self.len -= free.len();
        free
    }

    /// Takes off the newest of the flow whose large one would be the last to go.
    pub(super) fn pop_newest(&mut self) -> Option<Record> {
        let (flow, _) = *self.turns.back()?;
        let waiting = self.flows.get_mut(&flow)?;
        let newest = waiting.pop_back()?;
        if waiting.is_empty() {
            self.flows.remove(&flow);
        }
        if newest.is_large() {
            self.turns.pop_back();
        }
        self.len -= 1;
        Some(newest)
    }
}
