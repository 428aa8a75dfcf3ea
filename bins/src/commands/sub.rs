//! `talkie sub`: prints messages as they come, and peers as they come and go.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use talkie_pubsub::{Delivery, NodeId, NodeName, Pattern, PeerEvent, PeerEvents, QueueLimits, Subscription};
use tokio::time::Sleep;

use super::{Session, Setup};
use crate::args::Wanted;
use crate::exit::Failure;
use crate::output::{Event, Output};
use crate::service::Manager;
use crate::stop::{Stop, Why};

/// What may wait for a slow terminal or pipe: far more than the library's default, since the command has nothing
/// else to keep in memory, and a gap because of a pause of `less` helps nobody.
const LIMITS: QueueLimits = QueueLimits { messages: 65_536, bytes: 64 << 20 };

pub(super) async fn run(setup: Setup, wanted: Wanted) -> Result<(), Failure> {
    // `--timeout` counts from here, so that it bounds the whole command.
    let deadline = wanted.timeout.map(|timeout| Box::pin(tokio::time::sleep(timeout)));
    setup.stop.watch_output();
    setup.stop.unfinished(wanted.count.is_some());
    let mut manager = Manager::find();
    let stop = setup.stop.clone();
    let ended = match setup.join().await {
        Ok(mut session) => {
            let ended = follow(&mut session, &mut manager, wanted, deadline).await;
            manager.stopping();
            session.leave(ended).await
        }
        Err(failure) => Err(failure),
    };
    match ended {
        // A service is no pipe whose reader has had enough: its manager should start it again.
        Err(Failure::Quiet) if manager.is_there() && !stop.signalled() => {
            Err(Failure::Failed("standard output was closed".to_owned()))
        }
        ended => ended,
    }
}

/// The nodes that are up, by what was told of them.
#[derive(Default)]
pub(super) struct Linked(BTreeMap<NodeId, NodeName>);

impl Linked {
    pub(super) fn note(&mut self, event: &PeerEvent) {
        match event {
            PeerEvent::Up(peer) => drop(self.0.insert(peer.id, peer.name.clone())),
            PeerEvent::Down { peer, .. } => drop(self.0.remove(&peer.id)),
            _ => {}
        }
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }
}

async fn follow(
    session: &mut Session,
    manager: &mut Manager,
    wanted: Wanted,
    deadline: Option<Pin<Box<Sleep>>>,
) -> Result<(), Failure> {
    let Wanted { patterns, count, .. } = wanted;
    let mut feed = Feed {
        stop: stopped(session.stop.clone()),
        deadline,
        peers: session.bus.node().peer_events(),
        down: None,
        subscriptions: Vec::new(),
        turn: 0,
    };
    for pattern in &patterns {
        let subscription =
            session.bus.subscribe_with(pattern, LIMITS).map_err(|e| Failure::Failed(e.to_string()))?;
        feed.subscriptions.push(subscription);
    }
    session.print_joined()?;
    for pattern in &patterns {
        session.output.print_now(&Event::Subscribed { pattern })?;
    }

    let mut linked = Linked::default();
    manager.ready(0);
    let mut printed = 0;
    loop {
        match feed.next(&mut session.output).await? {
            Heard::Stop(why) => {
                session.output.flush()?;
                return session.ended(why);
            }
            Heard::Deadline => {
                session.output.flush()?;
                return match count {
                    Some(count) => {
                        Err(Failure::Failed(format!("{printed} of {count} messages came in time")))
                    }
                    None => Ok(()),
                };
            }
            Heard::Closed => {
                session.output.flush()?;
                return Err(Failure::Failed("the node has stopped".to_owned()));
            }
            Heard::Peer(event) => {
                linked.note(&event);
                manager.linked(linked.count());
                print_peer(&mut session.output, event)?;
            }
            Heard::Delivery(index, delivery) => {
                printed +=
                    u64::from(print_delivery(&mut session.output, &patterns, &linked, index, &delivery)?);
                if count.is_some_and(|count| printed >= count) {
                    session.stop.unfinished(false);
                    return Ok(session.output.flush()?);
                }
            }
        }
    }
}

pub(super) fn print_peer(output: &mut Output, event: PeerEvent) -> Result<(), Failure> {
    let line = match event {
        PeerEvent::Up(peer) => {
            Event::PeerUp { node: peer.id, name: peer.name, addr: peer.addr, via: peer.via, link: peer.link }
        }
        PeerEvent::Down { peer, reason } => Event::PeerDown { node: peer.id, name: peer.name, reason },
        // A kind of event that this command has not learnt of yet.
        _ => return Ok(()),
    };
    Ok(output.print(&line)?)
}

