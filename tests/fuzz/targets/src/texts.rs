//! What a user writes, and a peer may tell: names, topics, patterns, addresses, secrets, variables.

use std::ffi::OsStr;
use std::fmt::Display;
use std::str::FromStr;

use talkie_pubsub::settings::{SETTINGS, check_names};
use talkie_pubsub::{
    BusName, GroupName, Groups, InterfaceSpec, MAX_BUS_BYTES, MAX_BYTES, MAX_GROUP_BYTES, MAX_SEGMENTS, NodeId, NodeName,
    Partner, Pattern, Secret, Topic,
};

/// What is taken is within its bounds, and is taken again as what it is shown as. What is refused is told in one line that shows
/// no secret.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(topic) = again::<Topic>(text) {
        assert!(topic.as_str().len() <= MAX_BYTES && topic.segments().count() <= MAX_SEGMENTS);
        assert!(topic.segments().all(|segment| !segment.is_empty() && !segment.contains('*')));
        let pattern: Pattern = text.parse().expect("each topic is a pattern");
        assert!(pattern.is_exact() && pattern.matches(&topic) && pattern.as_topic() == Some(topic));
    }
    if let Some(pattern) = again::<Pattern>(text) {
        assert!(pattern.as_str().len() <= MAX_BYTES && pattern.segments().count() <= MAX_SEGMENTS);
        assert_eq!(pattern.is_exact(), text.parse::<Topic>().is_ok());
    }
    assert!(again::<BusName>(text).is_none_or(|name| is_name(name.as_str(), MAX_BUS_BYTES)));
    assert!(again::<GroupName>(text).is_none_or(|name| is_name(name.as_str(), MAX_GROUP_BYTES)));
    assert!(again::<NodeName>(text).is_none_or(|name| is_name(name.as_str(), NodeName::MAX_LEN)));
    assert!(is_name(NodeName::lossy(text).as_str(), NodeName::MAX_LEN));
    assert!(again::<NodeId>(text).is_none_or(|id| id.to_string() == text.to_lowercase()));
    again::<InterfaceSpec>(text);
    again::<Groups>(text);
    again::<Partner>(text);
    if let Ok(groups) = Groups::parse_list(text) {
        assert_eq!(Groups::parse_list(&groups.to_string()), Ok(groups));
    }
    if let Ok(partners) = Partner::parse_list(text) {
        assert!(partners.iter().all(|partner| partner.port() != 0));
        let shown: Vec<String> = partners.iter().map(ToString::to_string).collect();
        assert_eq!(Partner::parse_list(&shown.join(",")), Ok(partners));
    }
    secret(text);
    // To look for what is meant costs more than all the rest.
    if text.len() <= 12 && text.starts_with(|first: char| first.is_ascii_uppercase()) {
        variable(text);
    }
}

fn again<T: FromStr<Err: Display> + Display + PartialEq>(text: &str) -> Option<T> {
    match text.parse::<T>() {
        Ok(value) => {
            assert!(value.to_string().parse::<T>().is_ok_and(|again| again == value), "{value}");
            Some(value)
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            None
        }
    }
}

fn is_name(name: &str, most: usize) -> bool {
    (1..=most).contains(&name.len()) && !name.chars().any(char::is_control)
}

fn secret(text: &str) {
    match Secret::parse(text) {
        Ok(secret) => {
            let shown = secret.to_text();
            assert!(shown.eq_ignore_ascii_case(text));
            assert_eq!(*Secret::parse(&shown).expect("its own text").to_text(), *shown);
            assert!(matches!(&*format!("{secret:?}"), "Secret(generated)" | "Secret(passphrase)"));
        }
        Err(error) => {
            let told = error.to_string();
            assert!(!told.is_empty() && (text.len() < 12 || !told.contains(text)), "{told}");
        }
    }
}

fn variable(text: &str) {
    let name = format!("TALKIE_{text}");
    match check_names([OsStr::new(&name)]) {
        Ok(warnings) => {
            assert!(warnings.len() <= 1);
            assert!(warnings.iter().all(|warning| !warning.chars().any(char::is_control)));
            assert!(SETTINGS.iter().all(|known| known.variable != name) || warnings.is_empty());
        }
        Err(error) => {
            assert!(SETTINGS.iter().all(|known| known.variable != name));
            assert!(!error.to_string().chars().any(char::is_control), "{error}");
        }
    }
}
