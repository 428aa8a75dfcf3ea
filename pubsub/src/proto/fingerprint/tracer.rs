//! The deserializer that only asks: it notes what a type wants in a slot, and hands out made-up values.

use std::any::type_name;

use serde::de::{Deserialize, Deserializer, Visitor};

use super::access::{Elements, Entries, Fields, Variant};
use super::samples::{self, FLAVOURS};
use super::shape::{At, Kind, Leaf, Shape, State, Stop};

/// Stands for the value of one slot.
#[derive(Debug)]
pub(super) struct Tracer<'a> {
    pub(super) shape: &'a mut Shape,
    pub(super) at: At,
    /// Which of the samples to show.
    pub(super) flavour: usize,
    /// Only what was made before: a compound is being made within itself.
    pub(super) again: bool,
}

/// Makes the value of a slot again and again until nothing new is seen, then with other samples until the type takes one.
pub(super) fn explore<'de, T: Deserialize<'de>>(
    shape: &mut Shape,
    at: At,
    flavour: usize,
    again: bool,
) -> Result<T, Stop> {
    let known = shape.slot(at).map_or(0, |slot| slot.flavour);
    let first = if flavour == 0 { known } else { flavour };
    let mut tries = 0;
    loop {
        let news = shape.news;
        let made = T::deserialize(Tracer { shape, at, flavour: first + tries, again });
        if shape.is_spent() {
            return Err(Stop::Spent);
        }
        if shape.news > news {
            continue;
        }
        match made {
            Ok(value) => {
                if let Some(slot) = shape.slot(at).filter(|_| flavour == 0) {
                    slot.flavour = (first + tries) % FLAVOURS;
                }
                return Ok(value);
            }
            Err(Stop::Refused) if tries + 1 < FLAVOURS => tries += 1,
            Err(Stop::Refused) => return Err(Stop::Stuck),
            Err(other) => return Err(other),
        }
    }
}

/// A compound is asked for: noted, and made by `$make`. A macro, since each generic function on the way counts against
/// the compiler's limit of recursion, once for each level of the type.
macro_rules! within {
    ($self:ident, $visitor:ty, $kind:expr, |$tracer:ident| $make:expr) => {{
        let (id, inside) = $self.shape.enter($self.at, type_name::<$visitor>(), $kind)?;
        let again = $self.again || inside;
        let at = At { compound: id, body: 0, slot: 0 };
        let $tracer = Tracer { shape: &mut *$self.shape, at, flavour: $self.flavour, again };
        let made = $make;
        $self.shape.leave(id, made.is_ok());
        made
    }};
}

/// One of several ways to fill a compound, with a note of how far it led. What is made in the shortest way says nothing of
/// what there is to see.
macro_rules! look {
    ($self:ident, |$tracer:ident| $make:expr) => {{
        let before = (!$self.again).then_some(($self.shape.news, $self.shape.cuts));
        let at = $self.at;
        let $tracer = Tracer { shape: &mut *$self.shape, ..$self };
        let made = $make;
        if let Some(before) = before {
            $self.shape.looked(at.compound, at.body, before, made.is_ok());
        }
        made
    }};
}

impl Tracer<'_> {
    fn option<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        if self.again || !self.shape.is_open(self.at.compound, 0) {
            return visitor.visit_none();
        }
        look!(self, |inner| visitor.visit_some(inner))
    }

    fn map<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        let compound = self.at.compound;
        let done = self.shape.body(compound, 0).state == State::Done;
        // One whose value cannot be made is empty.
        if self.again || !(done || self.shape.is_open(compound, 0)) {
            return visitor.visit_map(Entries { tracer: self, left: 0 });
        }
        let left = samples::elements(self.flavour).min(1);
        look!(self, |tracer| visitor.visit_map(Entries { tracer, left }))
    }

    /// In the order of fields, as it comes off the wire; where one of them cannot be made, each by its name.
    pub(super) fn fields<'de, V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        let At { compound, body, .. } = self.at;
        let (made, news) = (self.shape.made, self.shape.news);
        let stuck = self.shape.body(compound, body).stuck;
        if stuck.is_none_or(|then| then < made && !self.again) {
            let elements = Elements::new(Tracer { shape: &mut *self.shape, ..self }, fields.len());
            let result = visitor.visit_seq(elements);
            let quiet = self.shape.news == news && !self.again;
            if let (Err(Stop::Stuck | Stop::Cut), true) = (&result, quiet) {
                let first = self.shape.body(compound, body).stuck.replace(made).is_none();
                self.shape.news += u64::from(first);
            }
            return result;
        }
        if self.shape.body(compound, body).named >= fields.len() {
            return Err(Stop::Stuck);
        }
        visitor.visit_map(Fields { tracer: self, fields })
    }

    fn variant<'de, V: Visitor<'de>>(self, variants: usize, visitor: V) -> Result<V::Value, Stop> {
        let compound = self.at.compound;
        let good = self.shape.compound(compound).good;
        let open = (0..variants).find(|body| !self.again && self.shape.is_open(compound, *body));
        let Some(body) = open.or(good) else {
            let mut bodies = self.shape.compound(compound).bodies.iter();
            // Within itself, or waiting for what cannot be made yet.
            let later = self.again || bodies.any(|body| matches!(body.state, State::Cut(_)));
            return Err(if later { self.shape.cut() } else { Stop::Stuck });
        };
        let this = Tracer { at: At { compound, body, slot: 0 }, ..self };
        let made = look!(this, |tracer| visitor.visit_enum(Variant { tracer }));
        if made.is_ok() && good.is_none() {
            this.shape.compound(compound).good = Some(body);
            this.shape.made += 1;
            this.shape.news += 1;
        }
        made
    }
}

