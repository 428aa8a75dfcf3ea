//! CONTRACT's promises 5 and 6: an attacker on loopback learns nothing, is told nothing, and does no harm.
#![allow(clippy::disallowed_methods, reason = "floods and promised delays are measured in real time")]

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use talkie_tests::{
    SLACK, SOON,
    feeder::Feeder,
    ledger::{Ledger, Totals},
    mesh::{Member, Mesh},
    proxy::{Proxy, Towards},
    require_insight,
    stranger::{Flood, answer, capture, eavesdrop, injector, say, waiting},
};

/// How much an attack may add to a node's memory. What bounds it are queues and tables of fixed size.
const GROWTH: u64 = 8 << 20;

/// How soon a real peer must be linked whatever a stranger does.
const LINKED: Duration = Duration::from_secs(3);

/// How long a flood lasts.
const FLOOD: Duration = Duration::from_secs(2);

/// Says the same bytes, or each its own, on many connections at once; gives what came back on each.
fn say_all(to: SocketAddr, sayings: &[Vec<u8>]) -> Vec<Vec<u8>> {
    // No more at once than a node talks to strangers.
    let batches = sayings.chunks(32).map(|batch| {
        thread::scope(|scope| {
            let talks: Vec<_> = batch.iter().map(|bytes| scope.spawn(move || say(to, bytes))).collect();
            talks
                .into_iter()
                .map(|talk| talk.join().unwrap_or_else(|p| std::panic::resume_unwind(p)))
                .collect::<Vec<_>>()
        })
    });
    batches.flatten().collect()
}

/// A real peer is linked in time, and a message crosses.
#[track_caller]
fn a_real_peer_links(mesh: &Mesh, node: &Member, within: Duration) {
    let from = Instant::now();
    let peer = mesh.talkie("join").name("real").spawn();
    let joined = peer.expect("joined", |_| true, SOON);
    let linked = node.expect_line("peer_up", |line| line.get("node") == joined.get("node"), SOON + SOON);
    let took = linked.at.saturating_duration_since(from);
    assert!(took < within + SLACK, "linked after {took:?}\n{}", node.story());
    peer.leaves();
    node.expect("peer_down", |line| line.get("node") == joined.get("node"), SOON);
}

#[test]
fn random_bytes_get_no_answer_and_do_no_harm() {
    let mesh = Mesh::new();
    let node = mesh.sub("node", &["**"]);
    let before = node.resident();
    let seed = fastrand::Rng::new().u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut sayings: Vec<Vec<u8>> = Vec::new();
    // Lengths that lie, in every order of bytes one may think of.
    for length in [[0, 0], [0, 1], [1, 0], [0xff, 0xff], [0, 0xff], [0x7f, 0xff], [0xff, 0]] {
        for body in [0, 1, 32, 48, 96, 512, 4096] {
            let noise = std::iter::repeat_with(|| random.u8(..)).take(body);
            sayings.push(length.into_iter().chain(noise).collect());
        }
    }
    for _ in 0..150 {
        let length = random.usize(1..4096);
        sayings.push(std::iter::repeat_with(|| random.u8(..)).take(length).collect());
    }
    sayings.push(b"GET / HTTP/1.1\r\nHost: talkie\r\n\r\n".to_vec());
    sayings.push(vec![0; 1 << 20]);
    for (said, came) in sayings.iter().zip(say_all(node.addr(), &sayings)) {
        assert_eq!(came, b"", "to {} bytes that begin {:02x?}", said.len(), &said[..said.len().min(8)]);
    }
    assert_eq!(node.count("peer_up"), 0);
    a_real_peer_links(&mesh, &node, LINKED);
    let growth = node.resident().saturating_sub(before);
    assert!(growth < GROWTH, "{growth} bytes more");
}

#[test]
fn two_thousand_idle_connections_keep_nobody_out() {
    if !require_insight() {
        return;
    }
    const IDLE: usize = 2000;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let wanted = hard.min(2 * IDLE as u64 + 500);
    setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).unwrap();
    let mesh = Mesh::new();
    let node = mesh.join("node");
    let (memory, files) = (node.resident(), node.open_files());
    let to = node.addr();
    let connect = || TcpStream::connect_timeout(&to, Duration::from_secs(1)).ok();
    let mut idle: Vec<TcpStream> = thread::scope(|scope| {
        let dials: Vec<_> = (0..8)
            .map(|_| scope.spawn(move || (0..IDLE / 8).filter_map(|_| connect()).collect::<Vec<_>>()))
            .collect();
        dials.into_iter().flat_map(|dial| dial.join().unwrap()).collect()
    });
    assert!(idle.len() > IDLE / 2, "{} connected", idle.len());
    let held = node.open_files().saturating_sub(files);
    a_real_peer_links(&mesh, &node, LINKED);
    // From loopback, where a whole mesh may live, more than the 64 of any other address.
    assert!(held < 1100, "{held} connections of strangers held at once");
    for stream in &mut idle {
        assert_eq!(answer(stream), b"");
    }
    assert!(node.open_files() <= files + 8, "{} files, {files} before", node.open_files());
    let growth = node.resident().saturating_sub(memory);
    assert!(growth < GROWTH, "{growth} bytes more");
}

