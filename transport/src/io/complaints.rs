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
/// Addresses of partners of which reasons are remembered.
const MAX_ADDRESSES: usize = 1_024;
/// Reasons remembered of one partner's address.
const MAX_REASONS: usize = 8;

#[derive(Debug, Default)]
pub(crate) struct Complaints {
    /// When an address of a partner first failed, and the reasons that were told since.
    partners: HashMap<(usize, SocketAddr), (Instant, HashSet<String>)>,
    /// Partners that are linked at one of their addresses.
    linked: HashSet<usize>,
    /// Failed dials of nodes that were never linked.
    unreachable: HashMap<NodeId, u32>,
}

impl Complaints {
    /// A dial failed. `known`: the node was linked before, so its user knows of it.
    pub(crate) fn dial_failed(&mut self, now: Instant, target: Target, known: bool, why: &str) {
        match target {
            // A partner was named by somebody, who wants to know.
            // What is linked may have addresses that lead nowhere: another family, an older entry of its name.
            Target::Partner(partner, _) if self.linked.contains(&partner) => {}
            Target::Partner(partner, addr) => {
                // A name whose addresses change for ever is forgotten from time to time.
                if self.partners.len() >= MAX_ADDRESSES {
                    self.partners.clear();
                }
                let (since, told) =
                    self.partners.entry((partner, addr)).or_insert_with(|| (now, HashSet::new()));
                let lasts = now.saturating_duration_since(*since) >= PARTNER_AFTER;
                if lasts && told.len() < MAX_REASONS && told.insert(why.to_owned()) {
                    tracing::warn!(name: "talkie.dial.unreachable", "cannot link to {}: {why}; still trying", Shown(target));
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
                        name: "talkie.dial.unreachable",
                        "knows of node {id} but cannot connect to it: {why}; does a firewall block TCP?"
                    );
                }
            }
            Target::Node(_) => {}
        }
    }

    /// Whether a partner is linked has changed: what goes wrong after it was is news.
    pub(crate) fn partner_linked(&mut self, partner: usize, linked: bool) {
        self.partners.retain(|(of, _), _| *of != partner);
        if linked {
            self.linked.insert(partner);
        } else {
            self.linked.remove(&partner);
        }
    }
}
