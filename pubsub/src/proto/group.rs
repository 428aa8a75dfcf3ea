//! Nouns: what travels for queue groups, in the place of an [`envelope`](super::envelope).
//!
//! `kind u8 (5) | what u8 | fields`, numbers as varints.
//!
//! | what | | fields |
//! |---|---|---|
//! | 0 | a message for one member | number, flags (1: somebody may have had it), sequence, topic, payload to the end |
//! | 1 | what became of messages | number, verdict `u8`; again, to the end |
//! | 2 | room again | id of the interest that had none |
//!
//! The number is the publisher's: each handing out of a message has a new one, over all its buses. A message travels for the
//! interest of one member, the other two for [`ASKER`](super::exchange::ASKER).
//!
//! On every new link the publisher says first, in a control frame, which numbers it still waits for: what was handed to somebody
//! else meanwhile must not be acted on when it is sent again.

use bytes::{Bytes, BytesMut};
use serde::de::DeserializeOwned;

use super::envelope::{EnvelopeError, put, take};
use super::ledger::MAX_JOBS;
use crate::topic::Topic;

/// The kind of these bodies.
const GROUP: u8 = 5;

const MESSAGE: u8 = 0;
const WORD: u8 = 1;
const ROOM: u8 = 2;

/// Flag of a message: it was given to a member before that may have acted on it.
const REDELIVERED: u8 = 1;

/// A control frame of this kind: what its sender still waits for.
const STANDING: u8 = 10;

/// Most bytes of such a frame: what a link takes as one.
const MAX_STANDING: usize = 60_000;

/// What a waiting message of a group is marked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "made and read in this crate")]
pub struct Mark {
    /// The publisher's number; 0: nobody waits for a word of it.
    pub number: u64,
    /// Somebody may have had it before.
    pub redelivered: bool,
}

/// A message for one member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<'a> {
    /// As it waits.
    pub mark: Mark,
    /// Counts the sender's publishes on the bus.
    pub seq: u64,
    /// Not checked yet: it comes from the network.
    pub topic: &'a str,
    /// Shares the body's memory.
    pub payload: Bytes,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is acknowledged.
    Done,
    /// There was no room for it.
    Full,
    /// Its member is gone, and was never given it.
    Back,
    /// Its member is gone, and may have acted on it; also what a later version says.
    Tried,
}

/// A body of this kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grouped<'a> {
    /// For a member.
    Message(Message<'a>),
    /// For the publisher: what became of messages.
    Words(Vec<(u64, Verdict)>),
    /// For the publisher: this interest has room again.
    Room(u64),
}

/// What a publisher still waits for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Of the numbers up to this one ...
    upto: u64,
    /// ... only of these; ascending.
    awaited: Vec<u64>,
}

impl Standing {
    /// Whether nobody waits for what became of this number.
    pub fn is_void(&self, number: u64) -> bool {
        number != 0 && number <= self.upto && self.awaited.binary_search(&number).is_err()
    }
}

/// Whether a body is of this kind.
pub fn is_group(body: &[u8]) -> bool {
    body.first() == Some(&GROUP)
}

/// The body of a message, without its payload, which follows.
pub fn message(mark: Mark, seq: u64, topic: &Topic) -> BytesMut {
    let flags = if mark.redelivered { REDELIVERED } else { 0 };
    put(&[GROUP, MESSAGE], &(mark.number, flags, seq, topic.as_str()))
}

/// The body that says what became of a message.
pub fn word(number: u64, verdict: Verdict) -> Bytes {
    let verdict = match verdict {
        Verdict::Done => 0_u8,
        Verdict::Full => 1,
        Verdict::Back => 2,
        Verdict::Tried => 3,
    };
    put(&[GROUP, WORD], &(number, verdict)).freeze()
}

/// The body that says that an interest has room again.
pub fn room(interest: u64) -> Bytes {
    put(&[GROUP, ROOM], &interest).freeze()
}

/// Reads a body of this kind.
pub fn decode(body: &Bytes) -> Result<Grouped<'_>, EnvelopeError> {
    let (what, fields) = match body.split_at_checked(2) {
        Some(([GROUP, what], fields)) => (*what, fields),
        Some(([kind, _], _)) => return Err(EnvelopeError::UnknownKind(*kind)),
        _ => return Err(EnvelopeError::Malformed),
    };
    match what {
        MESSAGE => {
            let ((number, flags, seq, topic), payload) = take::<(u64, u8, u64, &str)>(fields)?;
            let mark = Mark { number, redelivered: flags & REDELIVERED != 0 };
            let payload = body.slice(body.len() - payload.len()..);
            Ok(Grouped::Message(Message { mark, seq, topic, payload }))
        }
        WORD => {
            let words = all::<(u64, u8)>(fields, MAX_JOBS)?;
            let verdict = |code| match code {
                0 => Verdict::Done,
                1 => Verdict::Full,
                2 => Verdict::Back,
                _ => Verdict::Tried,
            };
            Ok(Grouped::Words(words.into_iter().map(|(number, code)| (number, verdict(code))).collect()))
        }
        ROOM => Ok(Grouped::Room(take(fields)?.0)),
        _ => Err(EnvelopeError::UnknownKind(GROUP)),
    }
}

