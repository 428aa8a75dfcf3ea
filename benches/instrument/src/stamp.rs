//! What a message carries in its first bytes.

use crate::pacer::Turn;

/// Bytes of a stamp, and so the smallest payload that can be measured.
pub const STAMP_BYTES: usize = 24;

/// What a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Not counted: caches, connections and the scheduler settle.
    WarmUp,
    /// Counted.
    Counted,
    /// The last message of a round; its number is how many were counted.
    End,
}

/// A message's number and times. 24 bytes, big endian: kind (1) and number (7), due (8), sent (8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// What the message is for.
    pub kind: Kind,
    /// From 0 in each round, at most 2^56 - 1.
    pub number: u64,
    /// When it was due, by the publisher's [`now_ns`](crate::now_ns); 0 where nothing was scheduled.
    pub due_ns: u64,
    /// Just before the call that published it.
    pub sent_ns: u64,
}

/// The numbers that fit beside the kind.
const NUMBER: u64 = (1 << 56) - 1;

impl Stamp {
    /// A counted message whose turn it is.
    pub fn of(turn: &Turn) -> Self {
        Self { kind: Kind::Counted, number: turn.number, due_ns: turn.due_ns, sent_ns: turn.sent_ns }
    }

    /// Writes it over the first bytes of a payload; a payload under [`STAMP_BYTES`] stays as it is.
    pub fn write(&self, payload: &mut [u8]) {
        let Some(head) = payload.first_chunk_mut::<STAMP_BYTES>() else { return };
        let kind = match self.kind {
            Kind::WarmUp => 1u64,
            Kind::Counted => 2,
            Kind::End => 3,
        };
        let words = [kind << 56 | self.number & NUMBER, self.due_ns, self.sent_ns];
        for (place, word) in head.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_be_bytes());
        }
    }

    /// Reads it; `None`: the payload bears none.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let [first, due_ns, sent_ns] = words(payload.first_chunk::<STAMP_BYTES>()?);
        let kind = match first >> 56 {
            1 => Kind::WarmUp,
            2 => Kind::Counted,
            3 => Kind::End,
            _ => return None,
        };
        Some(Self { kind, number: first & NUMBER, due_ns, sent_ns })
    }
}

fn words(head: &[u8; STAMP_BYTES]) -> [u64; 3] {
    let mut words = [0; 3];
    for (word, bytes) in words.iter_mut().zip(head.chunks_exact(8)) {
        *word = bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for kind in [Kind::WarmUp, Kind::Counted, Kind::End] {
            let stamp = Stamp { kind, number: 0x12_3456_789a_bcde, due_ns: u64::MAX, sent_ns: 5 };
            let mut payload = [0xff; 30];
            stamp.write(&mut payload);
            assert_eq!(Stamp::read(&payload), Some(stamp));
            assert_eq!(payload[24..], [0xff; 6]);
        }
        assert_eq!(Stamp::read(&[2; 23]), None, "too short");
        assert_eq!(Stamp::read(&[9; 24]), None, "no stamp");
    }
}
