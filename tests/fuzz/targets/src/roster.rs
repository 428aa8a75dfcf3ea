//! Who is here: heartbeats of any order, age and origin.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use talkie_discovery::{Event, SecretMark};
use talkie_discovery::proto::beacon::{Beacon, Versions};
use talkie_discovery::proto::roster::{Heard, Roster, Way};

use crate::feed::{Feed, addr, begin, node};

/// What was heard of a node.
#[derive(Debug, Clone, Copy)]
struct Known {
    sequence: u64,
    left: bool,
}

/// A node's sequence only grows, whatever happens meanwhile; nothing but its own repetitions follows a goodbye. It tells of nobody
/// who was not heard, of each at most once after what is new, and with one to eight addresses that were told. In the end all are
/// forgotten.
pub fn run(data: &[u8]) {
    let (mut feed, mut now) = (Feed::new(data), begin());
    let (own, mut roster) = (node(0), Roster::new(node(0)));
    let secret = SecretMark::from_bytes([1; SecretMark::LEN]);
    let mut known: HashMap<usize, Known> = HashMap::new();
    while feed.more() {
        match feed.byte() % 8 {
            0..5 => {
                let (who, sequence, leaving) = (feed.below(6), feed.number(), feed.byte() < 16);
                let addrs: Vec<SocketAddr> = feed.bytes(4).iter().map(|n| addr(usize::from(n % 16))).collect();
                let beacon = Beacon {
                    id: node(who),
                    sequence,
                    versions: Versions::OURS,
                    port: addr(0).port().try_into().expect("not 0"),
                    addrs: Vec::new(),
                    name: "a".parse().expect("a name"),
                    leaving,
                    host: None,
                };
                let heard = roster.handle_beacon(now, Way(feed.number()), secret, &beacon, addrs);
                let before = known.get(&who).copied();
                match heard {
                    Heard::Own => assert_eq!(who, 0),
                    Heard::Fresh => {
                        assert!(before.is_none_or(|it| !it.left && it.sequence < sequence), "{who}: {before:?}");
                        known.insert(who, Known { sequence, left: leaving });
                    }
                    Heard::Copy => {
                        let before = before.expect("of something");
                        assert!(if before.left { before.sequence < sequence } else { before.sequence == sequence });
                        known.insert(who, Known { sequence, ..before });
                    }
                    Heard::Replayed => assert!(before.is_some_and(|before| sequence <= before.sequence)),
                    _ => panic!("another kind"),
                }
                assert!(who != 0 || heard == Heard::Own);
            }
            5 => {
                now += feed.pause();
                roster.handle_timeout(now);
                assert!(roster.poll_timeout().is_none_or(|due| due > now));
            }
            6 => {
                let mut told = Vec::new();
                while let Some(event) = roster.poll_event() {
                    let (id, addrs, left) = match event {
                        Event::Seen { id, addrs, .. } => (id, addrs, false),
                        Event::Left { id } => (id, Vec::new(), true),
                        other => panic!("{other:?}"),
                    };
                    assert!(id != own && !told.contains(&id), "once, and not itself");
                    let it = known[&usize::from(id.as_bytes()[0])];
                    assert_eq!(it.left, left);
                    assert!(left || (1..=8).contains(&addrs.len()));
                    let mut sorted = addrs.clone();
                    sorted.sort_unstable();
                    sorted.dedup();
                    assert_eq!(sorted.len(), addrs.len(), "none twice");
                    told.push(id);
                }
                assert!(!roster.has_news());
            }
            _ => roster.handle_sent(now),
        }
        let here = known.values().filter(|it| !it.left).count();
        assert!(roster.population() <= here + 1);
    }
    roster.handle_timeout(now + Duration::from_secs(3_600));
    assert_eq!((roster.population(), roster.poll_timeout()), (1, None));
}