/// The control frame that says which of the numbers up to `last` are waited for; `awaited` ascends.
pub fn standing(last: u64, awaited: &[u64]) -> Bytes {
    let (mut upto, mut before, mut numbers) = (last, 0, Vec::new());
    for number in awaited {
        let step = put(&[], &(number - before));
        if numbers.len() + step.len() > MAX_STANDING {
            // The rest is left open: what was handed to somebody else of it may be had twice.
            upto = before;
            break;
        }
        numbers.extend_from_slice(&step);
        before = *number;
    }
    let mut frame = put(&[STANDING], &upto);
    frame.extend_from_slice(&numbers);
    frame.freeze()
}

/// What such a frame says; none where the frame is none.
pub fn decode_standing(frame: &[u8]) -> Option<Result<Standing, EnvelopeError>> {
    let fields = frame.strip_prefix(&[STANDING])?;
    let read = || {
        let (upto, rest) = take::<u64>(fields)?;
        let mut awaited = all::<u64>(rest, MAX_JOBS)?;
        let mut before = 0_u64;
        for number in &mut awaited {
            before = before.checked_add(*number).ok_or(EnvelopeError::Malformed)?;
            *number = before;
        }
        Ok(Standing { upto, awaited })
    };
    Some(read())
}

/// All to the end, but no more than `most`.
fn all<T: DeserializeOwned>(mut fields: &[u8], most: usize) -> Result<Vec<T>, EnvelopeError> {
    let mut all = Vec::new();
    while !fields.is_empty() {
        if all.len() >= most {
            return Err(EnvelopeError::Malformed);
        }
        let (one, rest) = take(fields)?;
        all.push(one);
        fields = rest;
    }
    Ok(all)
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
        let topic: Topic = "jobs/7".parse().unwrap();
        for redelivered in [false, true] {
            let mark = Mark { number: 300, redelivered };
            let body = with(message(mark, 9, &topic), b"paint");
            assert!(is_group(&body) && super::super::envelope::is_exchange(&body));
            let Ok(Grouped::Message(read)) = decode(&body) else { panic!("no message") };
            assert_eq!(
                (read.mark, read.seq, read.topic, &read.payload[..]),
                (mark, 9, "jobs/7", &b"paint"[..])
            );
            assert!(body.as_ptr_range().contains(&read.payload.as_ptr()), "a slice of the body");
        }
        for verdict in [Verdict::Done, Verdict::Full, Verdict::Back, Verdict::Tried] {
            assert_eq!(decode(&word(u64::MAX, verdict)), Ok(Grouped::Words(vec![(u64::MAX, verdict)])));
        }
        let several = Bytes::from_static(&[5, 1, 3, 0, 4, 200]);
        let words = vec![(3, Verdict::Done), (4, Verdict::Tried)];
        assert_eq!(decode(&several), Ok(Grouped::Words(words)), "a later verdict is the careful one");
        assert_eq!(decode(&room(7)), Ok(Grouped::Room(7)));
    }

    #[test]
    fn every_truncation_is_refused_or_shortens_what_is_open_ended() {
        let topic: Topic = "jobs/7".parse().unwrap();
        let whole = with(message(Mark { number: 300, redelivered: true }, 9, &topic), b"xyz");
        for body in [whole, word(300, Verdict::Full), room(300)] {
            for end in 0..body.len() {
                match decode(&body.slice(..end)) {
                    Ok(Grouped::Message(read)) => assert_eq!((read.seq, read.topic), (9, "jobs/7")),
                    Ok(Grouped::Words(words)) => assert!(words.is_empty()),
                    Ok(Grouped::Room(_)) => panic!("cut short"),
                    Err(error) => assert_eq!(error, EnvelopeError::Malformed),
                }
            }
        }
        assert_eq!(decode(&Bytes::from_static(&[5, 9, 1])), Err(EnvelopeError::UnknownKind(5)));
        assert_eq!(decode(&Bytes::from_static(&[0, 9])), Err(EnvelopeError::UnknownKind(0)));
    }

    #[test]
    fn a_standing_voids_what_it_does_not_name() {
        let read = |frame: &Bytes| decode_standing(frame).unwrap().unwrap();
        let some = read(&standing(300, &[5, 6, 299]));
        assert!([1, 4, 7, 298, 300].iter().all(|number| some.is_void(*number)));
        assert!([5, 6, 299, 301, 0].iter().all(|number| !some.is_void(*number)));
        assert!(!Standing::default().is_void(1));
        assert_eq!((decode_standing(&[]), decode_standing(&[8, 1])), (None, None));
        assert_eq!(decode_standing(&[STANDING]), Some(Err(EnvelopeError::Malformed)));
        let over = [&[STANDING, 1][..], &[1; MAX_JOBS + 1]].concat();
        assert_eq!(decode_standing(&over), Some(Err(EnvelopeError::Malformed)));
        // Numbers so far apart that they do not fit: the rest is left open.
        let apart: Vec<u64> = (1..=MAX_JOBS as u64).map(|n| n << 40).collect();
        let frame = standing(u64::MAX, &apart);
        assert!(frame.len() < 64_000);
        let part = read(&frame);
        assert!(apart.iter().all(|number| !part.is_void(*number)) && part.is_void(1));
    }
}
