//! Subscriptions and handlers come and go.

use std::sync::Arc;

use talkie_discovery::NodeId;
use talkie_transport::Interest;

use super::local::{Joined, Local, Seat, Takers};
use super::{BusState, Registry, lock};
use crate::error::{Closed, SubscribeError};
use crate::io::handlers::Callee;
use crate::io::outlet::Outlet;
use crate::io::queue::Queue;
use crate::metrics::Deliveries;
use crate::options::SubscribeOptions;
use crate::proto::interest::Role;
use crate::topic::Pattern;

impl<P: Outlet> Registry<P> {
    /// A new subscription: in force here on return, and on its way to every linked peer. `own` is this node.
    pub(crate) fn subscribe(
        &self,
        bus: &BusState<P>,
        own: NodeId,
        pattern: &Pattern,
        options: SubscribeOptions,
    ) -> Result<(Seat, Arc<Queue>), SubscribeError> {
        let SubscribeOptions { limits, history, .. } = options;
        if let Some(group) = options.group {
            return Ok(self.join_group(bus, pattern, &group?, limits)?);
        }
        let topic = if pattern.is_exact() { pattern.as_str().len() } else { 0 };
        let queue = Arc::new(Queue::new(options, topic));
        let to = Arc::clone(&queue);
        let past = history.then_some((own, &*queue));
        let seat = self.join(bus, pattern, past, |takers, epoch, born| {
            takers.queues.push(Joined { epoch, born, history, to });
        })?;
        Ok((seat, queue))
    }

    /// A new handler, as a subscription.
    pub(crate) fn handle_with(
        &self,
        bus: &BusState<P>,
        pattern: &Pattern,
        to: Arc<Callee>,
    ) -> Result<Seat, Closed> {
        self.join(bus, pattern, None, |takers, epoch, born| {
            takers.handlers.push(Joined { epoch, born, history: false, to });
        })
    }

    /// One more that takes messages of a pattern; into a queue what was kept here first.
    fn join(
        &self,
        bus: &BusState<P>,
        pattern: &Pattern,
        past: Option<(NodeId, &Queue)>,
        add: impl FnOnce(&mut Takers, u64, u64),
    ) -> Result<Seat, Closed> {
        let mut members = self.open_members()?;
        let (Interest { id, epoch }, born) =
            members.replica.join(&bus.name, pattern, Role::Subscriber, past.is_some());
        // Until it is matched: nothing is published between what was kept and what comes.
        let order = past.map(|(own, queue)| {
            let mut order = lock(&bus.order);
            bus.take_past(&mut order, own, pattern, queue);
            order
        });
        let known = self.locals.get(&id).map(|local| Arc::clone(&local));
        match known {
            Some(local) => local.change(|takers| add(takers, epoch, born)),
            None => {
                let local = Arc::new(Local::new(pattern.clone()));
                local.change(|takers| add(takers, epoch, born));
                self.locals.insert(id, Arc::clone(&local));
                bus.index.set_local(pattern, local);
            }
        }
        drop(order);
        members.tell_all();
        tracing::debug!(name: "talkie.subscribed", bus = %bus.name, %pattern, "subscribed");
        Ok(Seat { interest: id, born })
    }

    /// Ends a subscription. Nothing comes for it any more, and peers are told if it was the last of its pattern.
    pub(crate) fn unsubscribe(&self, bus: &BusState<P>, id: u64, queue: &Arc<Queue>) {
        self.part(bus, id, |takers| {
            takers.queues.retain(|joined| !Arc::ptr_eq(&joined.to, queue));
            queue.stats().2
        });
        // Behind that: a publisher that waits for it is woken by this, and must not count it any more.
        queue.close();
    }

    /// Ends a handler, as a subscription.
    pub(crate) fn unhandle(&self, bus: &BusState<P>, id: u64, callee: &Arc<Callee>) {
        callee.end();
        self.part(bus, id, |takers| {
            takers.handlers.retain(|joined| !Arc::ptr_eq(&joined.to, callee));
            callee.stats()
        });
    }

    /// One less, and what it was given.
    fn part(&self, bus: &BusState<P>, id: u64, remove: impl FnOnce(&mut Takers) -> Deliveries) {
        let mut members = lock(&self.members);
        let Some(local) = self.locals.get(&id).map(|local| Arc::clone(&local)) else { return };
        let mut given = Deliveries::default();
        local.change(|takers| given = remove(takers));
        members.ended += given;
        tracing::debug!(name: "talkie.unsubscribed", bus = %bus.name, pattern = %local.pattern, "unsubscribed");
        if members.replica.unsubscribe(id) {
            self.locals.remove(&id);
            bus.index.remove_local(&local.pattern);
            members.tell_all();
        }
    }
}
