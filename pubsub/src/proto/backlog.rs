//! What waits in one subscription: bounded; what does not fit becomes a gap where it stood.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use talkie_discovery::{NodeId, NodeName};

use super::group::Mark;
use super::headers::Headers;
use crate::delivery::QueueLimits;
use crate::topic::Topic;

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

/// A message that waits. What its subscription knows anyway is not in it: counting the references of what all
/// subscriptions share would cost more than all the rest, where many of them get one message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "made and read in this crate")]
pub struct Waiting {
    /// None: the one that the subscription is for.
    pub topic: Option<Topic>,
    /// Who published it.
    pub from: NodeId,
    /// None: this node's.
    pub name: Option<NodeName>,
    /// As in [`Message::seq`](crate::Message::seq).
    pub seq: u64,
    /// What was published beside it.
    pub headers: Headers,
    /// What was published.
    pub payload: Bytes,
    /// Of a message for one member of a group.
    pub group: Option<Box<Mark>>,
    /// When it came to this node; of those that are timed. Here, so that it goes wherever its message goes.
    pub came: Option<Instant>,
}

/// What waits, in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "made and read in this crate")]
pub enum Item {
    /// A message.
    Message(Waiting),
    /// As [`Delivery::Gap`](crate::Delivery::Gap).
    Gap {
        /// Who published them.
        from: NodeId,
        /// How many.
        missed: u64,
        /// Whether that is their number.
        exact: bool,
    },
}

/// What makes room when there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "there is no third end")]
pub enum Drop {
    /// The oldest: they are counted per sender before what remains.
    Oldest,
    /// What comes: it is counted per sender behind what waits.
    Newest,
}

/// Deliveries in order. When full, the oldest or the newest go, and are counted where they stood.
#[derive(Debug)]
pub struct Backlog {
    limits: QueueLimits,
    drop: Drop,
    /// Bytes of the topic that messages do not name.
    topic: usize,
    /// What was pushed out, per sender; stands before `waiting`.
    lost: VecDeque<Gap>,
    waiting: VecDeque<Item>,
    /// What was not taken in, per sender; stands behind `waiting`.
    refused: VecDeque<Gap>,
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
    /// An empty one, of a subscription for a topic of so many bytes, or for many (0).
    pub fn new(limits: QueueLimits, drop: Drop, topic: usize) -> Self {
        let (lost, waiting, refused) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
        Self { limits, drop, topic, lost, waiting, refused, bytes: 0, long: 0, dropped: 0 }
    }

    /// Takes a message. One that is longer than the limit alone waits beside others that keep to it, or whatever follows
    /// would push it out; two such do not wait at once.
    pub fn push(&mut self, message: Waiting) {
        let charge = self.charge(&message);
        if self.is_full(charge) {
            if self.drop == Drop::Newest {
                self.dropped += 1;
                return count(&mut self.refused, message.from, 1, true);
            }
            self.make_room(charge);
        }
        // Where something was refused before, its gap stands in its place; there are few, so they are let in beyond the limit.
        let refused = self.refused.drain(..);
        self.waiting.extend(refused.map(|Gap { from, missed, exact }| Item::Gap { from, missed, exact }));
        *self.account(charge) += charge;
        self.waiting.push_back(Item::Message(message));
    }

    /// Takes a loss that happened on the way here.
    pub fn push_gap(&mut self, from: NodeId, missed: u64, exact: bool) {
        if self.drop == Drop::Newest && (!self.refused.is_empty() || self.is_full(0)) {
            return count(&mut self.refused, from, missed, exact);
        }
        match self.waiting.back_mut() {
            Some(Item::Gap { from: last, missed: known, exact: all }) if *last == from => {
                *known = known.saturating_add(missed);
                *all &= exact;
            }
            _ => {
                self.make_room(0);
                self.waiting.push_back(Item::Gap { from, missed, exact });
            }
        }
    }

    /// The oldest delivery.
    pub fn pop(&mut self) -> Option<Item> {
        if let Some(Gap { from, missed, exact }) = self.lost.pop_front() {
            return Some(Item::Gap { from, missed, exact });
        }
        let Some(oldest) = self.waiting.pop_front() else {
            let Gap { from, missed, exact } = self.refused.pop_front()?;
            return Some(Item::Gap { from, missed, exact });
        };
        if let Item::Message(message) = &oldest {
            let charge = self.charge(message);
            *self.account(charge) -= charge;
        }
        Some(oldest)
    }

