//! Messages for queue groups that nobody acknowledged yet: who was given each, who is given the next, and who instead.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::Hash;
use std::time::{Duration, Instant};

use super::group::Verdict;

/// Most messages that a node remembers until they are acknowledged, and most bytes of them, each charged [`CHARGE`] beside its
/// topic and payload. As much as four outboxes hold: a few seconds of a busy publisher.
pub const MAX_JOBS: usize = 16_384;
/// See [`MAX_JOBS`].
pub const MAX_JOB_BYTES: usize = 16 * 1024 * 1024;
/// What a message is charged besides its topic and payload, bytes: its entry and its places in three tables.
pub const CHARGE: usize = 256;

/// As transport has it: who publishes waits for room so long, once per stall.
const PATIENCE: Duration = Duration::from_millis(250);

/// How near a member is: the nearest is given the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Nearness {
    /// On this node.
    Here,
    /// On another node of this host.
    Host,
    /// On another host.
    Elsewhere,
    /// On a node that is told down: only where there is nobody else.
    Away,
}

/// What is owed to the groups of one node. `K` names a member, `G` a group, `J` is a message.
///
/// - input: [`admit`](Self::admit), [`done`](Self::done), [`returned`](Self::returned), [`eased`](Self::eased),
///   [`detach`](Self::detach)
/// - output: [`hand`](Self::hand), for what was admitted or returned, for [`parked`](Self::parked) messages when a member has room,
///   for those of a member that is [away](Self::with)
/// - time: [`room`](Self::room)
///
/// A message is with a member, or parked: it waits for one. It has one id throughout, and a number for each time that it was handed out.
#[derive(Debug)]
pub struct Ledger<K, G, J> {
    /// The newest number.
    last: u64,
    /// By id, which is in the order of publishing.
    jobs: BTreeMap<u64, Job<K, G, J>>,
    newest: u64,
    /// From the number of a message that is with a member to its id.
    handed: BTreeMap<u64, u64>,
    parked: HashMap<G, BTreeSet<u64>>,
    /// How many each member has.
    owing: HashMap<K, usize>,
    /// Members that had no room when they were last heard of.
    full: HashSet<K>,
    bytes: usize,
    /// Until when publishers wait for room; none: there was some.
    stall: Option<Instant>,
    counted: Counted,
}

/// What was counted so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "read in this crate")]
pub struct Counted {
    /// Messages that were acknowledged.
    pub done: u64,
    /// Times that a message was given to another member that somebody may have had.
    pub redelivered: u64,
}

#[derive(Debug)]
struct Job<K, G, J> {
    group: G,
    what: J,
    bytes: usize,
    with: Option<(u64, K)>,
    /// Somebody may have had it.
    tried: bool,
}

/// A message that is to be given to a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handed<K> {
    /// Its number this time.
    pub number: u64,
    /// Who.
    pub to: K,
    /// Somebody else may have had it.
    pub redelivered: bool,
}

impl<K, G, J> Default for Ledger<K, G, J> {
    fn default() -> Self {
        Self {
            last: 0,
            jobs: BTreeMap::new(),
            newest: 0,
            handed: BTreeMap::new(),
            parked: HashMap::new(),
            owing: HashMap::new(),
            full: HashSet::new(),
            bytes: 0,
            stall: None,
            counted: Counted::default(),
        }
    }
}

impl<K: Clone + Eq + Hash, G: Clone + Eq + Hash, J> Ledger<K, G, J> {
    /// A new message of so many bytes, parked at first: its id. Where there is no room to remember it, it comes back.
    ///
    /// # Errors
    /// The message, where it is not remembered.
    pub fn admit(&mut self, group: G, what: J, bytes: usize) -> Result<u64, J> {
        let bytes = bytes + CHARGE;
        if !self.has_room(bytes) {
            return Err(what);
        }
        self.newest += 1;
        self.bytes += bytes;
        self.parked.entry(group.clone()).or_default().insert(self.newest);
        self.jobs.insert(self.newest, Job { group, what, bytes, with: None, tried: false });
        Ok(self.newest)
    }

