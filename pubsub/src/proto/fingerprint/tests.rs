use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::{NonZeroU8, NonZeroU32};
use std::time::{Duration, SystemTime};

use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::*;

mod odd;

fn of<T: DeserializeOwned>() -> Fingerprint {
    Fingerprint::of::<T>()
}

/// All of these differ from each other.
macro_rules! all_differ {
    ($($type:ty),* $(,)?) => {{
        let all = [$((stringify!($type), of::<$type>())),*];
        for (at, (name, print)) in all.iter().enumerate() {
            for (other, same) in &all[at + 1..] {
                assert_ne!(print, same, "{name} and {other}");
            }
        }
    }};
}

/// All of these are one type on the wire.
macro_rules! all_equal {
    ($first:ty, $($type:ty),* $(,)?) => {
        $(assert_eq!(of::<$first>(), of::<$type>(), "{} and {}", stringify!($first), stringify!($type));)*
    };
}

/// A definition in a module of its own: only what is written counts, not where.
macro_rules! define {
    ($($module:ident { $($item:item)* })*) => {$(
        #[allow(dead_code, clippy::use_self, reason = "only their form is of interest")]
        mod $module {
            use super::*;
            $(#[derive(Deserialize)] $item)*
        }
    )*};
}

define! {
    base { pub(super) struct Order { id: u64, drink: String, cups: Option<u8> } }
    same { pub(super) struct Order { id: u64, drink: String, cups: Option<u8> } }
    added { pub(super) struct Order { id: u64, drink: String, cups: Option<u8>, hot: bool } }
    removed { pub(super) struct Order { id: u64, drink: String } }
    renamed_field { pub(super) struct Order { id: u64, name: String, cups: Option<u8> } }
    reordered { pub(super) struct Order { drink: String, id: u64, cups: Option<u8> } }
    retyped { pub(super) struct Order { id: u32, drink: String, cups: Option<u8> } }
    unwrapped { pub(super) struct Order { id: u64, drink: String, cups: u8 } }
    renamed { pub(super) struct Request { id: u64, drink: String, cups: Option<u8> } }
    renamed_back { #[serde(rename = "Order")] pub(super) struct Request { id: u64, drink: String, cups: Option<u8> } }
    field_back { pub(super) struct Order { id: u64, #[serde(rename = "drink")] d: String, cups: Option<u8> } }
    tuple { pub(super) struct Order(u64, String, Option<u8>); }
    skipped { pub(super) struct Order { id: u64, drink: String, cups: Option<u8>, #[serde(skip)] seen: bool } }
}

#[test]
fn every_change_of_a_struct_shows() {
    all_differ!(
        base::Order,
        added::Order,
        removed::Order,
        renamed_field::Order,
        reordered::Order,
        retyped::Order,
        unwrapped::Order,
        renamed::Request,
        tuple::Order,
        (u64, String, Option<u8>),
    );
    all_equal!(base::Order, same::Order, renamed_back::Request, field_back::Order, skipped::Order);
}

define! {
    e { pub(super) enum E { A, B(u32), C { x: u8, y: u8 }, D(u8, u8) } }
    e_same { pub(super) enum E { A, B(u32), C { x: u8, y: u8 }, D(u8, u8) } }
    e_added { pub(super) enum E { A, B(u32), C { x: u8, y: u8 }, D(u8, u8), F } }
    e_removed { pub(super) enum E { A, B(u32), C { x: u8, y: u8 } } }
    e_reordered { pub(super) enum E { B(u32), A, C { x: u8, y: u8 }, D(u8, u8) } }
    e_renamed { pub(super) enum E { A, Bee(u32), C { x: u8, y: u8 }, D(u8, u8) } }
    e_retyped { pub(super) enum E { A, B(i32), C { x: u8, y: u8 }, D(u8, u8) } }
    e_field { pub(super) enum E { A, B(u32), C { x: u8, z: u8 }, D(u8, u8) } }
    e_field_type { pub(super) enum E { A, B(u32), C { x: u8, y: u16 }, D(u8, u8) } }
    e_last { pub(super) enum E { A, B(u32), C { x: u8, y: u8 }, D(u8, u16) } }
    e_form { pub(super) enum E { A, B(u32), C { x: u8, y: u8 }, D((u8, u8)) } }
    e_unit { pub(super) enum E { A(()), B(u32), C { x: u8, y: u8 }, D(u8, u8) } }
    nested {
        pub(super) struct Outer { a: Inner, b: Vec<Inner>, c: u8 }
        enum Inner { X, Y(Deep), Z { deep: Option<Deep> } }
        enum Deep { P, Q(u8), R(String) }
    }
    nested_other {
        pub(super) struct Outer { a: Inner, b: Vec<Inner>, c: u8 }
        enum Inner { X, Y(Deep), Z { deep: Option<Deep> } }
        enum Deep { P, Q(u8), R(u8) }
    }
}

#[test]
fn every_change_of_an_enum_shows_also_deep_inside() {
    all_differ!(
        e::E,
        e_added::E,
        e_removed::E,
        e_reordered::E,
        e_renamed::E,
        e_retyped::E,
        e_field::E,
        e_field_type::E,
        e_last::E,
        e_form::E,
        e_unit::E,
        nested::Outer,
        nested_other::Outer,
    );
    all_equal!(e::E, e_same::E);
}

#[test]
fn what_differs_on_the_wire_differs() {
    all_differ!(
        bool, i8, i16, i32, i64, i128, u8, u16, u32, u64, u128, f32, f64, char, String, (), (u8,), (u8, u8),
        [u8; 3], [u8; 4], [u16; 4], Vec<u8>, Vec<u16>, Vec<String>, Option<u8>, Option<Option<u8>>, Option<String>,
        Vec<Option<u8>>, Option<Vec<u8>>, HashMap<u8, u16>, HashMap<u16, u8>, HashMap<u8, Vec<u16>>, Vec<(u8, u16)>,
        (u8, (u8, u8)), ((u8, u8), u8), Result<u8, String>, Result<String, u8>, std::ops::Range<u8>,
        IpAddr, SocketAddr, Duration, SystemTime, serde_bytes_like::Buf,
    );
}

#[test]
fn what_is_one_on_the_wire_is_equal() {
    all_equal!(Vec<u8>, VecDeque<u8>, HashSet<u8>, Box<[u8]>, Cow<'static, [u8]>);
    all_equal!(String, Box<str>, Cow<'static, str>, std::path::PathBuf);
    all_equal!(HashMap<String, u8>, BTreeMap<String, u8>);
    all_equal!(u32, Box<u32>, Box<Box<u32>>, std::cell::Cell<u32>, std::sync::Mutex<u32>, NonZeroU32);
    all_equal!(u64, usize);
    all_equal!([u8; 2], (u8, u8));
    all_equal!([u8; 3], (u8, u8, u8));
    all_equal!([u8; 4], Ipv4Addr);
}

mod serde_bytes_like {
    use super::*;

    /// As `serde_bytes::ByteBuf` or a UUID.
    pub(super) struct Buf;

    impl<'de> Deserialize<'de> for Buf {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            struct Sixteen;
            impl Visitor<'_> for Sixteen {
                type Value = Buf;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("16 bytes")
                }
                fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Buf, E> {
                    if bytes.len() == 16 { Ok(Buf) } else { Err(E::invalid_length(bytes.len(), &self)) }
                }
            }
            from.deserialize_bytes(Sixteen)
        }
    }
}

define! {
    list { pub(super) enum List { Cons(u32, Box<List>), Nil } }
    list_same { pub(super) enum List { Cons(u32, Box<List>), Nil } }
    list_other { pub(super) enum List { Cons(u64, Box<List>), Nil } }
    list_behind { pub(super) enum List { Cons(Box<List>, u32), Nil } }
    list_behind_other { pub(super) enum List { Cons(Box<List>, u64), Nil } }
    tree { pub(super) struct Tree { children: Vec<Tree>, value: u32 } }
    tree_other { pub(super) struct Tree { children: Vec<Tree>, value: u64 } }
    chain { pub(super) struct Node { next: Option<Box<Node>>, value: u32 } }
    chain_other { pub(super) struct Node { next: Option<Box<Node>>, value: u64 } }
    map { pub(super) struct Map { inside: HashMap<String, Map>, value: u8 } }
    map_other { pub(super) struct Map { inside: HashMap<String, Map>, value: i8 } }
    endless { pub(super) struct Endless { inner: Box<Endless> } }
    mutual {
        pub(super) enum Expr { Add(Box<Expr>, Box<Expr>), Block(Vec<Stmt>), Call { name: String, with: Vec<Expr> }, Lit(i64) }
        pub(super) enum Stmt { Let(String, Expr), If { then: Box<Stmt>, or: Option<Box<Stmt>> }, Do(Expr), Loop(Block) }
        pub(super) struct Block { label: Option<String>, body: Vec<Stmt>, last: Option<Box<Expr>>, end: u8 }
    }
    mutual_other {
        pub(super) enum Expr { Add(Box<Expr>, Box<Expr>), Block(Vec<Stmt>), Call { name: String, with: Vec<Expr> }, Lit(i64) }
        pub(super) enum Stmt { Let(String, Expr), If { then: Box<Stmt>, or: Option<Box<Stmt>> }, Do(Expr), Loop(Block) }
        pub(super) struct Block { label: Option<String>, body: Vec<Stmt>, last: Option<Box<Expr>>, end: u16 }
    }
    // The same tree, unfolded once: it is the same on the wire, and so it is the same.
    unfolded {
        pub(super) struct Tree { children: Vec<Inner>, value: u32 }
        #[serde(rename = "Tree")]
        struct Inner { children: Vec<Tree>, value: u32 }
    }
}

#[test]
fn types_that_contain_themselves_end_and_are_told_apart() {
    all_differ!(
        list::List,
        list_other::List,
        list_behind::List,
        list_behind_other::List,
        tree::Tree,
        tree_other::Tree,
        chain::Node,
        chain_other::Node,
        map::Map,
        map_other::Map,
        endless::Endless,
        mutual::Expr,
        mutual_other::Expr,
        mutual::Stmt,
        mutual_other::Stmt,
        mutual::Block,
        mutual_other::Block,
    );
    all_equal!(list::List, list_same::List);
    all_equal!(tree::Tree, unfolded::Tree);
}

/// A text that must have a form that no sample has.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Picky;

impl<'de> Deserialize<'de> for Picky {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        if text == "open sesame" { Ok(Self) } else { Err(D::Error::custom("not the word")) }
    }
}

define! {
    picky { pub(super) struct P { a: Picky, b: u32, c: Inner } struct Inner { p: Picky, q: Vec<Picky>, r: u8 } }
    picky_same { pub(super) struct P { a: Picky, b: u32, c: Inner } struct Inner { p: Picky, q: Vec<Picky>, r: u8 } }
    picky_b { pub(super) struct P { a: Picky, b: u64, c: Inner } struct Inner { p: Picky, q: Vec<Picky>, r: u8 } }
    picky_c { pub(super) struct P { a: Picky, b: u32, c: Inner } struct Inner { p: Picky, q: Vec<Picky>, r: u16 } }
    picky_enum { pub(super) enum P { A(Picky), B { p: Picky, x: u8 }, C(u8) } }
    picky_enum_b { pub(super) enum P { A(Picky), B { p: Picky, x: u16 }, C(u8) } }
    picky_enum_c { pub(super) enum P { A(Picky), B { p: Picky, x: u8 }, C(u16) } }
    picky_option { pub(super) struct P { a: Option<Picky>, b: u8 } }
    picky_option_b { pub(super) struct P { a: Option<Picky>, b: u16 } }
    picky_tuple { pub(super) struct P(u8, Picky, u8); }
    picky_tuple_short { pub(super) struct P(u8, Picky); }
}

/// Whatever stands beside or behind a value that cannot be made up counts, but in tuples.
#[test]
fn types_that_look_at_their_values_are_traced_around() {
    all_differ!(
        picky::P,
        picky_b::P,
        picky_c::P,
        picky_enum::P,
        picky_enum_b::P,
        picky_enum_c::P,
        picky_option::P,
        picky_option_b::P,
        picky_tuple::P,
        picky_tuple_short::P,
        (Picky, u8),
        (Picky, u8, u8),
        (u8, Picky),
        (Vec<Picky>, u8),
        (Vec<Picky>, u16),
        (BTreeMap<u8, Picky>, u8),
        (BTreeMap<u8, Picky>, u16),
        BTreeMap<Picky, u8>,
        BTreeMap<Picky, u16>,
        (Option<Picky>, u8),
        (Option<Picky>, u16),
    );
    all_equal!(picky::P, picky_same::P);
    // The limit that PROTOCOL.md tells.
    all_equal!((Picky, u8), (Picky, u16));
    all_differ!(
        (NonZeroU8, u8),
        (NonZeroU8, u16),
        (IpAddr, u8),
        (IpAddr, u16),
        (SystemTime, u8),
        (SystemTime, u16),
        (Duration, u8),
        (Duration, u16),
        (serde_bytes_like::Buf, u8),
        (serde_bytes_like::Buf, u16),
        (Checked, u8),
        (Checked, u16),
        (Option<NonZeroU8>, u8),
        (Option<NonZeroU8>, u16),
        (Pair, u8),
        (Pair, u16),
    );
}

/// A text that some sample is.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Checked;

impl TryFrom<String> for Checked {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse::<IpAddr>().map(|_| Self).map_err(|_| "no address")
    }
}

/// Looked at as a whole, when all of it is there.
#[derive(Deserialize)]
#[serde(try_from = "(u8, u8)")]
struct Pair;

impl TryFrom<(u8, u8)> for Pair {
    type Error = &'static str;

    fn try_from((a, b): (u8, u8)) -> Result<Self, Self::Error> {
        if a + b == 8 { Ok(Self) } else { Err("they do not make eight") }
    }
}

define! {
    vector {
        pub(super) struct Order { id: u64, drink: Drink, notes: Vec<String>, table: Option<(u8, char)>, extra: BTreeMap<String, f64> }
        enum Drink { Water, Coffee(Roast), Tea { minutes: u8 } }
        struct Roast(i16);
    }
}

/// PROTOCOL.md has these: they must never change, or nodes of two versions no longer understand each other.
#[test]
fn the_vectors_hold() {
    assert_eq!(of::<u32>().to_string(), "afedcca9e434b02f");
    assert_eq!(of::<String>().to_string(), "72dec7ef61dabb45");
    assert_eq!(of::<vector::Order>().to_string(), "4c64865f8b7b1a1f");
    assert_eq!(of::<tree::Tree>().to_string(), "352243409016ced5");
    assert_eq!(of::<IpAddr>().to_string(), "70b905ba6cd392d2");
    assert_eq!(of::<SystemTime>().to_string(), "ddd5d8e5fdde1c4d");
}
