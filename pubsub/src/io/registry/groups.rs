//! Members of queue groups on this node, and what arrives for them or of others.

use std::sync::Arc;

use bytes::Bytes;
use talkie_discovery::{NodeId, NodeName};
use talkie_transport::Interest;

use super::local::Joined;
use super::{BusState, Local, Members, Registry, Seat};
use crate::delivery::QueueLimits;
use crate::error::Closed;
use crate::group::GroupName;
use crate::io::clock;
use crate::io::dispatch::{MISMATCH, note};
use crate::io::groups::{Holder, Whose};
use crate::io::outlet::Outlet;
use crate::io::queue::{Offered, Queue};
use crate::metrics::latency::is_timed;
use crate::proto::backlog::Waiting;
use crate::proto::exchange::ASKER;
use crate::proto::group::{self, Grouped, Verdict};
use crate::proto::headers::Headers;
use crate::proto::interest::Role;
use crate::proto::replica::Own as _;
use crate::topic::{Pattern, Topic};

impl<P: Outlet> Registry<P> {
    /// A new member of a group: in force here on return, and on its way to every linked peer.
    pub(super) fn join_group(
        &self,
        bus: &BusState<P>,
        pattern: &Pattern,
        group: &GroupName,
        limits: QueueLimits,
    ) -> Result<(Seat, Arc<Queue>), Closed> {
        let queue = Arc::new(Queue::of_member(limits));
        let to = Arc::clone(&queue);
        let mut members = self.open_members()?;
        let role = Role::Member(group.clone());
        let (interest, born) = members.replica.join(&bus.name, pattern, role, false);
        let add = |local: &Local| {
            local.change(|takers| {
                takers.queues.push(Joined { epoch: interest.epoch, born, history: false, to })
            });
        };
        let known = self.groups.locals.get(&interest.id).map(|local| Arc::clone(&local));
        match known {
            Some(local) => add(&local),
            None => {
                let local = Arc::new(Local::new(pattern.clone()));
                add(&local);
                self.groups.locals.insert(interest.id, Arc::clone(&local));
                let holder = Holder { group: group.clone(), whose: Whose::Here(local) };
                bus.members.set_remote(&holder, pattern, interest);
            }
        }
        bus.index.touch();
        members.tell_all();
        drop(members);
        tracing::debug!(name: "talkie.group.joined", bus = %bus.name, %pattern, %group, "joined a group");
        self.groups.regroup();
        Ok((Seat { interest: interest.id, born }, queue))
    }

    /// A member ends. What it was not given goes to others, and what it was given and did not acknowledge, marked.
    pub(crate) fn leave_group(
        &self,
        bus: &BusState<P>,
        interest: u64,
        queue: &Arc<Queue>,
        given: Option<(Option<NodeId>, u64)>,
    ) {
        let mut members = self.members();
        if let Some(local) = self.groups.locals.get(&interest).map(|local| Arc::clone(&local)) {
            local.change(|takers| takers.queues.retain(|joined| !Arc::ptr_eq(&joined.to, queue)));
            members.ended += queue.stats().2;
            let role = members.own().get(interest).map(|own| own.role.clone());
            if members.replica.unsubscribe(interest) {
                self.groups.locals.remove(&interest);
                if let Some(Role::Member(group)) = role {
                    let holder = Holder { group, whose: Whose::Here(Arc::clone(&local)) };
                    bus.members.remove_remote(&holder, &local.pattern, interest);
                }
            }
            bus.index.touch();
            members.tell_all();
            tracing::debug!(name: "talkie.group.left", bus = %bus.name, pattern = %local.pattern, "left a group");
        }
        drop(members);
        self.end_member(queue);
        if let Some((from, number)) = given {
            self.groups.say(from, number, Verdict::Tried);
        }
    }

    /// Withdraws all members, for the node closes.
    pub(super) fn close_groups(&self, members: &mut Members<P>) -> Vec<Arc<Queue>> {
        let locals: Vec<(u64, Arc<Local>)> =
            self.groups.locals.iter().map(|entry| (*entry.key(), Arc::clone(entry.value()))).collect();
        self.groups.locals.clear();
        let mut queues = Vec::new();
        for (id, local) in locals {
            if let Some(own) = members.own().get(id).cloned()
                && let Role::Member(group) = own.role
                && let Some(bus) = members.buses.get(&own.bus)
            {
                let holder = Holder { group, whose: Whose::Here(Arc::clone(&local)) };
                bus.members.remove_remote(&holder, &local.pattern, id);
                bus.index.touch();
            }
            while !members.replica.unsubscribe(id) && members.own().get(id).is_some() {}
            for joined in &local.takers().queues {
                members.ended += joined.to.stats().2;
                queues.push(Arc::clone(&joined.to));
            }
        }
        queues
    }

