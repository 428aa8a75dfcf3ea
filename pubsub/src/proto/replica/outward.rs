//! What we tell one peer.

use std::collections::BTreeSet;

use super::frame::{Ack, StateWriter};
use super::{Entry, Own, REMOVE, append};

/// Frames that may be unacknowledged; with [`MAX_FRAME`](super::MAX_FRAME) it bounds what control holds in a link's queue to
/// 256 KiB for each kind of entry.
pub(super) const WINDOW: u64 = 8;

/// Pending changes beyond which a new snapshot is cheaper to hold: it needs no memory but its cursor.
pub(super) const MAX_PENDING: usize = 4_096;

/// What we tell one peer.
#[derive(Debug, Default)]
pub(super) struct Outward {
    pub(super) linked: bool,
    /// Names the link; frames and acks of an earlier one are told by it.
    pub(super) run: u64,
    /// Numbers of the last frame sent and acknowledged in this run.
    pub(super) sent: u64,
    pub(super) acked: u64,
    /// The next frame begins a snapshot.
    pub(super) restart: bool,
    /// The snapshot has not reached the end yet.
    pub(super) in_snapshot: bool,
    /// The next id that was not told yet.
    pub(super) cursor: u64,
    /// Told ids that changed since.
    pub(super) pending: BTreeSet<u64>,
    /// To acknowledge: run and number of the peer's last frame.
    pub(super) ack: Option<Ack>,
    /// What the peer may know of: [`Own::said`] when it was last told anything.
    pub(super) announced: u64,
}

impl Outward {
    /// An entry changed or is gone: told again, if it was told at all.
    pub(super) fn changed(&mut self, id: u64) {
        if self.linked && !self.restart && id < self.cursor {
            self.pending.insert(id);
            if self.pending.len() > MAX_PENDING {
                self.pending.clear();
                self.restart = true;
            }
        }
    }

    /// Whether the entry, as it is, was sent on this link.
    pub(super) fn has_told(&self, id: u64) -> bool {
        !self.restart && id < self.cursor && !self.pending.contains(&id)
    }

    /// Appends the next frame, of this kind: a snapshot, changes, or both.
    pub(super) fn write_state(&mut self, kind: u8, own: &impl Own, buf: &mut Vec<u8>) {
        self.sent += 1;
        let begin = std::mem::take(&mut self.restart);
        if begin {
            self.in_snapshot = true;
            self.cursor = 0;
            self.pending.clear();
        }
        let mut writer = StateWriter::new(buf, kind, begin, self.run, self.sent);
        // Changes before adds: what makes room at the peer comes first.
        while let Some(&id) = self.pending.first() {
            let written = writer.push(|fields| match own.get(id) {
                Some(entry) => entry.write_change(id, fields),
                None => {
                    append(fields, &id);
                    REMOVE
                }
            });
            if !written {
                return;
            }
            self.pending.pop_first();
        }
        for (id, entry) in own.from(self.cursor) {
            if !writer.push(|fields| entry.write_add(id, fields)) {
                return;
            }
            self.cursor = id + 1;
        }
        if std::mem::take(&mut self.in_snapshot) {
            writer.end();
        }
    }
}
