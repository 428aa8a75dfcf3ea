use super::*;
use crate::proto::envelope;
use crate::topic::Topic;

fn headers<const N: usize>(pairs: [(&str, &str); N]) -> Headers {
    pairs.try_into().unwrap()
}

/// A body with these headers around a message.
fn body(headers: &Headers) -> Bytes {
    let topic: Topic = "orders/42".parse().unwrap();
    let mut head = Vec::new();
    headers.put(&mut head);
    envelope::put_head(&mut head, 300, &topic);
    head.extend_from_slice(b"two coffees");
    head.into()
}

/// A body with a block of these bytes around a message.
fn wrapped(block: &[u8]) -> Bytes {
    let mut body = vec![WRAPPED];
    put_varint(&mut body, block.len() as u64);
    body.extend_from_slice(block);
    body.extend_from_slice(&[0, 1, 1, b'a']);
    body.into()
}

#[test]
fn a_message_without_headers_stays_as_it_is() {
    let topic: Topic = "orders/42".parse().unwrap();
    assert_eq!(body(&Headers::new()), envelope::encode(300, &topic, b"two coffees"));
    assert_eq!(size_of::<Headers>(), size_of::<usize>());
    let head = BytesMut::from(&b"head"[..]);
    assert_eq!(Headers::new().before(head.clone()), head);
}

#[test]
fn the_bytes_are_these() {
    let some = headers([("b", ""), ("a", "xy")]);
    assert_eq!(body(&some)[..11], [6, 8, 1, b'a', 2, b'x', b'y', 1, b'b', 0, 0]);
    assert_eq!(&some.before(BytesMut::from(&b"head"[..]))[..], b"\x06\x08\x01a\x02xy\x01b\x00head");
}

