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
        let content = wire.get_mut(begin + HEADER..).unwrap_or_default();
        let sealed = content.len() + TAG;
        if content.len() > MAX_CONTENT {
            return Err(RecordError::Exhausted);
        }
        let tag = self.0.seal(content)?;
        wire.extend_from_slice(&tag);
        let header = wire.get_mut(begin..begin + HEADER).unwrap_or_default();
        header.copy_from_slice(&(sealed as u16).to_be_bytes());
        Ok(())
    }
}
