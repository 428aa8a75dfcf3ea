//! Sixteen processes with a thousand keys each: from the last link until each lists the keys of all.

use serde_json::json;
use talkie_pubsub::{PeerEvent, PresenceChange};

use crate::command::{Mesh, Process};
use crate::role::join;
use crate::start::keygen;
use crate::stats::{now_ns, print};

const NODES: usize = 16;
const KEYS: usize = 1_000;

pub(crate) fn run(rounds: usize) {
    let took: Vec<(f64, f64)> = (0..rounds).map(|_| measure()).collect();
    let (from_link, from_start): (Vec<f64>, Vec<f64>) = took.into_iter().unzip();
    print("16 processes, 1,000 keys each: last link -> all list all", "ms", &from_link, "1000 ms");
    print("the same from the first start", "ms", &from_start, "");
}

/// Milliseconds from the last link, and from the first start, until the last lists all.
fn measure() -> (f64, f64) {
    let mesh = Mesh::new(&keygen());
    let nodes: Vec<Process> = (0..NODES).map(|_| mesh.role(&["present"])).collect();
    let (mut linked, mut listed) = (0, 0);
    for node in &nodes {
        let (_, line) = node.wait("complete");
        linked = linked.max(line["linked_ns"].as_u64().expect("a time"));
        listed = listed.max(line["listed_ns"].as_u64().expect("a time"));
    }
    let first = nodes.iter().map(|node| node.began).min().unwrap_or(0);
    (listed.saturating_sub(linked) as f64 / 1e6, (listed - first) as f64 / 1e6)
}

/// Tracks its keys, and tells when it was linked to all and when it listed all keys.
pub(crate) async fn role() {
    let bus = join().await;
    let mut peers = bus.node().peer_events();
    let room = bus.presence("room").expect("a topic");
    let own = bus.node().id();
    let track = |n| room.track(format!("{own}/{n:04}"), &format!("key {n}")).expect("there is room");
    let _tracked: Vec<_> = (0..KEYS).map(track).collect();
    let mut changes = room.changes();
    let (mut linked, mut known) = ((0, 0), (0, 0));
    while linked.0 < NODES - 1 || known.0 < NODES * KEYS {
        tokio::select! {
            Some(PeerEvent::Up(_)) = peers.recv() => linked = (linked.0 + 1, now_ns()),
            Some(PresenceChange::Joined(_)) = changes.next() => known = (known.0 + 1, now_ns()),
        }
    }
    assert_eq!(room.list().len(), NODES * KEYS);
    println!("{}", json!({"event": "complete", "linked_ns": linked.1, "listed_ns": known.1}));
    std::future::pending::<()>().await;
}
