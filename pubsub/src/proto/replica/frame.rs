//! Noun: a control frame on the wire.
//!
//! `kind u8 | fields`, integers as postcard varints. A frame or item of an unknown kind is skipped, and so are
//! bytes behind the known fields, so that later versions can add.
//!
//! | kind | frame | fields |
//! |---|---|---|
//! | 1, 3 | state | flags u8 (1 begin, 2 end of a snapshot), run, number, then items: `kind u8`, length, fields |
//! | 2, 4 | ack | run, number |
//!
//! Which of them, and what items there are beside the removal, is for each kind of entry to say:
//! [`interest`](crate::proto::interest) (1 and 2) and [`presence`](crate::proto::presence) (3 and 4).

use serde::{Deserialize, Serialize};

use super::{ControlError, Entry, Item, MAX_FRAME, REMOVE};

const BEGIN: u8 = 1;
const END: u8 = 2;

/// Most bytes before an item's fields: kind and length.
const ITEM_HEAD: usize = 1 + 3;

pub(super) enum Frame<'a> {
    State(State<'a>),
    Ack(Ack),
    /// Of another kind of entry, or of a later version.
    Unknown,
}

pub(super) struct State<'a> {
    pub(super) begin: bool,
    pub(super) end: bool,
    pub(super) run: u64,
    pub(super) number: u64,
    items: &'a [u8],
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Ack {
    pub(super) run: u64,
    pub(super) number: u64,
}

impl<'a> Frame<'a> {
    /// A frame, where those of these kinds are known.
    pub(super) fn decode((state, ack): (u8, u8), bytes: &'a [u8]) -> Result<Self, ControlError> {
        let (&kind, fields) = bytes.split_first().ok_or(ControlError::Malformed)?;
        if kind == state {
            let ((flags, run, number), items) = take::<(u8, u64, u64)>(fields)?;
            let state = State { begin: flags & BEGIN != 0, end: flags & END != 0, run, number, items };
            Ok(Self::State(state))
        } else if kind == ack {
            Ok(Self::Ack(take(fields)?.0))
        } else {
            Ok(Self::Unknown)
        }
    }
}

impl<'a> State<'a> {
    /// Kind and fields of the items in their order, up to the first malformed one.
    pub(super) fn items(&self) -> impl Iterator<Item = Result<(u8, &'a [u8]), ControlError>> + use<'a> {
        let mut rest = self.items;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let item = split(rest);
            rest = item.as_ref().map_or(&[], |(_, _, after)| *after);
            Some(item.map(|(kind, fields, _)| (kind, fields)))
        })
    }
}

impl Ack {
    pub(super) fn encode(&self, kind: u8, buf: &mut Vec<u8>) {
        buf.push(kind);
        append(buf, self);
    }
}

/// An item from its kind and fields.
pub(super) fn read<E: Entry>(kind: u8, fields: &[u8], last: Option<&E>) -> Result<Item<E>, ControlError> {
    match kind {
        REMOVE => Ok(Item::Remove { id: take(fields)?.0 }),
        _ => E::read(kind, fields, last),
    }
}

/// Writes one state frame of at most [`MAX_FRAME`] bytes.
pub(super) struct StateWriter<'b> {
    buf: &'b mut Vec<u8>,
    start: usize,
    fields: Vec<u8>,
}

impl<'b> StateWriter<'b> {
    pub(super) fn new(buf: &'b mut Vec<u8>, kind: u8, begin: bool, run: u64, number: u64) -> Self {
        let start = buf.len();
        buf.push(kind);
        append(buf, &(if begin { BEGIN } else { 0 }, run, number));
        Self { buf, start, fields: Vec::new() }
    }

    /// Appends the item whose fields `write` appends and whose kind it gives; false where the frame is full.
    pub(super) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>) -> u8) -> bool {
        self.fields.clear();
        let kind = write(&mut self.fields);
        if self.buf.len() - self.start + ITEM_HEAD + self.fields.len() > MAX_FRAME {
            return false;
        }
        append(self.buf, &(kind, self.fields.len()));
        self.buf.extend_from_slice(&self.fields);
        true
    }

    /// With this frame the snapshot is complete.
    pub(super) fn end(self) {
        if let Some(flags) = self.buf.get_mut(self.start + 1) {
            *flags |= END;
        }
    }
}

/// Kind and fields of the first item, and what is behind it.
fn split(bytes: &[u8]) -> Result<(u8, &[u8], &[u8]), ControlError> {
    let ((kind, len), bytes) = take::<(u8, usize)>(bytes)?;
    let (fields, after) = bytes.split_at_checked(len).ok_or(ControlError::Malformed)?;
    Ok((kind, fields, after))
}

/// A value at the beginning of the bytes, and what is behind it.
pub(in crate::proto) fn take<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<(T, &'a [u8]), ControlError> {
    postcard::take_from_bytes(bytes).map_err(|_| ControlError::Malformed)
}

/// Appends a value.
pub(in crate::proto) fn append(buf: &mut Vec<u8>, value: &impl Serialize) {
    // Numbers and short texts into memory: postcard has no way to fail, and a cut frame would be refused.
    let written = postcard::to_extend(value, std::mem::take(buf));
    debug_assert!(written.is_ok());
    *buf = written.unwrap_or_default();
}
