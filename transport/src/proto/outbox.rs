//! What one peer is owed: numbered, bounded, unacknowledged records kept for the next link, losses counted.
//!
//! Every record has a number; the peer acknowledges numbers, and a new link resumes behind the last one that
//! the peer has. What does not fit is counted per interest in a gap. A gap stays open, and so unsent, until
//! half of the room is free again: few large gaps instead of many small ones, and one that has left never grows.
//!
//! A large message has no number while its pieces leave on the bulk lane, one message at a time: others pass it, but for
//! those of its own flow. With its last piece it becomes a record at the end of the queue, and they follow it.
//!
//! Small messages are put together as they leave when they are pushed: sending them copies bytes, and acknowledging them
//! gives back the memory of many at once, so that the lock around this is held shortly.

mod entry;
mod gap;
mod held;
mod leave;
mod resume;
mod run;

use std::collections::VecDeque;

pub use self::entry::RECORD_CHARGE;
use self::entry::{Entry, Large, Record};
use self::gap::{Gap, chunks};
use self::held::Held;
pub use self::leave::Piece;
use self::leave::{Bulk, Cut};
use self::run::Run;
pub use self::run::SMALL;
use super::record::{self, LARGE, MAX_INTERESTS, MEDIUM};
use crate::body::Body;
use crate::interest::{Interest, Interests};

/// Least room of an outbox, bytes; larger where the largest message asks for it ([`limit_for`]).
pub const MIN_LIMIT: usize = 4 * 1024 * 1024;

/// Room that large messages leave to others, bytes; a quarter of an outbox at most.
const RESERVE: usize = 1024 * 1024;

/// Room of an outbox for messages of up to `max_message` bytes: twice the largest and what that leaves to others, so
/// that one more fits while half is free. [`MIN_LIMIT`] at least.
pub const fn limit_for(max_message: usize) -> usize {
    let twice = 2 * (max_message + record::FRAME_OVERHEAD + RESERVE);
    if twice > MIN_LIMIT { twice } else { MIN_LIMIT }
}

/// The bounded queue to one peer. A hot machine: it sits under a short lock, and takes no clock.
#[derive(Debug)]
pub struct Outbox {
    limit: usize,
    used: usize,
    /// Number of the first frame that is owed; the others follow without holes.
    first: u64,
    /// The number that comes next.
    next: u64,
    queue: VecDeque<Entry>,
    /// How many records of the queue have left whole on this link; a run that others may join stays before it.
    cursor: usize,
    /// Of the record at the cursor.
    cut: Option<Cut>,
    /// Every number below this has left whole on this link.
    left: u64,
    /// Every number below this has left, at least in part, on some link.
    high: u64,
    /// Memory of a run that was acknowledged.
    spare: Option<Vec<u8>>,
    /// Losses that are not yet a record. While it is there, everything new is lost too.
    open: Option<Gap>,
    /// Messages that were queued and became a gap: counted, uncounted.
    lost: (u64, u64),
    /// Large messages without a number, and what waits behind them.
    held: Held,
    bulk: Bulk,
    /// Something that was held was queued since somebody asked.
    freed: bool,
    /// Large records from the cursor on.
    larges: usize,
}

