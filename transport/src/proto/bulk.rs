//! The bulk lane of one link: large messages in pieces, one message at a time, and how many bytes may be under way.
//!
//! A piece is `total varint · offset varint · bytes`. What is under way stands in buffers in front of every small
//! message that follows, so the sender keeps it small, and the receiver tells how much it has taken.

use std::time::Duration;

use bytes::{Buf, Bytes};

use super::record::{Varint, peek_varint};

/// Most bytes of one message under way before any of it was taken: what a receiver holds without having room for all.
pub const FIRST: usize = 64 * 1024;
/// Bytes under way on a link at first, and where its round trip is short: two pieces, one of which is sealed while the
/// other is opened.
pub const MIN_WINDOW: usize = 64 * 1024;
/// Most bytes under way on one link: what a gigabit a second carries in 8 ms.
pub const MAX_WINDOW: usize = 1024 * 1024;
/// What was taken is told after this many bytes: half of what may be under way at first.
pub const TELL_AFTER: u64 = 32 * 1024;

/// A piece of a large message breaks the rules. The link ends with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PieceError {
    /// Cut off, empty, or numbers that are none.
    #[error("a piece of a large message is malformed")]
    Malformed,
    /// The message is longer than this node takes.
    #[error("a large message of {given} bytes is over the limit of {limit}")]
    TooLarge {
        /// What the piece claims, bytes.
        given: u64,
        /// What is accepted, bytes.
        limit: usize,
    },
    /// Two pieces of one message claim different lengths.
    #[error("the pieces of a large message say {was} bytes and then {now}")]
    Unsteady {
        /// The first one's claim, bytes.
        was: usize,
        /// The later one's, bytes.
        now: u64,
    },
    /// A piece does not begin where the last one ended.
    #[error("a piece of a large message is out of place: at {given} instead of {expected}")]
    OutOfPlace {
        /// Where it claims to begin, bytes.
        given: u64,
        /// Where the last one ended, bytes.
        expected: usize,
    },
    /// A piece goes beyond the end of its message.
    #[error("a piece of a large message goes beyond its end")]
    Beyond,
    /// More came than may be under way.
    #[error("pieces of large messages came faster than they were taken")]
    Flood,
    /// A message is to be delivered of which not all has come.
    #[error("a large message is to be delivered that is not there")]
    Absent,
    /// It made no headway while others waited for room.
    #[error("a large message stood still while others waited")]
    Stalled,
}

/// Puts large messages together, one at a time: length before memory.
#[derive(Debug)]
pub struct Assembly {
    limit: usize,
    slot: Option<Slot>,
    /// Bytes had on this link, and how many of them were told.
    had: u64,
    told: u64,
}

#[derive(Debug)]
struct Slot {
    total: usize,
    body: Vec<u8>,
    /// There is room for all of it.
    granted: bool,
}

impl Assembly {
    /// For messages of up to `limit` bytes.
    pub const fn new(limit: usize) -> Self {
        Self { limit, slot: None, had: 0, told: 0 }
    }

    /// Takes the content of a bulk record.
    ///
    /// # Errors
    /// The piece breaks the rules; no memory was spent on it.
    pub fn push(&mut self, mut piece: &[u8]) -> Result<(), PieceError> {
        let (total, at) = (take(&mut piece)?, take(&mut piece)?);
        if total > self.limit as u64 {
            return Err(PieceError::TooLarge { given: total, limit: self.limit });
        }
        let (was, expected, granted) = match &self.slot {
            Some(slot) => (slot.total, slot.body.len(), slot.granted),
            // What may be under way anyway needs no room of its own.
            None => (total as usize, 0, total <= FIRST as u64),
        };
        if total != was as u64 {
            return Err(PieceError::Unsteady { was, now: total });
        }
        if at != expected as u64 {
            return Err(PieceError::OutOfPlace { given: at, expected });
        }
        if piece.is_empty() {
            return Err(PieceError::Malformed);
        }
        let len = expected + piece.len();
        if len > was {
            return Err(PieceError::Beyond);
        }
        self.had += piece.len() as u64;
        if self.had - self.told > MAX_WINDOW as u64 || (!granted && len > FIRST) {
            return Err(PieceError::Flood);
        }
        let slot = self.slot.get_or_insert_with(|| {
            let body = Vec::with_capacity(was.min(FIRST));
            Slot { total: was, body, granted }
        });
        slot.body.extend_from_slice(piece);
        Ok(())
    }

