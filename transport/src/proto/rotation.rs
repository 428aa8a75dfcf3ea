//! Which links are made anew while the mesh changes from one secret to another, and which end.
//!
//! Each side tells the other which secrets it accepts, the one that it sends under first. A link stays as it is until both
//! send under the same secret and the link was made under another one: then it is made anew, one link of a node after the
//! other, before the old one ends. So each pair does that once in a change, whoever hears of it first. Where a secret is
//! removed on one side, its links are made anew at once, and end if that does not work.
//!
//! What the other side tells is a hint of what may work. It gives no right: only a handshake does.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use talkie_discovery::{NodeId, SecretMark};

use super::mesh::LinkNumber;

/// How long a link may live whose secret was removed: for files that are replaced on all hosts within the same second. With
/// the second that a change of the file may take to be seen it stays under three.
pub const CUT_AFTER: Duration = Duration::from_millis(1_500);
/// The next link has its turn when one was made anew, or when that takes longer than this: a few handshakes.
const TURN: Duration = Duration::from_secs(1);
/// The side that does not decide which link stays lets the other begin, so that each pair makes one connection.
const COURTESY: Duration = Duration::from_secs(1);
/// The same where the secret was removed, and time is short.
const COURTESY_HURRIED: Duration = Duration::from_millis(100);
/// Secrets that are remembered of one peer: more than any node holds, and few enough for what a faulty one tells.
const MAX_TOLD: usize = 16;

/// What is to be done with a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Make another one in its place, under this secret if that works. The link is in use until then.
    Remake(NodeId, LinkNumber, SecretMark),
    /// It stays after all.
    Keep(NodeId, LinkNumber),
    /// It ends: its secret is not accepted any more.
    Cut(NodeId, LinkNumber),
}

/// Follows the secrets of all linked peers. Belongs to the task of the mesh.
///
/// The verbs: [`handle_rekey`](Self::handle_rekey), [`handle_told`](Self::handle_told), [`handle_linked`](Self::handle_linked),
/// [`handle_closed`](Self::handle_closed); [`poll_event`](Self::poll_event); [`poll_timeout`](Self::poll_timeout) with
/// [`handle_timeout`](Self::handle_timeout). It transmits nothing.
#[derive(Debug)]
pub struct Rotation {
    own: NodeId,
    ours: Vec<SecretMark>,
    links: HashMap<NodeId, Link>,
    /// Whose link is made anew, and until when the others wait for it.
    turn: Option<(NodeId, Instant)>,
    events: VecDeque<Event>,
}

#[derive(Debug)]
struct Link {
    number: LinkNumber,
    secret: SecretMark,
    /// What the peer accepts; never empty.
    theirs: Vec<SecretMark>,
    /// When it is to be made anew.
    due: Option<Instant>,
    hurried: bool,
    /// Under which secret it was asked to be made anew.
    asked: Option<SecretMark>,
    cut: Option<Instant>,
}

/// Whether a link is to be made anew.
enum Need {
    No,
    /// Both send under this secret.
    Better(SecretMark),
    /// One side does not accept the link's secret any more; this one may be common.
    Removed(SecretMark),
}

impl Rotation {
    /// For node `own`, which accepts these secrets, the one that it sends under first.
    pub fn new(own: NodeId, ours: Vec<SecretMark>) -> Self {
        Self { own, ours, links: HashMap::new(), turn: None, events: VecDeque::new() }
    }

    /// The secrets that this node accepts.
    pub fn ours(&self) -> &[SecretMark] {
        &self.ours
    }

    /// Those that the peer accepts, as far as it says; none where it is not linked.
    pub fn theirs(&self, id: NodeId) -> &[SecretMark] {
        self.links.get(&id).map_or(&[], |link| &link.theirs)
    }

