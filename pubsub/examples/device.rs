//! A device: reports what it measures, takes commands, keeps for late joiners what it aims at, and is seen while it is there.
//! Its partner is `dashboard`.
//!
//! ```text
//! export TALKIE_SECRET="$(talkie keygen)"     # the same in each terminal
//! cargo run --example dashboard
//! cargo run --example device boiler           # any number of them
//! ```

use std::time::Duration;

use serde::{Deserialize, Serialize};
use talkie_pubsub::{Config, History};

/// A reading, as `dashboard` takes it: the definition counts, not where it stands.
#[derive(Debug, Serialize, Deserialize)]
struct Reading {
    celsius: f32,
}

/// What a device can be told.
#[derive(Debug, Serialize, Deserialize)]
enum Command {
    Heat { to: f32 },
    Off,
}

#[tokio::main]
#[allow(clippy::disallowed_methods, reason = "a program keeps its own time")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = std::env::args().nth(1).unwrap_or_else(|| "boiler".into());
    let bus = Config::from_env()?.join().await?;
    // Seen by every dashboard until this process ends, however it ends.
    let _here = bus.presence("devices")?.track(&name, &env!("CARGO_PKG_VERSION").to_owned())?;
    let mut commands = bus.typed::<Command>().respond(format!("devices/{name}"))?;
    // Whoever subscribes later and asks for it gets the last one, as long as this handle is there.
    let aims = bus.publisher(format!("aims/{name}"))?.keeping(History::last(1))?;
    let readings = format!("readings/{name}");
    let mut ticks = tokio::time::interval(Duration::from_millis(500));
    let (mut celsius, mut aim) = (18.0_f32, 20.0_f32);
    bus.typed().publish(aims.topic(), &aim).await?;
    println!("{name} measures");
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                celsius += (aim - celsius) / 2.0;
                bus.typed().publish(&*readings, &Reading { celsius }).await?;
            }
            Some(command) = commands.next() => {
                println!("{} says {:?}", command.name, command.payload);
                let answer = match command.payload {
                    // Dropped without a reply: whoever asked is told at once that it was refused.
                    Command::Heat { to } if to > 90.0 => continue,
                    Command::Heat { to } => { aim = to; format!("heating to {to} °C") }
                    Command::Off => { aim = 18.0; "off".to_owned() }
                };
                bus.typed().publish(aims.topic(), &aim).await?;
                if let Err(error) = command.reply_typed(&answer) {
                    eprintln!("not answered: {error}");
                }
            }
            else => return Ok(()),
        }
    }
}