#[test]
fn what_is_put_is_taken_without_a_copy() {
    let sent = headers([("trace", "1-2"), ("Trace", "other"), ("empty", "")]);
    let mut arrived = body(&sent);
    let whole = arrived.clone();
    let taken = Headers::take(&mut arrived).unwrap();
    assert_eq!(taken, sent);
    assert!(whole.as_ptr_range().contains(&taken.get("trace").unwrap().as_ptr()), "a slice of the body");
    assert_eq!(arrived, body(&Headers::new()), "the message is behind them");
    let pairs: Vec<_> = taken.iter().collect();
    assert_eq!(pairs, [("Trace", &b"other"[..]), ("empty", b""), ("trace", b"1-2")]);
    assert_eq!((taken.get("none"), taken.text("trace")), (None, Some("1-2")));
    assert_eq!(format!("{taken:?}"), r#"{"Trace": "other", "empty": "", "trace": "1-2"}"#);
}

#[test]
fn a_key_is_there_once() {
    let mut some = headers([("b", "1"), ("a", "2"), ("b", "3"), ("c", "4")]);
    assert_eq!(some, headers([("a", "2"), ("b", "3"), ("c", "4")]));
    some.remove("b");
    some.remove("b");
    assert_eq!(some, headers([("a", "2"), ("c", "4")]));
    some.remove("a");
    some.remove("c");
    assert_eq!((some.clone(), some.is_empty(), some.size()), (Headers::new(), true, 0));
}

#[test]
fn bounds_are_told_and_change_nothing() {
    let long = "k".repeat(MAX_HEADER_KEY);
    let mut some = headers([("a", "1")]);
    some.insert(&long, "").unwrap();
    let before = some.clone();
    for key in ["", "two words", "tab\t", "käse", &"k".repeat(MAX_HEADER_KEY + 1)] {
        let error = some.insert(key, "").unwrap_err();
        let said = "is not 1 to 64 printable ASCII characters without blanks";
        assert!(matches!(error, HeadersError::Key { .. }) && error.to_string().contains(said), "{error}");
    }
    let given = MAX_HEADERS_BYTES + 1;
    for value in [given, given - before.size(), 100 << 20] {
        let error = some.insert("value", vec![0; value]).unwrap_err();
        assert!(matches!(error, HeadersError::TooLarge { given } if given > MAX_HEADERS_BYTES), "{error}");
        assert!(error.to_string().contains("over the limit of 4096"), "{error}");
    }
    assert_eq!(some, before);
    for number in some.iter().count()..MAX_HEADERS {
        some.insert(&number.to_string(), "").unwrap();
    }
    assert_eq!(some.insert("one more", ""), Err(HeadersError::Key { given: "one more".into() }));
    assert_eq!(some.insert("one-more", ""), Err(HeadersError::TooMany));
    some.insert("a", "in its place").unwrap();
    // All that is allowed arrives.
    let mut full = Headers::new();
    full.insert("a", vec![1; MAX_HEADERS_BYTES - 4]).unwrap();
    assert_eq!(full.size(), MAX_HEADERS_BYTES);
    for sent in [some, full] {
        assert_eq!(Headers::take(&mut body(&sent)), Ok(sent));
    }
}

#[test]
fn what_insert_would_refuse_is_malformed() {
    assert_eq!(Headers::take(&mut wrapped(&[])), Ok(Headers::new()), "as good as none");
    let many: Vec<u8> = (0..=MAX_HEADERS as u8).flat_map(|number| [1, b'!' + number, 0]).collect();
    assert!(Headers::take(&mut wrapped(&many[3..])).is_ok());
    let mut long = vec![MAX_HEADER_KEY as u8 + 1];
    long.extend([b'k'; MAX_HEADER_KEY + 1]);
    long.push(0);
    let mut large = vec![1, b'a'];
    put_varint(&mut large, MAX_HEADERS_BYTES as u64);
    large.extend([0; MAX_HEADERS_BYTES]);
    let faulty: [(&str, &[u8]); 9] = [
        ("too many", &many),
        ("a long key", &long),
        ("too large", &large),
        ("an empty key", &[0, 0]),
        ("a blank", &[1, b' ', 0]),
        ("not ASCII", &[2, 0xc3, 0xa4, 0]),
        ("twice", &[1, b'a', 0, 1, b'a', 0]),
        ("descending", &[1, b'b', 0, 1, b'a', 0]),
        ("beyond the block", &[1, b'a', 3, b'x', b'y']),
    ];
    for (what, block) in faulty {
        assert_eq!(Headers::take(&mut wrapped(block)), Err(EnvelopeError::Malformed), "{what}");
    }
    // One in another is unknown to whoever reads what is wrapped.
    let mut twice = body(&headers([("a", "1")])).to_vec();
    twice.splice(0..0, [WRAPPED, 3, 1, b'b', 0]);
    let mut twice = Bytes::from(twice);
    assert_eq!(Headers::take(&mut twice), Ok(headers([("b", "")])));
    assert_eq!(envelope::decode(&twice), Err(EnvelopeError::UnknownKind(WRAPPED)));
}

#[test]
fn every_truncation_is_refused_or_shortens_the_payload() {
    let sent = headers([("a", "1"), ("b", "two")]);
    let whole = body(&sent);
    let wrapper = whole.len() - body(&Headers::new()).len();
    for end in 1..whole.len() {
        let taken = Headers::take(&mut whole.slice(..end));
        assert_eq!(taken, if end < wrapper { Err(EnvelopeError::Malformed) } else { Ok(sent.clone()) });
    }
}

#[test]
fn whatever_arrives_is_refused_or_written_the_same_again() {
    let mut random = fastrand::Rng::with_seed(1);
    let good = body(&headers([("a", "1"), ("bb", "two"), ("traceparent", "00-4bf9-00f0-01")]));
    let mut taken = 0;
    for _ in 0..20_000 {
        let mut bytes = good.to_vec();
        for _ in 0..random.usize(0..3) {
            let at = random.usize(1..bytes.len());
            bytes[at] = if random.bool() { random.u8(..) } else { bytes[at].wrapping_add(1) };
        }
        bytes.truncate(random.usize(1..=bytes.len()));
        let mut arrived = Bytes::from(bytes);
        let Ok(headers) = Headers::take(&mut arrived) else { continue };
        taken += 1;
        let mut again = Headers::new();
        for (key, value) in headers.iter() {
            again.insert(key, value).unwrap();
        }
        let pairs = |of: &Headers| -> Vec<_> { of.iter().map(|(k, v)| (k.to_owned(), v.to_vec())).collect() };
        assert_eq!(pairs(&again), pairs(&headers));
        assert!(again.size() <= headers.size());
    }
    assert!(taken > 1_000, "{taken} of 20,000 were headers");
}
