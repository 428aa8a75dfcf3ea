//! Links come and go, and tell of each other.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use talkie_discovery::{NodeId, Reach, Via};

use super::{Driver, Link};
use crate::events::{DownReason, LinkKind};
use crate::io::input::{Established, Input};
use crate::io::link::refuse;
use crate::io::pump::Pump;
use crate::io::reader::{End, Lanes, LinkIn};
use crate::io::session::{TakeUp, lock};
use crate::io::stream::Stream;
use crate::io::writer::LinkOut;
use crate::peer::Inbound;
use crate::proto::liveness::{Action, Liveness};
use crate::proto::members;
use crate::proto::mesh::{Decision, LinkNumber, Outcome};
use crate::proto::record::{Farewell, Kind, varint};

/// Time for a busy peer to follow to a link that works in the place of another, which costs a socket for so long.
const LINGER: Duration = Duration::from_millis(500);

impl Driver {
    /// An authenticated link: taken up or refused.
    pub(super) fn establish(&mut self, now: Instant, established: Established) {
        let Established {
            offer,
            hello,
            host,
            secret,
            theirs,
            told,
            addr,
            stream,
            seal,
            open,
            wire,
            early,
            adopted,
            dial,
        } = established;
        let id = offer.id;
        if let Some(number) = dial {
            self.mesh.handle_dial_ended(now, &mut self.rng, number, Outcome::Reached(id));
        }
        // It may have been removed while the link was being made.
        if self.context.keys.borrow().find(secret).is_none() {
            tokio::spawn(refuse(stream, seal, Farewell::Secret));
            return;
        }
        let decision = match adopted {
            None => self.mesh.handle_offer(now, &offer),
            Some(number) => self.mesh.handle_adopted(now, &offer, number),
        };
        let Decision::Adopt { number, replaces } = decision else {
            self.context.counters.redundant.add(1);
            tokio::spawn(refuse(stream, seal, Farewell::Redundant));
            return;
        };
        self.context.counters.made.add(1);
        self.context.counters.replaced.add(u64::from(replaces.is_some()));
        lock(&self.context.pairs).insert(id, (number, true));
        let (reachable, kind) = (reachable(addr, &hello.listen), stream.kind());
        let listens = reachable.first().copied().unwrap_or(addr);
        self.addrs.insert(id, (listens, kind));
        self.mesh.handle_told(id, &reachable);
        self.mesh.handle_host(id, host);
        let session = self.context.registry.find_or_add(id, &hello.name, self.rng.u64(..));
        if let Some(old) = replaces {
            if let Some(old) = self.links.remove(&old).filter(|old| !old.suspect) {
                tokio::spawn(linger(old.stream.upgrade()));
            }
            self.directory.relinked(id, kind);
        } else {
            let addr = if kind == LinkKind::Unix { listens } else { canonical(addr) };
            tracing::info!(name: "talkie.peer.up", %id, %addr, link = %kind, "connected to {}", hello.name);
        }
        let local = stream.local_ip();
        let there = canonical(addr).ip();
        let near = kind == LinkKind::Unix || there.is_loopback() || local == Some(there);
        let at = if kind == LinkKind::Unix { addr } else { listens };
        let stream = Arc::new(stream);
        let link = LinkOut::new(offer.link, Arc::clone(&stream), seal);
        let (stop, wake) = (link.stop.clone(), Arc::clone(&link.wake));
        let live = Arc::new(Mutex::new(Liveness::new(now, self.mesh.is_arbiter(id))));
        session.take_up(TakeUp {
            link,
            adopt: adopted.is_none().then_some(number),
            name: hello.name,
            peer_max: usize::try_from(hello.max_message).unwrap_or(usize::MAX),
            received: hello.received,
            forgotten: hello.forgotten,
            near,
        });
        self.rotation.handle_linked(now, id, offer.link, secret, &theirs);
        self.note_secrets(id);
        // It is told up before anything of it can arrive.
        self.drain();
        let link = Link {
            id,
            live: Arc::clone(&live),
            session: Arc::clone(&session),
            stream: Arc::downgrade(&stream),
            local,
            at,
            suspect: false,
            stale: false,
        };
        self.links.insert(offer.link, link);
        self.tell_members(offer.link);
        // They may have changed while the link was being made.
        if told != self.rotation.ours() {
            self.tell_secrets(offer.link);
        }
        self.ping(offer.link, now);
        // What the crate above has to say comes last and is written at once, and all that with it.
        self.tell(&session, Inbound::Linked);
        session.write(offer.link);
        let reader = LinkIn {
            session: Arc::clone(&session),
            number: offer.link,
            stream: Arc::clone(&stream),
            open,
            wire,
            early,
            lanes: Lanes::new(self.context.max_message, Arc::clone(&self.context.budget)),
            live,
            deliver: Arc::clone(&self.deliver),
            addr: canonical(addr),
            inputs: self.context.inputs.clone(),
        };
        let turns = Arc::clone(&self.turns);
        let pump = Pump { session: Arc::clone(&session), number: offer.link, stream, wake, turns };
        tokio::spawn(pump.run(stop.clone()));
        let context = Arc::clone(&self.context);
        tokio::spawn(async move {
            let number = reader.number;
            let end = tokio::select! {
                end = reader.run() => end,
                () = stop.cancelled() => return,
            };
            match &end {
                End::Bye(Farewell::Secret) => {
                    tracing::warn!(name: "talkie.secret.refused", %id, "{} accepts this node's secret no more: has the secret of the mesh changed?", session.name())
                }
                End::Protocol(why) => {
                    tracing::warn!(name: "talkie.link.ended", %id, "ended the link to {}: {why}", session.name())
                }
                end => tracing::debug!(name: "talkie.link.ended", %id, "link ended: {end}"),
            }
            context.counters.ended(&end);
            let _ = context.inputs.send(Input::Closed { id, link: number, reason: end.reason() }).await;
        });
    }

