//! Records on the wire, and somebody in the middle.

use bytes::BytesMut;
use talkie_transport::fuzzing::next_record;
use talkie_transport::proto::cipher::{Cipher, LinkKey};
use talkie_transport::proto::open::Open;
use talkie_transport::proto::record::RecordError;
use talkie_transport::proto::seal::Seal;

use crate::feed::Feed;

/// What is opened is what was sealed, in its order and from the first record on, up to where somebody changed something; there it
/// ends. How the bytes come in parts changes nothing.
pub fn run(data: &[u8]) {
    let mut feed = Feed::new(data);
    let cipher = if feed.flag() { Cipher::Aes256Gcm } else { Cipher::ChaCha20Poly1305 };
    let key = LinkKey::new([feed.byte(); 32]);
    let (mut seal, mut open) = (Seal::new(cipher, &key).expect("a key"), Open::new(cipher, &key).expect("a key"));
    let (mut sent, mut records) = (Vec::new(), Vec::new());
    let (tampering, at, bit, part) = (feed.below(6), feed.number() as usize, feed.below(8), feed.below(64) + 1);
    while feed.more() && sent.len() < 8 {
        let mut content = vec![feed.byte() % 3];
        content.extend_from_slice(feed.bytes(80));
        let mut wire = Vec::new();
        seal.seal(&content, &mut wire).expect("it fits");
        sent.push(content);
        records.push(wire);
    }
    if sent.is_empty() {
        return;
    }
    let whole = records.clone();
    let nth = at % records.len();
    match tampering {
        0 => {}
        1 => {
            let byte = (at / 8) % records[nth].len();
            records[nth][byte] ^= 1 << bit;
        }
        2 => drop(records.remove(nth)),
        3 => records.insert(nth, records[nth].clone()),
        4 => records.rotate_left(nth),
        _ => records[nth].truncate(at % 40),
    }
    // The records in front that are as they were: by their bytes, for what is cut off may be followed by the very same.
    let (stream, was) = (records.concat(), whole.concat());
    let same = stream.iter().zip(&was).take_while(|(is, was)| is == was).count();
    let mut end = 0;
    let good = whole.iter().map(|record| {
        end += record.len();
        end
    });
    let good = good.take_while(|end| *end <= same).count();
    let (mut wire, mut opened, mut end) = (BytesMut::new(), 0, None);
    'link: for part in stream.chunks(part) {
        wire.extend_from_slice(part);
        loop {
            match next_record(&mut open, &mut wire) {
                Ok(Some((lane, content))) => {
                    assert!(opened < good, "a record that was changed opens");
                    assert_eq!((lane, &content[..]), (sent[opened][0], &sent[opened][1..]));
                    opened += 1;
                }
                Ok(None) => break,
                Err(error) => {
                    end = Some(error);
                    break 'link;
                }
            }
        }
    }
    assert_eq!(opened, good, "what was not changed opens");
    if stream == was {
        assert_eq!((end, wire.len()), (None, 0));
    }
    if let Some(error) = end {
        assert!(matches!(error, RecordError::Forged | RecordError::TooShort(_)), "{error}");
    }
}