/// The bytes of a real handshake: what the dialler said before anything came back, and what came back first.
fn recorded_handshake(mesh: &Mesh, node: &Member) -> (Vec<u8>, Vec<u8>) {
    let proxy = Proxy::to(node.addr());
    let partner = proxy.addr().to_string();
    let dialler = mesh.talkie("join").name("dialler").args(["--multicast", "off", "--partners", &partner]);
    let dialler = Member::start(dialler);
    node.meets(&dialler);
    dialler.leaves();
    node.expect("peer_down", |line| line.get("node") == Some(&dialler.id.clone().into()), SOON);
    let recorded = proxy.recorded();
    let spoken = recorded.iter().take_while(|(towards, _)| *towards == Towards::Target);
    let first: Vec<u8> = spoken.flat_map(|(_, bytes)| bytes.clone()).collect();
    let reply = recorded.iter().find(|(towards, _)| *towards == Towards::Dialler);
    (first, reply.map(|(_, bytes)| bytes.clone()).unwrap_or_default())
}

#[test]
fn a_recorded_handshake_opens_nothing() {
    let mesh = Mesh::new();
    let node = Member::start(mesh.talkie("join").name("node-named-thus").args(["--multicast", "off"]));
    let (first, reply) = recorded_handshake(&mesh, &node);
    assert!(!first.is_empty() && !reply.is_empty(), "there was a handshake");
    let shows = |bytes: &[u8]| bytes.windows(5).any(|part| part == b"thus\0" || part == b"named");
    assert!(!shows(&first) && !shows(&reply));

    // Every bit counts: with one of them flipped, not a byte comes back.
    let mut flipped: Vec<Vec<u8>> = Vec::new();
    for offset in 0..first.len() {
        let mut bytes = first.clone();
        bytes[offset] ^= 1 << (offset % 8);
        flipped.push(bytes);
    }
    for (offset, came) in say_all(node.addr(), &flipped).into_iter().enumerate() {
        assert_eq!(came, b"", "byte {offset} of {} flipped", first.len());
    }
    // Nor for a part of it.
    let parts: Vec<Vec<u8>> =
        [1, 2, 3, first.len() / 2, first.len() - 1].map(|end| first[..end].to_vec()).into();
    for came in say_all(node.addr(), &parts) {
        assert_eq!(came, b"");
    }
    // The whole of it again gets one message at most, which says nothing and is never the same, and no membership.
    let replays: Vec<Vec<u8>> = vec![first; 50];
    let answers = say_all(node.addr(), &replays);
    for came in &answers {
        assert!(came.len() <= reply.len() + 64, "{} bytes came back", came.len());
        assert!(!shows(came));
        assert!(came.is_empty() || *came != reply);
    }
    assert_eq!((node.count("peer_up"), node.count("peer_down")), (1, 1), "{}", node.story());
    // And the real one is still welcome.
    recorded_handshake(&mesh, &node);
}

#[test]
fn heartbeats_have_one_size_and_show_nothing() {
    let mesh = Mesh::new();
    let ear = eavesdrop(mesh.group(), Ipv4Addr::LOCALHOST);
    let _one = mesh.sub("ALPHA-one", &["TOPIC/one"]);
    let _two = mesh.join("ALPHA-two-with-a-much-longer-name-than-the-other");
    let heard = capture(&ear, 10);
    let size = heard[0].len();
    for datagram in &heard {
        assert_eq!(datagram.len(), size);
        assert_eq!(datagram[..4], heard[0][..4], "magic and version are all that is in clear");
        for word in ["ALPHA", "TOPIC", "default"] {
            assert!(!datagram.windows(word.len()).any(|part| part == word.as_bytes()), "{word}");
        }
    }
    assert!(size <= 508, "{size}: under every MTU");
    // No byte but the first four stays the same: also a repeated heartbeat is sealed anew.
    for offset in 4..size {
        assert!(
            heard.iter().any(|datagram| datagram[offset] != heard[0][offset]),
            "byte {offset} never changes"
        );
    }
}

