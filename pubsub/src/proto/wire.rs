//! The network between two nodes of a simulated mesh: what is on its way, what becomes of it, who is told of what.
//!
//! It keeps transport's promises (in order, at most once, losses counted where they would have been, kept for who is away) without
//! bytes, sockets or ciphers. Only for the feature `testing`.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use talkie_transport::{Arrival, DownReason, Interest, Interests, Pushed, Room};

/// As transport has it: silence that is death.
pub const SILENCE: Duration = Duration::from_secs(3);
/// As transport has it: what a lost node is owed is kept for so long.
pub const KEPT: Duration = Duration::from_secs(600);
/// As transport has it: a publisher waits for a full queue this long, once per stall.
const PATIENCE: Duration = Duration::from_millis(250);
/// As transport has it for the default largest message, bytes: what waits for one peer.
pub const ROOM: usize = 4 << 20;
/// As transport counts each record, bytes.
const RECORD: usize = 128;
/// As transport hands over together, messages.
const TOGETHER: usize = 128;

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The first.
    A,
    /// The second.
    B,
}

impl Side {
    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// What happens next.
#[derive(Debug)]
pub enum Step {
    /// Both are linked.
    Link,
    /// This side hears this.
    Deliver(Side, Arrived),
    /// These sides are told that the other one is down.
    Down(Vec<Side>, DownReason),
    /// These sides owe the other one nothing any more.
    Forget(Vec<Side>),
    /// Nothing before then, or before something is pushed or changed.
    Wait(Option<Instant>),
    /// Nothing any more.
    End,
}

/// What arrives.
#[derive(Debug)]
pub enum Arrived {
    /// A control frame.
    Control(Vec<u8>),
    /// Messages, in their order.
    Messages(Vec<Arrival>),
    /// Messages that are lost, by interest.
    Gap(Vec<(Interest, u64)>),
}

/// The counters of one way: messages and their bytes sent, messages lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "the shell beside reads all of it")]
pub struct Sent {
    /// Messages.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Messages that became gaps.
    pub lost: u64,
}

#[derive(Debug)]
enum Phase {
    /// Not linked yet, or forgotten.
    Apart,
    Up,
    Down {
        since: Instant,
    },
    End,
}

/// Two nodes and what is between them.
#[derive(Debug)]
pub struct Wire {
    phase: Phase,
    /// Since when nothing passes.
    cut: Option<Instant>,
    /// Who is gone, and how that is told.
    gone: Option<(Side, DownReason)>,
    /// Towards the first, and towards the second.
    to_a: Way,
    to_b: Way,
    random: fastrand::Rng,
}

#[derive(Debug, Default)]
struct Way {
    delay: Duration,
    loss: f64,
    control: VecDeque<(Instant, Vec<u8>)>,
    data: VecDeque<(Instant, Data)>,
    /// Of `data`.
    bytes: usize,
    /// When the last one is due: none passes another.
    last: Option<Instant>,
    /// Since when it has been full.
    full: Option<Instant>,
    in_doubt: u64,
    sent: Sent,
}

#[derive(Debug)]
enum Data {
    Message(Arrival),
    Gap(BTreeMap<Interest, u64>),
}

impl Wire {
    /// Two nodes that have just met; `random` decides what is lost.
    #[must_use]
    pub fn new(random: fastrand::Rng) -> Self {
        Self {
            phase: Phase::Apart,
            cut: None,
            gone: None,
            to_a: Way::default(),
            to_b: Way::default(),
            random,
        }
    }

    /// Nothing passes from now on.
    pub fn handle_cut(&mut self, now: Instant) {
        self.cut.get_or_insert(now);
    }

    /// All passes again.
    pub fn handle_mended(&mut self) {
        self.cut = None;
    }

    /// How long everything is under way from now on, to either side.
    pub fn handle_delay(&mut self, delay: Duration) {
        (self.to_a.delay, self.to_b.delay) = (delay, delay);
    }

