//! A chat: what is typed goes to everybody in the room.
//!
//! ```text
//! export TALKIE_SECRET="$(talkie keygen)"     # the same in each terminal
//! cargo run --example chat ann kitchen
//! cargo run --example chat bob kitchen
//! ```

use talkie_pubsub::{Config, Delivery, PresenceChange};
use tokio::io::{AsyncBufReadExt as _, BufReader, stdin};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let who = args.next().unwrap_or_else(|| "somebody".into());
    let room = format!("chat/{}", args.next().unwrap_or_else(|| "lobby".into()));
    let bus = Config::from_env()?.join().await?;
    let mut talk = bus.subscribe(&*room)?;
    let presence = bus.presence(&*room)?;
    let _me = presence.track(&who, &())?;
    let mut people = presence.changes();
    let mut lines = BufReader::new(stdin()).lines();
    loop {
        tokio::select! {
            Some(delivery) = talk.next() => match delivery {
                // Whoever says it has read it already.
                Delivery::Message(it) if it.from == bus.node().id() => {}
                Delivery::Message(it) => println!("{}", String::from_utf8_lossy(&it.payload)),
                Delivery::Gap { missed, .. } => println!("({missed} lines were lost)"),
                _ => {}
            },
            Some(change) = people.next() => match change {
                PresenceChange::Joined(it) => println!("({} is here)", it.key),
                PresenceChange::Left(it) => println!("({} is gone)", it.key),
                _ => {}
            },
            line = lines.next_line() => match line? {
                Some(line) => drop(bus.publish(&*room, format!("{who}: {line}")).await?),
                None => break,
            },
            else => break,
        }
    }
    Ok(bus.node().leave().await?)
}
