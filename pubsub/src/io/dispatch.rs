//! Implements [`Deliver`]: what arrives from a peer goes to the queues of subscriptions, in the reader's task.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::{Buf as _, Bytes};
use talkie_discovery::{NodeId, NodeName};
use talkie_transport::{Arrival, Deliver, Inbound, Interest, Pressed};

use super::clock;
use super::handlers;
use super::net::{self, PeerSender};
use super::outlet::Outlet;
use super::registry::{Local, Registry, Takers};
use crate::metrics::latency::is_timed;
use crate::proto::backlog::Waiting;
use crate::proto::envelope::{self, Envelope};
use crate::proto::headers::Headers;
use crate::proto::tracker;
use crate::topic::Topic;

impl Deliver for Registry<PeerSender> {
    fn deliver(&self, from: &net::Lent, what: Inbound<'_>) -> Option<Pressed> {
        net::with(from, |from| self.handle(from, what))
    }
}

impl<P: Outlet> Registry<P> {
    /// One arrival. Never waits but for short locks. Gives the word of when there is room again in a queue that it filled.
    pub(crate) fn handle(&self, from: &P, what: Inbound<'_>) -> Option<Pressed> {
        match what {
            Inbound::Messages(arrived) => return self.messages(from, arrived),
            Inbound::Gap { interests, exact } => self.gap(from, interests, exact),
            Inbound::Control(frame) => self.control(from, frame),
            Inbound::Linked => self.linked(from),
            Inbound::Lost => {
                let told = self.members().announced(from);
                self.lost(from, told);
            }
            Inbound::Down => {
                self.members().unlinked(from);
                self.presences.gone(from);
                self.exchange.gone(from);
                self.groups.down(from);
                self.wake_waiters();
            }
            Inbound::Forgotten => {
                self.in_doubt.fetch_add(from.take_in_doubt(), Ordering::AcqRel);
                self.members().forgotten(from);
                self.presences.gone(from);
                self.exchange.forgotten(from);
                self.groups.forgotten(from);
                self.wake_waiters();
            }
            _ => {}
        }
        None
    }

    /// Messages that follow each other for the same interest, most often all, are looked up and queued together.
    fn messages(&self, from: &P, arrived: &mut Vec<Arrival>) -> Option<Pressed> {
        let sender = Sender::of(from);
        let (mut pressed, mut run) = (None, None::<(Interest, Arc<Local>)>);
        // Opened before a queue is locked, for which its reader may wait.
        let mut together = Vec::with_capacity(arrived.len());
        for Arrival { interests, mut body } in arrived.drain(..) {
            let headers = match Headers::take(&mut body) {
                Ok(headers) => headers,
                Err(error) => {
                    note(&self.counters.malformed, from, &error);
                    continue;
                }
            };
            if envelope::is_past(&body) {
                pressed = flush(&run, &mut together).or(pressed);
                pressed = self.past(from, &sender, &interests, headers, body).or(pressed);
                continue;
            }
            let [interest] = interests[..] else {
                pressed = flush(&run, &mut together).or(pressed);
                pressed = self.message(from, &sender, &interests, headers, body).or(pressed);
                continue;
            };
            if run.as_ref().is_none_or(|(known, _)| *known != interest) {
                pressed = flush(&run, &mut together).or(pressed);
                run = self.local(interest.id).map(|local| (interest, local));
            }
            // One that has just been withdrawn (nobody is owed anything), or none of a subscription.
            let Some((_, local)) = &run else {
                self.exchanged(from, &sender.name, &interests, headers, &body);
                continue;
            };
            together.extend(self.open_message(from, &sender, local, headers, body));
        }
        flush(&run, &mut together).or(pressed)
    }

    /// A message for several interests.
    fn message(
        &self,
        from: &P,
        sender: &Sender,
        interests: &[Interest],
        headers: Headers,
        body: Bytes,
    ) -> Option<Pressed> {
        if envelope::is_exchange(&body) {
            self.exchanged(from, &sender.name, interests, headers, &body);
            return None;
        }
        let (mut last, mut pressed) = (None, None);
        for interest in interests {
            // In ascending order, so that no subscription gets a message twice.
            if last.is_some_and(|last| last >= interest.id) {
                note(&self.counters.mismatched, from, &"interests out of order");
                return pressed;
            }
            last = Some(interest.id);
            let Some(local) = self.local(interest.id) else { continue };
            let (headers, body) = (headers.clone(), body.clone());
            let Some(message) = self.open_message(from, sender, &local, headers, body) else { continue };
            let (takers, epoch) = (local.takers(), Some(interest.epoch));
            pressed = deliver(&takers, epoch, 0, &message).1.or(pressed);
            handlers::call(&local, &takers, epoch, 0, &message);
        }
        pressed
    }

