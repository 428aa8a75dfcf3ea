//! The match: any patterns, any topics.

use std::collections::BTreeMap;

use talkie_pubsub::proto::index::Index;
use talkie_pubsub::proto::pattern_map::PatternMap;
use talkie_pubsub::{Pattern, Topic};
use talkie_transport::Interest;

use crate::feed::Feed;

type Wants = (Option<u8>, BTreeMap<u8, Interest>);

/// A pattern, the trie and the index agree with what the rules say of each pattern by itself: each that fits once, none that does not, in
/// the order of ids. A change is seen by its version. When nobody wants anything, nothing is left.
pub fn run(data: &[u8]) {
    let mut feed = Feed::new(data);
    let (index, mut trie) = (Index::<u8, u8>::default(), PatternMap::<Pattern>::default());
    let mut wanted: BTreeMap<Pattern, Wants> = BTreeMap::new();
    while feed.more() {
        match feed.byte() % 8 {
            kind @ 0..4 => {
                let Ok(pattern) = text(&mut feed, &["a", "b", "*", "**"]).parse::<Pattern>() else { return };
                let (who, id, version) = (feed.byte() % 3, u64::from(feed.byte() % 4), index.version());
                let wants = wanted.entry(pattern.clone()).or_default();
                match kind {
                    0 => {
                        index.set_local(&pattern, who);
                        wants.0 = Some(who);
                    }
                    1 => {
                        index.remove_local(&pattern);
                        wants.0 = None;
                    }
                    2 => {
                        let interest = Interest { id, epoch: u64::from(who) };
                        index.set_remote(&who, &pattern, interest);
                        wants.1.insert(who, interest);
                    }
                    _ => {
                        index.remove_remote(&who, &pattern, id);
                        wants.1.retain(|known, interest| *known != who || interest.id != id);
                    }
                }
                assert!(index.version() > version);
                if wants.0.is_some() || !wants.1.is_empty() {
                    assert_eq!(*trie.get_or_insert_with(&pattern, || pattern.clone()), pattern);
                } else {
                    trie.remove(&pattern);
                    wanted.remove(&pattern);
                }
            }
            _ => {
                let Ok(topic) = text(&mut feed, &["a", "b", "c", "a"]).parse::<Topic>() else { return };
                look(&topic, &wanted, &index, &trie);
            }
        }
        assert_eq!((trie.len(), trie.is_empty(), index.is_empty()), (wanted.len(), wanted.is_empty(), wanted.is_empty()));
    }
    for (pattern, (_, remote)) in &wanted {
        index.remove_local(pattern);
        remote.iter().for_each(|(who, interest)| index.remove_remote(who, pattern, interest.id));
        assert_eq!(trie.remove(pattern).as_ref(), Some(pattern));
    }
    assert!(index.is_empty() && trie.is_empty());
    assert_eq!(trie.nodes(), 1, "memory follows content");
}

fn look(topic: &Topic, wanted: &BTreeMap<Pattern, Wants>, index: &Index<u8, u8>, trie: &PatternMap<Pattern>) {
    let segments: Vec<&str> = topic.segments().collect();
    let fit = |pattern: &Pattern| fits(&pattern.segments().collect::<Vec<_>>(), &segments);
    let mut found = Vec::new();
    trie.for_each_match(topic, |pattern| found.push(pattern));
    found.sort_unstable();
    let (mut local, mut remote) = (Vec::new(), BTreeMap::<u8, Vec<Interest>>::new());
    let mut fitting = Vec::new();
    for (pattern, (here, there)) in wanted {
        assert_eq!(pattern.matches(topic), fit(pattern), "{pattern} and {topic}");
        if fit(pattern) {
            fitting.push(pattern);
            local.extend(*here);
            there.iter().for_each(|(who, interest)| remote.entry(*who).or_default().push(*interest));
        }
    }
    assert_eq!(found, fitting, "each once");
    let mut matches = index.matches(topic);
    local.sort_unstable();
    matches.local.sort_unstable();
    assert_eq!(&matches.local[..], local);
    assert_eq!(matches.remote.len(), remote.len(), "each peer once");
    for (who, interests) in &matches.remote {
        let wanted = remote.get_mut(who).expect("it wants it");
        wanted.sort_unstable();
        assert_eq!(&interests[..], wanted);
    }
}

/// What the rules say.
fn fits(pattern: &[&str], topic: &[&str]) -> bool {
    match (pattern.split_first(), topic.split_first()) {
        (None, None) => true,
        (Some((&"**", rest)), _) => {
            fits(rest, topic) || topic.split_first().is_some_and(|(_, behind)| fits(pattern, behind))
        }
        (Some((&wanted, rest)), Some((segment, behind))) => (wanted == "*" || wanted == *segment) && fits(rest, behind),
        _ => false,
    }
}

fn text(feed: &mut Feed<'_>, words: &[&str; 4]) -> String {
    let shape = feed.byte();
    let segments: Vec<&str> = (0..1 + shape % 6).map(|_| words[feed.below(4)]).collect();
    segments.join("/")
}
