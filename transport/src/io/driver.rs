//! The one loop of a node's links: inputs to the mesh machine, its wishes to tasks and sessions.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use talkie_discovery::{Discovery, Event as Heard, Events, Keyring, NodeId};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::AbortHandle;

use super::complaints::Complaints;
use super::dialer;
use super::input::Input;
use super::link::Context;
use super::pump::turns;
use super::session::{Session, lock};
use super::stream::Stream;
use crate::directory::Directory;
use crate::events::{DownReason, LinkKind, Peer, PeerSecrets};
use crate::peer::{Deliver, Inbound, PeerSender};
use crate::proto::liveness::{Action, Liveness};
use crate::proto::members;
use crate::proto::mesh::{Dial, Event, LinkNumber, Mesh, Target};
use crate::proto::record::{Kind, varint};
use crate::proto::rotation::Rotation;

/// Timeouts of all links are looked at together, this often at most: an idle node wakes rarely.
const TICK: Duration = Duration::from_millis(50);
/// What all absent peers together may be kept, bytes; shared evenly, and beyond it losses are counted.
pub(crate) const ABSENT_BUDGET: usize = 64 * 1024 * 1024;
/// Inputs handled before the mesh is asked what follows from them: while hundreds of nodes start, they come by the dozen.
const AT_ONCE: usize = 64;

mod leave;
mod links;
mod secrets;

struct Link {
    id: NodeId,
    live: Arc<Mutex<Liveness>>,
    session: Arc<Session>,
    /// Held by its tasks.
    stream: Weak<Stream>,
    /// This node's end of it.
    local: Option<IpAddr>,
    /// Where it leads to, as far as it matters which addresses its peer can use.
    at: SocketAddr,
    /// The mesh was told that it may be dead.
    suspect: bool,
    /// It is to be made anew for the sake of its secret.
    stale: bool,
}

