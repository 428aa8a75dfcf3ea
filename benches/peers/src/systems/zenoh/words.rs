//! zenoh within one process, at its start (by multicast scouting, as it is by default), and at rest.

use std::collections::HashSet;
use std::future::pending;
use std::time::Duration;

use serde_json::json;
use zenoh::config::Config;
use zenoh::{Session, open};

use super::{set, told};
use crate::failure::Failure;
use crate::local::{Gate, measure};
use crate::role::runtime;
use crate::say::{say, words};
use crate::system::{Setup, TOPIC};
use talkie_instrument::now_ns;

/// Between two greetings for which nothing gave a reason.
const REPEAT: Duration = Duration::from_millis(5);

/// The role of this name.
pub fn role(word: &str, setup: &Setup) -> Result<(), Failure> {
    let _words = words();
    let runtime = runtime()?;
    match word {
        "local" => runtime.block_on(local(setup.count)),
        "meet" => runtime.block_on(meet(setup)),
        "idle" => runtime.block_on(idle(setup)),
        _ => Err(Failure::new(format!("no such role: {word}"))),
    }
}

/// Finds others by multicast on loopback and nowhere else. The endpoint is a group of this measurement alone.
async fn scout(setup: &Setup) -> Result<Session, Failure> {
    let mut config = Config::default();
    set(&mut config, "mode", "\"peer\"")?;
    set(&mut config, "listen/endpoints", "[\"tcp/127.0.0.1:0\"]")?;
    set(&mut config, "scouting/multicast/interface", "\"lo\"")?;
    set(&mut config, "scouting/multicast/address", &format!("{:?}", setup.endpoint))?;
    open(config).await.map_err(told)
}

async fn local(count: usize) -> Result<(), Failure> {
    let mut config = Config::default();
    set(&mut config, "listen/endpoints", "[\"tcp/127.0.0.1:0\"]")?;
    set(&mut config, "scouting/multicast/enabled", "false")?;
    let session = open(config).await.map_err(told)?;
    let gate = Gate::default();
    let mut subscribers = Vec::new();
    for _ in 0..count {
        let gate = gate.clone();
        let subscriber = session.declare_subscriber(TOPIC).callback(move |_| gate.pass());
        subscribers.push(subscriber.await.map_err(told)?);
    }
    let topic = session.declare_publisher(TOPIC).await.map_err(told)?;
    measure(&gate, count, async |payload: &[u8]| topic.put(payload).await.map_err(told)).await
}

/// Greets when a first subscriber is there, when somebody new is heard, and now and then; tells when it has been
/// greeted by all.
async fn meet(setup: &Setup) -> Result<(), Failure> {
    let session = scout(setup).await?;
    let greetings = session.declare_subscriber("meet").await.map_err(told)?;
    let greeting = session.declare_publisher("meet").await.map_err(told)?;
    let matching = greeting.matching_listener().await.map_err(told)?;
    let own = session.zid().to_string();
    let mut heard = HashSet::new();
    let mut told_it = false;
    let mut repeat = tokio::time::interval(REPEAT);
    loop {
        let greet = tokio::select! {
            sample = greetings.recv_async() => {
                let sample = sample.map_err(told)?;
                let from = String::from_utf8_lossy(&sample.payload().to_bytes()).into_owned();
                from != own && heard.insert(from)
            }
            status = matching.recv_async() => status.map_err(told)?.matching(),
            // Others may still wait for this one when it has met all.
            _ = repeat.tick() => true,
        };
        if heard.len() >= setup.count && !told_it {
            told_it = true;
            say(&json!({"event": "met", "at_ns": now_ns()}));
        }
        if greet {
            greeting.put(own.as_str()).await.map_err(told)?;
        }
    }
}

/// Does nothing but know the others.
async fn idle(setup: &Setup) -> Result<(), Failure> {
    let session = scout(setup).await?;
    while session.info().peers_zid().await.count() < setup.count {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    say(&json!({"event": "idle"}));
    pending().await
}
