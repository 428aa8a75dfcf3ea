//! Nouns: a request and an answer as they travel, in the place of an [`envelope`](super::envelope).
//!
//! `kind u8 | fields | payload to the end`, numbers as varints.
//!
//! | kind | what | fields |
//! |---|---|---|
//! | 1 | request | number, milliseconds left, flags (1: all responders of the node, else one), topic |
//! | 2 | reply | number of the request, how many responders of the node answer it |
//! | 3 | refusal | as a reply, and why; no payload |
//!
//! On every new link the asker says first up to which number nothing is waited for any more, in a control frame beside
//! those of the [`replica`](super::replica): what is owed across links must not be acted on long after its asker gave up.
//!
//! A request travels for the interests of responders. An answer travels for [`ASKER`].

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use talkie_transport::Interest;

use super::envelope::{EnvelopeError, put, take};
use crate::topic::Topic;

/// Where answers go: an interest that every node has without announcing it, and that no pattern is given.
pub const ASKER: Interest = Interest { id: 0, epoch: 0 };

const PUBLISH: u8 = 0;
const REQUEST: u8 = 1;
const REPLY: u8 = 2;
const REFUSAL: u8 = 3;

/// A control frame of this kind: number up to which all is settled.
const SETTLED: u8 = 8;

/// Flag of a request: every responder is to answer.
const ALL: u8 = 1;

/// A request to responders of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'a> {
    /// The asker's number for it.
    pub number: u64,
    /// How long the asker waits.
    pub within: Duration,
    /// Which of the node's responders are to answer.
    pub reach: Reach,
    /// Not checked yet: it comes from the network.
    pub topic: &'a str,
    /// Shares the body's memory.
    pub payload: Bytes,
}

/// Whom a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// One responder.
    One,
    /// Every responder.
    All,
}

/// What a responder says of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The asker's number for the request.
    pub number: u64,
    /// How many responders of the node answer it in all, this one included; 0 from a node that has none.
    pub of: u64,
    /// The payload, which shares the body's memory; or why there is none.
    pub said: Result<Bytes, Refusal>,
}

/// Why a responder does not reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It dropped the request, or has no room for more; also what a later version says.
    Dropped,
    /// It is no responder any more.
    NoResponder,
    /// It made nothing of the payload: it takes values of another type.
    NotUnderstood,
    /// The reply does not fit: it is over the asker's limit, or what waits for the asker is at its own.
    NoRoom,
}

/// What a body is that is no message.
#[derive(Debug, PartialEq, Eq)]
pub enum Exchange<'a> {
    /// For responders.
    Request(Request<'a>),
    /// For the asker.
    Answer(Answer),
    /// A message after all.
    Publish,
}

#[derive(Serialize, Deserialize)]
struct RequestHead<'a> {
    number: u64,
    within_ms: u64,
    flags: u8,
    topic: &'a str,
}

/// The body of a request, without its payload, which follows.
pub fn request(number: u64, within: Duration, reach: Reach, topic: &Topic) -> BytesMut {
    // Rounded up, so that nothing is left undone that would be in time.
    let within_ms = u64::try_from(within.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
    let flags = if reach == Reach::All { ALL } else { 0 };
    put(&[REQUEST], &RequestHead { number, within_ms, flags, topic: topic.as_str() })
}

/// The body of a reply, without its payload, which follows.
pub fn reply(number: u64, of: u64) -> BytesMut {
    put(&[REPLY], &(number, of))
}

/// The whole body of a refusal.
pub fn refusal(number: u64, of: u64, why: Refusal) -> Bytes {
    let why = match why {
        Refusal::Dropped => 0_u8,
        Refusal::NoResponder => 1,
        Refusal::NoRoom => 2,
        Refusal::NotUnderstood => 3,
    };
    put(&[REFUSAL], &(number, of, why)).freeze()
}

/// The control frame that says that no request up to this number is waited for.
pub fn settled(number: u64) -> Bytes {
    put(&[SETTLED], &number).freeze()
}

/// What such a frame says; none where the frame is none.
pub fn decode_settled(frame: &[u8]) -> Option<Result<u64, EnvelopeError>> {
    let fields = frame.strip_prefix(&[SETTLED])?;
    Some(take(fields).map(|(number, _)| number))
}

/// Reads a body; costs no memory, since everything in the result borrows from it.
pub fn decode(body: &Bytes) -> Result<Exchange<'_>, EnvelopeError> {
    let (&kind, fields) = body.split_first().ok_or(EnvelopeError::Malformed)?;
    let rest = |payload: &[u8]| body.slice(body.len() - payload.len()..);
    match kind {
        PUBLISH => Ok(Exchange::Publish),
        REQUEST => {
            let (RequestHead { number, within_ms, flags, topic }, payload) = take(fields)?;
            let reach = if flags & ALL == 0 { Reach::One } else { Reach::All };
            let (within, payload) = (Duration::from_millis(within_ms), rest(payload));
            Ok(Exchange::Request(Request { number, within, reach, topic, payload }))
        }
        REPLY => {
            let ((number, of), payload) = take::<(u64, u64)>(fields)?;
            Ok(Exchange::Answer(Answer { number, of, said: Ok(rest(payload)) }))
        }
        REFUSAL => {
            let ((number, of, why), _) = take::<(u64, u64, u8)>(fields)?;
            let why = match why {
                1 => Refusal::NoResponder,
                2 => Refusal::NoRoom,
                3 => Refusal::NotUnderstood,
                _ => Refusal::Dropped,
            };
            Ok(Exchange::Answer(Answer { number, of, said: Err(why) }))
        }
        kind => Err(EnvelopeError::UnknownKind(kind)),
    }
}

