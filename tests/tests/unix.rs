//! Nodes of one host link over Unix sockets, and keep every promise there.
#![allow(clippy::disallowed_methods, reason = "promised delays are measured in real time")]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is wrong"
)]

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    os::{
        linux::net::SocketAddrExt,
        unix::{
            fs::PermissionsExt,
            net::{SocketAddr, UnixStream},
            process::CommandExt,
        },
    },
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{sys::signal::Signal, unistd::geteuid};
use talkie_tests::{
    SLACK, SOON,
    command::binary,
    hosts::{Lan, require_root},
    mesh::{Member, Mesh, keygen},
    require_insight,
};

/// How soon the end of a process is told whose kernel closes its connections.
const CLOSED_TOLD: Duration = Duration::from_millis(100);

/// How soon silence is told as death: the last word may be half a second younger than the silence's cause.
const FREEZE_TOLD: Duration = Duration::from_millis(3500);

/// What the link between two nodes goes over, as one of them tells.
#[track_caller]
fn link(here: &Member, there: &Member) -> String {
    here.meets(there)["link"].as_str().unwrap_or("none told").to_owned()
}

/// The abstract socket that only this process has open.
#[track_caller]
fn door(node: &Member) -> String {
    let open = fs::read_dir(format!("/proc/{}/fd", node.pid())).unwrap();
    let inodes: Vec<String> = open
        .filter_map(|fd| fs::read_link(fd.unwrap().path()).ok())
        .filter_map(|to| Some(to.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let all = fs::read_to_string(format!("/proc/{}/net/unix", node.pid())).unwrap();
    let listening = all.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        // Num RefCount Protocol Flags Type St Inode Path; __SO_ACCEPTCON
        let (flags, inode) = (words.nth(3)?, words.nth(2)?);
        (flags == "00010000" && inodes.iter().any(|own| own == inode)).then(|| words.next()).flatten()
    });
    listening.unwrap_or_else(|| panic!("no listening socket in\n{all}")).trim_start_matches('@').to_owned()
}

fn knock(door: &str) -> std::io::Result<UnixStream> {
    UnixStream::connect_addr(&SocketAddr::from_abstract_name(door).unwrap())
}

/// What comes back until the node closes.
#[track_caller]
fn answer(stream: &mut UnixStream) -> Vec<u8> {
    stream.set_read_timeout(Some(SOON)).unwrap();
    let mut came = Vec::new();
    match stream.read_to_end(&mut came) {
        Err(e) if e.kind() == ErrorKind::WouldBlock => panic!("a stranger's connection was kept"),
        _ => came,
    }
}

#[test]
fn nodes_of_one_host_link_by_a_unix_socket_that_does_not_show_their_ids() {
    let mesh = Mesh::new();
    let (a, b) = (mesh.sub("a", &["t"]), mesh.join("b"));
    assert_eq!(link(&a, &b), "unix");
    let up = b.meets(&a);
    assert_eq!(
        (&up["link"], &up["addr"]),
        (&"unix".into(), &a.joined["listen"][0]),
        "it still tells where it listens"
    );
    for node in [&a, &b] {
        let door = door(node);
        assert!(door.starts_with("talkie/") && door.len() == 39, "{door}");
        assert!(!door.contains(&node.id[..8]) && !door.contains(&node.id[24..]), "{door} shows {}", node.id);
    }
    let peers = mesh.talkie("peers").args(["--count", "2", "--wait", "5", "--json"]).run().exits(0);
    assert!(peers.json().iter().all(|line| line["link"] == "unix"), "{}", peers.text());
    mesh.publish("pub", "t", "hello").exits(0);
    assert_eq!(a.next("message")["payload"], "hello");
}

#[test]
fn one_side_without_is_linked_by_tcp() {
    let mesh = Mesh::new();
    let with = mesh.sub("with", &["t"]);
    let without = Member::start(mesh.talkie("join").name("without").args(["--unix", "off"]));
    assert_eq!((link(&with, &without), link(&without, &with)), ("tcp".to_owned(), "tcp".to_owned()));
    mesh.talkie("pub").env("TALKIE_UNIX", "off").args(["t", "x"]).run().exits(0);
    assert_eq!(with.next("message")["payload"], "x");
}

#[test]
fn nodes_that_a_member_tells_of_link_by_their_unix_sockets() {
    let mesh = Mesh::new();
    let silent = |name: &str| mesh.talkie("join").name(name).args(["--multicast", "off"]);
    let known = Member::start(silent("known"));
    let partner = known.addr().to_string();
    let [a, b] = ["a", "b"].map(|name| Member::start(silent(name).args(["--partners", &partner])));
    assert_eq!(a.meets(&b)["link"], "unix");
    assert_eq!(b.meets(&a)["link"], "unix");
    // Whose id is known only after the handshake is found by TCP, and stays there.
    assert_eq!(a.meets(&known)["link"], "tcp");
}

#[test]
fn hosts_are_told_apart_by_their_networks() {
    if !require_root() {
        return;
    }
    // One kernel, and so one boot id.
    let (lan, secret) = (Lan::new(2), keygen());
    let [here, beside] = ["here", "beside"].map(|name| lan.host(1).join(&secret, name));
    let there = lan.host(2).join(&secret, "there");
    assert_eq!((link(&here, &beside), link(&beside, &here)), ("unix".to_owned(), "unix".to_owned()));
    assert_eq!((link(&here, &there), link(&there, &beside)), ("tcp".to_owned(), "tcp".to_owned()));
}

