//! The addresses of our partners. Whom one leads to is known after a handshake.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use talkie_discovery::{NodeId, Via};

use super::dials::{self, Dial, Dials, MAX_LEADS, Outcome, Pace, Target};

#[derive(Debug, Default)]
struct Lead {
    to: Option<NodeId>,
    myself: bool,
    pace: Pace,
}

/// What is tried of the partners of the settings, by their places there.
#[derive(Debug, Default)]
pub(super) struct Leads {
    leads: HashMap<(usize, SocketAddr), Lead>,
    /// Whether each was last told to be linked.
    told: HashMap<usize, bool>,
}

impl Leads {
    /// A partner's name led to these addresses. Each is tried, for one name may stand for several nodes.
    pub(super) fn handle_partner(&mut self, now: Instant, partner: usize, addrs: &[SocketAddr]) {
        self.leads.retain(|(of, addr), lead| *of != partner || lead.to.is_some() || addrs.contains(addr));
        self.told.entry(partner).or_insert(false);
        for addr in addrs.iter().take(MAX_LEADS) {
            let lead = self.leads.entry((partner, *addr)).or_default();
            if lead.to.is_none() && !lead.myself {
                lead.pace.begin(now);
            }
        }
    }

    /// This host's interfaces changed: planned dials are brought forward.
    pub(super) fn handle_network(&mut self, now: Instant) {
        for lead in self.leads.values_mut().filter(|lead| lead.pace.due().is_some()) {
            lead.pace.hurry(now, Duration::ZERO);
        }
    }

    pub(super) fn handle_dial_ended(
        &mut self,
        now: Instant,
        rng: &mut fastrand::Rng,
        lead: (usize, SocketAddr),
        number: dials::DialNumber,
        outcome: Outcome,
    ) {
        let Some(lead) = self.leads.get_mut(&lead) else { return };
        lead.pace.ended(number);
        match outcome {
            Outcome::Reached(id) => lead.to = Some(id),
            Outcome::Myself => lead.myself = true,
            Outcome::Failed | Outcome::Unanswered => {}
        }
        if !lead.myself {
            lead.pace.back_off(now, rng, dials::cap(None));
        }
    }

    /// The link to a node that some of them led to is gone.
    pub(super) fn handle_closed(
        &mut self,
        now: Instant,
        rng: &mut fastrand::Rng,
        id: NodeId,
        lived: Duration,
    ) {
        for lead in self.leads.values_mut().filter(|lead| lead.to == Some(id)) {
            lead.to = None;
            lead.pace.again(now, rng, lived);
        }
    }

    /// What some of them led to is no node that is known any more.
    pub(super) fn forget(&mut self, id: NodeId) {
        for lead in self.leads.values_mut().filter(|lead| lead.to == Some(id)) {
            lead.to = None;
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.leads.values().filter_map(|lead| lead.pace.due()).min()
    }

    /// Starts the dials that are due.
    pub(super) fn handle_timeout(
        &mut self,
        now: Instant,
        dials: &mut Dials,
        linked: impl Fn(NodeId) -> bool,
        out: &mut impl Extend<Dial>,
    ) {
        for ((partner, addr), lead) in &mut self.leads {
            let target = Target::Partner(*partner, *addr);
            if lead.myself || lead.to.is_some_and(&linked) {
                lead.pace.stop();
            } else if let Some(number) = lead.pace.start(now, dials, target, Via::Partner) {
                out.extend([Dial {
                    number,
                    target,
                    addrs: vec![*addr],
                    via: Via::Partner,
                    unix: None,
                    secret: None,
                }]);
            }
        }
    }

    /// Partners of which it has changed whether they are linked.
    pub(super) fn changes(&mut self, linked: impl Fn(NodeId) -> bool) -> Vec<(usize, bool)> {
        let mut changed = Vec::new();
        for (partner, told) in &mut self.told {
            let now = self
                .leads
                .iter()
                .any(|((of, _), lead)| of == partner && (lead.myself || lead.to.is_some_and(&linked)));
            if now != *told {
                *told = now;
                changed.push((*partner, now));
            }
        }
        changed
    }
}
