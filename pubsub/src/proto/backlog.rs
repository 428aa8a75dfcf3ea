//! What waits in one subscription: bounded; what does not fit becomes a gap where it stood.

use std::collections::VecDeque;

use talkie_discovery::NodeId;

use crate::delivery::{Delivery, Message, QueueLimits};

/// What one waiting message is charged besides payload and topic, in bytes: its slot and shared headers.
pub const CHARGE: usize = 192;

/// A queue for fewer messages is meant to lose: twice what a link hands over at once.
const MANY: usize = 256;

/// What a processor's caches hold: where more waits, whoever reads it waits for memory.
const PLENTY: usize = 1_024;
const PLENTY_BYTES: usize = 1024 * 1024;

/// Senders whose losses are counted apart while the reader does not read. Beyond them, and only then, the losses of
/// further senders are added to the youngest count, which is then a lower bound: memory stays bounded.
const MAX_SENDERS: usize = 1_024;

/// Deliveries in order. When full, the oldest go, and are counted per sender before what remains.
#[derive(Debug)]
pub struct Backlog {
    limits: QueueLimits,
    /// What was pushed out, per sender; stands before `waiting`.
    lost: VecDeque<Gap>,
    waiting: VecDeque<Delivery>,
    bytes: usize,
    /// What the message that is longer than the limit is charged, apart from the others; 0: none waits.
    long: usize,
    dropped: u64,
}

#[derive(Debug)]
struct Gap {
    from: NodeId,
    missed: u64,
    exact: bool,
}

impl Backlog {
    /// An empty one.
    pub fn new(limits: QueueLimits) -> Self {
        Self { limits, lost: VecDeque::new(), waiting: VecDeque::new(), bytes: 0, long: 0, dropped: 0 }
    }

    /// Takes a message. One that is longer than the limit alone waits beside others that keep to it, or whatever follows
    /// would push it out; two such do not wait at once.
    pub fn push(&mut self, message: Message) {
        let charge = charge(&message);
        self.make_room(charge);
        *self.account(charge) += charge;
        self.waiting.push_back(Delivery::Message(message));
    }

    /// Takes a loss that happened on the way here.
    pub fn push_gap(&mut self, from: NodeId, missed: u64, exact: bool) {
        match self.waiting.back_mut() {
            Some(Delivery::Gap { from: last, missed: known, exact: all }) if *last == from => {
                *known = known.saturating_add(missed);
                *all &= exact;
            }
            _ => {
                self.make_room(0);
                self.waiting.push_back(Delivery::Gap { from, missed, exact });
            }
        }
    }

    /// The oldest delivery.
    pub fn pop(&mut self) -> Option<Delivery> {
        if let Some(Gap { from, missed, exact }) = self.lost.pop_front() {
            return Some(Delivery::Gap { from, missed, exact });
        }
        let oldest = self.waiting.pop_front()?;
        if let Delivery::Message(message) = &oldest {
            let charge = charge(message);
            *self.account(charge) -= charge;
        }
        Some(oldest)
    }

    /// Moves the oldest deliveries to the end of `taken`: a sixteenth of what may wait, `most` of them, and no further one once
    /// they have `bytes`.
    pub fn take(&mut self, most: usize, bytes: usize, taken: &mut VecDeque<Delivery>) {
        let most = most.min(self.limits.messages / 16).max(1);
        if taken.is_empty()
            && self.lost.is_empty()
            && self.waiting.len() <= most
            && self.bytes + self.long <= bytes
        {
            // Most often: nothing is moved.
            std::mem::swap(taken, &mut self.waiting);
            (self.bytes, self.long) = (0, 0);
            return;
        }
        let mut sum = 0;
        for _ in 0..most {
            let before = self.bytes + self.long;
            let Some(delivery) = self.pop() else { return };
            taken.push_back(delivery);
            sum += before - (self.bytes + self.long);
            if sum >= bytes {
                return;
            }
        }
    }

    /// Whether as little waits as after a rest of the reader: at most half of the limits, or of [`PLENTY`].
    pub fn is_eased(&self) -> bool {
        self.waiting.len() <= self.limits.messages.min(PLENTY) / 2
            && self.bytes <= self.limits.bytes.min(PLENTY_BYTES) / 2
    }

    /// Whether so much waits that the reader should go first: [`PLENTY`], or less than a quarter of one of the limits is
    /// left. Never where the limit is below 256 messages: what comes at once overruns it anyway.
    pub fn is_pressed(&self) -> bool {
        let QueueLimits { messages, bytes } = self.limits;
        let (most, most_bytes) = (messages - messages / 4, bytes - bytes / 4);
        messages >= MANY
            && (self.waiting.len() > most.min(PLENTY) || self.bytes > most_bytes.min(PLENTY_BYTES))
    }

    /// Deliveries that wait, and the bytes that they are charged.
    pub fn waiting(&self) -> (usize, usize) {
        (self.lost.len() + self.waiting.len(), self.bytes + self.long)
    }

    /// Messages pushed out so far.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Whether there is nothing to [`pop`](Self::pop).
    pub fn is_empty(&self) -> bool {
        self.lost.is_empty() && self.waiting.is_empty()
    }

    /// Where a charge of so much is counted.
    const fn account(&mut self, charge: usize) -> &mut usize {
        if charge > self.limits.bytes { &mut self.long } else { &mut self.bytes }
    }

    fn is_full(&mut self, charge: usize) -> bool {
        let QueueLimits { messages, bytes } = self.limits;
        let most = if charge > bytes { charge } else { bytes };
        self.waiting.len() >= messages.max(1) || self.account(charge).saturating_add(charge) > most
    }

    fn make_room(&mut self, charge: usize) {
        while self.is_full(charge) {
            match self.waiting.pop_front() {
                Some(Delivery::Message(message)) => {
                    let charge = self::charge(&message);
                    *self.account(charge) -= charge;
                    self.dropped += 1;
                    self.count(message.from, 1, true);
                }
                Some(Delivery::Gap { from, missed, exact }) => self.count(from, missed, exact),
                // Only whoever reads looks into a message.
                Some(Delivery::Malformed { from, .. }) => self.count(from, 1, true),
                None => return,
            }
        }
    }

    fn count(&mut self, from: NodeId, missed: u64, exact: bool) {
        let full = self.lost.len() >= MAX_SENDERS;
        let place = match self.lost.iter().position(|gap| gap.from == from) {
            Some(at) => self.lost.get_mut(at),
            None if full => self.lost.back_mut(),
            None => return self.lost.push_back(Gap { from, missed, exact }),
        };
        if let Some(gap) = place {
            gap.missed = gap.missed.saturating_add(missed);
            gap.exact &= exact && gap.from == from;
        }
    }
}

fn charge(message: &Message) -> usize {
    CHARGE + message.topic.as_str().len() + message.payload.len()
}

#[cfg(test)]
mod tests;
