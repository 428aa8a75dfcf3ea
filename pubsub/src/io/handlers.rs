//! Handlers: called where a message arrives, or by whoever publishes it here.
//!
//! What arrives from a peer is handed to them in the reader's task. What is published here is called for behind the
//! bus's order, and not under it, so that a handler may publish: [`Calls`] keeps the order.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, TryLockError};

use talkie_discovery::{NodeId, NodeName};

use super::registry::{Local, Takers, lock};
use crate::delivery::{DeliveryRef, MessageRef};
use crate::metrics::Deliveries;
use crate::proto::backlog::Waiting;
use crate::topic::Topic;
use crate::trace;

/// Messages that handlers published and handlers of a bus were not called for yet; each is charged some 200 bytes. A handler
/// that answers each message with a few never meets it; one that would feed itself without end does.
pub(crate) const MAX_LATER: usize = 16_384;

/// One handler, in one piece of memory: what is counted stands beside what the function has with it.
pub(crate) struct Callee<F: ?Sized = dyn Fn(DeliveryRef<'_>) + Send + Sync> {
    ended: AtomicBool,
    received: AtomicU64,
    missed: AtomicU64,
    uncounted: AtomicU64,
    panicked: AtomicU64,
    /// This node's.
    name: NodeName,
    call: F,
}

impl<F: Fn(DeliveryRef<'_>) + Send + Sync + 'static> Callee<F> {
    pub(crate) fn new(name: NodeName, call: F) -> Arc<Callee> {
        let zero = AtomicU64::default;
        let ended = AtomicBool::new(false);
        let (received, missed, uncounted, panicked) = (zero(), zero(), zero(), zero());
        Arc::new(Self { ended, received, missed, uncounted, panicked, name, call })
    }
}

impl Callee {
    /// No call begins from now on.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// Hands it a message; `exact` is the topic of one that names none.
    fn message(&self, message: &Waiting, exact: Option<&Topic>) {
        let Some(topic) = message.topic.as_ref().or(exact) else { return };
        let name = message.name.as_ref().unwrap_or(&self.name);
        let Waiting { from, seq, headers, payload, .. } = message;
        let (from, seq) = (*from, *seq);
        let _within = trace::delivery(headers, topic, name);
        if self.call(DeliveryRef::Message(MessageRef { topic, from, name, seq, headers, payload })) {
            self.received.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Tells it of a loss.
    pub(super) fn gap(&self, from: NodeId, missed: u64, exact: bool) {
        let _inside = Inside::enter();
        if self.call(DeliveryRef::Gap { from, missed, exact }) {
            self.missed.fetch_add(missed, Ordering::Relaxed);
            self.uncounted.fetch_add(u64::from(!exact), Ordering::Relaxed);
        }
    }

    /// Whether it was called.
    fn call(&self, delivery: DeliveryRef<'_>) -> bool {
        if self.ended.load(Ordering::Acquire) {
            return false;
        }
        // A link, or somebody's publish, goes on whatever a handler does.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (self.call)(delivery))) {
            // To drop what it panicked with could panic again.
            std::mem::forget(panic);
            let count = self.panicked.fetch_add(1, Ordering::Relaxed) + 1;
            if count.is_power_of_two() {
                tracing::error!(name: "talkie.handler.panicked", count, "a handler panicked; it is called again for the next message");
            }
        }
        true
    }

    pub(super) fn stats(&self) -> Deliveries {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Deliveries {
            received: get(&self.received),
            missed: get(&self.missed),
            uncounted: get(&self.uncounted),
            panicked: get(&self.panicked),
            ..Deliveries::default()
        }
    }
}

impl fmt::Debug for Callee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callee").field("ended", &self.ended).finish_non_exhaustive()
    }
}

/// Calls the handlers of an interest that joined by the epoch, or all; but not the one of this number.
pub(super) fn call(local: &Local, takers: &Takers, epoch: Option<u64>, but: u64, message: &Waiting) {
    if takers.handlers.is_empty() {
        return;
    }
    let _inside = Inside::enter();
    for joined in takers.handlers.iter().filter(|joined| joined.takes(epoch) && joined.born != but) {
        joined.to.message(message, local.exact.as_ref());
    }
}

/// The calls that are due on one bus, in the order of publishing. They are planned under the bus's order and run without it.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    later: Mutex<VecDeque<Planned>>,
    /// Held by whoever runs them.
    turn: Mutex<()>,
}

/// Handlers to call for a message.
#[derive(Debug)]
struct Planned {
    local: Arc<Local>,
    takers: Arc<Takers>,
    /// The one that is left out.
    but: u64,
    message: Waiting,
}

impl Calls {
    /// Whether the caller is a handler, and no more may be planned before it returns.
    pub(super) fn is_full(&self) -> bool {
        is_inside() && lock(&self.later).len() >= MAX_LATER
    }

    /// Plans calls; [`Self::run`] follows.
    pub(super) fn plan(&self, local: &Arc<Local>, takers: Arc<Takers>, but: u64, message: Waiting) {
        lock(&self.later).push_back(Planned { local: Arc::clone(local), takers, but, message });
    }

    /// Runs what is planned. When it returns all of it has been run, unless the caller is a handler: then whoever called that
    /// runs it next, or whoever runs calls of this bus.
    pub(super) fn run(&self) {
        while !lock(&self.later).is_empty() {
            let turn = if is_inside() {
                // Never waited for in a handler: the one who has it may wait for the caller.
                match self.turn.try_lock() {
                    Ok(turn) => turn,
                    Err(TryLockError::Poisoned(turn)) => turn.into_inner(),
                    Err(TryLockError::WouldBlock) => return,
                }
            } else {
                lock(&self.turn)
            };
            while let Some(Planned { local, takers, but, message }) = self.next() {
                call(&local, &takers, None, but, &message);
            }
            drop(turn);
            // Looked at again: what was planned since may have found the turn taken.
        }
    }

    fn next(&self) -> Option<Planned> {
        lock(&self.later).pop_front()
    }
}

thread_local! {
    /// How many handlers this thread is in, one within the other.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

fn is_inside() -> bool {
    DEPTH.get() > 0
}

/// While it lives, this thread calls handlers.
struct Inside;

impl Inside {
    fn enter() -> Self {
        DEPTH.set(DEPTH.get() + 1);
        Self
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}
