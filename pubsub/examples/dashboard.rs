//! A dashboard: shows what devices report, sees them come and vanish, and sends them commands. Its partner is `device`, which
//! says how to run both.
//!
//! `boiler 60` on standard input heats that device to 60 °C, `boiler off` ends it, `quit` ends the dashboard.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use talkie_pubsub::{Bus, Config, Delivery, PresenceChange, SubscribeOptions};
use tokio::io::{AsyncBufReadExt as _, BufReader, stdin};

#[derive(Debug, Serialize, Deserialize)]
struct Reading {
    celsius: f32,
}

#[derive(Debug, Serialize, Deserialize)]
enum Command {
    Heat { to: f32 },
    Off,
}

#[tokio::main]
#[allow(clippy::disallowed_methods, reason = "a program has tasks of its own")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bus = Config::from_env()?.join().await?;
    let mut devices = bus.presence("devices")?.changes();
    let mut readings = bus.typed::<Reading>().subscribe("readings/*")?;
    // Told seldom: what was said last comes first.
    let mut aims = bus.typed::<f32>().subscribe_with("aims/*", SubscribeOptions::new().history(true))?;
    let mut lines = BufReader::new(stdin()).lines();
    println!("watching");
    loop {
        tokio::select! {
            Some(change) = devices.next() => match change {
                PresenceChange::Joined(it) => println!("+ {} (version {})", it.key, it.meta::<String>()?),
                PresenceChange::Left(it) => println!("- {}", it.key),
                _ => {}
            },
            Some(delivery) = readings.next() => match delivery {
                Delivery::Message(it) => println!("  {} {:.1} °C", device(it.topic.as_str()), it.payload.celsius),
                Delivery::Gap { missed, .. } => println!("  {missed} readings were lost"),
                Delivery::Malformed { topic, error, .. } => println!("  {}: {error}", device(topic.as_str())),
                _ => {}
            },
            Some(Delivery::Message(it)) = aims.next() => println!("  {} aims at {} °C", device(it.topic.as_str()), it.payload),
            line = lines.next_line() => match line?.as_deref() {
                None | Some("quit") => break,
                // Beside the loop, so that a slow device holds up nothing.
                Some(line) => drop(tokio::spawn(command(bus.clone(), line.to_owned()))),
            },
            else => break,
        }
    }
    // No failure: the last word to a device that vanished may be unconfirmed.
    if let Err(doubt) = bus.node().leave().await {
        eprintln!("{doubt}");
    }
    Ok(())
}

/// Sends a command and shows the answer, or why there is none.
async fn command(bus: Bus, line: String) {
    let (name, rest) = line.split_once(' ').unwrap_or((&line, "off"));
    let command = rest.parse().map_or(Command::Off, |to| Command::Heat { to });
    let asked =
        bus.typed().request::<String>(format!("devices/{name}"), &command, Duration::from_secs(2)).await;
    match asked {
        Ok(answer) => println!("> {name}: {}", answer.payload),
        Err(error) => println!("> {name}: {error}"),
    }
}

fn device(topic: &str) -> &str {
    topic.rsplit('/').next().unwrap_or(topic)
}
