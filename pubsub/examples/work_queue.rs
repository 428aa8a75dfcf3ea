//! A work queue: jobs are published to a group of workers, each goes to one of them, and to another one if that is lost.
//!
//! ```text
//! export TALKIE_SECRET="$(talkie keygen)"          # the same in each terminal
//! cargo run --example work_queue worker            # any number of them
//! cargo run --example work_queue 2000              # who has the work
//! ```
//!
//! `jobs` and `worker` do the same by requests: there each worker asks for its work.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use talkie_pubsub::{Bus, Config, Delivery, PeerEvent, SubscribeOptions};

type Failed = Box<dyn std::error::Error>;

#[derive(Debug, Serialize, Deserialize)]
struct Done {
    job: u32,
    result: u64,
}

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let mut args = std::env::args().skip(1);
    let what = args.next().unwrap_or_else(|| "20".to_owned());
    let bus = Config::from_env()?.join().await?;
    if what == "worker" {
        work(&bus, args.next().map_or(Ok(0), |millis| millis.parse())?).await?;
    } else {
        share_out(&bus, what.parse()?, args.next().map_or(Ok(1), |workers| workers.parse())?).await?;
    }
    // No failure: the last word to a worker that was lost may be unconfirmed.
    if let Err(doubt) = bus.node().leave().await {
        eprintln!("{doubt}");
    }
    Ok(())
}

/// Does jobs, each of which takes so many milliseconds.
#[allow(clippy::disallowed_methods, reason = "to sleep is as good as work")]
async fn work(bus: &Bus, millis: u64) -> Result<(), Failed> {
    // Little room: what waits for this worker, no other one does.
    let options = SubscribeOptions::new().group("workers").messages(8);
    let mut quit = bus.subscribe("work/quit")?;
    let mut jobs = bus.typed::<u32>().subscribe_with("work/jobs", options)?;
    loop {
        // To ask for the next job is to say that the last one is done.
        let delivery = tokio::select! {
            delivery = jobs.next() => delivery,
            _ = quit.next() => break,
        };
        let Some(delivery) = delivery else { break };
        let Delivery::Message(job) = delivery else { continue };
        println!("doing {}{}", job.payload, if job.redelivered { " perhaps again" } else { "" });
        if millis > 0 {
            tokio::time::sleep(Duration::from_millis(millis)).await;
        }
        let done = Done { job: job.payload, result: u64::from(job.payload).pow(2) };
        bus.typed().publish("work/done", &done).await?;
    }
    Ok(())
}

/// Publishes so many jobs, once there are so many workers, and takes what comes of them.
#[allow(clippy::disallowed_methods, reason = "a program has tasks of its own")]
async fn share_out(bus: &Bus, count: u32, workers: usize) -> Result<(), Failed> {
    let mut peers = bus.node().peer_events();
    let mut results = bus.typed::<Done>().subscribe("work/done")?;
    results.ready().await?;
    bus.subscribed_on("work/jobs", workers).await?;
    let jobs = bus.clone();
    tokio::spawn(async move {
        for job in 1..=count {
            jobs.typed().publish("work/jobs", &job).await?;
        }
        Ok::<(), talkie_pubsub::PublishError>(())
    });
    let mut done = BTreeMap::new();
    while done.len() < count as usize {
        tokio::select! {
            Some(delivery) = results.next() => match delivery {
                Delivery::Message(it) => {
                    // Twice where a worker was lost behind its result; once is enough.
                    println!("{}: {}, by {}", it.payload.job, it.payload.result, it.name);
                    done.insert(it.payload.job, it.payload.result);
                }
                other => println!("{other:?}"),
            },
            Some(PeerEvent::Down { peer, .. }) = peers.recv() => println!("{} is lost", peer.name),
            else => break,
        }
    }
    println!("all done: {}", done.values().sum::<u64>());
    bus.settled().await?;
    bus.publish("work/quit", "").await?;
    Ok(())
}
