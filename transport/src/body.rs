//! Noun: what a message carries.

use bytes::{BufMut, Bytes, BytesMut};

/// A message's body, in one part or in two: what stands before a large payload need not be copied together with it.
/// The receiver gets it in one. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Body {
    head: Bytes,
    tail: Bytes,
}

impl Body {
    /// A body that is `head` and then `tail`.
    pub const fn new(head: Bytes, tail: Bytes) -> Self {
        Self { head, tail }
    }

    /// Two parts, copied into one.
    pub fn copied(parts: [&[u8]; 2]) -> Self {
        Self::new(parts.concat().into(), Bytes::new())
    }

    /// Bytes in all.
    pub const fn len(&self) -> usize {
        self.head.len() + self.tail.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The two parts; where it is in one, the second is empty.
    pub fn parts(&self) -> [&[u8]; 2] {
        [&self.head, &self.tail]
    }

    /// In one part; copied only where it is in two.
    pub fn joined(&self) -> Bytes {
        if self.tail.is_empty() {
            return self.head.clone();
        }
        let mut whole = BytesMut::with_capacity(self.len());
        whole.put_slice(&self.head);
        whole.put_slice(&self.tail);
        whole.freeze()
    }

    /// Appends up to `most` bytes from `at` on to `buf`.
    pub(crate) fn read(&self, at: usize, most: usize, buf: &mut Vec<u8>) {
        let in_head = self.head.get(at..).unwrap_or_default();
        let in_head = in_head.get(..most).unwrap_or(in_head);
        buf.extend_from_slice(in_head);
        let most = most - in_head.len();
        let in_tail = self.tail.get(at.saturating_sub(self.head.len())..).unwrap_or_default();
        buf.extend_from_slice(in_tail.get(..most).unwrap_or(in_tail));
    }
}

/// What is pushed to peers.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_enums, reason = "there is nothing between copied and shared")]
pub enum Parcel<'a> {
    /// Two parts of [`SMALL`](crate::SMALL) bytes in all, at most; copied for each peer.
    Small([&'a [u8]; 2]),
    /// Shared by all peers.
    Shared(&'a Body),
}

impl Parcel<'_> {
    /// Bytes in all.
    pub fn len(&self) -> usize {
        match self {
            Self::Small(parts) => parts.iter().map(|part| part.len()).sum(),
            Self::Shared(body) => body.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// In one part.
    pub fn joined(&self) -> Bytes {
        match self {
            Self::Small(parts) => parts.concat().into(),
            Self::Shared(body) => body.joined(),
        }
    }
}

impl<'a> From<&'a Body> for Parcel<'a> {
    fn from(body: &'a Body) -> Self {
        Self::Shared(body)
    }
}

impl From<Bytes> for Body {
    fn from(whole: Bytes) -> Self {
        Self::new(whole, Bytes::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_part_of_two_parts_reads_as_of_one() {
        let body = Body::new(Bytes::from_static(b"head"), Bytes::from_static(b"and tail"));
        let whole = body.joined();
        assert_eq!((&whole[..], body.len()), (&b"headand tail"[..], 12));
        for at in 0..=12 {
            for most in 0..=14 {
                let mut buf = vec![1];
                body.read(at, most, &mut buf);
                assert_eq!(buf[1..], whole[at..(at + most).min(12)], "{most} from {at}");
            }
        }
        assert_eq!(Body::from(whole.clone()).joined().as_ptr(), whole.as_ptr(), "one part is not copied");
    }
}
