//! Who may be given a message, and giving it to one of them.

use std::sync::Arc;

use smallvec::smallvec;
use talkie_discovery::NodeId;
use talkie_transport::{Body, Hand, Interests, Parcel, Pushed, Room, SMALL};

use super::{Book, Given, Group, GroupIndex, GroupRoute, Holder, Job, Member, Members, Placed, Whose};
use crate::audience::{Audience, SubscriptionId};
use crate::io::clock;
use crate::io::outlet::Outlet;
use crate::io::queue::Offered;
use crate::metrics::latency::is_timed;
use crate::proto::backlog::Waiting;
use crate::proto::group::{self, Mark, Verdict};
use crate::proto::ledger::{Handed, Nearness};
use crate::topic::Topic;

/// The groups that want a topic.
pub(in crate::io) fn routes<P: Outlet>(index: &GroupIndex<P>, topic: &Topic) -> Vec<GroupRoute<P>> {
    let mut found = index.matches(topic).remote;
    // However many groups somebody makes up.
    found.sort_by(|(one, _), (other, _)| one.group.cmp(&other.group));
    let mut routes: Vec<GroupRoute<P>> = Vec::new();
    for (Holder { group, whose }, interests) in found {
        match routes.last_mut() {
            Some(route) if route.group == group => route.holders.push((whose, interests)),
            _ => routes.push(GroupRoute { group, holders: vec![(whose, interests)] }),
        }
    }
    routes
}

impl<P: Outlet> GroupRoute<P> {
    /// The other nodes that have members.
    pub(in crate::io) fn peers(&self) -> impl Iterator<Item = &P> {
        self.holders.iter().filter_map(|(whose, _)| match whose {
            Whose::There(peer) => Some(peer),
            Whose::Here(_) => None,
        })
    }
}

/// Those whom a message may be given to.
pub(super) fn members<P: Outlet>(
    holders: &[(Whose<P>, Interests)],
    audience: Audience,
    own: NodeId,
) -> Members<P> {
    let (here, there, but) = match audience {
        Audience::All => (true, true, 0),
        Audience::AllBut(SubscriptionId { node, number }) => {
            (true, true, if node == own { number } else { 0 })
        }
        Audience::Others => (false, true, 0),
        Audience::Here => (true, false, 0),
        Audience::Node(_) => (false, true, 0),
    };
    let mut members = Vec::new();
    for (whose, interests) in holders {
        match whose {
            Whose::Here(local) if here => {
                let takers = local.takers();
                let queues = takers.queues.iter().filter(|joined| joined.born != but);
                members.extend(queues.map(|joined| (Member::Here(Arc::clone(&joined.to)), Nearness::Here)));
            }
            Whose::There(peer) if there && !matches!(audience, Audience::Node(id) if id != peer.id()) => {
                let near = match (peer.is_up(), peer.is_near()) {
                    (false, _) => Nearness::Away,
                    (true, true) => Nearness::Host,
                    (true, false) => Nearness::Elsewhere,
                };
                members.extend(interests.iter().map(|one| (Member::There(peer.clone(), *one), near)));
            }
            _ => {}
        }
    }
    members
}

/// Those of them that have room on the way, where there are any.
pub(super) fn roomy<P: Outlet>(mut members: Members<P>, payload: usize) -> Members<P> {
    let now = clock::now();
    let has = |(member, near): &(Member<P>, Nearness)| match member {
        Member::Here(_) => true,
        Member::There(peer, _) => *near != Nearness::Away && peer.room(payload, now) == Room::Free,
    };
    if members.iter().any(has) {
        members.retain(|one| one.1 == Nearness::Away || has(one));
    }
    members
}

/// Gives a message to whoever takes it.
pub(super) fn place<P: Outlet>(
    ledger: &mut Book<P>,
    id: u64,
    mut members: Members<P>,
    hand: Hand,
) -> Placed<P> {
    loop {
        let Some(Handed { number, to, redelivered }) = ledger.hand(id, &members) else {
            return Placed::Nowhere;
        };
        let Some(job) = ledger.job(id) else { return Placed::Nowhere };
        let why = match job.give(&to, Some(Mark { number, redelivered }), hand) {
            Given::Taken => return Placed::With(to),
            Given::Full => Verdict::Full,
            Given::Ended => Verdict::Back,
            Given::Lost => {
                ledger.remove(id);
                return Placed::Lost;
            }
        };
        ledger.returned(number, |_| true, why);
        if let Member::Here(queue) = &to
            && why == Verdict::Full
            && queue.turn_away(None)
        {
            ledger.eased(&to);
            continue;
        }
        members.retain(|(member, _)| *member != to);
    }
}

/// The same with the members of the moment.
pub(super) fn place_anew<P: Outlet>(ledger: &mut Book<P>, id: u64) -> Placed<P> {
    let Some(job) = ledger.job(id) else { return Placed::Nowhere };
    let Some((_, group)) = ledger.group(id) else { return Placed::Nowhere };
    let found = routes(&job.index, &job.topic).into_iter().find(|route| route.group == *group);
    let holders = found.map(|route| route.holders).unwrap_or_default();
    let members = roomy(members(&holders, job.audience, job.from), job.payload.len());
    place(ledger, id, members, Hand::Writer(clock::now()))
}

/// Gives out parked messages of a group, oldest first, up to `most`.
pub(super) fn unpark<P: Outlet>(ledger: &mut Book<P>, group: &Group, most: usize, in_vain: usize) {
    let (mut given, mut vain, mut from) = (0, 0, 0);
    while let Some(id) = ledger.parked(group, from)
        && given < most
        && vain < in_vain
    {
        from = id + 1;
        let taken = matches!(place_anew(ledger, id), Placed::With(_));
        *(if taken { &mut given } else { &mut vain }) += 1;
    }
}

impl<P: Outlet> Job<P> {
    /// Gives it to a member; without a mark nobody waits for a word of it.
    pub(super) fn give(&self, to: &Member<P>, mark: Option<Mark>, hand: Hand) -> Given {
        let Self { topic, headers, payload, from, seq, flow, .. } = self;
        let owed = mark.is_some();
        let mark = mark.unwrap_or(Mark { number: 0, redelivered: false });
        match to {
            Member::Here(queue) => {
                let (topic, headers, payload) = (Some(topic.clone()), headers.clone(), payload.clone());
                let group = Some(Box::new(mark));
                let (from, seq) = (*from, *seq);
                let came = is_timed(seq).then(clock::now);
                let waiting = Waiting { topic, from, name: None, seq, headers, payload, group, came };
                match queue.offer(waiting) {
                    Offered::Taken => Given::Taken,
                    Offered::Ended(_) => Given::Ended,
                    Offered::Full(_) if owed => Given::Full,
                    Offered::Full(waiting) => {
                        let _ = queue.push(waiting);
                        Given::Lost
                    }
                }
            }
            Member::There(peer, interest) => {
                let head = headers.before(group::message(mark, *seq, topic));
                let shared;
                let parcel = if head.len() + payload.len() <= SMALL {
                    Parcel::Small([&head, payload])
                } else {
                    shared = Body::new(head.freeze(), payload.clone());
                    Parcel::Shared(&shared)
                };
                match peer.push(&smallvec![*interest], *flow, payload.len(), parcel, hand) {
                    Pushed::Overflowed => Given::Lost,
                    _ => Given::Taken,
                }
            }
        }
    }
}