    /// Moves the oldest deliveries to the end of `taken`: a sixteenth of what may wait, `most` of them, and no further one once
    /// they have `bytes`.
    pub fn take(&mut self, most: usize, bytes: usize, taken: &mut VecDeque<Item>) {
        let most = most.min(self.limits.messages / 16).max(1);
        if taken.is_empty()
            && self.lost.is_empty()
            && (1..=most).contains(&self.waiting.len())
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

    /// Whether as little waits as after a rest of the reader: at most half of the limits, or of `PLENTY`.
    pub fn is_eased(&self) -> bool {
        self.waiting.len() <= self.limits.messages.min(PLENTY) / 2
            && self.bytes <= self.limits.bytes.min(PLENTY_BYTES) / 2
    }

    /// Whether so much waits that the reader should go first: `PLENTY`, or less than a quarter of one of the limits is
    /// left. Never where the limit is below 256 messages: what comes at once overruns it anyway.
    pub fn is_pressed(&self) -> bool {
        let QueueLimits { messages, bytes } = self.limits;
        let (most, most_bytes) = (messages - messages / 4, bytes - bytes / 4);
        messages >= MANY
            && (self.waiting.len() > most.min(PLENTY) || self.bytes > most_bytes.min(PLENTY_BYTES))
    }

    /// Most bytes that wait.
    pub const fn limit(&self) -> usize {
        self.limits.bytes
    }

    /// Deliveries that wait, and the bytes that they are charged.
    pub fn waiting(&self) -> (usize, usize) {
        (self.lost.len() + self.waiting.len() + self.refused.len(), self.bytes + self.long)
    }

    /// Whether a message on a topic and with a payload of so many bytes would be taken in without dropping any.
    pub fn has_room(&self, topic: usize, payload: usize) -> bool {
        !self.is_full(CHARGE + topic + payload)
    }

    /// Whether this message has room.
    ///
    /// # Errors
    /// What it is charged in bytes, where it has none.
    pub fn fits(&self, message: &Waiting) -> Result<(), usize> {
        let charge = self.charge(message);
        if self.is_full(charge) { Err(charge) } else { Ok(()) }
    }

    /// [`is_eased`](Self::is_eased), and something that is charged so many bytes has room: one message may need more than half of it.
    pub fn is_eased_for(&self, charge: usize) -> bool {
        self.is_eased() && !self.is_full(charge)
    }

    /// Whether less than a quarter of one of the limits is left.
    pub fn is_nearly_full(&self) -> bool {
        let QueueLimits { messages, bytes } = self.limits;
        self.waiting.len() > messages - messages / 4 || self.bytes > bytes - bytes / 4
    }

    /// Messages dropped so far.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Whether there is nothing to [`pop`](Self::pop).
    pub fn is_empty(&self) -> bool {
        self.lost.is_empty() && self.waiting.is_empty() && self.refused.is_empty()
    }

    /// Where a charge of so much is counted.
    const fn account(&mut self, charge: usize) -> &mut usize {
        if charge > self.limits.bytes { &mut self.long } else { &mut self.bytes }
    }

    fn is_full(&self, charge: usize) -> bool {
        let QueueLimits { messages, bytes } = self.limits;
        let (most, had) = if charge > bytes { (charge, self.long) } else { (bytes, self.bytes) };
        self.waiting.len() >= messages.max(1) || had.saturating_add(charge) > most
    }

    fn make_room(&mut self, charge: usize) {
        while self.is_full(charge) {
            match self.waiting.pop_front() {
                Some(Item::Message(message)) => {
                    let charge = self.charge(&message);
                    *self.account(charge) -= charge;
                    self.dropped += 1;
                    count(&mut self.lost, message.from, 1, true);
                }
                Some(Item::Gap { from, missed, exact }) => count(&mut self.lost, from, missed, exact),
                None => return,
            }
        }
    }

    fn charge(&self, message: &Waiting) -> usize {
        let topic = message.topic.as_ref().map_or(self.topic, |topic| topic.as_str().len());
        CHARGE + topic + message.headers.size() + message.payload.len()
    }
}

/// Adds to the loss of a sender.
fn count(gaps: &mut VecDeque<Gap>, from: NodeId, missed: u64, exact: bool) {
    let full = gaps.len() >= MAX_SENDERS;
    let place = match gaps.iter().position(|gap| gap.from == from) {
        Some(at) => gaps.get_mut(at),
        None if full => gaps.back_mut(),
        None => return gaps.push_back(Gap { from, missed, exact }),
    };
    if let Some(gap) = place {
        gap.missed = gap.missed.saturating_add(missed);
        gap.exact &= exact && gap.from == from;
    }
}

#[cfg(test)]
mod tests;
