//! The requests and answers of one node: what is put before responders here, and the way back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{BufMut as _, Bytes, BytesMut};
use dashmap::DashMap;
use smallvec::smallvec;
use talkie_discovery::NodeId;
use talkie_transport::{Body, Hand, LARGE, Pushed};

use super::asker::Asker;
use super::clock;
use super::desk::{Asked, Desk, Ticket, Tray, Way};
use super::outlet::Outlet;
use crate::metrics::RequestStats;
use crate::proto::exchange::{self, ASKER, Reach, Refusal};
use crate::proto::headers::Headers;

/// The requests and answers of one node.
#[derive(Debug)]
pub(crate) struct Exchange<P> {
    /// Responders here by the id of their interest.
    pub(super) desks: DashMap<u64, Arc<Desk<P>>>,
    pub(super) asker: Arc<Asker>,
    /// Up to which number each peer waits for nothing any more.
    settled: DashMap<NodeId, u64>,
    /// Counts requests, so that responders here take turns.
    turn: AtomicUsize,
    received: AtomicU64,
    replied: AtomicU64,
    refused: AtomicU64,
    expired: AtomicU64,
    lost: AtomicU64,
}

/// A reply was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoRoom;

impl<P> Default for Exchange<P> {
    fn default() -> Self {
        Self {
            desks: DashMap::new(),
            asker: Arc::default(),
            settled: DashMap::new(),
            turn: AtomicUsize::new(0),
            received: AtomicU64::new(0),
            replied: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            expired: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        }
    }
}

impl<P: Outlet> Exchange<P> {
    /// A peer was told down: no answer of it is waited for.
    pub(super) fn gone(&self, peer: &P) {
        self.asker.gone(peer.id());
    }

    /// A link: before anything that is sent again on it, the peer is told what nobody waits for any more.
    pub(super) fn linked(&self, peer: &P) {
        let number = self.asker.settled(&peer.id());
        if number > 0 {
            peer.control(&exchange::settled(number));
        }
    }

    /// A peer's word of that. Whether the control frame was one.
    pub(super) fn control(&self, peer: &P, frame: &[u8]) -> bool {
        let Some(settled) = exchange::decode_settled(frame) else { return false };
        if let Ok(number) = settled {
            self.settled.insert(peer.id(), number);
        }
        true
    }

    /// A peer is owed nothing any more.
    pub(super) fn forgotten(&self, peer: &P) {
        self.settled.remove(&peer.id());
    }

    /// Whether the peer still waits for an answer to this; counted where not.
    pub(super) fn is_awaited(&self, peer: &P, number: u64) -> bool {
        let awaited = self.settled.get(&peer.id()).is_none_or(|settled| *settled < number);
        self.expired.fetch_add(u64::from(!awaited), Ordering::Relaxed);
        awaited
    }

    /// Requests to a responder here, or answers, were lost on their way. Whoever sent a request was told at once.
    pub(super) fn lost(&self, id: u64, count: u64) {
        if id == ASKER.id || self.desks.contains_key(&id) {
            self.lost.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// The counters of both sides.
    pub(super) fn stats(&self) -> RequestStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RequestStats {
            received: get(&self.received),
            replied: get(&self.replied),
            refused: get(&self.refused),
            expired: get(&self.expired),
            lost: get(&self.lost),
            ..self.asker.stats()
        }
    }

    /// The next request of a tray that is not too late to be answered.
    pub(crate) fn poll_take(&self, tray: &Tray<P>, cx: &Context<'_>) -> Poll<Option<Asked<P>>> {
        loop {
            match tray.poll_take(cx) {
                Poll::Ready(Some(asked)) if asked.deadline <= clock::now() => {
                    self.expired.fetch_add(1, Ordering::Relaxed);
                }
                polled => return polled,
            }
        }
    }

    /// How long ago an asker gave up that waited until then; counted where it did. It waits by its own clock and from earlier on,
    /// so an answer would be of no use there.
    pub(crate) fn overdue(&self, deadline: Instant) -> Option<Duration> {
        let ago = clock::now().saturating_duration_since(deadline);
        self.expired.fetch_add(u64::from(!ago.is_zero()), Ordering::Relaxed);
        (!ago.is_zero()).then_some(ago)
    }

    /// Sends an answer to where the request came from.
    pub(crate) fn answer(
        &self,
        ticket: Ticket<P>,
        said: Result<(Headers, Bytes), Refusal>,
    ) -> Result<(), NoRoom> {
        let Ticket { from, way, number, of } = ticket;
        let count = |replied| {
            let counter = if replied { &self.replied } else { &self.refused };
            counter.fetch_add(1, Ordering::Relaxed);
        };
        let peer = match way {
            Way::Here(name) => {
                count(said.is_ok());
                let (headers, said) = match said {
                    Ok((headers, payload)) => (headers, Ok(payload)),
                    Err(why) => (Headers::new(), Err(why)),
                };
                self.asker.answered(from, name, headers, exchange::Answer { number, of, said });
                return Ok(());
            }
            Way::Peer(peer) => peer,
        };
        let push = |payload: usize, body: &Body| {
            // Answers need no order among each other: none waits for a large one before it.
            let flow = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            peer.push(&smallvec![ASKER], flow, payload, body.into(), Hand::Own(clock::now()))
        };
        let refuse = |why| {
            count(false);
            push(0, &exchange::refusal(number, of, why).into())
        };
        match said {
            Ok((headers, payload)) => {
                let body = body(headers.before(exchange::reply(number, of)), &payload);
                // Nobody waits at a node that is away: it has given up, or will hear that this one was lost.
                if push(payload.len(), &body) != Pushed::Overflowed || !peer.is_up() {
                    count(true);
                    return Ok(());
                }
                // Small enough to be taken where the reply was too large for the asker.
                let _ = refuse(Refusal::NoRoom);
                Err(NoRoom)
            }
            Err(why) => {
                let _ = refuse(why);
                Ok(())
            }
        }
    }

    /// Puts a request before responders here. Whoever cannot take it refuses.
    pub(super) fn place(&self, desks: &[Arc<Desk<P>>], reach: Reach, mut asked: Asked<P>) {
        let trays: Vec<_> = desks.iter().flat_map(|desk| desk.trays().to_vec()).collect();
        self.received.fetch_add(1, Ordering::Relaxed);
        let refuse = |ticket, why| {
            let _ = self.answer(ticket, Err(why));
        };
        if trays.is_empty() {
            asked.ticket.of = 0;
            return refuse(asked.ticket, Refusal::NoResponder);
        }
        match reach {
            Reach::One => {
                let first = self.turn.fetch_add(1, Ordering::Relaxed) % trays.len();
                for tray in trays.iter().cycle().skip(first).take(trays.len()) {
                    match tray.put(asked) {
                        None => return,
                        Some(back) => asked = back,
                    }
                }
                refuse(asked.ticket, Refusal::Dropped);
            }
            Reach::All => {
                asked.ticket.of = trays.len() as u64;
                for tray in &trays {
                    if let Some(back) = tray.put(asked.clone()) {
                        refuse(back.ticket, Refusal::Dropped);
                    }
                }
            }
        }
    }
}

/// Head and payload; a large payload is shared and not copied.
pub(super) fn body(mut head: BytesMut, payload: &Bytes) -> Body {
    if payload.len() > LARGE {
        return Body::new(head.freeze(), payload.clone());
    }
    head.reserve(payload.len());
    head.put_slice(payload);
    head.freeze().into()
}
