//! The one loop of a node's links: inputs to the mesh machine, its wishes to tasks and sessions.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use talkie_discovery::{Discovery, Event as Heard, Events, NodeId};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::dialer::{self, Shown};
use super::input::{Established, Input};
use super::link::{Context, refuse};
use super::pump::write_link;
use super::reader::{Lanes, LinkIn};
use super::session::{Session, TakeUp, lock};
use super::writer::LinkOut;
use crate::directory::Directory;
use crate::events::{DownReason, Peer};
use crate::peer::{Deliver, Inbound, PeerSender};
use crate::proto::liveness::{Action, Liveness};
use crate::proto::mesh::{Decision, Dial, Event, LinkNumber, Mesh, OWED_FOR, Outcome, Target};
use crate::proto::record::{Farewell, Kind, put_varint};

/// Timeouts of all links are looked at together, this often at most: an idle node wakes rarely.
const TICK: Duration = Duration::from_millis(50);
/// What all absent peers together may be kept, bytes; shared evenly, and beyond it losses are counted.
const ABSENT_BUDGET: usize = 64 * 1024 * 1024;
/// Failed dials of a node that is heard, until that is told: a few seconds.
const WARN_AFTER: u32 = 4;
/// Nodes whose failed dials are counted.
const MAX_UNREACHABLE: usize = 1_024;
/// How long a goodbye may take to leave, and its reader to close.
const GOODBYE_WITHIN: Duration = Duration::from_millis(300);

struct Link {
    id: NodeId,
    live: Arc<Mutex<Liveness>>,
    session: Arc<Session>,
}

pub(crate) struct Driver {
    context: Arc<Context>,
    deliver: Arc<dyn Deliver>,
    directory: Arc<Directory>,
    discovery: Discovery,
    listener: AbortHandle,
    rng: fastrand::Rng,
    mesh: Mesh,
    links: HashMap<LinkNumber, Link>,
    addrs: HashMap<NodeId, SocketAddr>,
    warned: HashMap<Target, String>,
    /// Failed dials of nodes that were never linked.
    unreachable: HashMap<NodeId, u32>,
    /// When the timeouts of the links were last looked at.
    ticked: Instant,
}

impl Driver {
    pub(crate) fn new(
        context: Arc<Context>,
        deliver: Arc<dyn Deliver>,
        directory: Arc<Directory>,
        discovery: Discovery,
        listener: AbortHandle,
        rng: fastrand::Rng,
    ) -> Self {
        let mesh = Mesh::new(context.identity.id());
        Self {
            context,
            deliver,
            directory,
            discovery,
            listener,
            rng,
            mesh,
            links: HashMap::new(),
            addrs: HashMap::new(),
            warned: HashMap::new(),
            unreachable: HashMap::new(),
            ticked: Instant::now(),
        }
    }

    /// Runs until told to leave.
    pub(crate) async fn run(mut self, mut inputs: mpsc::Receiver<Input>, mut heard: Events) {
        loop {
            let wake = self.wake_at();
            // Also while inputs never cease: liveness must not wait for a pause.
            if wake <= Instant::now() {
                self.handle_timeout();
                self.drain();
                tokio::task::yield_now().await;
                continue;
            }
            tokio::select! {
                input = inputs.recv() => match input {
                    Some(Input::Leave(done)) => {
                        self.leave(&mut inputs).await;
                        let _ = done.send(());
                        return;
                    }
                    Some(input) => self.handle(input),
                    None => return,
                },
                Some(event) = heard.recv() => self.handle_heard(event),
                () = tokio::time::sleep_until(wake.into()) => self.handle_timeout(),
            }
            self.drain();
        }
    }

    fn wake_at(&self) -> Instant {
        let links = self.links.values().map(|link| lock(&link.live).poll_timeout());
        // Dials and grace are due in milliseconds; pings may wait for each other.
        let links = links.min().map(|due| due.max(self.ticked + TICK));
        let never = self.ticked + OWED_FOR;
        links.into_iter().chain(self.mesh.poll_timeout()).min().unwrap_or(never)
    }

