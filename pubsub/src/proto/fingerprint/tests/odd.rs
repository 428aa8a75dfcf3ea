//! Types that misbehave, or are very large.

use super::*;

/// Misbehaves in a way of its own.
macro_rules! odd {
    ($name:ident, |$from:ident| $body:expr) => {
        struct $name;
        impl<'de> Deserialize<'de> for $name {
            #[allow(clippy::redundant_closure_call, reason = "a macro")]
            fn deserialize<D: Deserializer<'de>>($from: D) -> Result<Self, D::Error> {
                $body
            }
        }
    };
}

odd!(Panics, |from| {
    assert!(u8::deserialize(from)? > 100, "this type panics on purpose");
    Ok(Self)
});
odd!(Anything, |from| from.deserialize_any(serde::de::IgnoredAny).map(|_| Self));
odd!(Never, |_from| Err(D::Error::custom("never")));
odd!(Greedy, |from| {
    struct All;
    impl<'de> Visitor<'de> for All {
        type Value = Greedy;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("all there is")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Greedy, A::Error> {
            while all.next_element::<u8>()?.is_some() {}
            Ok(Greedy)
        }
        fn visit_map<A: MapAccess<'de>>(self, mut all: A) -> Result<Greedy, A::Error> {
            while all.next_entry::<u8, u8>()?.is_some() {}
            Ok(Greedy)
        }
    }
    from.deserialize_tuple(usize::MAX, All)
});
odd!(Unnamed, |from| Vec::<Unnamed>::deserialize(from).map(|_| Self));
odd!(Tagged, |from| {
    let (tag, _) = <(u8, Tail)>::deserialize(from)?;
    if tag < 200 { Ok(Self) } else { Err(D::Error::custom("no such tag")) }
});
odd!(Tail, |from| <(u16, u32)>::deserialize(from).map(|_| Self));

#[derive(Deserialize)]
enum Void {}

#[derive(Deserialize)]
#[allow(dead_code, reason = "only its form is of interest")]
struct Deep<T>(Vec<T>, Option<Box<T>>, HashMap<u8, T>);

type Deep4<T> = Deep<Deep<Deep<Deep<T>>>>;

#[derive(Deserialize)]
#[allow(dead_code, reason = "only its form is of interest")]
struct Double<T>(Box<T>, Box<T>);

type Double4<T> = Double<Double<Double<Double<T>>>>;
type Nest4<T> = Nest<Nest<Nest<Nest<T>>>>;
type Nest32<T> = Nest4<Nest4<Nest4<Nest4<Nest4<Nest4<Nest4<Nest4<T>>>>>>>>;

#[derive(Deserialize)]
#[allow(dead_code, reason = "only its form is of interest")]
struct Nest<T> {
    inner: Option<Box<T>>,
    beside: u8,
}

type Double24 = Double4<Double4<Double4<Double4<Double4<Double4<u8>>>>>>;

#[test]
fn no_type_panics_or_takes_for_ever() {
    let prints = [
        of::<Panics>(),
        of::<(u16, Panics)>(),
        of::<Anything>(),
        of::<Never>(),
        of::<Greedy>(),
        of::<Unnamed>(),
        of::<Tagged>(),
        of::<Void>(),
        of::<Option<Void>>(),
        of::<Vec<Void>>(),
        of::<Deep4<Deep4<u8>>>(),
        of::<Deep4<Deep4<u16>>>(),
        of::<Double24>(),
        of::<Nest32<Nest32<Nest32<u8>>>>(),
    ];
    for (at, print) in prints.iter().enumerate() {
        assert!(!prints[..at].contains(print), "{at} is told apart");
    }
    // 28 structs with an option in each are told apart by what is at the bottom; 96 are beyond the limit.
    type Nest28<T> = Nest4<Nest4<Nest4<Nest4<Nest4<Nest4<Nest4<T>>>>>>>;
    assert_ne!(of::<Nest28<u8>>(), of::<Nest28<u16>>());
    assert_eq!(of::<Nest32<Nest32<Nest32<u8>>>>(), of::<Nest32<Nest32<Nest32<u16>>>>());
    assert_eq!(prints[0], of::<Panics>());
    assert_eq!(prints[12], of::<Double24>());
}
