//! Noun: a control frame on the wire.
//!
//! `kind u8 | fields`, integers as postcard varints. A frame or item of an unknown kind is skipped, and so are
//! bytes behind the known fields, so that later versions can add.
//!
//! | kind | frame | fields |
//! |---|---|---|
//! | 1 | state | flags u8 (1 begin, 2 end of a snapshot), run, number, then items: `kind u8`, length, fields |
//! | 2 | ack | run, number |
//!
//! | kind | item | fields |
//! |---|---|---|
//! | 1 | add | id, epoch, bus, pattern (texts: length, bytes) |
//! | 2 | epoch | id, epoch |
//! | 3 | remove | id |
//! | 4 | add responder | as add: what it names wants requests, not messages |

use serde::{Deserialize, Serialize};

use super::{ControlError, MAX_FRAME};
use crate::proto::interest::Role;
use crate::topic::{MAX_BUS_BYTES, MAX_BYTES};

const STATE: u8 = 1;
const ACK: u8 = 2;

const BEGIN: u8 = 1;
const END: u8 = 2;

const ADD: u8 = 1;
const EPOCH: u8 = 2;
const REMOVE: u8 = 3;
/// A kind of its own, so that whoever does not know it takes it for no subscriber.
const ADD_RESPONDER: u8 = 4;

/// Most bytes of an item's fields: two numbers and two texts with their lengths.
const MAX_ITEM: usize = 10 + 10 + 2 + MAX_BUS_BYTES + 2 + MAX_BYTES;

/// Most bytes before an item's fields: kind and length.
const ITEM_HEAD: usize = 1 + 2;

pub(super) enum Frame<'a> {
    State(State<'a>),
    Ack(Ack),
    /// Of a later version.
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

pub(super) enum Item<'a> {
    Add {
        id: u64,
        epoch: u64,
        bus: &'a str,
        pattern: &'a str,
        role: Role,
    },
    Epoch {
        id: u64,
        epoch: u64,
    },
    Remove {
        id: u64,
    },
    /// Of a later version.
    Unknown,
}

impl<'a> Frame<'a> {
    pub(super) fn decode(bytes: &'a [u8]) -> Result<Self, ControlError> {
        let (&kind, fields) = bytes.split_first().ok_or(ControlError::Malformed)?;
        match kind {
            STATE => {
                let ((flags, run, number), items) = take::<(u8, u64, u64)>(fields)?;
                let state = State { begin: flags & BEGIN != 0, end: flags & END != 0, run, number, items };
                Ok(Self::State(state))
            }
            ACK => Ok(Self::Ack(take(fields)?.0)),
            _ => Ok(Self::Unknown),
        }
    }
}

impl<'a> State<'a> {
    /// The items in their order, up to the first malformed one.
    pub(super) fn items(&self) -> impl Iterator<Item = Result<Item<'a>, ControlError>> + use<'a> {
        let mut rest = self.items;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let item = Item::decode(rest);
            rest = item.as_ref().map_or(&[], |(_, after)| *after);
            Some(item.map(|(item, _)| item))
        })
    }
}

impl Ack {
    pub(super) fn encode(&self, buf: &mut Vec<u8>) {
        buf.push(ACK);
        append(buf, self);
    }
}

impl<'a> Item<'a> {
    fn decode(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), ControlError> {
        let ((kind, len), bytes) = take::<(u8, usize)>(bytes)?;
        let (fields, after) = bytes.split_at_checked(len).ok_or(ControlError::Malformed)?;
        let item = match kind {
            ADD | ADD_RESPONDER => {
                let role = if kind == ADD { Role::Subscriber } else { Role::Responder };
                let (id, epoch, bus, pattern) = take(fields)?.0;
                Self::Add { id, epoch, bus, pattern, role }
            }
            EPOCH => {
                let (id, epoch) = take(fields)?.0;
                Self::Epoch { id, epoch }
            }
            REMOVE => Self::Remove { id: take(fields)?.0 },
            _ => Self::Unknown,
        };
        Ok((item, after))
    }

    fn encode(&self, fields: &mut Vec<u8>) -> u8 {
        match self {
            Self::Add { id, epoch, bus, pattern, role } => {
                append(fields, &(id, epoch, bus, pattern));
                match role {
                    Role::Subscriber => ADD,
                    Role::Responder => ADD_RESPONDER,
                }
            }
            Self::Epoch { id, epoch } => {
                append(fields, &(id, epoch));
                EPOCH
            }
            Self::Remove { id } => {
                append(fields, id);
                REMOVE
            }
            Self::Unknown => 0,
        }
    }
}

/// Writes one state frame of at most [`MAX_FRAME`] bytes.
pub(super) struct StateWriter<'b> {
    buf: &'b mut Vec<u8>,
    start: usize,
    fields: Vec<u8>,
}

impl<'b> StateWriter<'b> {
    pub(super) fn new(buf: &'b mut Vec<u8>, begin: bool, run: u64, number: u64) -> Self {
        let start = buf.len();
        buf.push(STATE);
        append(buf, &(if begin { BEGIN } else { 0 }, run, number));
        Self { buf, start, fields: Vec::with_capacity(MAX_ITEM) }
    }

    /// Appends the item; false where the frame is full.
    pub(super) fn push(&mut self, item: &Item<'_>) -> bool {
        self.fields.clear();
        let kind = item.encode(&mut self.fields);
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

fn take<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<(T, &'a [u8]), ControlError> {
    postcard::take_from_bytes(bytes).map_err(|_| ControlError::Malformed)
}

fn append(buf: &mut Vec<u8>, value: &impl Serialize) {
    // Numbers and short texts into memory: postcard has no way to fail, and a cut frame would be refused.
    let written = postcard::to_extend(value, std::mem::take(buf));
    debug_assert!(written.is_ok());
    *buf = written.unwrap_or_default();
}
