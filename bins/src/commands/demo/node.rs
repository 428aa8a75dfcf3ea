//! One of the demo's nodes: tells its parent what happens, each line with the time at which it happened here.

use std::future::poll_fn;
use std::io::Write as _;
use std::pin::pin;

use futures_core::Stream;
use serde::{Deserialize, Serialize};
use talkie_pubsub::{Bus, Delivery, PeerEvent};
use tokio::io::{AsyncBufReadExt, BufReader};

use super::{CAST, now_us};
use crate::commands::{Session, Setup};
use crate::exit::Failure;

/// What they talk on.
pub(super) const TOPIC: &str = "orders/42";

/// One line from a node to the demo.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Line {
    /// In µs since the epoch.
    pub(super) at_us: u64,
    pub(super) told: Told,
}

/// What a node tells.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Told {
    PeerUp {
        peer: String,
    },
    PeerDown {
        peer: String,
        reason: String,
    },
    /// The time is that of the call of `publish`.
    Published {
        nodes: u64,
    },
    Message {
        from: String,
        payload: String,
    },
    Failed {
        why: String,
    },
}

/// Joins, and follows the orders on standard input until they end.
pub(crate) async fn run(setup: Setup) -> Result<(), Failure> {
    let session = setup.join().await?;
    let ended = follow(&session).await;
    session.leave(ended).await
}

async fn follow(session: &Session) -> Result<(), Failure> {
    let mut stop = session.stop.clone();
    let mut peers = session.bus.node().peer_events();
    let mut messages = session.bus.subscribe("orders/*").map_err(|e| Failure::Failed(e.to_string()))?;
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            biased;
            why = stop.stopped() => return Err(stop.ended(why)),
            event = next(&mut peers) => match event {
                Some(PeerEvent::Up(peer)) => tell(Told::PeerUp { peer: peer.name.to_string() }, now_us())?,
                Some(PeerEvent::Down { peer, reason }) => {
                    let (peer, reason) = (peer.name.to_string(), reason.to_string());
                    tell(Told::PeerDown { peer, reason }, now_us())?;
                }
                Some(_) => {}
                None => return Ok(()),
            },
            delivery = next(&mut messages) => match delivery {
                Some(Delivery::Message(message)) if message.from != session.bus.node().id() => {
                    let at = now_us();
                    let payload = String::from_utf8_lossy(&message.payload).into_owned();
                    tell(Told::Message { from: message.name.to_string(), payload }, at)?;
                }
                Some(_) => {}
                None => return Ok(()),
            },
            order = orders.next_line() => match order.ok().flatten() {
                Some(order) => match order.strip_prefix("publish ") {
                    Some(payload) => publish(&session.bus, payload).await?,
                    None => return Ok(()),
                },
                // The demo itself is gone.
                None => return Ok(()),
            },
        }
    }
}

async fn publish(bus: &Bus, payload: &str) -> Result<(), Failure> {
    // That a node is linked does not say yet that its subscription is known here.
    if let Err(closed) = bus.subscribed_on(TOPIC, CAST.len() - 1).await {
        return tell(Told::Failed { why: closed.to_string() }, now_us());
    }
    let at = now_us();
    let told = match bus.publish(TOPIC, payload.to_owned()).await {
        Ok(receipt) => Told::Published { nodes: receipt.nodes as u64 },
        Err(error) => Told::Failed { why: error.to_string() },
    };
    tell(told, at)
}

fn tell(told: Told, at_us: u64) -> Result<(), Failure> {
    let mut line = serde_json::to_vec(&Line { at_us, told }).map_err(std::io::Error::from)?;
    line.push(b'\n');
    let mut output = std::io::stdout().lock();
    Ok(output.write_all(&line).and_then(|()| output.flush())?)
}

/// What a stream yields next.
async fn next<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    poll_fn(|cx| pin!(&mut *stream).poll_next(cx)).await
}
