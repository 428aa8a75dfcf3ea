//! Who responds and who is asked, and what arrives of either.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use smallvec::SmallVec;
use talkie_discovery::{NodeId, NodeName};
use talkie_transport::{Hand, Interest, Interests, Pushed, Room};
use tokio::time::timeout_at;

use super::{BusState, Members, Registry};
use crate::delivery::QueueLimits;
use crate::error::Closed;
use crate::io::asker::{NotAsked, Question};
use crate::io::clock;
use crate::io::desk::{Asked, Desk, Ticket, Tray, Way};
use crate::io::dispatch::{MISMATCH, note};
use crate::io::exchange::body;
use crate::io::net::PeerSender;
use crate::io::order::flow;
use crate::io::outlet::Outlet;
use crate::proto::exchange::{self, ASKER, Reach, Refusal};
use crate::proto::group;
use crate::proto::headers::Headers;
use crate::proto::interest::Role;
use crate::proto::replica::Own as _;
use crate::topic::{Pattern, Topic};

/// The longest that anybody waits: more would overflow clocks.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3_600);

/// What is asked, and by whom.
#[derive(Debug)]
pub(crate) struct Inquiry {
    pub(crate) topic: Topic,
    pub(crate) headers: Headers,
    pub(crate) payload: Bytes,
    pub(crate) from: NodeId,
    pub(crate) name: NodeName,
    pub(crate) deadline: Instant,
    pub(crate) reach: Reach,
}

/// Whom a request goes to.
struct Respondents<P> {
    here: SmallVec<[Arc<Desk<P>>; 2]>,
    /// Nearest first.
    there: Vec<(P, Interests)>,
}

impl<P: Outlet> BusState<P> {
    fn respondents(&self, topic: &Topic, reach: Reach) -> Respondents<P> {
        let matches = self.responders.matches(topic);
        let mut respondents = Respondents { here: matches.local, there: matches.remote };
        respondents.there.retain(|(peer, _)| peer.is_up());
        // What was not measured yet comes last.
        respondents.there.sort_by_cached_key(|(peer, _)| peer.rtt().unwrap_or(Duration::MAX));
        if reach == Reach::One {
            respondents.there.truncate(usize::from(respondents.here.is_empty()));
        }
        respondents
    }
}

impl<P: Outlet> Registry<P> {
    /// A new responder: in force here on return, and on its way to every linked peer.
    pub(crate) fn respond(
        &self,
        bus: &BusState<P>,
        pattern: &Pattern,
        limits: QueueLimits,
    ) -> Result<(u64, Arc<Tray<P>>), Closed> {
        let mut members = self.open_members()?;
        let (Interest { id, .. }, _) = members.replica.join(&bus.name, pattern, Role::Responder, false);
        let tray = Arc::new(Tray::new(limits));
        let known = self.exchange.desks.get(&id).map(|desk| Arc::clone(&desk));
        match known {
            Some(desk) => desk.add(Arc::clone(&tray)),
            None => {
                let desk = Arc::new(Desk::new(pattern.clone(), Arc::clone(&tray)));
                self.exchange.desks.insert(id, Arc::clone(&desk));
                bus.responders.set_local(pattern, desk);
            }
        }
        members.tell_all();
        drop(members);
        self.wake_waiters();
        Ok((id, tray))
    }

    /// Ends a responder. What waits for it is refused, and peers are told if it was the last of its pattern.
    pub(crate) fn unrespond(&self, bus: &BusState<P>, id: u64, tray: &Arc<Tray<P>>) {
        let mut members = self.members();
        if let Some(desk) = self.exchange.desks.get(&id).map(|desk| Arc::clone(&desk)) {
            desk.remove(tray);
            if members.replica.unsubscribe(id) {
                self.exchange.desks.remove(&id);
                bus.responders.remove_local(&desk.pattern);
                members.tell_all();
            }
        }
        drop(members);
        self.refuse_all(tray);
    }

    /// The nodes that answer the topic, nearest first; `own` is this one.
    pub(crate) fn responders(&self, bus: &BusState<P>, own: NodeId, topic: &Topic) -> Vec<NodeId> {
        let Respondents { here, there } = bus.respondents(topic, Reach::All);
        let here = (!here.is_empty()).then_some(own);
        here.into_iter().chain(there.iter().map(|(peer, _)| peer.id())).collect()
    }

    /// Resolves when at least `nodes` nodes answer the topic.
    pub(crate) async fn answered_on(
        &self,
        bus: &BusState<P>,
        own: NodeId,
        topic: &Topic,
        nodes: usize,
    ) -> Result<(), Closed> {
        self.until(|| self.responders(bus, own, topic).len() >= nodes).await
    }

    /// Asks, with a refusal of each node for which there is no room.
    pub(crate) fn ask(&self, bus: &BusState<P>, inquiry: &Inquiry) -> Result<Question, NotAsked> {
        let Inquiry { topic, headers, payload, from, name, deadline, reach } = inquiry;
        let Respondents { here, there } = bus.respondents(topic, *reach);
        let mut asked: Vec<_> = there.iter().map(|(peer, _)| (peer.id(), peer.name())).collect();
        asked.extend((!here.is_empty()).then(|| (*from, name.clone())));
        if asked.is_empty() {
            return Err(NotAsked::NoResponders);
        }
        let question = self.exchange.asker.ask(*deadline, asked)?;
        let (number, now) = (question.number, clock::now());
        let within = deadline.saturating_duration_since(now);
        if !there.is_empty() {
            let head = headers.before(exchange::request(number, within, *reach, topic));
            let body = body(head, payload);
            let flow = flow(&bus.name, topic);
            for (peer, interests) in &there {
                if !peer.is_up() {
                    // Told down before it was asked: nobody would say so again.
                    self.exchange.gone(peer);
                } else if peer.push(interests, flow, payload.len(), (&body).into(), Hand::Own(now))
                    == Pushed::Overflowed
                {
                    self.exchange.asker.not_sent(number, peer.id());
                }
            }
        }
        if !here.is_empty() {
            let ticket = Ticket { from: *from, way: Way::Here(name.clone()), number, of: 1 };
            let (topic, name, deadline) = (topic.clone(), name.clone(), *deadline);
            let (headers, payload) = (headers.clone(), payload.clone());
            self.exchange.place(&here, *reach, Asked { topic, name, headers, payload, deadline, ticket });
        }
        Ok(question)
    }