#[test]
fn replayed_and_altered_heartbeats_change_nothing() {
    let mesh = Mesh::new();
    let ear = eavesdrop(mesh.group(), Ipv4Addr::LOCALHOST);
    let node = mesh.join("node");
    let ghost = mesh.join("ghost");
    node.meets(&ghost);
    let mut recorded = capture(&ear, 8);
    let door = ghost.addr();
    ghost.kill();
    node.expect("peer_down", |line| line.get("node") == Some(&ghost.id.clone().into()), SOON);
    waiting(&ear, None);
    let door = TcpListener::bind(door).unwrap();
    let before = node.resident();

    for index in 0..300 {
        let mut altered = recorded[index % 8].clone();
        match index % 3 {
            0 => {
                let offset = index % altered.len();
                altered[offset] ^= 1 << (index % 8);
            }
            1 => altered.truncate(index),
            _ => altered.extend_from_slice(&[0; 16][..1 + index % 16]),
        }
        recorded.push(altered);
    }
    let attacker = injector(Ipv4Addr::LOCALHOST);
    let own = attacker.local_addr().unwrap();
    let from = Instant::now();
    let (mut sent, mut beats) = (0, 0);
    while from.elapsed() < FLOOD {
        for datagram in &recorded {
            // A full queue of the loopback interface is no reason to stop.
            let _ = attacker.send_to(datagram, mesh.group());
            sent += 1;
        }
        beats += waiting(&ear, Some(own));
        node.stays_silent(Duration::from_millis(20));
    }
    assert!(sent > 3000, "{sent} datagrams sent");
    assert_eq!(waiting(&attacker, None), 0, "a datagram is never answered");
    assert!(beats <= 12, "{beats} heartbeats while one a second is due");
    door.set_nonblocking(true).unwrap();
    let dials = std::iter::from_fn(|| door.accept().ok()).count();
    assert!(dials <= 10, "{dials} dials to a node that is gone");
    assert_eq!((node.count("peer_up"), node.count("peer_down")), (1, 1), "{}", node.story());
    a_real_peer_links(&mesh, &node, LINKED);
    let growth = node.resident().saturating_sub(before);
    assert!(growth < GROWTH, "{growth} bytes more");
}

#[test]
fn a_flood_of_junk_breaks_nothing() {
    let mesh = Mesh::new();
    let (node, peer) = (mesh.sub("node", &["t"]), mesh.join("peer"));
    node.meets(&peer);
    peer.meets(&node);
    let before = node.resident();
    let mut random = fastrand::Rng::new();
    let mut junk = |size| std::iter::repeat_with(|| random.u8(..)).take(size).collect::<Vec<u8>>();
    let junk =
        [0, 1, 4, 31, 299, 300, 301, 508, 1472, 9000, 65_000].repeat(50).into_iter().map(&mut junk).collect();
    let flood = Flood::start(injector(Ipv4Addr::LOCALHOST), mesh.group(), junk);
    node.stays_silent(FLOOD);
    a_real_peer_links(&mesh, &node, LINKED);
    let sent = flood.end();
    let growth = node.resident().saturating_sub(before);
    assert!(sent > 10_000, "{sent} datagrams are no flood");
    assert!(growth < GROWTH, "{growth} bytes more");
    let lost = peer.events(&["peer_down"]).iter().any(|line| line["node"] == *node.id);
    assert!(!lost, "a link is not lost\n{}", peer.story());
}

#[test]
fn a_bit_flipped_on_the_way_breaks_the_link_and_never_the_stream() {
    let mesh = Mesh::new();
    let sub = Member::start(mesh.talkie("sub").name("sub").args(["t", "--multicast", "off"]));
    let proxy = Proxy::to(sub.addr());
    let partner = proxy.addr().to_string();
    let settings = ["t", "-", "--multicast", "off", "--partners", &partner];
    let mut publisher = mesh.talkie("pub").name("pub").args(settings).spawn();
    let feeder = Feeder::start(publisher.take_stdin(), 2000, |number| number.to_string());
    sub.expect_count("message", 500, SOON);
    for fault in [Proxy::tamper, Proxy::cut] {
        fault(&proxy);
        let so_far = sub.count("message");
        sub.expect_count("message", so_far + 500, SOON);
    }
    assert!(proxy.has_tampered(), "the link went through the proxy");
    let count = feeder.finish(SOON);
    publisher.wait(SOON);
    sub.expect("message", |line| line.get("payload") == Some(&(count - 1).to_string().into()), SOON);
    let id = sub.events(&["message"])[0]["node"].as_str().unwrap().to_owned();
    let mut ledger = Ledger::new();
    (0..count).for_each(|number| ledger.published(&id, "t", number.to_string()));
    ledger.subscribes("sub", "t");
    ledger.printed_all("sub", &sub);
    assert_eq!(ledger.balance(), Totals { delivered: count, ..Totals::default() });
}
