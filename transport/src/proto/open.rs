//! Bytes from the wire to record contents and data frames: length before memory, cipher before meaning.

use std::collections::VecDeque;
use std::ops::Deref;

use bytes::{Buf, Bytes, BytesMut};

use super::cipher::{Cipher, Direction, LinkKey};
use super::record::{HEADER, Lane, RecordError, TAG, Varint, peek_varint};

/// Opens the records of one direction of one link.
#[derive(Debug)]
pub struct Open(Direction);

impl Open {
    /// Begins a direction with a key fresh from a handshake.
    ///
    /// # Errors
    /// [`RecordError::Exhausted`] where the cipher does not take the key, which cannot be.
    pub fn new(cipher: Cipher, key: &LinkKey) -> Result<Self, RecordError> {
        Direction::new(cipher, key).map(Self)
    }

    /// Takes the next whole record off `wire` and opens it where it stands. `None`: more bytes are needed.
    ///
    /// # Errors
    /// A record that is too short or does not authenticate: nothing behind it can be trusted.
    pub(crate) fn next(&mut self, wire: &mut BytesMut) -> Result<Option<(Lane, BytesMut)>, RecordError> {
        let Some((head, rest)) = wire.split_at_checked(HEADER) else { return Ok(None) };
        let len = usize::from(u16::from_be_bytes([
            head.first().copied().unwrap_or_default(),
            head.get(1).copied().unwrap_or_default(),
        ]));
        if len < TAG + 1 {
            return Err(RecordError::TooShort(len));
        }
        if rest.len() < len {
            return Ok(None);
        }
        let mut record = wire.split_to(HEADER + len);
        record.advance(HEADER);
        let plain = self.0.open(&mut record)?;
        record.truncate(plain);
        match record.try_get_u8() {
            Ok(0) => Ok(Some((Lane::Control, record))),
            Ok(1) => Ok(Some((Lane::Data, record))),
            Ok(2) => Ok(Some((Lane::Bulk, record))),
            Ok(other) => Err(RecordError::UnknownLane(other)),
            Err(_) => Err(RecordError::TooShort(len)),
        }
    }

    /// Opens one record's ciphertext and tag where they stand; how many bytes are content, the lane included.
    ///
    /// # Errors
    /// It does not authenticate.
    pub fn open(&mut self, sealed: &mut [u8]) -> Result<usize, RecordError> {
        self.0.open(sealed)
    }
}

/// Cuts the data lane's byte stream into frames. Holds at most one frame's bytes and one record's.
#[derive(Debug)]
pub struct Reassembly {
    /// A record's content where it was read.
    content: BytesMut,
    /// Bytes of its front that were given out.
    given: usize,
    /// A frame that began in an earlier record, with room for all of it.
    partial: BytesMut,
    limit: usize,
}

/// A whole frame, without its length.
#[derive(Debug)]
pub enum Frame<'a> {
    /// Where it was read, among others.
    Lent(&'a [u8]),
    /// In memory of its own, since it came in parts.
    Own(BytesMut),
}

impl Deref for Frame<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Lent(bytes) => bytes,
            Self::Own(bytes) => bytes,
        }
    }
}

impl Reassembly {
    /// Frames of up to `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { content: BytesMut::new(), given: 0, partial: BytesMut::new(), limit }
    }

    /// The content of the next data record. All whole frames of the one before must have been taken.
    pub fn push(&mut self, content: BytesMut) {
        debug_assert!(self.content.len() == self.given, "frames are taken before more is read");
        (self.content, self.given) = (content, 0);
    }

    /// Gives back the memory of what was taken whole.
    pub fn release(&mut self) {
        if self.content.len() == self.given {
            (self.content, self.given) = (BytesMut::new(), 0);
        }
    }

    /// Whether nothing is left of what was pushed.
    pub fn is_empty(&self) -> bool {
        self.content.len() == self.given && self.partial.is_empty()
    }

    /// The next whole frame. `None`: more bytes are needed.
    ///
    /// # Errors
    /// A frame that claims to be over the limit, before any memory is spent on it.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, RecordError> {
        self.content.advance(std::mem::take(&mut self.given));
        while !self.partial.is_empty() {
            let (head, end) = self.measure(&self.partial)?.unwrap_or_default();
            // Until its length is there, byte by byte.
            let need = end.saturating_sub(self.partial.len()).max(usize::from(end == 0));
            if self.content.is_empty() && need > 0 {
                return Ok(None);
            }
            if end > self.partial.capacity() {
                self.partial.reserve(end - self.partial.len());
            }
            let more = self.content.split_to(need.min(self.content.len()));
            self.partial.extend_from_slice(&more);
            if end > 0 && self.partial.len() == end {
                let mut frame = std::mem::take(&mut self.partial);
                frame.advance(head);
                return Ok(Some(Frame::Own(frame)));
            }
        }
        match self.measure(&self.content)? {
            Some((head, end)) if end <= self.content.len() => {
                self.given = end;
                Ok(self.content.get(head..end).map(Frame::Lent))
            }
            measured => {
                // The memory that was read into is given back.
                self.partial = BytesMut::with_capacity(measured.map_or(0, |(_, end)| end));
                self.partial.extend_from_slice(&std::mem::take(&mut self.content));
                Ok(None)
            }
        }
    }

    /// How many bytes of the frame in front are its length, and how many it has in all; none where that is not there yet.
    fn measure(&self, bytes: &[u8]) -> Result<Option<(usize, usize)>, RecordError> {
        match peek_varint(bytes) {
            Varint::Whole(len, _) if len > self.limit as u64 => {
                Err(RecordError::TooLarge { given: len, limit: self.limit })
            }
            Varint::Whole(len, head) => Ok(Some((head, head + len as usize))),
            Varint::Partial => Ok(None),
            Varint::TooLong => Err(RecordError::Malformed),
        }
    }
}

