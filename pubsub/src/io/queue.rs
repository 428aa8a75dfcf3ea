//! One subscription's queue: a bounded backlog between the dispatching tasks and the one that reads.

use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use talkie_discovery::NodeId;

use super::registry::lock;
use crate::delivery::{Delivery, Message, QueueLimits};
use crate::metrics::Deliveries;
use crate::proto::backlog::Backlog;

/// Filled by any task, read by one. The lock is held for a push or a pop, never while waking.
#[derive(Debug)]
pub(crate) struct Queue(Mutex<State>);

#[derive(Debug)]
struct State {
    backlog: Backlog,
    /// The reader, while it waits.
    reader: Option<Waker>,
    /// Nothing more comes in; what waits is still read.
    closed: bool,
    /// Losses and misfits are counted here; the backlog counts what it pushes out.
    counted: Deliveries,
}

impl Queue {
    pub(crate) fn new(limits: QueueLimits) -> Self {
        Self(Mutex::new(State {
            backlog: Backlog::new(limits),
            reader: None,
            closed: false,
            counted: Deliveries::default(),
        }))
    }

    pub(crate) fn push(&self, message: Message) {
        self.add(|backlog, counted| {
            counted.received += 1;
            backlog.push(message);
        });
    }

    pub(crate) fn push_gap(&self, from: NodeId, missed: u64, exact: bool) {
        self.add(|backlog, counted| {
            counted.missed = counted.missed.saturating_add(missed);
            counted.uncounted += u64::from(!exact);
            backlog.push_gap(from, missed, exact);
        });
    }

    /// Ends the stream behind what waits already.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.0);
        state.closed = true;
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// What waits, without waiting for more.
    pub(crate) fn pop(&self) -> Option<Delivery> {
        lock(&self.0).backlog.pop()
    }

    pub(crate) fn poll_pop(&self, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        let mut state = lock(&self.0);
        match state.backlog.pop() {
            Some(delivery) => Poll::Ready(Some(delivery)),
            None if state.closed => Poll::Ready(None),
            None => {
                match &mut state.reader {
                    Some(reader) => reader.clone_from(cx.waker()),
                    none => *none = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
        }
    }

    /// The reader could make nothing of a message.
    pub(crate) fn count_malformed(&self) {
        lock(&self.0).counted.malformed += 1;
    }

    /// How many deliveries wait, with how many bytes, and what came so far.
    pub(crate) fn stats(&self) -> (u64, u64, Deliveries) {
        let state = lock(&self.0);
        let (waiting, bytes) = state.backlog.waiting();
        let dropped = state.backlog.dropped();
        (waiting as u64, bytes as u64, Deliveries { dropped, ..state.counted })
    }

    fn add(&self, add: impl FnOnce(&mut Backlog, &mut Deliveries)) {
        let mut state = lock(&self.0);
        if state.closed {
            return;
        }
        let State { backlog, counted, .. } = &mut *state;
        add(backlog, counted);
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}
