//! Room for large messages that are put together, shared by all links of a node.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Least room for all peers together, bytes: four messages of the largest size.
const MIN_ROOM: usize = 256 * 1024 * 1024;

/// What does not fit waits, in the order of asking; nothing is refused.
#[derive(Debug)]
pub(crate) struct Budget {
    room: Arc<Semaphore>,
    all: usize,
    waiting: AtomicUsize,
}

/// Room that was given; given back on drop.
pub(crate) type Grant = OwnedSemaphorePermit;

impl Budget {
    /// Room for messages of up to `largest` bytes.
    pub(crate) fn new(largest: usize) -> Self {
        let all = MIN_ROOM.max(2 * largest);
        let room = Arc::new(Semaphore::new(all));
        Self { room, all, waiting: AtomicUsize::new(0) }
    }

    /// Whether somebody waits.
    pub(crate) fn is_short(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Bytes that are given, and how many wait for theirs.
    pub(crate) fn stats(&self) -> (usize, usize) {
        let given = self.all.saturating_sub(self.room.available_permits());
        (given, self.waiting.load(Ordering::Relaxed))
    }

    /// Bytes in all.
    pub(crate) const fn limit(&self) -> usize {
        self.all
    }

    /// Room for a message of `bytes`, if there is.
    pub(crate) fn try_reserve(&self, bytes: usize) -> Option<Grant> {
        Arc::clone(&self.room).try_acquire_many_owned(permits(bytes)).ok()
    }

    /// Room for a message of `bytes`, when others have given theirs back.
    pub(crate) fn reserve(self: &Arc<Self>, bytes: usize) -> Reserve {
        let budget = Arc::clone(self);
        Box::pin(async move {
            let _waiting = Waiting::new(&budget.waiting);
            let (room, bytes) = (Arc::clone(&budget.room), permits(bytes));
            // It is never closed.
            room.acquire_many_owned(bytes).await.ok()
        })
    }
}

/// A permit is a byte.
fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// Resolves to the room.
pub(crate) type Reserve = Pin<Box<dyn Future<Output = Option<Grant>> + Send>>;

/// One who waits, until dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
