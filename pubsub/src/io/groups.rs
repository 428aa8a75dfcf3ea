//! Queue groups: whom a message of this node is given to, and what becomes of it. The shell of [`Ledger`].
//!
//! Members have an index of their own, so that nothing of this lies on the way of a message that no group wants. What a member
//! says of messages comes in the task that reads its link, or in that of a reader here.

use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use dashmap::DashMap;
use smallvec::smallvec;
use talkie_discovery::NodeId;
use talkie_transport::{Body, Hand, Interest, Interests, Room};
use tokio::sync::Notify;

use super::clock;
use super::fanout::Publication;
use super::order::Route;
use super::outlet::Outlet;
use super::queue::Queue;
use super::registry::{Local, lock};
use crate::audience::Audience;
use crate::delivery::Receipt;
use crate::group::GroupName;
use crate::proto::exchange::ASKER;
use crate::proto::group::{self, Standing, Verdict};
use crate::proto::headers::Headers;
use crate::proto::index::Index;
use crate::proto::ledger::{Counted, Ledger, Nearness};
use crate::topic::{BusName, Topic};

mod names;
mod place;

pub(super) use place::routes;
use place::{members, place, place_anew, roomy, unpark};

/// How many parked messages are given out at once: to a member that has room again, and where a group has one more. The others
/// follow one by one, as messages are acknowledged.
const AT_ONCE: (usize, usize) = (16, 256);

/// How many parked messages are looked at in vain before the rest is left for later.
const IN_VAIN: usize = 16;

/// Members of the groups of one bus, by pattern.
pub(crate) type GroupIndex<P> = Index<Holder<P>, ()>;

/// The members of one group on one node that share a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Holder<P> {
    pub(super) group: GroupName,
    pub(super) whose: Whose<P>,
}

impl<P: Clone> Holder<P> {
    pub(super) fn there(peer: &P, group: &GroupName) -> Self {
        Self { group: group.clone(), whose: Whose::There(peer.clone()) }
    }
}

/// Whose they are.
#[derive(Debug, Clone)]
pub(crate) enum Whose<P> {
    Here(Arc<Local>),
    There(P),
}

/// Where the messages of one topic go in one group.
#[derive(Debug)]
pub(super) struct GroupRoute<P> {
    pub(super) group: GroupName,
    holders: Vec<(Whose<P>, Interests)>,
}

/// One that may be given a message: a subscription here, or all of a pattern on another node, which takes one of them.
#[derive(Debug, Clone)]
enum Member<P> {
    Here(Arc<Queue>),
    There(P, Interest),
}

/// A message as it was published.
#[derive(Debug)]
struct Job<P: Outlet> {
    index: Arc<GroupIndex<P>>,
    topic: Topic,
    headers: Headers,
    payload: Bytes,
    from: NodeId,
    seq: u64,
    flow: u64,
    audience: Audience,
}

/// A group of one bus.
type Group = (BusName, GroupName);
type Book<P> = Ledger<Member<P>, Group, Job<P>>;
type Members<P> = Vec<(Member<P>, Nearness)>;

/// What is owed to groups by this node, and what its members owe others.
#[derive(Debug)]
pub(crate) struct Groups<P: Outlet> {
    ledger: Mutex<Book<P>>,
    /// Told when less is.
    pub(super) freed: Notify,
    /// Members here by the id of their interest.
    pub(super) locals: DashMap<u64, Arc<Local>>,
    /// Nodes that gave members here something.
    pub(super) publishers: DashMap<NodeId, P>,
    /// What each of them waits for, as it said on its newest link.
    pub(super) standings: DashMap<NodeId, Standing>,
}

/// What became of giving a message to somebody.
enum Given {
    Taken,
    Full,
    Ended,
    /// Told as a gap there.
    Lost,
}

/// Where a message is now.
enum Placed<P> {
    With(Member<P>),
    Nowhere,
    Lost,
}

impl<P: Outlet> Default for Groups<P> {
    fn default() -> Self {
        Self {
            ledger: Mutex::new(Ledger::default()),
            freed: Notify::new(),
            locals: DashMap::new(),
            publishers: DashMap::new(),
            standings: DashMap::new(),
        }
    }
}