#[test]
fn the_end_of_a_node_is_told_as_ever() {
    let mesh = Mesh::new();
    let watcher = mesh.join("watcher");
    let [killed, left, frozen] = ["killed", "left", "frozen"].map(|name| mesh.join(name));
    for node in [&killed, &left, &frozen] {
        assert_eq!(link(&watcher, node), "unix");
    }
    let told = |node: &Member, reason: &str, from: Instant, within: Duration| {
        let down = watcher.expect_line("peer_down", |line| line["node"] == *node.id, SOON);
        assert_eq!(down.json.unwrap()["reason"], reason);
        let took = down.at.saturating_duration_since(from);
        assert!(took < within + SLACK, "told after {took:?}\n{}", watcher.story());
    };
    told(&killed, "closed", killed.kill(), CLOSED_TOLD);
    let leaving = left.signal(Signal::SIGTERM);
    told(&left, "left", leaving, CLOSED_TOLD);
    let at = frozen.signal(Signal::SIGSTOP);
    told(&frozen, "timeout", at, FREEZE_TOLD);
    frozen.signal(Signal::SIGCONT);
    watcher.expect_count("peer_up", 4, SOON);
    let back = watcher.events(&["peer_up"]);
    assert_eq!((&back[3]["node"], &back[3]["link"]), (&frozen.id.as_str().into(), &"unix".into()));
}

#[test]
fn a_stranger_at_the_socket_gets_no_byte_and_keeps_nobody_out() {
    if !require_insight() {
        return;
    }
    let mesh = Mesh::new();
    let node = mesh.join("node");
    let (door, files) = (door(&node), node.open_files());
    let mut sayings = vec![b"GET / HTTP/1.1\r\n\r\n".to_vec(), vec![0; 4096], vec![]];
    // The right beginning of a handshake, and a key that holds no secret.
    sayings.push([b"TLK\x01\x00\x30".to_vec(), vec![7; 48]].concat());
    for said in sayings {
        let mut stream = knock(&door).unwrap();
        let _ = stream.write_all(&said);
        assert_eq!(answer(&mut stream), b"", "to {} bytes", said.len());
    }
    let mut idle: Vec<UnixStream> = (0..600).filter_map(|_| knock(&door).ok()).collect();
    assert!(idle.len() > 300, "{} connected", idle.len());
    let from = Instant::now();
    let peer = mesh.join("peer");
    let up = node.expect_line("peer_up", |line| line["node"] == *peer.id, SOON);
    let took = up.at.saturating_duration_since(from);
    assert!(took < Duration::from_secs(3) + SLACK, "linked after {took:?}");
    let held = node.open_files().saturating_sub(files);
    assert!(held <= 256 + 16, "{held} connections of strangers held at once");
    for stream in &mut idle {
        assert_eq!(answer(stream), b"");
    }
    assert!(node.open_files() <= files + 8, "{} files, {files} before", node.open_files());
}

#[test]
fn large_messages_cross_in_order() {
    let mesh = Mesh::new();
    let most = (16 << 20).to_string();
    let sub = mesh.talkie("sub").name("sub").args(["t", "--max-message", &most]);
    let sub = Member::start(sub);
    let sizes = [1, 1 << 20, 2, 16 << 20, 3, 1 << 20, 4];
    let lines: Vec<String> = sizes.iter().map(|&size| "x".repeat(size)).collect();
    let publisher = mesh.talkie("pub").name("pub").args(["t", "-", "--max-message", &most]);
    publisher.input(lines.join("\n") + "\n").run().exits(0);
    sub.expect_count("message", sizes.len(), SOON);
    let came = sub.events(&["message"]);
    let came: Vec<usize> = came.iter().map(|line| line["payload"].as_str().unwrap().len()).collect();
    assert_eq!(came, sizes);
    assert_eq!(sub.events(&["peer_up"])[0]["link"], "unix");
}

#[test]
fn a_node_of_another_user_links_too() {
    if !geteuid().is_root() {
        println!("skipped: only root may start a process of another user");
        return;
    }
    let mesh = Mesh::new();
    let node = mesh.join("node");
    // Where this build lies, others may not look.
    let folder = std::env::temp_dir().join(format!("talkie-{}", mesh.group().port()));
    fs::create_dir_all(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    let copy = folder.join("talkie");
    fs::copy(binary(), &copy).unwrap();
    let other = Command::new(&copy)
        .args([
            "sub",
            "t",
            "--count",
            "1",
            "--timeout",
            "20",
            "--name",
            "nobody",
            "--json",
            "--interface",
            "lo",
        ])
        .env_clear()
        .env("TALKIE_SECRET", mesh.secret())
        .env("TALKIE_GROUP", mesh.group().to_string())
        .env("TALKIE_LISTEN", "127.0.0.1:0")
        .current_dir("/")
        .uid(65_534)
        .gid(65_534)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let ended = thread::spawn(|| other.wait_with_output().unwrap());
    let up = node.expect("peer_up", |line| line["name"] == "nobody", SOON);
    assert_eq!(up["link"], "unix");
    mesh.publish("pub", "t", "hello").exits(0);
    let ended = ended.join().unwrap();
    fs::remove_dir_all(&folder).unwrap();
    assert!(ended.status.success() && String::from_utf8_lossy(&ended.stdout).contains("hello"), "{ended:?}");
}
