//! Record contents to bytes on the wire.

use std::sync::Arc;

use snow::StatelessTransportState;

use super::record::{HEADER, MAX_CONTENT, RecordError, TAG};

/// Seals the records of one direction of one link. The counter is the nonce: no record is sealed under one twice.
///
/// Never re-keyed: 2^64 records of one link are out of reach, and each link has keys of its own.
pub struct Seal {
    keys: Arc<StatelessTransportState>,
    nonce: u64,
}

impl Seal {
    /// Begins a direction with `keys` fresh from a handshake.
    pub const fn new(keys: Arc<StatelessTransportState>) -> Self {
        Self { keys, nonce: 0 }
    }

    /// Appends `content` (1 to [`MAX_CONTENT`] bytes) as one sealed record to `wire`.
    ///
    /// # Errors
    /// [`RecordError::Exhausted`] where the content is too long or the counter has reached its end.
    pub fn seal(&mut self, content: &[u8], wire: &mut Vec<u8>) -> Result<(), RecordError> {
        if content.len() > MAX_CONTENT {
            return Err(RecordError::Exhausted);
        }
        let begin = wire.len();
        let sealed = content.len() + TAG;
        wire.extend_from_slice(&(sealed as u16).to_be_bytes());
        wire.resize(begin + HEADER + sealed, 0);
        let out = wire.get_mut(begin + HEADER..).unwrap_or_default();
        self.keys.write_message(self.nonce, content, out).map_err(|_| RecordError::Exhausted)?;
        self.nonce = self.nonce.checked_add(1).ok_or(RecordError::Exhausted)?;
        Ok(())
    }
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seal").field("nonce", &self.nonce).finish_non_exhaustive()
    }
}
