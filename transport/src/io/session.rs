//! One peer across many links: what it is owed, what was had from it, and the link in use. Shared by everybody who
//! sends to the peer; each part under a short lock that is never held across an await.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use talkie_discovery::{NodeId, NodeName};
use tokio::sync::Notify;

use super::writer::{LinkOut, Step};
use crate::body::Parcel;
use crate::error::InDoubt;
use crate::interest::Interests;
use crate::peer::{Hand, Pushed, Room};
use crate::proto::inbox::Inbox;
use crate::proto::mesh::LinkNumber;
use crate::proto::outbox::{Outbox, limit_for};
use crate::proto::record::{FRAME_OVERHEAD, Kind, MAX_INTERESTS, MEDIUM, put_varint};
use crate::stats::{PeerStats, Received, Traffic};

/// How long a full peer may hold publishers up, once per stall.
pub(crate) const PATIENCE: Duration = Duration::from_millis(250);
/// The publisher's own task writes a link that has rested this long. Above 10,000 messages a second the writer task
/// batches them instead: inline writes would then take the publisher more time than there is between messages.
const INLINE_AFTER: Duration = Duration::from_micros(100);
/// For so long after a small message others are expected.
const OF_LATE: Duration = Duration::from_millis(10);

/// Whether a full peer is worth waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stall {
    /// There is room, or was when last looked at.
    None,
    /// Publishers wait until half of the room is free, or until then.
    Until(Instant),
    /// They have waited; from here on losses are counted, until half of the room is free.
    Spent,
}

/// The outward half.
#[derive(Debug)]
pub(crate) struct Out {
    /// Names this outbox's numbers; another session has another.
    pub(crate) generation: u64,
    pub(crate) outbox: Outbox,
    pub(crate) link: Option<LinkOut>,
    /// Of large messages, and of all others.
    stalls: [Stall; 2],
    acked: Instant,
    /// What was unconfirmed when the peer was told down and was pushed since, until somebody was told; none while it is up.
    in_doubt: Option<u64>,
    /// The largest message that the peer takes, bytes.
    peer_max: usize,
    gone: bool,
    /// What was pushed and what became of it; what the outbox and the link in use count is not in it.
    tally: Traffic,
}

/// What is new on a link that is taken up.
pub(crate) struct TakeUp {
    pub(crate) link: LinkOut,
    /// This node is the arbiter, and tells the link's number in the pair.
    pub(crate) adopt: Option<u64>,
    pub(crate) name: NodeName,
    pub(crate) peer_max: usize,
    /// Generation and number that the peer has of us.
    pub(crate) received: Option<(u64, u64)>,
    /// The peer had something of us, and no longer knows what.
    pub(crate) forgotten: bool,
    /// It leads to this host.
    pub(crate) near: bool,
}

/// One remote node.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: NodeId,
    max_message: usize,
    name: Mutex<NodeName>,
    up: AtomicBool,
    /// The newest link leads to this host.
    near: AtomicBool,
    /// More than half of the outbox is taken: who publishes asks for room.
    tight: AtomicBool,
    /// Number of the link in use; 0 for none.
    current: AtomicU64,
    rtt_us: AtomicU64,
    out: Mutex<Out>,
    /// What came in; counted by the reader of the link in use.
    pub(crate) received: Received,
    /// Held while an arrival is delivered, so that arrivals of one peer come one at a time.
    pub(crate) inbox: Mutex<Inbox>,
    /// Something was acknowledged, or the peer went away.
    pub(crate) progress: Notify,
}

