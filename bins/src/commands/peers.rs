//! `talkie peers`: who is there?

use std::time::Duration;

use super::Setup;
use crate::exit::{self, Failure};
use crate::output::Peer;

pub(super) async fn run(setup: Setup, wait: Duration) -> Result<(), Failure> {
    let mut session = setup.join().await?;
    tokio::select! {
        () = tokio::time::sleep(wait) => {}
        // Who is known by then is printed all the same.
        _ = session.stop.stopped() => {}
    }
    let mut peers: Vec<Peer> = session
        .bus
        .node()
        .peers()
        .into_iter()
        .map(|peer| Peer {
            node: peer.id,
            name: peer.name,
            addr: peer.addr,
            rtt_us: peer.rtt.map(|rtt| u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX)),
            since_ms: u64::try_from(peer.since.elapsed().as_millis()).unwrap_or(u64::MAX),
        })
        .collect();
    peers.sort_by(|a, b| (&a.name, a.node).cmp(&(&b.name, b.node)));
    let printed = if peers.is_empty() {
        exit::say(&format!("no other node answered within {} s", wait.as_secs_f64()));
        Ok(())
    } else {
        session.output.print_peers(peers).map_err(Failure::from)
    };
    session.leave(printed).await
}
