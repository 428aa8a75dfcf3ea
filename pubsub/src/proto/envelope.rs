//! Noun: a published message on the wire, inside the body that transport carries.
//!
//! `kind u8 (0 = publish) | seq varint | topic length varint | topic | payload, to the end`. The bus is not in
//! it: the interest that the body travels for determines it at the receiver.

use bytes::Bytes;

use crate::topic::{MAX_BYTES, Topic};

/// The kind of a message; the others are of [`exchange`](super::exchange), and those of a later version are skipped.
const PUBLISH: u8 = 0;

/// Most bytes that an envelope adds to a payload: kind, sequence number, the topic's length and the topic.
pub const MAX_OVERHEAD: usize = 1 + 10 + 2 + MAX_BYTES;

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
    put_varint(to, seq);
    put_varint(to, topic.as_str().len() as u64);
    to.extend_from_slice(topic.as_str().as_bytes());
}

/// Whether a body is no message.
pub fn is_exchange(body: &[u8]) -> bool {
    body.first().is_some_and(|kind| *kind != PUBLISH)
}

/// Reads a body; costs no memory, since everything in the result borrows from it.
pub fn decode(body: &[u8]) -> Result<Envelope<'_>, EnvelopeError> {
    match body.first() {
        None => return Err(EnvelopeError::Malformed),
        Some(&PUBLISH) => {}
        Some(&kind) => return Err(EnvelopeError::UnknownKind(kind)),
    }
    let mut rest = body.get(1..).unwrap_or_default();
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
}
