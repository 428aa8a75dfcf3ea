//! Who is there: CONTRACT's `joined`, `peer_up` and `peer_down`, over loopback.

use std::time::Duration;

use nix::sys::signal::Signal;
use talkie_tests::{
    SLACK, SOON,
    mesh::{Member, Mesh, free_port},
};

/// Silence is death after 3 s, told within 3.5 s.
const SILENCE_TOLD: Duration = Duration::from_millis(3500);

#[test]
fn two_nodes_with_one_secret_meet() {
    let mesh = Mesh::new();
    let (one, two) = (mesh.join("one"), mesh.join("two"));
    assert_ne!(one.id, two.id);
    for (here, there, name) in [(&one, &two, "two"), (&two, &one, "one")] {
        let up = here.meets(there);
        assert_eq!(up["name"], name);
        assert_eq!(up["via"], "multicast");
        assert!(up["addr"].as_str().unwrap().starts_with("127.0.0.1:"), "{up}");
    }
}

#[test]
fn join_and_sub_print_what_the_contract_lists() {
    let mesh = Mesh::new();
    let join = mesh.join("join");
    let sub = mesh.sub("sub", &["a/*", "b"]);
    join.meets(&sub);
    mesh.publish("pub", "b", "x").exits(0);
    // A publisher may be gone before it met anybody but its subscriber; one that stays is met by both.
    let third = mesh.join("third");
    for member in [&join, &sub] {
        member.meets(&third);
    }
    third.leaves();
    for member in [&join, &sub] {
        member.expect("peer_down", |line| line["node"] == *third.id, SOON);
    }
    let patterns: Vec<_> = sub.events(&["subscribed"]).iter().map(|line| line["pattern"].clone()).collect();
    assert_eq!(patterns, ["a/*", "b"]);
    for (process, known) in [
        (&join, &["joined", "peer_up", "peer_down"][..]),
        (&sub, &["joined", "peer_up", "peer_down", "subscribed", "message", "gap"]),
    ] {
        for line in process.lines() {
            let json = line.json.unwrap();
            assert!(known.iter().any(|known| json["event"] == *known), "{json}");
        }
        assert_eq!(process.lines()[0].json.as_ref().unwrap()["event"], "joined", "joined comes first");
    }
}

#[test]
fn five_nodes_on_one_host_all_meet() {
    let mesh = Mesh::new();
    let names = ["a", "b", "c", "d", "e"];
    let members: Vec<Member> = names.iter().map(|name| mesh.join(name)).collect();
    for here in &members {
        for there in members.iter().filter(|there| there.id != here.id) {
            here.meets(there);
        }
        assert_eq!(here.count("peer_up"), 4, "{}", here.story());
    }
    for here in &members {
        assert_eq!(here.count("peer_down"), 0, "{}", here.story());
    }
}

#[test]
fn two_nodes_may_share_a_name() {
    let mesh = Mesh::new();
    let (one, two, three) = (mesh.join("twin"), mesh.join("twin"), mesh.join("three"));
    assert_ne!(one.id, two.id);
    one.meets(&two);
    three.meets(&one);
    three.meets(&two);
}

#[test]
fn sigterm_and_sigint_are_told_as_left() {
    let mesh = Mesh::new();
    let watcher = mesh.join("watcher");
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let leaver = mesh.join("leaver");
        watcher.meets(&leaver);
        leaver.meets(&watcher);
        let at = leaver.signal(signal);
        let down = watcher.expect_line("peer_down", |line| line["node"] == *leaver.id, SOON);
        assert_eq!(down.json.unwrap()["reason"], "left");
        assert!(down.at - at < Duration::from_millis(100) + SLACK, "{:?}", down.at - at);
        leaver.exits(0, SOON);
    }
}

#[test]
fn a_node_that_leaves_as_soon_as_it_is_seen_is_told_as_left() {
    let mesh = Mesh::new();
    let watchers = [mesh.join("one"), mesh.join("two")];
    for round in 0..20 {
        let brief = mesh.talkie("join").name("brief").spawn();
        for watcher in &watchers {
            watcher.expect("peer_up", |line| line["name"] == "brief", SOON);
        }
        // Its own side of a link may be a step behind.
        brief.leaves();
        for watcher in &watchers {
            let down = watcher.expect("peer_down", |line| line["name"] == "brief", SOON);
            assert_eq!(down["reason"], "left", "round {round}");
        }
    }
}

#[test]
fn sigkill_is_told_as_closed_and_a_restart_is_a_new_node() {
    let mesh = Mesh::new();
    let watcher = mesh.join("watcher");
    let mut before = mesh.join("phoenix");
    for _ in 0..3 {
        watcher.meets(&before);
        let at = before.kill();
        let down = watcher.expect_line("peer_down", |line| line["node"] == *before.id, SOON);
        assert_eq!(down.json.unwrap()["reason"], "closed");
        assert!(down.at - at < Duration::from_millis(100) + SLACK, "{:?}", down.at - at);
        let after = mesh.join("phoenix");
        assert_ne!(before.id, after.id, "the id is the incarnation");
        before = after;
    }
    watcher.meets(&before);
    assert_eq!((watcher.count("peer_up"), watcher.count("peer_down")), (4, 3), "{}", watcher.story());
}

