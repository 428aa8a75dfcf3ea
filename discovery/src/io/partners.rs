//! Fixed partners: their names resolved again and again while they are not linked.

use std::io;
use std::net::{SocketAddr, SocketAddrV6};
use std::time::Duration;

use nix::net::if_::if_nametoindex;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::config::{Host, Partner, Scope};
use crate::event::Event;
use crate::reach::canonical;

/// The pause after the first look-up; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause: how long a partner that comes up may wait to be found.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The most addresses that are taken of one name: a service name may stand for many hosts.
const MAX_ADDRS: usize = 32;

/// Tells a partner's addresses until nobody listens: at once, with back-off while it is not linked, and at once
/// when its link is lost. A slow look-up holds up nobody else, for each partner has a task of its own.
pub(crate) async fn follow(
    number: usize,
    partner: Partner,
    mut linked: watch::Receiver<bool>,
    found: mpsc::Sender<Event>,
) {
    let mut failing = false;
    loop {
        // Both end when the handle is gone.
        if linked.wait_for(|linked| !linked).await.is_err() {
            return;
        }
        let mut pause = FIRST_PAUSE;
        while !*linked.borrow_and_update() {
            match resolve(&partner).await {
                Ok(addrs) => {
                    failing = false;
                    if found.send(Event::Partner { partner: number, addrs }).await.is_err() {
                        return;
                    }
                }
                Err(error) if failing => tracing::debug!("partner {partner}: {error}"),
                Err(error) => {
                    failing = true;
                    tracing::warn!("partner {partner} is not found: {error}; trying again");
                }
            }
            let until = Instant::now() + pause;
            pause = LONGEST_PAUSE.min(pause * 2);
            tokio::select! {
                () = tokio::time::sleep_until(until) => {}
                changed = linked.wait_for(|linked| *linked) => if changed.is_err() {
                    return;
                },
            }
        }
    }
}

/// One or more addresses, each once, in the resolver's order (which prefers what this host can reach).
async fn resolve(partner: &Partner) -> io::Result<Vec<SocketAddr>> {
    let port = partner.port();
    let name = match partner.host() {
        Host::Ip(ip) => return Ok(vec![SocketAddr::new(*ip, port)]),
        Host::LinkLocal(ip, scope) => {
            return Ok(vec![SocketAddrV6::new(*ip, port, 0, index_of(scope)?).into()]);
        }
        Host::Name(name) => name,
    };
    let mut addrs = Vec::new();
    for addr in tokio::net::lookup_host((name.as_str(), port)).await?.map(canonical) {
        if !addrs.contains(&addr) && addrs.len() < MAX_ADDRS {
            addrs.push(addr);
        }
    }
    if addrs.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    Ok(addrs)
}

fn index_of(scope: &Scope) -> io::Result<u32> {
    match scope {
        Scope::Index(index) => Ok(*index),
        Scope::Name(name) => if_nametoindex(name.as_ref())
            .map_err(|_| io::Error::new(io::ErrorKind::NotFound, format!("there is no interface {name}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(text: &str) -> (watch::Sender<bool>, mpsc::Receiver<Event>) {
        let (linked, linked_rx) = watch::channel(false);
        let (found, found_rx) = mpsc::channel(8);
        tokio::spawn(follow(3, text.parse().unwrap(), linked_rx, found));
        (linked, found_rx)
    }

    fn addrs(event: Option<Event>) -> Vec<SocketAddr> {
        let Some(Event::Partner { partner: 3, addrs }) = event else { panic!("{event:?}") };
        addrs
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_told_with_back_off_while_it_is_not_linked() {
        let start_at = Instant::now();
        let (linked, mut found) = start("127.0.0.1:9");
        let mut at = Vec::new();
        for _ in 0..7 {
            assert_eq!(addrs(found.recv().await), ["127.0.0.1:9".parse().unwrap()]);
            at.push((Instant::now() - start_at).as_millis() / 100);
        }
        assert_eq!(at, [0, 5, 15, 35, 75, 125, 175], "0.5 s, doubled up to 5 s");

        linked.send_replace(true);
        let silence = tokio::time::timeout(Duration::from_secs(3_600), found.recv()).await;
        assert!(silence.is_err(), "a linked one is not looked up");

        let lost_at = Instant::now();
        linked.send_replace(false);
        for after in [0, 5, 15] {
            addrs(found.recv().await);
            assert_eq!((Instant::now() - lost_at).as_millis() / 100, after, "from the beginning");
        }
        drop(linked);
        while found.recv().await.is_some() {}
    }

    #[tokio::test]
    async fn names_and_scopes_are_resolved() {
        let index = if_nametoindex("lo").unwrap();
        let expected: SocketAddr = SocketAddrV6::new("fe80::1".parse().unwrap(), 8255, 0, index).into();
        for text in ["fe80::1%lo".to_owned(), format!("[fe80::1%{index}]:8255")] {
            assert_eq!(addrs(start(&text).1.recv().await), [expected]);
        }
        let local = addrs(start("localhost:7").1.recv().await);
        assert!(local.contains(&"127.0.0.1:7".parse().unwrap()), "{local:?}");
        assert!(local.iter().all(|addr| addr.ip().is_loopback()));
        let missing = resolve(&"[fe80::1%talkie-none]:1".parse().unwrap()).await.unwrap_err();
        assert!(missing.to_string().contains("talkie-none"));
    }
}
