//! Noun: eight bytes that name what a type looks like on the wire, so that another type is never decoded into nonsense.
//!
//! Nothing but serde's `Deserialize` is asked of a type. It is deserialized from made-up values by a deserializer
//! (`tracer`) that notes what is asked of it: this kind of number, a struct of this name with these fields. One pass
//! goes through one variant of an enum and may end at a type that checks its value, so passes are repeated until one
//! brings no news (`shape`). The picture that is left is hashed.
//!
//! The same definition gives the same fingerprint in every program: paths, crates and layouts are not in it, names are.

use std::fmt;

use serde::de::DeserializeOwned;

mod access;
mod digest;
mod samples;
mod shape;
mod tracer;

use shape::{At, Shape};

/// Bytes of a fingerprint: by chance two of 100,000 types share one with a probability of 3 in 10,000,000,000.
pub const LEN: usize = 8;

/// Names a type by its form: names of structs, enums, fields and variants (as serde renames them) and their order, kinds
/// of numbers, and everything within.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub(crate) [u8; LEN]);

impl Fingerprint {
    /// That of a type. Takes microseconds to some milliseconds, so callers keep it; the work is bounded whatever the
    /// type does.
    ///
    /// What lies behind a value that no made-up one satisfies (behind a text of a form of its own, in a tuple) is not
    /// seen and does not count. The fields of a struct are all seen.
    pub fn of<T: DeserializeOwned>() -> Self {
        Self::look_at::<T>().0
    }

    /// The same, and whether a form without names can serve the type: not one that asks what comes (`untagged`, `tag`,
    /// `flatten`, a JSON value).
    pub fn look_at<T: DeserializeOwned>() -> (Self, bool) {
        let mut shape = Shape::default();
        // A type that panics on a value has that defect with or without a fingerprint: what was seen so far counts.
        let traced = std::panic::AssertUnwindSafe(|| {
            let _ = tracer::explore::<T>(&mut shape, At::ROOT, 0, false);
        });
        let _ = std::panic::catch_unwind(traced);
        (Self(shape.digest()), !shape.asks_what_comes())
    }

    /// Its bytes, as they stand before a value.
    pub const fn as_bytes(&self) -> &[u8; LEN] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

#[cfg(test)]
mod tests;
