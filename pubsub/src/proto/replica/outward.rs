//! What we tell one peer.

use std::collections::BTreeSet;

use super::frame::{Ack, Item, StateWriter};
use crate::proto::interest::OwnInterests;

/// Frames that may be unacknowledged; with [`MAX_FRAME`](super::MAX_FRAME) it bounds what control holds in a link's queue to 256 KiB.
pub(super) const WINDOW: u64 = 8;

/// Pending changes beyond which a new snapshot is cheaper to hold: it needs no memory but its cursor.
pub(super) const MAX_PENDING: usize = 4_096;

/// What we tell one peer.
#[derive(Debug, Default)]
pub(super) struct Outward {
    pub(super) linked: bool,
    /// Counts links; frames and acks of an earlier one are told by it.
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
    /// Subscriptions that the peer may know of: [`Replica::joins`] when it was last told anything.
    pub(super) announced: u64,
}

impl Outward {
    /// An interest joined or gone: told again, if it was told at all.
    pub(super) fn changed(&mut self, id: u64) {
        if self.linked && !self.restart && id < self.cursor {
            self.pending.insert(id);
            if self.pending.len() > MAX_PENDING {
                self.pending.clear();
                self.restart = true;
            }
        }
    }

    /// Appends the next frame: a snapshot, changes, or both.
    pub(super) fn write_state(&mut self, own: &OwnInterests, buf: &mut Vec<u8>) {
        self.sent += 1;
        let begin = std::mem::take(&mut self.restart);
        if begin {
            self.in_snapshot = true;
            self.cursor = 0;
            self.pending.clear();
        }
        let mut writer = StateWriter::new(buf, begin, self.run, self.sent);
        // Changes before adds: what makes room at the peer comes first.
        while let Some(&id) = self.pending.first() {
            let item = match own.get(id) {
                Some(own) => Item::Epoch { id, epoch: own.epoch },
                None => Item::Remove { id },
            };
            if !writer.push(&item) {
                return;
            }
            self.pending.pop_first();
        }
        for (id, own) in own.from(self.cursor) {
            let (bus, pattern) = (own.bus.as_str(), own.pattern.as_str());
            if !writer.push(&Item::Add { id, epoch: own.epoch, bus, pattern, role: own.role }) {
                return;
            }
            self.cursor = id + 1;
        }
        if std::mem::take(&mut self.in_snapshot) {
            writer.end();
        }
    }
}
