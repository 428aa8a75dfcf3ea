//! The one loop.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::kernel::Kernel;
use super::notices::Notices;
use super::partners::Follower;
use super::receiver::{Came, Failed, Receiver};
use super::sender::{Sender, Which};
use super::socket::{GroupSocket, Sockets};
use crate::config::Config;
use crate::event::Event;
use crate::keyring::Keyring;
use crate::node::Announcement;
use crate::proto::addresses::admitted;
use crate::proto::announcer::{Announcer, Pulse};
use crate::proto::lookout::Lookout;
use crate::proto::open::{Opened, Opener, Refusal};
use crate::proto::removed::Removed;
use crate::proto::roster::{Heard, Roster};
use crate::proto::silence::{self, Finding};
use crate::reach::Reach;
use crate::stats::Counters;

/// Events that wait for a slow reader beside the roster's own bounded queue.
pub(crate) const EVENTS: usize = 64;

/// The pause between two renewals of the memberships, which can be lost without a word.
const REJOIN: Duration = Duration::from_secs(30);

/// The pause before a heartbeat is sent again by sockets whose address was not ready: short beside the second or
/// two that this takes.
const AGAIN: Duration = Duration::from_millis(200);

/// When to warn that nobody was heard: our own heartbeats should come back at once, and others within seconds.
const SILENCE: Duration = Duration::from_secs(8);

/// What [`Driver`] is started with.
pub(crate) struct Start {
    pub(crate) config: Config,
    pub(crate) keys: watch::Receiver<Keyring>,
    pub(crate) who: Announcement,
    pub(crate) linked: Vec<watch::Receiver<bool>>,
    pub(crate) reach: watch::Sender<Arc<Reach>>,
    pub(crate) counters: Arc<Counters>,
    /// Say goodbye and end.
    pub(crate) stop: CancellationToken,
    /// End.
    pub(crate) abandon: CancellationToken,
    pub(crate) found: mpsc::Sender<Event>,
}

/// Everything that the loop owns.
pub(crate) struct Driver {
    config: Config,
    keys: watch::Receiver<Keyring>,
    who: Announcement,
    reach: watch::Sender<Arc<Reach>>,
    counters: Arc<Counters>,
    announcer: Announcer,
    opener: Opener,
    roster: Roster,
    sockets: Sockets,
    notices: Notices,
    kernel: Option<Kernel>,
    lookout: Lookout,
    rejoin_at: Instant,
    silence_at: Option<Instant>,
    /// What was last told of silence: the same is not told again.
    silence_told: Option<Finding>,
    /// Whether another node of this host was heard.
    company: bool,
    /// Whether each partner is linked.
    partners: Vec<watch::Receiver<bool>>,
    again: Option<(Instant, Pulse)>,
    waits_for_network: bool,
}

/// Runs discovery until it is told to stop, or to end.
pub(crate) async fn run(start: Start) {
    let Start { config, keys, who, linked, reach, counters, stop, abandon, found } = start;
    let partners = linked.clone();
    let mut followers = JoinSet::new();
    for (number, (partner, linked)) in config.partners.iter().zip(linked).enumerate() {
        let follower = Follower {
            number,
            partner: partner.clone(),
            linked,
            reach: reach.subscribe(),
            found: found.clone(),
            counters: Arc::clone(&counters),
        };
        followers.spawn(follower.run());
    }
    let now = Instant::now();
    let first = keys.borrow().clone();
    let driver = Driver {
        announcer: Announcer::new(now),
        opener: Opener::new(first, config.groups),
        roster: Roster::new(who.id),
        sockets: Sockets::default(),
        notices: Notices::default(),
        kernel: None,
        lookout: Lookout::new(now),
        rejoin_at: now + REJOIN,
        silence_at: Some(now + SILENCE),
        silence_told: None,
        company: false,
        partners,
        again: None,
        waits_for_network: false,
        config,
        keys,
        who,
        reach,
        counters,
    };
    tokio::select! {
        () = abandon.cancelled() => {}
        () = driver.turn(stop, found) => {}
    }
}