/// Prints what the pattern of this index was given; whether that was a message.
fn print_delivery(
    output: &mut Output,
    patterns: &[Pattern],
    linked: &Linked,
    index: usize,
    delivery: &Delivery,
) -> Result<bool, Failure> {
    match delivery {
        Delivery::Message(message) => {
            // Each pattern that matches gets the message; the first of them prints it. All messages of a topic are
            // thus printed by one subscription, which keeps their order.
            let matches = |pattern: &Pattern| pattern.matches(&message.topic);
            if patterns.len() > 1 && patterns.iter().position(matches) != Some(index) {
                return Ok(false);
            }
            output.print(&Event::Message {
                topic: &message.topic,
                node: message.from,
                name: &message.name,
                seq: message.seq,
                payload: message.payload.as_ref().into(),
                beside: (&message.headers).into(),
            })?;
            Ok(true)
        }
        Delivery::Gap { from, missed, exact, .. } => {
            let pattern = patterns.get(index).filter(|_| patterns.len() > 1);
            let (node, name) = (*from, linked.0.get(from));
            output.print(&Event::Gap { node, name, missed: *missed, at_least: !exact, pattern })?;
            Ok(false)
        }
        _ => Ok(false),
    }
}

/// What there is to react to.
enum Heard {
    Stop(Why),
    Deadline,
    /// The node is gone, which nobody but this command can have asked for.
    Closed,
    Peer(PeerEvent),
    /// What the subscription of this index yielded.
    Delivery(usize, Delivery),
}

/// All sources at once.
struct Feed {
    stop: Pin<Box<dyn Future<Output = Why> + Send>>,
    deadline: Option<Pin<Box<Sleep>>>,
    peers: PeerEvents,
    /// A peer that went, and how many deliveries may still be printed before that: what it sent came first.
    down: Option<(PeerEvent, usize)>,
    subscriptions: Vec<Subscription>,
    /// Whose turn it is, so that a busy subscription does not silence another.
    turn: usize,
}

/// At most this many deliveries are printed before word that a peer went: as many as a subscription's queue holds.
const BEFORE_DOWN: usize = LIMITS.messages;

impl Feed {
    /// The next thing heard; what is buffered goes out before it waits.
    async fn next(&mut self, output: &mut Output) -> Result<Heard, Failure> {
        if let Poll::Ready(heard) = self.poll(&mut Context::from_waker(Waker::noop())) {
            return Ok(heard);
        }
        output.flush()?;
        Ok(std::future::poll_fn(|cx| self.poll(cx)).await)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Heard> {
        if let Poll::Ready(why) = self.stop.as_mut().poll(cx) {
            return Poll::Ready(Heard::Stop(why));
        }
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Heard::Deadline);
        }
        if self.down.is_none() {
            match pin!(&mut self.peers).poll_next(cx) {
                Poll::Ready(Some(event @ PeerEvent::Down { .. })) => self.down = Some((event, BEFORE_DOWN)),
                Poll::Ready(Some(event)) => return Poll::Ready(Heard::Peer(event)),
                Poll::Ready(None) => return Poll::Ready(Heard::Closed),
                Poll::Pending => {}
            }
        }
        if self.down.as_ref().is_none_or(|(_, left)| *left > 0)
            && let Poll::Ready(heard) = self.poll_subscriptions(cx)
        {
            if let Some((_, left)) = &mut self.down {
                *left -= 1;
            }
            return Poll::Ready(heard);
        }
        match self.down.take() {
            Some((event, _)) => Poll::Ready(Heard::Peer(event)),
            None => Poll::Pending,
        }
    }

    fn poll_subscriptions(&mut self, cx: &mut Context<'_>) -> Poll<Heard> {
        let count = self.subscriptions.len();
        for step in 0..count {
            let index = (self.turn + step) % count;
            let Some(subscription) = self.subscriptions.get_mut(index) else { continue };
            match pin!(subscription).poll_next(cx) {
                Poll::Ready(Some(delivery)) => {
                    self.turn = index + 1;
                    return Poll::Ready(Heard::Delivery(index, delivery));
                }
                Poll::Ready(None) => return Poll::Ready(Heard::Closed),
                Poll::Pending => {}
            }
        }
        Poll::Pending
    }
}

fn stopped(mut stop: Stop) -> Pin<Box<dyn Future<Output = Why> + Send>> {
    Box::pin(async move { stop.stopped().await })
}
