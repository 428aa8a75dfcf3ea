//! What is told of dials that fail: each reason once, and not what anybody could cause.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use talkie_discovery::NodeId;

use super::dialer::Shown;
use crate::proto::mesh::Target;

/// Failed dials of a node that is heard, until that is told: a few seconds.
const WARN_AFTER: u32 = 4;
/// Nodes whose failed dials are counted.
const MAX_UNREACHABLE: usize = 1_024;
/// A partner that is not there yet when this node starts is no trouble: services that start together find each other within it.
const PARTNER_AFTER: Duration = Duration::from_secs(1);
/// Reasons remembered of one partner's address.
const MAX_REASONS: usize = 8;

#[derive(Debug, Default)]
pub(crate) struct Complaints {
    /// When an address of a partner first failed, and the reasons that were told since.
    partners: HashMap<(usize, SocketAddr), (Instant, HashSet<String>)>,
    /// Failed dials of nodes that were never linked.
    unreachable: HashMap<NodeId, u32>,
}

impl Complaints {
    /// A dial failed. `known`: the node was linked before, so its user knows of it.
    pub(crate) fn dial_failed(&mut self, now: Instant, target: Target, known: bool, why: &str) {
        match target {
            // A partner was named by somebody, who wants to know.
            Target::Partner(partner, addr) => {
                let (since, told) =
                    self.partners.entry((partner, addr)).or_insert_with(|| (now, HashSet::new()));
                let lasts = now.saturating_duration_since(*since) >= PARTNER_AFTER;
                if lasts && told.len() < MAX_REASONS && told.insert(why.to_owned()) {
                    tracing::warn!("cannot link to {}: {why}; still trying", Shown(target));
                }
            }
            // A node that is heard and never linked is most often behind a firewall; told once per node.
            Target::Node(id) if !known => {
                if self.unreachable.len() >= MAX_UNREACHABLE {
                    self.unreachable.clear();
                }
                let failures = self.unreachable.entry(id).or_default();
                *failures += 1;
                if *failures == WARN_AFTER {
                    tracing::warn!(
                        "knows of node {id} but cannot connect to it: {why}; does a firewall block TCP?"
                    );
                }
            }
            Target::Node(_) => {}
        }
    }

    /// A partner is linked: what goes wrong from here on is news.
    pub(crate) fn partner_linked(&mut self, partner: usize) {
        self.partners.retain(|(of, _), _| *of != partner);
    }
}
