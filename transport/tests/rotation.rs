//! A mesh changes its secret: real links on the loopback interface, each test on a port of its own.

#![allow(clippy::disallowed_methods, reason = "tests wait for real nodes")]
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]

#[allow(dead_code, reason = "each test file uses some of it")]
mod insider;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use insider::Insider;
use talkie_discovery::{Groups, InterfaceSpec, Keyring, Partner, Secret, Secrets};
use talkie_transport::{
    Config, Deliver, DownReason, Hand, Inbound, Interest, Interests, ListenAt, Parcel, PeerEvent, PeerSender,
    Pressed, Pushed, Transport,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What a change is promised to take at most.
const SOON: Duration = Duration::from_secs(3);

enum Had {
    Linked(PeerSender),
    Message(Bytes),
    Loss,
}

struct Notes(UnboundedSender<Had>);

impl Deliver for Notes {
    fn deliver(&self, from: &PeerSender, what: Inbound<'_>) -> Option<Pressed> {
        let note = |had| {
            let _ = self.0.send(had);
        };
        match what {
            Inbound::Linked => note(Had::Linked(from.clone())),
            Inbound::Messages(arrived) => arrived.drain(..).for_each(|one| note(Had::Message(one.body))),
            Inbound::Gap { .. } | Inbound::Lost => note(Had::Loss),
            _ => {}
        }
        None
    }
}

struct Node {
    transport: Transport,
    had: UnboundedReceiver<Had>,
}

fn group() -> Groups {
    let at = format!("239.255.82.55:{}", 20_000 + fastrand::u16(..40_000));
    Groups { v4: Some(at.parse().expect("a group")), v6: None }
}

fn config(name: &str, groups: Groups) -> Config {
    let mut config = Config::new(name.parse().expect("a name"));
    config.listen = ListenAt::At(SocketAddr::from(([127, 0, 0, 1], 0)));
    config.discovery.groups = groups;
    config.discovery.interfaces = vec!["lo".parse::<InterfaceSpec>().expect("a name")];
    config
}

/// The keys of these secrets, the first to send with.
fn ring(of: &[&Secret]) -> Keyring {
    let first = Secrets::from(of[0].clone());
    let all = of[1..].iter().try_fold(first, |all, one| all.and((*one).clone()));
    Keyring::derive(&all.expect("a few"))
}

impl Node {
    async fn start(config: Config, keys: &Keyring) -> Self {
        let (notes, had) = unbounded_channel();
        let transport = Transport::start(config, keys.clone(), Arc::new(Notes(notes))).await;
        Self { transport: transport.expect("it starts"), had }
    }

    async fn linked(&mut self) -> PeerSender {
        loop {
            let had = tokio::time::timeout(SOON, self.had.recv()).await.expect("in time");
            if let Had::Linked(peer) = had.expect("it lives") {
                return peer;
            }
        }
    }

    /// Waits until this is so.
    async fn until(&self, what: &str, is: impl Fn(&Transport) -> bool) {
        let deadline = Instant::now() + SOON;
        while !is(&self.transport) {
            assert!(Instant::now() < deadline, "{what}: {:?}", self.transport.stats().links);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn push(to: &PeerSender, number: u64) {
    let interests: Interests = [Interest { id: 1, epoch: 0 }].into_iter().collect();
    let body = Bytes::copy_from_slice(&number.to_be_bytes());
    let pushed = to.push(&interests, 0, 8, Parcel::Shared(&body.into()), Hand::Own(Instant::now()));
    assert_eq!(pushed, Pushed::Queued, "its peer is up throughout");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_step_by_step_loses_and_doubles_nothing_and_tells_nobody_down() {
    let (old, new, groups) = (Secret::generate(), Secret::generate(), group());
    let mut a = Node::start(config("a", groups), &ring(&[&old])).await;
    let mut b = Node::start(config("b", groups), &ring(&[&old])).await;
    let (to_b, to_a) = (a.linked().await, b.linked().await);
    let mut events = a.transport.peer_events();
    assert!(matches!(events.recv().await, Some(PeerEvent::Up(_))));
    let shown = |node: &Transport| node.peers()[0].secrets.as_ref().map(ToString::to_string);
    assert_eq!(shown(&a.transport).as_deref(), Some("sends under secret 1"));
    let mut sent = 0;
    let mut burst = || {
        for _ in 0..500 {
            push(&to_b, sent);
            push(&to_a, sent);
            sent += 1;
        }
    };
    burst();
    let both = |node: &Transport, of: &[&Secret]| {
        assert!(node.rekey(ring(of)));
        assert!(!node.rekey(ring(of)), "the same again is no change");
    };
    both(&a.transport, &[&old, &new]);
    a.until("b lacks the new one", |node| shown(node).is_some_and(|it| it.ends_with("lacks secret 2"))).await;
    both(&b.transport, &[&old, &new]);
    burst();
    both(&a.transport, &[&new, &old]);
    burst();
    a.until("b uses the old one", |node| shown(node).as_deref() == Some("sends under secret 2")).await;
    assert_eq!(a.transport.stats().links.other_secret, 1);
    let before = a.transport.stats().links;
    both(&b.transport, &[&new, &old]);
    burst();
    a.until("a new link", |node| node.stats().links.replaced > before.replaced).await;
    b.until("a new link", |node| shown(node).as_deref() == Some("sends under secret 1")).await;
    burst();
    both(&a.transport, &[&new]);
    both(&b.transport, &[&new]);
    burst();
    let (one, two) = (to_b.flush().await, to_a.flush().await);
    assert!(one.is_ok() && two.is_ok());
    for node in [&mut a, &mut b] {
        let mut next = 0;
        while next < sent {
            match tokio::time::timeout(SOON, node.had.recv()).await.expect("in time").expect("it lives") {
                Had::Message(body) => {
                    assert_eq!(body, Bytes::copy_from_slice(&next.to_be_bytes()), "in order, each once");
                    next += 1;
                }
                Had::Linked(_) => {}
                Had::Loss => panic!("nothing is lost"),
            }
        }
    }
    let links = a.transport.stats().links;
    assert_eq!(
        (links.told_up, links.told_closed, links.told_secret, links.secrets),
        (1, 0, 0, 1),
        "{links:?}"
    );
    assert_eq!((links.rekeyed, links.ended_secret), (3, 0), "{links:?}");
    let told = tokio::time::timeout(Duration::from_millis(1), events.recv()).await;
    assert!(told.is_err(), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_the_removed_secret_alone_is_told_down_and_kept_out() {
    let (old, new, groups) = (Secret::generate(), Secret::generate(), group());
    let mut a = Node::start(config("a", groups), &ring(&[&old])).await;
    let mut b = Node::start(config("b", groups), &ring(&[&old])).await;
    a.linked().await;
    b.linked().await;
    let mut events = [a.transport.peer_events(), b.transport.peer_events()];
    for events in &mut events {
        assert!(matches!(events.recv().await, Some(PeerEvent::Up(_))));
    }
    let began = Instant::now();
    a.transport.rekey(ring(&[&new]));
    for events in &mut events {
        let told = tokio::time::timeout(SOON, events.recv()).await.expect("in time");
        let Some(PeerEvent::Down { reason, .. }) = told else { panic!("{told:?}") };
        assert_eq!(reason, DownReason::Secret);
    }
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    // It goes on dialing, and is refused.
    let refused = a.transport.stats().links.refused_secret;
    a.until("refusals", |node| node.stats().links.refused_secret >= refused + 3).await;
    assert!(a.transport.peers().is_empty() && b.transport.peers().is_empty());
    // With the new one it is back.
    b.transport.rekey(ring(&[&new]));
    a.linked().await;
    b.linked().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_replaces_its_secret_a_moment_later_stays_linked() {
    let (old, new, groups) = (Secret::generate(), Secret::generate(), group());
    let mut a = Node::start(config("a", groups), &ring(&[&old])).await;
    let mut b = Node::start(config("b", groups), &ring(&[&old])).await;
    a.linked().await;
    b.linked().await;
    a.transport.rekey(ring(&[&new]));
    a.until("a try", |node| node.stats().links.remade == 1).await;
    b.transport.rekey(ring(&[&new]));
    a.linked().await;
    let links = a.transport.stats().links;
    assert_eq!((links.told_secret, links.told_closed, links.up), (0, 0, 1), "{links:?}");
}

/// Two that meet only because the second dials the first.
async fn dialed(first: &Keyring, second: &Keyring) -> [Option<String>; 2] {
    let mut a = Node::start(config("a", group()), first).await;
    let mut b = config("b", group());
    b.discovery.multicast = false;
    b.discovery.partners = vec![a.transport.listen()[0].to_string().parse::<Partner>().expect("an address")];
    let mut b = Node::start(b, second).await;
    a.linked().await;
    b.linked().await;
    [&a, &b].map(|node| node.transport.peers()[0].secrets.as_ref().map(ToString::to_string))
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_holds_only_one_of_several_is_reached_and_reaches() {
    let secrets: Vec<_> = (0..4).map(|_| Secret::generate()).collect();
    let (one, all) = (ring(&[&secrets[3]]), ring(&secrets.iter().collect::<Vec<_>>()));
    let of_all = "sends under secret 4, lacks secret 1, lacks secret 2, lacks secret 3";
    let of_one = "sends under a secret that this node does not hold";
    let shown = dialed(&one, &all).await;
    assert_eq!([shown[0].as_deref(), shown[1].as_deref()], [Some(of_one), Some(of_all)]);
    let shown = dialed(&all, &one).await;
    assert_eq!([shown[0].as_deref(), shown[1].as_deref()], [Some(of_all), Some(of_one)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_member_says_changes_no_secret() {
    let (old, new, theirs) = (Secret::generate(), Secret::generate(), Secret::generate());
    let a = Node::start(config("a", group()), &ring(&[&old])).await;
    let at = a.transport.listen()[0];
    let mark = |of: &Secret| *ring(&[of]).first().mark.as_bytes();
    let mut member = Insider::link(at, &ring(&[&old]).first().link).await;
    a.until("a link", |node| node.stats().links.linked == 1).await;
    member.secrets(1, &mark(&theirs)).await;
    a.until("its word", |node| node.stats().links.other_secret == 1).await;
    // Its own secret is none of this mesh for all that.
    let stranger = Insider::try_link(at, &ring(&[&theirs]).first().link).await;
    assert!(stranger.is_none());
    let many: Vec<u8> = (0..255).flat_map(|n| [n; 8]).collect();
    member.secrets(255, &many).await;
    member.secrets(0, &[]).await;
    // That it holds the new one, too, which it was told of, keeps it in for no longer than others.
    a.transport.rekey(ring(&[&old, &new]));
    member.secrets(2, &[mark(&new), mark(&old)].concat()).await;
    a.until("its word", |node| {
        node.peers()[0].secrets.as_ref().is_some_and(|it| it.to_string() == "sends under secret 2")
    })
    .await;
    let links = a.transport.stats().links;
    assert_eq!((links.secrets, links.rekeyed, links.linked), (2, 1, 1), "{links:?}");
    let began = Instant::now();
    a.transport.rekey(ring(&[&new]));
    let told = async {
        loop {
            member.secrets(1, &mark(&new)).await;
            if a.transport.peers().is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, told).await.expect("it is out");
    assert!(began.elapsed() < SOON);
    assert_eq!(a.transport.stats().links.told_secret, 1);
    assert!(Insider::try_link(at, &ring(&[&old]).first().link).await.is_none(), "and stays out");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lie_about_the_number_of_secrets_ends_the_link_and_nothing_else() {
    let secret = Secret::generate();
    let a = Node::start(config("a", group()), &ring(&[&secret])).await;
    let psk = ring(&[&secret]).first().link.clone();
    for (count, marks) in [(2, 8), (255, 0), (1, 7)] {
        let ended = a.transport.stats().links.ended_invalid;
        let mut liar = Insider::link(a.transport.listen()[0], &psk).await;
        liar.secrets(count, &vec![7; marks]).await;
        a.until("its end", |node| node.stats().links.ended_invalid > ended).await;
    }
    let mut leaver = Insider::link(a.transport.listen()[0], &psk).await;
    leaver.bye(4).await;
    a.until("its end", |node| node.stats().links.ended_secret == 1).await;
}
