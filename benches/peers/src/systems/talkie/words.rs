//! Talkie within one process, at its start, and at rest.

use std::collections::HashSet;
use std::future::pending;

use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::json;
use talkie_pubsub::{Delivery, DeliveryRef, PeerEvent};

use super::join;
use crate::failure::Failure;
use crate::local::{Gate, measure};
use crate::role::runtime;
use crate::say::{say, words};
use crate::system::{Setup, TOPIC};
use talkie_instrument::now_ns;

/// The role of this name.
pub fn role(word: &str, setup: &Setup) -> Result<(), Failure> {
    let _words = words();
    let runtime = runtime()?;
    match word {
        "local" if setup.system == "talkie-handler" => runtime.block_on(handled(setup.count)),
        "local" => runtime.block_on(local(setup.count)),
        "meet" => runtime.block_on(meet(setup.count)),
        "idle" => runtime.block_on(idle(setup.count)),
        _ => Err(Failure::new(format!("no such role: {word}"))),
    }
}

async fn local(count: usize) -> Result<(), Failure> {
    let bus = join(false).await?;
    let gate = Gate::default();
    for _ in 0..count {
        let (gate, mut subscription) = (gate.clone(), bus.subscribe(TOPIC)?);
        tokio::spawn(async move {
            while let Some(Delivery::Message(_)) = subscription.next().await {
                gate.pass();
            }
        });
    }
    let publisher = bus.publisher(TOPIC)?;
    let publish = async |payload: &[u8]| {
        publisher.publish(Bytes::copy_from_slice(payload)).await?;
        Ok(())
    };
    measure(&gate, count, publish).await
}

/// The same with handlers, which are called in the publisher's task.
async fn handled(count: usize) -> Result<(), Failure> {
    let bus = join(false).await?;
    let gate = Gate::default();
    let mut handlers = Vec::with_capacity(count);
    for _ in 0..count {
        let gate = gate.clone();
        handlers.push(bus.handle(TOPIC, move |delivery| {
            if let DeliveryRef::Message(_) = delivery {
                gate.pass();
            }
        })?);
    }
    let publisher = bus.publisher(TOPIC)?;
    let publish = async |payload: &[u8]| {
        publisher.publish(Bytes::copy_from_slice(payload)).await?;
        Ok(())
    };
    measure(&gate, count, publish).await
}

/// Greets each time that one more node wants it, and tells when it has been greeted by all.
async fn meet(others: usize) -> Result<(), Failure> {
    let bus = join(false).await?;
    let mut subscription = bus.subscribe("meet")?;
    let greeting = bus.clone();
    tokio::spawn(async move {
        for nodes in 1..=others {
            let greeted = async {
                greeting.subscribed_on("meet", nodes).await?;
                Ok::<_, Failure>(greeting.publish("meet", "hello").await?)
            };
            if let Err(why) = greeted.await {
                eprintln!("no greeting: {why}");
            }
        }
    });
    let own = bus.node().id();
    let mut heard = HashSet::new();
    while heard.len() < others {
        match subscription.next().await {
            Some(Delivery::Message(message)) if message.from != own => _ = heard.insert(message.from),
            Some(_) => {}
            None => return Err(Failure::new("the node closed")),
        }
    }
    say(&json!({"event": "met", "at_ns": now_ns()}));
    pending().await
}

/// Does nothing but know the others.
async fn idle(others: usize) -> Result<(), Failure> {
    let bus = join(false).await?;
    let mut events = bus.node().peer_events();
    let mut up = HashSet::new();
    while up.len() < others {
        match events.next().await {
            Some(PeerEvent::Up(peer)) => _ = up.insert(peer.id),
            Some(_) => {}
            None => return Err(Failure::new("the node closed")),
        }
    }
    drop(events);
    say(&json!({"event": "idle"}));
    pending().await
}
