//! The clock: tokio's, so that a test that pauses it (`start_paused`) has deadlines and waits in its own time. Unpaused it is
//! the system's.

use std::time::Instant;

/// Now.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
