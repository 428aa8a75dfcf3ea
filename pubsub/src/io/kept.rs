//! Histories: what was kept is given to a new subscription in one step with its being matched from then on, under the bus's order.
//! So what is published before that comes from the history, and what is published after it as it comes.

use bytes::Bytes;
use smallvec::smallvec;
use talkie_discovery::NodeId;
use talkie_transport::{Body, Hand, Interest, LARGE};

use super::clock;
use super::order::{Order, flow};
use super::outlet::Outlet;
use super::queue::Queue;
use super::registry::{BusState, lock};
use crate::proto::backlog::Waiting;
use crate::proto::envelope;
use crate::proto::history::{Full, History, Past};
use crate::proto::interest::Wanted;
use crate::topic::{Pattern, Topic};

impl<P: Outlet> BusState<P> {
    /// Keeps a topic's messages from now on; `most` bytes of any are given to another node at once.
    pub(crate) fn keep(&self, topic: &Topic, history: History, most: usize) -> Result<(), Full> {
        lock(&self.order).histories.keep(topic, history, most)
    }

    /// A handle that kept a topic's messages is gone.
    pub(crate) fn release(&self, topic: &Topic) {
        lock(&self.order).histories.release(topic);
    }

    /// A peer wants a pattern: gives it what was kept, where one of its subscriptions asks for that, and matches it from now on.
    pub(in crate::io) fn set_subscriber(&self, peer: &P, wanted: &Wanted, interest: Interest) {
        let Some(asked) = wanted.asked else {
            return self.index.set_remote(peer, &wanted.pattern, interest);
        };
        let mut order = lock(&self.order);
        if let Some(from) = order.histories.serve(peer.id(), interest.id, interest.epoch, asked) {
            self.send_past(&mut order, peer, &wanted.pattern, interest, from);
        }
        self.index.set_remote(peer, &wanted.pattern, interest);
    }

    /// A peer wants what the interest is for no more.
    pub(in crate::io) fn end_subscriber(&self, peer: &P, wanted: &Wanted, id: u64) {
        if wanted.asked.is_some() {
            lock(&self.order).histories.ended(peer.id(), id);
        }
    }

    fn send_past(&self, order: &mut Order<P>, peer: &P, pattern: &Pattern, interest: Interest, from: u64) {
        let now = clock::now();
        let (mut missed, past) = order.histories.past_there(now, pattern);
        for Past { topic, seq, headers, payload, .. } in past {
            let mut head = Vec::with_capacity(envelope::MAX_OVERHEAD);
            headers.put(&mut head);
            envelope::put_past_head(&mut head, from, std::mem::take(&mut missed), seq, &topic);
            let body: Body = if head.len() + payload.len() <= LARGE {
                Bytes::from([&head[..], &payload].concat()).into()
            } else {
                Body::new(head.into(), payload.clone())
            };
            let flow = flow(&self.name, &topic);
            // What finds no room is counted, and told as a gap.
            let _ = peer.push(&smallvec![interest], flow, payload.len(), (&body).into(), Hand::Writer(now));
        }
    }

    /// What was kept here, into the queue of a subscription of this node.
    pub(in crate::io) fn take_past(
        &self,
        order: &mut Order<P>,
        own: NodeId,
        pattern: &Pattern,
        queue: &Queue,
    ) {
        for Past { topic, seq, headers, payload, .. } in order.histories.past_here(clock::now(), pattern) {
            let topic = (!pattern.is_exact()).then_some(topic);
            let (from, name, group, came) = (own, None, None, None);
            let _ = queue.push(Waiting { topic, from, name, seq, headers, payload, group, came });
        }
    }
}
