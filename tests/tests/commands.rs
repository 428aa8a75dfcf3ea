//! Each command of CONTRACT's table, as a person or a script uses it.

use std::{io::Write, time::Duration};

use nix::sys::signal::Signal;
use talkie_tests::{
    SLACK, SOON,
    command::Talkie,
    lines::payload,
    mesh::{Mesh, keygen},
};

#[test]
fn keygen_prints_a_new_secret_each_time() {
    let (one, other) = (keygen(), keygen());
    assert!(one.starts_with("tk1-"), "{one}");
    assert!(!one.contains(char::is_whitespace), "one line, one word: {one:?}");
    assert_ne!(one, other);
}

#[test]
fn sub_ends_after_count_messages_with_exit_0() {
    let mesh = Mesh::new();
    let sub = mesh.talkie("sub").name("counter").args(["t", "--count", "3"]).spawn();
    let done = mesh.talkie("pub").args(["t", "-"]).input("1\n2\n3\n").run();
    done.exits(0);
    sub.exits(0, SOON);
    let payloads: Vec<_> = sub.events(&["message"]).iter().map(|line| payload(line).unwrap()).collect();
    assert_eq!(payloads, [b"1", b"2", b"3"]);
}

#[test]
fn sub_prints_count_messages_and_no_more() {
    let mesh = Mesh::new();
    let sub = mesh.talkie("sub").name("counter").args(["t", "--count", "2"]).spawn();
    // Whether all five are handed over before the subscriber has left is the publisher's luck.
    mesh.talkie("pub").args(["t", "-"]).input("1\n2\n3\n4\n5\n").run();
    sub.exits(0, SOON);
    assert_eq!(sub.count("message"), 2);
}

#[test]
fn headers_go_from_process_to_process_and_change_no_line_without_them() {
    let mesh = Mesh::new();
    let sub = mesh.talkie("sub").name("sub").args(["t", "--count", "3"]).spawn();
    let headers = ["--header", "language=en", "--header", "empty="];
    mesh.talkie("pub").args(["t", "-"]).args(headers).input("1\n2\n").run().exits(0);
    mesh.talkie("pub").args(["t", "3"]).run().exits(0);
    sub.exits(0, SOON);
    let had: Vec<_> = sub.events(&["message"]).iter().map(|line| line["headers"].to_string()).collect();
    let some = r#"{"empty":"","language":"en"}"#;
    assert_eq!(had, [some, some, "null"]);

    let reply = mesh.reply("reply", "q", &["--echo"]);
    let done = mesh.talkie("request").args(["q", "?", "--header", "user=ann", "--json"]).run().exits(0);
    let [line] = &done.json()[..] else { panic!("{}", done.text()) };
    assert!(line["payload"] == "?" && line["headers"].is_null(), "an echo is the payload alone: {line}");
    let asked = reply.expect("request", |line| line["payload"] == "?", SOON);
    assert_eq!(asked["headers"]["user"], "ann");
}

#[test]
fn sub_that_times_out_before_count_exits_1() {
    let mesh = Mesh::new();
    let done = mesh.talkie("sub").args(["t", "--count", "1", "--timeout", "1"]).run().exits(1);
    assert!(done.took >= Duration::from_secs(1), "{:?}", done.took);
    assert!(done.took < Duration::from_secs(1) + SLACK + SLACK, "{:?}", done.took);
}

#[test]
fn sub_that_times_out_without_count_exits_0() {
    Mesh::new().talkie("sub").args(["t", "--timeout", "1"]).run().exits(0);
}

#[test]
fn sigterm_and_sigint_end_every_command_that_joins() {
    let mesh = Mesh::new();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        for (code, command) in [
            (0, mesh.talkie("join").name("join")),
            (0, mesh.talkie("sub").name("sub").arg("t")),
            (1, mesh.talkie("sub").name("sub --count").args(["t", "--count", "5"])),
        ] {
            let process = command.spawn();
            process.next("joined");
            process.signal(signal);
            process.exits(code, SOON);
        }
    }
}