impl Driver {
    async fn turn(mut self, stop: CancellationToken, found: mpsc::Sender<Event>) {
        let mut rng = fastrand::Rng::new();
        let mut receiver = Receiver::new();
        let (mut leaving, mut heeded) = (false, true);
        self.listen_to_kernel(Instant::now());
        // Not a change yet: the announcer begins with a burst anyhow.
        self.sync_first(Instant::now());
        loop {
            let now = Instant::now();
            self.handle_timeouts(now, &mut rng);
            if leaving && self.announcer.poll_timeout().is_none() {
                return;
            }
            let wake = self.poll_timeout();
            tokio::select! {
                () = stop.cancelled(), if !leaving => {
                    leaving = true;
                    if !self.config.multicast {
                        return;
                    }
                    self.announcer.handle_leave(Instant::now());
                }
                came = receiver.recv(&self.sockets) => match came {
                    Ok(came) => self.handle_datagram(came, receiver.bytes(came)),
                    Err(Failed(at, error)) => {
                        tracing::debug!(name: "talkie.heartbeat.unheard", "cannot hear heartbeats: {error}");
                        self.sockets.close(at);
                        self.lookout.handle_wish(Instant::now());
                    }
                },
                room = found.reserve(), if heeded && self.roster.has_news() => match room {
                    Ok(room) => if let Some(event) = self.roster.poll_event() {
                        room.send(event);
                    },
                    // Nobody reads any more, but the others still want to know that we are here.
                    Err(_) => heeded = false,
                },
                Ok(()) = self.keys.changed() => self.handle_rekey(Instant::now()),
                noticed = noticed(self.kernel.as_ref()), if !self.lookout.is_roused() => {
                    self.handle_noticed(noticed);
                }
                () = tokio::time::sleep_until(wake.into()) => {}
            }
        }
    }

    fn poll_timeout(&self) -> Instant {
        let announcer = self.announcer.poll_timeout().filter(|_| self.config.multicast);
        let again = self.again.map(|(at, _)| at);
        let times = [announcer, again, self.roster.poll_timeout(), self.silence_at, Some(self.rejoin_at)];
        times.into_iter().flatten().fold(self.lookout.poll_timeout(), Instant::min)
    }

    fn handle_timeouts(&mut self, now: Instant, rng: &mut fastrand::Rng) {
        if self.lookout.handle_timeout(now) {
            self.look(now);
        }
        if now >= self.rejoin_at {
            self.rejoin_at = now + REJOIN;
            if self.sockets.rejoin() {
                self.lookout.handle_wish(now);
            }
        }
        if self.silence_at.is_some_and(|at| now >= at) {
            self.silence_at = None;
            self.warn_of_silence();
        }
        self.roster.handle_timeout(now);
        if !self.config.multicast {
            return;
        }
        let population = self.roster.population();
        self.counters.nodes.set(population - 1);
        self.announcer.handle_population(population);
        self.announcer.handle_timeout(now, rng);
        if let Some(pulse) = self.announcer.poll_transmit() {
            self.send(Which::All, pulse, now);
        } else if let Some((_, pulse)) = self.again.filter(|(at, _)| now >= *at) {
            self.send(Which::Unready, pulse, now);
        }
    }

    fn send(&mut self, which: Which, pulse: Pulse, now: Instant) {
        let reach = Arc::clone(&self.reach.borrow());
        let keys = self.keys.borrow().clone();
        let mut sender = Sender {
            key: &keys.first().heartbeat,
            who: &self.who,
            reach: &reach,
            counters: &self.counters,
            notices: &mut self.notices,
        };
        if sender.send(&mut self.sockets, which, pulse, now) {
            self.roster.handle_sent(now);
        }
        let unready = self.sockets.all.iter().any(|socket| socket.unready);
        self.again = unready.then(|| (now + AGAIN, pulse));
    }

    /// Who accepts only what is first now has not heard this node yet.
    fn handle_rekey(&mut self, now: Instant) {
        self.opener.handle_rekey(self.keys.borrow_and_update().clone());
        self.announcer.handle_network_change(now);
    }

    fn listen_to_kernel(&mut self, now: Instant) {
        match Kernel::listen() {
            Ok(kernel) => self.kernel = Some(kernel),
            Err(error) => self.handle_deaf(&error, now),
        }
    }

    fn handle_noticed(&mut self, noticed: io::Result<()>) {
        let now = Instant::now();
        match noticed {
            Ok(()) => {
                self.counters.notices.add();
                self.lookout.handle_notice(now);
            }
            Err(error) => self.handle_deaf(&error, now),
        }
    }

    fn handle_deaf(&mut self, error: &io::Error, now: Instant) {
        tracing::debug!(name: "talkie.network.no_notices", "no notices of the kernel, looking at the interfaces every second: {error}");
        self.kernel = None;
        self.lookout.handle_deaf(now);
    }

    fn look(&mut self, now: Instant) {
        self.counters.looks.add();
        let mut removed = Removed::default();
        // Before the look: what changes while it lasts leads to another one.
        if let Some(Err(error)) = self.kernel.as_ref().map(|kernel| kernel.read(&mut removed)) {
            self.handle_deaf(&error, now);
        }
        let moved = match Reach::look_again(&self.config.interfaces) {
            Ok(reach) => self.reach.send_if_modified(|known| {
                let moved = **known != reach;
                if moved {
                    *known = Arc::new(reach);
                }
                moved
            }),
            Err(error) => {
                tracing::debug!(name: "talkie.network.unseen", "{error}");
                false
            }
        };
        if moved {
            self.counters.network_changes.add();
        }
        self.follow_reach(moved, &removed, now);
        // An address may have become ready.
        self.again = self.again.map(|(_, pulse)| (now, pulse));
    }

