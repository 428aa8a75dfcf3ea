//! A service that publishes what it is told to, and prints what it receives. See `talkie_tests::service`.
//!
//! `talkie-service PATTERN GREETINGS`, its settings from the environment; a line `TOPIC BYTES` of standard input is a
//! message to publish, and the end of it the end of the service.
#![allow(clippy::disallowed_methods, reason = "a program keeps its own time")]

use std::{io::BufRead, thread, time::Duration};

use serde_json::{Value, json};
use talkie_pubsub::{Bus, Config, Delivery, PeerEvent};
use talkie_tests::service::{SMALL, payload};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};

type Failed = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let mut args = std::env::args().skip(1);
    let pattern = args.next().ok_or("no pattern")?;
    let greetings: u32 = args.next().ok_or("no number of greetings")?.parse()?;
    let mut lines = input();
    let bus = Config::from_env()?.join().await?;
    let node = bus.node().clone();
    let (id, name) = (node.id().to_string(), node.name().to_string());
    tell(
        json!({"event": "joined", "node": id, "name": name, "bus": bus.name().to_string(), "listen": node.listen()}),
    );
    let mut peers = node.peer_events();
    let mut received = bus.subscribe(&*pattern)?;
    tell(json!({"event": "subscribed", "pattern": pattern}));
    let (mut number, mut owed) = (0, 0);
    let mut pace = interval(Duration::from_millis(1));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            line = lines.recv() => {
                let Some(line) = line else { break };
                let (topic, bytes) = line.split_once(' ').ok_or("not TOPIC BYTES")?;
                publish(&bus, topic, &mut number, bytes.parse()?).await?;
            }
            Some(event) = peers.recv() => owed += met(&event, greetings),
            _ = pace.tick(), if owed > 0 => {
                owed -= 1;
                publish(&bus, "greeting", &mut number, SMALL).await?;
            }
            Some(delivery) = received.next() => tell(printed(&delivery)),
        }
    }
    Ok(node.leave().await?)
}

/// The lines of standard input, as they come.
fn input() -> mpsc::UnboundedReceiver<String> {
    let (lines, input) = mpsc::unbounded_channel();
    thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
    input
}

async fn publish(bus: &Bus, topic: &str, number: &mut u64, bytes: usize) -> Result<(), Failed> {
    let receipt = bus.publish(topic, payload(*number, bytes)).await?;
    let (count, nodes) = (1, receipt.nodes);
    tell(json!({"event": "published", "topic": topic, "count": count, "nodes": nodes, "number": *number}));
    *number += 1;
    Ok(())
}

/// Tells of a peer; how many greetings it is owed.
fn met(event: &PeerEvent, greetings: u32) -> u32 {
    match event {
        PeerEvent::Up(it) => {
            let (id, name, via) = (it.id.to_string(), it.name.to_string(), it.via.to_string());
            tell(json!({"event": "peer_up", "node": id, "name": name, "addr": it.addr, "via": via}));
            greetings
        }
        PeerEvent::Down { peer: it, reason } => {
            let (id, name, why) = (it.id.to_string(), it.name.to_string(), reason.to_string());
            tell(json!({"event": "peer_down", "node": id, "name": name, "reason": why}));
            0
        }
        _ => 0,
    }
}

fn printed(delivery: &Delivery) -> Value {
    match delivery {
        Delivery::Message(it) => json!({
            "event": "message",
            "topic": it.topic.as_str(),
            "node": it.from.to_string(),
            "name": it.name.to_string(),
            "seq": it.seq,
            "payload": String::from_utf8_lossy(&it.payload),
        }),
        Delivery::Gap { from, missed, exact } => {
            json!({"event": "gap", "node": from.to_string(), "missed": missed, "at_least": !exact})
        }
        _ => json!({"event": "unknown"}),
    }
}

/// One line. A test that ended reads it no more.
fn tell(line: Value) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{line}");
}
