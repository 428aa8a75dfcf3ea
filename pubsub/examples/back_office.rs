//! A back office: ships what shops order. Start any number of shops and offices: they find each other.
//!
//! See `shop` for how to run both.

use serde::{Deserialize, Serialize};
use talkie_pubsub::{Config, Delivery, PeerEvent};

/// As in `shop`: the definition counts, not where it stands.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    id: u64,
    drink: Drink,
    cups: u8,
}

#[derive(Debug, Serialize, Deserialize)]
enum Drink {
    Cocoa,
    Espresso { sugar: bool },
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bus = Config::from_env()?.join().await?;
    println!("open as {}", bus.node().name());
    let mut orders = bus.typed::<Order>().subscribe("orders/*")?;
    let mut peers = bus.node().peer_events();
    loop {
        tokio::select! {
            delivery = orders.next() => match delivery {
                Some(Delivery::Message(message)) => {
                    let order = message.payload;
                    println!("{} wants {order:?}", message.name);
                    bus.typed().publish(format!("shipped/{}", order.id), &order).await?;
                }
                Some(Delivery::Gap { from, missed, .. }) => println!("{missed} orders of {from} are lost"),
                Some(Delivery::Malformed { name, topic, error, .. }) => println!("{name}, {topic}: {error}"),
                Some(_) => {}
                None => return Ok(()),
            },
            Some(event) = peers.recv() => match event {
                PeerEvent::Up(peer) => println!("{} is here", peer.name),
                PeerEvent::Down { peer, reason } => println!("{} is gone: {reason}", peer.name),
                _ => {}
            },
        }
    }
}
