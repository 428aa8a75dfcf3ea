//! Bytes as decisions: which input comes next, and with what.

use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use arbitrary::Unstructured;
use talkie_discovery::NodeId;

/// Decisions, until the bytes are used up; then all of them are 0.
#[derive(Debug)]
pub struct Feed<'a>(Unstructured<'a>);

impl<'a> Feed<'a> {
    /// Of these bytes.
    pub fn new(data: &'a [u8]) -> Self {
        Self(Unstructured::new(data))
    }

    /// Whether there is anything left.
    pub fn more(&self) -> bool {
        !self.0.is_empty()
    }

    /// Any byte.
    pub fn byte(&mut self) -> u8 {
        self.0.arbitrary().unwrap_or_default()
    }

    /// Yes or no.
    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// 0 to `n - 1`.
    pub fn below(&mut self, n: usize) -> usize {
        usize::from(self.byte()) % n
    }

    /// A number, most often a small one, and else one where numbers end.
    pub fn number(&mut self) -> u64 {
        match self.byte() {
            small @ 0..240 => u64::from(small),
            240..248 => self.0.arbitrary().unwrap_or_default(),
            near @ 248.. => u64::MAX - u64::from(near - 248),
        }
    }

    /// Up to `most` bytes.
    pub fn bytes(&mut self, most: usize) -> &'a [u8] {
        let len = self.below(most + 1).min(self.0.len());
        self.0.bytes(len).unwrap_or_default()
    }

    /// All that is left.
    pub fn rest(self) -> &'a [u8] {
        self.0.take_rest()
    }

    /// A time that passes: most often milliseconds, sometimes minutes.
    pub fn pause(&mut self) -> Duration {
        match self.byte() {
            short @ 0..192 => Duration::from_millis(u64::from(short)),
            long @ 192..248 => Duration::from_millis(250 * u64::from(long - 191)),
            over @ 248.. => Duration::from_secs(60 * u64::from(over - 247)),
        }
    }
}

/// When all of it begins.
pub fn begin() -> Instant {
    static BEGIN: OnceLock<Instant> = OnceLock::new();
    *BEGIN.get_or_init(Instant::now)
}

/// A node.
pub fn node(n: usize) -> NodeId {
    NodeId::from_bytes([n as u8; NodeId::LEN])
}

/// Its address.
pub fn addr(n: usize) -> SocketAddr {
    SocketAddr::new(IpAddr::from([10, 0, 0, n as u8]), 8255)
}
