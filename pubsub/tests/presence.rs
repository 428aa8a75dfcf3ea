//! Presence between nodes of this process, over loopback.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::collections::BTreeMap;

use common::{Mesh, soon};
use serde::{Deserialize, Serialize};
use talkie_pubsub::{Bus, DecodeError, Presence, PresenceChange, PresenceError, Present, TrackError};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Seat {
    table: u8,
}

/// What a list says, in its order.
fn seats(presence: &Presence) -> Vec<(String, String, u8)> {
    let told = |it: Present| (it.key.to_string(), it.name.to_string(), it.meta::<Seat>().unwrap().table);
    presence.list().into_iter().map(told).collect()
}

fn here(key: &str, name: &str, table: u8) -> (String, String, u8) {
    (key.into(), name.into(), table)
}

/// Waits until the presence lists so many.
async fn lists(presence: &Presence, count: usize) {
    let mut changes = presence.changes();
    while presence.list().len() != count {
        soon(changes.next()).await.unwrap();
    }
}

async fn next(changes: &mut talkie_pubsub::PresenceChanges) -> (&'static str, String, u8) {
    match soon(changes.next()).await.unwrap() {
        PresenceChange::Joined(it) => ("joined", it.key.to_string(), it.meta::<Seat>().unwrap().table),
        PresenceChange::Updated { now, .. } => {
            ("updated", now.key.to_string(), now.meta::<Seat>().unwrap().table)
        }
        PresenceChange::Left(it) => ("left", it.key.to_string(), it.meta::<Seat>().unwrap().table),
        other => panic!("{other:?}"),
    }
}

async fn two() -> (Bus, Bus) {
    let mesh = Mesh::new();
    (mesh.join("one").await, mesh.join("two").await)
}

#[tokio::test]
async fn keys_are_listed_on_all_nodes_while_they_are_tracked() {
    let (one, two) = two().await;
    let (room, there) = (one.presence("room/7").unwrap(), two.presence("room/7").unwrap());
    let ann = room.track("ann", &Seat { table: 1 }).unwrap();
    assert_eq!(seats(&room), [here("ann", "one", 1)], "in force on return");
    let mut changes = there.changes();
    assert_eq!(next(&mut changes).await, ("joined", "ann".into(), 1));
    let again = room.track("ann", &Seat { table: 2 }).unwrap();
    assert_eq!(next(&mut changes).await, ("joined", "ann".into(), 2));
    assert_eq!(seats(&there), [here("ann", "one", 1), here("ann", "one", 2)], "a key may be there twice");
    ann.update(&Seat { table: 3 }).unwrap();
    assert_eq!(next(&mut changes).await, ("updated", "ann".into(), 3));
    let bob = there.track("bob", &Seat { table: 4 }).unwrap();
    assert_eq!(next(&mut changes).await, ("joined", "bob".into(), 4));
    lists(&room, 3).await;
    assert_eq!(room.list(), there.list(), "the same on both");
    assert_eq!(room.find("bob").len(), 1);
    assert_eq!(room.find("bo"), []);
    assert_eq!(one.presence("room/8").unwrap().list(), [], "another topic");
    drop(again);
    assert_eq!(next(&mut changes).await, ("left", "ann".into(), 2));
    // Outside of any runtime.
    std::thread::spawn(move || drop(ann)).join().unwrap();
    assert_eq!(next(&mut changes).await, ("left", "ann".into(), 3));
    assert_eq!(seats(&there), [here("bob", "two", 4)]);
    let mut late = room.changes();
    assert_eq!(next(&mut late).await, ("joined", "bob".into(), 4), "those present come first");
    drop(bob);
    assert_eq!(next(&mut late).await, ("left", "bob".into(), 4));
}

