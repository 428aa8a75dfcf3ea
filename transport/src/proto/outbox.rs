//! What one peer is owed: numbered, bounded, unacknowledged records kept for the next link, losses counted.
//!
//! Every record has a number; the peer acknowledges numbers, and a new link resumes behind the last one that
//! the peer has. What does not fit is counted per interest in a gap. A gap stays open, and so unsent, until
//! half of the room is free again: few large gaps instead of many small ones, and one that has left never grows.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::record::{self, MAX_INTERESTS};
use crate::interest::{Interest, Interests};

/// What a record costs beside its bytes, so that empty messages are bounded too. An entry of the queue and its
/// share of the allocator take about this much.
pub const RECORD_CHARGE: usize = 128;
/// Least room of an outbox, bytes; larger where the largest message asks for it ([`limit_for`]).
pub const MIN_LIMIT: usize = 4 * 1024 * 1024;

/// Room of an outbox for messages of up to `max_message` bytes: twice the largest, [`MIN_LIMIT`] at least.
pub const fn limit_for(max_message: usize) -> usize {
    let twice = 2 * (max_message + record::FRAME_OVERHEAD);
    if twice > MIN_LIMIT { twice } else { MIN_LIMIT }
}

/// Interests that one gap counts apart: as many as a peer may have. Only one that changes them while it takes nothing
/// gets beyond; then losses of an interest's later epochs are counted with an earlier one, as lower bounds.
const MAX_COUNTS: usize = 65_536;

/// Losses per interest.
type Counts = BTreeMap<Interest, u64>;

/// Losses that are not yet a record.
#[derive(Debug)]
struct Gap {
    counts: Counts,
    exact: bool,
}

impl Default for Gap {
    fn default() -> Self {
        Self { counts: Counts::new(), exact: true }
    }
}

