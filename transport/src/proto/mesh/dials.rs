//! When a target is dialed: at once, then with growing pauses and jitter; a few at a time.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use talkie_discovery::{NodeId, SecretMark, Via};

/// Dials under way at once: a window between these, each dial a socket and a handshake of half a millisecond of both
/// processors. It opens while handshakes are quick and closes while they are slow, so that hundreds of nodes which
/// start together do not all wait for each other longer than a handshake may take.
pub(super) const MAX_DIALS: usize = 32;
pub(super) const MIN_DIALS: usize = 4;
pub(super) const FIRST_DIALS: usize = 16;
/// A handshake that took less opens the window by one. On an idle LAN it takes a few milliseconds.
const QUICK: Duration = Duration::from_millis(100);
/// One that took longer, or got no answer, closes it by one.
const SLOW: Duration = Duration::from_millis(400);
/// Addresses kept of one node.
pub(super) const MAX_ADDRS: usize = 8;
/// Addresses tried of one partner's name.
pub(super) const MAX_LEADS: usize = 64;
/// First pause after a failed dial; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause for a peer lost a short while ago: it is probably back soon, and owed something.
const LOST_CAP: Duration = Duration::from_secs(1);
/// For how long [`LOST_CAP`] holds.
const LOST_SHORT: Duration = Duration::from_secs(60);
/// Longest pause otherwise.
const CAP: Duration = Duration::from_secs(5);
/// A fresh heartbeat brings the next dial forward, but not closer than this to the last one.
const HURRY_AFTER: Duration = Duration::from_millis(250);
/// A link that lived this long is no failure.
const STEADY: Duration = Duration::from_secs(1);
/// In a larger mesh than this a newcomer is not dialed by everybody in the same moment.
const CALM_MESH: usize = 16;
/// By how much the dials of a newcomer are spread per known node beyond [`CALM_MESH`], at most a quarter second.
const SPREAD_PER_NODE: Duration = Duration::from_millis(2);
/// Where both sides know of each other, the node with the lesser id lets the other dial first: twice what a handshake
/// takes on a quiet LAN, and twice the spread. If that dial is lost, its own makes up for it.
const COURTESY: Duration = Duration::from_millis(15);
/// The same for the first node that is heard: it may not have been listening yet when this one spoke, and a dial too many
/// costs each side a millisecond.
const COURTESY_AT_FIRST: Duration = Duration::from_millis(3);

/// Names a dial.
pub type DialNumber = u64;

/// Whom a dial is to reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// A node whose id is known.
    Node(NodeId),
    /// One address of a partner, by the partner's place in the settings.
    Partner(usize, SocketAddr),
}

/// A connection to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dial {
    /// Names it when it has ended.
    pub number: DialNumber,
    /// Whom to reach.
    pub target: Target,
    /// Where, the likeliest first.
    pub addrs: Vec<SocketAddr>,
    /// How the target was found.
    pub via: Via,
    /// The node whose Unix socket on this host is tried before all addresses.
    pub unix: Option<NodeId>,
    /// The secret that it most likely accepts.
    pub secret: Option<SecretMark>,
}

/// How a dial ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A handshake showed this node there; its link may have been refused in favour of another.
    Reached(NodeId),
    /// The address is this node's own.
    Myself,
    /// Not reached, or not a member of this mesh.
    Failed,
    /// Connected, and then no answer came in time: the other side, or this one, has too much to do.
    Unanswered,
}

/// Longest pause between dials of a target that was lost so long ago, if it ever was linked.
pub(super) fn cap(lost_for: Option<Duration>) -> Duration {
    if lost_for.is_some_and(|ago| ago < LOST_SHORT) { LOST_CAP } else { CAP }
}

/// By how much to put off the dial of a newcomer in a mesh of `members`; `yields`: the newcomer will dial, too.
pub(super) fn spread(rng: &mut fastrand::Rng, members: usize, yields: bool) -> Duration {
    let width = SPREAD_PER_NODE * members.saturating_sub(CALM_MESH).min(125) as u32;
    let courtesy = if members == 0 { COURTESY_AT_FIRST } else { COURTESY };
    let first = if yields { courtesy + width } else { Duration::ZERO };
    first + width.mul_f64(rng.f64())
}

/// One dial under way.
#[derive(Debug)]
struct Open {
    target: Target,
    via: Via,
    began: Instant,
}

