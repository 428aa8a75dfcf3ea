//! What can be seen of a node from outside: the figures that Prometheus scrapes, and the names of what is logged.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may fail"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Instant;

use talkie_tests::SOON;
use talkie_tests::mesh::{Member, Mesh};

/// What the endpoint answers to this head: its status and its body.
fn ask(at: SocketAddr, head: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
    assert!(body.is_empty() || body.len() == length.parse::<usize>().unwrap(), "{head}");
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// A page, by name and labels.
fn scrape(at: SocketAddr) -> BTreeMap<String, f64> {
    let (status, page) = ask(at, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n");
    assert_eq!(status, 200, "{page}");
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

fn served(member: &Member) -> SocketAddr {
    member.joined["metrics"].as_str().expect("it says where").parse().unwrap()
}

/// Looks again until it is so: what a link measures is there when its first ping has come back.
#[track_caller]
fn until(at: SocketAddr, so: impl Fn(&BTreeMap<String, f64>) -> bool) -> BTreeMap<String, f64> {
    let begun = Instant::now();
    loop {
        let page = scrape(at);
        if so(&page) {
            return page;
        }
        assert!(begun.elapsed() < SOON, "{page:#?}");
    }
}

#[test]
fn the_figures_of_a_running_node_move_with_what_it_does() {
    let mesh = Mesh::new();
    let sub = Member::start(mesh.talkie("sub").name("sub").arg("t/*").env("TALKIE_METRICS", "127.0.0.1:0"));
    let at = served(&sub);
    let before = scrape(at);
    assert_eq!((before["talkie_peers_up"], before["talkie_deliveries_total"]), (0.0, 0.0));
    assert_eq!(before["talkie_subscriptions"], 1.0);
    // The first may leave a moment after it has joined.
    until(at, |page| page[r#"talkie_heartbeats_sent_total{result="sent"}"#] > 0.0);

    let join = Member::start(mesh.talkie("join").name("join").args(["--metrics", "127.0.0.1:0"]));
    sub.meets(&join);
    let rtt = format!(r#"talkie_peer_rtt_seconds{{node="{}",peer="join"}}"#, join.id);
    let linked = until(at, |page| page.contains_key(&rtt));
    assert_eq!(linked["talkie_peers_linked"], 1.0);
    assert!(linked[&rtt] > 0.0 && linked[&rtt] < 1.0);

    // `pub` ends when everything is handed over.
    mesh.talkie("pub").name("pub").args(["t/1", "-"]).input("one\ntwo\nthree\n").run().exits(0);
    sub.expect_count("message", 3, SOON);
    let after = scrape(at);
    assert_eq!(after["talkie_deliveries_total"], 3.0);
    assert_eq!(after[r#"talkie_messages_total{direction="in"}"#], 3.0);
    assert!(after[r#"talkie_message_bytes_total{direction="in"}"#] > 11.0);
    let wire = r#"talkie_wire_bytes_total{direction="in"}"#;
    assert!(after[wire] > linked[wire]);
    assert_eq!(after[r#"talkie_peers_told_total{event="up"}"#], 2.0);
    for lost in ["talkie_gap_messages_total{reason=\"lost\"}", "talkie_messages_lost_total{reason=\"full\"}"]
    {
        assert_eq!(after[lost], 0.0, "{lost}");
    }

    // The other node has figures of its own, and a peer that left is no longer in them.
    let other = served(&join);
    assert_ne!(other, at);
    let known = format!(r#"talkie_peer_unacknowledged{{node="{}",peer="sub"}}"#, sub.id);
    until(other, |page| page.contains_key(&known));
    let id = sub.id.clone();
    sub.leaves();
    join.expect("peer_down", |line| line["node"] == *id, SOON);
    let left = until(other, |page| !page.contains_key(&known));
    assert_eq!(left["talkie_peers_up"], 0.0);
    assert!(TcpStream::connect(at).is_err(), "who has left serves nothing");
}

#[test]
fn whoever_asks_oddly_is_told_so_and_holds_nobody_up() {
    let mesh = Mesh::new();
    let join = Member::start(mesh.talkie("join").name("join").args(["--metrics", "127.0.0.1:0"]));
    let at = served(&join);
    assert_eq!(ask(at, "GET / HTTP/1.1\r\n\r\n").0, 404);
    assert_eq!(ask(at, "POST /metrics HTTP/1.1\r\n\r\n").0, 405);
    assert_eq!(ask(at, "\u{16}\u{3} is no HTTP\r\n\r\n").0, 400);
    assert_eq!(ask(at, "HEAD /metrics HTTP/1.1\r\n\r\n"), (200, String::new()));
    // As long as a head may be, and not at its end.
    let head = "GET /metrics HTTP/1.1\r\na: ";
    assert_eq!(ask(at, &format!("{head}{}", "b".repeat(8_192 - head.len()))).0, 400);
    // As many as are answered at once, none of which ever asks.
    let silent: Vec<_> = (0..8).map(|_| TcpStream::connect(at).unwrap()).collect();
    assert_eq!(scrape(at)["talkie_peers_up"], 0.0);
    drop(silent);
}

#[test]
fn an_address_that_is_taken_is_told_and_nothing_starts() {
    let mesh = Mesh::new();
    let join = Member::start(mesh.talkie("join").name("join").args(["--metrics", "127.0.0.1:0"]));
    let at = served(&join).to_string();
    let done = mesh.talkie("join").name("other").env("TALKIE_METRICS", &at).run();
    assert_eq!(done.code(), Some(1), "{done:?}");
    assert!(done.stderr.contains(&format!("cannot serve metrics at {at}")), "{done:?}");
}

/// Every `tracing::LEVEL!(…)` of the libraries, as name and level.
fn logged(folder: &Path, found: &mut BTreeMap<String, BTreeSet<String>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            logged(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            for call in text.split("tracing::").skip(1) {
                let Some((level, rest)) = call.split_once("!(") else { continue };
                if !["error", "warn", "info", "debug", "trace"].contains(&level) {
                    continue;
                }
                let name = rest.trim_start().strip_prefix("name: \"").and_then(|rest| rest.split('"').next());
                let name =
                    name.unwrap_or_else(|| panic!("{}: an event without a name: {rest:.60}", path.display()));
                found.entry(name.to_owned()).or_default().insert(level.to_owned());
            }
        }
    }
}

#[test]
fn each_event_has_a_name_and_stands_in_the_documentation_with_its_levels() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = BTreeMap::new();
    for library in ["discovery", "transport", "pubsub"] {
        logged(&root.join(library).join("src"), &mut found);
    }
    let docs = std::fs::read_to_string(root.join("docs/OBSERVABILITY.md")).unwrap();
    let told: BTreeMap<String, BTreeSet<String>> = docs
        .lines()
        .filter_map(|line| line.strip_prefix("| `talkie."))
        .filter_map(|rest| {
            let (name, rest) = rest.split_once("` | ")?;
            let levels: BTreeSet<_> = rest.split(" |").next()?.split(", ").map(str::to_owned).collect();
            // The table of spans has no levels.
            levels.iter().all(|level| !level.contains(' ')).then(|| (format!("talkie.{name}"), levels))
        })
        .collect();
    assert_eq!(told, found);
}