#[test]
fn a_signal_ends_a_publisher_that_waits_for_its_input() {
    let mesh = Mesh::new();
    let sub = mesh.sub("sub", &["t"]);
    let mut publisher = mesh.talkie("pub").name("pub").args(["t", "-"]).spawn();
    publisher.feed("one");
    sub.next("message");
    publisher.signal(Signal::SIGTERM);
    publisher.exits(0, SOON);
    sub.expect("peer_down", |line| line["reason"] == "left", SOON);
}

#[test]
fn pub_without_a_subscriber_exits_1_and_sends_nothing() {
    let mesh = Mesh::new();
    // Somebody is there, and wants something else.
    let other = mesh.sub("other", &["elsewhere"]);
    let publisher = mesh.talkie("pub").name("pub").args(["t", "x", "--timeout", "1"]).spawn();
    publisher.exits(1, SOON);
    assert_eq!(publisher.count("published"), 0, "{}", publisher.story());
    assert!(!publisher.stderr().trim().is_empty(), "it says why");
    mesh.publish("end", "elsewhere", "end").exits(0);
    let first = other.next("message");
    assert_eq!(first["payload"], "end", "nothing of the other publisher came before");
}

#[test]
fn pub_waits_for_as_many_subscribers_as_asked() {
    let mesh = Mesh::new();
    let one = mesh.sub("one", &["t"]);
    // Two are wanted and one is there: nothing is sent, not even to that one.
    let lonely = mesh.talkie("pub").name("lonely");
    lonely.args(["t", "early", "--subscribers", "2", "--timeout", "1"]).run().exits(1);

    let publisher = mesh.talkie("pub").name("pub").args(["t", "now", "--subscribers", "2"]).spawn();
    let two = mesh.sub("two", &["*"]);
    publisher.exits(0, SOON);
    for sub in [&one, &two] {
        assert_eq!(sub.next("message")["payload"], "now", "{}", sub.story());
    }
    let published = publisher.next("published");
    assert_eq!(
        (&published["topic"], &published["count"], &published["nodes"]),
        (&"t".into(), &1.into(), &2.into())
    );
}

#[test]
fn the_first_message_waits_for_a_subscriber_that_comes_later() {
    let mesh = Mesh::new();
    let publisher = mesh.talkie("pub").name("pub").args(["t", "first"]).spawn();
    let witness = mesh.join("witness");
    witness.expect("peer_up", |line| line["name"] == "pub", SOON);
    let sub = mesh.sub("late", &["t"]);
    assert_eq!(sub.next("message")["payload"], "first");
    publisher.exits(0, SOON);
}

#[test]
fn pub_without_payload_publishes_an_empty_message() {
    let mesh = Mesh::new();
    let sub = mesh.sub("sub", &["t"]);
    mesh.talkie("pub").arg("t").run().exits(0);
    assert_eq!(sub.next("message")["payload"], "");
}

#[test]
fn pub_dash_publishes_a_message_a_line_as_they_come() {
    let mesh = Mesh::new();
    let sub = mesh.sub("sub", &["t"]);
    let mut publisher = mesh.talkie("pub").name("pub").args(["t", "-"]).spawn();
    publisher.feed("one");
    // It came although the input has not ended.
    assert_eq!(sub.next("message")["payload"], "one");
    publisher.feed("");
    publisher.feed("  blanks stay  ");
    publisher.feed(b"\xff\x00bytes");
    let mut stdin = publisher.take_stdin();
    stdin.write_all(b"no newline at the end").unwrap();
    drop(stdin);
    publisher.exits(0, SOON);
    sub.expect_count("message", 5, SOON);
    let lines = sub.events(&["message"]);
    let payloads: Vec<_> = lines.iter().map(|line| payload(line).unwrap()).collect();
    let expected: [&[u8]; 5] = [b"one", b"", b"  blanks stay  ", b"\xff\x00bytes", b"no newline at the end"];
    assert_eq!(payloads, expected);
    assert!(lines[3]["payload_base64"].is_string(), "{}", lines[3]);
    let seqs: Vec<_> = lines.iter().map(|line| line["seq"].as_u64().unwrap()).collect();
    assert!(seqs.windows(2).all(|pair| pair[1] == pair[0] + 1), "the publisher's own count: {seqs:?}");
    let count: u64 =
        publisher.events(&["published"]).iter().map(|line| line["count"].as_u64().unwrap()).sum();
    assert_eq!(count, 5);
}

