//! `talkie request` and `talkie reply`, and a program that asks: one question, one answer, and every way to have none.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use nix::sys::signal::Signal;
use talkie_tests::{
    SLACK, SOON,
    command::Talkie,
    hosts::{Fault, Lan, require_root},
    lines::payload,
    mesh::{Member, Mesh, keygen},
};

/// Longer than any test: whoever waits for it has not been told at once.
const NEVER: &str = "60";

/// A command of the shell that works until it is killed, or the process that started it is gone: who kills that waits until
/// it is [`AT_WORK`], for it may not know its parent before.
const WORKS_FOREVER: &str = "echo at work >&2; while kill -0 $PPID; do sleep 0.05; done";
const AT_WORK: &str = "at work";

fn request(mesh: &Mesh, args: &[&str]) -> Talkie {
    mesh.talkie("request").name("asker").args(args)
}

/// The program that asks as it is told, joined.
fn asker(mesh: &Mesh) -> Member {
    let program =
        Talkie::program(env!("CARGO_BIN_EXE_talkie-asker"), "asker").env("TALKIE_SECRET", mesh.secret());
    let program = program.env("TALKIE_GROUP", mesh.group().to_string()).env("TALKIE_LISTEN", "127.0.0.1:0");
    Member::joined(program.env("TALKIE_INTERFACE", "lo").spawn_plain(), SOON)
}

#[test]
fn one_of_several_answers() {
    let mesh = Mesh::new();
    let nodes = ["one", "two", "three"].map(|name| mesh.reply(name, "q/*", &["--echo"]));
    let asked = request(&mesh, &["q/7", "what?", "--responders", "3", "--timeout", NEVER]).spawn();
    asked.exits(0, SOON);
    let reply = asked.next("reply");
    assert_eq!(payload(&reply).unwrap(), b"what?");
    assert_eq!((asked.lines().len(), reply["event"].as_str()), (1, Some("reply")), "{}", asked.story());
    for node in &nodes {
        let theirs = usize::from(reply["node"] == *node.id);
        assert_eq!(node.count("request"), theirs, "{}", node.story());
    }
    let one = nodes.iter().find(|node| reply["node"] == *node.id).unwrap();
    let line = one.next("request");
    assert_eq!((line["topic"].as_str(), line["name"].as_str()), (Some("q/7"), Some("asker")));
}

#[test]
fn an_answer_is_what_the_command_prints() {
    let mesh = Mesh::new();
    let _node = mesh.reply("node", "count/**", &["--exec", "printf '%s ' \"$1\"; wc -c"]);
    let done = request(&mesh, &["count/bytes", "seven 7"]).run().exits(0);
    assert_eq!((done.text().as_str(), done.stderr.as_str()), ("count/bytes 7\n", ""));
    let done = request(&mesh, &["count/input", "-"]).input("from a file\n").run().exits(0);
    assert_eq!(done.text(), "count/input 12\n");
    let done = request(&mesh, &["count"]).run().exits(0);
    assert_eq!(done.text(), "count 0\n");
}

#[test]
fn bytes_that_are_no_text_come_back_as_they_went() {
    let mesh = Mesh::new();
    let _node = mesh.reply("node", "q", &["--exec", "cat"]);
    let bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let done = request(&mesh, &["q", "-", "--json"]).input(bytes.clone()).run().exits(0);
    assert!(payload(&done.json()[0]).unwrap() == bytes);
}

#[test]
fn all_answer() {
    let mesh = Mesh::new();
    let nodes: Vec<_> = ["a", "b", "c"]
        .iter()
        .map(|name| mesh.reply(name, "q", &["--exec", &format!("echo {name}")]))
        .collect();
    let asked = request(&mesh, &["q", "", "--all", "--responders", "3", "--timeout", NEVER]).spawn();
    asked.exits(0, SOON);
    let told: BTreeMap<_, _> = asked
        .events(&["reply"])
        .iter()
        .map(|line| (line["node"].as_str().unwrap().to_owned(), payload(line).unwrap()))
        .collect();
    let expected = nodes.iter().zip(["a\n", "b\n", "c\n"]);
    assert_eq!(told, expected.map(|(node, text)| (node.id.clone(), text.into())).collect());
    assert_eq!(asked.lines().len(), 3, "{}", asked.story());
    let plain = request(&mesh, &["q", "", "--all", "--responders", "3"]).run().exits(0);
    for name in ["a", "b", "c"] {
        let line =
            plain.text().lines().find(|line| line.starts_with(&format!("{name} (id "))).map(str::to_owned);
        assert!(line.is_some_and(|line| line.ends_with(&format!(" {name}"))), "{}", plain.text());
    }
}

