//! Presence: who is here, on a topic, with what.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use serde::Serialize;
use serde::de::DeserializeOwned;
use talkie_discovery::{NodeId, NodeName};

use crate::error::{Closed, TrackError};
use crate::io::net::PeerSender;
use crate::io::presences::Who;
use crate::io::registry::BusState;
use crate::node::Node;
use crate::proto::presence::{Here, MAX_KEY, MAX_META, is_key};
use crate::proto::tracker::{Event, Place};
use crate::proto::value::{self, DecodeError};
use crate::topic::Topic;
use crate::typed;

/// Who is here, on one topic, with what: on this node and all that are up; of [`Bus::presence`](crate::Bus::presence). A cheap
/// handle.
///
/// ```no_run
/// use serde::{Deserialize, Serialize};
/// use talkie_pubsub::{Bus, PresenceChange};
///
/// #[derive(Debug, Serialize, Deserialize)]
/// struct Seat {
///     table: u8,
///     away: bool,
/// }
///
/// # async fn example(bus: Bus) -> Result<(), Box<dyn std::error::Error>> {
/// let room = bus.presence("room/7")?;
/// let me = room.track("ann", &Seat { table: 3, away: false })?; // here until it is dropped
/// me.update(&Seat { table: 3, away: true })?;
/// for present in room.list() {
///     println!("{} at {}: {:?}", present.key, present.name, present.meta::<Seat>()?);
/// }
/// let mut changes = room.changes(); // begins with those present
/// while let Some(change) = changes.next().await {
///     match change {
///         PresenceChange::Joined(it) => println!("{} is here", it.key),
///         PresenceChange::Updated { now, .. } => println!("{}: {:?}", now.key, now.meta::<Seat>()?),
///         PresenceChange::Left(it) => println!("{} is gone", it.key),
///         _ => {}
///     }
/// }
/// # Ok(()) }
/// ```
///
/// # What to rely on
/// - A key may be present several times, with several metas: on two nodes, or twice on one (a user with two windows). Each
///   [`track`](Self::track) is one [`Present`], told apart by its node and [`number`](Present::number).
/// - Each node says only what is on it, and says it to all: nodes that are linked list the same, whatever was cut between
///   them before. What a node says goes with it: at once when it says goodbye, otherwise when it is told down
///   ([`PeerEvent::Down`](crate::PeerEvent::Down)). It comes back with the node, once. A link that breaks and is made
///   again before that is no change.
/// - There is no leader, and no node speaks for another. A node that is cut off lists itself and those it reaches.
///
/// Every node of the mesh holds every entry, also of topics that it does not look at, and so can list at once. A node may
/// track 65,536 keys in 32 MiB, 320 bytes counted for each beside its texts and the longest meta that it had: enough for who is
/// there and what state they are in. What is more belongs into messages.
#[derive(Clone)]
pub struct Presence {
    node: Node,
    bus: Arc<BusState<PeerSender>>,
    topic: Topic,
}

/// A key that is present, with its meta.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Present {
    /// Who or what is here. Keys may repeat.
    pub key: Arc<str>,
    /// The node that tracks it.
    pub node: NodeId,
    /// The name of that node; names may repeat.
    pub name: NodeName,
    /// Which of the node's: counts what it ever tracked, from 1.
    pub number: u64,
    meta: Bytes,
}

/// What happened on a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PresenceChange {
    /// A key is here.
    Joined(Present),
    /// It has another meta.
    Updated {
        /// With the meta that was told before; not always the last one that it had.
        was: Present,
        /// With its meta of now.
        now: Present,
    },
    /// It was untracked, or its node is gone. With the meta that was told last.
    Left(Present),
}

impl Presence {
    pub(crate) const fn new(node: Node, bus: Arc<BusState<PeerSender>>, topic: Topic) -> Self {
        Self { node, bus, topic }
    }

    /// The topic.
    pub const fn topic(&self) -> &Topic {
        &self.topic
    }

    /// Says that a key (1 to 255 bytes) is here, with a meta, until the result is dropped. So here on return; other nodes
    /// hear of it in the background.
    ///
    /// A meta is a value of any type that [`Typed`](crate::Typed) takes, and like there its type travels with it; `&()` says
    /// no more than that the key is here. At most 16 KiB when it is encoded.
    ///
    /// # Errors
    /// Where the key or the meta is none, where this node tracks as much as it may, and after it has left.
    pub fn track<M>(&self, key: impl Into<String>, meta: &M) -> Result<Tracked, TrackError>
    where
        M: Serialize + DeserializeOwned + 'static,
    {
        let key: Arc<str> = key.into().into();
        if !is_key(&key) {
            return Err(TrackError::Key { given: key.len(), limit: MAX_KEY });
        }
        let meta = encode(meta)?;
        let here =
            Here { bus: self.bus.name.clone(), topic: self.topic.clone(), key: Arc::clone(&key), meta };
        let id = self.node.0.registry.presences.track(here).ok_or(Closed)??;
        Ok(Tracked { node: self.node.clone(), key, id })
    }