#[test]
fn pub_dash_with_empty_input_publishes_nothing() {
    let mesh = Mesh::new();
    let sub = mesh.sub("sub", &["t"]);
    mesh.talkie("pub").args(["t", "-"]).input("").run().exits(0);
    mesh.publish("end", "t", "end").exits(0);
    assert_eq!(sub.next("message")["payload"], "end");
}

#[test]
fn pub_tells_how_many_messages_are_in_doubt_when_it_loses_its_subscriber() {
    let mesh = Mesh::new();
    let sub = mesh.sub("sub", &["t"]);
    let mut publisher = mesh.talkie("pub").name("pub").args(["t", "-"]).spawn();
    publisher.feed("one");
    sub.next("message");
    sub.signal(Signal::SIGSTOP);
    for number in 0..10 {
        publisher.feed(format!("lost {number}"));
    }
    publisher.end_input();
    publisher.exits(1, SOON);
    let stderr = publisher.stderr();
    // The first was printed; whether that was confirmed before the freeze, nobody was told.
    assert!(stderr.contains("10 ") || stderr.contains("11 "), "ten messages are in doubt: {stderr}");
}

/// Also what is published after the node was told down is not handed over, and counted.
#[test]
fn pub_counts_what_it_published_after_its_subscriber_was_told_down() {
    let mesh = Mesh::new();
    let sub = mesh.sub("sub", &["t"]);
    let mut publisher = mesh.talkie("pub").name("pub").args(["t", "-", "--log", "info"]).spawn();
    publisher.feed("one");
    sub.next("message");
    sub.signal(Signal::SIGSTOP);
    publisher.feed("unconfirmed");
    publisher.expect_log("lost sub", SOON);
    (0..5).for_each(|number| publisher.feed(format!("too late {number}")));
    publisher.end_input();
    publisher.exits(1, SOON);
    let stderr = publisher.stderr();
    assert!(stderr.contains(" 6 messages in doubt") || stderr.contains(" 7 messages in doubt"), "{stderr}");
}

#[test]
fn peers_lists_the_members_and_leaves() {
    let mesh = Mesh::new();
    let (one, two) = (mesh.join("one"), mesh.sub("two", &["t"]));
    one.meets(&two);
    let peers = mesh.talkie("peers").name("asker").spawn();
    peers.exits(0, SOON);
    let mut listed: Vec<_> = peers.events(&["peer"]).iter().map(|line| line["name"].clone()).collect();
    listed.sort_by_key(ToString::to_string);
    assert_eq!(listed, ["one", "two"], "the others, and not itself");
    assert_eq!(peers.lines().len(), 2, "results and nothing else\n{}", peers.story());
    one.expect("peer_down", |line| line["name"] == "asker" && line["reason"] == "left", SOON);

    let plain = mesh.talkie("peers").args(["--wait", "1"]).run().exits(0);
    assert!(plain.text().contains("one") && plain.text().contains("two"), "{}", plain.text());
    assert!(plain.took < Duration::from_secs(1) + SLACK + SLACK, "{:?}", plain.took);
}

#[test]
fn peers_alone_lists_nobody() {
    let peers = Mesh::new().talkie("peers").args(["--wait", "0.2"]).spawn();
    // Whole seconds may be all that `--wait` takes: then this is wrong usage and says so.
    let code = peers.wait(SOON).code();
    assert!(code == Some(0) || code == Some(2), "{}", peers.story());
    assert_eq!(peers.count("peer"), 0);
}

