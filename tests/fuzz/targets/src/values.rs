//! Values of a subscriber's types, from any bytes.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::OnceLock;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use talkie_pubsub::proto::fingerprint::{Fingerprint, LEN};
use talkie_pubsub::proto::value::{DecodeError, decode, encode};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Drink {
    Water,
    Coffee(i16),
    Tea { minutes: u8 },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    id: u64,
    drink: Drink,
    notes: Vec<String>,
    table: Option<(u8, char)>,
    extra: BTreeMap<String, i128>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Tree {
    children: Vec<Self>,
    value: u32,
}

/// A value is one again from what is written of it, which is no longer; any byte behind it, and any other type, is refused. What a
/// type with nothing in it may cost is bounded.
pub fn run(data: &[u8]) {
    static OF: OnceLock<[Fingerprint; 4]> = OnceLock::new();
    let [order, tree, empty, text] = OF.get_or_init(|| {
        [
            Fingerprint::of::<Order>(),
            Fingerprint::of::<Tree>(),
            Fingerprint::of::<Vec<()>>(),
            Fingerprint::of::<String>(),
        ]
    });
    let Some((which, body)) = data.split_first() else { return };
    match which % 4 {
        0 => check::<Order>(order, tree, body),
        1 => check::<Tree>(tree, order, body),
        2 => {
            let payload = [&empty.as_bytes()[..], body].concat();
            if let Ok(all) = decode::<Vec<()>>(empty, &payload) {
                assert!(all.len() <= 2 * body.len() + 65_536);
            }
        }
        _ => check::<String>(text, tree, body),
    }
}

fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(own: &Fingerprint, other: &Fingerprint, body: &[u8]) {
    let payload = [&own.as_bytes()[..], body].concat();
    let is_other = decode::<T>(other, &payload);
    assert!(matches!(is_other, Err(DecodeError::OtherType { .. })), "{is_other:?}");
    match decode::<T>(own, &payload) {
        Ok(value) => {
            let mut written = encode(own, &value).expect("it was read").to_vec();
            assert!(written.len() <= payload.len());
            assert_eq!(decode::<T>(own, &written).as_ref(), Ok(&value));
            written.push(0);
            assert_eq!(decode::<T>(own, &written), Err(DecodeError::Trailing { bytes: 1 }));
        }
        Err(DecodeError::Trailing { bytes }) => {
            let value = decode::<T>(own, &payload[..payload.len() - bytes]);
            assert!(value.is_ok(), "what trails is behind a value: {value:?}");
        }
        Err(error) => assert!(matches!(error, DecodeError::Value { .. }), "{error}"),
    }
    if let Some(short) = body.get(..LEN - 1) {
        assert_eq!(decode::<T>(own, short), Err(DecodeError::TooShort { given: LEN - 1 }));
    }
}