    pub(super) fn closed(&mut self, now: Instant, id: NodeId, number: LinkNumber, reason: DownReason) {
        let Some(link) = self.links.remove(&number) else { return };
        link.session.unlink(number);
        self.rotation.handle_closed(id, number);
        self.context.set_live(id, false);
        self.mesh.handle_closed(now, &mut self.rng, id, number, reason);
    }

    /// The interfaces changed: links from an address that is gone will hear nothing any more, and dials that failed
    /// may succeed.
    pub(super) fn handle_reach(&mut self, before: &Reach, after: &Reach) {
        let now = Instant::now();
        for (number, link) in &mut self.links {
            let gone = link.local.is_some_and(|ip| before.is_usable(ip) && !after.is_usable(ip));
            if gone {
                lock(&link.live).handle_doubt(now);
                link.suspect = true;
                self.context.counters.suspected.add(1);
                self.live_at = Some(now);
                self.mesh.handle_suspect(now, link.id, *number);
                self.context.set_live(link.id, false);
            }
        }
        self.mesh.handle_network(now, &mut self.rng);
    }

    /// Tells the peer of a link of others.
    pub(super) fn tell_members(&mut self, number: LinkNumber) {
        let Some(link) = self.links.get(&number) else { return };
        let by_multicast = self.mesh.via(link.id) == Some(Via::Multicast);
        let told =
            self.rng.choose_multiple(self.mesh.members(), members::most(self.links.len(), by_multicast));
        for frame in members::frames(told.into_iter(), link.id, link.at) {
            link.session.queue_control(number, Kind::Members, &frame);
        }
    }

    /// The first ping of a link, for its round-trip time.
    fn ping(&mut self, number: LinkNumber, now: Instant) {
        let Some(link) = self.links.get(&number) else { return };
        let mut live = lock(&link.live);
        if let Some(Action::Ping(token)) = live.handle_timeout(now, self.links.len()) {
            link.session.queue_control(number, Kind::Ping, &varint(token));
        }
        let due = live.poll_timeout();
        self.live_at = Some(self.live_at.map_or(due, |at| at.min(due)));
    }
}

/// Keeps a link open that another one has replaced: its peer is to hear of the new one before it finds the old one closed,
/// which it would take for a loss.
async fn linger(stream: Option<Arc<Stream>>) {
    tokio::time::sleep(LINGER).await;
    drop(stream);
}

/// Where a peer can be dialed again: what it tells, and its listening port at the address that it came from.
fn reachable(addr: SocketAddr, listen: &[SocketAddr]) -> Vec<SocketAddr> {
    let mut addrs = Vec::new();
    // A Unix socket shows no address: of those that the peer tells, all count.
    let shown = addr.port() != 0 || listen.iter().all(|told| told.ip().is_unspecified());
    if let Some(first) = listen.first().filter(|_| shown) {
        let mut at = canonical(addr);
        at.set_port(first.port());
        addrs.push(at);
    }
    let local = addr.ip().to_canonical().is_loopback();
    addrs.extend(
        listen.iter().filter(|told| !told.ip().is_unspecified() && (local || !told.ip().is_loopback())),
    );
    addrs
}

/// An IPv4-mapped address as IPv4.
fn canonical(addr: SocketAddr) -> SocketAddr {
    match addr.ip().to_canonical() {
        ip if ip == addr.ip() => addr,
        ip => SocketAddr::new(ip, addr.port()),
    }
}