/// Memory for bodies that are copied out of what was read. Small ones share a chunk, so that few of them ask the allocator;
/// a chunk is small, so that a message which somebody keeps does not hold much more than itself in memory.
///
/// A chunk of which nothing is kept any more is used again.
#[derive(Debug, Default)]
pub struct Copies {
    chunk: BytesMut,
    /// Chunks that are used up, the oldest first.
    used: VecDeque<BytesMut>,
}

/// Bytes of a chunk.
const CHUNK: usize = 1024;
/// Chunks that are remembered: those of some hundred messages, which are on their way to who reads them.
const CHUNKS: usize = 32;
/// Bodies of more bytes have memory of their own: at least eight share a chunk.
const SHARED: usize = 128;

impl Copies {
    /// The last `len` bytes of a frame in memory that may be kept: copied, but for a frame that has memory of its own.
    pub fn take(&mut self, frame: Frame<'_>, len: usize) -> Bytes {
        let at = frame.len().saturating_sub(len);
        match frame {
            Frame::Lent(bytes) => self.copy(bytes.get(at..).unwrap_or_default()),
            Frame::Own(mut bytes) => {
                bytes.advance(at);
                bytes.freeze()
            }
        }
    }

    /// `bytes` in memory that may be kept.
    pub fn copy(&mut self, bytes: &[u8]) -> Bytes {
        if bytes.len() > SHARED {
            return Bytes::copy_from_slice(bytes);
        }
        if self.chunk.capacity() < bytes.len() {
            self.turn();
        }
        self.chunk.extend_from_slice(bytes);
        self.chunk.split().freeze()
    }

    /// On to another chunk: the oldest, if nobody has anything of it, or a new one.
    fn turn(&mut self) {
        let free = self.used.front_mut().is_some_and(|oldest| oldest.try_reclaim(CHUNK));
        let oldest = if free || self.used.len() >= CHUNKS { self.used.pop_front() } else { None };
        let next = oldest.filter(|_| free).unwrap_or_else(|| BytesMut::with_capacity(CHUNK));
        let full = std::mem::replace(&mut self.chunk, next);
        if full.capacity() > 0 || !self.used.is_empty() {
            self.used.push_back(full);
        }
    }

    /// Gives back what is not in use.
    pub fn release(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_copied_stays_as_it_was() {
        let mut copies = Copies::default();
        let made: Vec<(Vec<u8>, Bytes)> = (0..2_000usize)
            .map(|n| {
                let bytes = vec![n as u8; n * 7 % 600];
                let copy = copies.copy(&bytes);
                (bytes, copy)
            })
            .collect();
        assert!(made.iter().all(|(bytes, copy)| bytes == copy));
    }

    #[test]
    fn frames_come_whole_however_the_stream_is_cut() {
        let frames: Vec<Vec<u8>> = (0..50usize).map(|n| vec![n as u8; n * 13 % 200]).collect();
        let mut stream = Vec::new();
        for frame in &frames {
            super::super::record::put_varint(&mut stream, frame.len() as u64);
            stream.extend_from_slice(frame);
        }
        for cut in 1..300 {
            let (mut reassembly, mut seen) = (Reassembly::new(1_000), Vec::new());
            for part in stream.chunks(cut) {
                reassembly.push(BytesMut::from(part));
                while let Some(frame) = reassembly.next_frame().expect("they are whole") {
                    seen.push(frame.to_vec());
                }
            }
            assert_eq!(seen, frames, "records of {cut} bytes");
        }
    }
}
