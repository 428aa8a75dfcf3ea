//! Noun: the headers of a message, and the wrapper that they travel in.
//!
//! `kind u8 (6) | length varint | header block | the body that is wrapped`. A block is its headers in ascending order of their
//! keys, each `key length u8 | key | value length varint | value`. A message without headers has no wrapper.

use std::fmt;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use super::envelope::{EnvelopeError, put_varint, take_varint};
use crate::topic::shortened;

/// Most headers of one message.
///
/// With [`MAX_HEADERS_BYTES`] it bounds what a look at one of them can cost.
pub const MAX_HEADERS: usize = 32;

/// Most bytes of a header's key.
pub const MAX_HEADER_KEY: usize = 64;

/// Most bytes of all headers of one message: keys, values, and two to three bytes for each header. What a trace context, an
/// address to answer to and some words of a service need, several times over; what is longer is payload.
pub const MAX_HEADERS_BYTES: usize = 4_096;

/// The kind of a body that is wrapped.
const WRAPPED: u8 = 6;

/// Small pairs of key and value beside a payload; of [`PublishOptions::headers`](crate::PublishOptions::headers).
///
/// A key is 1 to 64 printable ASCII characters without blanks, and case matters. A value is bytes, a text as a rule. There are at
/// most 32, of 4,096 bytes together ([`MAX_HEADERS_BYTES`]); they do not count against
/// [`Node::max_message`](crate::Node::max_message). A clone shares their memory; where they came with a message, also that of its
/// payload.
///
/// ```
/// use talkie_pubsub::Headers;
/// let mut headers = Headers::new();
/// headers.insert("content-type", "text/plain")?;
/// headers.insert("checksum", [0x1d, 0xf0])?;
/// assert_eq!(headers.text("content-type"), Some("text/plain"));
/// assert_eq!(headers.get("checksum"), Some(&[0x1d, 0xf0][..]));
/// assert_eq!(headers.iter().count(), 2);
/// # Ok::<(), talkie_pubsub::HeadersError>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Headers(
    /// The block, which holds what was checked; none is empty. One pointer, so that messages without headers pay no more.
    Option<Arc<Bytes>>,
);

/// Why a header cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadersError {
    /// The key is none.
    #[error("header key {given:?} is not 1 to {MAX_HEADER_KEY} printable ASCII characters without blanks")]
    Key {
        /// Its beginning.
        given: String,
    },
    /// There are [`MAX_HEADERS`] already.
    #[error("{MAX_HEADERS} headers are there already, and no more are allowed")]
    TooMany,
    /// All together are over [`MAX_HEADERS_BYTES`].
    #[error(
        "headers of {given} bytes are over the limit of {MAX_HEADERS_BYTES}; what is long belongs into the payload"
    )]
    TooLarge {
        /// How many bytes they would be.
        given: usize,
    },
}

impl Headers {
    /// None.
    pub const fn new() -> Self {
        Self(None)
    }

    /// Sets a header, in the place of one of the same key.
    ///
    /// # Errors
    /// For a key that is none, one header too many, and more bytes than are allowed: then nothing is changed.
    pub fn insert(&mut self, key: &str, value: impl AsRef<[u8]>) -> Result<(), HeadersError> {
        if !is_key(key.as_bytes()) {
            return Err(HeadersError::Key { given: shortened(key) });
        }
        let value = value.as_ref();
        if value.len() > MAX_HEADERS_BYTES {
            // Not even copied.
            return Err(HeadersError::TooLarge { given: value.len() });
        }
        self.change(key, Some(value))
    }

    /// Takes a header away; nothing where there is none of this key.
    pub fn remove(&mut self, key: &str) {
        // Less is never too much.
        let _ = self.change(key, None);
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        self.iter().find(|(known, _)| *known == key).map(|(_, value)| value)
    }

    /// The value of a key, where it is UTF-8.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// All of them, in ascending order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> + Clone {
        let mut rest = self.block();
        std::iter::from_fn(move || {
            let (key, value) = take_header(&mut rest)?;
            Some((std::str::from_utf8(key).ok()?, value))
        })
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Their bytes, as they count against [`MAX_HEADERS_BYTES`].
    pub fn size(&self) -> usize {
        self.block().len()
    }

    /// Appends what stands before a body with these headers; nothing where there are none.
    pub fn put(&self, to: &mut Vec<u8>) {
        let block = self.block();
        if !block.is_empty() {
            to.push(WRAPPED);
            put_varint(to, block.len() as u64);
            to.extend_from_slice(block);
        }
    }