#[test]
fn a_frozen_node_is_told_as_timeout_and_linked_again_when_it_thaws() {
    let mesh = Mesh::new();
    let (watcher, sleeper) = (mesh.join("watcher"), mesh.join("sleeper"));
    watcher.meets(&sleeper);
    sleeper.meets(&watcher);
    let at = sleeper.signal(Signal::SIGSTOP);
    let down = watcher.expect_line("peer_down", |line| line["node"] == *sleeper.id, SOON);
    assert_eq!(down.json.unwrap()["reason"], "timeout");
    let took = down.at - at;
    // The last word may have come half a second before the freeze.
    assert!(took > Duration::from_millis(2300) && took < SILENCE_TOLD + SLACK, "{took:?}");
    let at = sleeper.signal(Signal::SIGCONT);
    let up = watcher.expect_line("peer_up", |line| line["node"] == *sleeper.id, SOON);
    assert!(up.at - at < Duration::from_secs(1) + SLACK, "{:?}", up.at - at);
}

#[test]
fn a_short_freeze_is_no_event() {
    let mesh = Mesh::new();
    let (watcher, sleeper) = (mesh.join("watcher"), mesh.sub("sleeper", &["t"]));
    watcher.meets(&sleeper);
    sleeper.meets(&watcher);
    let freeze = Duration::from_secs(1);
    sleeper.signal(Signal::SIGSTOP);
    watcher.stays_silent(freeze);
    sleeper.signal(Signal::SIGCONT);
    // A message that crosses shows that both are well.
    mesh.publish("pub", "t", "x").exits(0);
    sleeper.next("message");
    for node in [&watcher, &sleeper] {
        let downs = node.events(&["peer_down"]);
        assert!(downs.iter().all(|line| line["name"] == "pub"), "{}", node.story());
    }
}

#[test]
fn nodes_that_start_at_once_end_with_one_link_and_one_event() {
    for round in 0..20 {
        let mesh = Mesh::new();
        let sides = ["one", "two"].map(|name| mesh.talkie("join").name(name).spawn());
        let ids = [&sides[0], &sides[1]].map(|side| side.next("joined")["node"].clone());
        for (here, there) in [(0, 1), (1, 0)] {
            sides[here].expect("peer_up", |line| line["node"] == ids[there], SOON);
        }
        // A third node's coming and going takes longer than any second link of the two would live.
        let third = mesh.join("third");
        for side in &sides {
            side.expect("peer_up", |line| line["name"] == "third", SOON);
        }
        third.expect_count("peer_up", 2, SOON);
        third.leaves();
        for side in &sides {
            side.expect("peer_down", |line| line["name"] == "third" && line["reason"] == "left", SOON);
        }
        sides[1].leaves();
        let down = sides[0].expect("peer_down", |line| line["node"] == ids[1], SOON);
        assert_eq!(down["reason"], "left", "round {round}");
        let events = (sides[0].count("peer_up"), sides[0].count("peer_down"));
        assert_eq!(events, (2, 2), "round {round}\n{}", sides[0].story());
        assert_eq!(sides[1].count("peer_up"), 2, "round {round}\n{}", sides[1].story());
        assert_eq!(sides[1].count("peer_down"), 1, "round {round}\n{}", sides[1].story());
    }
}

#[test]
fn two_buses_share_the_mesh_and_never_mix() {
    let mesh = Mesh::new();
    let red = Member::start(mesh.talkie("sub").name("red").args(["**", "--bus", "red"]));
    let blue = Member::start(mesh.talkie("sub").name("blue").args(["**", "--bus", "blue"]));
    red.meets(&blue);
    let publish = |bus: &str, payload: &str, code: i32| {
        let to = ["t", payload, "--bus", bus, "--timeout", "2"];
        mesh.talkie("pub").name("pub").args(to).run().exits(code);
    };
    publish("red", "for red", 0);
    publish("blue", "for blue", 0);
    publish("green", "for nobody", 1);
    publish("red", "end", 0);
    publish("blue", "end", 0);
    for (sub, own) in [(&red, "for red"), (&blue, "for blue")] {
        sub.expect("message", |line| line["payload"] == "end", SOON);
        let payloads: Vec<_> = sub.events(&["message"]).iter().map(|line| line["payload"].clone()).collect();
        assert_eq!(payloads, [own, "end"]);
    }
}