impl<P: Outlet> Groups<P> {
    /// Gives a message to one member of each group that wants it. The bus's order is held.
    pub(super) fn hand_out(
        &self,
        (bus, index): (&BusName, &Arc<GroupIndex<P>>),
        route: &Route<P>,
        publication: Publication<'_>,
        hand: Hand,
        receipt: &mut Receipt,
    ) {
        let Publication { topic, headers, payload, from, audience } = publication;
        let (name, rest) = publication.size();
        for GroupRoute { group, holders } in &route.groups {
            // Locked before it is asked who is up: whoever is told down behind that has this message taken from it.
            let mut ledger = lock(&self.ledger);
            let members = roomy(members(holders, audience, from), payload.len());
            if members.is_empty() {
                continue;
            }
            let job = Job {
                index: Arc::clone(index),
                topic: topic.clone(),
                headers: headers.clone(),
                payload: payload.clone(),
                from,
                seq: receipt.seq,
                flow: route.flow,
                audience,
            };
            let placed = match ledger.admit((bus.clone(), group.clone()), job, name + rest) {
                Ok(id) => match place(&mut ledger, id, members, hand) {
                    // A member may have come between the match and the lock, and was not told of this one.
                    Placed::Nowhere => place_anew(&mut ledger, id),
                    placed => placed,
                },
                // Handed over all the same, but nobody would give it to another.
                Err(job) => match ledger.pick(&members) {
                    Some(member) => match job.give(member, None, hand) {
                        Given::Taken => Placed::With(member.clone()),
                        _ => Placed::Lost,
                    },
                    None => Placed::Nowhere,
                },
            };
            drop(ledger);
            match placed {
                Placed::With(Member::Here(_)) => receipt.local += 1,
                Placed::With(Member::There(peer, _)) => {
                    let counted = publication.remote(&route.matches).iter().any(|(known, _)| *known == peer);
                    receipt.nodes += usize::from(!counted && peer.is_up());
                }
                Placed::Lost => receipt.overflowed += 1,
                Placed::Nowhere => {}
            }
        }
    }

    /// Whom to wait for before a message is given to groups, and until when: a peer, or where that is none, room to remember it.
    pub(super) fn wait(
        &self,
        route: &Route<P>,
        publication: Publication<'_>,
        now: Instant,
    ) -> Option<(Option<P>, Instant)> {
        let (payload, mut wanted) = (publication.payload.len(), false);
        for GroupRoute { holders, .. } in &route.groups {
            let members = members(holders, publication.audience, publication.from);
            wanted |= !members.is_empty();
            let mut wait = None;
            for (member, near) in &members {
                let room = match member {
                    Member::Here(_) => Room::Free,
                    Member::There(..) if *near == Nearness::Away => continue,
                    Member::There(peer, _) => peer.room(payload, now),
                };
                match (room, member) {
                    (Room::Wait { until }, Member::There(peer, _)) if until > now => {
                        wait.get_or_insert_with(|| (Some(peer.clone()), until));
                    }
                    (Room::Free, _) => {
                        wait = None;
                        break;
                    }
                    _ => {}
                }
            }
            if wait.is_some() {
                return wait;
            }
        }
        if !wanted {
            return None;
        }
        let (topic, rest) = publication.size();
        lock(&self.ledger).room(topic + rest, now).map(|until| (None, until))
    }

    /// Waits for room to remember a message, at most until then.
    pub(super) async fn room_freed(&self, bytes: usize, until: Instant) {
        let mut freed = std::pin::pin!(self.freed.notified());
        // Listening before looking, so that no room is missed.
        freed.as_mut().enable();
        if lock(&self.ledger).room(bytes, clock::now()).is_some() {
            let _ = tokio::time::timeout_at(until.into(), freed).await;
        }
    }

    /// What became of a message, as the node that has it says; none: this one.
    pub(super) fn settle(&self, who: Option<NodeId>, number: u64, verdict: Verdict) {
        let mut ledger = lock(&self.ledger);
        let by = |member: &Member<P>| member.is_of(who);
        if verdict == Verdict::Done {
            if let Some((group, _)) = ledger.done(number, by) {
                unpark(&mut ledger, &group, 1, IN_VAIN);
            }
        } else if let Some(id) = ledger.returned(number, by, verdict) {
            place_anew(&mut ledger, id);
        }
        drop(ledger);
        self.freed.notify_waiters();
    }

    /// A member has room again.
    fn eased(&self, member: &Member<P>) {
        let mut ledger = lock(&self.ledger);
        if ledger.eased(member) {
            for group in ledger.short() {
                unpark(&mut ledger, &group, AT_ONCE.0, IN_VAIN);
            }
        }
    }

    /// A peer says so of one of its interests.
    pub(super) fn room(&self, from: &P, interest: u64) {
        self.eased(&Member::There(from.clone(), Interest { id: interest, epoch: 0 }));
    }

