//! Whatever of a node is shown by `Debug`, as a panic would show it, holds neither the secret nor a key made of it.

#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

use std::fmt::Debug;

use talkie_pubsub::{Config, Secret};

mod common;

use common::{Mesh, soon};

/// The first of PROTOCOL.md's vectors, and the ends of its keys: root, prk, heartbeat key, link key.
const SECRET: &str = "tk1-aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypxwhhxai";
const KEYS: [[u8; 4]; 4] =
    [[0x1c, 0x1d, 0x1e, 0x1f], [0x08, 0x98, 0x7e, 0x41], [0x0d, 0xb3, 0xe6, 0x25], [0xb9, 0x25, 0x6c, 0xac]];

#[track_caller]
fn hides(shown: &impl Debug) {
    for said in [format!("{shown:?}"), format!("{shown:#?}"), format!("{shown:x?}")] {
        let said = said.to_lowercase().replace(char::is_whitespace, "");
        assert!(!said.contains("aaaqeaye") && !said.contains("pxwhhxai"), "{said}");
        for [a, b, c, d] in KEYS {
            for key in [format!("{a},{b},{c},{d}"), format!("{a:x},{b:x},{c:x},{d:x}")] {
                assert!(!said.contains(&key), "{key} in {said}");
            }
            assert!(!said.contains(&format!("{a:02x}{b:02x}{c:02x}{d:02x}")), "{said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_node_shows_its_secret() {
    let secret = Secret::parse(SECRET).unwrap();
    hides(&secret);
    let mesh = Mesh::with_secret(secret);
    let config = mesh.config("node");
    hides(&config);
    let (bus, other) = (config.join().await.unwrap(), mesh.join("other").await);
    let mut orders = bus.subscribe("orders/*").unwrap();
    soon(other.subscribed_on("orders/42", 1)).await.unwrap();
    other.publish("orders/42", "tea").await.unwrap();
    let delivery = soon(orders.next()).await.unwrap();
    let room = bus.presence("room/7").unwrap();
    let me = room.track("ann", &7).unwrap();
    hides(&(&bus, &orders, &delivery, &room, &me));
    hides(&(bus.node(), bus.node().peers(), bus.node().peer_events(), bus.metrics()));
    hides(&Secret::parse("tk1-aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypxwhhxaj").unwrap_err());
    let taken = bus.node().listen().first().copied().unwrap();
    hides(&Config::new(Secret::parse(SECRET).unwrap()).listen(taken).join().await.unwrap_err());
}