impl Gap {
    fn count(&mut self, interest: Interest, missed: u64) {
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
}

#[derive(Debug)]
enum Record {
    Message { interests: Interests, body: Bytes },
    Gap { missed: Vec<(Interest, u64)>, exact: bool },
}

impl Record {
    fn charge(&self) -> usize {
        RECORD_CHARGE
            + match self {
                Self::Message { interests, body } => body.len() + 16 * interests.len(),
                Self::Gap { missed, .. } => 24 * missed.len(),
            }
    }
}

/// The record that is on its way out: its head, and how much of head and body has left.
#[derive(Debug, Default)]
struct Cut {
    head: Vec<u8>,
    sent: usize,
}

/// The bounded queue to one peer. A hot machine: it sits under a short lock, and takes no clock.
#[derive(Debug)]
pub struct Outbox {
    limit: usize,
    used: usize,
    /// Number of the front record; the others follow without holes.
    first: u64,
    queue: VecDeque<Record>,
    /// How many records of the queue have left whole on this link.
    cursor: usize,
    cut: Option<Cut>,
    /// Every number below this has left, at least in part, on some link.
    high: u64,
    /// Losses that are not yet a record. While it is there, everything new is lost too.
    open: Option<Gap>,
    /// Messages that were queued and became a gap: counted, uncounted.
    lost: (u64, u64),
}

impl Outbox {
    /// An empty outbox with room for `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            used: 0,
            first: 1,
            queue: VecDeque::new(),
            cursor: 0,
            cut: None,
            high: 1,
            open: None,
            lost: (0, 0),
        }
    }

    /// Whether a message of `body` bytes would be queued, and not counted as lost.
    pub fn has_room(&self, body: usize) -> bool {
        self.open.is_none() && self.used + body + RECORD_CHARGE <= self.limit
    }

    /// Whether at most half of the room is taken: a stall ends here.
    pub fn is_half_free(&self) -> bool {
        self.used <= self.limit / 2
    }

    /// Whether losses are being counted, and everything new with them.
    pub fn is_overflowing(&self) -> bool {
        self.open.is_some()
    }

    /// Whether every record was acknowledged and no loss waits to be told.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.open.is_none()
    }

    /// Whether something could leave on the link now.
    pub fn has_unsent(&self) -> bool {
        self.cut.is_some() || self.cursor < self.queue.len()
    }

    /// Records that are not acknowledged, gaps included.
    pub fn unacknowledged(&self) -> u64 {
        self.queue.len() as u64 + u64::from(self.open.is_some())
    }

    /// Messages that were queued and lost since: told with their number when the room shrank, or told without, since the
    /// peer may have had them.
    pub const fn lost(&self) -> (u64, u64) {
        self.lost
    }

    /// Bytes in use, charges included.
    pub const fn used(&self) -> usize {
        self.used
    }

    /// The number that everything pushed so far has or will have at most.
    pub fn last(&self) -> u64 {
        let gaps = self.open.as_ref().map_or(0, |gap| gap.counts.len().div_ceil(MAX_INTERESTS));
        (self.first + self.queue.len() as u64 + gaps as u64).saturating_sub(1)
    }

    /// Whether the peer has everything up to `number`, counted losses included.
    pub fn is_acknowledged(&self, number: u64) -> bool {
        // What was merged into a gap may have taken higher numbers with it.
        self.first > number.min(self.last())
    }

    /// Queues a message, or counts it as lost where there is no room. `false`: counted.
    pub fn push(&mut self, interests: &Interests, body: &Bytes) -> bool {
        if !self.has_room(body.len() + 16 * interests.len()) {
            self.lose(interests);
            return false;
        }
        for part in interests.chunks(MAX_INTERESTS) {
            let record = Record::Message { interests: part.into(), body: body.clone() };
            self.append(record);
        }
        true
    }

    /// Counts a message as lost, whatever room there is.
    pub fn lose(&mut self, interests: &[Interest]) {
        let open = self.open.get_or_insert_default();
        for interest in interests {
            open.count(*interest, 1);
        }
        self.settle();
    }

    /// Counts a message as lost that the peer does not take, though there may be room for others.
    pub fn refuse(&mut self, interests: &[Interest]) {
        if !self.has_room(24 * interests.len()) {
            self.lose(interests);
            return;
        }
        for part in interests.chunks(MAX_INTERESTS) {
            let missed = part.iter().map(|interest| (*interest, 1)).collect();
            self.append(Record::Gap { missed, exact: true });
        }
    }

    /// The peer has everything up to `number`.
    pub fn acknowledge(&mut self, number: u64) {
        // Only what has left whole can be acknowledged: a peer that claims more is not believed.
        while self.first <= number && self.cursor > 0 {
            let Some(record) = self.queue.pop_front() else { break };
            self.used = self.used.saturating_sub(record.charge());
            self.first += 1;
            self.cursor -= 1;
        }
        self.settle();
    }

    /// A new link begins: everything behind `received` leaves again. `None`: the peer does not know what it has
    /// had, so all that ever left is a gap of unknown size. Returns the number that comes first.
    pub fn resume(&mut self, received: Option<u64>) -> u64 {
        self.cut = None;
        let left = (self.high - self.first).min(self.queue.len() as u64) as usize;
        self.cursor = left;
        match received {
            Some(number) => self.acknowledge(number),
            None if left > 0 => self.blur(left),
            None => {}
        }
        self.cursor = 0;
        self.first
    }

    /// Turns the first `left` records into one gap with no known size.
    fn blur(&mut self, left: usize) {
        let mut counts = Counts::new();
        for record in self.queue.drain(..left) {
            self.used = self.used.saturating_sub(record.charge());
            match record {
                Record::Message { interests, .. } => {
                    self.lost.1 += 1;
                    counts.extend(interests.iter().map(|it| (*it, 0)));
                }
                Record::Gap { missed, .. } => counts.extend(missed.iter().map(|(it, _)| (*it, 0))),
            }
        }
        let gaps: Vec<_> = chunks(counts).collect();
        // The peer starts afresh, so numbers may be skipped here but never used twice for two things.
        self.first = self.high;
        for missed in gaps.into_iter().rev() {
            let gap = Record::Gap { missed, exact: false };
            self.used += gap.charge();
            self.queue.push_front(gap);
        }
        self.cursor = 0;
    }

    /// Changes the room. Where it shrinks (an absent peer's share), what never left is counted as lost, the newest
    /// first. If that is not enough, what has left becomes a gap of unknown size, for the peer may have it.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
        while self.used > limit && self.first + self.queue.len() as u64 > self.high {
            let Some(record) = self.queue.pop_back() else { break };
            self.used = self.used.saturating_sub(record.charge());
            let missed = match record {
                Record::Message { interests, .. } => {
                    self.lost.0 += 1;
                    interests.iter().map(|it| (*it, 1)).collect()
                }
                Record::Gap { missed, exact: true } => missed,
                // It must stay told as inexact, and it is small.
                gap @ Record::Gap { .. } => {
                    self.append(gap);
                    break;
                }
            };
            let open = self.open.get_or_insert_default();
            for (interest, count) in missed {
                open.count(interest, count);
            }
        }
        if self.used > limit {
            self.cut = None;
            self.blur((self.high - self.first).min(self.queue.len() as u64) as usize);
        }
        self.settle();
    }

    /// Appends bytes of the data lane to `buf`, up to `room` of them. `false`: nothing is left to send.
    pub fn poll_transmit(&mut self, buf: &mut Vec<u8>, room: usize) -> bool {
        let end = buf.len() + room;
        let begin = buf.len();
        while buf.len() < end {
            let Some(record) = self.queue.get(self.cursor) else { break };
            let cut = self.cut.get_or_insert_with(|| {
                let mut head = Vec::new();
                match record {
                    Record::Message { interests, body } => {
                        record::put_message_head(&mut head, interests, body.len());
                    }
                    Record::Gap { missed, exact } => record::put_gap(&mut head, missed, *exact),
                }
                Cut { head, sent: 0 }
            });
            self.high = self.high.max(self.first + self.cursor as u64 + 1);
            let body: &[u8] = match record {
                Record::Message { body, .. } => body,
                Record::Gap { .. } => &[],
            };
            for (part, from) in [(cut.head.as_slice(), 0), (body, cut.head.len())] {
                let done = cut.sent.saturating_sub(from).min(part.len());
                let rest = part.get(done..).unwrap_or_default();
                let take = rest.get(..rest.len().min(end - buf.len())).unwrap_or_default();
                buf.extend_from_slice(take);
                cut.sent += take.len();
            }
            if cut.sent == cut.head.len() + body.len() {
                self.cut = None;
                self.cursor += 1;
            }
        }
        buf.len() > begin
    }

    fn append(&mut self, record: Record) {
        self.used += record.charge();
        self.queue.push_back(record);
    }

    /// Makes the open gap a record once half of the room is free.
    fn settle(&mut self) {
        if !self.is_half_free() {
            return;
        }
        if let Some(Gap { counts, exact }) = self.open.take() {
            for missed in chunks(counts) {
                self.append(Record::Gap { missed, exact });
            }
        }
    }
}

/// Cuts counts into what one gap frame may carry.
fn chunks(counts: Counts) -> impl Iterator<Item = Vec<(Interest, u64)>> {
    let all: Vec<_> = counts.into_iter().collect();
    let parts: Vec<Vec<_>> = all.chunks(MAX_INTERESTS).map(<[_]>::to_vec).collect();
    parts.into_iter()
}

#[cfg(test)]
mod tests;