    /// A head of a body with these headers before it.
    pub(crate) fn before(&self, head: BytesMut) -> BytesMut {
        if self.is_empty() {
            return head;
        }
        let mut wrapper = Vec::with_capacity(3 + self.size() + head.len());
        self.put(&mut wrapper);
        let mut wrapped = BytesMut::from(&*wrapper);
        wrapped.put_slice(&head);
        wrapped
    }

    /// Takes the headers off the front of a body; nothing where it is not wrapped. They share its memory.
    ///
    /// # Errors
    /// Where the wrapper is cut short, or holds what [`insert`](Self::insert) would refuse, or a key twice.
    pub fn take(body: &mut Bytes) -> Result<Self, EnvelopeError> {
        if body.first() != Some(&WRAPPED) {
            return Ok(Self::new());
        }
        let mut rest = body.get(1..).unwrap_or_default();
        let len = usize::try_from(take_varint(&mut rest)?).map_err(|_| EnvelopeError::Malformed)?;
        if len > MAX_HEADERS_BYTES || len > rest.len() {
            return Err(EnvelopeError::Malformed);
        }
        let begin = body.len() - rest.len();
        let block = body.slice(begin..begin + len);
        *body = body.slice(begin + len..);
        check(&block)?;
        Ok(if block.is_empty() { Self::new() } else { Self(Some(Arc::new(block))) })
    }

    /// Merges a header in, or takes one away.
    fn change(&mut self, key: &str, value: Option<&[u8]>) -> Result<(), HeadersError> {
        let (mut block, mut count) = (Vec::with_capacity(self.size() + 3 + key.len()), 0);
        let mut put = |key: &str, value: &[u8]| {
            count += 1;
            // A key of at most 64 bytes.
            block.push(key.len() as u8);
            block.extend_from_slice(key.as_bytes());
            put_varint(&mut block, value.len() as u64);
            block.extend_from_slice(value);
        };
        let others = || self.iter().filter(|(known, _)| *known != key);
        others().filter(|(known, _)| *known < key).for_each(|(key, value)| put(key, value));
        if let Some(value) = value {
            put(key, value);
        }
        others().filter(|(known, _)| *known > key).for_each(|(key, value)| put(key, value));
        if count > MAX_HEADERS {
            return Err(HeadersError::TooMany);
        }
        if block.len() > MAX_HEADERS_BYTES {
            return Err(HeadersError::TooLarge { given: block.len() });
        }
        self.0 = (!block.is_empty()).then(|| Arc::new(Bytes::from(block)));
        Ok(())
    }

    fn block(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |block| block)
    }
}

impl<K: AsRef<str>, V: AsRef<[u8]>, const N: usize> TryFrom<[(K, V); N]> for Headers {
    type Error = HeadersError;

    fn try_from(pairs: [(K, V); N]) -> Result<Self, HeadersError> {
        let mut headers = Self::new();
        for (key, value) in pairs {
            headers.insert(key.as_ref(), value)?;
        }
        Ok(headers)
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs = self.iter().map(|(key, value)| (key, String::from_utf8_lossy(value)));
        f.debug_map().entries(pairs).finish()
    }
}

fn is_key(key: &[u8]) -> bool {
    (1..=MAX_HEADER_KEY).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic)
}

/// Whether a block that came from the network is one.
fn check(block: &[u8]) -> Result<(), EnvelopeError> {
    let (mut rest, mut last) = (block, &[][..]);
    for _ in 0..=MAX_HEADERS {
        if rest.is_empty() {
            return Ok(());
        }
        let (key, _) = take_header(&mut rest).ok_or(EnvelopeError::Malformed)?;
        // Ascending, so that none is there twice and two writers of the same headers write the same.
        if !is_key(key) || key <= last {
            return Err(EnvelopeError::Malformed);
        }
        last = key;
    }
    Err(EnvelopeError::Malformed)
}

/// The next header of a block.
fn take_header<'a>(rest: &mut &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let (&len, after) = rest.split_first()?;
    let (key, mut after) = after.split_at_checked(usize::from(len))?;
    let len = usize::try_from(take_varint(&mut after).ok()?).ok()?;
    let (value, after) = after.split_at_checked(len)?;
    *rest = after;
    Some((key, value))
}

#[cfg(test)]
mod tests;
