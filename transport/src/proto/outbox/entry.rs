//! What stands in an outbox.

use bytes::Bytes;

use crate::body::Body;
use crate::interest::{Interest, Interests};
use crate::proto::record;

/// What a record costs beside its bytes, so that empty messages are bounded too. An entry of the queue and its
/// share of the allocator take about this much.
pub const RECORD_CHARGE: usize = 128;

#[derive(Debug)]
pub(super) enum Record {
    Message { interests: Interests, body: Bytes },
    Large(Box<Large>),
    Gap { missed: Vec<(Interest, u64)>, exact: bool },
}

/// A message whose body goes in pieces on the bulk lane, before its frame.
#[derive(Debug)]
pub(super) struct Large {
    pub(super) interests: Interests,
    pub(super) body: Body,
}

impl Record {
    /// What it is charged, bytes.
    pub(super) fn charge(&self) -> usize {
        RECORD_CHARGE
            + match self {
                Self::Message { interests, body } => body.len() + 16 * interests.len(),
                Self::Large(large) => large.body.len() + 16 * large.interests.len(),
                Self::Gap { missed, .. } => 24 * missed.len(),
            }
    }

    /// Whether its body goes in pieces.
    pub(super) const fn is_large(&self) -> bool {
        matches!(self, Self::Large(_))
    }

    /// Whether it tells losses, and no message.
    pub(super) const fn is_gap(&self) -> bool {
        matches!(self, Self::Gap { .. })
    }

    /// Whom it is for; a gap that is already told as a loss gives none.
    pub(super) fn interests(&self) -> &[Interest] {
        match self {
            Self::Message { interests, .. } => interests,
            Self::Large(large) => &large.interests,
            Self::Gap { .. } => &[],
        }
    }

    /// Appends the frame of a message that is not large, if `buf` is then surely no longer than `end`. `false`: nothing was done.
    pub(super) fn put_whole(&self, buf: &mut Vec<u8>, end: usize) -> bool {
        let Self::Message { interests, body } = self else { return false };
        // A length, a kind, a count, and two numbers for each interest.
        if buf.len() + 10 + 1 + 10 + 20 * interests.len() + body.len() > end {
            return false;
        }
        record::put_message_head(buf, interests, body.len());
        buf.extend_from_slice(body);
        true
    }

    /// Its frame on the data lane, but for the body of a message that is not large.
    pub(super) fn head(&self) -> Vec<u8> {
        let mut head = Vec::new();
        match self {
            Self::Message { interests, body } => record::put_message_head(&mut head, interests, body.len()),
            Self::Large(large) => record::put_large(&mut head, &large.interests),
            Self::Gap { missed, exact } => record::put_gap(&mut head, missed, *exact),
        }
        head
    }
}
