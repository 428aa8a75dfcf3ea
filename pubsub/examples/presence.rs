//! A room: who is in it, at which table, and who comes and goes. Start it several times: they find each other.
//!
//! ```text
//! export TALKIE_SECRET="$(talkie keygen)"     # the same in each terminal
//! cargo run --example presence ann
//! cargo run --example presence bob
//! ```
//!
//! A number on standard input moves to that table; `quit`, or the end of the input, leaves.

use serde::{Deserialize, Serialize};
use talkie_pubsub::{Config, DecodeError, PresenceChange, Present};
use tokio::sync::mpsc;

/// What each says of itself.
#[derive(Debug, Serialize, Deserialize)]
struct Seat {
    table: u8,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let who = std::env::args().nth(1).unwrap_or_else(|| "somebody".into());
    let bus = Config::from_env()?.join().await?;
    let room = bus.presence("room/7")?;
    // Here until it is dropped.
    let me = room.track(who, &Seat { table: 1 })?;
    let mut changes = room.changes();
    let mut lines = lines();
    loop {
        tokio::select! {
            change = changes.next() => match change {
                Some(PresenceChange::Joined(it)) => println!("{} is here, at {}", it.key, table(&it)),
                Some(PresenceChange::Updated { was, now }) => {
                    println!("{} went from {} to {}", now.key, table(&was), table(&now));
                }
                Some(PresenceChange::Left(it)) => println!("{} is gone", it.key),
                Some(_) => {}
                None => return Ok(()),
            },
            line = lines.recv() => match line.as_deref().map(str::parse) {
                Some(Ok(table)) => me.update(&Seat { table })?,
                Some(Err(_)) if line.as_deref() != Some("quit") => println!("a table has a number up to 255"),
                Some(Err(_)) | None => break,
            },
        }
    }
    Ok(bus.node().leave().await?)
}

/// Where somebody sits; another program may say something else of its keys.
fn table(present: &Present) -> String {
    let seat: Result<Seat, DecodeError> = present.meta();
    seat.map_or_else(|error| format!("no table: {error}"), |seat| format!("table {}", seat.table))
}

/// The lines of standard input, as they come.
fn lines() -> mpsc::UnboundedReceiver<String> {
    let (lines, input) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lines().map_while(Result::ok);
        input.all(|line| lines.send(line).is_ok());
    });
    input
}