    /// The message that a body is for an interest; the payload stays where it is.
    fn open_message(
        &self,
        from: &P,
        sender: &Sender,
        local: &Local,
        headers: Headers,
        mut body: Bytes,
    ) -> Option<Waiting> {
        let malformed = |error: &dyn std::fmt::Display| note(&self.counters.malformed, from, error);
        let Envelope { seq, topic, at } = envelope::decode(&body).map_err(|error| malformed(&error)).ok()?;
        let topic = self.topic_for(from, local, topic)?;
        body.advance(at);
        Some(sender.timed(sender.message(topic, seq, headers, body)))
    }

    /// A message's topic, which the interest must want; inside, none where it wants no other.
    fn topic_for(&self, from: &P, local: &Local, topic: &[u8]) -> Option<Option<Topic>> {
        let malformed = |error: &dyn std::fmt::Display| note(&self.counters.malformed, from, error);
        match &local.exact {
            // The most frequent case needs no parsing and no memory.
            Some(exact) if exact.as_str().as_bytes() == topic => Some(None),
            exact => {
                let text = std::str::from_utf8(topic).map_err(|error| malformed(&error)).ok()?;
                let topic: Topic = text.parse().map_err(|error| malformed(&error)).ok()?;
                if exact.is_some() || !local.pattern.matches(&topic) {
                    note(&self.counters.mismatched, from, &MISMATCH);
                    return None;
                }
                Some(Some(topic))
            }
        }
    }

    fn gap(&self, from: &P, interests: &[(Interest, u64)], exact: bool) {
        for &(Interest { id, epoch }, missed) in interests {
            let Some(local) = self.local(id) else {
                self.exchange.lost(id, missed);
                self.group_gap(from, Interest { id, epoch }, missed, exact);
                continue;
            };
            tracing::debug!(name: "talkie.gap", peer = %from.name(), pattern = %local.pattern, missed, exact, "messages lost");
            let takers = local.takers();
            for joined in takers.queues.iter().filter(|joined| joined.takes(Some(epoch))) {
                joined.to.push_gap(from.id(), missed, exact);
            }
            for joined in takers.handlers.iter().filter(|joined| joined.takes(Some(epoch))) {
                joined.to.gap(from.id(), missed, exact);
            }
        }
    }

    fn control(&self, from: &P, frame: &[u8]) {
        if tracker::is_about(frame) {
            if let Err(error) = self.presences.control(from, frame) {
                note(&self.counters.control, from, &error);
            }
            return;
        }
        if self.exchange.control(from, frame) || self.groups.control(from, frame) {
            return;
        }
        if let Err(error) = self.members().control(from, frame) {
            note(&self.counters.control, from, &error);
        }
        self.groups.regroup();
        // Also where nothing changed: it may have confirmed something.
        self.wake_waiters();
    }

    fn linked(&self, from: &P) {
        if self.check_open().is_err() {
            return;
        }
        self.exchange.linked(from);
        self.groups.linked(from);
        let told = self.members().linked(from);
        self.presences.linked(from);
        if let Some(told) = told {
            self.lost(from, told);
        }
        self.groups.regroup();
        self.wake_waiters();
    }

    /// What the peer owed to those of the first `told` subscriptions that still exist is lost, uncounted.
    fn lost(&self, from: &P, told: u64) {
        let locals: Vec<Arc<Local>> = self.locals.iter().map(|local| Arc::clone(&local)).collect();
        for local in locals {
            let takers = local.takers();
            for joined in takers.queues.iter().filter(|joined| joined.born <= told) {
                joined.to.push_gap(from.id(), 0, false);
            }
            for joined in takers.handlers.iter().filter(|joined| joined.born <= told) {
                joined.to.gap(from.id(), 0, false);
            }
        }
    }

    fn local(&self, id: u64) -> Option<Arc<Local>> {
        self.locals.get(&id).map(|local| Arc::clone(&local))
    }
}

