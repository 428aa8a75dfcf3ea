//! What a link carries, byte by byte: sealed records, their three lanes, and what is on each lane.
//!
//! A record is `length: u16 BE` and that many bytes of ciphertext. Its content begins with the lane:
//! control frames lie whole in one record and overtake data; the data lane is one byte stream that is cut
//! into records wherever a record is full; a record of the bulk lane is one piece of a large message.

use bytes::Buf;
use talkie_discovery::SecretMark;

use super::bulk::PieceError;
use crate::interest::{Interest, Interests};

/// Most plaintext of one record: Noise's 65,535 bytes less the 16 bytes of the tag.
pub const MAX_CONTENT: usize = 65_519;
/// Bytes of the Poly1305 tag.
pub const TAG: usize = 16;
/// Bytes of a record's clear length.
pub const HEADER: usize = 2;
/// Most interests in one frame; a message for more goes out as several frames.
pub const MAX_INTERESTS: usize = 1_024;
/// What a data frame may hold beside the largest message: its kind, its interests (20 bytes each at most), the topic
/// and the sequence number.
pub const FRAME_OVERHEAD: usize = 32 * 1024;
/// A message whose body is longer than this is large: it goes in pieces on the bulk lane, and others pass it. One of 64 KiB
/// and its envelope is not: it needs no word of the receiver to go on, which made it eight times as fast.
pub const LARGE: usize = 65 * 1024;
/// Messages of more bytes leave some room of an outbox to others, and stall apart from them.
pub const MEDIUM: usize = 32 * 1024;
/// Largest frame of the data lane: a body that is just not large, or a gap.
pub const MAX_FRAME: usize = LARGE + FRAME_OVERHEAD;
/// Most bytes of a large message in one piece: a small message behind it waits for about 20 µs of sealing.
pub const MAX_PIECE: usize = 32 * 1024;
/// Largest body of a control frame: it must lie in one record behind the lane, its kind and its length.
pub const MAX_CONTROL: usize = MAX_CONTENT - 4;

/// First byte of a record's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    Control = 0,
    Data = 1,
    Bulk = 2,
}

/// Kinds of control frames. Unknown ones are skipped, so that neighbouring versions work together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// What each side says of itself and of the session before the link is taken up.
    Hello = 1,
    /// The arbiter takes this link up: body is the link's number, varint.
    Adopt = 2,
    /// Generation and number of the first data frame to come on this link, two varints.
    Start = 3,
    /// Every data frame up to this number was handled: varint.
    Ack = 4,
    /// Asks for an acknowledgement as soon as everything up to this number was handled: varint.
    AckNow = 5,
    /// Asks for a [`Kind::Pong`] with the same body.
    Ping = 6,
    /// Answers a ping.
    Pong = 7,
    /// The link ends on purpose: one byte of [`Farewell`].
    Bye = 8,
    /// Belongs to the crate above.
    Above = 9,
    /// Nodes that the sender is linked to: [`super::members`].
    Members = 10,
    /// So many bytes of large messages were had on this link: varint.
    Taken = 11,
    /// The secrets that the sender accepts from now on: [`put_secrets`].
    Secrets = 12,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Hello,
            2 => Self::Adopt,
            3 => Self::Start,
            4 => Self::Ack,
            5 => Self::AckNow,
            6 => Self::Ping,
            7 => Self::Pong,
            8 => Self::Bye,
            9 => Self::Above,
            10 => Self::Members,
            11 => Self::Taken,
            12 => Self::Secrets,
            _ => return None,
        })
    }
}

/// Why a link ends on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Farewell {
    /// The node leaves the mesh: nothing is owed to it any more.
    Leaving = 1,
    /// Another link to the same node is in use.
    Redundant = 2,
    /// The protocol was broken by what arrived.
    Refused = 3,
    /// The link's secret is not accepted any more, and no other is known to be common.
    Secret = 4,
}

impl Farewell {
    pub(crate) fn of(body: &[u8]) -> Self {
        match body {
            [1, ..] => Self::Leaving,
            [2, ..] => Self::Redundant,
            [4, ..] => Self::Secret,
            _ => Self::Refused,
        }
    }
}

/// Secrets that are read of a list: more than any node holds.
const MAX_SECRETS: usize = 16;

/// Appends which secrets a node accepts, the one that it sends under first: their number (`u8`) and their marks.
pub(crate) fn put_secrets(buf: &mut Vec<u8>, marks: &[SecretMark]) {
    let marks = marks.get(..MAX_SECRETS).unwrap_or(marks);
    buf.push(marks.len() as u8);
    marks.iter().for_each(|mark| buf.extend(mark.as_bytes()));
}

