//! A shop: publishes an order a second and hears which of them were shipped. Its partner is `back_office`.
//!
//! ```text
//! export TALKIE_SECRET="$(talkie keygen)"     # the same in each terminal
//! cargo run --example back_office
//! cargo run --example shop
//! ```
//!
//! `talkie pub commands/shop pause` (or `resume`, `quit`) commands it from anywhere on the mesh.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use talkie_pubsub::{Config, Delivery};

/// The back office has the same definition; were it another, both would be told.
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
#[allow(clippy::disallowed_methods, reason = "a program keeps its own time")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bus = Config::from_env()?.join().await?;
    println!("open as {}", bus.node().name());
    let mut shipped = bus.typed::<Order>().subscribe("shipped/*")?;
    let mut commands = bus.subscribe("commands/shop")?;
    let mut every_second = tokio::time::interval(Duration::from_secs(1));
    let (mut paused, mut id) = (false, 0);

    // Without it, orders from before the back office joins would have nobody to go to.
    bus.subscribed_on("orders/0", 1).await?;
    loop {
        tokio::select! {
            _ = every_second.tick(), if !paused => {
                id += 1;
                let drink = if id % 2 == 0 { Drink::Cocoa } else { Drink::Espresso { sugar: true } };
                let order = Order { id, drink, cups: 1 };
                let receipt = bus.typed().publish(format!("orders/{id}"), &order).await?;
                println!("ordered  {order:?} (heard by {})", receipt.nodes);
            }
            delivery = shipped.next() => match delivery {
                Some(Delivery::Message(message)) => println!("shipped  {:?} by {}", message.payload, message.name),
                Some(Delivery::Gap { missed, .. }) => println!("missed   {missed} shipments"),
                Some(Delivery::Malformed { name, error, .. }) => println!("ignored  what {name} shipped: {error}"),
                Some(_) => {}
                None => return Ok(()),
            },
            Some(Delivery::Message(command)) = commands.next() => match &command.payload[..] {
                b"pause" => paused = true,
                b"resume" => paused = false,
                b"quit" => break,
                other => println!("{} wants {:?}?", command.name, String::from_utf8_lossy(other)),
            },
        }
    }
    // Hands over what is on its way, and says goodbye.
    Ok(bus.node().leave().await?)
}