    /// Gives a message to the best of its members: the nearest that has room, of those the one that has the fewest, of those in turn.
    /// None: it stays where it is. From one that is away only
    /// somebody who is not takes it; where those have no room, it is parked.
    pub fn hand(&mut self, id: u64, members: &[(K, Nearness)]) -> Option<Handed<K>> {
        let Some((to, nearness)) = self.best(members).cloned() else {
            self.leave(id, members);
            return None;
        };
        let job = self.jobs.get_mut(&id)?;
        match &job.with {
            Some(_) if nearness == Nearness::Away => return None,
            Some((_, with)) if *with == to => return None,
            _ => {}
        }
        let before = job.with.take();
        job.tried |= before.is_some();
        self.last += 1;
        let (number, redelivered) = (self.last, job.tried);
        job.with = Some((number, to.clone()));
        let group = job.group.clone();
        match before {
            Some((number, with)) => self.release(number, &with),
            None => self.unpark(&group, id),
        }
        self.counted.redelivered += u64::from(redelivered);
        self.handed.insert(number, id);
        *self.owing.entry(to.clone()).or_default() += 1;
        Some(Handed { number, to, redelivered })
    }

    /// Whom a message that is not remembered is given to; who is full, too.
    pub fn pick<'a>(&self, members: &'a [(K, Nearness)]) -> Option<&'a K> {
        self.best(members).or_else(|| members.iter().min_by_key(|(_, near)| *near)).map(|(member, _)| member)
    }

    /// The message of this number is acknowledged, by one of whom `by` is true. The group and the member, where it was waited for.
    pub fn done(&mut self, number: u64, by: impl FnOnce(&K) -> bool) -> Option<(G, K)> {
        let id = self.held(number, by)?;
        let job = self.remove(id)?;
        self.counted.done += 1;
        let (_, member) = job.with?;
        self.full.remove(&member);
        Some((job.group, member))
    }

    /// The message of this number comes back: its id, where it was waited for. It is parked now.
    pub fn returned(&mut self, number: u64, by: impl FnOnce(&K) -> bool, why: Verdict) -> Option<u64> {
        let id = self.held(number, by)?;
        let member = self.park(id, why == Verdict::Tried)?;
        if why == Verdict::Full {
            self.full.insert(member);
        }
        Some(id)
    }

    /// A member has room again; whether it had none.
    pub fn eased(&mut self, member: &K) -> bool {
        self.full.remove(member)
    }

    /// These members are gone for good: their messages, parked now.
    pub fn detach(&mut self, which: impl Fn(&K) -> bool) -> Vec<u64> {
        self.full.retain(|member| !which(member));
        let ids = self.with(which);
        for id in &ids {
            self.park(*id, true);
        }
        ids
    }

    /// A message is no longer owed: it was told as lost.
    pub fn remove(&mut self, id: u64) -> Option<RemovedJob<K, G>> {
        let job = self.jobs.remove(&id)?;
        self.bytes = self.bytes.saturating_sub(job.bytes);
        match &job.with {
            Some((number, member)) => self.release(*number, member),
            None => self.unpark(&job.group, id),
        }
        if self.is_half_free() {
            self.stall = None;
        }
        Some(RemovedJob { group: job.group, with: job.with })
    }

    /// Messages that are with members of whom this is true, oldest first.
    pub fn with(&self, which: impl Fn(&K) -> bool) -> Vec<u64> {
        let with = |job: &Job<K, G, J>| job.with.as_ref().is_some_and(|(_, member)| which(member));
        self.jobs.iter().filter(|(_, job)| with(job)).map(|(id, _)| *id).collect()
    }

    /// The numbers that are with members of whom this is true, ascending.
    pub fn awaited(&self, which: impl Fn(&K) -> bool) -> Vec<u64> {
        let with = |id| self.jobs.get(id).and_then(|job: &Job<K, G, J>| job.with.as_ref());
        let of = |id| with(id).is_some_and(|(_, member)| which(member));
        self.handed.iter().filter(|(_, id)| of(id)).map(|(number, _)| *number).collect()
    }

    /// The oldest message of a group, from this id on, that waits for a member.
    pub fn parked(&self, group: &G, from: u64) -> Option<u64> {
        self.parked.get(group)?.range(from..).next().copied()
    }

    /// Groups with messages that wait for a member.
    pub fn short(&self) -> Vec<G> {
        self.parked.keys().cloned().collect()
    }

    /// A message.
    pub fn job(&self, id: u64) -> Option<&J> {
        self.jobs.get(&id).map(|job| &job.what)
    }

    /// Its group.
    pub fn group(&self, id: u64) -> Option<&G> {
        self.jobs.get(&id).map(|job| &job.group)
    }

    /// Whether who publishes is to wait for room for so many bytes, and until when at most.
    pub fn room(&mut self, bytes: usize, now: Instant) -> Option<Instant> {
        if self.has_room(bytes + CHARGE) {
            return None;
        }
        let until = *self.stall.get_or_insert_with(|| now + PATIENCE);
        (now < until).then_some(until)
    }

    /// The newest number.
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// The id of the newest message.
    pub const fn newest(&self) -> u64 {
        self.newest
    }

    /// The id of the oldest message.
    pub fn oldest(&self) -> Option<u64> {
        self.jobs.keys().next().copied()
    }

    /// How many messages there are, and what they are charged, bytes.
    pub fn size(&self) -> (usize, usize) {
        (self.jobs.len(), self.bytes)
    }

    /// What was counted.
    pub const fn counted(&self) -> Counted {
        self.counted
    }

    /// One that is longer than all of the room is let in alone.
    fn has_room(&self, bytes: usize) -> bool {
        self.jobs.is_empty() || self.jobs.len() < MAX_JOBS && self.bytes + bytes <= MAX_JOB_BYTES
    }

    fn is_half_free(&self) -> bool {
        self.jobs.len() <= MAX_JOBS / 2 && self.bytes <= MAX_JOB_BYTES / 2
    }

    fn best<'a>(&self, members: &'a [(K, Nearness)]) -> Option<&'a (K, Nearness)> {
        let key = |(member, near): &(K, Nearness)| (*near, self.owing.get(member).copied().unwrap_or(0));
        // What has no room is better off in nobody's hands than in those of who is away.
        let away = members.iter().all(|(_, near)| *near == Nearness::Away);
        let there = || members.iter().filter(|(_, near)| away || *near != Nearness::Away);
        let free = || there().filter(|(member, _)| !self.full.contains(member));
        let least = free().map(key).min()?;
        let equals = || free().filter(|member| key(member) == least);
        let turn = usize::try_from(self.last).unwrap_or(0) % equals().count().max(1);
        equals().nth(turn)
    }

    /// The id of a number that is with one of whom this is true.
    fn held(&self, number: u64, by: impl FnOnce(&K) -> bool) -> Option<u64> {
        let id = *self.handed.get(&number)?;
        let (_, member) = self.jobs.get(&id)?.with.as_ref()?;
        by(member).then_some(id)
    }

    /// Where nobody who is there has room, who is away need not be waited for.
    fn leave(&mut self, id: u64, members: &[(K, Nearness)]) {
        let Some((_, with)) = self.jobs.get(&id).and_then(|job| job.with.as_ref()) else { return };
        let is_there = |(member, near): &(K, Nearness)| *near != Nearness::Away && member == with;
        let others = members.iter().any(|(_, near)| *near != Nearness::Away);
        if others && !members.iter().any(is_there) {
            self.park(id, true);
        }
    }

    /// Takes a message from its member.
    fn park(&mut self, id: u64, tried: bool) -> Option<K> {
        let job = self.jobs.get_mut(&id)?;
        let (number, member) = job.with.take()?;
        job.tried |= tried;
        self.parked.entry(job.group.clone()).or_default().insert(id);
        self.release(number, &member);
        Some(member)
    }

    fn unpark(&mut self, group: &G, id: u64) {
        if let Some(parked) = self.parked.get_mut(group) {
            parked.remove(&id);
            if parked.is_empty() {
                self.parked.remove(group);
            }
        }
    }

    fn release(&mut self, number: u64, member: &K) {
        self.handed.remove(&number);
        if let Some(owing) = self.owing.get_mut(member) {
            *owing -= 1;
            if *owing == 0 {
                self.owing.remove(member);
            }
        }
    }
}

/// Where a message was that is no longer owed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "read in this crate")]
pub struct RemovedJob<K, G> {
    /// Its group.
    pub group: G,
    /// Its number and its member; none: it was parked.
    pub with: Option<(u64, K)>,
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test says when its time begins")]
mod tests;
