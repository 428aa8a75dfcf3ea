//! Typed topics over real sockets, on loopback alone.

#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::collections::BTreeMap;

use common::{Mesh, message, soon};
use serde::{Deserialize, Serialize};
use talkie_pubsub::{DecodeError, Delivery, PublishError, QueueLimits};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Order {
    drink: Drink,
    cups: u8,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Drink {
    Water,
    Coffee { sugar: bool },
}

/// What an older program means by an order.
mod old {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    pub(super) struct Order {
        pub(super) drink: Drink,
    }
}

/// What another program has as its own definition.
mod other_program {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    pub(super) struct Order {
        pub(super) drink: Drink,
        pub(super) cups: u8,
    }
}

fn order(cups: u8) -> Order {
    Order { drink: Drink::Coffee { sugar: cups.is_multiple_of(2) }, cups }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_arrive_and_what_is_none_is_told_in_its_place() {
    let mesh = Mesh::new();
    let (shop, office) = (mesh.join("shop").await, mesh.join("office").await);
    let mut typed = office.typed::<Order>().subscribe("orders/*").unwrap();
    let mut theirs = office.typed::<other_program::Order>().subscribe("orders/*").unwrap();
    let mut older = office.typed::<old::Order>().subscribe("orders/*").unwrap();
    let mut raw = office.subscribe("orders/*").unwrap();
    let mut here = shop.typed::<Order>().subscribe("**").unwrap();
    soon(shop.subscribed_on("orders/1", 1)).await.unwrap();

    let orders = shop.typed::<Order>();
    assert_eq!(orders.publish("orders/1", &order(1)).await.unwrap().seq, 1);
    shop.typed().publish("orders/2", &old::Order { drink: Drink::Water }).await.unwrap();
    shop.publish("orders/3", "two coffees, please").await.unwrap();
    shop.publish("orders/4", "coffee").await.unwrap();
    let own = orders.fingerprint();
    let bytes = |value: &[u8]| [&own.as_bytes()[..], value].concat();
    shop.publish("orders/5", bytes(&[1, 0, 5, 0])).await.unwrap();
    shop.publish("orders/6", bytes(&[1, 0])).await.unwrap();
    orders.try_publish("orders/7", &order(7)).unwrap();

    let old = shop.typed::<old::Order>().fingerprint();
    assert_ne!(own, old);
    // Of this definition in whatever program; PROTOCOL.md says how it comes about.
    assert_eq!(own.to_string(), "8b677b565a021c4a");
    for subscription in [&mut typed, &mut here] {
        let mut malformed = Vec::new();
        for seq in 1..=7 {
            match soon(subscription.next()).await {
                Some(Delivery::Message(message)) => {
                    assert_eq!((message.seq, message.payload), (seq, order(seq as u8)));
                }
                Some(Delivery::Malformed { topic, from, name, seq: at, error }) => {
                    assert_eq!((at, from, name.as_str()), (seq, shop.node().id(), "shop"), "in its place");
                    malformed.push((topic.to_string(), error));
                }
                other => panic!("{other:?}"),
            }
        }
        let [two, three, four, five, six] = &malformed[..] else { panic!("{malformed:?}") };
        assert_eq!(*two, ("orders/2".into(), DecodeError::OtherType { given: old, expected: own }));
        assert!(matches!(three, (_, DecodeError::OtherType { expected, .. }) if *expected == own));
        assert_eq!(*four, ("orders/4".into(), DecodeError::TooShort { given: 6 }));
        assert_eq!(*five, ("orders/5".into(), DecodeError::Trailing { bytes: 1 }));
        assert!(matches!(six, (topic, DecodeError::Value { .. }) if topic == "orders/6"));
    }
    assert_eq!(message(&mut theirs).await.payload.cups, 1, "the same definition elsewhere");
    assert!(matches!(soon(older.next()).await, Some(Delivery::Malformed { seq: 1, .. })));
    assert_eq!(message(&mut older).await.payload, old::Order { drink: Drink::Water });
    // Who asks for bytes gets the fingerprint and postcard's.
    let payload = message(&mut raw).await.payload;
    assert_eq!(payload, [&own.as_bytes()[..], &[1, 0, 1]].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_payload_is_refused_before_it_is_sent() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Flat {
        #[serde(flatten)]
        inner: BTreeMap<String, u8>,
    }
    let mesh = Mesh::new();
    let bus = mesh.config("a").max_message(100).join().await.unwrap();
    let mut all = bus.typed::<String>().subscribe("**").unwrap();
    let flat = bus.typed().publish("t", &Flat { inner: BTreeMap::new() }).await;
    assert!(matches!(flat, Err(PublishError::Encode(_))), "{flat:?}");
    // Could be written, and read by nobody.
    #[derive(Debug, Serialize, Deserialize)]
    #[serde(tag = "kind")]
    enum Tagged {
        A { n: u8 },
    }
    let tagged = bus.typed().try_publish("t", &Tagged::A { n: 1 });
    assert!(
        matches!(&tagged, Err(PublishError::Encode(error)) if error.reason.contains("tag")),
        "{tagged:?}"
    );
    let json = bus.typed().publish("t", &vec![serde_json::json!(1)]).await;
    assert!(matches!(json, Err(PublishError::Encode(_))), "{json:?}");
    // The fingerprint and a length of one byte count too.
    let refused = bus.typed().try_publish("t", &"x".repeat(92));
    assert_eq!(refused, Err(PublishError::TooLarge { given: 101, limit: 100 }));
    assert_eq!(bus.typed().try_publish("t", &"x".repeat(91)).unwrap().seq, 1);
    assert_eq!(message(&mut all).await.payload.len(), 91);
    assert!(all.now().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_typed_reader_that_is_slow_gets_gaps_like_any_other() {
    let mesh = Mesh::new();
    let bus = mesh.join("a").await;
    let limits = QueueLimits { messages: 2, bytes: 1 << 20 };
    let mut slow = bus.typed::<u32>().subscribe_with("t", limits).unwrap();
    for n in 0..4_u32 {
        bus.typed().publish("t", &n).await.unwrap();
    }
    bus.publish("t", "x").await.unwrap();
    assert_eq!(slow.now(), Some(Delivery::Gap { from: bus.node().id(), missed: 3, exact: true }));
    assert_eq!(message(&mut slow).await.payload, 3);
    assert!(matches!(slow.now(), Some(Delivery::Malformed { seq: 5, .. })));
}