#[cfg(test)]
mod tests {
    use bytes::BufMut as _;

    use super::*;

    fn with(mut head: BytesMut, payload: &[u8]) -> Bytes {
        head.put_slice(payload);
        head.freeze()
    }

    #[test]
    fn what_is_encoded_is_decoded_without_a_copy() {
        let topic: Topic = "devices/7".parse().unwrap();
        for reach in [Reach::One, Reach::All] {
            let within = Duration::from_millis(1_500);
            let body = with(request(300, within, reach, &topic), b"restart");
            let Ok(Exchange::Request(asked)) = decode(&body) else { panic!("no request") };
            assert_eq!((asked.number, asked.within, asked.reach), (300, within, reach));
            assert_eq!((asked.topic, &asked.payload[..]), ("devices/7", &b"restart"[..]));
            assert!(body.as_ptr_range().contains(&asked.payload.as_ptr()), "a slice of the body");
            assert!(body.len() - 7 <= crate::proto::envelope::MAX_OVERHEAD, "it fits where a message fits");
        }
        let body = with(reply(u64::MAX, 2), b"done");
        let said = Ok(Bytes::from_static(b"done"));
        assert_eq!(decode(&body), Ok(Exchange::Answer(Answer { number: u64::MAX, of: 2, said })));
        for why in [Refusal::Dropped, Refusal::NoResponder, Refusal::NoRoom, Refusal::NotUnderstood] {
            let body = refusal(7, 1, why);
            assert_eq!(decode(&body), Ok(Exchange::Answer(Answer { number: 7, of: 1, said: Err(why) })));
        }
    }

    #[test]
    fn every_truncation_is_refused_or_shortens_the_payload() {
        let topic: Topic = "devices/7".parse().unwrap();
        let bodies = [
            with(request(300, Duration::MAX, Reach::All, &topic), b"xyz"),
            with(reply(300, 1), b"xyz"),
            refusal(300, 1, Refusal::NoRoom),
        ];
        for body in &bodies {
            for end in 0..body.len() {
                match decode(&body.slice(..end)) {
                    Ok(Exchange::Request(asked)) => {
                        assert_eq!((asked.number, asked.topic), (300, "devices/7"))
                    }
                    Ok(Exchange::Answer(answer)) => assert_eq!((answer.number, answer.of), (300, 1)),
                    Ok(Exchange::Publish) => panic!("it is none"),
                    Err(error) => assert_eq!(error, EnvelopeError::Malformed),
                }
            }
        }
    }

    #[test]
    fn a_frame_says_what_is_settled() {
        assert_eq!(decode_settled(&settled(300)), Some(Ok(300)));
        assert_eq!(decode_settled(&settled(300)[..2]), Some(Err(EnvelopeError::Malformed)));
        assert_eq!((decode_settled(&[]), decode_settled(&[1, 2])), (None, None));
    }

    #[test]
    fn what_a_later_version_says_is_told_apart() {
        assert_eq!(decode(&Bytes::from_static(&[9, 1])), Err(EnvelopeError::UnknownKind(9)));
        assert_eq!(decode(&Bytes::from_static(&[0, 1])), Ok(Exchange::Publish));
        let later = Bytes::from_static(&[REFUSAL, 7, 1, 200, 1, 2, 3]);
        let dropped = Answer { number: 7, of: 1, said: Err(Refusal::Dropped) };
        assert_eq!(decode(&later), Ok(Exchange::Answer(dropped)));
    }
}