/// Who sent what arrived.
struct Sender {
    from: NodeId,
    name: NodeName,
    /// When it came; read with the first message that is timed.
    came: Cell<Option<Instant>>,
}

impl Sender {
    fn of(from: &impl Outlet) -> Self {
        Self { from: from.id(), name: from.name(), came: Cell::new(None) }
    }

    fn message(&self, topic: Option<Topic>, seq: u64, headers: Headers, payload: Bytes) -> Waiting {
        let (from, name) = (self.from, Some(self.name.clone()));
        Waiting { topic, from, name, seq, headers, payload, group: None, came: None }
    }

    /// Times it, where it is one of those.
    fn timed(&self, message: Waiting) -> Waiting {
        if !is_timed(message.seq) {
            return message;
        }
        let came = self.came.get().unwrap_or_else(clock::now);
        self.came.set(Some(came));
        Waiting { came: Some(came), ..message }
    }
}

impl<P: Outlet> Registry<P> {
    /// What a peer kept, for subscriptions here that asked for it.
    fn past(
        &self,
        from: &P,
        sender: &Sender,
        interests: &[Interest],
        headers: Headers,
        mut body: Bytes,
    ) -> Option<Pressed> {
        let (first, missed, Envelope { seq, topic, at }) = match envelope::decode_past(&body) {
            Ok(past) => past,
            Err(error) => {
                note(&self.counters.malformed, from, &error);
                return None;
            }
        };
        // It is sent for one: each has its own history.
        let [Interest { id, epoch }] = *interests else {
            note(&self.counters.mismatched, from, &"a history of several interests");
            return None;
        };
        let local = self.local(id)?;
        let topic = self.topic_for(from, &local, topic)?;
        body.advance(at);
        let message = sender.message(topic, seq, headers, body);
        let (takers, mut pressed) = (local.takers(), None);
        let asked = takers.queues.iter().filter(|joined| joined.history && joined.takes(Some(epoch)));
        for joined in asked.filter(|joined| joined.epoch >= first) {
            if missed > 0 {
                joined.to.push_gap(sender.from, missed, true);
            }
            pressed = joined.to.push(message.clone()).or(pressed);
        }
        pressed
    }
}

pub(super) const MISMATCH: &str = "a topic that the interest does not want";

/// Puts a message into the queues of an interest: of those that joined by the epoch, or of all; but not of the one of this
/// number. How many, and whether one of them is full.
pub(super) fn deliver(
    takers: &Takers,
    epoch: Option<u64>,
    but: u64,
    message: &Waiting,
) -> (usize, Option<Pressed>) {
    let (mut reached, mut pressed) = (0, None);
    for joined in takers.queues.iter().filter(|joined| joined.takes(epoch) && joined.born != but) {
        pressed = joined.to.push(message.clone()).or(pressed);
        reached += 1;
    }
    (reached, pressed)
}

/// Puts the messages that arrived for one interest into its queues, and hands them to its handlers.
fn flush(run: &Option<(Interest, Arc<Local>)>, together: &mut Vec<Waiting>) -> Option<Pressed> {
    let (interest, local) = run.as_ref().filter(|_| !together.is_empty())?;
    let (takers, epoch) = (local.takers(), Some(interest.epoch));
    let mut queues = takers.queues.iter().filter(|joined| joined.takes(epoch)).peekable();
    let mut pressed = None;
    while let Some(joined) = queues.next() {
        let full = if queues.peek().is_some() || !takers.handlers.is_empty() {
            joined.to.push_all(together.iter().cloned())
        } else {
            joined.to.push_all(together.drain(..))
        };
        pressed = full.or(pressed);
    }
    // Last, so that what they publish comes behind what they publish it for.
    for message in &*together {
        handlers::call(local, &takers, epoch, 0, message);
    }
    together.clear();
    pressed
}

/// Counts what a faulty peer sent; told at the first, second, fourth, … so that it cannot flood the log.
pub(super) fn note(counter: &AtomicU64, from: &impl Outlet, what: &dyn std::fmt::Display) {
    let count = counter.fetch_add(1, Ordering::Relaxed) + 1;
    if count.is_power_of_two() {
        tracing::warn!(name: "talkie.peer.unusable", peer = %from.name(), count, "not usable: {what}");
    }
}

#[cfg(test)]
mod tests;
