//! Noun: a published message on the wire, inside the body that transport carries.
//!
//! `kind u8 (0 = publish) | seq varint | topic length varint | topic | payload, to the end`. The bus is not in
//! it: the interest that the body travels for determines it at the receiver.
//!
//! A message of a history is `kind u8 (4) | from varint | missed varint` and then the same: it is for those subscriptions of the
//! interest that asked for history and joined at the epoch `from` or later; so many before it were kept, and are not given.

use bytes::{BufMut as _, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::topic::{MAX_BYTES, Topic};

/// The kind of a message; the others are of [`exchange`](super::exchange), and those of a later version are skipped.
const PUBLISH: u8 = 0;

/// The kind of a message of a history.
const PAST: u8 = 4;

/// Most bytes that an envelope adds to a payload: kind, three numbers, the topic's length and the topic.
pub const MAX_OVERHEAD: usize = 1 + 3 * 10 + 2 + MAX_BYTES;

/// A decoded envelope.
#[derive(Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// Counts the sender's publishes on the bus, from 1.
    pub seq: u64,
    /// Not checked yet, not even for being a text: it comes from the network.
    pub topic: &'a [u8],
    /// Where in the body the payload begins.
    pub at: usize,
}

/// Why a body is no envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// A kind of a later version.
    #[error("envelope of unknown kind {0}")]
    UnknownKind(u8),
    /// Cut short, or not what the kind promises.
    #[error("malformed envelope")]
    Malformed,
}

/// The body for one publish.
pub fn encode(seq: u64, topic: &Topic, payload: &[u8]) -> Bytes {
    let mut body = Vec::with_capacity(MAX_OVERHEAD + payload.len());
    put_head(&mut body, seq, topic);
    body.extend_from_slice(payload);
    body.into()
}

/// Appends what stands before the payload: [`MAX_OVERHEAD`] bytes at most.
pub fn put_head(to: &mut Vec<u8>, seq: u64, topic: &Topic) {
    to.push(PUBLISH);
    put_fields(to, seq, topic);
}

/// The same of a message of a history, for those that joined at the epoch `from` or later.
pub fn put_past_head(to: &mut Vec<u8>, from: u64, missed: u64, seq: u64, topic: &Topic) {
    to.push(PAST);
    put_varint(to, from);
    put_varint(to, missed);
    put_fields(to, seq, topic);
}

fn put_fields(to: &mut Vec<u8>, seq: u64, topic: &Topic) {
    put_varint(to, seq);
    put_varint(to, topic.as_str().len() as u64);
    to.extend_from_slice(topic.as_str().as_bytes());
}

/// Whether a body is no message.
pub fn is_exchange(body: &[u8]) -> bool {
    body.first().is_some_and(|kind| *kind != PUBLISH)
}

/// Whether a body is a message of a history.
pub fn is_past(body: &[u8]) -> bool {
    body.first() == Some(&PAST)
}

/// Reads such a body: from which epoch on it is for subscriptions, how many they miss before it, and the message.
pub fn decode_past(body: &[u8]) -> Result<(u64, u64, Envelope<'_>), EnvelopeError> {
    let mut rest = body.strip_prefix(&[PAST]).ok_or(EnvelopeError::Malformed)?;
    let from = take_varint(&mut rest)?;
    let missed = take_varint(&mut rest)?;
    Ok((from, missed, decode_fields(body, rest)?))
}

/// Reads a body; costs no memory, since everything in the result borrows from it.
pub fn decode(body: &[u8]) -> Result<Envelope<'_>, EnvelopeError> {
    match body.first() {
        None => return Err(EnvelopeError::Malformed),
        Some(&PUBLISH) => {}
        Some(&kind) => return Err(EnvelopeError::UnknownKind(kind)),
    }
    decode_fields(body, body.get(1..).unwrap_or_default())
}

