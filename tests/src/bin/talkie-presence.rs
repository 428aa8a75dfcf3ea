//! A service that tracks keys as it is told to, and prints who is here. See `talkie_tests::presence`.
//!
//! `talkie-presence TOPIC KEYS TARGET`, its settings from the environment. It tracks so many keys from the start. With a target
//! of 0 it prints each change, and else only when it lists so many. The end of standard input is the end of the service.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    io::{BufRead, Write},
};

use serde_json::{Value, json};
use talkie_pubsub::{Bus, Config, PeerEvent, Presence, PresenceChange, Present, Tracked};
use talkie_tests::presence::Order;
use tokio::sync::mpsc;

type Failed = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let mut args = std::env::args().skip(1);
    let topic = args.next().ok_or("no topic")?;
    let keys: usize = args.next().ok_or("no number of keys")?.parse()?;
    let target: usize = args.next().ok_or("no target")?.parse()?;
    let mut orders = input();
    let bus = Config::from_env()?.join().await?;
    let presence = bus.presence(topic)?;
    let mut service = Service { tracked: HashMap::new(), many: Vec::new(), presence };
    service.many(&bus, keys)?;
    let node = bus.node().clone();
    let (id, name) = (node.id().to_string(), node.name().to_string());
    tell(
        json!({"event": "joined", "node": id, "name": name, "bus": bus.name().to_string(), "listen": node.listen()}),
    );
    let mut peers = node.peer_events();
    let mut changes = service.presence.changes();
    let mut known = 0;
    loop {
        tokio::select! {
            line = orders.recv() => match line {
                Some(line) => service.obey(&bus, Order::parse(&line).ok_or("no order")?)?,
                None => break,
            },
            Some(event) = peers.recv() => met(&event),
            Some(change) = changes.next() => {
                match &change {
                    PresenceChange::Joined(_) => known += 1,
                    PresenceChange::Left(_) => known -= 1,
                    _ => {}
                }
                if target == 0 {
                    tell(changed(&change));
                } else if known == target {
                    tell(service.listed("complete"));
                }
            }
        }
    }
    Ok(node.leave().await?)
}

struct Service {
    presence: Presence,
    /// What was tracked by name.
    tracked: HashMap<String, Tracked>,
    many: Vec<Tracked>,
}

impl Service {
    fn obey(&mut self, bus: &Bus, order: Order) -> Result<(), Failed> {
        match order {
            Order::Track(key, meta) => {
                drop(self.tracked.insert(key.clone(), self.presence.track(key, &meta)?))
            }
            Order::Update(key, meta) => self.tracked.get(&key).ok_or("not tracked")?.update(&meta)?,
            Order::Untrack(key) => drop(self.tracked.remove(&key)),
            Order::Many(keys) => self.many(bus, keys)?,
            Order::List => tell(self.listed("listed")),
        }
        Ok(())
    }

    fn many(&mut self, bus: &Bus, keys: usize) -> Result<(), Failed> {
        let name = bus.node().name();
        for n in 0..keys {
            self.many.push(self.presence.track(format!("{name}/{n:05}"), &format!("key {n} of {name}"))?);
        }
        Ok(())
    }

    /// What is listed here, as a number that is the same where the lists are.
    fn listed(&self, event: &str) -> Value {
        let all = self.presence.list();
        let mut hash = DefaultHasher::new();
        for it in &all {
            (&it.key, it.node, it.number, meta(it)).hash(&mut hash);
        }
        json!({"event": event, "count": all.len(), "digest": hash.finish()})
    }
}

fn meta(present: &Present) -> String {
    present.meta::<String>().unwrap_or_else(|error| error.to_string())
}

fn changed(change: &PresenceChange) -> Value {
    let told = |event, it: &Present| json!({"event": event, "key": &*it.key, "node": it.node.to_string(), "number": it.number, "meta": meta(it)});
    match change {
        PresenceChange::Joined(it) => told("key_joined", it),
        PresenceChange::Updated { now, .. } => told("key_updated", now),
        PresenceChange::Left(it) => told("key_left", it),
        _ => json!({"event": "unknown"}),
    }
}

fn met(event: &PeerEvent) {
    match event {
        PeerEvent::Up(it) => {
            let (id, name, via) = (it.id.to_string(), it.name.to_string(), it.via.to_string());
            tell(json!({"event": "peer_up", "node": id, "name": name, "addr": it.addr, "via": via}));
        }
        PeerEvent::Down { peer: it, reason } => {
            let (id, name, why) = (it.id.to_string(), it.name.to_string(), reason.to_string());
            tell(json!({"event": "peer_down", "node": id, "name": name, "reason": why}));
        }
        _ => {}
    }
}

/// The lines of standard input, as they come.
fn input() -> mpsc::UnboundedReceiver<String> {
    let (lines, input) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
    input
}

/// One line. A test that ended reads it no more.
fn tell(line: Value) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