/// A poisoned lock is taken all the same: each holder leaves the state whole between its steps.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    pub(crate) fn new(id: NodeId, name: NodeName, max_message: usize, generation: u64, inbox: Inbox) -> Self {
        Self {
            id,
            max_message,
            name: Mutex::new(name),
            up: AtomicBool::new(false),
            near: AtomicBool::new(false),
            tight: AtomicBool::new(false),
            current: AtomicU64::new(0),
            rtt_us: AtomicU64::new(0),
            out: Mutex::new(Out {
                generation,
                outbox: Outbox::new(limit_for(max_message)),
                link: None,
                stalls: [Stall::None; 2],
                acked: Instant::now(),
                in_doubt: None,
                peer_max: usize::MAX,
                gone: false,
                tally: Traffic::default(),
            }),
            received: Received::default(),
            inbox: Mutex::new(inbox),
            progress: Notify::new(),
        }
    }

    pub(crate) fn name(&self) -> NodeName {
        lock(&self.name).clone()
    }

    pub(crate) fn is_up(&self) -> bool {
        self.up.load(Ordering::Acquire)
    }

    pub(crate) fn is_near(&self) -> bool {
        self.near.load(Ordering::Relaxed)
    }

    pub(crate) fn current(&self) -> LinkNumber {
        self.current.load(Ordering::Acquire)
    }

    pub(crate) fn rtt(&self) -> Option<Duration> {
        Some(self.rtt_us.load(Ordering::Relaxed)).filter(|us| *us > 0).map(Duration::from_micros)
    }

    pub(crate) fn set_rtt(&self, rtt: Duration) {
        self.rtt_us.store((rtt.as_micros() as u64).max(1), Ordering::Relaxed);
    }

    /// Records that the peer has not confirmed.
    pub(crate) fn unacknowledged(&self) -> u64 {
        lock(&self.out).outbox.unacknowledged()
    }

    /// See [`crate::PeerSender::push`].
    pub(crate) fn push(
        &self,
        interests: &Interests,
        flow: u64,
        payload: usize,
        body: Parcel<'_>,
        hand: Hand,
    ) -> Pushed {
        let (Hand::Own(now) | Hand::Writer(now)) = hand;
        let mut out = lock(&self.out);
        if out.gone {
            return Pushed::Overflowed;
        }
        // A peer that owed no answer stood not still: its time begins with this message.
        if out.outbox.is_empty() {
            out.acked = now;
        }
        // The second is what the peer's reader refuses a frame for; no record may ever be that long.
        let fits = payload <= out.peer_max
            && 2 + 20 * interests.len().min(MAX_INTERESTS) + body.len()
                <= out.peer_max.saturating_add(FRAME_OVERHEAD);
        if !fits {
            out.outbox.refuse(interests, flow);
        }
        let queued = fits
            && match body {
                Parcel::Small(parts) => out.outbox.push_small(interests, flow, parts),
                Parcel::Shared(body) => out.outbox.push(interests, flow, body),
            };
        out.tally.pushed(queued, fits, self.is_up(), body.len());
        self.note_room(&mut out);
        if let Some(messages) = &mut out.in_doubt {
            *messages += 1;
        }
        if let Some(link) = &mut out.link {
            if matches!(hand, Hand::Own(_))
                && link.is_idle()
                && now.saturating_duration_since(link.touched) >= INLINE_AFTER
            {
                self.write_now(out);
            } else if !link.is_busy() {
                link.wake_writer();
            }
        }
        match (queued, self.is_up()) {
            (false, _) => Pushed::Overflowed,
            (true, true) => Pushed::Queued,
            (true, false) => Pushed::Kept,
        }
    }

    /// Keeps [`Self::tight`] true. A stall ends where half of the room is free.
    fn note_room(&self, out: &mut Out) {
        let tight = !out.outbox.is_half_free() || out.outbox.is_overflowing();
        // Only stored where it changes: others read it with each publish.
        if tight != self.tight.load(Ordering::Relaxed) {
            if !tight {
                out.stalls = [Stall::None; 2];
            }
            self.tight.store(tight, Ordering::Release);
        }
    }

    /// See [`crate::PeerSender::room`].
    pub(crate) fn room(&self, payload: usize, now: Instant) -> Room {
        if !self.tight.load(Ordering::Acquire) {
            // Most often: no lock for what needs none.
            return Room::Free;
        }
        let mut out = lock(&self.out);
        let Out { link, outbox, stalls, acked, .. } = &mut *out;
        if link.is_none() || outbox.is_overflowing() {
            return Room::Stalled;
        }
        if outbox.is_half_free() {
            return Room::Free;
        }
        let [large, other] = stalls;
        let stall = if payload > MEDIUM { large } else { other };
        match *stall {
            Stall::None if outbox.has_room(payload + FRAME_OVERHEAD) => Room::Free,
            // Only a peer that moves is worth waiting for.
            Stall::None if now.saturating_duration_since(*acked) >= PATIENCE => Room::Stalled,
            Stall::None => {
                let until = now + PATIENCE;
                *stall = Stall::Until(until);
                Room::Wait { until }
            }
            Stall::Until(until) if now < until => Room::Wait { until },
            Stall::Until(_) | Stall::Spent => {
                *stall = Stall::Spent;
                Room::Stalled
            }
        }
    }

    /// Queues a control frame on the link in use, or on link `number` if that is given. `false`: there is none.
    pub(crate) fn control(&self, number: Option<LinkNumber>, kind: Kind, body: &[u8]) -> bool {
        let mut out = lock(&self.out);
        let Some(link) = out.link.as_mut().filter(|link| number.is_none_or(|number| number == link.number))
        else {
            return false;
        };
        if !link.push_control(kind, body) {
            return false;
        }
        self.write_now(out);
        true
    }

    /// Queues a control frame on link `number`; it leaves with the next write, see [`Self::write`].
    pub(crate) fn queue_control(&self, number: LinkNumber, kind: Kind, body: &[u8]) {
        let mut out = lock(&self.out);
        if let Some(link) = out.link.as_mut().filter(|link| link.number == number) {
            link.push_control(kind, body);
        }
    }

    /// Writes what was queued on link `number`.
    pub(crate) fn write(&self, number: LinkNumber) {
        let out = lock(&self.out);
        if out.link.as_ref().is_some_and(|link| link.number == number && !link.is_idle()) {
            self.write_now(out);
        }
    }

    /// Whether a piece of a large message could leave on link `number`.
    pub(crate) fn has_piece(&self, number: LinkNumber) -> bool {
        let out = lock(&self.out);
        out.link
            .as_ref()
            .is_some_and(|link| link.number == number && link.started && link.has_piece(&out.outbox))
    }

    /// Whether the other side has not taken all pieces that were written on link `number`.
    pub(crate) fn has_untaken(&self, number: LinkNumber) -> bool {
        let out = lock(&self.out);
        out.link.as_ref().is_some_and(|link| link.number == number && link.window.under_way() > 0)
    }

    /// Whether link `number` has carried something else than pieces of late.
    pub(crate) fn is_mixed(&self, number: LinkNumber) -> bool {
        let out = lock(&self.out);
        out.link.as_ref().is_some_and(|link| link.number == number && link.touched.elapsed() < OF_LATE)
    }

    /// One write of the writer task of link `number`; of a piece of a large message only where `bulk` says so.
    pub(crate) fn step(&self, number: LinkNumber, bulk: bool) -> io::Result<Step> {
        let mut out = lock(&self.out);
        let link = out.link.as_mut().filter(|link| link.number == number);
        link.ok_or(io::ErrorKind::NotConnected)?.looked();
        self.leave(out, bulk).0
    }

    /// One write in the caller's own task; the writer task goes on where there is more.
    fn write_now(&self, out: MutexGuard<'_, Out>) {
        let (_, more) = self.leave(out, false);
        if more && let Some(link) = &mut lock(&self.out).link {
            link.wake_writer();
        }
    }

    /// Puts together what waits, and writes it without the lock. Whether there is more, or nothing could be written.
    fn leave(&self, mut out: MutexGuard<'_, Out>, bulk: bool) -> (io::Result<Step>, bool) {
        let Out { link, outbox, .. } = &mut *out;
        let Some(mut batch) = link.as_mut().and_then(|link| link.take(outbox, bulk)) else {
            // What a batch under way leaves is for whoever gives it back, but that one may leave pieces.
            let more = link.as_ref().is_some_and(|link| !link.is_busy() && link.has_work(outbox));
            return (Ok(Step::Drained), more);
        };
        let freed = outbox.take_freed();
        drop(out);
        let step = batch.leave();
        let mut out = lock(&self.out);
        let Out { link, outbox, tally, .. } = &mut *out;
        let more = match link.as_mut().filter(|link| link.number == batch.number) {
            Some(link) => {
                link.give_back(batch);
                link.has_work(outbox)
            }
            // It was replaced meanwhile: what left will leave again.
            None => {
                tally.wire_sent_bytes += batch.wrote as u64;
                false
            }
        };
        drop(out);
        if freed {
            // Whoever flushes may go on.
            self.progress.notify_waiters();
        }
        (step, more)
    }

    /// The peer has everything up to `number`.
    pub(crate) fn acknowledged(&self, number: u64) {
        let mut out = lock(&self.out);
        out.acked = Instant::now();
        out.outbox.acknowledge(number);
        self.note_room(&mut out);
        // A gap may just have become a record.
        let Out { link, outbox, .. } = &mut *out;
        if let Some(link) = link.as_mut().filter(|_| outbox.has_unsent()) {
            link.wake_writer();
        }
        drop(out);
        self.progress.notify_waiters();
    }

    /// The peer has taken so many bytes of large messages on link `number`.
    pub(crate) fn taken(&self, number: LinkNumber, bytes: u64) {
        let mut out = lock(&self.out);
        // A long message is confirmed late: the peer moves all the same.
        out.acked = Instant::now();
        if let Some(link) = out.link.as_mut().filter(|link| link.number == number) {
            link.window.handle_taken(bytes);
            link.wake_writer();
        }
    }

    /// The shortest round-trip time seen on link `number`.
    pub(crate) fn set_best_rtt(&self, number: LinkNumber, best: Duration) {
        if let Some(link) = lock(&self.out).link.as_mut().filter(|link| link.number == number) {
            link.window.handle_rtt(best);
        }
    }

    /// What the hello says of data had from the peer.
    pub(crate) fn received(&self) -> Option<(u64, u64)> {
        lock(&self.inbox).received()
    }

    /// Puts a new link in the place of the old one, which ends. Control frames may follow at once.
    pub(crate) fn take_up(&self, take_up: TakeUp) {
        let TakeUp { mut link, adopt, name, peer_max, received, forgotten, near } = take_up;
        *lock(&self.name) = name;
        let mut out = lock(&self.out);
        if let Some(old) = out.link.take() {
            out.tally.wire_sent_bytes += old.sent;
            old.stop.cancel();
        }
        let generation = out.generation;
        out.outbox.set_limit(limit_for(self.max_message));
        let received = match received {
            Some((of, number)) => (of == generation).then_some(number),
            // Its hello may be older than the first link of the pair: what it has had meanwhile it will drop.
            None => (!forgotten).then_some(0),
        };
        let first = out.outbox.resume(received);
        out.stalls = [Stall::None; 2];
        self.note_room(&mut out);
        out.acked = Instant::now();
        out.in_doubt = None;
        out.peer_max = peer_max;
        let mut body = Vec::new();
        if let Some(number) = adopt {
            put_varint(&mut body, number);
            link.push_control(Kind::Adopt, &body);
            body.clear();
        }
        put_varint(&mut body, generation);
        put_varint(&mut body, first);
        link.push_control(Kind::Start, &body);
        link.started = true;
        self.current.store(link.number, Ordering::Release);
        self.near.store(near, Ordering::Relaxed);
        self.up.store(true, Ordering::Release);
        out.link = Some(link);
        drop(out);
        self.progress.notify_waiters();
    }

    /// Nothing is heard on link `number`: it ends without waiting for what was sent on it.
    pub(crate) fn abandon(&self, number: LinkNumber) {
        if let Some(link) = lock(&self.out).link.as_ref().filter(|link| link.number == number) {
            link.abandon();
        }
    }

    /// The link is gone; what is owed stays.
    pub(crate) fn unlink(&self, number: LinkNumber) {
        let mut out = lock(&self.out);
        if let Some(link) = out.link.take_if(|link| link.number == number) {
            out.tally.wire_sent_bytes += link.sent;
            link.stop.cancel();
            self.current.store(0, Ordering::Release);
        }
    }

    /// The peer was told down: whoever waits for it waits no longer.
    pub(crate) fn set_down(&self) {
        self.up.store(false, Ordering::Release);
        let mut out = lock(&self.out);
        out.in_doubt = Some(out.outbox.unacknowledged());
        drop(out);
        self.progress.notify_waiters();
    }

    /// An absent peer's share of the memory for all absent ones, bytes.
    pub(crate) fn set_absent_limit(&self, limit: usize) {
        let mut out = lock(&self.out);
        if out.link.is_none() {
            out.outbox.set_limit(limit.min(limit_for(self.max_message)));
            self.note_room(&mut out);
        }
    }

    /// Nothing is owed any more.
    pub(crate) fn set_gone(&self) {
        let mut out = lock(&self.out);
        out.gone = true;
        let (traffic, unconfirmed) = (out.traffic(), out.outbox.unacknowledged());
        out.outbox = Outbox::new(0);
        out.tally = Traffic { wire_sent_bytes: out.tally.wire_sent_bytes, ..traffic };
        out.tally.lost_forgotten += unconfirmed;
        drop(out);
        self.progress.notify_waiters();
    }

    /// See [`crate::Stats::peers`].
    pub(crate) fn stats(&self) -> PeerStats {
        let (id, name, up, rtt) = (self.id, self.name(), self.is_up(), self.rtt());
        let out = lock(&self.out);
        let mut traffic = out.traffic();
        traffic.with(&self.received);
        PeerStats {
            id,
            name,
            up,
            linked: out.link.is_some(),
            rtt_us: rtt.map(|rtt| rtt.as_micros() as u64),
            queued_bytes: out.outbox.used() as u64,
            unacknowledged: out.outbox.unacknowledged(),
            traffic,
        }
    }

    /// See [`crate::PeerSender::take_in_doubt`].
    pub(crate) fn take_in_doubt(&self) -> u64 {
        lock(&self.out).in_doubt.take().unwrap_or(0)
    }

    /// See [`crate::PeerSender::flush`].
    pub(crate) async fn flush(&self) -> Result<(), InDoubt> {
        let mark = lock(&self.out).outbox.mark();
        // What waits behind a large message has no number to ask for yet.
        self.until(|outbox| outbox.is_numbered(mark)).await?;
        let target = lock(&self.out).outbox.last();
        let mut body = Vec::new();
        put_varint(&mut body, target);
        self.control(None, Kind::AckNow, &body);
        self.until(|outbox| outbox.is_acknowledged(target)).await
    }

    /// Waits until this is so, or the peer is away.
    async fn until(&self, done: impl Fn(&Outbox) -> bool) -> Result<(), InDoubt> {
        loop {
            let progress = self.progress.notified();
            tokio::pin!(progress);
            progress.as_mut().enable();
            {
                let mut out = lock(&self.out);
                if out.gone || !self.is_up() {
                    let messages = out.in_doubt.take().unwrap_or(0);
                    return if messages == 0 { Ok(()) } else { Err(InDoubt { messages }) };
                }
                if done(&out.outbox) {
                    return Ok(());
                }
            }
            progress.await;
        }
    }
}

impl Out {
    /// The tally, with what the outbox and the link in use count.
    fn traffic(&self) -> Traffic {
        let (dropped, uncertain) = self.outbox.lost();
        let mut traffic = self.tally;
        traffic.wire_sent_bytes += self.link.as_ref().map_or(0, |link| link.sent);
        traffic.lost_absent += dropped;
        traffic.lost_uncertain += uncertain;
        traffic
    }
}