    /// There may be more members: for what is parked, and for what those have that are away.
    pub(super) fn regroup(&self) {
        let mut ledger = lock(&self.ledger);
        for id in ledger.with(Member::is_away) {
            place_anew(&mut ledger, id);
        }
        for group in ledger.short() {
            unpark(&mut ledger, &group, AT_ONCE.1, usize::MAX);
        }
    }

    /// A link: before anything that is sent again on it, the peer is told what nobody waits for any more.
    pub(super) fn linked(&self, peer: &P) {
        let ledger = lock(&self.ledger);
        if ledger.last() > 0 {
            let awaited = ledger.awaited(|member| member.is_of(Some(peer.id())));
            peer.control(&group::standing(ledger.last(), &awaited));
        }
    }

    /// A peer's word of that. Whether the control frame was one.
    pub(super) fn control(&self, peer: &P, frame: &[u8]) -> bool {
        let Some(standing) = group::decode_standing(frame) else { return false };
        if let Ok(standing) = standing {
            self.standings.insert(peer.id(), standing);
        }
        true
    }

    /// A peer was told down: what it has goes to others, where there are any.
    pub(super) fn down(&self, peer: &P) {
        let mut ledger = lock(&self.ledger);
        for id in ledger.with(|member| member.is_of(Some(peer.id()))) {
            place_anew(&mut ledger, id);
        }
    }

    /// A peer counts no more: what it has goes to others, or waits for one.
    pub(super) fn forgotten(&self, peer: &P) {
        self.publishers.remove(&peer.id());
        self.standings.remove(&peer.id());
        let mut ledger = lock(&self.ledger);
        for id in ledger.detach(|member| member.is_of(Some(peer.id()))) {
            place_anew(&mut ledger, id);
        }
    }

    /// A subscription here has ended.
    pub(super) fn ended(&self, queue: &Arc<Queue>) {
        lock(&self.ledger).eased(&Member::Here(Arc::clone(queue)));
    }

    /// Says what became of a message, to whoever gave it; none: this node.
    pub(crate) fn say(&self, from: Option<NodeId>, number: u64, verdict: Verdict) {
        match from {
            _ if number == 0 => {}
            None => self.settle(None, number, verdict),
            Some(from) => self.tell(from, group::word(number, verdict)),
        }
    }

    /// The reader of a queue took something: tells those that had found no room in it.
    pub(crate) fn took(&self, queue: &Arc<Queue>, interest: u64) {
        for who in queue.take_turned_away() {
            match who {
                None => self.eased(&Member::Here(Arc::clone(queue))),
                Some(from) => self.tell_room(from, interest),
            }
        }
    }

    /// Whether nobody waits any more for what becomes of a message.
    pub(crate) fn is_void(&self, from: NodeId, number: u64) -> bool {
        self.standings.get(&from).is_some_and(|standing| standing.is_void(number))
    }

    /// Whether everything up to this id is acknowledged.
    pub(super) fn is_settled(&self, newest: u64) -> bool {
        lock(&self.ledger).oldest().is_none_or(|oldest| oldest > newest)
    }

    /// The id of the newest message.
    pub(super) fn newest(&self) -> u64 {
        lock(&self.ledger).newest()
    }

    /// Messages that are owed, what they are charged (bytes), and what was counted.
    pub(super) fn stats(&self) -> (usize, usize, Counted) {
        let ledger = lock(&self.ledger);
        let (messages, bytes) = ledger.size();
        (messages, bytes, ledger.counted())
    }

    /// Lets go of the peers.
    pub(super) fn clear(&self) {
        *lock(&self.ledger) = Ledger::default();
        self.publishers.clear();
        self.standings.clear();
    }

    /// Tells a publisher that an interest here has room again.
    pub(super) fn tell_room(&self, to: NodeId, interest: u64) {
        self.tell(to, group::room(interest));
    }

    fn tell(&self, to: NodeId, body: Bytes) {
        // Not while the map is locked.
        let peer = self.publishers.get(&to).map(|peer| P::clone(&peer));
        if let Some(peer) = peer {
            let hand = Hand::Writer(clock::now());
            let _ = peer.push(&smallvec![ASKER], flow(to), 0, (&Body::from(body)).into(), hand);
        }
    }
}

/// What is said to one node keeps its order: that there is room comes behind that there was none.
fn flow(to: NodeId) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    ("group words", to).hash(&mut hasher);
    hasher.finish()
}
