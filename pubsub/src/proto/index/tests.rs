use std::collections::{BTreeMap, BTreeSet};

use super::*;

fn interest(id: u64) -> Interest {
    Interest { id, epoch: 0 }
}

#[test]
fn a_peer_appears_once_with_all_its_interests() {
    let index: Index<u32, &str> = Index::default();
    for (id, pattern) in [(3, "a/*"), (1, "a/b"), (2, "**")] {
        let pattern: Pattern = pattern.parse().unwrap();
        for peer in 0..40 {
            index.set_remote(&peer, &pattern, interest(id));
        }
    }
    index.set_local(&"a/b".parse().unwrap(), "exact");
    index.set_local(&"*/b".parse().unwrap(), "wild");
    let matches = index.matches(&"a/b".parse().unwrap());
    assert_eq!(matches.local.iter().collect::<BTreeSet<_>>(), BTreeSet::from([&"exact", &"wild"]));
    assert_eq!(matches.remote.len(), 40);
    for (_, interests) in matches.remote {
        assert_eq!(interests.as_slice(), [interest(1), interest(2), interest(3)]);
    }
}

#[test]
fn a_newer_interest_is_not_removed_with_the_older() {
    let index: Index<u32, ()> = Index::default();
    for pattern in ["a", "a/**"] {
        let pattern: Pattern = pattern.parse().unwrap();
        index.set_remote(&1, &pattern, interest(1));
        index.set_remote(&1, &pattern, interest(2));
        index.remove_remote(&1, &pattern, 1);
        assert!(!index.is_empty());
        index.remove_remote(&1, &pattern, 2);
        assert!(index.is_empty());
    }
}

#[test]
fn agrees_with_a_plain_table() {
    for seed in 0..200 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let index: Index<u8, String> = Index::default();
        let mut remote: BTreeMap<(u8, String), u64> = BTreeMap::new();
        let mut local: BTreeSet<String> = BTreeSet::new();
        for id in 0..rng.u64(1..150) {
            let pattern = text(&mut rng, &["a", "b", "*", "**"]);
            let parsed: Pattern = pattern.parse().unwrap();
            let peer = rng.u8(0..25);
            match rng.u8(0..6) {
                0 => {
                    index.set_local(&parsed, pattern.clone());
                    local.insert(pattern);
                }
                1 => {
                    index.remove_local(&parsed);
                    local.remove(&pattern);
                }
                2 => {
                    if let Some(id) = remote.remove(&(peer, pattern)) {
                        index.remove_remote(&peer, &parsed, id);
                    }
                }
                _ => {
                    index.set_remote(&peer, &parsed, interest(id));
                    remote.insert((peer, pattern), id);
                }
            }
        }
        for _ in 0..20 {
            let topic: Topic = text(&mut rng, &["a", "b", "c"]).parse().unwrap();
            let fits = |pattern: &String| pattern.parse::<Pattern>().unwrap().matches(&topic);
            let matches = index.matches(&topic);
            let here: BTreeSet<_> = matches.local.into_iter().collect();
            assert_eq!(here, local.iter().filter(|pattern| fits(pattern)).cloned().collect(), "seed {seed}");
            let mut expected: BTreeMap<u8, BTreeSet<u64>> = BTreeMap::new();
            for ((peer, _), &id) in remote.iter().filter(|((_, pattern), _)| fits(pattern)) {
                expected.entry(*peer).or_default().insert(id);
            }
            let peers = matches.remote.len();
            let there: BTreeMap<u8, BTreeSet<u64>> = matches
                .remote
                .into_iter()
                .map(|(peer, interests)| (peer, interests.iter().map(|interest| interest.id).collect()))
                .collect();
            assert_eq!(peers, there.len(), "seed {seed}: a peer twice");
            assert_eq!(there, expected, "seed {seed}");
        }
    }
}

fn text(rng: &mut fastrand::Rng, alphabet: &[&str]) -> String {
    let segments: Vec<_> = (0..rng.usize(1..=3)).map(|_| alphabet[rng.usize(..alphabet.len())]).collect();
    segments.join("/")
}