/// Reads them; none where there is nothing, as an older version says nothing. What stands behind them is ignored, and of
/// more than 16 the rest.
pub(crate) fn parse_secrets(body: &[u8]) -> Result<Vec<SecretMark>, RecordError> {
    let Some((count, marks)) = body.split_first() else { return Ok(Vec::new()) };
    let marks = marks.get(..usize::from(*count) * SecretMark::LEN).ok_or(RecordError::Truncated)?;
    let (marks, _) = marks.as_chunks::<{ SecretMark::LEN }>();
    Ok(marks.iter().take(MAX_SECRETS).map(|mark| SecretMark::from_bytes(*mark)).collect())
}

/// What arrived is not of this protocol. The link ends with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// A record's length is below a tag and a lane.
    #[error("a record of {0} bytes is too short")]
    TooShort(usize),
    /// The cipher refused: another key, another place in the stream, or flipped bits.
    #[error("a record failed authentication")]
    Forged,
    /// The first byte of a record's content names no lane.
    #[error("there is no lane {0}")]
    UnknownLane(u8),
    /// A control frame says to be longer than its record.
    #[error("a control frame is cut off")]
    Truncated,
    /// A data frame says to be longer than this node takes.
    #[error("a frame of {given} bytes is over the limit of {limit}")]
    TooLarge {
        /// What the frame claims, bytes.
        given: u64,
        /// What is accepted, bytes.
        limit: usize,
    },
    /// A data frame's content does not parse.
    #[error("a data frame is malformed")]
    Malformed,
    /// A data frame skipped a number, or came before the start.
    #[error("a data frame is out of order")]
    OutOfOrder,
    /// A piece of a large message breaks the rules.
    #[error(transparent)]
    Piece(#[from] PieceError),
    /// A counter reached its end.
    #[error("the link is used up")]
    Exhausted,
}

/// Appends `value` in LEB128: seven bits a byte, the lowest first.
pub(crate) fn put_varint(buf: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        buf.push((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    buf.push(value as u8);
}

/// The body of a control frame that is one number.
pub(crate) fn varint(value: u64) -> Vec<u8> {
    let mut body = Vec::with_capacity(10);
    put_varint(&mut body, value);
    body
}

/// How a varint ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Varint {
    /// The value, and how many bytes it took.
    Whole(u64, usize),
    /// More bytes are needed.
    Partial,
    /// More than 64 bits.
    TooLong,
}

/// Reads a LEB128 number from the front of `buf`.
#[inline]
pub(crate) fn peek_varint(buf: &[u8]) -> Varint {
    match buf.first() {
        // By far the most.
        Some(byte) if *byte < 0x80 => Varint::Whole(u64::from(*byte), 1),
        _ => peek_long(buf),
    }
}

fn peek_long(buf: &[u8]) -> Varint {
    let mut value = 0u64;
    for (place, byte) in buf.iter().enumerate() {
        let shift = 7 * place as u32;
        if shift > 63 || (shift == 63 && *byte > 1) {
            return Varint::TooLong;
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Varint::Whole(value, place + 1);
        }
    }
    if buf.len() >= 10 { Varint::TooLong } else { Varint::Partial }
}

/// Takes a varint off the front of a whole body.
pub(crate) fn take_varint(buf: &mut &[u8]) -> Result<u64, RecordError> {
    match peek_varint(buf) {
        Varint::Whole(value, len) => {
            buf.advance(len);
            Ok(value)
        }
        Varint::Partial | Varint::TooLong => Err(RecordError::Malformed),
    }
}

/// Appends one control frame: kind, `length: u16 BE`, body. `body` is at most [`MAX_CONTROL`] bytes.
pub(crate) fn put_control(buf: &mut Vec<u8>, kind: Kind, body: &[u8]) {
    debug_assert!(body.len() <= MAX_CONTROL, "the callers bound it");
    buf.push(kind as u8);
    buf.extend_from_slice(&(body.len().min(MAX_CONTROL) as u16).to_be_bytes());
    buf.extend_from_slice(body);
}

/// The control frames of one record, unknown kinds left out.
pub(crate) struct ControlFrames<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for ControlFrames<'a> {
    type Item = Result<(Kind, &'a [u8]), RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.0.is_empty() {
                return None;
            }
            let Some((head, rest)) = self.0.split_at_checked(3) else {
                self.0 = &[];
                return Some(Err(RecordError::Truncated));
            };
            let [kind, high, low] = head else { return None };
            let len = usize::from(u16::from_be_bytes([*high, *low]));
            let Some((body, rest)) = rest.split_at_checked(len) else {
                self.0 = &[];
                return Some(Err(RecordError::Truncated));
            };
            self.0 = rest;
            if let Some(kind) = Kind::of(*kind) {
                return Some(Ok((kind, body)));
            }
        }
    }
}