    /// Bytes that the message needs room for, while it has none; until then no more of it is asked for.
    pub fn wanted(&self) -> Option<usize> {
        self.slot.as_ref().filter(|slot| !slot.granted).map(|slot| slot.total)
    }

    /// There is room for what was [`wanted`](Self::wanted).
    pub fn handle_granted(&mut self) {
        if let Some(slot) = &mut self.slot {
            slot.granted = true;
            // All at once: growing step by step would copy it, which takes milliseconds.
            slot.body.reserve_exact(slot.total - slot.body.len());
        }
    }

    /// Whether a message is here that was not delivered yet, whole or not: bytes had on this link, which grow while it
    /// makes headway.
    pub fn pending(&self) -> Option<u64> {
        self.slot.as_ref().map(|_| self.had)
    }

    /// Whether a message has begun and is not whole.
    pub fn is_unfinished(&self) -> bool {
        self.slot.as_ref().is_some_and(|slot| slot.body.len() < slot.total)
    }

    /// Bytes taken on this link, when it is time to tell.
    pub fn poll_taken(&mut self) -> Option<u64> {
        // A message without room waits; the ones before it were taken all the same.
        let waiting =
            self.slot.as_ref().filter(|slot| !slot.granted).map_or(0, |slot| slot.body.len() as u64);
        let taken = self.had - waiting;
        if taken - self.told < TELL_AFTER && (taken == self.told || self.is_unfinished()) {
            return None;
        }
        self.told = taken;
        Some(taken)
    }

    /// The message, which is whole.
    ///
    /// # Errors
    /// It is not.
    pub fn take(&mut self) -> Result<Bytes, PieceError> {
        match self.slot.take_if(|slot| slot.body.len() == slot.total) {
            Some(slot) => Ok(slot.body.into()),
            None => Err(PieceError::Absent),
        }
    }
}

fn take(piece: &mut &[u8]) -> Result<u64, PieceError> {
    match peek_varint(piece) {
        Varint::Whole(value, len) => {
            piece.advance(len);
            Ok(value)
        }
        Varint::Partial | Varint::TooLong => Err(PieceError::Malformed),
    }
}

/// How many bytes of large messages may leave: what the other side has not taken yet is bounded.
#[derive(Debug)]
pub struct Window {
    size: u64,
    sent: u64,
    taken: u64,
    /// What was sent before the present message.
    start: u64,
}

impl Window {
    /// Up to `size` bytes under way, [`MAX_WINDOW`] at most.
    pub fn new(size: usize) -> Self {
        Self { size: size.min(MAX_WINDOW) as u64, sent: 0, taken: 0, start: 0 }
    }

    /// The shortest round-trip time of the link: as much may be under way as a gigabit a second carries meanwhile, a
    /// byte in 8 ns.
    pub fn handle_rtt(&mut self, best: Duration) {
        self.size = ((best.as_nanos() / 8) as u64).clamp(MIN_WINDOW as u64, MAX_WINDOW as u64);
    }

    /// Bytes that may leave now.
    pub fn room(&self) -> usize {
        let room = self.size.saturating_sub(self.sent - self.taken);
        let first = (FIRST as u64).saturating_sub(self.sent - self.start);
        let room = if self.taken > self.start { room } else { room.min(first) };
        room as usize
    }

    /// Bytes that were sent and not taken yet.
    pub const fn under_way(&self) -> u64 {
        self.sent - self.taken
    }

    /// A piece of `len` bytes leaves, `last` of its message or not.
    pub fn handle_sent(&mut self, len: usize, last: bool) {
        self.sent += len as u64;
        if last {
            self.start = self.sent;
        }
    }

    /// The other side has taken so many bytes on this link.
    pub fn handle_taken(&mut self, taken: u64) {
        // Only what was sent can be taken: a peer that claims more is not believed.
        self.taken = self.taken.max(taken.min(self.sent));
    }
}

#[cfg(test)]
mod tests;
