//! Noun: a value of a type as a payload. `fingerprint of the type, 8 bytes | the value in postcard, to the end`.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::strict::Strict;
use super::fingerprint::{Fingerprint, LEN};

mod limit;
mod strict;

/// Structs, enums, lists and options within each other that a value may have: a type that contains itself would otherwise
/// let a peer use up the stack. As many as serde_json takes.
pub const MAX_NESTED: usize = 128;

/// Elements of no bytes (`()`, empty structs) that the lists of a value may have: a length costs its sender a few bytes, and
/// counting them all would take the subscriber for ever.
pub const MAX_EMPTY: usize = 65_536;

/// Why a value is no payload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the value cannot be encoded: {reason}")]
#[non_exhaustive]
pub struct EncodeError {
    /// What postcard, or the type itself, says.
    pub reason: String,
}

/// Why a payload is no value of the type that a subscriber asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Too short for a fingerprint: published without a type.
    #[error("a payload of {given} bytes is too short for a typed message")]
    TooShort {
        /// Its length, bytes.
        given: usize,
    },
    /// Published as another type, or another version of it, or without a type.
    #[error("published as another type: fingerprint {given} where {expected} was expected")]
    OtherType {
        /// What the payload begins with.
        given: Fingerprint,
        /// That of the subscriber's type.
        expected: Fingerprint,
    },
    /// Of the right type, and yet no value of it: cut short, nested more than 128 deep, or refused by the type itself.
    #[error("not a value of its type: {reason}")]
    Value {
        /// What postcard says.
        reason: String,
    },
    /// There is more than the value.
    #[error("{bytes} bytes too many behind the value")]
    Trailing {
        /// How many.
        bytes: usize,
    },
}

impl EncodeError {
    /// Of a type that no subscriber could read.
    pub(crate) fn unreadable() -> Self {
        let reason =
            "its type asks what comes (untagged, tag, flatten, a JSON value), which postcard does not write";
        Self { reason: reason.into() }
    }
}

/// The payload of a value.
///
/// # Errors
/// Where the type's `Serialize` gives up, leaves a field out, or asks for what postcard has no form for.
pub fn encode<T: Serialize>(fingerprint: &Fingerprint, value: &T) -> Result<Bytes, EncodeError> {
    postcard::to_extend(&Strict(value), fingerprint.as_bytes().to_vec()).map(Bytes::from).map_err(|error| {
        EncodeError {
            // postcard keeps no text of others; this one has a single cause.
            reason: match error {
                postcard::Error::SerdeSerCustom => strict::REFUSED.into(),
                error => error.to_string(),
            },
        }
    })
}

/// The value of a payload.
///
/// # Errors
/// Where it is none: see [`DecodeError`].
pub fn decode<T: DeserializeOwned>(expected: &Fingerprint, payload: &[u8]) -> Result<T, DecodeError> {
    let Some((given, body)) = payload.split_first_chunk::<LEN>() else {
        return Err(DecodeError::TooShort { given: payload.len() });
    };
    if given != expected.as_bytes() {
        return Err(DecodeError::OtherType { given: Fingerprint(*given), expected: *expected });
    }
    let refused = |error: postcard::Error| DecodeError::Value { reason: error.to_string() };
    let mut from = postcard::Deserializer::from_bytes(body);
    // All others have a byte at least, and each list is asked for one more than it has.
    let value = limit::deserialize(&mut from, MAX_NESTED, 2 * body.len() + MAX_EMPTY).map_err(refused)?;
    match from.finalize().map_err(refused)?.len() {
        0 => Ok(value),
        bytes => Err(DecodeError::Trailing { bytes }),
    }
}

#[cfg(test)]
mod tests;