    /// What waits in the queue of a member goes back.
    pub(super) fn end_member(&self, queue: &Arc<Queue>) {
        for Waiting { from, name, group, .. } in queue.end() {
            if let Some(mark) = group {
                self.groups.say(name.map(|_| from), mark.number, Verdict::Back);
            }
        }
        self.groups.ended(queue);
    }

    /// Resolves when everything that this node gave to groups so far is acknowledged.
    pub(crate) async fn settled(&self) -> Result<(), Closed> {
        let newest = self.groups.newest();
        loop {
            let mut freed = std::pin::pin!(self.groups.freed.notified());
            // Listening before looking, so that nothing is missed.
            freed.as_mut().enable();
            self.check_open()?;
            if self.groups.is_settled(newest) {
                return Ok(());
            }
            freed.await;
        }
    }

    /// What arrived for a group.
    pub(super) fn grouped(
        &self,
        from: &P,
        name: &NodeName,
        interests: &[Interest],
        headers: Headers,
        body: &Bytes,
    ) {
        let about_words = matches!(interests, [it] if it.id == ASKER.id);
        match group::decode(body) {
            Ok(Grouped::Message(message)) => self.for_member(from, name, interests, headers, message),
            Ok(Grouped::Words(words)) if about_words => {
                words
                    .into_iter()
                    .for_each(|(number, word)| self.groups.settle(Some(from.id()), number, word));
            }
            Ok(Grouped::Room(interest)) if about_words => self.groups.room(from, interest),
            Ok(_) => note(&self.counters.mismatched, from, &"a word for an interest"),
            Err(error) => note(&self.counters.malformed, from, &error),
        }
    }

    /// Messages for members here were lost on their way: one of those that share the interest is told.
    pub(in crate::io) fn group_gap(&self, from: &P, interest: Interest, missed: u64, exact: bool) {
        let local = self.groups.locals.get(&interest.id).map(|local| Arc::clone(&local));
        let takers = local.map(|local| local.takers());
        let first =
            takers.iter().flat_map(|takers| &takers.queues).find(|joined| joined.takes(Some(interest.epoch)));
        if let Some(joined) = first {
            joined.to.push_gap(from.id(), missed, exact);
        }
    }

    /// A message for one member here.
    fn for_member(
        &self,
        from: &P,
        name: &NodeName,
        interests: &[Interest],
        headers: Headers,
        message: group::Message<'_>,
    ) {
        let group::Message { mark, seq, topic, payload } = message;
        let id = from.id();
        let [interest] = interests else {
            return note(&self.counters.mismatched, from, &"a group's message for several interests");
        };
        if self.groups.is_void(id, mark.number) {
            // Somebody else has it.
            return;
        }
        let topic: Topic = match topic.parse() {
            Ok(topic) => topic,
            Err(error) => return note(&self.counters.malformed, from, &error),
        };
        if !self.groups.publishers.contains_key(&id) {
            self.groups.publishers.insert(id, from.clone());
        }
        let say = |verdict| self.groups.say(Some(id), mark.number, verdict);
        let Some(local) = self.groups.locals.get(&interest.id).map(|local| Arc::clone(&local)) else {
            return say(Verdict::Back);
        };
        if !local.pattern.matches(&topic) {
            return note(&self.counters.mismatched, from, &MISMATCH);
        }
        let takers = local.takers();
        let mut queues: Vec<_> = takers.queues.iter().map(|joined| &joined.to).collect();
        if queues.len() > 1 {
            queues.sort_by_cached_key(|queue| queue.stats().0);
        }
        let (name, group) = (Some(name.clone()), Some(Box::new(mark)));
        let (topic, came) = (Some(topic), is_timed(seq).then(clock::now));
        let mut waiting = Waiting { topic, from: id, name, seq, headers, payload, group, came };
        let mut full = Vec::new();
        for queue in queues {
            match queue.offer(waiting) {
                Offered::Taken => return,
                Offered::Full(back) => {
                    waiting = back;
                    full.push(queue);
                }
                Offered::Ended(back) => waiting = back,
            }
        }
        match full.first() {
            None => say(Verdict::Back),
            // Nobody would give it to another: it is told as lost.
            Some(queue) if mark.number == 0 => _ = queue.push(waiting),
            Some(_) => {
                say(Verdict::Full);
                // Behind it, so that its publisher hears in this order that there was none and that there is.
                if full.into_iter().any(|queue| queue.turn_away(Some(id))) {
                    self.groups.tell_room(id, interest.id);
                }
            }
        }
    }
}
