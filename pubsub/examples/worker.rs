//! A worker: asks for a job, does it, and asks for the next one. Its partner is `jobs`, which says how to run both.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use talkie_pubsub::{Config, RequestError};

#[derive(Debug, Serialize, Deserialize)]
struct Next {
    done: Option<(u32, u64)>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bus = Config::from_env()?.join().await?;
    bus.answered_on("jobs/next", 1).await?;
    let mut done = None;
    loop {
        // An hour: there may be nothing to do for long. That the other side is lost is told at once all the same.
        let asked = bus.typed().request("jobs/next", &Next { done }, Duration::from_secs(3600)).await;
        let job: u32 = match asked {
            Ok(reply) => match reply.payload {
                Some(job) => job,
                None => break,
            },
            // Whatever it was of the two, nothing is left to do.
            Err(RequestError::Gone | RequestError::NoResponders) => break,
            Err(error) => return Err(error.into()),
        };
        println!("doing {job}");
        done = Some((job, u64::from(job) * u64::from(job)));
    }
    Ok(bus.node().leave().await?)
}
