use super::*;

fn topic(text: &str) -> Topic {
    text.parse().unwrap()
}

fn pattern(text: &str) -> Pattern {
    text.parse().unwrap()
}

#[test]
fn topics_within_the_limits_are_taken() {
    for good in ["a", "room:42", "a/b/c", "ü/日本", " ", &vec!["s"; 16].join("/"), &"x".repeat(255)] {
        assert_eq!(topic(good).as_str(), good);
    }
}

#[test]
fn topics_beyond_the_limits_are_refused_in_plain_words() {
    let long = "x".repeat(256);
    let deep = vec!["s"; 17].join("/");
    for (bad, says) in [
        ("", "must not be empty"),
        ("/a", "empty segment"),
        ("a/", "empty segment"),
        ("a//b", "empty segment"),
        ("a/*", "wildcards"),
        ("a*b", "wildcards"),
        (&long, "256 bytes; at most 255"),
        (&deep, "17 segments; at most 16"),
    ] {
        let said = bad.parse::<Topic>().unwrap_err().to_string();
        assert!(said.contains(says), "{bad:?}: {said}");
        assert!(said.len() < 200, "{said}");
    }
}

#[test]
fn a_wildcard_is_a_whole_segment() {
    for good in ["*", "**", "a/*/b", "**/**", "a"] {
        assert_eq!(pattern(good).as_str(), good);
    }
    for bad in ["a*", "***", "a/b*c", "*/**x"] {
        let said = bad.parse::<Pattern>().unwrap_err().to_string();
        assert!(said.contains(bad) && said.contains("inside segment"), "{said}");
    }
}

#[test]
fn patterns_match_by_segment() {
    for (p, t, fits) in [
        ("a/b", "a/b", true),
        ("a/b", "a/c", false),
        ("a/*", "a/b", true),
        ("a/*", "a", false),
        ("a/*", "a/b/c", false),
        ("a/**", "a", true),
        ("a/**", "a/b/c", true),
        ("a/**", "b", false),
        ("**", "x/y/z", true),
        ("**/z", "z", true),
        ("**/z", "x/y/z", true),
        ("**/z", "x/y", false),
        ("a/**/z", "a/z", true),
        ("a/**/z", "a/b/z/z", true),
        ("**/a/*/**", "a/b", true),
        ("**/a/*/**", "b/a", false),
        ("*/**", "a", true),
        ("**/*", "a", true),
    ] {
        assert_eq!(pattern(p).matches(&topic(t)), fits, "{p} on {t}");
    }
}

#[test]
fn adversarial_patterns_match_quickly() {
    let p = pattern(&["**", "a"].repeat(8).join("/"));
    let t = topic(&[&["a"; 15][..], &["b"]].concat().join("/"));
    for _ in 0..10_000 {
        assert!(!p.matches(&t));
    }
}

#[test]
fn bus_names_are_printable_and_short() {
    assert_eq!(BusName::default().as_str(), "default");
    assert!("büro 7".parse::<BusName>().is_ok());
    assert!("x".repeat(64).parse::<BusName>().is_ok());
    for bad in ["", "a\nb", "\u{7f}", &"x".repeat(65)] {
        assert!(bad.parse::<BusName>().is_err(), "{bad:?}");
    }
}

#[test]
fn refused_texts_are_shortened_between_characters() {
    let said = "ü".repeat(500).parse::<Topic>().unwrap_err().to_string();
    assert!(said.contains(&format!("{}…", "ü".repeat(64))), "{said}");
}

#[test]
fn what_is_deserialized_is_checked() {
    let bytes = postcard::to_allocvec("a//b").unwrap();
    assert!(postcard::from_bytes::<Topic>(&bytes).is_err());
    let bytes = postcard::to_allocvec(&topic("a/b")).unwrap();
    assert_eq!(postcard::from_bytes::<Topic>(&bytes).unwrap(), topic("a/b"));
}