/// The dials under way.
#[derive(Debug)]
pub(super) struct Dials {
    last: DialNumber,
    open: HashMap<DialNumber, Open>,
    /// How many of them other members told of.
    told: usize,
    window: usize,
}

impl Default for Dials {
    fn default() -> Self {
        Self { last: 0, open: HashMap::new(), told: 0, window: FIRST_DIALS }
    }
}

impl Dials {
    /// Whether one more may begin. What other members tell of gets half of the window: one of them may make up nodes,
    /// and must not keep this node from those that it hears, is asked to look for, or has lost.
    pub(super) fn has_room(&self, via: Via) -> bool {
        self.open.len() < self.window && (via != Via::Member || self.told < self.window / 2)
    }

    fn begin(&mut self, now: Instant, target: Target, via: Via) -> DialNumber {
        self.last += 1;
        self.told += usize::from(via == Via::Member);
        self.open.insert(self.last, Open { target, via, began: now });
        self.last
    }

    pub(super) fn end(&mut self, now: Instant, number: DialNumber, outcome: Outcome) -> Option<Target> {
        let Open { target, via, began } = self.open.remove(&number)?;
        self.told -= usize::from(via == Via::Member);
        let took = now.saturating_duration_since(began);
        match outcome {
            Outcome::Reached(_) if took < QUICK => self.window = MAX_DIALS.min(self.window + 1),
            Outcome::Reached(_) if took < SLOW => {}
            Outcome::Reached(_) | Outcome::Unanswered => self.window = MIN_DIALS.max(self.window - 1),
            // Nobody there: that says nothing of how busy the others are.
            Outcome::Failed | Outcome::Myself => {}
        }
        Some(target)
    }
}

/// The pace at which one target is dialed.
#[derive(Debug, Default)]
pub(super) struct Pace {
    due: Option<Instant>,
    started: Option<Instant>,
    current: Option<DialNumber>,
    failures: u32,
    /// Links in a row that ended as soon as they were made.
    brief: u32,
}

impl Pace {
    pub(super) const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Dial now, unless a dial is under way or planned.
    pub(super) fn begin(&mut self, now: Instant) {
        if self.current.is_none() && self.due.is_none() {
            self.due = Some(now);
        }
    }

    /// There is news of the target: dial soon, even beside a dial that hangs.
    pub(super) fn hurry(&mut self, now: Instant, spread: Duration) {
        let soonest = self.started.map_or(now + spread, |at| (at + HURRY_AFTER).max(now));
        if self.current.is_none() || soonest <= now {
            self.due = Some(self.due.map_or(soonest, |due| due.min(soonest)));
        }
    }

    pub(super) fn stop(&mut self) {
        self.due = None;
        self.current = None;
        self.failures = 0;
    }

    /// The link was lost: dial at once, but with growing pauses where links end as soon as they are made.
    pub(super) fn again(&mut self, now: Instant, rng: &mut fastrand::Rng, lived: Duration) {
        self.stop();
        if lived >= STEADY {
            self.brief = 0;
        }
        if self.brief == 0 {
            self.due = Some(now);
        } else {
            self.failures = self.brief;
            self.back_off(now, rng, LOST_CAP);
        }
        self.brief = self.brief.saturating_add(1);
    }

    /// Starts the dial if it is due and there is room for it.
    pub(super) fn start(
        &mut self,
        now: Instant,
        dials: &mut Dials,
        target: Target,
        via: Via,
    ) -> Option<DialNumber> {
        if self.due.is_none_or(|due| due > now) || !dials.has_room(via) {
            return None;
        }
        let number = dials.begin(now, target, via);
        self.due = None;
        self.started = Some(now);
        self.current = Some(number);
        Some(number)
    }

    /// Whether the dial that ended was the newest.
    pub(super) fn ended(&mut self, number: DialNumber) -> bool {
        let newest = self.current == Some(number);
        if newest {
            self.current = None;
        }
        newest
    }

    /// Plans the next dial: the pause doubles up to `cap`, less up to a quarter by chance.
    pub(super) fn back_off(&mut self, now: Instant, rng: &mut fastrand::Rng, cap: Duration) {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(16)).min(cap);
        self.failures = self.failures.saturating_add(1);
        self.due = Some(now + pause.mul_f64(1.0 - rng.f64() / 4.0));
    }
}
