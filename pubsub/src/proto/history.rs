//! What a node keeps of what it published on a bus, for those who subscribe later, and whom of them it was given to.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use talkie_discovery::NodeId;
use talkie_transport::SMALL;

use super::backlog::CHARGE;
use super::headers::Headers;
use crate::audience::Audience;
use crate::topic::{Pattern, Topic};

/// Most bytes of one topic's history, and of all that is given to a subscription of another node at once, where no message is
/// longer than this: half of what waits for a node at most (4 MiB, or twice the longest message and 1 MiB), without the 1 MiB of
/// that which large messages leave to others. So what is published meanwhile finds room.
pub const fn max_bytes(max_message: usize) -> usize {
    const LEAST: usize = 1536 * 1024;
    let beside = max_message.saturating_add(512 * 1024);
    if beside > LEAST { beside } else { LEAST }
}

/// Most bytes that all histories of a bus may ask for together.
pub const MAX_ALL_BYTES: usize = 256 * 1024 * 1024;

/// Interests that are known to have been given histories; 56 bytes each. Beyond them the oldest are forgotten: a subscription of
/// such an interest would be given a history twice if another one joins it or a link is made anew.
const MAX_SERVED: usize = 65_536;

/// How much of a topic is kept for those who subscribe later; of [`Publisher::keeping`](crate::Publisher::keeping).
///
/// ```no_run
/// # fn example(bus: talkie_pubsub::Bus) -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use talkie_pubsub::History;
/// let state = bus.publisher("devices/7/state")?.keeping(History::last(1))?;
/// let log = bus.publisher("devices/7/log")?.keeping(History::last(100).within(Duration::from_secs(60)))?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct History {
    pub(crate) last: usize,
    pub(crate) within: Option<Duration>,
    pub(crate) bytes: usize,
}

impl Past {
    /// What it takes of the history's bytes.
    fn charge(&self) -> usize {
        CHARGE + self.headers.size() + self.payload.len()
    }
}

impl History {
    /// The last so many messages, and 1 MiB of them at most.
    pub const fn last(messages: usize) -> Self {
        Self { last: messages, within: None, bytes: 1024 * 1024 }
    }

    /// Only such as are not older.
    pub const fn within(mut self, time: Duration) -> Self {
        self.within = Some(time);
        self
    }

    /// At most so many bytes of payloads, headers and a fixed 192 per message; the oldest go first. At most 512 KiB more than the node's
    /// [`max_message`](crate::Node::max_message), or 1.5 MiB where that is more.
    pub const fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }

    /// Whether a payload of so many bytes can be kept at all.
    pub(crate) const fn holds(&self, payload: usize) -> bool {
        CHARGE + payload <= self.bytes
    }
}

/// A message that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "made and read in this crate")]
pub struct Past {
    /// Where it was published.
    pub topic: Topic,
    /// As in [`Message::seq`](crate::Message::seq).
    pub seq: u64,
    /// What was published beside it.
    pub headers: Headers,
    /// What was published.
    pub payload: Bytes,
    /// For whom.
    pub audience: Audience,
}

/// The histories of one bus.
#[derive(Debug, Default)]
pub struct Histories {
    kept: HashMap<Topic, Kept>,
    /// The epoch up to which an interest of a node was given what was kept.
    served: HashMap<(NodeId, u64), u64>,
    /// Its keys, the oldest first, and such as are no more.
    first: VecDeque<(NodeId, u64)>,
    /// Most bytes that are given to another node at once.
    most: usize,
}

/// One topic's.
#[derive(Debug)]
struct Kept {
    history: History,
    /// Handles that keep it.
    users: usize,
    messages: VecDeque<(Instant, Past)>,
    bytes: usize,
}