#[test]
fn of_all_whoever_does_not_answer_is_named() {
    let mesh = Mesh::new();
    let _well = mesh.reply("well", "q", &["--echo"]);
    let fails = mesh.reply("fails", "q", &["--exec", "exit 3"]);
    let slow = mesh.reply("slow", "q", &["--exec", WORKS_FOREVER]);
    let dies = mesh.reply("dies", "q", &["--exec", WORKS_FOREVER]);
    let asked = request(&mesh, &["q", "?", "--all", "--responders", "4", "--timeout", "3"]).spawn();
    asked.next("reply");
    let dropped = asked.next("missing");
    assert_eq!((dropped["node"].as_str(), dropped["why"].as_str()), (Some(&*fails.id), Some("dropped")));
    dies.expect_log(AT_WORK, SOON);
    let at = dies.kill();
    let gone = asked.expect_line("missing", |line| line["why"] == "gone", SOON);
    assert_eq!(gone.json.as_ref().unwrap()["node"], *dies.id);
    assert!(gone.at - at < Duration::from_millis(200) + SLACK, "told at once: {:?}", gone.at - at);
    asked.exits(1, SOON);
    let late = asked.next("missing");
    assert_eq!((late["node"].as_str(), late["why"].as_str()), (Some(&*slow.id), Some("timeout")));
    assert!(asked.stderr().contains("3 of 4 answers"), "{}", asked.stderr());
    slow.expect_log("longer than the asker waits", SOON);
}

#[test]
fn without_a_responder_it_waits_or_is_told_at_once() {
    let mesh = Mesh::new();
    // Who subscribes does not answer.
    let sub = mesh.sub("sub", &["**"]);
    let done = request(&mesh, &["q", "x", "--timeout", "0.5"]).run().exits(1);
    assert!(done.stderr.contains("no node answers \"q\" within 0.5 s; nothing was sent"), "{}", done.stderr);
    assert!(done.took > Duration::from_millis(500) && done.took < Duration::from_millis(500) + SLACK + SLACK);
    let done = request(&mesh, &["q", "x", "--responders", "0", "--timeout", NEVER]).run().exits(1);
    assert!(done.stderr.contains("no node answers this topic"), "{}", done.stderr);
    assert!(done.took < SLACK + SLACK, "{:?}", done.took);
    // One that comes in time answers.
    let asked = request(&mesh, &["q", "x", "--timeout", NEVER]).spawn();
    sub.expect("peer_up", |line| line["name"] == "asker", SOON);
    let _node = mesh.reply("node", "q", &["--echo"]);
    asked.exits(0, SOON);
    assert_eq!(sub.count("message"), 0, "{}", sub.story());
}

#[test]
fn a_command_that_fails_drops_the_request_and_says_why() {
    let mesh = Mesh::new();
    let node = mesh.reply("node", "q", &["--exec", "echo half; echo broken >&2; exit 3"]);
    let done = request(&mesh, &["q", "x", "--timeout", NEVER]).run().exits(1);
    assert!(done.stdout.is_empty() && done.stderr.contains("the responder dropped the request"), "{done:?}");
    assert!(done.took < SLACK + SLACK, "told at once: {:?}", done.took);
    node.expect_log("exit status: 3", SOON);
    node.expect_log("broken", SOON);
    // It goes on.
    request(&mesh, &["q", "x", "--timeout", NEVER]).run().exits(1);
    node.leaves();
}

#[test]
fn a_responder_that_dies_at_work_is_told_at_once() {
    let mesh = Mesh::new();
    for (signal, code) in [(Signal::SIGKILL, None), (Signal::SIGTERM, Some(0))] {
        let node = mesh.reply("node", "q", &["--exec", WORKS_FOREVER]);
        let asked = request(&mesh, &["q", "x", "--timeout", NEVER]).spawn();
        node.expect_log(AT_WORK, SOON);
        let at = node.signal(signal);
        let (status, ended) = asked.wait_line(SOON);
        assert_eq!(status.code(), Some(1), "{}", asked.story());
        assert!(ended - at < Duration::from_millis(500) + SLACK, "{:?}", ended - at);
        let why = if code.is_some() { "dropped the request" } else { "the responder is gone" };
        assert!(asked.stderr().contains(why), "{signal}: {}", asked.stderr());
        assert_eq!(node.wait(SOON).code(), code);
    }
}

