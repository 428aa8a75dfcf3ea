//! What it may mean that nobody is heard.

use std::collections::BTreeMap;
use std::fmt;

/// What one socket has heard so far.
#[derive(Copy, Clone, Debug)]
pub struct Ear<'a> {
    /// The interface's name.
    pub interface: &'a str,
    /// Whether it is loopback, which says nothing of a network.
    pub loopback: bool,
    /// Whether this node's own heartbeats came back.
    pub own: bool,
    /// Whether heartbeats of another host came.
    pub others: bool,
}

/// Why this node may be alone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// On these interfaces not even this node's own heartbeats are heard, though the system loops them back.
    Deaf(Vec<String>),
    /// On these interfaces no other host is heard.
    Alone(Vec<String>),
}

/// What is to be told of what the sockets of all interfaces have heard; nothing where somebody is heard, or where there is
/// no network that could be to blame.
pub fn find<'a>(ears: impl IntoIterator<Item = Ear<'a>>) -> Option<Finding> {
    let (mut alone, mut networks) = (true, BTreeMap::<&str, bool>::new());
    for ear in ears {
        if !ear.loopback {
            alone &= !ear.others;
            // One family of an interface may have no way to be heard, so what the other hears counts for both.
            *networks.entry(ear.interface).or_default() |= ear.own | ear.others;
        }
    }
    let named = |deaf: bool| {
        let named = networks.iter().filter(|(_, hears)| !deaf || !**hears);
        named.map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>()
    };
    let deaf = named(true);
    if !deaf.is_empty() {
        return Some(Finding::Deaf(deaf));
    }
    (alone && !networks.is_empty()).then(|| Finding::Alone(named(false)))
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deaf(names) => write!(
                f,
                "no heartbeat heard on {}, not even my own: a firewall of this host blocks multicast, or none could \
                 be sent",
                names.join(", ")
            ),
            Self::Alone(names) => write!(
                f,
                "no heartbeat of another host heard on {}: no other node with this secret runs there, or the network \
                 blocks multicast; then name one that can be reached with --partners",
                names.join(", ")
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ear(interface: &str, own: bool, others: bool) -> Ear<'_> {
        Ear { interface, loopback: matches!(interface.as_bytes(), b"lo"), own, others }
    }

    #[test]
    fn silence_is_told_by_network_and_loopback_is_none() {
        let lo = ear("lo", true, false);
        assert_eq!(find([]), None);
        assert_eq!(find([lo]), None, "waiting for a network is told elsewhere");
        let deaf = Some(Finding::Deaf(vec!["eth0".into()]));
        assert_eq!(find([lo, ear("eth0", false, false), ear("eth0", false, false)]), deaf);
        assert_eq!(find([lo, ear("eth0", false, false), ear("wlan0", true, true)]), deaf);
        let alone = Some(Finding::Alone(vec!["eth0".into(), "wlan0".into()]));
        let both = [lo, ear("eth0", false, false), ear("eth0", true, false), ear("wlan0", true, false)];
        assert_eq!(find(both), alone);
        assert_eq!(find(both.into_iter().chain([ear("wlan0", false, true)])), None);
        let cut = Some(Finding::Alone(vec!["eth0".into()]));
        assert_eq!(find([ear("lo", true, true), ear("eth0", true, false)]), cut, "several on this host");
    }
}
