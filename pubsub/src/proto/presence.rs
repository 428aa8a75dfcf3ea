//! Presence: what a node says of itself that is present on it. One entry per tracked key, also where keys are equal.
//!
//! | kind | item | fields |
//! |---|---|---|
//! | 1 | add | id, bus, topic, key, meta (texts and bytes: length, bytes) |
//! | 2 | update | id, meta |
//! | 3 | remove | id |

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::replica::{ControlError, Entry, Item, Own, append, take};
use crate::topic::{BusName, Topic};

/// Most bytes of a key.
pub const MAX_KEY: usize = 255;

/// Most bytes of a meta, the fingerprint of its type included: a description of who is there, and half a frame.
pub const MAX_META: usize = 16 * 1024;

/// Most entries of a node. A service with that many users on one node has other worries.
pub const MAX_ENTRIES: usize = 65_536;

/// Most memory of a node's own entries, in bytes, [`CHARGE`] included; an entry counts with the longest meta that it had.
pub const MAX_OWN_BYTES: usize = 32 * 1024 * 1024;

/// Most memory that one peer's entries may take here, in bytes. Twice what the peer allows itself: while it tells of changes,
/// what was told before and what is so now may stand side by side. So an honest peer is never refused.
pub const MAX_PEER_BYTES: usize = 2 * MAX_OWN_BYTES;

/// What one entry is charged besides its texts and meta, in bytes: its places in two trees (100 to 200 each), two allocations.
pub const CHARGE: usize = 320;

const ADD: u8 = 1;
const UPDATE: u8 = 2;

/// A key that is present on a topic, with a meta.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Here {
    /// The bus.
    pub bus: BusName,
    /// The topic.
    pub topic: Topic,
    /// Who or what is there.
    pub key: Arc<str>,
    /// With what.
    pub meta: Bytes,
}

impl Entry for Here {
    type Change = Bytes;

    const FRAMES: (u8, u8) = (3, 4);
    const MAX: usize = MAX_ENTRIES;
    const MAX_BYTES: usize = MAX_PEER_BYTES;

    fn charge(&self) -> usize {
        CHARGE + self.bus.as_str().len() + self.topic.as_str().len() + self.key.len() + self.meta.len()
    }

    fn continues(&self, before: &Self) -> bool {
        self.bus == before.bus && self.topic == before.topic && self.key == before.key
    }

    fn change(&mut self, meta: Bytes) {
        self.meta = meta;
    }

    fn write_add(&self, id: u64, fields: &mut Vec<u8>) -> u8 {
        append(fields, &(id, self.bus.as_str(), self.topic.as_str(), &*self.key, self.meta.len()));
        fields.extend_from_slice(&self.meta);
        ADD
    }

    fn write_change(&self, id: u64, fields: &mut Vec<u8>) -> u8 {
        append(fields, &(id, self.meta.len()));
        fields.extend_from_slice(&self.meta);
        UPDATE
    }

    fn read(kind: u8, fields: &[u8], last: Option<&Self>) -> Result<Item<Self>, ControlError> {
        Ok(match kind {
            ADD => {
                let ((id, bus, topic, key, meta), _) = take::<(u64, &str, &str, &str, &[u8])>(fields)?;
                if !is_key(key) || meta.len() > MAX_META {
                    return Err(ControlError::Invalid(id));
                }
                // Most entries of a node are on one topic: its name is held once.
                let last = last.filter(|last| last.bus.as_str() == bus);
                let bus = match last {
                    Some(last) => last.bus.clone(),
                    None => bus.parse().map_err(|_| ControlError::Invalid(id))?,
                };
                let topic = match last.filter(|last| last.topic.as_str() == topic) {
                    Some(last) => last.topic.clone(),
                    None => topic.parse().map_err(|_| ControlError::Invalid(id))?,
                };
                Item::Add {
                    id,
                    entry: Self { bus, topic, key: key.into(), meta: Bytes::copy_from_slice(meta) },
                }
            }
            UPDATE => {
                let ((id, meta), _) = take::<(u64, &[u8])>(fields)?;
                if meta.len() > MAX_META {
                    return Err(ControlError::Invalid(id));
                }
                Item::Change { id, change: Bytes::copy_from_slice(meta) }
            }
            _ => Item::Unknown,
        })
    }
}

/// Whether this can be a key: 1 to [`MAX_KEY`] bytes.
pub const fn is_key(key: &str) -> bool {
    !key.is_empty() && key.len() <= MAX_KEY
}

/// This node has as many entries as it may, or they take as much memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this node tracks {entries} keys in {bytes} bytes already: at most {MAX_ENTRIES} keys in {MAX_OWN_BYTES} bytes"
)]
pub struct Full {
    /// How many there are.
    pub entries: usize,
    /// What they are charged, bytes.
    pub bytes: usize,
}

/// The entries of this node.
#[derive(Debug, Default)]
pub struct OwnEntries {
    last_id: u64,
    by_id: BTreeMap<u64, Kept>,
    /// What they are charged.
    bytes: usize,
}

#[derive(Debug)]
struct Kept {
    here: Here,
    /// The most that it was charged. It never shrinks: peers may still hold the longest meta while they are told of an entry
    /// that takes its room.
    charged: usize,
}

impl OwnEntries {
    /// One more; its id.
    ///
    /// # Errors
    /// Where there is no room for it.
    pub fn insert(&mut self, here: Here) -> Result<u64, Full> {
        let charged = here.charge();
        if self.by_id.len() >= MAX_ENTRIES || self.bytes + charged > MAX_OWN_BYTES {
            return Err(self.full());
        }
        self.bytes += charged;
        self.last_id += 1;
        self.by_id.insert(self.last_id, Kept { here, charged });
        Ok(self.last_id)
    }

    /// Another meta for an entry; the entry, where it is there and that is news.
    ///
    /// # Errors
    /// Where there is no room for it.
    pub fn update(&mut self, id: u64, meta: Bytes) -> Result<Option<&Here>, Full> {
        let full = self.full();
        let Some(kept) = self.by_id.get_mut(&id).filter(|kept| kept.here.meta != meta) else {
            return Ok(None);
        };
        let more = (kept.here.charge() - kept.here.meta.len() + meta.len()).saturating_sub(kept.charged);
        if self.bytes + more > MAX_OWN_BYTES {
            return Err(full);
        }
        self.bytes += more;
        kept.charged += more;
        kept.here.meta = meta;
        Ok(Some(&kept.here))
    }

    /// One less, if it is there.
    pub fn remove(&mut self, id: u64) -> Option<Here> {
        let kept = self.by_id.remove(&id)?;
        self.bytes -= kept.charged;
        Some(kept.here)
    }

    /// How many there are, and what they are charged, bytes.
    pub fn size(&self) -> (usize, usize) {
        (self.by_id.len(), self.bytes)
    }

    fn full(&self) -> Full {
        let (entries, bytes) = self.size();
        Full { entries, bytes }
    }
}

impl Own for OwnEntries {
    type Entry = Here;

    fn get(&self, id: u64) -> Option<&Here> {
        self.by_id.get(&id).map(|kept| &kept.here)
    }

    fn from(&self, id: u64) -> impl Iterator<Item = (u64, &Here)> {
        self.by_id.range(id..).map(|(&id, kept)| (id, &kept.here))
    }

    fn said(&self) -> u64 {
        self.last_id
    }
}

// The longest entry fits in a frame.
const _: () = assert!(
    4 * 10 + crate::topic::MAX_BUS_BYTES + crate::topic::MAX_BYTES + MAX_KEY + MAX_META
        <= super::replica::MAX_ITEM
);