    /// How likely a message is lost, 0 to 1, to either side.
    pub fn handle_loss(&mut self, loss: f64) {
        (self.to_a.loss, self.to_b.loss) = (loss, loss);
    }

    /// That side is gone: it left, or its process died.
    pub fn handle_gone(&mut self, side: Side, reason: DownReason) {
        self.gone.get_or_insert((side, reason));
        // Nobody is there to take it.
        *self.way(side) = Way::default();
    }

    /// Whether each counts for the other as being there.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        matches!(self.phase, Phase::Up)
    }

    /// How long it takes there and back.
    #[must_use]
    pub fn round_trip(&self) -> Duration {
        self.to_a.delay + self.to_b.delay
    }

    /// What was sent to that side.
    pub fn sent(&mut self, to: Side) -> Sent {
        self.way(to).sent
    }

    /// Bytes that wait for that side.
    pub fn queued(&mut self, to: Side) -> usize {
        self.way(to).bytes
    }

    /// Whether that side has all that it was sent.
    pub fn is_delivered(&mut self, to: Side) -> bool {
        self.way(to).data.is_empty()
    }

    /// Messages that it had not got when it was told down, and since; told once.
    pub fn take_in_doubt(&mut self, to: Side) -> u64 {
        std::mem::take(&mut self.way(to).in_doubt)
    }

    /// Whether waiting before a push is of use.
    pub fn room(&mut self, to: Side, payload: usize, now: Instant) -> Room {
        let moves = self.is_up() && self.cut.is_none();
        let way = self.way(to);
        if way.bytes + payload + RECORD <= ROOM && way.full.is_none() {
            return Room::Free;
        }
        if !moves {
            return Room::Stalled;
        }
        let until = *way.full.get_or_insert(now) + PATIENCE;
        if now < until { Room::Wait { until } } else { Room::Stalled }
    }

    /// A message to that side.
    pub fn push(&mut self, to: Side, interests: &Interests, body: Bytes, now: Instant) -> Pushed {
        let up = self.is_up();
        if self.gone.is_some_and(|(side, _)| side == to) {
            return Pushed::Kept;
        }
        let lost = self.random.f64() < self.way(to).loss;
        let way = self.way(to);
        let size = body.len() + RECORD;
        if lost || way.bytes + size > ROOM {
            way.push_gap(interests, now);
            return if lost { Pushed::Queued } else { Pushed::Overflowed };
        }
        let due = way.due(now);
        way.sent.messages += 1;
        way.sent.bytes += body.len() as u64;
        way.bytes += size;
        way.data.push_back((due, Data::Message(Arrival { interests: interests.clone(), body })));
        if up {
            return Pushed::Queued;
        }
        way.in_doubt += 1;
        Pushed::Kept
    }

    /// A control frame to that side; false where there is no link.
    pub fn control(&mut self, to: Side, frame: &[u8], now: Instant) -> bool {
        if !self.is_up() || self.gone.is_some() {
            return false;
        }
        let way = self.way(to);
        let due = now + way.delay;
        let due = way.control.back().map_or(due, |(last, _)| due.max(*last));
        way.control.push_back((due, frame.to_vec()));
        true
    }

    /// What happens next.
    pub fn poll(&mut self, now: Instant) -> Step {
        match self.phase {
            Phase::End => Step::End,
            Phase::Apart => match (self.gone, self.cut) {
                (Some(_), _) => self.end(),
                (None, Some(_)) => Step::Wait(None),
                (None, None) => self.link(),
            },
            Phase::Up => self.poll_up(now),
            Phase::Down { since } => {
                let left = self.gone.is_some_and(|(_, reason)| reason == DownReason::Left);
                let forgotten = since + KEPT;
                if left || now >= forgotten {
                    self.forget()
                } else if self.cut.is_none() && self.gone.is_none() {
                    self.link()
                } else {
                    Step::Wait(Some(forgotten))
                }
            }
        }
    }