/// Appends what precedes the bytes of a piece on the bulk lane: the message's length, and where the piece begins.
pub(crate) fn put_piece_head(buf: &mut Vec<u8>, total: usize, at: usize) {
    put_varint(buf, total as u64);
    put_varint(buf, at as u64);
}

const MESSAGE: u8 = 1;
const GAP: u8 = 2;
const LARGE_MESSAGE: u8 = 3;

/// Encodes what precedes a message's body on the data lane: length, kind, interests.
pub(crate) fn put_message_head(buf: &mut Vec<u8>, interests: &[Interest], body: usize) {
    put_varint(buf, (head_len(interests) + body) as u64);
    put_head(buf, MESSAGE, interests);
}

/// Encodes whole the frame that delivers the large message whose pieces came before.
pub(crate) fn put_large(buf: &mut Vec<u8>, interests: &[Interest]) {
    put_varint(buf, head_len(interests) as u64);
    put_head(buf, LARGE_MESSAGE, interests);
}

fn put_head(buf: &mut Vec<u8>, kind: u8, interests: &[Interest]) {
    buf.push(kind);
    put_varint(buf, interests.len() as u64);
    for interest in interests {
        put_varint(buf, interest.id);
        put_varint(buf, interest.epoch);
    }
}

/// Bytes that [`put_head`] appends.
fn head_len(interests: &[Interest]) -> usize {
    let pairs: usize = interests.iter().map(|it| varint_len(it.id) + varint_len(it.epoch)).sum();
    1 + varint_len(interests.len() as u64) + pairs
}

/// Bytes of a varint: one for each seven bits.
const fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Encodes a gap frame whole.
pub(crate) fn put_gap(buf: &mut Vec<u8>, missed: &[(Interest, u64)], exact: bool) {
    let mut frame = vec![GAP, u8::from(exact)];
    put_varint(&mut frame, missed.len() as u64);
    for (interest, count) in missed {
        put_varint(&mut frame, interest.id);
        put_varint(&mut frame, interest.epoch);
        put_varint(&mut frame, *count);
    }
    put_varint(buf, frame.len() as u64);
    buf.extend_from_slice(&frame);
}

/// A frame of the data lane, decoded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DataFrame<'a> {
    /// A message for some of our interests.
    Message { interests: Interests, body: &'a [u8] },
    /// The large message that the bulk lane has brought, for some of our interests.
    Large { interests: Interests },
    /// Messages lost on the way, per interest.
    Gap { missed: Vec<(Interest, u64)>, exact: bool },
    /// A kind of a later version: it has a number and is skipped.
    Unknown,
}

/// Decodes a data frame behind its length.
pub(crate) fn parse_data(frame: &[u8]) -> Result<DataFrame<'_>, RecordError> {
    let mut rest = frame;
    let Some((kind, behind)) = rest.split_first() else { return Err(RecordError::Malformed) };
    rest = behind;
    match *kind {
        MESSAGE => {
            let interests = take_interests(&mut rest)?;
            Ok(DataFrame::Message { interests, body: rest })
        }
        LARGE_MESSAGE => Ok(DataFrame::Large { interests: take_interests(&mut rest)? }),
        GAP => {
            let Some((exact, behind)) = rest.split_first() else { return Err(RecordError::Malformed) };
            rest = behind;
            let count = take_count(&mut rest)?;
            let mut missed = Vec::with_capacity(count);
            for _ in 0..count {
                let interest = take_interest(&mut rest)?;
                missed.push((interest, take_varint(&mut rest)?));
            }
            Ok(DataFrame::Gap { missed, exact: *exact == 1 })
        }
        _ => Ok(DataFrame::Unknown),
    }
}

fn take_interests(rest: &mut &[u8]) -> Result<Interests, RecordError> {
    let count = take_count(rest)?;
    let mut interests = Interests::new();
    if count > interests.inline_size() {
        interests.reserve_exact(count);
    }
    for _ in 0..count {
        interests.push(take_interest(rest)?);
    }
    Ok(interests)
}

fn take_count(rest: &mut &[u8]) -> Result<usize, RecordError> {
    let count = take_varint(rest)?;
    // Each takes two bytes at least, so a lying count costs no memory.
    if count > MAX_INTERESTS as u64 || count * 2 > rest.len() as u64 {
        return Err(RecordError::Malformed);
    }
    Ok(count as usize)
}

fn take_interest(rest: &mut &[u8]) -> Result<Interest, RecordError> {
    Ok(Interest { id: take_varint(rest)?, epoch: take_varint(rest)? })
}

#[cfg(test)]
mod tests;
