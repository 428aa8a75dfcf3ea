//! Record contents to bytes on the wire.

use super::cipher::{Cipher, Direction, LinkKey};
use super::record::{HEADER, MAX_CONTENT, RecordError, TAG};

/// Seals the records of one direction of one link.
#[derive(Debug)]
pub struct Seal(Direction);

impl Seal {
    /// Begins a direction with a key fresh from a handshake.
    ///
    /// # Errors
    /// [`RecordError::Exhausted`] where the cipher does not take the key, which cannot be.
    pub fn new(cipher: Cipher, key: &LinkKey) -> Result<Self, RecordError> {
        Direction::new(cipher, key).map(Self)
    }

    /// Appends `content` (1 to [`MAX_CONTENT`] bytes) as one sealed record to `wire`.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub fn seal(&mut self, content: &[u8], wire: &mut Vec<u8>) -> Result<(), RecordError> {
        let begin = Self::begin(wire);
        wire.extend_from_slice(content);
        self.finish(wire, begin)
    }

    /// Leaves room for a record's length; what is appended from here on is its content, until [`Self::finish`].
    pub fn begin(wire: &mut Vec<u8>) -> usize {
        let begin = wire.len();
        wire.extend_from_slice(&[0; HEADER]);
        begin
    }

    /// Seals where it stands what was appended since [`Self::begin`], which gave `begin`.
    ///
    /// # Errors
    /// [`RecordError::Exhausted`] where the content is too long or the counter has reached its end.
    pub fn finish(&mut self, wire: &mut Vec<u8>, begin: usize) -> Result<(), RecordError> {
        Self::end(wire);
        self.seal_record(wire.get_mut(begin..).unwrap_or_default())
    }

    /// Leaves room for a record's tag: it is whole, and can be sealed by [`Self::seal_record`].
    pub fn end(wire: &mut Vec<u8>) {
        wire.extend_from_slice(&[0; TAG]);
    }

    /// Seals a record that is whole where it stands.
    ///
    /// # Errors
    /// [`RecordError::Exhausted`] where it is no record, its content is too long, or the counter has reached its end.
    pub fn seal_record(&mut self, record: &mut [u8]) -> Result<(), RecordError> {
        let (header, rest) = record.split_first_chunk_mut::<HEADER>().ok_or(RecordError::Exhausted)?;
        let (content, tag) = rest.split_last_chunk_mut::<TAG>().ok_or(RecordError::Exhausted)?;
        if content.len() > MAX_CONTENT {
            return Err(RecordError::Exhausted);
        }
        *tag = self.0.seal(content)?;
        *header = ((content.len() + TAG) as u16).to_be_bytes();
        Ok(())
    }
}
