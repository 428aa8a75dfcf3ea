//! What one peer is owed: numbered, bounded, unacknowledged records kept for the next link, losses counted.
//!
//! Every record has a number; the peer acknowledges numbers, and a new link resumes behind the last one that
//! the peer has. What does not fit is counted per interest in a gap. A gap stays open, and so unsent, until
//! half of the room is free again: few large gaps instead of many small ones, and one that has left never grows.
//!
//! A large message has no number while its pieces leave on the bulk lane, one message at a time: others pass it, but for
//! those of its own flow. With its last piece it becomes a record at the end of the queue, and they follow it.

mod entry;
mod gap;
mod held;

use std::collections::VecDeque;

pub use self::entry::RECORD_CHARGE;
use self::entry::{Large, Record};
use self::gap::{Counts, Gap, chunks};
use self::held::Held;
use super::record::{self, LARGE, MAX_INTERESTS, MAX_PIECE, MEDIUM};
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

/// The record that is on its way out: its head, and how much of head and body has left.
#[derive(Debug, Default)]
struct Cut {
    head: Vec<u8>,
    sent: usize,
}

/// What of the large message whose turn it is has left on this link.
#[derive(Debug, Default)]
struct Bulk {
    /// Its number, where it has one already: the first large record from the cursor on. Else it is the front of those
    /// that are held.
    number: Option<u64>,
    /// How many bytes of it have left.
    sent: usize,
    /// All have left; now its frame must, before another begins.
    whole: bool,
}