    fn handle(&mut self, input: Input) {
        let now = Instant::now();
        match input {
            Input::Established(established) => self.establish(now, *established),
            Input::DialEnded { number, outcome } => {
                self.mesh.handle_dial_ended(now, &mut self.rng, number, outcome);
            }
            Input::DialFailed { number, target, why } => {
                // A partner was named by somebody, who wants to know; once per reason.
                if matches!(target, Target::Partner(..)) && self.warned.get(&target) != Some(&why) {
                    tracing::warn!("cannot link to {}: {why}; still trying", Shown(target));
                    self.warned.insert(target, why.clone());
                }
                self.warn_unreachable(target, &why);
                self.mesh.handle_dial_ended(now, &mut self.rng, number, Outcome::Failed);
            }
            Input::Closed { id, link, reason } => self.closed(now, id, link, reason),
            Input::Leave(_) => {}
        }
    }

    /// A node that is heard and never linked is most often behind a firewall; told once per node.
    fn warn_unreachable(&mut self, target: Target, why: &str) {
        let Target::Node(id) = target else { return };
        if self.mesh.state_of(id).0 > 0 {
            return;
        }
        if self.unreachable.len() >= MAX_UNREACHABLE {
            self.unreachable.clear();
        }
        let failures = self.unreachable.entry(id).or_default();
        *failures += 1;
        if *failures == WARN_AFTER {
            tracing::warn!("hears node {id} but cannot connect to it: {why}; does a firewall block TCP?");
        }
    }

    fn handle_heard(&mut self, event: Heard) {
        let now = Instant::now();
        match event {
            Heard::Seen { id, addrs, .. } => self.mesh.handle_seen(now, &mut self.rng, id, addrs),
            Heard::Left { id } => self.mesh.handle_left(id),
            Heard::Partner { partner, addrs } => self.mesh.handle_partner(now, partner, &addrs),
            _ => {}
        }
    }

    fn handle_timeout(&mut self) {
        let now = Instant::now();
        self.ticked = now;
        let mut dead = Vec::new();
        for (number, link) in &self.links {
            let mut live = lock(&link.live);
            if live.poll_timeout() > now {
                continue;
            }
            match live.handle_timeout(now) {
                Some(Action::Ping(token)) => {
                    drop(live);
                    let mut body = Vec::new();
                    put_varint(&mut body, token);
                    link.session.control(Some(*number), Kind::Ping, &body);
                }
                Some(Action::Suspect) => {
                    self.context.counters.suspected.add(1);
                    tracing::debug!(peer = %link.session.name(), "silent, suspected");
                }
                Some(Action::Dead) => dead.push((link.id, *number)),
                None => {}
            }
        }
        for (id, number) in dead {
            self.context.counters.ended_timeout.add(1);
            self.closed(now, id, number, DownReason::Timeout);
        }
        self.mesh.handle_timeout(now);
    }

    /// Carries out what the mesh wants.
    fn drain(&mut self) {
        self.mesh.handle_timeout(Instant::now());
        while let Some(dial) = self.mesh.poll_transmit() {
            self.dial(dial);
        }
        while let Some(event) = self.mesh.poll_event() {
            match event {
                Event::Up(id) => self.told_up(id),
                Event::Down(id, reason) => self.told_down(id, reason),
                Event::Forgotten(id) => {
                    lock(&self.context.pairs).remove(&id);
                    if let Some(session) = self.context.registry.retire(id) {
                        self.tell(&session, Inbound::Forgotten);
                    }
                }
                Event::Partner(partner, linked) => self.discovery.partner_linked(partner, linked),
            }
        }
    }

    fn dial(&self, dial: Dial) {
        tokio::spawn(dialer::dial(Arc::clone(&self.context), dial));
    }

