//! One publish: matched once, encoded once, handed to each peer and to the subscriptions here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use smallvec::SmallVec;
use talkie_discovery::NodeId;
use talkie_transport::{Body, Hand, Interests, Parcel, Pushed, Room, SMALL};
use tokio::time::timeout_at;

use super::clock;
use super::dispatch::deliver;
use super::handlers::MAX_LATER;
use super::net::PeerSender;
use super::order::Routed;
use super::outlet::Outlet;
use super::queue::Queue;
use super::registry::{BusState, Local, Registry, Takers, lock};
use crate::audience::{Audience, SubscriptionId};
use crate::delivery::Receipt;
use crate::error::PublishError;
use crate::metrics::latency::is_timed;
use crate::proto::backlog::Waiting;
use crate::proto::envelope;
use crate::proto::headers::Headers;
use crate::proto::index::Matches;
use crate::topic::Topic;

/// To more peers than this the writer tasks bring a message sooner: each write in the caller's task takes 10 to 15 µs, and
/// the last peer waits for all of them.
const OWN_HAND: usize = 8;

/// What is published, and by whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Publication<'a> {
    pub(crate) topic: &'a Topic,
    pub(crate) headers: &'a Headers,
    pub(crate) payload: &'a Bytes,
    pub(crate) from: NodeId,
    pub(crate) audience: Audience,
}

impl Publication<'_> {
    /// The peers that it is for.
    pub(super) fn remote<'m, P: Outlet, L>(&self, matches: &'m Matches<P, L>) -> &'m [(P, Interests)] {
        match self.audience {
            Audience::All | Audience::AllBut(_) | Audience::Others => &matches.remote,
            Audience::Here => &[],
            Audience::Node(id) => {
                let one = matches.remote.iter().find(|(peer, _)| peer.id() == id);
                one.map_or(&[], std::slice::from_ref)
            }
        }
    }

    /// What this node has for it.
    fn local<'m, P, L>(&self, matches: &'m Matches<P, L>) -> &'m [L] {
        match self.audience {
            Audience::All | Audience::AllBut(_) | Audience::Here => &matches.local,
            Audience::Others | Audience::Node(_) => &[],
        }
    }

    /// Bytes of its topic, and of its headers and its payload.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.topic.as_str().len(), self.headers.size() + self.payload.len())
    }

    /// The number of the subscription that is left out; 0: none.
    fn but(&self) -> u64 {
        match self.audience {
            Audience::AllBut(SubscriptionId { node, number }) if node == self.from => number,
            _ => 0,
        }
    }
}

/// What came of trying to publish.
#[derive(Debug)]
pub(crate) enum Attempt<P> {
    /// Numbered and handed out.
    Done(Receipt),
    /// Nothing was done: this peer is full and moves, so it is worth waiting for, at most until then.
    Wait(P, Instant),
    /// Nothing was done: the reader of this queue is to be waited for.
    WaitHere(Arc<Queue>),
    /// Nothing was done: as many messages for groups as are remembered are not acknowledged; to be waited for until then.
    WaitGroups(Instant),
    /// Nothing was done.
    Refused(Nested),
}

/// A handler that published this must return first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Nested;

impl From<Nested> for PublishError {
    fn from(_: Nested) -> Self {
        Self::Nested { limit: MAX_LATER }
    }
}

impl<P: Outlet> BusState<P> {
    /// Publishes, unless a peer should be waited for first.
    ///
    /// `waited` is how long it waited for subscriptions here before.
    pub(crate) fn attempt(&self, publication: Publication<'_>, waited: Duration) -> Attempt<P> {
        let now = clock::now();
        let mut order = lock(&self.order);
        let routed = order.route(&self.name, &self.index, &self.members, publication.topic);
        // All are asked before one is waited for, so that their patience runs side by side.
        let mut wait = None;
        for (peer, _) in publication.remote(&routed.route.matches) {
            if let Room::Wait { until } = peer.room(publication.payload.len(), now)
                && until > now
            {
                wait.get_or_insert_with(|| (peer.clone(), until));
            }
        }
        if let Some((peer, until)) = wait {
            return Attempt::Wait(peer, until);
        }
        for local in publication.local(&routed.route.matches) {
            if let Some(queue) = local.full(publication.but(), publication.size(), waited) {
                return Attempt::WaitHere(queue);
            }
        }
        if !routed.route.groups.is_empty()
            && let Some((peer, until)) = self.groups.wait(routed.route, publication, now)
        {
            return peer.map_or(Attempt::WaitGroups(until), |peer| Attempt::Wait(peer, until));
        }
        let handed = hand_out(routed, self, publication, now);
        drop(order);
        self.handled(handed).map_or_else(Attempt::Refused, Attempt::Done)
    }

    /// Publishes, with a gap for peers that are full.
    pub(crate) fn publish_now(&self, publication: Publication<'_>) -> Result<Receipt, Nested> {
        let now = clock::now();
        let mut order = lock(&self.order);
        let routed = order.route(&self.name, &self.index, &self.members, publication.topic);
        let handed = hand_out(routed, self, publication, now);
        drop(order);
        self.handled(handed)
    }

