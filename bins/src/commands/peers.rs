//! `talkie peers`: who is there?

use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use futures_core::Stream as _;
use talkie_pubsub::{Node, PeerSecrets};

use super::Setup;
use crate::exit::{self, Failure};
use crate::output::{Peer, Secrets, plural};

pub(super) async fn run(setup: Setup, wait: Duration, count: Option<usize>) -> Result<(), Failure> {
    let mut session = setup.join().await?;
    tokio::select! {
        () = tokio::time::sleep(wait) => {}
        () = enough(session.bus.node(), count) => {}
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
            link: peer.link,
            rtt_us: peer.rtt.map(|rtt| u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX)),
            since_ms: u64::try_from(peer.since.elapsed().as_millis()).unwrap_or(u64::MAX),
            secrets: peer.secrets.map(shown).unwrap_or_default(),
        })
        .collect();
    peers.sort_by(|a, b| (&a.name, a.node).cmp(&(&b.name, b.node)));
    let (found, within) = (peers.len(), wait.as_secs_f64());
    let step = step(session.bus.metrics().links.secrets, &peers);
    let mut printed = if peers.is_empty() { Ok(()) } else { session.output.print_peers(peers) };
    if let Some(step) = step.filter(|_| found > 0) {
        printed = printed.and_then(|()| session.output.remark(&step));
    }
    let ended = match (printed, count) {
        (Err(error), _) => Err(error.into()),
        (Ok(()), Some(count)) if found < count => Err(Failure::Failed(format!(
            "{found} of {} answered within {within} s",
            plural(count as u64, "other node")
        ))),
        (Ok(()), None) if found == 0 => {
            exit::say(&format!("no other node answered within {within} s"));
            Ok(())
        }
        _ => Ok(()),
    };
    session.leave(ended).await
}

fn shown(secrets: PeerSecrets) -> Secrets {
    Secrets {
        old_secret: secrets.sends.is_some_and(|place| place > 1),
        unknown_secret: secrets.sends.is_none(),
        lacks_secrets: secrets.lacks,
    }
}

/// What a change of the secret waits for, where this node accepts several.
fn step(secrets: u64, peers: &[Peer]) -> Option<String> {
    let count = |is: fn(&Secrets) -> bool| peers.iter().filter(|peer| is(&peer.secrets)).count() as u64;
    let lack = count(|it| !it.lacks_secrets.is_empty());
    let send = count(|it| it.old_secret || it.unknown_secret);
    match (secrets, lack, send) {
        (0 | 1, ..) => None,
        (_, 0, 0) => Some("every node sends under the first secret: the others can be removed".to_owned()),
        (_, 0, send) => Some(format!("{} under another secret than the first", plural_sends(send))),
        (_, lack, _) => Some(format!("not every secret is accepted by {}", plural(lack, "node"))),
    }
}

fn plural_sends(nodes: u64) -> String {
    let sends = if nodes == 1 { "sends" } else { "send" };
    format!("{} {sends}", plural(nodes, "node"))
}

/// Waits until as many as asked for are there; forever where no number was given.
async fn enough(node: &Node, count: Option<usize>) {
    let mut events = node.peer_events();
    while count.is_none_or(|count| node.peers().len() < count) {
        if poll_fn(|cx| pin!(&mut events).poll_next(cx)).await.is_none() {
            return;
        }
    }
}
