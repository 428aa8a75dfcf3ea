//! Partners that are wrong: each is named once, with the reason, and linked when it becomes right.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use talkie_tests::{
    SLACK, SOON,
    command::Talkie,
    crowd::Crowd,
    figures::Figure,
    hosts::{Host, Lan, require_root},
    mesh::{Member, Mesh, keygen},
};

/// The port of a partner that was named without one.
const PORT: u16 = 8255;

/// The longest pause between two tries of a partner, 5 s and a quarter, and the try itself.
const NEXT_TRY: Duration = Duration::from_secs(8);

fn with_partner(host: Host<'_>, secret: &str, partner: &str) -> Talkie {
    let settings = ["--multicast", "off", "--log", "info", "--partners", partner];
    host.talkie("join", secret).name("node").args(settings)
}

/// How often the warning about this partner was logged.
fn warnings(node: &Member, partner: &str) -> Vec<String> {
    let log = node.stderr();
    log.lines().filter(|line| line.contains("WARN") && line.contains(partner)).map(str::to_owned).collect()
}

/// Panics unless this partner was complained of exactly once, with one of these reasons, whatever tries came since.
#[track_caller]
fn named_once(node: &Member, partner: &str, reasons: &[&str]) {
    let told = warnings(node, partner);
    assert_eq!(told.len(), 1, "{told:#?}\n{}", node.story());
    let reason = told.iter().any(|line| reasons.iter().any(|reason| line.contains(reason)));
    assert!(reason, "one of {reasons:?} in {told:?}");
}

/// A partner that is there now is linked within the longest pause.
#[track_caller]
fn links_when_right(lan: &Lan, secret: &str, node: &Member) {
    let right = lan.host(2).talkie("join", secret).name("right").args(["--multicast", "off"]);
    let right = Member::start(right);
    let up = node.expect("peer_up", |line| line["node"] == *right.id, NEXT_TRY + SLACK);
    assert_eq!(up.get("via"), Some(&"partner".into()), "{up}");
}

#[test]
fn a_partner_that_is_not_there_is_named_once_and_linked_when_it_comes() {
    if !require_root() {
        return;
    }
    let (lan, secret) = (Lan::new(2), keygen());
    let there = lan.host(2).ipv4();
    let dials = lan.count_dials(&[1], &[2]);
    let node = Member::start(with_partner(lan.host(1), &secret, &there));
    node.expect_log(&there, SOON);
    // Tries at 0, 0.5, 1.5, 3.5 and 7.5 s: back-off, and no more words.
    node.stays_silent(Duration::from_secs(6));
    let tried = dials.seen();
    assert!((2..=8).contains(&tried), "{tried} dials in six seconds");
    named_once(&node, &there, &["refused"]);
    links_when_right(&lan, &secret, &node);
}

#[test]
fn a_name_that_resolves_to_nothing_is_named_once_and_linked_when_it_does() {
    if !require_root() {
        return;
    }
    let (lan, secret) = (Lan::new(2), keygen());
    // A resolver of its own for host 1: a hosts file, and no server to ask.
    let names = lan.host(1).resolver("");
    let node = Member::start(with_partner(lan.host(1), &secret, "partner.test"));
    node.expect_log("partner.test", SOON);
    node.stays_silent(Duration::from_secs(4));
    named_once(&node, "partner.test", &["not found"]);
    names.set(&format!("{} partner.test\n", lan.host(2).ipv4()));
    links_when_right(&lan, &secret, &node);
}

#[test]
fn what_answers_as_something_else_is_named_once_and_linked_when_it_is_right() {
    if !require_root() {
        return;
    }
    let (lan, secret) = (Lan::new(2), keygen());
    let partner = lan.host(2).ipv4();
    let reasons = ["no Talkie", "does not speak", "no answer"];
    for (kind, server) in [("HTTP", http as fn(&TcpListener)), ("silence", silence), ("closing", closing)] {
        let listener = lan.host(2).within(|| TcpListener::bind(("0.0.0.0", PORT)).unwrap());
        let addr: SocketAddr = format!("{partner}:{PORT}").parse().unwrap();
        let serving = std::thread::spawn(move || server(&listener));
        let node = Member::start(with_partner(lan.host(1), &secret, &partner));
        node.expect_log(&partner, SOON);
        node.stays_silent(Duration::from_secs(4));
        println!("{kind}: {:?}", warnings(&node, &partner));
        named_once(&node, &partner, &reasons);
        // Ends the server.
        lan.host(1).within(|| std::net::TcpStream::connect(addr).unwrap().write_all(b"end").unwrap());
        serving.join().unwrap();
        links_when_right(&lan, &secret, &node);
    }
}

/// What a connection says first, and whether that ends the server.
fn first_words(listener: &TcpListener) -> Option<(std::net::TcpStream, bool)> {
    let (mut stream, _) = listener.accept().ok()?;
    let mut words = [0; 1024];
    let read = stream.read(&mut words).unwrap_or(0);
    let ends = words.get(..read) == Some(b"end");
    Some((stream, ends))
}

fn http(listener: &TcpListener) {
    while let Some((mut stream, false)) = first_words(listener) {
        let _ =
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    }
}

fn silence(listener: &TcpListener) {
    let mut held = Vec::new();
    while let Some((stream, false)) = first_words(listener) {
        held.push(stream);
    }
}

fn closing(listener: &TcpListener) {
    while let Some((_, false)) = first_words(listener) {}
}

#[test]
fn a_partner_with_another_secret_is_named_once_and_linked_when_it_has_ours() {
    if !require_root() {
        return;
    }
    let (lan, secret) = (Lan::new(2), keygen());
    let wrong =
        Member::start(lan.host(2).talkie("join", &keygen()).name("wrong").args(["--multicast", "off"]));
    let partner = lan.host(2).ipv4();
    let node = Member::start(with_partner(lan.host(1), &secret, &partner));
    node.expect_log("another secret", SOON);
    node.stays_silent(Duration::from_secs(4));
    named_once(&node, &partner, &["another secret"]);
    assert!(!node.stderr().contains("wrong\""), "its name is not told: {}", node.stderr());
    wrong.leaves();
    links_when_right(&lan, &secret, &node);
}

#[test]
fn wrong_partners_do_not_keep_a_right_one_waiting() {
    if !require_root() {
        return;
    }
    let (lan, secret) = (Lan::new(2), keygen());
    let mut linked =
        Figure::new("a right partner among 30 that are not there, linked", Duration::from_secs(1));
    let wrong = (100..130).map(|last| format!("10.77.0.{last}"));
    let list = wrong.chain([lan.host(2).ipv4()]).collect::<Vec<_>>().join(",");
    let right = lan.host(2).talkie("join", &secret).name("right").args(["--multicast", "off"]);
    let nodes = Crowd::start([with_partner(lan.host(1), &secret, &list), right], SOON);
    linked.between(nodes.started, nodes.meets(SOON));
}

#[test]
fn an_interface_or_a_group_that_does_not_exist_is_refused() {
    let mesh = Mesh::new();
    for (flag, value) in [
        ("--interface", "talkie-none0"),
        ("--interface", "203.0.113.77"),
        ("--group", "192.0.2.1:8255"),
        ("--group", "[fd00::1]:8255"),
        ("--group", "239.255.82.55"),
        ("--group", "239.255.82.55:0"),
        ("--group", "nonsense"),
    ] {
        let run = mesh.talkie("join").without_interface_flag().args([flag, value]).run();
        run.refused(&[flag, value]);
    }
}
