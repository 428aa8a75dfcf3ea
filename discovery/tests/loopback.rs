//! Real sockets on the loopback interface, each test on a port of its own.

#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::indexing_slicing, clippy::unwrap_used)]

use std::net::SocketAddr;
use std::time::Duration;

use talkie_discovery::{
    Announcement, Config, Discovery, Event, Events, Groups, Keyring, MeshKeys, NodeId, Secret, Secrets,
};
use tokio::time::timeout;

/// Far above what anything here takes, and below a tester's patience.
const LIMIT: Duration = Duration::from_secs(5);

fn group() -> Groups {
    format!("239.255.82.55:{}", fastrand::u16(20_000..60_000)).parse().unwrap()
}

fn key() -> MeshKeys {
    MeshKeys::derive(&Secret::generate())
}

fn who(id: u8, listen: &str) -> Announcement {
    let name = format!("node-{id}").parse().unwrap();
    Announcement { id: NodeId::from_bytes([id; 16]), name, listen: listen.parse().unwrap(), host: None }
}

fn start(groups: Groups, key: &MeshKeys, who: Announcement) -> (Discovery, Events) {
    let config = Config { groups, interfaces: vec!["lo".parse().unwrap()], ..Config::default() };
    Discovery::start(config, key.clone(), who).unwrap()
}

async fn seen(events: &mut Events, wanted: u8) -> Vec<SocketAddr> {
    let search = async {
        loop {
            match events.recv().await.expect("events go on") {
                Event::Seen { id, name, addrs, .. } if id == NodeId::from_bytes([wanted; 16]) => {
                    assert_eq!(name.as_str(), format!("node-{wanted}"));
                    return addrs;
                }
                _ => {}
            }
        }
    };
    timeout(LIMIT, search).await.expect("a node is seen in time")
}

async fn left(events: &mut Events, wanted: u8) {
    let search = async {
        while events.recv().await.expect("events go on")
            != (Event::Left { id: NodeId::from_bytes([wanted; 16]) })
        {}
    };
    timeout(LIMIT, search).await.expect("a goodbye is heard in time")
}

#[tokio::test]
async fn two_nodes_see_each_other_and_hear_a_goodbye() {
    let (group, key) = (group(), key());
    let (one, mut of_one) = start(group, &key, who(1, "[::]:4001"));
    let began = tokio::time::Instant::now();
    let (two, mut of_two) = start(group, &key, who(2, "0.0.0.0:4002"));
    assert_eq!(seen(&mut of_one, 2).await, ["127.0.0.1:4002".parse().unwrap()]);
    let addrs = seen(&mut of_two, 1).await;
    assert!(addrs.contains(&"127.0.0.1:4001".parse().unwrap()), "{addrs:?}");
    assert!(began.elapsed() <= Duration::from_secs(1), "{:?}", began.elapsed());

    let began = tokio::time::Instant::now();
    two.stop().await;
    assert!(began.elapsed() <= Duration::from_millis(100), "{:?}", began.elapsed());
    left(&mut of_one, 2).await;
    let stats = one.stats();
    assert!(stats.sent > 0 && stats.own > 0 && stats.fresh > 0, "{stats:?}");
    assert_eq!(stats.rejected_auth + stats.rejected_malformed + stats.rejected_magic, 0, "{stats:?}");
}

#[tokio::test]
async fn many_nodes_of_one_host_all_hear_each_datagram() {
    let (group, key) = (group(), key());
    let mut nodes: Vec<_> = (1..=8).map(|id| start(group, &key, who(id, "127.0.0.1:4000"))).collect();
    for (_, events) in &mut nodes {
        let mut missing: Vec<_> = (1..=8).collect();
        let search = async {
            while missing.len() > 1 {
                if let Some(Event::Seen { id, .. }) = events.recv().await {
                    missing.retain(|m| id != NodeId::from_bytes([*m; 16]));
                }
            }
        };
        timeout(LIMIT, search).await.expect("all seven others are seen");
    }
}

#[tokio::test]
async fn another_secret_sees_nothing() {
    let (group, ours) = (group(), key());
    let (one, mut of_one) = start(group, &ours, who(1, "127.0.0.1:4001"));
    let (stranger, mut of_stranger) = start(group, &key(), who(2, "127.0.0.1:4002"));
    let (_three, _of_three) = start(group, &ours, who(3, "127.0.0.1:4003"));
    // The third shows that the first hears at all; three heartbeats later the stranger would have been seen.
    for _ in 0..3 {
        seen(&mut of_one, 3).await;
    }
    assert!(one.stats().rejected_auth > 0 && stranger.stats().rejected_auth > 0);
    assert_eq!(stranger.stats().fresh, 0);
    stranger.stop().await;
    assert_eq!(of_stranger.recv().await, None, "it saw nobody at all");
    while let Ok(event) = timeout(Duration::from_millis(1), of_one.recv()).await {
        assert!(!format!("{event:?}").contains("02020202"), "{event:?}");
    }
}