    /// What arrived for no subscription: a request for responders, an answer, or a message for one that is gone.
    pub(in crate::io) fn exchanged(
        &self,
        from: &P,
        name: &NodeName,
        interests: &[Interest],
        headers: Headers,
        body: &Bytes,
    ) {
        if group::is_group(body) {
            return self.grouped(from, name, interests, headers, body);
        }
        match exchange::decode(body) {
            Ok(exchange::Exchange::Request(request)) => {
                self.requested(from, name, interests, headers, request);
            }
            Ok(exchange::Exchange::Answer(answer)) if matches!(interests, [it] if it.id == ASKER.id) => {
                self.exchange.asker.answered(from.id(), name.clone(), headers, answer);
            }
            Ok(exchange::Exchange::Answer(_)) => {
                note(&self.counters.mismatched, from, &"an answer for an interest")
            }
            Ok(exchange::Exchange::Publish) => {}
            Err(error) => note(&self.counters.malformed, from, &error),
        }
    }

    fn requested(
        &self,
        from: &P,
        name: &NodeName,
        interests: &[Interest],
        headers: Headers,
        request: exchange::Request<'_>,
    ) {
        if !self.exchange.is_awaited(from, request.number) {
            return;
        }
        let topic: Topic = match request.topic.parse() {
            Ok(topic) => topic,
            Err(error) => return note(&self.counters.malformed, from, &error),
        };
        let mut desks: SmallVec<[Arc<Desk<P>>; 2]> = SmallVec::new();
        let mut last = None;
        for Interest { id, .. } in interests {
            // In ascending order, so that no responder gets a request twice.
            if last.is_some_and(|last| last >= id) {
                return note(&self.counters.mismatched, from, &"interests out of order");
            }
            last = Some(id);
            let Some(desk) = self.exchange.desks.get(id).map(|desk| Arc::clone(&desk)) else { continue };
            if desk.pattern.matches(&topic) {
                desks.push(desk);
            } else {
                note(&self.counters.mismatched, from, &MISMATCH);
            }
        }
        let ticket = Ticket { from: from.id(), way: Way::Peer(from.clone()), number: request.number, of: 1 };
        let deadline = from_now(request.within);
        let (name, payload) = (name.clone(), request.payload);
        let asked = Asked { topic, name, headers, payload, deadline, ticket };
        self.exchange.place(&desks, request.reach, asked);
    }

    /// Withdraws all responders, for the node closes.
    pub(super) fn close_exchange(&self, members: &mut Members<P>) -> Vec<Arc<Tray<P>>> {
        let desks: Vec<(u64, Arc<Desk<P>>)> =
            self.exchange.desks.iter().map(|entry| (*entry.key(), Arc::clone(entry.value()))).collect();
        self.exchange.desks.clear();
        for (id, desk) in &desks {
            while !members.replica.unsubscribe(*id) && members.replica.own().get(*id).is_some() {}
            for bus in members.buses.values() {
                bus.responders.remove_local(&desk.pattern);
            }
        }
        desks.iter().flat_map(|(_, desk)| desk.trays().to_vec()).collect()
    }

    /// What waited for responders is refused, and no question waits any more.
    pub(super) fn end_exchange(&self, trays: &[Arc<Tray<P>>]) {
        trays.iter().for_each(|tray| self.refuse_all(tray));
        self.exchange.asker.close();
    }

    fn refuse_all(&self, tray: &Tray<P>) {
        for asked in tray.close() {
            let _ = self.exchange.answer(asked.ticket, Err(Refusal::Dropped));
        }
    }
}

/// Asks, waiting for room as long as that is of use.
pub(crate) async fn ask(
    registry: &Registry<PeerSender>,
    bus: &BusState<PeerSender>,
    inquiry: &Inquiry,
) -> Result<Question, NotAsked> {
    let Inquiry { topic, payload, reach, .. } = inquiry;
    loop {
        registry.check_open().map_err(|Closed| NotAsked::Closed)?;
        let now = clock::now();
        // All are looked at before one is waited for, so that their patience runs side by side.
        let mut wait = None;
        for (peer, _) in &bus.respondents(topic, *reach).there {
            if let Room::Wait { until } = peer.room(payload.len(), now)
                && until > now
            {
                wait.get_or_insert_with(|| (peer.clone(), until));
            }
        }
        let Some((peer, until)) = wait else { return registry.ask(bus, inquiry) };
        if now >= inquiry.deadline {
            return Err(NotAsked::Late);
        }
        let mut freed = std::pin::pin!(peer.room_freed());
        // Listening before looking, so that no room is missed.
        freed.as_mut().enable();
        if matches!(peer.room(payload.len(), clock::now()), Room::Wait { .. }) {
            // Too late or freed: either way it is looked at again.
            let _ = timeout_at(until.min(inquiry.deadline).into(), freed).await;
        }
    }
}

/// So long from now, a year at most.
pub(crate) fn from_now(within: Duration) -> Instant {
    clock::now() + within.min(LONGEST)
}