#[test]
fn a_responder_that_stands_still_is_gone_when_it_is_told_down() {
    let mesh = Mesh::new();
    let node = mesh.reply("node", "q", &["--echo"]);
    let mut asker = asker(&mesh);
    asker.feed("q 20000 before");
    asker.expect("reply", |line| line["asked"] == "before", SOON);
    let at = node.signal(Signal::SIGSTOP);
    asker.feed("q 60000 frozen");
    let gone = asker.expect_line("failed", |line| line["asked"] == "frozen", SOON);
    assert_eq!(gone.json.unwrap()["why"], "the responder is gone");
    assert!(gone.at - at < Duration::from_millis(3_500) + SLACK, "{:?}", gone.at - at);
    node.signal(Signal::SIGCONT);
    // It answers what it had when the link is back: nobody waits for that, and it is counted.
    asker.feed("q 20000 after");
    asker.expect("reply", |line| line["asked"] == "after", SOON);
    asker.feed("stats");
    let stats = asker.next("stats");
    assert_eq!((&stats["requests"]["gone"], &stats["requests"]["late"]), (&1.into(), &1.into()), "{stats}");
}

#[test]
fn a_request_to_a_responder_that_was_told_gone_is_not_acted_on_later() {
    if !require_root() {
        return;
    }
    let (lan, secret) = (Lan::new(2), keygen());
    let node = Member::start(lan.host(1).talkie("reply", &secret).name("node").args(["q", "--echo"]));
    let program = Talkie::program(env!("CARGO_BIN_EXE_talkie-asker"), "asker").env("TALKIE_SECRET", &secret);
    let mut asker = Member::joined(program.host(&lan.host(2).namespace()).spawn_plain(), SOON);
    asker.feed("q 20000 before");
    asker.expect("reply", |line| line["asked"] == "before", SOON);
    let cut = lan.inject(Fault::Isolate(vec![1, 2]));
    asker.feed("q 60000 cut");
    let gone = asker.expect("failed", |line| line["asked"] == "cut", SOON);
    assert_eq!(gone["why"], "the responder is gone");
    cut.heal();
    asker.feed("q 20000 after");
    asker.expect("reply", |line| line["asked"] == "after", SOON);
    let asked: Vec<_> = node.events(&["request"]).iter().map(|line| line["payload"].clone()).collect();
    assert_eq!(asked, ["before", "after"], "{}", node.story());
}

#[test]
fn too_late_is_an_error_of_its_own_and_a_late_reply_is_only_counted() {
    let mesh = Mesh::new();
    let forever = mesh.reply("forever", "forever", &["--exec", WORKS_FOREVER]);
    let done = request(&mesh, &["forever", "x", "--timeout", "1"]).run().exits(1);
    assert!(done.stderr.contains("no answer within 1 s"), "{}", done.stderr);
    assert!(done.took >= Duration::from_secs(1) && done.took < Duration::from_secs(1) + SLACK + SLACK);
    forever.expect_log("longer than the asker waits", SOON);

    let echo = mesh.reply("echo", "q", &["--echo"]);
    let mut asker = asker(&mesh);
    asker.feed("q 20000 first");
    asker.expect("reply", |line| line["asked"] == "first", SOON);
    // Sent, and over before anything can come back.
    asker.feed("q 0 hurried");
    let hurried = asker.next("failed");
    assert_eq!(hurried["why"], "no answer within 0ns");
    asker.feed("q 20000 last");
    asker.expect("reply", |line| line["asked"] == "last", SOON);
    asker.feed("stats");
    let stats = asker.next("stats")["requests"].clone();
    assert_eq!(
        (&stats["timed_out"], &stats["replies"], &stats["open"]),
        (&1.into(), &2.into(), &0.into()),
        "{stats}"
    );
    // What its asker has given up before it is taken is left out.
    assert_eq!(echo.count("request"), 2, "{}", echo.story());
}

#[test]
fn a_command_is_ended_with_all_that_it_started() {
    let mesh = Mesh::new();
    for timeout in ["0.5", NEVER] {
        let node = mesh.reply("node", "q", &["--exec", "sleep 300 & sleep 300"]);
        let asked = request(&mesh, &["q", "x", "--timeout", timeout]).spawn();
        node.next("request");
        if timeout != NEVER {
            node.expect_log("longer than the asker waits", SOON);
        }
        // Whatever still ran would hold its standard error open, which this waits for.
        node.leaves();
        asked.exits(1, SOON);
    }
}