impl Outbox {
    /// An empty outbox with room for `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            used: 0,
            first: 1,
            next: 1,
            queue: VecDeque::new(),
            cursor: 0,
            cut: None,
            left: 1,
            high: 1,
            spare: None,
            open: None,
            lost: (0, 0),
            held: Held::default(),
            bulk: Bulk::default(),
            freed: false,
            larges: 0,
        }
    }

    /// Whether a message of `body` bytes would be queued, and not counted as lost.
    pub fn has_room(&self, body: usize) -> bool {
        let reserve = if body > MEDIUM { RESERVE.min(self.limit / 4) } else { 0 };
        self.open.is_none() && self.used + body + RECORD_CHARGE + reserve <= self.limit
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
        self.queue.is_empty() && self.held.is_empty() && self.open.is_none()
    }

    /// Whether something could leave on the data lane now.
    pub fn has_unsent(&self) -> bool {
        match self.queue.get(self.cursor).map(|entry| &entry.record) {
            Some(Record::Run(_)) => self.left < self.next,
            // The frame of a large message follows its pieces.
            Some(Record::Large(_)) => self.bulk.whole,
            other => other.is_some(),
        }
    }

    /// Records that are not acknowledged, gaps included.
    pub fn unacknowledged(&self) -> u64 {
        self.next - self.first + self.held.len() as u64 + u64::from(self.open.is_some())
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

    /// A mark for [`Self::is_numbered`]: everything pushed so far.
    pub const fn mark(&self) -> u64 {
        self.held.newest()
    }

    /// Whether everything pushed before `mark` has a number: no large message of then waits any longer.
    pub fn is_numbered(&self, mark: u64) -> bool {
        self.held.oldest().is_none_or(|oldest| oldest > mark)
    }

    /// Whether [`Self::is_numbered`] may have changed since this was last asked.
    pub const fn take_freed(&mut self) -> bool {
        std::mem::replace(&mut self.freed, false)
    }

    /// The number that everything that is numbered or lost so far has or will have at most.
    pub fn last(&self) -> u64 {
        let gaps = self.open.as_ref().map_or(0, Gap::records);
        (self.next + gaps as u64).saturating_sub(1)
    }

    /// Whether the peer has everything up to `number`, counted losses included.
    pub fn is_acknowledged(&self, number: u64) -> bool {
        // What was merged into a gap may have taken higher numbers with it.
        self.first > number.min(self.last())
    }

    /// Queues a message, or counts it as lost where there is no room. `flow` names the order that must hold: messages of
    /// others may pass a large one. `false`: counted.
    pub fn push(&mut self, interests: &Interests, flow: u64, body: &Body) -> bool {
        if body.len() <= SMALL {
            return self.push_small(interests, flow, body.parts());
        }
        if !self.has_room_for(interests, flow, body.len()) {
            return false;
        }
        for part in interests.chunks(MAX_INTERESTS) {
            let interests = part.into();
            let record = if body.len() > LARGE {
                Record::Large(Box::new(Large { interests, body: body.clone() }))
            } else {
                Record::Message { interests, body: body.clone() }
            };
            self.append(flow, record);
        }
        true
    }

    /// The same for a body in two parts of [`SMALL`] bytes in all, at most, which is copied.
    pub fn push_small(&mut self, interests: &Interests, flow: u64, body: [&[u8]; 2]) -> bool {
        if !self.has_room_for(interests, flow, body.iter().map(|part| part.len()).sum()) {
            return false;
        }
        let held = self.held.holds(flow);
        for part in interests.chunks(MAX_INTERESTS) {
            if held {
                self.append(flow, Record::Message { interests: part.into(), body: Body::copied(body) });
            } else {
                self.run(part, body);
            }
        }
        true
    }

    /// Whether it fits; counts it as lost where it does not.
    fn has_room_for(&mut self, interests: &Interests, flow: u64, body: usize) -> bool {
        let fits = self.has_room(body + 16 * interests.len());
        if !fits {
            if body > MEDIUM {
                // Others may still fit.
                self.refuse(interests, flow);
            } else {
                self.lose(interests);
            }
        }
        fits
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
    pub fn refuse(&mut self, interests: &[Interest], flow: u64) {
        if !self.has_room(24 * interests.len()) {
            self.lose(interests);
            return;
        }
        for part in interests.chunks(MAX_INTERESTS) {
            let missed = part.iter().map(|interest| (*interest, 1)).collect();
            self.miss(flow, missed);
        }
    }

    /// The peer has everything up to `number`.
    pub fn acknowledge(&mut self, number: u64) {
        // Only what has left whole can be acknowledged: a peer that claims more is not believed.
        let first = self.left.min(number.saturating_add(1));
        if first > self.first {
            self.first = first;
            while let Some(entry) = self.queue.front()
                && entry.end() <= first
            {
                self.pop_front();
            }
            self.trim_front();
        }
        self.settle();
    }

    /// Takes the front off the queue.
    fn pop_front(&mut self) {
        let Some(Entry { record, .. }) = self.queue.pop_front() else { return };
        self.used = self.used.saturating_sub(record.charge());
        match self.cursor.checked_sub(1) {
            Some(cursor) => self.cursor = cursor,
            // A run that others might have joined.
            None => self.cut = None,
        }
        if let Record::Run(run) = record {
            self.spare = self.spare.take().or_else(|| run.into_spare());
        }
    }

    /// Takes off what is not owed of a run in front.
    fn trim_front(&mut self) {
        if let Some(Entry { start, record: Record::Run(run) }) = self.queue.front_mut() {
            let count = self.first.saturating_sub(*start);
            let bytes = run.pop_front(count);
            self.used = self.used.saturating_sub(bytes + run::CHARGE * count as usize);
            *start += count;
        }
    }

    /// Behind all that is queued; a large message, and what must not pass one, is held instead.
    fn append(&mut self, flow: u64, record: Record) {
        if record.is_large() || self.held.holds(flow) {
            self.used += record.charge();
            self.held.push(flow, record);
        } else {
            self.enqueue(record);
        }
    }

    /// Numbers a record.
    fn enqueue(&mut self, record: Record) {
        match record {
            Record::Message { interests, body } if body.len() <= SMALL => self.run(&interests, body.parts()),
            record => self.enqueue_apart(record),
        }
    }

    /// Numbers a record that joins no other.
    fn enqueue_apart(&mut self, record: Record) {
        self.used += record.charge();
        // A run at the cursor that has left whole can be joined no longer.
        if self.left == self.next && self.cursor < self.queue.len() {
            self.turn();
        }
        let start = self.next;
        self.next += record.count();
        self.queue.push_back(Entry { start, record });
    }

    /// Numbers a small message: in the last run, where it takes it.
    fn run(&mut self, interests: &[Interest], body: [&[u8]; 2]) {
        let len = body.iter().map(|part| part.len()).sum();
        if let Some(Entry { record: Record::Run(run), .. }) = self.queue.back_mut()
            && run.has_room(interests.len(), len)
        {
            self.next += 1;
            self.used += run::CHARGE + run.push(interests, body);
            return;
        }
        let mut run = Run::new(self.spare.take());
        run.push(interests, body);
        self.enqueue_apart(Record::Run(run));
    }

    /// An exact loss behind all of its flow; one that has not left yet takes more.
    fn miss(&mut self, flow: u64, missed: Vec<(Interest, u64)>) {
        let last = match self.held.back_mut(flow) {
            None if self.next > self.high => self.queue.back_mut().map(|entry| &mut entry.record),
            held => held,
        };
        if let Some(Record::Gap { missed: known, exact: true }) = last
            && known.iter().map(|(interest, _)| interest).eq(missed.iter().map(|(interest, _)| interest))
        {
            for ((_, known), (_, more)) in known.iter_mut().zip(missed) {
                *known = known.saturating_add(more);
            }
        } else {
            self.append(flow, Record::Gap { missed, exact: true });
        }
    }

    /// Makes the open gap a record once half of the room is free and all that was pushed before it is queued.
    fn settle(&mut self) {
        if !self.is_half_free() || !self.held.is_empty() {
            return;
        }
        if let Some(Gap { counts, exact }) = self.open.take() {
            for missed in chunks(counts) {
                let gap = Record::Gap { missed, exact };
                self.enqueue_apart(gap);
            }
        }
    }
}

#[cfg(test)]
mod tests;