    /// An authenticated link: taken up or refused.
    fn establish(&mut self, now: Instant, established: Established) {
        let Established { offer, hello, addr, stream, seal, open, wire, early, adopted, dial } = established;
        let id = offer.id;
        if let Some(number) = dial {
            self.mesh.handle_dial_ended(now, &mut self.rng, number, Outcome::Reached(id));
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
        let reachable = reachable(addr, &hello.listen);
        self.addrs.insert(id, reachable.first().copied().unwrap_or(addr));
        self.mesh.handle_told(id, &reachable);
        let session = self.context.registry.find_or_add(id, &hello.name, self.rng.u64(..));
        if let Some(old) = replaces {
            self.links.remove(&old);
        } else {
            tracing::info!(%id, addr = %canonical(addr), "connected to {}", hello.name);
        }
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
        });
        // It is told up before anything of it can arrive.
        self.drain();
        self.tell(&session, Inbound::Linked);
        let reader = LinkIn {
            session: Arc::clone(&session),
            number: offer.link,
            stream: Arc::clone(&stream),
            open,
            wire,
            early,
            lanes: Lanes::new(self.context.max_message, Arc::clone(&self.context.budget)),
            live: Arc::clone(&live),
            deliver: Arc::clone(&self.deliver),
        };
        tokio::spawn(write_link(Arc::clone(&session), offer.link, stream, wake, stop.clone()));
        let context = Arc::clone(&self.context);
        tokio::spawn(async move {
            let number = reader.number;
            let end = tokio::select! {
                end = reader.run() => end,
                () = stop.cancelled() => return,
            };
            tracing::debug!(%id, "link ended: {end}");
            context.counters.ended(&end);
            let _ = context.inputs.send(Input::Closed { id, link: number, reason: end.reason() }).await;
        });
        self.links.insert(offer.link, Link { id, live, session });
    }

    fn closed(&mut self, now: Instant, id: NodeId, number: LinkNumber, reason: DownReason) {
        let Some(link) = self.links.remove(&number) else { return };
        link.session.unlink(number);
        if let Some(pair) = lock(&self.context.pairs).get_mut(&id) {
            pair.1 = false;
        }
        self.mesh.handle_closed(now, &mut self.rng, id, number, reason);
    }

    fn told_up(&self, id: NodeId) {
        let (Some(session), Some(addr)) = (self.context.registry.find(id), self.addrs.get(&id)) else {
            return;
        };
        let via = self.mesh.via(id).unwrap_or(talkie_discovery::Via::Multicast);
        let peer = Peer { id, name: session.name(), addr: *addr, via, rtt: None, since: Instant::now() };
        self.context.counters.told_up.add(1);
        self.directory.up(peer);
    }

    fn told_down(&mut self, id: NodeId, reason: DownReason) {
        self.addrs.remove(&id);
        if let Some(peer) = self.directory.down(id, reason) {
            self.context.counters.told_down(reason);
            tracing::info!(%id, "lost {}: {reason}", peer.name);
        }
        if let Some(session) = self.context.registry.find(id) {
            session.set_down();
            self.tell(&session, Inbound::Down);
        }
        let absent: Vec<_> =
            self.context.registry.all().into_iter().filter(|session| !session.is_up()).collect();
        let share = ABSENT_BUDGET / absent.len().max(1);
        for session in absent {
            session.set_absent_limit(share);
        }
    }

    /// Delivers under the inbox's lock, so that it comes in order with what the readers deliver.
    fn tell(&self, session: &Arc<Session>, what: Inbound<'_>) {
        let _inbox = lock(&session.inbox);
        self.deliver.deliver(&PeerSender(Arc::clone(session)), what);
    }

    /// Says goodbye on every link and by heartbeat, and waits a moment for the links to close.
    async fn leave(mut self, inputs: &mut mpsc::Receiver<Input>) {
        self.listener.abort();
        for (number, link) in &self.links {
            // What was had is confirmed first: otherwise its sender would hold it in doubt.
            if let Some((_, had)) = link.session.received() {
                let mut body = Vec::new();
                put_varint(&mut body, had);
                link.session.control(Some(*number), Kind::Ack, &body);
            }
            link.session.control(Some(*number), Kind::Bye, &[Farewell::Leaving as u8]);
        }
        let context = Arc::clone(&self.context);
        let farewell = async {
            while !self.links.is_empty() || context.setups.any() {
                tokio::select! {
                    input = inputs.recv() => match input {
                        Some(Input::Closed { link, .. }) => {
                            self.links.remove(&link);
                        }
                        // The other side may have taken it up already.
                        Some(Input::Established(late)) => {
                            tokio::spawn(refuse(late.stream, late.seal, Farewell::Leaving));
                        }
                        Some(_) => {}
                        None => break,
                    },
                    () = context.setups.changed() => {}
                }
            }
        };
        let stopped = self.discovery.stop();
        let _ = tokio::join!(tokio::time::timeout(GOODBYE_WITHIN, farewell), stopped);
        for session in self.context.registry.all() {
            session.unlink(session.current());
            session.set_down();
            session.set_gone();
        }
        self.directory.close();
    }
}

/// Where a peer can be dialed again: what it tells, and its listening port at the address that it came from.
fn reachable(addr: SocketAddr, listen: &[SocketAddr]) -> Vec<SocketAddr> {
    let mut addrs = Vec::new();
    if let Some(first) = listen.first() {
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