    fn poll_up(&mut self, now: Instant) -> Step {
        if let Some((side, reason)) = self.gone {
            return self.down(vec![side.other()], reason, now);
        }
        if let Some(since) = self.cut {
            let silent = since + SILENCE;
            return if now >= silent {
                self.down(vec![Side::A, Side::B], DownReason::Timeout, now)
            } else {
                Step::Wait(Some(silent))
            };
        }
        for side in [Side::A, Side::B] {
            if let Some(arrived) = self.way(side).take(now) {
                return Step::Deliver(side, arrived);
            }
        }
        let due = [&self.to_a, &self.to_b].into_iter().filter_map(Way::next_due).min();
        Step::Wait(due)
    }

    fn link(&mut self) -> Step {
        self.phase = Phase::Up;
        (self.to_a.in_doubt, self.to_b.in_doubt) = (0, 0);
        Step::Link
    }

    fn down(&mut self, told: Vec<Side>, reason: DownReason, now: Instant) -> Step {
        self.phase = Phase::Down { since: now };
        for way in [&mut self.to_a, &mut self.to_b] {
            // It is lost with its link, and the next one begins with a snapshot.
            way.control.clear();
            way.in_doubt =
                way.data.iter().filter(|(_, data)| matches!(data, Data::Message(_))).count() as u64;
        }
        Step::Down(told, reason)
    }

    fn forget(&mut self) -> Step {
        let told = match self.gone {
            Some((side, _)) => vec![side.other()],
            None => vec![Side::A, Side::B],
        };
        self.phase = if self.gone.is_some() { Phase::End } else { Phase::Apart };
        for way in [&mut self.to_a, &mut self.to_b] {
            (way.bytes, way.full) = (0, None);
            way.data.clear();
        }
        Step::Forget(told)
    }

    const fn end(&mut self) -> Step {
        self.phase = Phase::End;
        Step::End
    }

    const fn way(&mut self, to: Side) -> &mut Way {
        match to {
            Side::A => &mut self.to_a,
            Side::B => &mut self.to_b,
        }
    }
}

impl Way {
    fn due(&mut self, now: Instant) -> Instant {
        let due = (now + self.delay).max(self.last.unwrap_or(now));
        self.last = Some(due);
        due
    }

    fn push_gap(&mut self, interests: &Interests, now: Instant) {
        self.sent.lost += 1;
        if !matches!(self.data.back(), Some((_, Data::Gap(_)))) {
            let due = self.due(now);
            self.bytes += RECORD;
            self.data.push_back((due, Data::Gap(BTreeMap::new())));
        }
        if let Some((_, Data::Gap(counts))) = self.data.back_mut() {
            interests.iter().for_each(|interest| *counts.entry(*interest).or_default() += 1);
        }
    }

    fn next_due(&self) -> Option<Instant> {
        let control = self.control.front().map(|(due, _)| *due);
        let data = self.data.front().map(|(due, _)| *due);
        control.into_iter().chain(data).min()
    }

    fn take(&mut self, now: Instant) -> Option<Arrived> {
        if let Some((_, frame)) = self.control.pop_front_if(|(due, _)| *due <= now) {
            return Some(Arrived::Control(frame));
        }
        let mut messages = Vec::new();
        while let Some((due, data)) = self.data.front() {
            let is_gap = matches!(data, Data::Gap(_));
            if *due > now || messages.len() >= TOGETHER || (is_gap && !messages.is_empty()) {
                break;
            }
            match self.data.pop_front() {
                Some((_, Data::Message(arrival))) => {
                    self.freed(arrival.body.len() + RECORD);
                    messages.push(arrival);
                }
                Some((_, Data::Gap(counts))) => {
                    self.freed(RECORD);
                    return Some(Arrived::Gap(counts.into_iter().collect()));
                }
                None => break,
            }
        }
        (!messages.is_empty()).then_some(Arrived::Messages(messages))
    }

    fn freed(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
        if self.bytes <= ROOM / 2 {
            self.full = None;
        }
    }
}