/// A leaf: noted, and a sample shown.
macro_rules! leaves {
    ($($method:ident $leaf:ident $visit:ident $sample:expr;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
            self.shape.leaf(self.at, Leaf::$leaf)?;
            let sample = $sample;
            visitor.$visit(sample(self.flavour))
        }
    )*};
}

/// What only self-describing forms can serve.
macro_rules! unserved {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Stop> {
            self.shape.leaf(self.at, Leaf::Any)?;
            Err(Stop::Stuck)
        }
    )*};
}

impl<'de> Deserializer<'de> for Tracer<'_> {
    type Error = Stop;

    leaves! {
        deserialize_bool Bool visit_bool |flavour| flavour % 2 == 1;
        deserialize_i8 I8 visit_i8 |flavour| samples::number(flavour) as i8;
        deserialize_i16 I16 visit_i16 |flavour| i16::from(samples::number(flavour));
        deserialize_i32 I32 visit_i32 |flavour| i32::from(samples::number(flavour));
        deserialize_i64 I64 visit_i64 |flavour| i64::from(samples::number(flavour));
        deserialize_i128 I128 visit_i128 |flavour| i128::from(samples::number(flavour));
        deserialize_u8 U8 visit_u8 samples::number;
        deserialize_u16 U16 visit_u16 |flavour| u16::from(samples::number(flavour));
        deserialize_u32 U32 visit_u32 |flavour| u32::from(samples::number(flavour));
        deserialize_u64 U64 visit_u64 |flavour| u64::from(samples::number(flavour));
        deserialize_u128 U128 visit_u128 |flavour| u128::from(samples::number(flavour));
        deserialize_f32 F32 visit_f32 |flavour| f32::from(samples::number(flavour));
        deserialize_f64 F64 visit_f64 |flavour| f64::from(samples::number(flavour));
        deserialize_char Char visit_char samples::letter;
        deserialize_str Str visit_borrowed_str samples::text;
        deserialize_string Str visit_borrowed_str samples::text;
        deserialize_bytes Bytes visit_borrowed_bytes samples::bytes;
        deserialize_byte_buf Bytes visit_borrowed_bytes samples::bytes;
    }

    unserved! { deserialize_any deserialize_identifier deserialize_ignored_any }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.shape.leaf(self.at, Leaf::Unit)?;
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        within!(self, V, Kind::UnitStruct(name), |_tracer| visitor.visit_unit())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        within!(self, V, Kind::Option, |tracer| tracer.option(visitor))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        within!(self, V, Kind::Newtype(name), |inner| visitor.visit_newtype_struct(inner))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        within!(self, V, Kind::Seq, |tracer| {
            let len = if tracer.again { 0 } else { samples::elements(tracer.flavour) };
            visitor.visit_seq(Elements::list(tracer, len))
        })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        within!(self, V, Kind::Map, |tracer| tracer.map(visitor))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Stop> {
        within!(self, V, Kind::Tuple(len), |tracer| visitor.visit_seq(Elements::new(tracer, len)))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        within!(self, V, Kind::TupleStruct(name, len), |tracer| visitor.visit_seq(Elements::new(tracer, len)))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        within!(self, V, Kind::Struct(name, fields), |tracer| tracer.fields(fields, visitor))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        within!(self, V, Kind::Enum(name, variants), |tracer| tracer.variant(variants.len(), visitor))
    }

    /// As postcard says.
    fn is_human_readable(&self) -> bool {
        false
    }
}
