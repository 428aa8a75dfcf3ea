use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Order {
    id: u64,
    drink: Drink,
    notes: Vec<String>,
    table: Option<(u8, char)>,
    extra: BTreeMap<String, f64>,
    wide: (i128, Box<Order2>, ()),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Order2(bool);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Drink {
    Water,
    Coffee(i16),
    Tea { minutes: u8 },
    Both(u8, u8),
}

fn order(drink: Drink) -> Order {
    Order {
        id: 300,
        drink,
        notes: vec!["hot".into(), String::new()],
        table: Some((7, 'ä')),
        extra: BTreeMap::from([("sugar".into(), 1.5)]),
        wide: (-1, Box::new(Order2(true)), ()),
    }
}

#[test]
fn what_is_encoded_is_decoded_and_nothing_else() {
    let own = Fingerprint::of::<Order>();
    for drink in [Drink::Water, Drink::Coffee(-1), Drink::Tea { minutes: 4 }, Drink::Both(1, 2)] {
        let value = order(drink);
        let payload = encode(&own, &value).unwrap();
        assert_eq!(decode::<Order>(&own, &payload).as_ref(), Ok(&value));
        assert_eq!(payload[LEN..], postcard::to_stdvec(&value).unwrap(), "postcard's own form");
        let other = Fingerprint::of::<(u64, Drink)>();
        let told = DecodeError::OtherType { given: own, expected: other };
        assert_eq!(decode::<(u64, Drink)>(&other, &payload), Err(told));
        for end in 0..payload.len() {
            match decode::<Order>(&own, &payload[..end]) {
                Err(DecodeError::TooShort { given }) => assert_eq!((given, end < LEN), (end, true)),
                Err(DecodeError::Value { .. }) => assert!(end >= LEN),
                other => panic!("{other:?}"),
            }
        }
        let more = [&payload[..], &[0, 0]].concat();
        assert_eq!(decode::<Order>(&own, &more), Err(DecodeError::Trailing { bytes: 2 }));
    }
}

#[derive(Debug, Serialize, Deserialize)]
enum List {
    End,
    More(Box<Self>),
}

#[test]
fn a_type_that_contains_itself_does_not_use_up_the_stack() {
    let own = Fingerprint::of::<List>();
    let nested = |depth: usize| [&own.as_bytes()[..], &vec![1; depth], &[0]].concat();
    assert!(decode::<List>(&own, &nested(MAX_NESTED - 1)).is_ok());
    assert!(matches!(decode::<List>(&own, &nested(MAX_NESTED)), Err(DecodeError::Value { .. })));
    assert!(matches!(decode::<List>(&own, &nested(64 << 20)), Err(DecodeError::Value { .. })));
}

#[test]
fn a_length_that_lies_costs_no_memory() {
    let own = Fingerprint::of::<Vec<[u64; 32]>>();
    let lie = [&own.as_bytes()[..], &[0xff, 0xff, 0xff, 0xff, 0x0f]].concat();
    assert!(matches!(decode::<Vec<[u64; 32]>>(&own, &lie), Err(DecodeError::Value { .. })));
}

#[test]
fn elements_of_no_bytes_are_bounded() {
    type Nothings = (Vec<()>, BTreeMap<u8, ()>, Vec<u8>);
    let own = Fingerprint::of::<Nothings>();
    let lie = [&own.as_bytes()[..], &[0xff; 9], &[1, 0, 0]].concat();
    assert!(matches!(decode::<Nothings>(&own, &lie), Err(DecodeError::Value { .. })));
    let honest: Nothings = (vec![(); 60_000], BTreeMap::from([(7, ())]), vec![3; 200_000]);
    assert_eq!(decode(&own, &encode(&own, &honest).unwrap()), Ok(honest));
    // Structs and tuples in a list are as many as the list has, whatever they hold.
    type Wrapped = Vec<((), ((u8,), ()))>;
    let own = Fingerprint::of::<Wrapped>();
    let many: Wrapped = vec![((), ((7,), ())); 300_000];
    assert_eq!(decode(&own, &encode(&own, &many).unwrap()), Ok(many));
    let lists = Fingerprint::of::<Vec<Vec<u8>>>();
    let empty = vec![Vec::<u8>::new(); 300_000];
    assert_eq!(decode(&lists, &encode(&lists, &empty).unwrap()), Ok(empty));
}

#[test]
fn no_bytes_make_a_type_panic() {
    let own = Fingerprint::of::<Order>();
    let whole = encode(&own, &order(Drink::Tea { minutes: 1 })).unwrap();
    let (mut rng, mut values) = (fastrand::Rng::with_seed(1), 0);
    for _ in 0..20_000 {
        let mut payload = whole.to_vec();
        for _ in 0..rng.usize(1..4) {
            let at = rng.usize(LEN..payload.len());
            payload[at] = rng.u8(..);
        }
        values += usize::from(decode::<Order>(&own, &payload).is_ok());
    }
    assert!((1..20_000).contains(&values), "{values} of them are values all the same");
}

#[test]
fn what_postcard_has_no_form_for_is_an_error() {
    #[derive(Serialize)]
    struct Flat {
        #[serde(flatten)]
        inner: BTreeMap<String, u8>,
    }
    let error = encode(&Fingerprint([0; LEN]), &Flat { inner: BTreeMap::new() }).unwrap_err();
    assert!(!error.reason.is_empty());
}

/// The next field would be taken for the one that is left out.
#[test]
fn what_leaves_a_field_out_is_refused_and_only_then() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Gappy {
        #[serde(skip_serializing_if = "Option::is_none")]
        a: Option<u8>,
        b: Option<u8>,
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Within {
        Here {
            #[serde(skip_serializing_if = "Vec::is_empty")]
            all: Vec<Gappy>,
        },
    }
    let gappy = |a| Gappy { a, b: Some(5) };
    let own = Fingerprint::of::<Within>();
    let whole = Within::Here { all: vec![gappy(Some(1))] };
    assert_eq!(decode::<Within>(&own, &encode(&own, &whole).unwrap()), Ok(whole));
    for all in [Vec::new(), vec![gappy(Some(1)), gappy(None)]] {
        let error = encode(&own, &Within::Here { all }).unwrap_err();
        assert!(error.reason.contains("skip_serializing_if"), "{error}");
    }
}