pub(crate) struct Driver {
    context: Arc<Context>,
    deliver: Arc<dyn Deliver>,
    directory: Arc<Directory>,
    discovery: Discovery,
    listener: AbortHandle,
    rng: fastrand::Rng,
    mesh: Mesh,
    rotation: Rotation,
    links: HashMap<LinkNumber, Link>,
    /// Of all links, at large messages.
    turns: Arc<Semaphore>,
    /// Where each linked peer listens, and what its link goes over.
    addrs: HashMap<NodeId, (SocketAddr, LinkKind)>,
    complaints: Complaints,
    /// When one peer is told of all others again.
    tell_again: Instant,
    /// When the timeouts of the links were last looked at, and when the first of them is due.
    ticked: Instant,
    live_at: Option<Instant>,
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
        let own = context.identity.id();
        let mesh = Mesh::new(own).on_host(context.host);
        let rotation = Rotation::new(own, context.keys.borrow().marks());
        Self {
            context,
            deliver,
            directory,
            discovery,
            listener,
            rng,
            mesh,
            rotation,
            links: HashMap::new(),
            turns: Arc::new(turns()),
            addrs: HashMap::new(),
            complaints: Complaints::default(),
            tell_again: Instant::now() + members::AGAIN,
            ticked: Instant::now(),
            live_at: None,
        }
    }

    /// Runs until told to leave.
    pub(crate) async fn run(mut self, mut inputs: mpsc::Receiver<Input>, mut heard: Events) {
        let mut reach = self.context.reach.clone();
        let mut known = Arc::clone(&reach.borrow_and_update());
        let mut keys: watch::Receiver<Keyring> = self.context.keys.subscribe();
        loop {
            let wake = self.wake_at();
            // Also while inputs never cease: liveness must not wait for a pause.
            if wake <= Instant::now() {
                self.handle_timeout();
                self.drain();
                tokio::task::yield_now().await;
                continue;
            }
            let mut next = tokio::select! {
                input = inputs.recv() => match input {
                    Some(input) => Some(input),
                    None => return,
                },
                Some(event) = heard.recv() => {
                    self.handle_heard(event);
                    None
                }
                Ok(()) = reach.changed() => {
                    let now = Arc::clone(&reach.borrow_and_update());
                    self.handle_reach(&known, &now);
                    known = now;
                    None
                }
                Ok(()) = keys.changed() => {
                    let now = keys.borrow_and_update().clone();
                    self.rekey(&now);
                    None
                }
                () = tokio::time::sleep_until(wake.into()) => {
                    self.handle_timeout();
                    None
                }
            };
            for _ in 0..AT_ONCE {
                match next.take().or_else(|| inputs.try_recv().ok()) {
                    Some(Input::Leave(done)) => {
                        self.leave(&mut inputs).await;
                        let _ = done.send(());
                        return;
                    }
                    Some(input) => self.handle(input),
                    None => break,
                }
            }
            while let Some(event) = heard.try_recv() {
                self.handle_heard(event);
            }
            self.drain();
        }
    }

    fn wake_at(&self) -> Instant {
        // Dials and grace are due in milliseconds; pings may wait for each other.
        let links = self.live_at.map(|due| due.max(self.ticked + TICK));
        let machines = self.mesh.poll_timeout().into_iter().chain(self.rotation.poll_timeout());
        links.into_iter().chain(machines).fold(self.tell_again, Instant::min)
    }

    fn handle(&mut self, input: Input) {
        let now = Instant::now();
        match input {
            Input::Established(established) => self.establish(now, *established),
            Input::DialEnded { number, outcome } => {
                self.mesh.handle_dial_ended(now, &mut self.rng, number, outcome);
            }
            Input::DialFailed { number, target, outcome, why } => {
                let known = matches!(target, Target::Node(id) if self.mesh.state_of(id).0 > 0);
                self.complaints.dial_failed(now, target, known, &why);
                self.mesh.handle_dial_ended(now, &mut self.rng, number, outcome);
            }
            Input::Closed { id, link, reason } => self.closed(now, id, link, reason),
            Input::Members { teller, told } => {
                self.context.counters.told_of.add(told.len() as u64);
                self.mesh.handle_members(now, &mut self.rng, teller, &told);
            }
            Input::Secrets { id, theirs } => self.told_secrets(now, id, &theirs),
            Input::Leave(_) => {}
        }
    }

    fn handle_heard(&mut self, event: Heard) {
        let now = Instant::now();
        match event {
            Heard::Seen { id, addrs, host, mutual, secret, .. } => {
                self.mesh.handle_seen(now, &mut self.rng, id, addrs, mutual);
                self.mesh.handle_host(id, host);
                self.mesh.handle_secret(id, secret);
            }
            Heard::Left { id } => self.mesh.handle_left(id),
            Heard::Partner { partner, addrs } => self.mesh.handle_partner(now, partner, &addrs),
            _ => {}
        }
    }

    fn handle_timeout(&mut self) {
        let now = Instant::now();
        self.ticked = now;
        let mut dead = Vec::new();
        let count = self.links.len();
        self.live_at = None;
        for (number, link) in &mut self.links {
            let mut live = lock(&link.live);
            let action = if live.poll_timeout() > now { None } else { live.handle_timeout(now, count) };
            let (suspect, due) = (live.is_suspected(), live.poll_timeout());
            drop(live);
            self.live_at = Some(self.live_at.map_or(due, |at| at.min(due)));
            match action {
                Some(Action::Ping(token)) => {
                    link.session.control(Some(*number), Kind::Ping, &varint(token));
                }
                Some(Action::Suspect) => {
                    self.context.counters.suspected.add(1);
                    tracing::debug!(name: "talkie.peer.suspected", peer = %link.session.name(), "silent, suspected");
                }
                Some(Action::Dead) => dead.push((link.id, *number)),
                None => {}
            }
            if std::mem::replace(&mut link.suspect, suspect) != suspect {
                self.context.set_live(link.id, !suspect && !link.stale);
                if suspect {
                    self.mesh.handle_suspect(now, link.id, *number);
                } else {
                    self.mesh.handle_alive(link.id, *number);
                }
            }
        }
        for (id, number) in dead {
            self.context.counters.ended_timeout.add(1);
            if let Some(link) = self.links.get(&number) {
                link.session.abandon(number);
            }
            self.closed(now, id, number, DownReason::Timeout);
        }
        if now >= self.tell_again {
            self.tell_again = now + members::AGAIN;
            if let Some(number) = self.rng.choice(self.links.keys()) {
                let number = *number;
                self.tell_members(number);
                // It may have missed it when they changed.
                self.tell_secrets(number);
                if let Some(link) = self.links.get(&number) {
                    link.session.write(number);
                }
            }
        }
        self.mesh.handle_timeout(now);
    }

    /// Carries out what the mesh wants.
    fn drain(&mut self) {
        self.drain_rotation();
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
                Event::Partner(partner, linked) => {
                    self.discovery.partner_linked(partner, linked);
                    self.complaints.partner_linked(partner, linked);
                }
            }
        }
    }

    fn dial(&self, dial: Dial) {
        tokio::spawn(dialer::dial(Arc::clone(&self.context), dial));
    }

    fn told_up(&self, id: NodeId) {
        let (Some(session), Some((addr, link))) = (self.context.registry.find(id), self.addrs.get(&id))
        else {
            return;
        };
        let via = self.mesh.via(id).unwrap_or(talkie_discovery::Via::Multicast);
        let (name, since) = (session.name(), Instant::now());
        let secrets = PeerSecrets::of(self.rotation.ours(), self.rotation.theirs(id));
        let peer = Peer { id, name, addr: *addr, via, link: *link, rtt: None, since, secrets };
        self.context.counters.told_up.add(1);
        self.directory.up(peer);
    }

    fn told_down(&mut self, id: NodeId, reason: DownReason) {
        self.addrs.remove(&id);
        if let Some(peer) = self.directory.down(id, reason) {
            self.context.counters.told_down(reason);
            tracing::info!(name: "talkie.peer.down", %id, "lost {}: {reason}", peer.name);
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
        // None of what is told here fills anybody's room.
        let _ = self.deliver.deliver(&PeerSender(Arc::clone(session)), what);
    }
}