#[test]
fn two_secrets_on_one_group_never_meet() {
    let mesh = Mesh::new();
    let neighbours = mesh.neighbour();
    let ours = [mesh.join("ours-1"), mesh.sub("ours-2", &["**"])];
    let theirs = [neighbours.join("theirs-1"), neighbours.sub("theirs-2", &["**"])];
    ours[0].meets(&ours[1]);
    ours[1].meets(&ours[0]);
    theirs[0].meets(&theirs[1]);
    theirs[1].meets(&theirs[0]);
    // Each as the other's partner, too: a wrong secret is refused however one finds the other.
    let address = ours[0].addr().to_string();
    let pusher = Member::start(neighbours.talkie("join").name("theirs-3").args(["--partners", &address]));
    pusher.meets(&theirs[0]);
    mesh.publish("pub", "t", "ours").exits(0);
    neighbours.publish("pub", "t", "theirs").exits(0);
    assert_eq!(ours[1].next("message")["payload"], "ours");
    assert_eq!(theirs[1].next("message")["payload"], "theirs");
    for (nodes, stranger) in [(&ours, "theirs"), (&theirs, "ours")] {
        for node in nodes {
            let names = node.events(&["peer_up"]);
            let strange = names.iter().find(|line| line["name"].as_str().unwrap().starts_with(stranger));
            assert_eq!(strange, None);
            assert!(!node.stderr().contains(stranger), "a name of the others: {}", node.stderr());
        }
    }
}

#[test]
fn partners_meet_without_multicast() {
    let mesh = Mesh::new();
    let silent = |name: &str| mesh.talkie("join").name(name).args(["--multicast", "off"]);
    let one = Member::start(silent("one"));
    let two = Member::start(silent("two").args(["--partners", &one.addr().to_string()]));
    assert_eq!(two.meets(&one)["via"], "partner");
    one.meets(&two);
    // Host names, blanks, empty items, several flags, and one that nobody answers.
    let list = format!(" localhost:{} , ,127.0.0.1:9,", one.port());
    let second = format!("--partners=127.0.0.1:{}", two.port());
    let three = Member::start(silent("three").args(["--partners", &list, &second]));
    three.meets(&one);
    three.meets(&two);
    let listed = format!("{},{}", one.addr(), two.addr());
    let four = Member::start(silent("four").env("TALKIE_PARTNERS", listed));
    four.meets(&one);
    four.meets(&two);
}

#[test]
fn multicast_off_is_silent() {
    let mesh = Mesh::new();
    let quiet = Member::start(mesh.talkie("join").name("quiet").args(["--multicast", "off"]));
    let (one, two) = (mesh.join("one"), mesh.join("two"));
    one.meets(&two);
    two.meets(&one);
    two.leaves();
    one.expect("peer_down", |line| line["name"] == "two", SOON);
    assert_eq!(one.count("peer_up"), 1, "{}", one.story());
    assert_eq!(quiet.count("peer_up"), 0, "{}", quiet.story());
}

#[test]
fn a_partner_may_come_later_and_come_back() {
    let mesh = Mesh::new();
    let (mine, theirs) = (free_port(), free_port());
    let node = |name: &str, port: u16, partner: u16| {
        let (listen, partner) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{partner}"));
        let settings = ["--multicast", "off", "--listen", &listen, "--partners", &partner];
        mesh.talkie("join").name(name).args(settings)
    };
    let early = Member::start(node("early", mine, theirs));
    for _ in 0..2 {
        // Without partners of its own: it must be found.
        let listen = format!("127.0.0.1:{theirs}");
        let settings = ["--multicast", "off", "--listen", &listen];
        let late = Member::start(mesh.talkie("join").name("late").args(settings));
        assert_eq!(early.meets(&late)["via"], "partner");
        late.kill();
        early.expect("peer_down", |line| line["node"] == *late.id, SOON);
    }
}

#[test]
fn ones_own_address_among_the_partners_is_harmless() {
    let mesh = Mesh::new();
    let port = free_port();
    let own = format!("127.0.0.1:{port}");
    let list = format!("{own},localhost:{port}");
    let node = Member::start(mesh.talkie("join").name("node").args(["--listen", &own, "--partners", &list]));
    let other = Member::start(mesh.talkie("join").name("other").args(["--partners", &own]));
    node.meets(&other);
    other.meets(&node);
    other.leaves();
    node.expect("peer_down", |line| line["node"] == *other.id, SOON);
    assert_eq!(node.count("peer_up"), 1, "never itself\n{}", node.story());
}

#[test]
fn a_link_over_ipv6_loopback_works() {
    let mesh = Mesh::new();
    let v6 = |name: &str| mesh.talkie("join").name(name).args(["--listen", "[::1]:0", "--multicast", "off"]);
    let one = Member::start(v6("one"));
    let two = Member::start(v6("two").args(["--partners", &one.addr().to_string()]));
    assert!(two.meets(&one)["addr"].as_str().unwrap().starts_with("[::1]:"));
    one.meets(&two);
}
