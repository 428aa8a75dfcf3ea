//! Noun: a published message on the wire, inside the body that transport carries.
//!
//! `kind u8 (0 = publish) | seq varint | topic length varint | topic | payload, to the end`. The bus is not in
//! it: the interest that the body travels for determines it at the receiver.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::topic::{MAX_BYTES, Topic};

/// The only kind so far; a receiver skips the others.
const PUBLISH: u8 = 0;

/// Most bytes that an envelope adds to a payload: kind, sequence number, the topic's length and the topic.
pub const MAX_OVERHEAD: usize = 1 + 10 + 2 + MAX_BYTES;

/// A decoded envelope; topic and payload are slices of the body.
#[derive(Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// Counts the sender's publishes on the bus, from 1.
    pub seq: u64,
    /// Not checked yet: it comes from the network.
    pub topic: &'a str,
    /// Shares the body's memory.
    pub payload: Bytes,
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

#[derive(Serialize, Deserialize)]
struct Head<'a> {
    kind: u8,
    seq: u64,
    topic: &'a str,
}

/// The body for one publish; the payload is copied here, once for all peers. Without payload it is what one that is too
/// long to be copied follows.
pub fn encode(seq: u64, topic: &Topic, payload: &[u8]) -> Bytes {
    let mut body = BytesMut::with_capacity(MAX_OVERHEAD + payload.len());
    put(&mut body, seq, topic, payload);
    body.freeze()
}

/// Appends the same to `body`: [`MAX_OVERHEAD`] and the payload's bytes at most.
pub fn put(body: &mut BytesMut, seq: u64, topic: &Topic, payload: &[u8]) {
    body.put_u8(PUBLISH);
    put_varint(body, seq);
    put_varint(body, topic.as_str().len() as u64);
    body.put_slice(topic.as_str().as_bytes());
    body.put_slice(payload);
}

/// Reads a body; costs no memory, since everything in the result borrows from it.
pub fn decode(body: &Bytes) -> Result<Envelope<'_>, EnvelopeError> {
    match body.first() {
        None => return Err(EnvelopeError::Malformed),
        Some(&PUBLISH) => {}
        Some(&kind) => return Err(EnvelopeError::UnknownKind(kind)),
    }
    let (head, payload) =
        postcard::take_from_bytes::<Head<'_>>(body).map_err(|_| EnvelopeError::Malformed)?;
    let payload = body.slice(body.len() - payload.len()..);
    Ok(Envelope { seq: head.seq, topic: head.topic, payload })
}

/// As postcard writes an unsigned number: seven bits a byte, the lowest first.
fn put_varint(to: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        to.put_u8((value as u8) | 0x80);
        value >>= 7;
    }
    to.put_u8(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_without_a_copy() {
        for seq in [0, 1, 127, 128, 300, u64::MAX] {
            let topic: Topic = "orders/42".parse().unwrap();
            let body = encode(seq, &topic, b"two coffees");
            let envelope = decode(&body).unwrap();
            assert_eq!((envelope.seq, envelope.topic), (seq, "orders/42"));
            assert_eq!(envelope.payload, "two coffees");
            let within = body.as_ptr_range();
            assert!(within.contains(&envelope.payload.as_ptr()), "the payload is a slice of the body");
            assert!(body.len() <= MAX_OVERHEAD + 11);
        }
    }

    #[test]
    fn faulty_bodies_are_told_apart() {
        assert_eq!(decode(&Bytes::new()), Err(EnvelopeError::Malformed));
        assert_eq!(decode(&Bytes::from_static(&[7, 1, 2])), Err(EnvelopeError::UnknownKind(7)));
        assert_eq!(decode(&Bytes::from_static(&[0, 1, 200, 1, b'a'])), Err(EnvelopeError::Malformed));
        assert_eq!(decode(&Bytes::from_static(&[0, 1, 1, 0xff])), Err(EnvelopeError::Malformed));
    }

    #[test]
    fn every_truncation_is_refused_or_shortens_the_payload() {
        let body = encode(300, &"a/b".parse().unwrap(), b"xyz");
        for end in 0..body.len() {
            match decode(&body.slice(..end)) {
                Ok(envelope) => assert_eq!((envelope.seq, envelope.topic), (300, "a/b")),
                Err(error) => assert_eq!(error, EnvelopeError::Malformed),
            }
        }
    }
}
