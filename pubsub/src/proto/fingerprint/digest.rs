//! From the picture of a type to its fingerprint; PROTOCOL.md, section 4, has the bytes.

use sha2::{Digest, Sha256};

use super::LEN;
use super::shape::{Child, Compound, Form, Kind, Shape};

/// Compounds within each other that count. A type that contains itself is taken as unfolded to here.
const UNFOLDED: usize = 64;

impl Shape {
    /// The hash of the root, unfolded [`UNFOLDED`] deep: the same whether a definition is used twice or there are two
    /// that are equal.
    pub(super) fn digest(&self) -> [u8; LEN] {
        let mut hashes = vec![[0; 32]; self.compounds.len()];
        for _ in 0..UNFOLDED {
            let next: Vec<_> = self.compounds.iter().map(|compound| compound.hash(&hashes)).collect();
            if next == hashes {
                break;
            }
            hashes = next;
        }
        hashes.first().and_then(|root| root.first_chunk()).copied().unwrap_or_default()
    }
}

impl Compound {
    /// Of its names, and of what is in its slots as far as that has a hash.
    fn hash(&self, hashes: &[[u8; 32]]) -> [u8; 32] {
        let mut out = Text(Sha256::new());
        let mut variants: &[&str] = &[];
        match self.kind {
            Kind::Root => {
                out.0.update([32]);
                out.text("talkie/1 type");
            }
            Kind::Option => out.0.update([33]),
            Kind::Seq => out.0.update([34]),
            Kind::Map => out.0.update([35]),
            Kind::Tuple(len) => out.head(36, None, len),
            Kind::UnitStruct(name) => out.head(37, Some(name), 0),
            Kind::Newtype(name) => out.head(38, Some(name), 1),
            Kind::TupleStruct(name, len) => out.head(39, Some(name), len),
            Kind::Struct(name, fields) => {
                out.head(40, Some(name), fields.len());
                fields.iter().for_each(|field| out.text(field));
            }
            Kind::Enum(name, all) => {
                out.head(41, Some(name), all.len());
                variants = all;
            }
        }
        for (place, body) in self.bodies.iter().enumerate() {
            if let Some(variant) = variants.get(place) {
                out.text(variant);
                out.form(body.form);
            }
            out.count(body.slots.len());
            for slot in &body.slots {
                out.count(slot.children.len());
                for child in &slot.children {
                    match child {
                        Child::Leaf(leaf) => out.0.update([*leaf as u8]),
                        Child::Compound(id) => {
                            out.0.update([0]);
                            out.0.update(hashes.get(*id).copied().unwrap_or_default());
                        }
                    }
                }
            }
        }
        out.0.finalize().into()
    }
}

/// Writes what is hashed: texts and counts with their lengths, so that no two pictures write the same.
struct Text(Sha256);

impl Text {
    fn count(&mut self, count: usize) {
        self.0.update((count as u32).to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.update(text);
    }

    fn head(&mut self, kind: u8, name: Option<&str>, len: usize) {
        self.0.update([kind]);
        if let Some(name) = name {
            self.text(name);
        }
        self.count(len);
    }

    fn form(&mut self, form: Option<Form>) {
        match form {
            None => self.0.update([0]),
            Some(Form::Unit) => self.0.update([1]),
            Some(Form::Newtype) => self.0.update([2]),
            Some(Form::Tuple(len)) => self.head(3, None, len),
            Some(Form::Struct(fields)) => {
                self.head(4, None, fields.len());
                fields.iter().for_each(|field| self.text(field));
            }
        }
    }
}