#[test]
fn people_see_the_payload_without_json() {
    let mesh = Mesh::new();
    let sub = mesh.talkie("sub").name("person").args(["t", "--count", "1"]).spawn_plain();
    mesh.publish("pub", "t", "plain words").exits(0);
    sub.exits(0, SOON);
    let text = String::from_utf8(sub.stdout()).unwrap();
    assert!(text.contains("plain words"), "{text}");
    assert!(!text.contains('\x1b'), "no colours where no terminal is: {text:?}");
}

#[test]
fn a_closed_output_pipe_ends_a_command_quietly() {
    let mesh = Mesh::new();
    let sub = mesh.sub("sub", &["t"]);
    let watcher = mesh.join("watcher");
    let mut publisher = mesh.talkie("pub").name("pub").args(["t", "-"]).spawn();
    publisher.feed("read");
    sub.next("message");
    sub.refuse_output();
    publisher.feed("closes the pipe");
    publisher.feed("finds it closed");
    publisher.feed("and once more, for a pipe takes a line before it breaks");
    let status = sub.wait(SOON);
    assert!(status.code().is_some_and(|code| code <= 1), "{status}\n{}", sub.story());
    assert_eq!(sub.stderr().trim(), "", "quietly");
    watcher.expect("peer_down", |line| line["name"] == "sub" && line["reason"] == "left", SOON);
}

#[test]
fn demo_shows_a_message_reach_every_node_and_ends_by_itself() {
    let done = Talkie::new("demo").run().exits(0);
    assert!(done.took < Duration::from_secs(10), "{:?}", done.took);
    let text = done.text();
    assert!(text.contains("talkie sub") && text.contains("talkie pub"), "what to type next: {text}");
    assert!(!text.contains('\x1b'), "no colours where no terminal is: {text:?}");
}

#[test]
fn help_is_there_for_every_command() {
    let top = Talkie::bare().arg("--help").run().exits(0);
    for command in ["demo", "join", "sub", "pub", "peers", "keygen"] {
        assert!(top.text().contains(command), "{command} in {}", top.text());
        let help = Talkie::new(command).without_interface_flag().arg("--help").run().exits(0);
        assert!(help.text().lines().count() > 3, "{}", help.text());
        assert!(help.stderr.is_empty(), "{}", help.stderr);
    }
    let sub = Talkie::new("sub").without_interface_flag().arg("--help").run().text();
    for flag in
        ["--secret", "--secret-file", "--bus", "--name", "--listen", "--partners", "--multicast", "--group"]
    {
        assert!(sub.contains(flag), "{flag} in {sub}");
    }
    for word in ["TALKIE_SECRET", "TALKIE_PARTNERS", "other users"] {
        assert!(sub.contains(word), "{word:?} in {sub}");
    }
    let version = Talkie::bare().arg("--version").run().exits(0);
    assert!(version.text().starts_with("talkie "), "{}", version.text());
}

#[test]
fn a_new_link_is_logged_in_plain_words() {
    let mesh = Mesh::new();
    let by_flag = mesh.talkie("join").name("by-flag").args(["--log", "info"]).spawn();
    let by_variable = mesh.talkie("join").name("by-variable").env("RUST_LOG", "info").spawn();
    by_flag.expect_log("connected to by-variable", SOON);
    by_variable.expect_log("connected to by-flag", SOON);
}

#[test]
fn no_log_shows_the_secret() {
    let mesh = Mesh::new();
    let chatty = mesh.talkie("sub").name("chatty").args(["t", "--log", "trace"]).spawn();
    chatty.next("subscribed");
    mesh.publish("pub", "t", "x").exits(0);
    chatty.next("message");
    chatty.terminate();
    let log = chatty.stderr();
    assert!(!log.is_empty(), "trace says something");
    assert!(!log.contains(&mesh.secret()[4..20]), "not even a part of it");
}
