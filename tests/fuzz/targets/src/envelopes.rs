//! Every body that a message, a request, an answer or a word of a group may have, and the control frames beside them.

use bytes::Bytes;
use talkie_pubsub::proto::envelope::{self, EnvelopeError, MAX_OVERHEAD};
use talkie_pubsub::proto::exchange::{self, Exchange};
use talkie_pubsub::proto::group::{self, Grouped, Mark};
use talkie_pubsub::proto::headers::Headers;
use talkie_pubsub::proto::ledger::MAX_JOBS;
use talkie_pubsub::{MAX_HEADER_KEY, MAX_HEADERS, MAX_HEADERS_BYTES, Topic};

/// What is read lies in the bytes and within its bounds, and is read again from what is written of it, which is no longer.
pub fn run(data: &[u8]) {
    let body = Bytes::copy_from_slice(data);
    let mut inner = body.clone();
    match Headers::take(&mut inner) {
        Ok(headers) => {
            check_headers(&headers, &body, &inner);
            check_body(&inner);
        }
        Err(error) => assert_eq!(error, EnvelopeError::Malformed),
    }
    check_body(&body);
    check_frames(&body);
}

fn check_headers(headers: &Headers, body: &Bytes, inner: &Bytes) {
    assert!(headers.size() <= MAX_HEADERS_BYTES && headers.iter().count() <= MAX_HEADERS);
    assert!(body.ends_with(inner));
    let mut again = Headers::new();
    for (key, value) in headers.iter() {
        assert!((1..=MAX_HEADER_KEY).contains(&key.len()));
        assert_eq!(headers.get(key), Some(value), "no key is there twice");
        again.insert(key, value).expect("it was taken");
    }
    assert!(again.iter().eq(headers.iter()) && again.size() <= headers.size());
    let mut written = Vec::new();
    again.put(&mut written);
    written.extend_from_slice(inner);
    let mut written = Bytes::from(written);
    assert_eq!(Headers::take(&mut written), if again.is_empty() { Headers::take(&mut inner.clone()) } else { Ok(again) });
}

fn check_body(body: &Bytes) {
    let kind = body.first().copied();
    assert_eq!(envelope::is_exchange(body), kind.is_some_and(|kind| kind != 0));
    if let Ok(read) = envelope::decode(body) {
        assert_eq!(kind, Some(0));
        if let Some(topic) = topic(read.topic) {
            let written = envelope::encode(read.seq, &topic, &body[read.at..]);
            assert!(written.len() <= body.len() && written.len() - (body.len() - read.at) <= MAX_OVERHEAD);
            let again = envelope::decode(&written).expect("its own");
            assert_eq!((again.seq, again.topic, &written[again.at..]), (read.seq, read.topic, &body[read.at..]));
        }
    }
    assert_eq!(envelope::is_past(body), kind == Some(4));
    if let Ok((from, missed, read)) = envelope::decode_past(body)
        && let Some(topic) = topic(read.topic)
    {
            let mut written = Vec::new();
            envelope::put_past_head(&mut written, from, missed, read.seq, &topic);
            assert!(written.len() <= MAX_OVERHEAD);
            written.extend_from_slice(&body[read.at..]);
            assert!(written.len() <= body.len());
            let (again_from, again_missed, again) = envelope::decode_past(&written).expect("its own");
            assert_eq!((again_from, again_missed, again.seq, again.topic), (from, missed, read.seq, read.topic));
            assert_eq!(&written[again.at..], &body[read.at..]);
    }
    check_exchange(body);
    check_group(body);
}

fn check_exchange(body: &Bytes) {
    let written = match exchange::decode(body) {
        Ok(Exchange::Request(asked)) => {
            assert!(lies_in(&asked.payload, body));
            let Ok(topic) = asked.topic.parse() else { return };
            let mut written = exchange::request(asked.number, asked.within, asked.reach, &topic);
            written.extend_from_slice(&asked.payload);
            written.freeze()
        }
        Ok(Exchange::Answer(answer)) => match &answer.said {
            Ok(payload) => {
                assert!(lies_in(payload, body));
                let mut written = exchange::reply(answer.number, answer.of);
                written.extend_from_slice(payload);
                written.freeze()
            }
            Err(why) => exchange::refusal(answer.number, answer.of, *why),
        },
        Ok(Exchange::Publish) => {
            assert_eq!(body.first(), Some(&0));
            return;
        }
        Err(error) => {
            assert!(body.first().is_none_or(|kind| *kind != 0));
            assert!(matches!(error, EnvelopeError::Malformed | EnvelopeError::UnknownKind(_)));
            return;
        }
    };
    assert!(written.len() <= body.len());
    assert_eq!(exchange::decode(&written), exchange::decode(body));
}

fn check_group(body: &Bytes) {
    assert_eq!(group::is_group(body), body.first() == Some(&5));
    match group::decode(body) {
        Ok(Grouped::Message(read)) => {
            assert!(lies_in(&read.payload, body));
            let Ok(topic) = read.topic.parse() else { return };
            let Mark { number, redelivered } = read.mark;
            let mut written = group::message(Mark { number, redelivered }, read.seq, &topic);
            written.extend_from_slice(&read.payload);
            assert!(written.len() <= body.len());
            assert_eq!(group::decode(&written.freeze()), Ok(Grouped::Message(read)));
        }
        Ok(Grouped::Words(words)) => {
            assert!(words.len() <= MAX_JOBS && words.len() * 2 <= body.len());
            for (number, verdict) in words {
                let written = group::word(number, verdict);
                assert_eq!(group::decode(&written), Ok(Grouped::Words(vec![(number, verdict)])));
            }
        }
        Ok(Grouped::Room(interest)) => {
            assert_eq!(group::decode(&group::room(interest)), Ok(Grouped::Room(interest)));
        }
        Err(_) => {}
    }
}

fn check_frames(frame: &Bytes) {
    if let Some(Ok(number)) = exchange::decode_settled(frame) {
        assert_eq!(exchange::decode_settled(&exchange::settled(number)), Some(Ok(number)));
    }
    if let Some(Ok(standing)) = group::decode_standing(frame) {
        assert!(!standing.is_void(0) && !standing.is_void(u64::MAX) || frame.len() > 10);
        // What it voids of the numbers that are about is what one that is written of it voids.
        let awaited: Vec<u64> = (1..300).filter(|number| !standing.is_void(*number)).collect();
        let last = (1..300).rev().find(|number| standing.is_void(*number)).unwrap_or(0);
        let awaited: Vec<u64> = awaited.into_iter().filter(|number| *number <= last).collect();
        let again = group::decode_standing(&group::standing(last, &awaited)).expect("one").expect("its own");
        assert!((1..300).all(|number| again.is_void(number) == standing.is_void(number)));
    }
}

fn topic(bytes: &[u8]) -> Option<Topic> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

/// Whether it is a slice of the body, and not a copy.
fn lies_in(part: &Bytes, body: &Bytes) -> bool {
    part.is_empty() || body.as_ptr_range().contains(&part.as_ptr())
}