#[tokio::test]
async fn a_node_that_leaves_takes_its_keys_along() {
    let (one, two) = two().await;
    let (room, there) = (one.presence("room").unwrap(), two.presence("room").unwrap());
    let mut changes = there.changes();
    let ann = room.track("ann", &Seat { table: 1 }).unwrap();
    assert_eq!(next(&mut changes).await.0, "joined");
    let mut own = room.changes();
    assert_eq!(next(&mut own).await.0, "joined");
    soon(one.node().leave()).await.unwrap();
    assert_eq!(next(&mut changes).await, ("left", "ann".into(), 1));
    assert_eq!(there.list(), []);
    // Handles of the node that left are closed, and none of it panics.
    assert_eq!(next(&mut own).await.0, "left");
    assert_eq!(soon(own.next()).await, None);
    assert!(matches!(ann.update(&Seat { table: 2 }), Err(TrackError::Closed(_))));
    assert!(matches!(room.track("bob", &()), Err(TrackError::Closed(_))));
    assert!(matches!(one.presence("room"), Err(PresenceError::Closed(_))));
    assert_eq!(room.list(), []);
    drop(ann);
}

#[tokio::test]
async fn what_is_no_key_and_no_meta_is_told() {
    let bus = Mesh::new().join("one").await;
    assert!(matches!(bus.presence("room/*"), Err(PresenceError::Topic(_))));
    let room = bus.presence("room").unwrap();
    let refused = |key: &str| matches!(room.track(key, &()), Err(TrackError::Key { .. }));
    assert!(refused(""));
    assert!(refused(&"x".repeat(256)));
    let longest = room.track("x".repeat(255), &"y".repeat(16 * 1024 - 8 - 2)).unwrap();
    let error = longest.update(&"y".repeat(16 * 1024 - 8 - 1)).unwrap_err();
    assert_eq!(error.to_string(), "a meta of 16385 encoded bytes is over the limit of 16384");

    /// Refuses to be written.
    #[derive(Debug, Deserialize)]
    struct Never;
    impl Serialize for Never {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("never"))
        }
    }
    assert!(matches!(room.track("never", &Never), Err(TrackError::Encode(_))));
    assert!(matches!(longest.update(&Never), Err(TrackError::Encode(_))));
    let nameless = serde_json::json!({"a": 1});
    assert!(matches!(room.track("json", &nameless), Err(TrackError::Encode(_))));
    let listed = room.list();
    assert_eq!(listed.len(), 1, "nothing of that is here, and nothing changed");
    assert!(listed[0].meta::<String>().is_ok());
    assert!(matches!(listed[0].meta::<Seat>(), Err(DecodeError::OtherType { .. })));
}

#[tokio::test]
async fn a_node_tracks_no_more_than_others_take() {
    let (one, two) = two().await;
    let (room, there) = (one.presence("room").unwrap(), two.presence("room").unwrap());
    let meta = "m".repeat(16_000);
    let mut tracked = Vec::new();
    let full = loop {
        match room.track(format!("key {}", tracked.len()), &meta) {
            Ok(it) => tracked.push(it),
            Err(TrackError::Full(full)) => break full,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(full.entries, tracked.len());
    assert!(full.bytes > 32 * 1024 * 1024 - 17_000);
    lists(&there, tracked.len()).await;
    tracked.pop();
    tracked.push(room.track("another", &meta).unwrap());
    assert!(matches!(room.track("one more", &meta), Err(TrackError::Full(_))));
    let mut changes = there.changes();
    let mut state = BTreeMap::new();
    while !state.contains_key("another") || state.len() > tracked.len() {
        match soon(changes.next()).await.unwrap() {
            PresenceChange::Joined(it) => state.insert(it.key.to_string(), it.number),
            PresenceChange::Left(it) => state.remove(&*it.key),
            other => panic!("{other:?}"),
        };
    }
    assert_eq!(there.list().len(), tracked.len());
    let metrics = two.metrics();
    assert_eq!((metrics.refused.trackers, metrics.memory.presence_keys), (0, tracked.len() as u64));
    assert!(metrics.memory.presence_bytes > 32 * 1024 * 1024 - 34_000);
}
