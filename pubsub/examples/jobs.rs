//! A work queue: hands out jobs one by one and takes their results. Its workers are `worker`.
//!
//! ```text
//! export TALKIE_SECRET="$(talkie keygen)"     # the same in each terminal
//! cargo run --example worker                  # any number of them
//! cargo run --example jobs 20
//! ```
//!
//! Workers ask for their next job when they have done the last, so that nobody has two and the quick ones do more. A job whose
//! worker is lost goes to another one.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use talkie_pubsub::{Config, PeerEvent};

/// A worker's question: it has done a job, or is new.
#[derive(Debug, Serialize, Deserialize)]
struct Next {
    done: Option<(u32, u64)>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count = std::env::args().nth(1).map_or(Ok(20), |n| n.parse())?;
    let bus = Config::from_env()?.join().await?;
    let mut asked = bus.typed::<Next>().respond("jobs/next")?;
    let mut peers = bus.node().peer_events();
    let mut open: Vec<u32> = (1..=count).rev().collect();
    let (mut taken, mut done) = (HashMap::new(), BTreeMap::new());
    // Until all is done; whoever has asked for more meanwhile is let go.
    let mut waiting = Vec::new();
    while done.len() < count as usize {
        tokio::select! {
            Some(next) = asked.next() => {
                let worker = next.from;
                if let Some((job, result)) = next.payload.done {
                    println!("{job}: {result}, by {}", next.name);
                    taken.remove(&worker);
                    done.insert(job, result);
                }
                waiting.push(next);
            }
            Some(PeerEvent::Down { peer, .. }) = peers.recv() => {
                if let Some(job) = taken.remove(&peer.id) {
                    println!("{} is lost, {job} is open again", peer.name);
                    open.push(job);
                }
            }
            else => break,
        }
        while let Some(next) = waiting.pop_if(|_| !open.is_empty()) {
            let (worker, job) = (next.from, open.pop());
            if next.reply_typed(&job).is_ok() {
                taken.extend(job.map(|job| (worker, job)));
            } else {
                // It does not wait any more: it is lost, or was too patient.
                open.extend(job);
            }
        }
    }
    for next in waiting {
        let _ = next.reply_typed(&None::<u32>);
    }
    println!("all done: {}", done.values().sum::<u64>());
    // No failure: the last word to a worker that was lost may be unconfirmed.
    if let Err(doubt) = bus.node().leave().await {
        eprintln!("{doubt}");
    }
    Ok(())
}