#[test]
fn payloads_over_a_limit_are_told() {
    let mesh = Mesh::new();
    let node = mesh.reply("node", "q/**", &["--exec", "head -c 2000 /dev/zero", "--max-message", "3000"]);
    request(&mesh, &["q", "12345678901", "--max-message", "10"])
        .run()
        .refused(&["PAYLOAD", "11 bytes", "10"]);
    let done = request(&mesh, &["q", "-", "--max-message", "10"]).input("12345678901").run().exits(1);
    assert!(done.stderr.contains("longer than the 10 bytes"), "{}", done.stderr);
    // The responder takes no such request.
    let long = "x".repeat(3_001);
    let done = request(&mesh, &["q", &long, "--timeout", NEVER]).run().exits(1);
    assert!(done.stderr.contains("no room on the way"), "{}", done.stderr);
    // The asker takes no such reply.
    let done = request(&mesh, &["q", "x", "--max-message", "1000", "--timeout", NEVER]).run().exits(1);
    assert!(done.stderr.contains("no room on the way"), "{}", done.stderr);
    node.expect_log("no room on the way", SOON);
    // The responder makes no such reply.
    let node = mesh.reply("small", "small", &["--exec", "head -c 2000 /dev/zero", "--max-message", "1000"]);
    let done = request(&mesh, &["small", "x", "--timeout", NEVER]).run().exits(1);
    assert!(done.stderr.contains("dropped the request"), "{}", done.stderr);
    node.expect_log("longer than the 1000 bytes", SOON);
}

#[test]
fn concurrent_requests_get_their_own_answers() {
    const QUESTIONS: usize = 64;
    let mesh = Mesh::new();
    // Those that come first take longest: answers come in another order than questions.
    let slowly = "read n; [ $((n % 3)) = 0 ] && sleep 0.2; echo \"answer $n\"";
    let nodes =
        [mesh.reply("even", "q/0", &["--exec", slowly]), mesh.reply("odd", "q/1", &["--exec", slowly])];
    let mut asker = asker(&mesh);
    for n in 0..QUESTIONS {
        asker.feed(format!("q/{} 20000 {n}", n % 2));
    }
    asker.expect_count("reply", QUESTIONS, SOON + SOON);
    let mut seen = BTreeSet::new();
    for line in asker.events(&["reply"]) {
        let asked = line["asked"].as_str().unwrap();
        assert_eq!(line["payload"], format!("answer {asked}\n"), "{line}");
        let n: usize = asked.parse().unwrap();
        assert_eq!(line["node"], *nodes[n % 2].id, "{line}");
        seen.insert(n);
    }
    assert_eq!(seen.len(), QUESTIONS);
    let order: Vec<_> = asker.events(&["reply"]).iter().map(|line| line["asked"].clone()).collect();
    assert!(!order.is_sorted_by_key(|asked| asked.as_str().unwrap().parse::<usize>().unwrap()), "{order:?}");
    asker.feed("stats");
    let stats = asker.next("stats")["requests"].clone();
    assert_eq!((&stats["asked"], &stats["late"]), (&QUESTIONS.into(), &0.into()), "{stats}");
}

#[test]
fn a_signal_ends_both_with_exit_0() {
    let mesh = Mesh::new();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let node = mesh.reply("node", "q", &["--exec", WORKS_FOREVER]);
        let asked = request(&mesh, &["q", "x", "--timeout", NEVER]).spawn();
        node.next("request");
        asked.signal(signal);
        asked.exits(0, SOON);
        node.signal(signal);
        node.exits(0, SOON);
    }
}

#[test]
fn reply_prints_what_the_contract_lists() {
    let mesh = Mesh::new();
    let node = mesh.reply("node", "q", &["--echo"]);
    let plain = mesh.talkie("reply").name("plain").args(["p", "--echo"]).spawn_plain();
    request(&mesh, &["q", "x"]).run().exits(0);
    request(&mesh, &["p", "x"]).run().exits(0);
    for event in ["peer_up", "request", "peer_down"] {
        node.expect(event, |line| line["name"] == "asker", SOON);
    }
    let printed = ["joined", "subscribed", "peer_up", "request", "peer_down"];
    for line in node.lines() {
        let json = line.json.unwrap();
        assert!(printed.iter().any(|known| json["event"] == *known), "{json}");
    }
    plain.terminate();
    let text = String::from_utf8(plain.stdout()).unwrap();
    assert!(text.contains("listening to p\n") && text.contains("\np asked by asker x\n"), "{text}");
}