/// The histories of the bus may ask for [`MAX_ALL_BYTES`] together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl Histories {
    /// Keeps a topic's messages from now on, or as many of them as this says. `most`: as [`max_bytes`].
    pub fn keep(&mut self, topic: &Topic, history: History, most: usize) -> Result<(), Full> {
        let others = self.kept.iter().filter(|(known, _)| *known != topic);
        let all: usize = others.map(|(_, kept)| kept.history.bytes).sum();
        if all.saturating_add(history.bytes) > MAX_ALL_BYTES {
            return Err(Full);
        }
        self.most = most;
        let new = || Kept { history, users: 0, messages: VecDeque::new(), bytes: 0 };
        let kept = self.kept.entry(topic.clone()).or_insert_with(new);
        kept.history = history;
        kept.users += 1;
        kept.trim();
        Ok(())
    }

    /// One handle less; with the last of them the history goes.
    pub fn release(&mut self, topic: &Topic) {
        if let Some(kept) = self.kept.get_mut(topic) {
            kept.users -= 1;
            if kept.users == 0 {
                self.kept.remove(topic);
            }
        }
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// A message was published. One for a single node is not kept: it would stand in the place of what is for all.
    pub fn push(
        &mut self,
        now: Instant,
        topic: &Topic,
        seq: u64,
        headers: &Headers,
        payload: &Bytes,
        audience: Audience,
    ) {
        let Some(kept) = self.kept.get_mut(topic) else { return };
        if matches!(audience, Audience::Node(_)) {
            return;
        }
        if !kept.history.holds(headers.size() + payload.len()) {
            // What is older would stand before a hole.
            kept.messages.clear();
            kept.bytes = 0;
            return;
        }
        // A short one may be a part of something long, which would be held with it.
        let payload = if payload.len() <= SMALL { Bytes::copy_from_slice(payload) } else { payload.clone() };
        let (topic, headers) = (topic.clone(), headers.clone());
        let past = Past { topic, seq, headers, payload, audience };
        kept.bytes += past.charge();
        kept.messages.push_back((now, past));
        kept.expire(now);
        kept.trim();
    }

    /// What was kept of all topics that the pattern wants for subscriptions of this node, in the order of publishing.
    pub fn past_here(&mut self, now: Instant, pattern: &Pattern) -> Vec<Past> {
        self.past(now, pattern, |audience| !matches!(audience, Audience::Others))
    }

    /// The same for those of another node: as much of the newest as is given at once, and how many were older.
    pub fn past_there(&mut self, now: Instant, pattern: &Pattern) -> (u64, Vec<Past>) {
        let mut past = self.past(now, pattern, |audience| !matches!(audience, Audience::Here));
        let mut bytes = 0;
        let given = past.iter().rev().take_while(|past| {
            bytes += past.charge();
            bytes <= self.most
        });
        let older = past.len() - given.count();
        past.drain(..older);
        (older as u64, past)
    }

    fn past(&mut self, now: Instant, pattern: &Pattern, wanted: impl Fn(Audience) -> bool) -> Vec<Past> {
        let mut past = Vec::new();
        for (_, kept) in self.kept.iter_mut().filter(|(topic, _)| pattern.matches(topic)) {
            kept.expire(now);
            let messages = kept.messages.iter().map(|(_, past)| past);
            past.extend(messages.filter(|past| wanted(past.audience)).cloned());
        }
        past.sort_unstable_by_key(|past| past.seq);
        past
    }

    /// An interest of a node at this epoch, of which the newest subscription that asked for history joined at `asked`: the first
    /// epoch whose subscriptions are to be given it now; none: all were.
    pub fn serve(&mut self, node: NodeId, interest: u64, epoch: u64, asked: u64) -> Option<u64> {
        let key = (node, interest);
        let from = match self.served.insert(key, epoch) {
            Some(served) if served >= asked => {
                self.served.insert(key, served.max(epoch));
                return None;
            }
            Some(served) => served + 1,
            None => {
                self.first.push_back(key);
                0
            }
        };
        while self.served.len() > MAX_SERVED
            && let Some(oldest) = self.first.pop_front()
        {
            self.served.remove(&oldest);
        }
        Some(from)
    }

    /// A node wants nothing for the interest any more. (One that was only forgotten may be back with it.)
    pub fn ended(&mut self, node: NodeId, interest: u64) {
        if self.served.remove(&(node, interest)).is_some() && self.first.len() > 2 * self.served.len() {
            let Self { first, served, .. } = self;
            first.retain(|key| served.contains_key(key));
        }
    }

    /// Interests that are known to have been given theirs.
    #[cfg(test)]
    pub fn known(&self) -> usize {
        self.served.len()
    }

    /// Nothing is kept any more.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Bytes that are kept.
    pub fn bytes(&self) -> usize {
        self.kept.values().map(|kept| kept.bytes).sum()
    }
}

impl Kept {
    fn expire(&mut self, now: Instant) {
        let Some(within) = self.history.within else { return };
        while self.messages.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) > within) {
            self.pop();
        }
    }

    fn trim(&mut self) {
        while self.messages.len() > self.history.last || self.bytes > self.history.bytes {
            self.pop();
        }
    }

    fn pop(&mut self) {
        if let Some((_, past)) = self.messages.pop_front() {
            self.bytes -= past.charge();
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test says when its time begins")]
mod tests;
