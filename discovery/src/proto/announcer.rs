//! When to speak: a burst at the start and after a change of the network, then a steady pace, goodbyes at the end.

use std::time::{Duration, Instant};

/// When the heartbeats of a burst go out, after its begin: the first at once, the next soon enough for a host
/// that starts at the same moment, the last late enough for a switch that just brought its port up.
const BURST: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(100), Duration::from_millis(300), Duration::from_millis(700)];

/// Time between the begins of two bursts in the long run, so that a flapping interface makes no storm.
const BURST_PAUSE: Duration = Duration::from_secs(1);

/// Bursts that may begin sooner after each other: a network comes in steps (the carrier, a link-local address, one
/// by DHCP), and each may be the first by which others are reached.
const BURSTS_AT_ONCE: u32 = 3;

/// The steady pace of a small mesh.
const PACE: Duration = Duration::from_secs(1);

/// Heartbeats a second of a whole mesh: beyond this many nodes each one speaks less often.
const MESH_RATE: u32 = 50;

/// The pace varies by this part of itself, so that nodes which started together drift apart.
const JITTER: f64 = 0.2;

/// Heartbeats that say goodbye, and the time between them: datagrams get lost, so it is said thrice, and within
/// the 50 ms that a stop may take.
const GOODBYES: u8 = 3;
const GOODBYE_PAUSE: Duration = Duration::from_millis(5);

/// The pace of each node, without jitter, on a mesh of so many nodes: one heartbeat a second, and no more than
/// 50 a second of all together.
#[must_use]
pub fn pace(nodes: usize) -> Duration {
    let nodes = u32::try_from(nodes).unwrap_or(u32::MAX);
    PACE.max(Duration::from_secs(1).saturating_mul(nodes) / MESH_RATE)
}

/// One heartbeat to send out of every interface.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// Its number, 1 for the first.
    pub sequence: u64,
    /// Whether it says goodbye.
    pub leaving: bool,
}

/// Says when the next heartbeat is due.
///
/// The verbs: [`handle_network_change`](Self::handle_network_change), [`handle_population`](Self::handle_population),
/// [`handle_leave`](Self::handle_leave); [`poll_transmit`](Self::poll_transmit);
/// [`poll_timeout`](Self::poll_timeout) with [`handle_timeout`](Self::handle_timeout). It has no events.
#[derive(Debug)]
pub struct Announcer {
    sequence: u64,
    nodes: usize,
    due: bool,
    next: Option<Instant>,
    mode: Mode,
    burst_began: Instant,
    /// When a burst begins that had to wait.
    again: Option<Instant>,
    /// Until when the bursts so far last, at [`BURST_PAUSE`] each.
    bursts_until: Instant,
}

#[derive(Copy, Clone, Debug)]
enum Mode {
    Burst,
    Steady,
    /// The goodbyes still to say.
    Leaving(u8),
}

impl Announcer {
    /// One that begins with a burst `now`.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            sequence: 0,
            nodes: 1,
            due: false,
            next: Some(now),
            mode: Mode::Burst,
            burst_began: now,
            again: None,
            bursts_until: now,
        }
    }

    /// The interfaces changed: who hears us now may not have heard us yet, so a burst begins, at once where there
    /// were few of late, and else as soon as one may begin each second.
    pub fn handle_network_change(&mut self, now: Instant) {
        let begins = matches!(self.mode, Mode::Burst) && self.next == Some(self.burst_began);
        if begins || self.again.is_some() || matches!(self.mode, Mode::Leaving(_)) {
            return;
        }
        let at_once = BURST_PAUSE * (BURSTS_AT_ONCE - 1);
        let begin = self.bursts_until.checked_sub(at_once).unwrap_or(now).max(now);
        self.bursts_until = self.bursts_until.max(now) + BURST_PAUSE;
        if begin > now {
            self.again = Some(begin);
        } else {
            self.begin_burst(now);
        }
    }

    fn begin_burst(&mut self, now: Instant) {
        self.again = None;
        self.burst_began = now;
        self.mode = Mode::Burst;
        self.next = Some(now);
    }

    /// How many nodes the mesh has, ourselves included. It sets the pace from the next heartbeat on.
    pub fn handle_population(&mut self, nodes: usize) {
        self.nodes = nodes;
    }

    /// Goodbyes begin `now`, and nothing follows them.
    pub fn handle_leave(&mut self, now: Instant) {
        if !matches!(self.mode, Mode::Leaving(_)) {
            self.due = false;
            self.again = None;
            self.mode = Mode::Leaving(GOODBYES);
            self.next = Some(now);
        }
    }

    /// The heartbeat that is due, if one is.
    pub fn poll_transmit(&mut self) -> Option<Pulse> {
        if !std::mem::take(&mut self.due) {
            return None;
        }
        self.sequence += 1;
        Some(Pulse { sequence: self.sequence, leaving: matches!(self.mode, Mode::Leaving(_)) })
    }

    /// When to call [`Self::handle_timeout`]; `None` once the last goodbye is said.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.again.into_iter().chain(self.next).min()
    }

    /// Makes a heartbeat due if it is time. A late call (a suspended process) makes one due, not all those that
    /// were missed.
    pub fn handle_timeout(&mut self, now: Instant, rng: &mut fastrand::Rng) {
        if self.again.is_some_and(|again| again <= now) {
            self.begin_burst(now);
        }
        if self.next.is_none_or(|next| now < next) {
            return;
        }
        self.due = true;
        self.next = match &mut self.mode {
            Mode::Leaving(left) => {
                *left = left.saturating_sub(1);
                (*left > 0).then(|| now + GOODBYE_PAUSE)
            }
            Mode::Burst => {
                let later = BURST.iter().map(|step| self.burst_began + *step).find(|at| *at > now);
                if later.is_none() {
                    self.mode = Mode::Steady;
                }
                later.or_else(|| Some(now + self.jittered(rng)))
            }
            Mode::Steady => Some(now + self.jittered(rng)),
        };
    }

    fn jittered(&self, rng: &mut fastrand::Rng) -> Duration {
        pace(self.nodes).mul_f64(1.0 + JITTER * (2.0 * rng.f64() - 1.0))
    }
}

#[cfg(test)]
mod tests;
