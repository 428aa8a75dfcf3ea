//! Prints what discovery finds: `watch SECRET [INTERFACE…]`. It dials nobody, and ends with the standard input.

#![allow(clippy::disallowed_methods)]

use std::error::Error;
use std::time::{Duration, Instant};

use talkie_discovery::{Announcement, Config, Discovery, MeshKeys, NodeId, NodeName, Secret};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let secret = Secret::parse(&args.next().ok_or("usage: watch SECRET [INTERFACE…]")?)?;
    let interfaces = args.map(|name| name.parse()).collect::<Result<_, _>>()?;
    let keys = MeshKeys::derive(&secret);
    println!("check word {}", keys.check);

    let (mut id, mut port) = ([0; 16], [0; 2]);
    getrandom::fill(&mut id).map_err(|error| error.to_string())?;
    getrandom::fill(&mut port).map_err(|error| error.to_string())?;
    let who = Announcement {
        id: NodeId::from_bytes(id),
        name: NodeName::lossy(&format!("watch-{}", std::process::id())),
        listen: format!("[::]:{}", u16::from_be_bytes(port) | 1024).parse()?,
    };
    println!("{} {}", who.id, who.name);

    let began = Instant::now();
    let config = Config { interfaces, ..Config::default() };
    let (discovery, mut events) = Discovery::start(config, keys.heartbeat, who)?;
    let mut reach = discovery.reach();
    let (ended, mut end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = ended.send(());
    });
    let mut stats = tokio::time::interval(Duration::from_secs(5));
    loop {
        tokio::select! {
            event = events.recv() => println!("{:7.3} {event:?}", began.elapsed().as_secs_f64()),
            Ok(()) = reach.changed() => println!("{:7.3} {:?}", began.elapsed().as_secs_f64(), **reach.borrow_and_update()),
            _ = stats.tick() => println!("{:7.3} {:?}", began.elapsed().as_secs_f64(), discovery.stats()),
            _ = &mut end => break,
        }
    }
    discovery.stop().await;
    println!("{:7.3} stopped", began.elapsed().as_secs_f64());
    Ok(())
}
