//! The asking side: open questions and the answers that wait to be read.

use std::collections::{HashMap, VecDeque};
use std::future::Future as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use talkie_discovery::{NodeId, NodeName};
use tokio::time::Sleep;

use super::clock;
use super::registry::lock;
use crate::answer::{Answer, Reply, Unanswered};
use crate::metrics::RequestStats;
use crate::proto::exchange::{self, Refusal};
use crate::proto::headers::Headers;
use crate::proto::pending::{Event, Missing, Pending, TooMany};

/// Bytes of replies that may wait to be read, for one question: the longest message fits. Replies beyond are told as missing.
const MAX_WAITING: usize = talkie_transport::MAX_MAX_MESSAGE;

/// A node's open questions. The lock is held for one step of the machine, never while waking.
#[derive(Debug, Default)]
pub(crate) struct Asker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    pending: Pending<NodeId>,
    slots: HashMap<u64, Slot>,
    closed: bool,
    stats: RequestStats,
}

/// What one question is given.
#[derive(Debug)]
struct Slot {
    asked: Vec<(NodeId, NodeName)>,
    waiting: VecDeque<Answer>,
    bytes: usize,
    /// Nothing more comes.
    done: bool,
    reader: Option<Waker>,
}

/// Why nothing was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotAsked {
    NoResponders,
    /// There was no room in time.
    Late,
    TooMany,
    Closed,
}

impl Asker {
    /// A new question to these nodes.
    pub(super) fn ask(
        self: &Arc<Self>,
        deadline: Instant,
        asked: Vec<(NodeId, NodeName)>,
    ) -> Result<Question, NotAsked> {
        let mut state = lock(&self.0);
        if state.closed {
            return Err(NotAsked::Closed);
        }
        let nodes = asked.iter().map(|(node, _)| *node);
        let number = state.pending.ask(deadline, nodes).map_err(|TooMany| NotAsked::TooMany)?;
        let slot = Slot { asked, waiting: VecDeque::new(), bytes: 0, done: false, reader: None };
        state.slots.insert(number, slot);
        state.stats.asked += 1;
        drop(state);
        let late = Box::pin(tokio::time::sleep_until(deadline.into()));
        Ok(Question { asker: Arc::clone(self), number, deadline, late })
    }

    /// A node answered.
    pub(super) fn answered(&self, from: NodeId, name: NodeName, headers: Headers, answer: exchange::Answer) {
        let exchange::Answer { number, of, said } = answer;
        self.step(|State { pending, slots, stats, .. }| {
            let refused = said.as_ref().err().copied();
            let awaited = pending.handle_answer(clock::now(), number, &from, of, refused);
            let slot = slots.get_mut(&number).filter(|_| awaited)?;
            let reply = Reply { from, name, headers, payload: said.ok()? };
            stats.replies += 1;
            slot.push_reply(reply);
            slot.reader.take()
        });
    }

    /// What was asked of a node found no room on the way to it.
    pub(super) fn not_sent(&self, number: u64, to: NodeId) {
        self.step(|state| {
            state.pending.handle_answer(clock::now(), number, &to, 1, Some(Refusal::NoRoom));
            None
        });
    }

    /// A node is gone.
    pub(super) fn gone(&self, node: NodeId) {
        self.step(|state| {
            state.pending.handle_gone(&node);
            None
        });
    }

    /// The number up to which a node owes nothing.
    pub(super) fn settled(&self, node: &NodeId) -> u64 {
        lock(&self.0).pending.settled(node)
    }

