//! The task that writes what the publishers' own tasks leave.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

use super::session::Session;
use super::stream::Stream;
use super::writer::Step;
use crate::proto::mesh::LinkNumber;

/// Writes of other messages after which a piece of a large one waits for its turn alone.
const STARVED: u8 = 8;

/// How long a turn is kept at most for a piece to be taken: who does not take it holds up no other.
const KEEP: Duration = Duration::from_millis(5);

/// Turns at sending pieces of large messages: so many links do at a time as leaves half of the processors to others, one at
/// least. Large messages to many peers would else take them all, on both sides of links on one host.
pub(crate) fn turns() -> Semaphore {
    Semaphore::new(std::thread::available_parallelism().map_or(1, |all| (all.get() / 2).max(1)))
}

/// The writer task of one link: writes what waits whenever it is woken, until the link ends.
pub(crate) struct Pump {
    pub(crate) session: Arc<Session>,
    pub(crate) number: LinkNumber,
    pub(crate) stream: Arc<Stream>,
    pub(crate) wake: Arc<Notify>,
    /// See [`turns`].
    pub(crate) turns: Arc<Semaphore>,
}

impl Pump {
    pub(crate) async fn run(self, stop: CancellationToken) {
        tokio::select! {
            () = self.write() => {}
            () = stop.cancelled() => {}
        }
    }

    async fn write(&self) {
        let near = self.stream.is_within_host();
        let mut kept = None;
        loop {
            self.woken(&kept).await;
            let mut passed = 0u8;
            loop {
                kept = kept.filter(|kept| self.is_kept(kept));
                let piece = kept.is_none() && self.session.has_piece(self.number);
                let turn = if piece { self.turns.try_acquire().ok() } else { None };
                let Ok(step) = self.session.step(self.number, turn.is_some()) else {
                    // The reader hears of a broken socket too, and tells why.
                    return;
                };
                if step == Step::WrotePiece {
                    kept = self.keep(turn.filter(|_| near));
                    passed = 0;
                } else {
                    drop(turn);
                    passed = passed.saturating_add(1);
                }
                let wants = piece && (step == Step::Drained || passed >= STARVED);
                match step {
                    Step::Drained if !piece => break,
                    Step::Drained => {}
                    Step::Blocked => {
                        // A peer that reads nothing holds up no other.
                        kept = None;
                        if self.stream.writable().await.is_err() {
                            return;
                        }
                    }
                    Step::Wrote | Step::WrotePiece => rest().await,
                }
                if wants {
                    match self.take_turn(passed).await {
                        Ok((Step::WrotePiece, turn)) => {
                            kept = self.keep(turn.filter(|_| near));
                            passed = 0;
                            rest().await;
                        }
                        Ok(_) => {}
                        Err(_) => return,
                    }
                }
            }
        }
    }

    /// Waits until there may be something to do.
    async fn woken(&self, kept: &Option<Kept<'_>>) {
        match kept {
            Some(kept) => {
                let _ = tokio::time::timeout_at(kept.until.into(), self.wake.notified()).await;
            }
            None => self.wake.notified().await,
        }
    }

    /// Whether the turn of a piece that was written is still needed.
    fn is_kept(&self, kept: &Kept<'_>) -> bool {
        Instant::now() < kept.until && self.session.has_untaken(self.number)
    }

    /// The other side opens a piece with the same processors, if it is on this host: where small messages are about, its turn
    /// lasts until that is done.
    fn keep<'a>(&self, turn: Option<SemaphorePermit<'a>>) -> Option<Kept<'a>> {
        let turn = turn.filter(|_| self.session.is_mixed(self.number))?;
        Some(Kept { _turn: turn, until: Instant::now() + KEEP })
    }

    /// Sends a piece when it is its turn; where nothing else waits for long, something else may come first.
    async fn take_turn(&self, passed: u8) -> std::io::Result<(Step, Option<SemaphorePermit<'_>>)> {
        let turn = tokio::select! {
            biased;
            turn = self.turns.acquire() => turn.ok(),
            () = self.wake.notified(), if passed < STARVED => return Ok((Step::Drained, None)),
        };
        Ok((self.session.step(self.number, true)?, turn))
    }
}

/// A turn that lasts until the piece has been taken, but not for ever.
struct Kept<'a> {
    _turn: SemaphorePermit<'a>,
    until: Instant,
}

/// Whoever waits for a processor goes first, so that more is there for the next write, and a large message does not take two
/// of them whole. The runtime's own turn comes less often: it would wake another thread, to see whether there is work for it.
async fn rest() {
    std::thread::yield_now();
    tokio::task::coop::consume_budget().await;
}
