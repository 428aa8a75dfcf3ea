//! What a user can rely on: CONTRACT's promises 1 to 4, with a ledger of every message.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use talkie_tests::{
    SLACK, SOON,
    feeder::Feeder,
    ledger::{Ledger, Totals},
    mesh::{Member, Mesh},
    process::{Line, Process},
};

/// The id of the publisher that a subscriber met by name.
fn met(sub: &Member, name: &str) -> String {
    let up = sub.expect("peer_up", |line| line["name"] == name, SOON);
    up.get("node").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// `count` numbered lines as an input.
fn numbered(count: usize) -> String {
    (0..count).map(|number| format!("{number}\n")).collect()
}

/// The ledger of one publisher of numbered messages on `t`.
fn ledger_of(publisher: &str, count: u64, payload: impl Fn(u64) -> String) -> Ledger {
    let mut ledger = Ledger::new();
    for number in 0..count {
        ledger.published(publisher, "t", payload(number));
    }
    ledger
}

fn is_message(line: &Line) -> bool {
    line.json.as_ref().and_then(|json| json.get("event")) == Some(&Value::from("message"))
}

/// The publisher is done: with exit 1 where a node that it lost meanwhile left messages in doubt.
fn ends(publisher: &Process) {
    let status = publisher.wait(SOON);
    assert!(matches!(status.code(), Some(0 | 1)), "{}", publisher.story());
}

fn wait_for_last(sub: &Process, payload: &str) {
    sub.expect("message", |line| line["payload"] == payload, SOON + SOON);
}

#[test]
fn ten_thousand_lines_arrive_in_order() {
    const COUNT: u64 = 10_000;
    let mesh = Mesh::new();
    let subs = [mesh.sub("one", &["t"]), mesh.sub("two", &["*"])];
    let publisher = mesh.talkie("pub").name("pub").args(["t", "-", "--subscribers", "2"]);
    let done = publisher.input(numbered(10_000)).run().exits(0);
    assert!(done.stderr.is_empty(), "{}", done.stderr);
    let mut ledger = ledger_of(&met(&subs[0], "pub"), COUNT, |number| number.to_string());
    for (sub, (name, pattern)) in subs.iter().zip([("one", "t"), ("two", "*")]) {
        // Where the subscriber's own queue overflows, the last thing it prints may be a gap.
        sub.expect("peer_down", |line| line["name"] == "pub", SOON);
        ledger.subscribes(name, pattern);
        ledger.printed_all(name, sub);
    }
    let totals = ledger.balance();
    assert_eq!(totals.delivered + totals.missed, 2 * COUNT);
    assert_eq!(totals.uncounted, 0);
}

#[test]
fn many_publishers_and_subscribers_keep_the_order_of_each() {
    const COUNT: usize = 1000;
    let mesh = Mesh::new();
    let patterns: [(&str, &[&str]); 4] = [
        ("**", &["a/x", "a/y", "b/x"]),
        ("a/*", &["a/x", "a/y"]),
        ("*/x", &["a/x", "b/x"]),
        ("b/x", &["b/x"]),
    ];
    let subs = patterns.map(|(pattern, wanted)| (pattern, wanted, mesh.sub(pattern, &[pattern])));
    let topics = ["a/x", "a/y", "b/x"];
    let publishers = topics.map(|topic| {
        // Every topic here has three subscribers but `a/y`, which has two.
        let wanted = if topic == "a/y" { "2" } else { "3" };
        let name = format!("pub {topic}");
        let command = mesh.talkie("pub").name(&name).args([topic, "-", "--subscribers", wanted]);
        std::thread::spawn(move || command.input(numbered(COUNT)).run())
    });
    for publisher in publishers {
        publisher.join().unwrap().exits(0);
    }
    let mut ledger = Ledger::new();
    for topic in topics {
        let id = met(&subs[0].2, &format!("pub {topic}"));
        (0..COUNT).for_each(|number| ledger.published(&id, topic, number.to_string()));
    }
    for (pattern, wanted, sub) in &subs {
        // Who is not waited for may never have been met.
        for topic in *wanted {
            sub.expect("peer_down", |line| line["name"] == format!("pub {topic}"), SOON);
        }
        ledger.subscribes(pattern, pattern);
        ledger.printed_all(pattern, sub);
    }
    let totals = ledger.balance();
    assert_eq!(totals.delivered + totals.missed, (3 + 2 + 3) * COUNT as u64);
}

#[test]
fn patterns_match_segments_as_the_contract_says() {
    let topics = ["a", "a/b", "a/b/c", "b", "x/b", "a/x/b", "room:42"];
    let table: [(&str, &[&str]); 8] = [
        ("a", &["a"]),
        ("*", &["a", "b", "room:42"]),
        ("a/*", &["a/b"]),
        ("a/**", &["a", "a/b", "a/b/c", "a/x/b"]),
        ("**/b", &["a/b", "b", "x/b", "a/x/b"]),
        ("a/**/b", &["a/b", "a/x/b"]),
        ("*/*", &["a/b", "x/b"]),
        ("room:42", &["room:42"]),
    ];
    let mesh = Mesh::new();
    let subs = table.map(|(pattern, expected)| (mesh.sub(pattern, &[pattern, "end"]), expected));
    for topic in topics {
        let wanted = table.iter().filter(|(_, expected)| expected.contains(&topic)).count();
        let publisher = mesh.talkie("pub").name("pub");
        publisher.args([topic, topic, "--subscribers", &wanted.to_string()]).run().exits(0);
    }
    let end = mesh.talkie("pub").name("end").args(["end", "end", "--subscribers", "8"]);
    end.run().exits(0);
    for ((sub, expected), (pattern, _)) in subs.iter().zip(table) {
        sub.expect("message", |line| line["topic"] == "end", SOON);
        let got = sub.events(&["message"]);
        let topics: Vec<_> =
            got.iter().map(|line| line["topic"].as_str().unwrap()).filter(|t| *t != "end").collect();
        assert_eq!(topics, *expected, "{pattern}");
    }
}

#[test]
fn a_subscriber_that_comes_in_the_middle_misses_nothing_from_its_first_message_on() {
    let mesh = Mesh::new();
    let first = mesh.sub("first", &["t"]);
    let mut publisher = mesh.talkie("pub").name("pub").args(["t", "-"]).spawn();
    let feeder = Feeder::start(publisher.take_stdin(), 1000, |number| number.to_string());
    first.expect_count("message", 200, SOON);
    let second = mesh.sub("second", &["t"]);
    second.expect_count("message", 500, SOON);
    let count = feeder.finish(SOON);
    publisher.exits(0, SOON);
    let id = met(&first, "pub");
    for (name, sub) in [("first", &first), ("second", &second)] {
        wait_for_last(sub, &(count - 1).to_string());
        let begins = sub.events(&["message"])[0]["payload"].as_str().unwrap().parse().unwrap();
        assert!(name == "second" || begins == 0);
        let mut ledger = Ledger::new();
        for number in begins..count {
            ledger.published(&id, "t", number.to_string());
        }
        ledger.subscribes(name, "t");
        ledger.printed_all(name, sub);
        assert_eq!(ledger.balance(), Totals { delivered: count - begins, ..Totals::default() });
    }
}

#[test]
fn a_frozen_subscriber_gets_exact_gaps_and_stalls_nobody() {
    // Together 16 MiB: four times what may wait for a peer.
    const COUNT: u64 = 256;
    let payload = |number: u64| format!("{number:06}{}", "x".repeat(64 * 1024));
    let mesh = Mesh::new();
    let (well, frozen) = (mesh.sub("well", &["t"]), mesh.sub("frozen", &["t"]));
    let mut publisher = mesh.talkie("pub").name("pub").args(["t", "-", "--subscribers", "2"]).spawn();
    publisher.feed(payload(0));
    for sub in [&well, &frozen] {
        sub.expect_count("message", 1, SOON);
    }
    frozen.signal(Signal::SIGSTOP);
    for number in 1..COUNT {
        publisher.feed(payload(number));
    }
    // The other one has everything while this one still stands.
    well.expect_count("message", COUNT as usize, SOON + SOON);
    let arrivals: Vec<_> = well.lines().iter().filter(|line| is_message(line)).map(|line| line.at).collect();
    let pause = arrivals.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(pause < Duration::from_millis(250) + SLACK, "a publisher waits once, 250 ms at most: {pause:?}");
    frozen.signal(Signal::SIGCONT);
    // What was kept flows off; what did not fit is a gap before the next message.
    frozen.expect_count("gap", 1, SOON);
    let last = payload(COUNT);
    publisher.feed(&last);
    publisher.end_input();
    for sub in [&well, &frozen] {
        wait_for_last(sub, &last);
    }
    ends(&publisher);
    let mut ledger = ledger_of(&met(&well, "pub"), COUNT + 1, payload);
    for (name, sub) in [("well", &well), ("frozen", &frozen)] {
        ledger.subscribes(name, "t");
        ledger.printed_all(name, sub);
    }
    let totals = ledger.balance();
    assert!(totals.missed > 0, "sixteen mebibytes do not fit: {totals:?}");
    assert_eq!(totals.uncounted, 0, "the gaps are exact");
    assert_eq!(well.count("gap"), 0, "{}", well.story());
    assert_eq!(well.count("peer_down"), 1, "the publisher's leaving, and nothing else");
}

#[test]
fn a_subscriber_told_down_gets_what_it_is_owed_when_it_comes_back() {
    let mesh = Mesh::new();
    let (well, frozen) = (mesh.sub("well", &["t"]), mesh.sub("frozen", &["t"]));
    let mut publisher = mesh.talkie("pub").name("pub").args(["t", "-", "--subscribers", "2"]).spawn();
    let feeder = Feeder::start(publisher.take_stdin(), 500, |number| number.to_string());
    frozen.expect_count("message", 100, SOON);
    frozen.signal(Signal::SIGSTOP);
    well.expect("peer_down", |line| line["name"] == "frozen" && line["reason"] == "timeout", SOON);
    let told = well.count("message");
    well.expect_count("message", told + 500, SOON);
    frozen.signal(Signal::SIGCONT);
    well.expect("peer_up", |line| line["name"] == "frozen", SOON);
    // What was published after the thaw comes over a new link; what came before may lie in the old one's buffers.
    let published = well.count("message");
    frozen.expect_count("message", published + 500, SOON);
    let count = feeder.finish(SOON);
    ends(&publisher);
    let mut ledger = ledger_of(&met(&well, "pub"), count, |number| number.to_string());
    for (name, sub) in [("well", &well), ("frozen", &frozen)] {
        wait_for_last(sub, &(count - 1).to_string());
        ledger.subscribes(name, "t");
        ledger.printed_all(name, sub);
    }
    assert_eq!(ledger.balance(), Totals { delivered: 2 * count, ..Totals::default() }, "all of it was kept");
}

#[test]
fn a_publisher_that_thaws_goes_on_where_it_stood() {
    let mesh = Mesh::new();
    let sub = mesh.sub("sub", &["t"]);
    let mut publisher = mesh.talkie("pub").name("pub").args(["t", "-"]).spawn();
    let feeder = Feeder::start(publisher.take_stdin(), 500, |number| number.to_string());
    sub.expect_count("message", 100, SOON);
    publisher.signal(Signal::SIGSTOP);
    sub.expect("peer_down", |line| line["name"] == "pub" && line["reason"] == "timeout", SOON);
    publisher.signal(Signal::SIGCONT);
    let told = sub.count("message");
    sub.expect_count("message", told + 500, SOON);
    let count = feeder.finish(SOON);
    ends(&publisher);
    wait_for_last(&sub, &(count - 1).to_string());
    let mut ledger = ledger_of(&met(&sub, "pub"), count, |number| number.to_string());
    ledger.subscribes("sub", "t");
    ledger.printed_all("sub", &sub);
    assert_eq!(ledger.balance(), Totals { delivered: count, ..Totals::default() });
}

#[test]
fn a_publisher_that_dies_is_told_without_a_count() {
    let mesh = Mesh::new();
    let sub = mesh.sub("sub", &["t"]);
    let mut publisher = mesh.talkie("pub").name("pub").args(["t", "-"]).spawn();
    let feeder = Feeder::start(publisher.take_stdin(), 2000, |number| number.to_string());
    sub.expect_count("message", 500, SOON);
    publisher.kill();
    let down = sub.expect("peer_down", |line| line["name"] == "pub", SOON);
    assert_eq!(down["reason"], "closed");
    let mut ledger = ledger_of(&met(&sub, "pub"), feeder.finish(SOON), |number| number.to_string());
    ledger.died(down["node"].as_str().unwrap());
    ledger.subscribes("sub", "t");
    ledger.printed_all("sub", &sub);
    let totals = ledger.balance();
    assert_eq!((totals.missed, sub.count("gap")), (0, 0), "{}", sub.story());
}

#[test]
fn a_message_of_a_mebibyte_crosses_and_one_byte_more_is_refused() {
    let mesh = Mesh::new();
    let sub = mesh.sub("sub", &["t"]);
    let most = "m".repeat(1024 * 1024);
    mesh.talkie("pub").name("pub").args(["t", "-"]).input(format!("{most}\n")).run().exits(0);
    let message = sub.expect("message", |_| true, SOON + SOON);
    assert!(message["payload"] == *most, "it arrives whole");

    let over = mesh.talkie("pub").name("over").args(["t", "-"]).input(format!("{most}m\n")).run();
    assert!(matches!(over.code(), Some(1 | 2)), "{:?}", over.status);
    assert!(over.stderr.contains("1048576"), "names the limit: {}", over.stderr);
    mesh.publish("end", "t", "end").exits(0);
    assert_eq!(sub.next("message")["payload"], "end", "nothing of it was sent");
}

#[test]
fn the_largest_message_is_a_setting() {
    let mesh = Mesh::new();
    let sub = Member::start(mesh.talkie("sub").name("sub").args(["t", "--max-message", "4194304"]));
    let large = "m".repeat(4 * 1024 * 1024);
    let publisher = mesh.talkie("pub").args(["t", "-", "--max-message", "4194304"]);
    publisher.input(format!("{large}\n")).run().exits(0);
    let message = sub.expect("message", |_| true, SOON + SOON);
    assert_eq!(message["payload"].as_str().map(str::len), Some(large.len()));
    let small = mesh.talkie("pub").args(["t", "0123456789", "--max-message", "9"]).run();
    assert!(matches!(small.code(), Some(1 | 2)), "{small:?}");
    assert_eq!(small.stderr.trim_end().lines().count(), 1, "{}", small.stderr);
}

#[test]
fn a_small_message_never_overtakes_a_large_one_of_its_topic() {
    const COUNT: u64 = 40;
    // Larger than a record of the link, then small, in turn.
    let payload = |number: u64| {
        let size = if number.is_multiple_of(2) { 300_000 } else { 1 };
        format!("{number:04}{}", "z".repeat(size))
    };
    let mesh = Mesh::new();
    let sub = mesh.sub("sub", &["t"]);
    let mut publisher = mesh.talkie("pub").name("pub").args(["t", "-"]).spawn();
    for number in 0..COUNT {
        publisher.feed(payload(number));
    }
    publisher.end_input();
    publisher.exits(0, SOON + SOON);
    sub.expect("peer_down", |line| line["name"] == "pub", SOON);
    let mut ledger = ledger_of(&met(&sub, "pub"), COUNT, payload);
    ledger.subscribes("sub", "t");
    ledger.printed_all("sub", &sub);
    let totals = ledger.balance();
    assert_eq!(totals.uncounted, 0);
}

#[test]
fn one_process_with_several_patterns_gets_a_message_once_for_each() {
    let mesh = Mesh::new();
    let sub = mesh.sub("sub", &["a/*", "a/b", "c"]);
    mesh.publish("pub", "a/b", "both").exits(0);
    mesh.publish("end", "c", "end").exits(0);
    sub.expect("message", |line| line["payload"] == "end", SOON);
    let both = sub.events(&["message"]).iter().filter(|line| line["payload"] == "both").count();
    // Each matching subscription gets it once; whether the command joins them is its own affair.
    assert!((1..=2).contains(&both), "{}", sub.story());
}
