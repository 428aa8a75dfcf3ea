//! Implements [`Deliver`]: what arrives from a peer goes to the queues of subscriptions, in the reader's task.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use talkie_transport::{Deliver, Inbound, Interest, PeerSender};

use super::outlet::Outlet;
use super::registry::{Local, Registry};
use crate::delivery::Message;
use crate::proto::envelope;

impl Deliver for Registry<PeerSender> {
    fn deliver(&self, from: &PeerSender, what: Inbound<'_>) {
        self.handle(from, what);
    }
}

impl<P: Outlet> Registry<P> {
    /// One arrival. Never waits but for short locks.
    pub(crate) fn handle(&self, from: &P, what: Inbound<'_>) {
        match what {
            Inbound::Message { interests, body } => self.message(from, interests, &body),
            Inbound::Gap { interests, exact } => self.gap(from, interests, exact),
            Inbound::Control(frame) => self.control(from, frame),
            Inbound::Linked => self.linked(from),
            Inbound::Lost => {
                let told = self.members().announced(from);
                self.lost(from, told);
            }
            Inbound::Down => {
                self.members().unlinked(from);
                self.wake_waiters();
            }
            Inbound::Forgotten => {
                self.in_doubt.fetch_add(from.take_in_doubt(), Ordering::AcqRel);
                self.members().forgotten(from);
                self.wake_waiters();
            }
            _ => {}
        }
    }

    fn message(&self, from: &P, interests: &[Interest], body: &Bytes) {
        let envelope = match envelope::decode(body) {
            Ok(envelope) => envelope,
            Err(error) => return note(&self.counters.malformed, from, &error),
        };
        let mut message: Option<Message> = None;
        let mut last = None;
        for interest in interests {
            // In ascending order, so that no subscription gets a message twice.
            if last.is_some_and(|last| last >= interest.id) {
                return note(&self.counters.mismatched, from, &"interests out of order");
            }
            last = Some(interest.id);
            // One that has just been withdrawn: nobody is owed anything.
            let Some(local) = self.local(interest.id) else { continue };
            if message.is_none() {
                let topic = match local.pattern.as_topic() {
                    // The most frequent case needs no parsing and no memory.
                    Some(topic) if topic.as_str() == envelope.topic => topic,
                    _ => match envelope.topic.parse() {
                        Ok(topic) => topic,
                        Err(error) => return note(&self.counters.malformed, from, &error),
                    },
                };
                let (from, name) = (from.id(), from.name());
                let payload = envelope.payload.clone();
                message = Some(Message { topic, from, name, seq: envelope.seq, payload });
            }
            let Some(message) = &message else { continue };
            if local.pattern.matches(&message.topic) {
                deliver(&local, Some(interest.epoch), message);
            } else {
                note(&self.counters.mismatched, from, &"a topic that the interest does not want");
            }
        }
    }

    fn gap(&self, from: &P, interests: &[(Interest, u64)], exact: bool) {
        for &(Interest { id, epoch }, missed) in interests {
            let Some(local) = self.local(id) else { continue };
            for joined in local.joined().iter().filter(|joined| joined.epoch <= epoch) {
                joined.queue.push_gap(from.id(), missed, exact);
            }
        }
    }

    fn control(&self, from: &P, frame: &[u8]) {
        let changed = self.members().control(from, frame);
        match changed {
            Ok(true) => self.wake_waiters(),
            Ok(false) => {}
            Err(error) => {
                note(&self.counters.control, from, &error);
                self.wake_waiters();
            }
        }
    }

    fn linked(&self, from: &P) {
        if self.check_open().is_err() {
            return;
        }
        let told = self.members().linked(from);
        if let Some(told) = told {
            self.lost(from, told);
        }
        self.wake_waiters();
    }

    /// What the peer owed to those of the first `told` subscriptions that still exist is lost, uncounted.
    fn lost(&self, from: &P, told: u64) {
        let locals: Vec<Arc<Local>> = self.locals.iter().map(|local| Arc::clone(&local)).collect();
        for local in locals {
            for joined in local.joined().iter().filter(|joined| joined.born <= told) {
                joined.queue.push_gap(from.id(), 0, false);
            }
        }
    }

    fn local(&self, id: u64) -> Option<Arc<Local>> {
        self.locals.get(&id).map(|local| Arc::clone(&local))
    }
}

/// Puts a message into the queues of an interest: of those that joined by the epoch, or of all. How many.
pub(super) fn deliver(local: &Local, epoch: Option<u64>, message: &Message) -> usize {
    let joined = local.joined();
    let reached = joined.iter().filter(|joined| epoch.is_none_or(|epoch| joined.epoch <= epoch));
    reached.map(|joined| joined.queue.push(message.clone())).count()
}

/// Counts what a faulty peer sent; told at the first, second, fourth, … so that it cannot flood the log.
fn note(counter: &AtomicU64, from: &impl Outlet, what: &dyn std::fmt::Display) {
    let count = counter.fetch_add(1, Ordering::Relaxed) + 1;
    if count.is_power_of_two() {
        tracing::warn!(peer = %from.name(), count, "not usable: {what}");
    }
}

#[cfg(test)]
mod tests;