fn decode_fields<'a>(body: &'a [u8], mut rest: &'a [u8]) -> Result<Envelope<'a>, EnvelopeError> {
    let seq = take_varint(&mut rest)?;
    let len = usize::try_from(take_varint(&mut rest)?).map_err(|_| EnvelopeError::Malformed)?;
    let (topic, payload) = rest.split_at_checked(len).ok_or(EnvelopeError::Malformed)?;
    Ok(Envelope { seq, topic, at: body.len() - payload.len() })
}

/// As postcard writes an unsigned number: seven bits a byte, the lowest first.
pub(super) fn put_varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push((value as u8) | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

/// Takes such a number off the front.
pub(super) fn take_varint(from: &mut &[u8]) -> Result<u64, EnvelopeError> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first().ok_or(EnvelopeError::Malformed)?;
        *from = rest;
        if shift == 63 && *byte > 1 {
            break;
        }
        value |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Ok(value);
        }
    }
    Err(EnvelopeError::Malformed)
}

/// A body of this kind with its fields as postcard writes them; a payload may follow.
pub(super) fn put(kind: &[u8], fields: &impl Serialize) -> BytesMut {
    // Numbers and a short text into memory: postcard has no way to fail.
    let fields = postcard::to_stdvec(fields).unwrap_or_default();
    let mut body = BytesMut::with_capacity(kind.len() + fields.len());
    body.put_slice(kind);
    body.put_slice(&fields);
    body
}

/// Reads such fields, and what follows them.
pub(super) fn take<'a, T: Deserialize<'a>>(fields: &'a [u8]) -> Result<(T, &'a [u8]), EnvelopeError> {
    postcard::take_from_bytes(fields).map_err(|_| EnvelopeError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        for seq in [0, 1, 127, 128, 300, u64::MAX] {
            let topic: Topic = "orders/42".parse().unwrap();
            let body = encode(seq, &topic, b"two coffees");
            let envelope = decode(&body).unwrap();
            assert_eq!((envelope.seq, envelope.topic), (seq, &b"orders/42"[..]));
            assert_eq!(body[envelope.at..], b"two coffees"[..]);
            assert!(body.len() <= MAX_OVERHEAD + 11);
        }
    }

    #[test]
    fn faulty_bodies_are_told_apart() {
        assert_eq!(decode(&[]), Err(EnvelopeError::Malformed));
        assert_eq!(decode(&[7, 1, 2]), Err(EnvelopeError::UnknownKind(7)));
        assert_eq!(decode(&[0, 1, 200, 1, b'a']), Err(EnvelopeError::Malformed));
        let long = [0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 1, b'a'];
        assert_eq!(decode(&long), Err(EnvelopeError::Malformed), "more than 64 bits");
    }

    #[test]
    fn every_truncation_is_refused_or_shortens_the_payload() {
        let body = encode(300, &"a/b".parse().unwrap(), b"xyz");
        for end in 0..body.len() {
            match decode(&body[..end]) {
                Ok(envelope) => assert_eq!((envelope.seq, envelope.topic), (300, &b"a/b"[..])),
                Err(error) => assert_eq!(error, EnvelopeError::Malformed),
            }
        }
    }

    #[test]
    fn a_message_of_a_history_says_for_whom_it_is() {
        let mut body = Vec::new();
        put_past_head(&mut body, 300, 200, 7, &"a/b".parse().unwrap());
        body.extend_from_slice(b"xyz");
        assert!(is_past(&body) && is_exchange(&body));
        assert_eq!(decode(&body), Err(EnvelopeError::UnknownKind(4)));
        for end in 0..=body.len() {
            match decode_past(&body[..end]) {
                Ok((from, missed, envelope)) => {
                    assert_eq!((from, missed, envelope.seq, envelope.topic), (300, 200, 7, &b"a/b"[..]));
                    assert!(body[envelope.at..].starts_with(b"xyz"));
                }
                Err(error) => assert_eq!(error, EnvelopeError::Malformed),
            }
        }
        assert_eq!(decode_past(&[0, 1, 1, b'a']), Err(EnvelopeError::Malformed));
    }
}