    /// Calls handlers here, now that the order is held no more.
    fn handled(&self, handed: Result<Handed, Nested>) -> Result<Receipt, Nested> {
        handed.map(|Handed { receipt, calls }| {
            if calls {
                self.calls.run();
            }
            receipt
        })
    }
}

/// What was given to all.
struct Handed {
    receipt: Receipt,
    /// Whether handlers are to be called.
    calls: bool,
}

/// Numbers a publication and gives it to all that want it. The order is held from the match to the last push, so that
/// all receivers see one order.
fn hand_out<P: Outlet>(
    routed: Routed<'_, P>,
    bus: &BusState<P>,
    publication: Publication<'_>,
    now: Instant,
) -> Result<Handed, Nested> {
    let Routed { route, sequence, head, published, histories } = routed;
    let calls = &bus.calls;
    let Publication { topic, headers, payload, from, .. } = publication;
    let (remote, but) = (publication.remote(&route.matches), publication.but());
    let local = publication.local(&route.matches).iter();
    let takers: Locals<'_> = local.map(|local| (local, local.takers())).collect();
    let handled = takers.iter().any(|(_, takers)| !takers.handlers.is_empty());
    if handled && calls.is_full() {
        return Err(Nested);
    }
    *sequence += 1;
    let seq = *sequence;
    if !histories.is_empty() {
        histories.push(now, topic, seq, headers, payload, publication.audience);
    }
    let mut receipt = Receipt { seq, nodes: 0, local: 0, overflowed: 0 };
    if !remote.is_empty() {
        head.clear();
        headers.put(head);
        envelope::put_head(head, seq, topic);
        let hand = if remote.len() <= OWN_HAND { Hand::Own(now) } else { Hand::Writer(now) };
        let shared;
        let parcel = match head.len() + payload.len() {
            ..=SMALL => Parcel::Small([head, payload]),
            // Not even copied once: that would hold up whoever publishes on the same bus.
            _ => {
                shared = Body::new(Bytes::copy_from_slice(head), payload.clone());
                Parcel::Shared(&shared)
            }
        };
        for (peer, interests) in remote {
            receipt.nodes += usize::from(peer.is_up());
            receipt.overflowed += usize::from(
                peer.push(interests, route.flow, payload.len(), parcel, hand) == Pushed::Overflowed,
            );
        }
    }
    let came = is_timed(seq).then_some(now);
    for (local, takers) in takers {
        let topic = local.exact.is_none().then(|| topic.clone());
        let (headers, payload) = (headers.clone(), payload.clone());
        let message = Waiting { topic, from, name: None, seq, headers, payload, group: None, came };
        receipt.local += deliver(&takers, None, but, &message).0;
        if !takers.handlers.is_empty() {
            receipt.local += takers.handlers.iter().filter(|joined| joined.born != but).count();
            calls.plan(local, takers, but, message);
        }
    }
    if !route.groups.is_empty() {
        bus.groups.hand_out((&bus.name, &bus.members), route, publication, Hand::Own(now), &mut receipt);
    }
    published.count(&receipt, payload.len());
    Ok(Handed { receipt, calls: handled })
}

/// Interests of this node that match, and who takes messages of each.
type Locals<'a> = SmallVec<[(&'a Arc<Local>, Arc<Takers>); 2]>;

/// Publishes, waiting for room as long as that is of use.
pub(crate) async fn publish(
    registry: &Registry<PeerSender>,
    bus: &BusState<PeerSender>,
    publication: Publication<'_>,
) -> Result<Receipt, PublishError> {
    let (mut first, mut waited) = (true, Duration::ZERO);
    loop {
        registry.check_open()?;
        let (peer, until) = match bus.attempt(publication, waited) {
            Attempt::Done(receipt) => return Ok(receipt),
            Attempt::Wait(peer, until) => (peer, until),
            Attempt::WaitHere(queue) => {
                let (begun, (topic, payload)) = (clock::now(), publication.size());
                queue.freed(topic, payload, waited).await;
                let here = clock::now().saturating_duration_since(begun);
                waited += here;
                registry.counters.waited(std::mem::take(&mut first), here);
                continue;
            }
            Attempt::WaitGroups(until) => {
                let (begun, (topic, payload)) = (clock::now(), publication.size());
                registry.groups.room_freed(topic + payload, until).await;
                let time = clock::now().saturating_duration_since(begun);
                registry.counters.waited(std::mem::take(&mut first), time);
                continue;
            }
            Attempt::Refused(nested) => return Err(nested.into()),
        };
        let mut freed = std::pin::pin!(peer.room_freed());
        // Listening before looking, so that no room is missed.
        freed.as_mut().enable();
        if matches!(peer.room(publication.payload.len(), clock::now()), Room::Wait { .. }) {
            let begun = clock::now();
            // Too late or freed: either way it is looked at again.
            let _ = timeout_at(until.into(), freed).await;
            registry
                .counters
                .waited(std::mem::take(&mut first), clock::now().saturating_duration_since(begun));
        }
    }
}
