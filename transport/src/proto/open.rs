//! Bytes from the wire to record contents and data frames: length before memory, cipher before meaning.

use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use snow::StatelessTransportState;

use super::record::{HEADER, Lane, MAX_CONTENT, RecordError, TAG, Varint, peek_varint};

/// Opens the records of one direction of one link.
pub struct Open {
    keys: Arc<StatelessTransportState>,
    nonce: u64,
    content: Vec<u8>,
}

impl Open {
    /// Begins a direction with `keys` fresh from a handshake.
    pub const fn new(keys: Arc<StatelessTransportState>) -> Self {
        Self { keys, nonce: 0, content: Vec::new() }
    }

    /// Takes the next whole record off `wire` and opens it. `None`: more bytes are needed.
    ///
    /// # Errors
    /// A record that is too short or does not authenticate: nothing behind it can be trusted.
    pub(crate) fn next(&mut self, wire: &mut BytesMut) -> Result<Option<(Lane, &[u8])>, RecordError> {
        let Some((head, rest)) = wire.split_at_checked(HEADER) else { return Ok(None) };
        let len = usize::from(u16::from_be_bytes([
            head.first().copied().unwrap_or_default(),
            head.get(1).copied().unwrap_or_default(),
        ]));
        if len < TAG + 1 {
            return Err(RecordError::TooShort(len));
        }
        let Some(sealed) = rest.get(..len) else { return Ok(None) };
        // ring decrypts in place, so the buffer must hold the tag too.
        if self.content.len() < len {
            self.content.resize(len, 0);
        }
        let out = self.content.get_mut(..len).unwrap_or_default();
        let plain = self.keys.read_message(self.nonce, sealed, out).map_err(|_| RecordError::Forged)?;
        self.nonce = self.nonce.checked_add(1).ok_or(RecordError::Exhausted)?;
        wire.advance(HEADER + len);
        let content = self.content.get(..plain).unwrap_or_default();
        match content.split_first() {
            Some((0, rest)) => Ok(Some((Lane::Control, rest))),
            Some((1, rest)) => Ok(Some((Lane::Data, rest))),
            Some((2, rest)) => Ok(Some((Lane::Bulk, rest))),
            Some((other, _)) => Err(RecordError::UnknownLane(*other)),
            None => Err(RecordError::TooShort(len)),
        }
    }
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Open").field("nonce", &self.nonce).finish_non_exhaustive()
    }
}

/// Below this a frame is copied out of the stream, so that a small message that somebody keeps does not hold a
/// whole buffer in memory.
const COPY_BELOW: usize = 64 * 1024;

/// Puts the data lane's byte stream together again. Holds at most one frame's bytes and one record's.
#[derive(Debug)]
pub struct Reassembly {
    stream: BytesMut,
    limit: usize,
}

impl Reassembly {
    /// Frames of up to `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { stream: BytesMut::new(), limit }
    }

    /// Appends the content of a data record.
    pub fn push(&mut self, content: &[u8]) {
        self.stream.extend_from_slice(content);
    }

    /// The next whole frame, without its length. `None`: more bytes are needed.
    ///
    /// # Errors
    /// A frame that claims to be over the limit, before any memory is spent on it.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, RecordError> {
        let (len, head) = match peek_varint(&self.stream) {
            Varint::Whole(len, head) => (len, head),
            Varint::Partial => {
                self.let_go();
                return Ok(None);
            }
            Varint::TooLong => return Err(RecordError::Malformed),
        };
        if len > self.limit as u64 {
            return Err(RecordError::TooLarge { given: len, limit: self.limit });
        }
        let len = len as usize;
        if self.stream.len() < head + len {
            return Ok(None);
        }
        self.stream.advance(head);
        if len < COPY_BELOW {
            let frame = Bytes::copy_from_slice(self.stream.get(..len).unwrap_or_default());
            self.stream.advance(len);
            Ok(Some(frame))
        } else {
            Ok(Some(self.stream.split_to(len).freeze()))
        }
    }

    /// A large frame's buffer is given back once it is empty: idle links are many.
    fn let_go(&mut self) {
        if self.stream.is_empty() && self.stream.capacity() > 2 * MAX_CONTENT {
            self.stream = BytesMut::new();
        }
    }
}
