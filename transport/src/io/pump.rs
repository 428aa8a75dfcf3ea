//! The task that writes what the publishers' own tasks leave.

use std::sync::Arc;

use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use super::session::Session;
use super::stream::Stream;
use super::writer::Step;
use crate::proto::mesh::LinkNumber;

/// Writes of other messages after which a piece of a large one waits for its turn alone.
const STARVED: u8 = 8;

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
        loop {
            self.wake.notified().await;
            let mut passed = 0u8;
            loop {
                let piece = self.session.has_piece(self.number);
                let turn = if piece { self.turns.try_acquire().ok() } else { None };
                let Ok(step) = self.session.step(self.number, turn.is_some()) else {
                    // The reader hears of a broken socket too, and tells why.
                    return;
                };
                drop(turn);
                passed = if step == Step::WrotePiece { 0 } else { passed.saturating_add(1) };
                let wants = piece && (step == Step::Drained || passed >= STARVED);
                match step {
                    Step::Drained if !piece => break,
                    Step::Blocked if self.stream.writable().await.is_err() => return,
                    Step::Drained | Step::Blocked => {}
                    Step::Wrote | Step::WrotePiece => rest().await,
                }
                if wants {
                    match self.take_turn(passed).await {
                        Ok(Step::WrotePiece) => passed = 0,
                        Ok(_) => {}
                        Err(_) => return,
                    }
                }
            }
        }
    }

    /// Sends a piece when it is its turn; where nothing else waits for long, something else may come first.
    async fn take_turn(&self, passed: u8) -> std::io::Result<Step> {
        let turn = tokio::select! {
            biased;
            turn = self.turns.acquire() => turn,
            () = self.wake.notified(), if passed < STARVED => return Ok(Step::Drained),
        };
        let step = self.session.step(self.number, true)?;
        drop(turn);
        rest().await;
        Ok(step)
    }
}

/// Whoever waits for a processor goes first, so that more is there for the next write, and a large message does not take two
/// of them whole. The runtime's own turn comes less often: it would wake another thread, to see whether there is work for it.
async fn rest() {
    std::thread::yield_now();
    tokio::task::coop::consume_budget().await;
}
