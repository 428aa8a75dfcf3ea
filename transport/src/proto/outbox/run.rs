//! Frames of small messages that follow each other, as they leave: put together once, and sent, kept and sent again from
//! the same memory.

use crate::interest::Interest;
use crate::proto::record::{self, DataFrame, Varint, peek_varint};

/// Longest body that is copied into a run, bytes. A longer one is shared by all peers instead.
pub const SMALL: usize = 4 * 1024;
/// A run of so many bytes takes no more: it fits into one record of the wire with what is in front of it, and its memory is
/// given back as a whole.
const FULL: usize = 32 * 1024;
/// What a frame of a run is charged beside its bytes: so that what is read from one is bounded too.
pub(super) const CHARGE: usize = 16;
/// Memory of a run at first; it doubles.
const FEW: usize = 1024;
/// Bytes of memory that an emptied run may have to be used again by an idle peer's outbox.
const KEPT: usize = 4 * 1024;

/// Whole frames, numbered without holes.
#[derive(Debug, Default)]
pub(super) struct Run {
    bytes: Vec<u8>,
    /// Bytes of the front that are not owed any more.
    begin: usize,
    count: u64,
}

impl Run {
    /// An empty one; in memory that was used before, where there is some.
    pub(super) fn new(spare: Option<Vec<u8>>) -> Self {
        Self { bytes: spare.unwrap_or_else(|| Vec::with_capacity(FEW)), begin: 0, count: 0 }
    }

    /// How many frames are owed.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// Where the frames that are owed begin.
    pub(super) const fn begin(&self) -> usize {
        self.begin
    }

    /// Where they end.
    pub(super) fn end(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes from such a place on.
    pub(super) fn from(&self, at: usize) -> &[u8] {
        self.bytes.get(at..).unwrap_or_default()
    }

    /// Whether it takes a message with a body of so many bytes.
    pub(super) fn has_room(&self, interests: usize, body: usize) -> bool {
        // A length, a kind, a count, and two numbers for each interest.
        self.bytes.is_empty() || self.bytes.len() + 10 + 1 + 10 + 20 * interests + body <= FULL
    }

    /// Appends a message; how many bytes its frame has.
    pub(super) fn push(&mut self, interests: &[Interest], body: [&[u8]; 2]) -> usize {
        let before = self.bytes.len();
        record::put_message_head(&mut self.bytes, interests, body.iter().map(|part| part.len()).sum());
        body.into_iter().for_each(|part| self.bytes.extend_from_slice(part));
        self.count += 1;
        self.bytes.len() - before
    }

    /// Bytes of the frame that begins at such a place.
    pub(super) fn frame_len(&self, at: usize) -> Option<usize> {
        match peek_varint(self.from(at)) {
            Varint::Whole(len, head) => Some(head + len as usize),
            Varint::Partial | Varint::TooLong => None,
        }
    }

    /// Takes off the first `count` frames; how many bytes they had.
    pub(super) fn pop_front(&mut self, count: u64) -> usize {
        let before = self.begin;
        for _ in 0..count.min(self.count) {
            self.begin += self.frame_len(self.begin).unwrap_or_default();
            self.count -= 1;
        }
        self.begin - before
    }

    /// Keeps the first `count` frames only.
    pub(super) fn truncate(&mut self, count: u64) {
        let mut at = self.begin;
        for _ in 0..count.min(self.count) {
            at += self.frame_len(at).unwrap_or_default();
        }
        self.bytes.truncate(at);
        self.count = self.count.min(count);
    }

    /// The frames that are owed: for whom each is, and how many bytes it has.
    pub(super) fn frames(&self) -> impl Iterator<Item = (crate::interest::Interests, usize)> {
        let mut at = self.begin;
        std::iter::from_fn(move || {
            let (Varint::Whole(len, head), Some(frame)) = (peek_varint(self.from(at)), self.frame_len(at))
            else {
                return None;
            };
            let body = self.from(at).get(head..head + len as usize)?;
            at += frame;
            match record::parse_data(body) {
                Ok(DataFrame::Message { interests, .. }) => Some((interests, frame)),
                // What this node made itself is nothing else.
                _ => None,
            }
        })
    }

    /// Its memory, to be used again, where an idle peer's outbox may keep so much.
    pub(super) fn into_spare(mut self) -> Option<Vec<u8>> {
        self.bytes.clear();
        (self.bytes.capacity() <= KEPT).then_some(self.bytes)
    }
}
