//! Use from plain threads: a program without `async` keeps a runtime at its side, and ends by itself.
//!
//! ```text
//! TALKIE_SECRET="$(talkie keygen)" cargo run --example threads
//! ```

use talkie_pubsub::{Config, Delivery};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The node's own work is done by the runtime's threads while it is there.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let bus = runtime.block_on(Config::from_env()?.join())?;
    // Subscribing and `try_publish` never wait, so they need no runtime at all.
    let mut squares = bus.subscribe("squares")?;
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for n in 1..=5_u64 {
                // What does not fit is told to the receiver as a gap; `runtime.block_on(bus.publish(…))` waits for room.
                if let Err(error) = bus.try_publish("squares", (n * n).to_string()) {
                    eprintln!("{error}");
                }
            }
        });
        for _ in 1..=5 {
            match runtime.block_on(squares.next()) {
                Some(Delivery::Message(it)) => println!("{}", String::from_utf8_lossy(&it.payload)),
                other => println!("{other:?}"),
            }
        }
    });
    Ok(runtime.block_on(bus.node().leave())?)
}
