//! What a compound is filled with: elements, entries, fields, a variant's content.
//!
//! serde's own methods name the type that they want (`next_element::<T>`), so that it can be made several times; those
//! that bring a seed can only be served once.

use serde::de::{
    Deserialize, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::shape::{At, Form, Stop};
use super::tracer::{Tracer, explore};

/// Elements of a list, which share a slot, or of a tuple, which have one each.
pub(super) struct Elements<'a> {
    tracer: Tracer<'a>,
    left: usize,
    list: bool,
}

impl<'a> Elements<'a> {
    pub(super) fn new(tracer: Tracer<'a>, len: usize) -> Self {
        Self { tracer, left: len, list: false }
    }

    pub(super) fn list(tracer: Tracer<'a>, len: usize) -> Self {
        Self { tracer, left: len, list: true }
    }

    /// The slot of the next element, if there is one.
    fn next(&mut self) -> Option<At> {
        self.left = self.left.checked_sub(1)?;
        let at = self.tracer.at;
        if !self.list {
            self.tracer.at.slot += 1;
        }
        Some(at)
    }

    /// A list without the element that cannot be made is a list all the same.
    fn made<T>(&self, element: Result<T, Stop>) -> Result<Option<T>, Stop> {
        match element {
            Err(Stop::Stuck | Stop::Cut | Stop::Refused) if self.list => Ok(None),
            element => element.map(Some),
        }
    }
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Stop;

    fn next_element<T: Deserialize<'de>>(&mut self) -> Result<Option<T>, Stop> {
        let Some(at) = self.next() else { return Ok(None) };
        let element = self.tracer.slot(at);
        self.made(element)
    }

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Stop> {
        let Some(at) = self.next() else { return Ok(None) };
        let element = seed.deserialize(self.tracer.at(at));
        self.made(element)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// Entries of a map: keys share a slot, and so do values.
pub(super) struct Entries<'a> {
    pub(super) tracer: Tracer<'a>,
    pub(super) left: usize,
}

impl Entries<'_> {
    fn key(&mut self) -> Option<At> {
        self.left = self.left.checked_sub(1)?;
        Some(At { slot: 0, ..self.tracer.at })
    }

    fn value(&self) -> At {
        At { slot: 1, ..self.tracer.at }
    }
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Stop;

    fn next_key<K: Deserialize<'de>>(&mut self) -> Result<Option<K>, Stop> {
        self.key().map(|at| self.tracer.slot(at)).transpose()
    }

    fn next_value<V: Deserialize<'de>>(&mut self) -> Result<V, Stop> {
        self.tracer.slot(self.value())
    }

    fn next_entry<K: Deserialize<'de>, V: Deserialize<'de>>(&mut self) -> Result<Option<(K, V)>, Stop> {
        let Some(at) = self.key() else { return Ok(None) };
        // Both are looked at, also where there can be no key.
        let (key, value) = (self.tracer.slot(at), self.next_value());
        Ok(Some((key?, value?)))
    }

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Stop> {
        self.key().map(|at| seed.deserialize(self.tracer.at(at))).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Stop> {
        let at = self.value();
        seed.deserialize(self.tracer.at(at))
    }
}

/// The fields of a struct of which some cannot be made, each by its name; a pass begins behind the last.
pub(super) struct Fields<'a> {
    pub(super) tracer: Tracer<'a>,
    pub(super) fields: &'static [&'static str],
}

impl Fields<'_> {
    /// Behind those in order.
    fn value(&self) -> At {
        let At { compound, body, .. } = self.tracer.at;
        let named = self.tracer.at.slot;
        At { compound, body, slot: self.fields.len() + named }
    }
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Stop;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Stop> {
        let At { compound, body, .. } = self.tracer.at;
        let named = &mut self.tracer.shape.body(compound, body).named;
        let Some(name) = self.fields.get(*named) else { return Ok(None) };
        self.tracer.at.slot = *named;
        *named += 1;
        self.tracer.shape.news += 1;
        seed.deserialize(name.into_deserializer()).map(Some)
    }

    fn next_value<V: Deserialize<'de>>(&mut self) -> Result<V, Stop> {
        let at = self.value();
        self.tracer.slot(at)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Stop> {
        let at = self.value();
        seed.deserialize(self.tracer.at(at))
    }
}

/// One variant of an enum.
pub(super) struct Variant<'a> {
    pub(super) tracer: Tracer<'a>,
}

impl Variant<'_> {
    fn form(&mut self, form: Form) {
        let At { compound, body, .. } = self.tracer.at;
        let known = &mut self.tracer.shape.body(compound, body).form;
        if known.is_none() {
            *known = Some(form);
            self.tracer.shape.news += 1;
        }
    }
}

impl<'de> EnumAccess<'de> for Variant<'_> {
    type Error = Stop;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Stop> {
        let index = self.tracer.at.body as u32;
        let which = seed.deserialize(IntoDeserializer::<Stop>::into_deserializer(index))?;
        Ok((which, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = Stop;

    fn unit_variant(mut self) -> Result<(), Stop> {
        self.form(Form::Unit);
        Ok(())
    }

    fn newtype_variant<T: Deserialize<'de>>(mut self) -> Result<T, Stop> {
        self.form(Form::Newtype);
        self.tracer.slot(self.tracer.at)
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(mut self, seed: S) -> Result<S::Value, Stop> {
        self.form(Form::Newtype);
        seed.deserialize(self.tracer)
    }

    fn tuple_variant<V: Visitor<'de>>(mut self, len: usize, visitor: V) -> Result<V::Value, Stop> {
        self.form(Form::Tuple(len));
        visitor.visit_seq(Elements::new(self.tracer, len))
    }

    fn struct_variant<V: Visitor<'de>>(
        mut self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.form(Form::Struct(fields));
        self.tracer.fields(fields, visitor)
    }
}

impl Tracer<'_> {
    /// The value of another slot, made as often as there is something to see.
    fn slot<'de, T: Deserialize<'de>>(&mut self, at: At) -> Result<T, Stop> {
        explore(self.shape, at, self.flavour, self.again)
    }

    /// The same for one use.
    fn at(&mut self, at: At) -> Tracer<'_> {
        Tracer { shape: self.shape, at, flavour: self.flavour, again: self.again }
    }
}