    /// Everybody who is here, in the order of keys, then of nodes, then of when they were tracked: the same on all nodes.
    ///
    /// Copies a handle for each; for a few thousand that is a millisecond.
    pub fn list(&self) -> Vec<Present> {
        self.sorted(self.node.0.registry.presences.list(&self.bus.name, &self.topic))
    }

    /// Those with this key, in the same order.
    pub fn find(&self, key: &str) -> Vec<Present> {
        self.sorted(self.node.0.registry.presences.find(&self.bus.name, &self.topic, key))
    }

    /// A stream of those that come, change and go; it begins with those present.
    pub fn changes(&self) -> PresenceChanges {
        let watch = self.node.0.registry.presences.watch(&self.bus.name, &self.topic);
        PresenceChanges { presence: self.clone(), watch }
    }

    fn sorted(&self, listed: Vec<(Place<Who>, Bytes)>) -> Vec<Present> {
        let mut all: Vec<_> = listed.into_iter().map(|(place, meta)| self.present(place, meta)).collect();
        // The tracker has this node's before the others'.
        all.sort_by(|a, b| (&a.key, a.node, a.number).cmp(&(&b.key, b.node, b.number)));
        all
    }

    fn present(&self, place: Place<Who>, meta: Bytes) -> Present {
        let Place { key, node, id } = place;
        let Who { id: node, name } =
            node.unwrap_or_else(|| Who { id: self.node.id(), name: self.node.name().clone() });
        Present { key, node, name, number: id, meta }
    }
}

impl Present {
    /// What it is here with.
    ///
    /// # Errors
    /// Where it is tracked with a meta of another type.
    pub fn meta<M: DeserializeOwned + 'static>(&self) -> Result<M, DecodeError> {
        value::decode(&typed::fingerprint::<M>().0, &self.meta)
    }
}

impl fmt::Debug for Present {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Present")
            .field("key", &self.key)
            .field("node", &self.node)
            .field("number", &self.number)
            .field("meta", &format_args!("{} bytes", self.meta.len()))
            .finish_non_exhaustive()
    }
}

/// A key that is said to be here; of [`Presence::track`]. It keeps its node there.
///
/// Dropping it untracks the key, at once and also outside of a runtime.
#[must_use = "dropping it untracks the key"]
pub struct Tracked {
    node: Node,
    key: Arc<str>,
    id: u64,
}

impl Tracked {
    /// Its key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// As [`Present::number`].
    pub const fn number(&self) -> u64 {
        self.id
    }

    /// Another meta, in the place of the one before; others may see only the last of several that follow each other.
    ///
    /// # Errors
    /// As [`Presence::track`]; the meta is as it was then.
    pub fn update<M>(&self, meta: &M) -> Result<(), TrackError>
    where
        M: Serialize + DeserializeOwned + 'static,
    {
        let meta = encode(meta)?;
        Ok(self.node.0.registry.presences.update(self.id, meta).ok_or(Closed)??)
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.node.0.registry.presences.untrack(self.id);
    }
}

impl fmt::Debug for Tracked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracked").field("key", &self.key).field("number", &self.id).finish_non_exhaustive()
    }
}

/// Yields what happens on a topic, those present first; of [`Presence::changes`]. It keeps its node there.
///
/// What it yields adds up to [`Presence::list`]: a key is joined once, updated only between that and its leaving, and left once.
/// What is not read does not pile up: a key that came and went meanwhile is not told, and of several updates only the last.
#[must_use = "a stream does nothing unless it is read"]
pub struct PresenceChanges {
    presence: Presence,
    watch: u64,
}

impl PresenceChanges {
    /// The next change; `None` once the node has left. Cancel safe.
    pub async fn next(&mut self) -> Option<PresenceChange> {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<PresenceChange>> {
        let presence = &self.presence;
        presence.node.0.registry.presences.poll_change(self.watch, cx).map(|event| {
            event.map(|event| match event {
                Event::Joined(place, meta) => PresenceChange::Joined(presence.present(place, meta)),
                Event::Updated { place, was, now } => PresenceChange::Updated {
                    was: presence.present(place.clone(), was),
                    now: presence.present(place, now),
                },
                Event::Left(place, meta) => PresenceChange::Left(presence.present(place, meta)),
            })
        })
    }
}

impl Stream for PresenceChanges {
    type Item = PresenceChange;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<PresenceChange>> {
        self.get_mut().poll(cx)
    }
}

impl Drop for PresenceChanges {
    fn drop(&mut self) {
        self.presence.node.0.registry.presences.unwatch(self.watch);
    }
}

impl fmt::Debug for PresenceChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresenceChanges").field("topic", &self.presence.topic).finish_non_exhaustive()
    }
}

impl fmt::Debug for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presence")
            .field("bus", &self.bus.name)
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

fn encode<M: Serialize + DeserializeOwned + 'static>(meta: &M) -> Result<Bytes, TrackError> {
    let meta = typed::encode(meta)?;
    match meta.len() {
        given if given > MAX_META => Err(TrackError::MetaTooLarge { given, limit: MAX_META }),
        _ => Ok(meta),
    }
}