#[tokio::test]
async fn a_change_of_the_secret_step_by_step_loses_nobody() {
    let group = group();
    let (old, new) = (Secret::generate(), Secret::generate());
    let ring = |first: &Secret, second: &Secret| {
        Keyring::derive(&Secrets::from(first.clone()).and(second.clone()).unwrap())
    };
    let (one, mut of_one) = start(group, &MeshKeys::derive(&old), who(1, "127.0.0.1:4001"));
    let (two, mut of_two) = start(group, &MeshKeys::derive(&new), who(2, "127.0.0.1:4002"));
    seen_none(&one, &mut of_one).await;
    // The first accepts the new one, too: it hears the second, which does not hear it.
    one.rekey(ring(&old, &new));
    seen(&mut of_one, 2).await;
    assert_eq!(two.stats().fresh, 0);
    one.rekey(ring(&new, &old));
    seen(&mut of_two, 1).await;
    one.rekey(MeshKeys::derive(&new).into());
    while of_two.try_recv().is_some() {}
    seen(&mut of_two, 1).await;
}

/// Waits until it has refused a heartbeat, and heard none.
async fn seen_none(node: &Discovery, events: &mut Events) {
    timeout(LIMIT, async {
        while node.stats().rejected_auth == 0 {
            assert_eq!(timeout(Duration::from_millis(10), events.recv()).await.ok(), None);
        }
    })
    .await
    .expect("it hears the other");
}

#[tokio::test]
async fn a_dropped_handle_ends_the_events_without_a_goodbye() {
    let (group, key) = (group(), key());
    let (_one, mut of_one) = start(group, &key, who(1, "127.0.0.1:4001"));
    let (two, mut of_two) = start(group, &key, who(2, "127.0.0.1:4002"));
    seen(&mut of_one, 2).await;
    drop(two);
    timeout(LIMIT, async { while of_two.recv().await.is_some() {} }).await.expect("its events end");
    let (three, _of_three) = start(group, &key, who(3, "127.0.0.1:4003"));
    three.stop().await;
    // The third's goodbye comes through, so that the second's would have as well.
    let next = async {
        loop {
            if let Some(Event::Left { id }) = of_one.recv().await {
                return id;
            }
        }
    };
    assert_eq!(timeout(LIMIT, next).await.unwrap(), NodeId::from_bytes([3; 16]));
}

#[tokio::test]
async fn without_multicast_only_partners_are_told() {
    let partners = talkie_discovery::Partner::parse_list("127.0.0.1:4009,localhost:4010").unwrap();
    let config =
        Config { multicast: false, partners, interfaces: vec!["lo".parse().unwrap()], ..Config::default() };
    let (discovery, mut events) = Discovery::start(config, key(), who(1, "127.0.0.1:4001")).unwrap();
    let mut told = [false; 2];
    while !told.iter().all(|told| *told) {
        let event = timeout(LIMIT, events.recv()).await.expect("partners are told").unwrap();
        let Event::Partner { partner, addrs } = event else { panic!("{event:?}") };
        assert!(
            addrs.iter().all(|addr| addr.ip().is_loopback() && usize::from(addr.port()) == 4009 + partner)
        );
        told[partner] = true;
    }
    discovery.partner_linked(0, true);
    discovery.partner_linked(99, true);
    assert!(discovery.reach().borrow().restricted);
    let stats = discovery.stats();
    let traffic = stats.sent + stats.send_errors + stats.heard + stats.sockets + stats.nodes;
    assert_eq!(traffic, 0, "nothing is sent or heard: {stats:?}");
    discovery.stop().await;
    timeout(LIMIT, async { while events.recv().await.is_some() {} }).await.expect("its events end");
}

#[test]
fn it_needs_a_runtime_and_an_interface_that_exists() {
    let config = Config { interfaces: vec!["talkie-none".parse().unwrap()], ..Config::default() };
    let refused = Discovery::start(config.clone(), key(), who(1, "127.0.0.1:1")).unwrap_err();
    assert!(refused.to_string().contains("runtime"), "{refused}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    let refused = Discovery::start(config, key(), who(1, "127.0.0.1:1")).unwrap_err();
    assert!(refused.to_string().contains("talkie-none"), "{refused}");
}
