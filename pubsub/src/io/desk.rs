//! The responding side: requests that wait for a responder.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use talkie_discovery::{NodeId, NodeName};

use super::registry::lock;
use crate::delivery::QueueLimits;
use crate::proto::backlog::CHARGE;
use crate::proto::headers::Headers;
use crate::topic::{Pattern, Topic};

/// A responders' interest: those on this node that share a pattern.
#[derive(Debug)]
pub(crate) struct Desk<P> {
    pub(super) pattern: Pattern,
    /// Replaced as a whole when one joins or leaves.
    trays: RwLock<Arc<[Arc<Tray<P>>]>>,
}

impl<P> Desk<P> {
    pub(super) fn new(pattern: Pattern, first: Arc<Tray<P>>) -> Self {
        Self { pattern, trays: RwLock::new(Arc::from([first])) }
    }

    /// The responders of the moment.
    pub(super) fn trays(&self) -> Arc<[Arc<Tray<P>>]> {
        Arc::clone(&self.trays.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn add(&self, tray: Arc<Tray<P>>) {
        self.change(|all| all.push(tray));
    }

    pub(super) fn remove(&self, tray: &Arc<Tray<P>>) {
        self.change(|all| all.retain(|known| !Arc::ptr_eq(known, tray)));
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Arc<Tray<P>>>)) {
        let mut trays = self.trays.write().unwrap_or_else(PoisonError::into_inner);
        let mut all = trays.to_vec();
        change(&mut all);
        *trays = all.into();
    }
}

/// A request on its way to a responder.
#[derive(Debug, Clone)]
pub(crate) struct Asked<P> {
    pub(crate) topic: Topic,
    pub(crate) name: NodeName,
    pub(crate) headers: Headers,
    pub(crate) payload: Bytes,
    /// When its asker gives up, as far as can be told here.
    pub(crate) deadline: Instant,
    pub(crate) ticket: Ticket<P>,
}

/// What an answer needs to find its way.
#[derive(Debug, Clone)]
pub(crate) struct Ticket<P> {
    /// Who asked.
    pub(crate) from: NodeId,
    pub(super) way: Way<P>,
    /// The asker's number.
    pub(super) number: u64,
    /// How many responders of this node answer.
    pub(super) of: u64,
}

/// The way to whoever asked.
#[derive(Debug, Clone)]
pub(crate) enum Way<P> {
    /// This node, under its own name.
    Here(NodeName),
    Peer(P),
}

/// One responder's bounded queue: filled by any task, read by one.
#[derive(Debug)]
pub(crate) struct Tray<P>(Mutex<State<P>>);

#[derive(Debug)]
struct State<P> {
    limits: QueueLimits,
    waiting: VecDeque<Asked<P>>,
    bytes: usize,
    closed: bool,
    reader: Option<Waker>,
}

impl<P> Tray<P> {
    pub(super) fn new(limits: QueueLimits) -> Self {
        Self(Mutex::new(State { limits, waiting: VecDeque::new(), bytes: 0, closed: false, reader: None }))
    }

    /// Puts a request in; given back where there is no room, or nobody reads any more. One that is longer than the limit
    /// alone waits where no other does.
    pub(super) fn put(&self, asked: Asked<P>) -> Option<Asked<P>> {
        let mut state = lock(&self.0);
        let QueueLimits { messages, bytes } = state.limits;
        let charge = charge(&asked);
        let fits = state.waiting.len() < messages && state.bytes.saturating_add(charge) <= bytes;
        if state.closed || !(fits || state.waiting.is_empty()) {
            return Some(asked);
        }
        state.bytes += charge;
        state.waiting.push_back(asked);
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
        None
    }

    /// The oldest request; none behind the last, when it was closed.
    pub(crate) fn poll_take(&self, cx: &Context<'_>) -> Poll<Option<Asked<P>>> {
        let mut state = lock(&self.0);
        match state.waiting.pop_front() {
            Some(asked) => {
                state.bytes -= charge(&asked);
                Poll::Ready(Some(asked))
            }
            None if state.closed => Poll::Ready(None),
            None => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Nothing more comes in. What waited, which nobody will answer.
    pub(super) fn close(&self) -> VecDeque<Asked<P>> {
        let mut state = lock(&self.0);
        state.closed = true;
        state.bytes = 0;
        let (waiting, reader) = (std::mem::take(&mut state.waiting), state.reader.take());
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
        waiting
    }
}

fn charge<P>(asked: &Asked<P>) -> usize {
    CHARGE + asked.topic.as_str().len() + asked.headers.size() + asked.payload.len()
}
