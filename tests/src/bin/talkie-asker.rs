//! A program that asks many questions at once, and prints what comes of each.
//!
//! `talkie-asker`, its settings from the environment. Lines of standard input: `TOPIC MILLISECONDS PAYLOAD` asks, `stats` prints
//! what was counted; the end of it is the end of the program.
#![allow(clippy::disallowed_methods, reason = "a program keeps its own time")]

use std::{io::BufRead, thread, time::Duration};

use serde_json::{Value, json};
use talkie_pubsub::{Bus, Config};
use tokio::sync::mpsc;

type Failed = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let (lines, mut input) = mpsc::unbounded_channel();
    thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
    let bus = Config::from_env()?.join().await?;
    let node = bus.node().clone();
    let (id, name) = (node.id().to_string(), node.name().to_string());
    tell(
        json!({"event": "joined", "node": id, "name": name, "bus": bus.name().to_string(), "listen": node.listen()}),
    );
    while let Some(line) = input.recv().await {
        if line == "stats" {
            tell(json!({"event": "stats", "requests": bus.metrics().requests}));
            continue;
        }
        let mut words = line.splitn(3, ' ');
        let mut word = || words.next().map(str::to_owned).ok_or("not TOPIC MILLISECONDS PAYLOAD");
        let (topic, within, payload) = (word()?, word()?.parse()?, word()?);
        tokio::spawn(ask(bus.clone(), topic, Duration::from_millis(within), payload));
    }
    Ok(node.leave().await?)
}

async fn ask(bus: Bus, topic: String, within: Duration, asked: String) {
    if within > Duration::ZERO {
        // Nobody is known yet where it has just joined.
        let _ = tokio::time::timeout(within, bus.answered_on(&*topic, 1)).await;
    }
    tell(match bus.request(&*topic, asked.clone(), within).await {
        Ok(reply) => json!({
            "event": "reply",
            "node": reply.from.to_string(),
            "asked": asked,
            "payload": String::from_utf8_lossy(&reply.payload),
        }),
        Err(error) => json!({"event": "failed", "asked": asked, "why": error.to_string()}),
    });
}

/// One line. A test that ended reads it no more.
fn tell(line: Value) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{line}");
}
