//! A typed topic, and what becomes of a message of another type: two nodes in one process, and it ends by itself.
//!
//! ```text
//! TALKIE_SECRET="$(talkie keygen)" cargo run --example typed
//! ```

use serde::{Deserialize, Serialize};
use talkie_pubsub::{Config, Delivery};

#[derive(Debug, Serialize, Deserialize)]
struct Order {
    drink: String,
    cups: u8,
}

/// The same as another program may have it, a year later.
mod later {
    #[derive(Debug, serde::Serialize, serde::Deserialize)]
    pub(crate) struct Order {
        pub(crate) drink: String,
        pub(crate) cups: u8,
        pub(crate) to_go: bool,
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::from_env()?;
    let (kitchen, till) = (config.clone().join().await?, config.join().await?);
    let mut orders = kitchen.typed::<Order>().subscribe("orders")?;
    till.subscribed_on("orders", 1).await?;

    till.typed().publish("orders", &Order { drink: "cocoa".into(), cups: 2 }).await?;
    till.typed().publish("orders", &later::Order { drink: "tea".into(), cups: 1, to_go: true }).await?;
    till.publish("orders", "not even a value").await?;
    for _ in 0..3 {
        match orders.next().await {
            Some(Delivery::Message(it)) => println!("{} of {}", it.payload.cups, it.payload.drink),
            Some(Delivery::Malformed { seq, error, .. }) => println!("message {seq} is no order: {error}"),
            other => println!("{other:?}"),
        }
    }
    till.node().leave().await?;
    Ok(kitchen.node().leave().await?)
}