    /// From now on this node accepts these.
    pub fn handle_rekey(&mut self, now: Instant, ours: Vec<SecretMark>) {
        self.ours = ours;
        self.turn = None;
        let mut ids: Vec<_> = self.links.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            self.review(now, id);
        }
    }

    /// A linked peer tells which it accepts.
    pub fn handle_told(&mut self, now: Instant, id: NodeId, theirs: &[SecretMark]) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.theirs = known(theirs, link.secret);
        self.review(now, id);
    }

    /// A link was taken up, the first or in the place of another; it was made under `secret`, and its peer accepts `theirs`.
    pub fn handle_linked(
        &mut self,
        now: Instant,
        id: NodeId,
        number: LinkNumber,
        secret: SecretMark,
        theirs: &[SecretMark],
    ) {
        let theirs = known(theirs, secret);
        let link = Link { number, secret, theirs, due: None, hurried: false, asked: None, cut: None };
        self.links.insert(id, link);
        self.turn.take_if(|(whose, _)| *whose == id);
        self.review(now, id);
    }

    /// A link ended.
    pub fn handle_closed(&mut self, id: NodeId, number: LinkNumber) {
        if self.links.get(&id).is_some_and(|link| link.number == number) {
            self.links.remove(&id);
            self.turn.take_if(|(whose, _)| *whose == id);
        }
    }

    /// The next thing to do.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Self::handle_timeout`] wants to be called; none: nothing is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let turn = self.turn.map(|(_, until)| until);
        let links = self.links.values().flat_map(|link| {
            // Whoever has no hurry waits for its turn.
            let due = if link.hurried { link.due } else { link.due.max(turn.filter(|_| link.due.is_some())) };
            [due, link.cut]
        });
        links.flatten().min()
    }

    /// Time has come: links to make anew, links to end.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_none_or(|at| at > now) {
            return;
        }
        self.turn.take_if(|(_, until)| *until <= now);
        let mut due: Vec<_> = self
            .links
            .iter()
            .filter_map(|(id, link)| Some((link.due.filter(|at| *at <= now)?, *id, link.hurried)))
            .collect();
        due.sort_unstable();
        for (_, id, hurried) in due {
            if hurried {
                self.ask(id);
            } else if self.turn.is_none() {
                self.turn = Some((id, now + TURN));
                self.ask(id);
            }
        }
        for (id, link) in self.links.iter_mut().filter(|(_, link)| link.cut.is_some_and(|at| at <= now)) {
            link.cut = None;
            link.due = None;
            self.events.push_back(Event::Cut(*id, link.number));
        }
    }

    fn ask(&mut self, id: NodeId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.due = None;
        if let Need::Better(secret) | Need::Removed(secret) = need(&self.ours, link) {
            link.asked = Some(secret);
            self.events.push_back(Event::Remake(id, link.number, secret));
        }
    }

    /// Something is known anew of a link, its peer, or this node's secrets.
    fn review(&mut self, now: Instant, id: NodeId) {
        let decides = self.own > id;
        let Some(link) = self.links.get_mut(&id) else { return };
        let pause = |courtesy| if decides { Duration::ZERO } else { courtesy };
        let accepted = self.ours.contains(&link.secret);
        // Whoever removed it ends the link; the other side only helps to make a new one.
        link.cut = if accepted { None } else { link.cut.or(Some(now + CUT_AFTER)) };
        let (secret, courtesy, hurried) = match need(&self.ours, link) {
            Need::No => {
                link.due = None;
                if link.asked.take().is_some() {
                    self.events.push_back(Event::Keep(id, link.number));
                }
                return;
            }
            Need::Better(secret) => (secret, COURTESY, false),
            Need::Removed(secret) => (secret, COURTESY_HURRIED, true),
        };
        // Who is asked goes on trying.
        link.due = (link.asked != Some(secret)).then(|| now + pause(courtesy));
        link.hurried = hurried;
    }
}

/// What a peer accepts: an older version says nothing, and holds no other than that of its link.
fn known(told: &[SecretMark], of_link: SecretMark) -> Vec<SecretMark> {
    if told.is_empty() { vec![of_link] } else { told.iter().take(MAX_TOLD).copied().collect() }
}

fn need(ours: &[SecretMark], link: &Link) -> Need {
    let theirs = &link.theirs;
    let here = ours.contains(&link.secret);
    let there = theirs.contains(&link.secret);
    let first = ours.first().copied();
    match (here && there, first) {
        (true, Some(first)) if theirs.first() == Some(&first) && link.secret != first => Need::Better(first),
        (true, _) | (_, None) => Need::No,
        (false, Some(first)) => {
            Need::Removed(ours.iter().find(|mark| theirs.contains(mark)).copied().unwrap_or(first))
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test says when its time begins")]
mod tests;
