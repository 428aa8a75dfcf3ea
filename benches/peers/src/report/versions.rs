//! Which versions were measured: of crates from this package's lock file, of servers from themselves.

use std::process::Command;

const LOCK: &str = include_str!("../../Cargo.lock");

/// One text each, such as `zenoh 1.10.2`.
pub fn versions() -> Vec<String> {
    let crates = ["talkie-pubsub", "tokio", "ring", "zenoh", "async-nats", "arzmq", "redis"];
    let locked = crates.into_iter().filter_map(|name| Some(format!("{name} {}", locked(LOCK, name)?)));
    let servers = ["nats-server", "redis-server"].into_iter().filter_map(|program| {
        let told = Command::new(program).arg("--version").output().ok()?;
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        Some(format!("{program} {}", number(&told)?))
    });
    locked.chain(servers).collect()
}

fn locked<'a>(lock: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    Some(rest.split_once('"')?.0)
}

/// The first word that looks like a version.
fn number(told: &str) -> Option<String> {
    told.split_whitespace()
        .map(|word| word.trim_start_matches("v="))
        .map(|word| word.trim_start_matches('v'))
        .find(|word| word.contains('.') && word.starts_with(|first: char| first.is_ascii_digit()))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_where_they_stand() {
        assert!(locked(LOCK, "zenoh").is_some_and(|version| version.starts_with("1.")));
        assert_eq!(number("Redis server v=7.0.15 sha=0:0").as_deref(), Some("7.0.15"));
        assert_eq!(number("nats-server: v2.9.10").as_deref(), Some("2.9.10"));
    }
}
