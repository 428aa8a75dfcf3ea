//! Fixed partners: their names resolved again and again while they are not linked.

use std::io;
use std::net::{SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::time::Duration;

use nix::net::if_::if_nametoindex;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::config::{Host, Partner, Scope};
use crate::event::Event;
use crate::reach::{Reach, canonical};
use crate::stats::Counters;

/// The pause after the first look-up; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause: how long a partner that comes up may wait to be found.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The most addresses that are taken of one name: a service name may stand for many hosts.
const MAX_ADDRS: usize = 32;

/// The most reasons for which one partner is not found that are remembered; beyond it all are forgotten.
const MAX_REASONS: usize = 8;

/// From a change of this host's interfaces to the next look-up: a network comes in steps.
const SETTLE: Duration = Duration::from_millis(100);

/// Follows one partner.
pub(crate) struct Follower {
    /// Its place in the settings.
    pub(crate) number: usize,
    pub(crate) partner: Partner,
    pub(crate) linked: watch::Receiver<bool>,
    pub(crate) reach: watch::Receiver<Arc<Reach>>,
    pub(crate) found: mpsc::Sender<Event>,
    pub(crate) counters: Arc<Counters>,
}

impl Follower {
    /// Tells the partner's addresses until nobody listens: at once, with back-off while it is not linked, and at
    /// once when its link is lost or this host's interfaces change. A slow look-up holds up nobody else, for each
    /// partner has a task of its own.
    pub(crate) async fn run(mut self) {
        let mut reasons = Reasons::default();
        // Both end when the handle is gone.
        while self.linked.wait_for(|linked| !linked).await.is_ok() {
            let mut pause = FIRST_PAUSE;
            while !*self.linked.borrow_and_update() {
                self.reach.mark_unchanged();
                let resolved = resolve(&self.partner).await;
                reasons.tell(&self.partner, resolved.as_ref().err());
                match resolved {
                    Ok(addrs) => {
                        let event = Event::Partner { partner: self.number, addrs };
                        if self.found.send(event).await.is_err() {
                            return;
                        }
                    }
                    Err(_) => self.counters.partner_errors.add(),
                }
                match self.wait(pause).await {
                    Waited::Whole => pause = LONGEST_PAUSE.min(pause * 2),
                    Waited::Changed => pause = FIRST_PAUSE,
                    Waited::Ended => return,
                }
            }
        }
    }

    async fn wait(&mut self, pause: Duration) -> Waited {
        let mut until = Instant::now() + pause;
        let mut waited = Waited::Whole;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(until) => return waited,
                changed = self.linked.wait_for(|linked| *linked) => {
                    return if changed.is_ok() { waited } else { Waited::Ended };
                }
                Ok(()) = self.reach.changed() => {
                    until = until.min(Instant::now() + SETTLE);
                    waited = Waited::Changed;
                }
            }
        }
    }
}

enum Waited {
    /// As long as was wished, or until the partner was linked.
    Whole,
    /// Until the interfaces had changed.
    Changed,
    /// Nobody listens any more.
    Ended,
}

/// Why a partner is not found: each reason is told once, until the partner is found.
#[derive(Default)]
struct Reasons(Vec<String>);

impl Reasons {
    fn tell(&mut self, partner: &Partner, error: Option<&io::Error>) {
        match error {
            Some(error) if self.is_new(&error.to_string()) => {
                tracing::warn!(name: "talkie.partner.not_found", "partner {partner} is not found: {error}; trying again");
            }
            Some(error) => {
                tracing::debug!(name: "talkie.partner.not_found", "partner {partner} is not found: {error}")
            }
            None if self.0.is_empty() => {}
            None => {
                self.0.clear();
                tracing::info!(name: "talkie.partner.found", "partner {partner} is found");
            }
        }
    }

    fn is_new(&mut self, reason: &str) -> bool {
        if self.0.iter().any(|told| told == reason) {
            return false;
        }
        if self.0.len() >= MAX_REASONS {
            self.0.clear();
        }
        self.0.push(reason.to_owned());
        true
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

    struct Rig {
        linked: watch::Sender<bool>,
        reach: watch::Sender<Arc<Reach>>,
        found: mpsc::Receiver<Event>,
        counters: Arc<Counters>,
    }

    fn start(text: &str) -> Rig {
        let (linked, linked_rx) = watch::channel(false);
        let (reach, reach_rx) = watch::channel(Arc::default());
        let (found_tx, found) = mpsc::channel(8);
        let counters = Arc::new(Counters::default());
        let follower = Follower {
            number: 3,
            partner: text.parse().unwrap(),
            linked: linked_rx,
            reach: reach_rx,
            found: found_tx,
            counters: Arc::clone(&counters),
        };
        tokio::spawn(follower.run());
        Rig { linked, reach, found, counters }
    }

    fn addrs(event: Option<Event>) -> Vec<SocketAddr> {
        let Some(Event::Partner { partner: 3, addrs }) = event else { panic!("{event:?}") };
        addrs
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_told_with_back_off_while_it_is_not_linked() {
        let start_at = Instant::now();
        let Rig { linked, mut found, reach, .. } = start("127.0.0.1:9");
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
        // The network comes back: soon, and with the back-off from the beginning.
        let changed_at = Instant::now();
        reach.send_replace(Arc::default());
        reach.send_replace(Arc::default());
        for after in [1, 6, 16] {
            addrs(found.recv().await);
            assert_eq!((Instant::now() - changed_at).as_millis() / 100, after, "soon");
        }
        drop(linked);
        while found.recv().await.is_some() {}
    }

    #[tokio::test]
    async fn names_and_scopes_are_resolved() {
        let index = if_nametoindex("lo").unwrap();
        let expected: SocketAddr = SocketAddrV6::new("fe80::1".parse().unwrap(), 8255, 0, index).into();
        for text in ["fe80::1%lo".to_owned(), format!("[fe80::1%{index}]:8255")] {
            assert_eq!(addrs(start(&text).found.recv().await), [expected]);
        }
        let local = addrs(start("localhost:7").found.recv().await);
        assert!(local.contains(&"127.0.0.1:7".parse().unwrap()), "{local:?}");
        assert!(local.iter().all(|addr| addr.ip().is_loopback()));
        let missing = resolve(&"[fe80::1%talkie-none]:1".parse().unwrap()).await.unwrap_err();
        assert!(missing.to_string().contains("talkie-none"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_found_is_counted_and_tried_on() {
        let rig = start("[fe80::1%talkie-none]:1");
        for failures in [1, 2, 3, 4] {
            while rig.counters.snapshot().partner_errors < failures {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        assert!(rig.found.is_empty());
    }

    #[test]
    fn each_reason_is_told_once_until_the_partner_is_found() {
        let mut reasons = Reasons::default();
        let told = ["a", "a", "b", "a", "b"].map(|reason| reasons.is_new(reason));
        assert_eq!(told, [true, false, true, false, false]);
        reasons.tell(&"127.0.0.1".parse().unwrap(), None);
        assert!(reasons.is_new("a"), "again after a success");
        for n in 0..1_000 {
            reasons.is_new(&n.to_string());
            assert!(reasons.0.len() <= MAX_REASONS);
        }
    }
}
