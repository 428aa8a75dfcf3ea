//! A back office: ships what shops order. Start any number of shops and offices: they find each other.
//!
//! See `shop` for how to run both.

use talkie_pubsub::{Config, Delivery, Message, PeerEvent};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bus = Config::from_env()?.join().await?;
    println!("open as {}", bus.node().name());
    let mut orders = bus.subscribe("orders/*")?;
    let mut peers = bus.node().peer_events();
    loop {
        tokio::select! {
            delivery = orders.next() => match delivery {
                Some(Delivery::Message(Message { topic, name, payload, .. })) => {
                    let id = topic.segments().nth(1).unwrap_or_default();
                    println!("{name} wants {}", String::from_utf8_lossy(&payload));
                    bus.publish(format!("shipped/{id}"), payload).await?;
                }
                Some(Delivery::Gap { from, missed, .. }) => println!("{missed} orders of {from} are lost"),
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