    /// Nothing is asked any more, and no answer comes.
    pub(super) fn close(&self) {
        let mut state = lock(&self.0);
        state.closed = true;
        let State { pending, slots, .. } = &mut *state;
        slots.keys().for_each(|number| pending.handle_cancelled(*number));
        let wakers: Vec<_> = slots.values_mut().filter_map(Slot::end).collect();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The counters of this side.
    pub(super) fn stats(&self) -> RequestStats {
        let state = lock(&self.0);
        RequestStats { late: state.pending.late(), open: state.pending.len() as u64, ..state.stats }
    }

    /// One step of the machine, and what follows from it for those who wait.
    fn step(&self, step: impl FnOnce(&mut State) -> Option<Waker>) {
        let mut state = lock(&self.0);
        let mut wakers: Vec<Waker> = step(&mut state).into_iter().collect();
        let State { pending, slots, stats, .. } = &mut *state;
        while let Some(event) = pending.poll_event() {
            let (Event::Missing { question, .. } | Event::Done { question }) = &event;
            let Some(slot) = slots.get_mut(question) else { continue };
            wakers.extend(match event {
                Event::Missing { node, why, .. } => {
                    let why = unanswered(why);
                    stats.count(&why);
                    slot.push_missing(node, why);
                    slot.reader.take()
                }
                Event::Done { .. } => slot.end(),
            });
        }
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Slot {
    fn push_reply(&mut self, reply: Reply) {
        if self.bytes + size(&reply) > MAX_WAITING && !self.waiting.is_empty() {
            self.waiting.push_back(Answer::Missing {
                from: reply.from,
                name: reply.name,
                why: Unanswered::NoRoom,
            });
            return;
        }
        self.bytes += size(&reply);
        self.waiting.push_back(Answer::Reply(reply));
    }

    fn push_missing(&mut self, from: NodeId, why: Unanswered) {
        if let Some((_, name)) = self.asked.iter().find(|(node, _)| *node == from) {
            self.waiting.push_back(Answer::Missing { from, name: name.clone(), why });
        }
    }

    fn pop(&mut self) -> Option<Answer> {
        let answer = self.waiting.pop_front()?;
        if let Answer::Reply(reply) = &answer {
            self.bytes -= size(reply);
        }
        Some(answer)
    }

    const fn end(&mut self) -> Option<Waker> {
        self.done = true;
        self.reader.take()
    }
}

fn size(reply: &Reply) -> usize {
    reply.headers.size() + reply.payload.len()
}

/// A question under way; dropped, nobody waits for its answers any more.
#[derive(Debug)]
pub(crate) struct Question {
    asker: Arc<Asker>,
    pub(super) number: u64,
    deadline: Instant,
    late: Pin<Box<Sleep>>,
}

impl Question {
    /// The next answer, or word that one will not come; none when there was one of everybody, or the node has left.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Answer>> {
        let polled = self.poll_waiting(cx);
        if polled.is_ready() || self.late.as_mut().poll(cx).is_pending() {
            return polled;
        }
        let now = clock::now().max(self.deadline);
        self.asker.step(|state| {
            state.pending.handle_timeout(now);
            None
        });
        self.poll_waiting(cx)
    }

    fn poll_waiting(&self, cx: &Context<'_>) -> Poll<Option<Answer>> {
        let mut state = lock(&self.asker.0);
        let Some(slot) = state.slots.get_mut(&self.number) else { return Poll::Ready(None) };
        match slot.pop() {
            Some(answer) => Poll::Ready(Some(answer)),
            None if slot.done => Poll::Ready(None),
            None => {
                slot.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        let mut state = lock(&self.asker.0);
        state.pending.handle_cancelled(self.number);
        let slot = state.slots.remove(&self.number);
        drop(state);
        // What it holds goes without the lock.
        drop(slot);
    }
}

impl RequestStats {
    const fn count(&mut self, why: &Unanswered) {
        *match why {
            Unanswered::Dropped => &mut self.dropped,
            Unanswered::Gone => &mut self.gone,
            Unanswered::NoResponder => &mut self.ceased,
            Unanswered::Timeout => &mut self.timed_out,
            Unanswered::NoRoom => &mut self.no_room,
            Unanswered::NotUnderstood => &mut self.not_understood,
            Unanswered::Malformed(_) => return,
        } += 1;
    }
}

const fn unanswered(why: Missing) -> Unanswered {
    match why {
        Missing::Refused(Refusal::Dropped) => Unanswered::Dropped,
        Missing::Refused(Refusal::NoResponder) => Unanswered::NoResponder,
        Missing::Refused(Refusal::NoRoom) => Unanswered::NoRoom,
        Missing::Refused(Refusal::NotUnderstood) => Unanswered::NotUnderstood,
        Missing::Gone => Unanswered::Gone,
        Missing::Late => Unanswered::Timeout,
    }
}
