//! Large messages on their way in on one link, and the room that they take.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::budget::{Budget, Grant, Reserve};
use crate::proto::bulk::{Assembly, PieceError};

/// While others wait for room, a message must make this much headway in this time, or it ends its link: a quarter of a
/// mebibyte a second, so that the longest is through in 5 minutes. One that is whole must be delivered in this time.
const HEADWAY: u64 = 2_560 * 1024;
const WITHIN: Duration = Duration::from_secs(10);

/// The machine, and the room that its message has or waits for.
pub(crate) struct BulkIn {
    assembly: Assembly,
    budget: Arc<Budget>,
    grant: Option<Grant>,
    waits: Option<Reserve>,
    /// How much had been had when headway was last looked at.
    mark: Option<(Instant, u64)>,
}

impl BulkIn {
    pub(crate) fn new(limit: usize, budget: Arc<Budget>) -> Self {
        Self { assembly: Assembly::new(limit), budget, grant: None, waits: None, mark: None }
    }

    /// Takes a piece.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<(), PieceError> {
        self.assembly.push(piece)?;
        if self.grant.is_some() && !self.assembly.is_unfinished() {
            // All of it is here: from now on it can only be delivered.
            self.mark = self.assembly.pending().map(|had| (Instant::now(), had));
        }
        if let Some(wanted) = self.assembly.wanted().filter(|_| self.waits.is_none()) {
            match self.budget.try_reserve(wanted) {
                Some(grant) => self.granted(Some(grant)),
                None => self.waits = Some(self.budget.reserve(wanted)),
            }
        }
        Ok(())
    }

    /// Bytes taken on this link, when it is time to tell.
    pub(crate) fn poll_taken(&mut self) -> Option<u64> {
        self.assembly.poll_taken()
    }

    /// The message that is whole. Its room is free again: from here on it counts in the queues of those it is for.
    pub(crate) fn take(&mut self) -> Result<Bytes, PieceError> {
        let body = self.assembly.take()?;
        self.grant = None;
        self.mark = None;
        Ok(body)
    }

    /// Resolves when there is room for the message that waits, or when one that others wait for stands still. Cancel
    /// safe.
    pub(crate) async fn changed(&mut self) -> Result<(), PieceError> {
        if let Some(waits) = &mut self.waits {
            let grant = waits.await;
            self.granted(grant);
            return Ok(());
        }
        let (Some((at, had)), Some(now_had)) = (self.mark, self.assembly.pending()) else {
            return std::future::pending().await;
        };
        tokio::time::sleep_until((at + WITHIN).into()).await;
        if now_had - had < HEADWAY && self.budget.is_short() {
            return Err(PieceError::Stalled);
        }
        self.mark = Some((Instant::now(), now_had));
        Ok(())
    }

    fn granted(&mut self, grant: Option<Grant>) {
        self.waits = None;
        self.grant = grant;
        self.mark = self.assembly.pending().map(|had| (Instant::now(), had));
        self.assembly.handle_granted();
    }
}