/// A piece of a large message that leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// How many bytes of the message are in it.
    pub len: usize,
    /// Whether it is the last of its message.
    pub last: bool,
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
            queue: VecDeque::new(),
            cursor: 0,
            cut: None,
            high: 1,
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
        // The frame of a large message follows its pieces.
        self.queue.get(self.cursor).is_some_and(|record| !record.is_large() || self.bulk.whole)
    }

    /// Records that are not acknowledged, gaps included.
    pub fn unacknowledged(&self) -> u64 {
        (self.queue.len() + self.held.len()) as u64 + u64::from(self.open.is_some())
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
        (self.first + self.queue.len() as u64 + gaps as u64).saturating_sub(1)
    }

    /// Whether the peer has everything up to `number`, counted losses included.
    pub fn is_acknowledged(&self, number: u64) -> bool {
        // What was merged into a gap may have taken higher numbers with it.
        self.first > number.min(self.last())
    }

    /// Queues a message, or counts it as lost where there is no room. `flow` names the order that must hold: messages of
    /// others may pass a large one. `false`: counted.
    pub fn push(&mut self, interests: &Interests, flow: u64, body: &Body) -> bool {
        let large = body.len() > LARGE;
        if !self.has_room(body.len() + 16 * interests.len()) {
            if body.len() > MEDIUM {
                // Others may still fit.
                self.refuse(interests, flow);
            } else {
                self.lose(interests);
            }
            return false;
        }
        for part in interests.chunks(MAX_INTERESTS) {
            let interests = part.into();
            let record = if large {
                Record::Large(Box::new(Large { interests, body: body.clone() }))
            } else {
                Record::Message { interests, body: body.joined() }
            };
            self.append(flow, record);
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
        self.rewind_bulk();
        self.first
    }

    /// Pieces leave again from the first one on, also those of messages that have a number already.
    fn rewind_bulk(&mut self) {
        self.larges = self.queue.range(self.cursor..).filter(|record| record.is_large()).count();
        self.next_bulk();
    }

    /// Turns to the next large message.
    fn next_bulk(&mut self) {
        let next = match self.larges {
            0 => None,
            _ => self.queue.range(self.cursor..).position(Record::is_large),
        };
        let number = next.map(|at| self.first + (self.cursor + at) as u64);
        self.bulk = Bulk { number, ..Bulk::default() };
    }

    /// Turns the first `left` records into one gap with no known size.
    fn blur(&mut self, left: usize) {
        let mut counts = Counts::new();
        for record in self.queue.drain(..left) {
            self.used = self.used.saturating_sub(record.charge());
            self.lost.1 += u64::from(!record.is_gap());
            counts.extend(record.interests().iter().map(|it| (*it, 0)));
            if let Record::Gap { missed, .. } = record {
                counts.extend(missed.iter().map(|(it, _)| (*it, 0)));
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

    /// Changes the room. Where it shrinks (an absent peer's share, while there is no link), what never left is counted as
    /// lost, the newest first. If that is not enough, what has left becomes a gap of unknown size, for the peer may have
    /// it.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
        if self.used > limit {
            self.shrink();
            if self.used > limit {
                self.cut = None;
                self.blur((self.high - self.first).min(self.queue.len() as u64) as usize);
            }
            self.rewind_bulk();
        }
        self.settle();
    }

    /// Counts what never left as lost, the newest first, until it fits or nothing of that is there.
    fn shrink(&mut self) {
        while self.used > self.limit {
            // What is held is younger than all that is queued of its flow.
            let unsent = self.first + self.queue.len() as u64 > self.high;
            let newest = match self.held.pop_newest() {
                None if unsent => self.queue.pop_back(),
                newest => newest,
            };
            let Some(record) = newest else { break };
            if let Record::Gap { exact: false, .. } = record {
                // It must stay told as inexact, and it is small.
                self.queue.push_back(record);
                break;
            }
            self.used = self.used.saturating_sub(record.charge());
            self.lost.0 += u64::from(!record.is_gap());
            let open = self.open.get_or_insert_default();
            record.interests().iter().for_each(|interest| open.count(*interest, 1));
            if let Record::Gap { missed, .. } = record {
                missed.into_iter().for_each(|(interest, count)| open.count(interest, count));
            }
        }
    }

    /// Appends bytes of the data lane to `buf`, up to `room` of them. `false`: nothing is left to send.
    pub fn poll_transmit(&mut self, buf: &mut Vec<u8>, room: usize) -> bool {
        let end = buf.len() + room;
        let begin = buf.len();
        while buf.len() < end && self.has_unsent() {
            let Some(record) = self.queue.get(self.cursor) else { break };
            if self.cut.is_none() && record.put_whole(buf, end) {
                self.cursor += 1;
                self.high = self.high.max(self.first + self.cursor as u64);
                continue;
            }
            let cut = self.cut.get_or_insert_with(|| Cut { head: record.head(), sent: 0 });
            self.high = self.high.max(self.first + self.cursor as u64 + 1);
            let body: &[u8] = match record {
                Record::Message { body, .. } => body,
                Record::Large(_) | Record::Gap { .. } => &[],
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
                if record.is_large() {
                    self.larges -= 1;
                    self.next_bulk();
                }
            }
        }
        buf.len() > begin
    }

    /// How many bytes the next piece of a large message has; none where none may leave now.
    pub fn next_piece(&self) -> Option<usize> {
        let rest = self.bulk_body()?.len() - self.bulk.sent;
        Some(rest.min(MAX_PIECE))
    }

    /// Appends the next piece of a large message, head included, to `buf`.
    pub fn poll_piece(&mut self, buf: &mut Vec<u8>) -> Option<Piece> {
        let len = self.next_piece()?;
        let (body, at) = (self.bulk_body()?, self.bulk.sent);
        record::put_piece_head(buf, body.len(), at);
        body.read(at, len, buf);
        let last = at + len == body.len();
        self.bulk.sent += len;
        self.bulk.whole = last;
        if last && self.bulk.number.is_none() {
            self.bulk.number = Some(self.first + self.queue.len() as u64);
            self.larges += 1;
            self.freed = true;
            self.queue.append(&mut self.held.pop());
            self.settle();
        }
        Some(Piece { len, last })
    }

    fn bulk_body(&self) -> Option<&Body> {
        let record = match self.bulk.number {
            _ if self.bulk.whole => return None,
            Some(number) => self.queue.get(number.checked_sub(self.first)? as usize)?,
            None => self.held.front()?,
        };
        let Record::Large(large) = record else { return None };
        Some(&large.body)
    }

    /// Behind all that is queued; a large message, and what must not pass one, is held instead.
    fn append(&mut self, flow: u64, record: Record) {
        self.used += record.charge();
        if record.is_large() || self.held.holds(flow) {
            self.held.push(flow, record);
        } else {
            self.queue.push_back(record);
        }
    }

    /// An exact loss behind all of its flow; one that has not left yet takes more.
    fn miss(&mut self, flow: u64, missed: Vec<(Interest, u64)>) {
        let number = self.first + self.queue.len() as u64;
        let last = match self.held.back_mut(flow) {
            None if number > self.high => self.queue.back_mut(),
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
                self.used += gap.charge();
                self.queue.push_back(gap);
            }
        }
    }
}

#[cfg(test)]
mod tests;