    fn sync_first(&mut self, now: Instant) {
        self.follow_reach(false, &Removed::default(), now);
        self.announcer = Announcer::new(now);
    }

    /// Opens and closes sockets after the interfaces, and speaks up where something changed.
    fn follow_reach(&mut self, moved: bool, removed: &Removed, now: Instant) {
        let reach = Arc::clone(&self.reach.borrow());
        self.tell_of_network(&reach);
        if !self.config.multicast {
            return;
        }
        let (groups, counters, notices) = (self.config.groups, &self.counters, &mut self.notices);
        if self.sockets.sync(&reach, groups, removed, counters, notices, now) || moved {
            self.announcer.handle_network_change(now);
            self.silence_at.get_or_insert(now + SILENCE);
        }
        self.counters.sockets.set(self.sockets.all.len());
        if self.sockets.lacking {
            self.lookout.handle_wish(now);
        }
    }

    fn tell_of_network(&mut self, reach: &Reach) {
        let waits = self.lacks_network(reach);
        if waits && !self.waits_for_network {
            tracing::warn!(name: "talkie.network.waiting", "waiting for a network: no interface but loopback has an address and a carrier");
        } else if self.waits_for_network && !waits {
            tracing::info!(name: "talkie.network.there", "a network is there");
        }
        self.waits_for_network = waits;
    }

    /// Whether there is nothing but loopback, and the user did not choose just that. A bridge for containers that has an
    /// address and nobody on it is no network.
    fn lacks_network(&self, reach: &Reach) -> bool {
        let (chosen, mut others) =
            (&self.config.interfaces, reach.interfaces.iter().filter(|interface| !interface.loopback));
        let wanted = chosen.is_empty()
            || chosen.iter().any(|spec| !reach.matches(spec))
            || others.clone().next().is_some();
        wanted && !others.any(|interface| interface.running && !interface.addrs.is_empty())
    }

    fn warn_of_silence(&mut self) {
        // Whoever is linked to a partner is not alone, and was told of others. Where others run on this host, it may be
        // the only one that is meant.
        let linked = self.company || self.partners.iter().any(|linked| *linked.borrow());
        let reach = Arc::clone(&self.reach.borrow());
        // Without a carrier there is nobody to hear.
        let wired = |socket: &&GroupSocket| reach.interface(socket.index()).is_some_and(|it| it.running);
        let found = silence::find(self.sockets.all.iter().filter(wired).map(GroupSocket::ear));
        match &found {
            found if *found == self.silence_told => {}
            Some(finding @ Finding::Alone(_)) if linked => {
                tracing::info!(name: "talkie.heartbeat.silence", "{finding}")
            }
            Some(finding) => tracing::warn!(name: "talkie.heartbeat.silence", "{finding}"),
            None => {}
        }
        self.silence_told = found;
    }

    fn handle_datagram(&mut self, came: Came, bytes: &[u8]) {
        let now = Instant::now();
        let counters = &self.counters;
        counters.heard.add();
        let Some(socket) = self.sockets.all.get(came.socket) else {
            return;
        };
        let Opened { beacon, secret } =
            match self.opener.handle_datagram(now, came.source, socket.group, bytes) {
                Ok(opened) => opened,
                Err(refusal) => return counter(counters, refusal).add(),
            };
        let reach = Arc::clone(&self.reach.borrow());
        let addrs = reach
            .interface(socket.index())
            .map(|interface| admitted(&beacon.addrs, beacon.port, came.source, interface, &reach))
            .unwrap_or_default();
        let heard = self.roster.handle_beacon(now, socket.way(), secret, &beacon, addrs);
        match heard {
            Heard::Own => counters.own.add(),
            Heard::Copy => counters.copies.add(),
            Heard::Replayed => counters.rejected_replayed.add(),
            Heard::Fresh => {
                counters.fresh.add();
                self.opener.handle_proven(now, came.source);
            }
        }
        // What nodes of this host send into a network comes back to all of them.
        let neighbour = reach.has(came.source);
        let other = matches!(heard, Heard::Fresh | Heard::Copy);
        self.company |= other && neighbour;
        if let Some(socket) = self.sockets.all.get_mut(came.socket) {
            socket.heard_own |= heard == Heard::Own || (other && neighbour);
            socket.heard_others |= other && !neighbour;
        }
    }
}

/// Waits for ever where there are no notices.
async fn noticed(kernel: Option<&Kernel>) -> io::Result<()> {
    match kernel {
        Some(kernel) => kernel.noticed().await,
        None => std::future::pending().await,
    }
}

fn counter(counters: &Counters, refusal: Refusal) -> &crate::stats::Counter {
    match refusal {
        Refusal::Size => &counters.rejected_size,
        Refusal::Magic => &counters.rejected_magic,
        Refusal::Rate => &counters.rejected_rate,
        Refusal::Auth => &counters.rejected_auth,
        Refusal::Group => &counters.rejected_group,
        Refusal::Malformed => &counters.rejected_malformed,
    }
}
