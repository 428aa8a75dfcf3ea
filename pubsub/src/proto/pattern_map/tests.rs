use std::collections::BTreeSet;

use super::*;

fn found(map: &PatternMap<String>, topic: &Topic) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    map.for_each_match(topic, |value| assert!(found.insert(value.clone()), "{value} was found twice"));
    found
}

/// The plainest matcher: every way that `**` can be read is tried.
fn naive(pattern: &[&str], topic: &[&str]) -> bool {
    match pattern.split_first() {
        None => topic.is_empty(),
        Some((&"**", rest)) => (0..=topic.len()).any(|taken| naive(rest, &topic[taken..])),
        Some((&wanted, rest)) => topic
            .split_first()
            .is_some_and(|(&first, after)| (wanted == "*" || wanted == first) && naive(rest, after)),
    }
}

fn text(rng: &mut fastrand::Rng, alphabet: &[&str]) -> String {
    let segments: Vec<_> = (0..rng.usize(1..=6)).map(|_| alphabet[rng.usize(..alphabet.len())]).collect();
    segments.join("/")
}

#[test]
fn agrees_with_a_naive_matcher() {
    for seed in 0..300 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut map = PatternMap::default();
        let mut all = BTreeSet::new();
        for _ in 0..rng.usize(1..60) {
            let pattern = text(&mut rng, &["a", "b", "*", "**", "**"]);
            map.get_or_insert_with(&pattern.parse().unwrap(), || pattern.clone());
            all.insert(pattern);
            if rng.u8(..) < 60 {
                let gone = all.iter().nth(rng.usize(..all.len())).unwrap().clone();
                assert_eq!(map.remove(&gone.parse().unwrap()).as_ref(), Some(&gone), "seed {seed}");
                all.remove(&gone);
            }
        }
        assert_eq!(map.len(), all.len());
        for _ in 0..40 {
            let topic: Topic = text(&mut rng, &["a", "b", "c"]).parse().unwrap();
            let segments: Vec<_> = topic.segments().collect();
            let expected: BTreeSet<_> = all
                .iter()
                .filter(|pattern| naive(&pattern.split('/').collect::<Vec<_>>(), &segments))
                .cloned()
                .collect();
            assert_eq!(found(&map, &topic), expected, "seed {seed}, topic {topic}");
            for pattern in &all {
                let fits = pattern.parse::<Pattern>().unwrap().matches(&topic);
                assert_eq!(fits, expected.contains(pattern), "seed {seed}, {pattern} on {topic}");
            }
        }
        for pattern in all {
            assert!(map.remove(&pattern.parse().unwrap()).is_some());
        }
        assert_eq!(map.nodes(), 1, "seed {seed}: nodes stay behind");
        assert!(map.is_empty());
    }
}

#[test]
fn adversarial_patterns_do_not_explode() {
    let mut map = PatternMap::default();
    for deep in 1..=8 {
        for tail in ["a", "*", "b"] {
            let pattern = format!("{}/{tail}", vec!["**/a"; deep.min(7)].join("/"));
            map.get_or_insert_with(&pattern.parse().unwrap(), || pattern.clone());
        }
    }
    map.get_or_insert_with(&vec!["**"; 16].join("/").parse().unwrap(), || "stars".into());
    let topic: Topic = ["a"; 16].join("/").parse().unwrap();
    let mut steps = 0;
    for _ in 0..2_000 {
        map.for_each_match(&topic, |_| steps += 1);
    }
    // Seven depths, `a` and `*` behind each, and the stars: each once per look-up.
    assert_eq!(steps, 2_000 * 15);
}

#[test]
fn an_absent_pattern_is_not_removed() {
    let mut map = PatternMap::default();
    map.get_or_insert_with(&"a/*/c".parse().unwrap(), || 1);
    for absent in ["a", "a/*", "a/*/d", "a/**/c", "*", "**"] {
        assert_eq!(map.remove(&absent.parse().unwrap()), None, "{absent}");
        assert_eq!(map.get_mut(&absent.parse().unwrap()), None, "{absent}");
    }
    assert_eq!(map.get_mut(&"a/*/c".parse().unwrap()), Some(&mut 1));
    assert_eq!(map.nodes(), 4);
}
