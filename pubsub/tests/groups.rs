//! Queue groups: each message to one member, the nearest first; to another where that is lost, and then marked.

#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::collections::BTreeMap;

use common::{message, soon};
use talkie_pubsub::testing::Mesh;
use talkie_pubsub::{
    Audience, Bus, Delivery, Message, PeerEvent, PublishOptions, SubscribeError, SubscribeOptions,
    Subscription,
};

fn workers() -> SubscribeOptions {
    SubscribeOptions::new().group("workers")
}

fn join(bus: &Bus, pattern: &str) -> Subscription<u32> {
    bus.typed().subscribe_with(pattern, workers()).unwrap()
}

/// Until the node was told that one is down.
async fn down(bus: &Bus) {
    let mut peers = bus.node().peer_events();
    while !matches!(peers.recv().await, Some(PeerEvent::Down { .. })) {}
}

/// Until a node more is up than were.
async fn up(bus: &Bus, nodes: usize) {
    let mut peers = bus.node().peer_events();
    while bus.node().peers().len() < nodes {
        peers.recv().await.unwrap();
    }
}

async fn publish(bus: &Bus, numbers: impl IntoIterator<Item = u32>) {
    for n in numbers {
        bus.typed().publish("jobs/1", &n).await.unwrap();
    }
}

/// Until the other has all that was said to it, control frames too.
async fn passed(from: &Bus, to: &Bus) {
    let mut all = to.subscribe("passed").unwrap();
    from.subscribed_on("passed", 1).await.unwrap();
    from.publish_with("passed", "", Audience::Node(to.node().id())).await.unwrap();
    while !matches!(all.next().await, Some(Delivery::Message(_))) {}
}

/// All that waits, and whether it is marked.
fn now(jobs: &mut Subscription<u32>) -> Vec<(u32, bool)> {
    let message = |delivery| match delivery {
        Delivery::Message(Message { payload, redelivered, .. }) => (payload, redelivered),
        other => panic!("{other:?}"),
    };
    std::iter::from_fn(|| jobs.now()).map(message).collect()
}

/// What all of them have, each once: by member.
fn shares(jobs: &mut [Subscription<u32>]) -> Vec<Vec<u32>> {
    let once = |(n, redelivered): (u32, bool)| {
        assert!(!redelivered, "{n} is marked");
        n
    };
    jobs.iter_mut().map(|jobs| now(jobs).into_iter().map(once).collect()).collect()
}

fn sorted(shares: &[Vec<u32>]) -> Vec<u32> {
    let mut all = shares.concat();
    all.sort_unstable();
    all
}

#[tokio::test(start_paused = true)]
async fn each_message_goes_to_one_member_and_to_all_that_are_in_no_group() {
    let mesh = Mesh::new();
    let (from, nodes) = (mesh.join("from"), mesh.join_all(3));
    let mut jobs: Vec<_> = nodes.iter().map(|bus| join(bus, "jobs/*")).collect();
    let mut other = nodes[0].typed::<u32>().subscribe_with("jobs/1", workers().group("others")).unwrap();
    let mut plain = nodes[1].typed::<u32>().subscribe("jobs/1").unwrap();
    from.subscribed_on("jobs/1", 3).await.unwrap();
    publish(&from, 0..300).await;
    from.flush().await.unwrap();
    let shares = shares(&mut jobs);
    assert_eq!(sorted(&shares), Vec::from_iter(0..300));
    for share in &shares {
        assert_eq!(share.len(), 100, "{shares:?}");
        assert!(share.is_sorted(), "in order");
    }
    assert_eq!(now(&mut other).len(), 300);
    assert_eq!(now(&mut plain).len(), 300);
    soon(from.settled()).await.unwrap();
    let metrics = from.metrics();
    assert_eq!((metrics.published.acknowledged, metrics.published.redelivered), (600, 0));
    assert_eq!((metrics.memory.groups_waiting, metrics.memory.groups_bytes), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_nearest_member_is_given_it() {
    let mesh = Mesh::new();
    let (from, far) = (mesh.join("from"), mesh.join("far"));
    let mut there = join(&far, "jobs/*");
    from.subscribed_on("jobs/1", 1).await.unwrap();
    let mut here = [join(&from, "jobs/**"), join(&from, "jobs/1")];
    publish(&from, 0..10).await;
    let receipt = from.typed().publish("jobs/1", &10_u32).await.unwrap();
    assert_eq!((receipt.local, receipt.nodes), (1, 0));
    let shares = shares(&mut here);
    assert_eq!(sorted(&shares), Vec::from_iter(0..11));
    assert!(shares.iter().all(|share| share.len() >= 5), "patterns that differ make one group: {shares:?}");
    from.flush().await.unwrap();
    assert_eq!(there.now(), None);
    // Unless it is to be elsewhere.
    from.typed().publish_with("jobs/1", &11_u32, Audience::Others).await.unwrap();
    from.typed().publish_with("jobs/1", &12_u32, Audience::Node(far.node().id())).await.unwrap();
    from.typed().publish_with("jobs/1", &13_u32, &here[0]).await.unwrap();
    from.typed().publish_with("jobs/1", &14_u32, Audience::Here).await.unwrap();
    from.flush().await.unwrap();
    assert_eq!(now(&mut there), [(11, false), (12, false)]);
    let [mut first, mut second] = here;
    let (first, second) = (now(&mut first), now(&mut second));
    assert!(second.contains(&(13, false)), "{first:?} {second:?}");
    assert_eq!(first.len() + second.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_a_lost_member_has_goes_to_another_and_is_void_there() {
    let mesh = Mesh::new();
    let (from, a, b) = (mesh.join("from"), mesh.join("a"), mesh.join("b"));
    let (mut of_a, mut of_b) = (join(&a, "jobs/*"), join(&b, "jobs/*"));
    from.subscribed_on("jobs/1", 2).await.unwrap();
    publish(&from, 0..20).await;
    from.flush().await.unwrap();
    // One is acknowledged, one is being done, eight wait.
    let done = message(&mut of_a).await.payload;
    let doing = message(&mut of_a).await.payload;
    mesh.between(&from, &a).cut();
    down(&from).await;
    let mut had = now(&mut of_b);
    from.flush().await.unwrap();
    had.extend(now(&mut of_b));
    assert_eq!(
        had.iter().filter(|(_, marked)| *marked).count(),
        9 + 1,
        "what was not confirmed in time: {had:?}"
    );
    let mut all: Vec<u32> = had.iter().map(|(n, _)| *n).collect();
    all.sort_unstable();
    assert!(all.contains(&doing));
    // The word of the first never left.
    assert!(had.contains(&(done, true)));
    assert_eq!(all, Vec::from_iter(0..20));
    mesh.between(&from, &a).mend();
    up(&from, 2).await;
    soon(from.settled()).await.unwrap();
    passed(&from, &a).await;
    assert_eq!(now(&mut of_a), [], "others have it");
    publish(&from, 100..110).await;
    from.flush().await.unwrap();
    let (of_a, of_b) = (now(&mut of_a), now(&mut of_b));
    assert_eq!((of_a.len(), of_b.len()), (5, 5), "it is a member again: {of_a:?} {of_b:?}");
    assert!(of_a.iter().chain(&of_b).all(|(_, marked)| !marked));
}

#[tokio::test(start_paused = true)]
async fn what_is_acknowledged_is_not_done_again() {
    let mesh = Mesh::new();
    let (from, a, b) = (mesh.join("from"), mesh.join("a"), mesh.join("b"));
    let mut of_a = join(&a, "jobs/*");
    from.subscribed_on("jobs/1", 1).await.unwrap();
    publish(&from, 0..10).await;
    for _ in 0..5 {
        message(&mut of_a).await;
    }
    a.flush().await.unwrap();
    from.flush().await.unwrap();
    assert_eq!(from.metrics().published.acknowledged, 4, "the fifth is being done");
    of_a.acknowledge();
    a.flush().await.unwrap();
    mesh.kill(&a);
    let mut of_b = join(&b, "jobs/*");
    from.subscribed_on("jobs/1", 1).await.unwrap();
    down(&from).await;
    from.flush().await.unwrap();
    let rest: Vec<_> = (5..10).map(|n| (n, true)).collect();
    assert_eq!(now(&mut of_b), rest);
    soon(from.settled()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_only_member_is_waited_for_and_another_gets_it_first() {
    let mesh = Mesh::new();
    let (from, a) = (mesh.join("from"), mesh.join("a"));
    let mut of_a = join(&a, "jobs/*");
    from.subscribed_on("jobs/1", 1).await.unwrap();
    mesh.between(&from, &a).cut();
    down(&from).await;
    publish(&from, 0..3).await;
    mesh.between(&from, &a).mend();
    up(&from, 1).await;
    from.flush().await.unwrap();
    assert_eq!(now(&mut of_a), [(0, false), (1, false), (2, false)], "kept for it, and given once");
    a.flush().await.unwrap();
    mesh.between(&from, &a).cut();
    down(&from).await;
    publish(&from, 3..6).await;
    let b = mesh.join("b");
    let mut of_b = join(&b, "jobs/*");
    from.subscribed_on("jobs/1", 1).await.unwrap();
    passed(&from, &b).await;
    let others: Vec<u32> = now(&mut of_b).into_iter().map(|(n, _)| n).collect();
    assert_eq!(others, [3, 4, 5]);
    mesh.between(&from, &a).mend();
    up(&from, 2).await;
    passed(&from, &a).await;
    assert_eq!(now(&mut of_a), [], "it came too late");
    of_b.acknowledge();
    soon(from.settled()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_member_that_ends_gives_back_what_it_did_not_acknowledge() {
    let mesh = Mesh::new();
    let (from, a) = (mesh.join("from"), mesh.join("a"));
    let mut ends = join(&a, "jobs/*");
    from.subscribed_on("jobs/1", 1).await.unwrap();
    publish(&from, 0..4).await;
    assert_eq!(message(&mut ends).await.payload, 0);
    assert_eq!(message(&mut ends).await.payload, 1);
    let mut stays = join(&a, "jobs/*");
    drop(ends);
    from.flush().await.unwrap();
    let mut had = Vec::new();
    while had.len() < 3 {
        let job = message(&mut stays).await;
        had.push((job.payload, job.redelivered));
    }
    had.sort_unstable();
    assert_eq!(had, [(1, true), (2, false), (3, false)], "only what it was given is marked");
    stays.acknowledge();
    soon(from.settled()).await.unwrap();
    // On the publisher's own node as well, and with the node that leaves.
    let here = join(&from, "jobs/*");
    publish(&from, 4..6).await;
    drop(here);
    assert_eq!((message(&mut stays).await.payload, message(&mut stays).await.payload), (4, 5));
    publish(&from, 6..8).await;
    from.flush().await.unwrap();
    let b = mesh.join("b");
    let mut last = join(&b, "jobs/*");
    from.subscribed_on("jobs/1", 2).await.unwrap();
    a.node().leave().await.unwrap();
    let mut had = vec![message(&mut last).await, message(&mut last).await, message(&mut last).await];
    had.sort_by_key(|job| job.payload);
    let had: Vec<_> = had.into_iter().map(|job| (job.payload, job.redelivered)).collect();
    assert_eq!(had, [(5, true), (6, false), (7, false)]);
    assert_eq!(stays.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn who_has_no_room_gets_no_gap_and_nothing_is_lost() {
    let mesh = Mesh::new();
    let (from, a, b) = (mesh.join("from"), mesh.join("a"), mesh.join("b"));
    let few = workers().messages(2);
    let mut of_a = a.typed::<u32>().subscribe_with("jobs/*", few.clone()).unwrap();
    let mut of_b = b.typed::<u32>().subscribe_with("jobs/*", few.clone()).unwrap();
    from.subscribed_on("jobs/1", 2).await.unwrap();
    publish(&from, 0..100).await;
    let mut had = BTreeMap::new();
    for _ in 0..100 {
        let job = tokio::select! { job = of_a.next() => job, job = of_b.next() => job };
        let Some(Delivery::Message(job)) = job else { panic!("{job:?}") };
        assert!(!job.redelivered, "a refusal is no doubt");
        *had.entry(job.payload).or_insert(0) += 1;
    }
    assert_eq!(had, (0..100).map(|n| (n, 1)).collect());
    of_a.acknowledge();
    of_b.acknowledge();
    soon(from.settled()).await.unwrap();
    // The same with members of the publisher's node, and one there that is filled by another.
    let mut here = from.typed::<u32>().subscribe_with("jobs/*", few).unwrap();
    b.subscribed_on("jobs/1", 2).await.unwrap();
    drop((of_a, of_b));
    publish(&b, 100..150).await;
    publish(&from, 150..200).await;
    let mut had: Vec<u32> = Vec::new();
    while had.len() < 100 {
        had.push(message(&mut here).await.payload);
    }
    had.sort_unstable();
    assert_eq!(had, Vec::from_iter(100..200));
}

#[tokio::test(start_paused = true)]
async fn no_name_of_a_group_is_told() {
    let bus = Mesh::new().join("a");
    let error = bus.subscribe_with("jobs/*", SubscribeOptions::new().group("")).unwrap_err();
    assert!(matches!(error, SubscribeError::Group(_)), "{error:?}");
    assert!(error.to_string().contains("must not be empty"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_acknowledgements_is_told_that_the_node_left() {
    let mesh = Mesh::new();
    let (from, a) = (mesh.join("from"), mesh.join("a"));
    let _jobs = join(&a, "jobs/*");
    from.subscribed_on("jobs/1", 1).await.unwrap();
    publish(&from, 0..1).await;
    let waits = from.clone();
    let waits = tokio::spawn(async move { waits.settled().await });
    tokio::task::yield_now().await;
    from.node().leave().await.unwrap();
    assert!(waits.await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn what_a_lost_member_has_waits_for_one_that_has_no_room() {
    let mesh = Mesh::new();
    let (from, a, b) = (mesh.join("from"), mesh.join("a"), mesh.join("b"));
    let few = workers().messages(8);
    let lost = a.typed::<u32>().subscribe_with("jobs/*", few.clone()).unwrap();
    let mut of_b = b.typed::<u32>().subscribe_with("jobs/*", few).unwrap();
    from.subscribed_on("jobs/1", 2).await.unwrap();
    // None of it has left.
    mesh.around(&a).delay(std::time::Duration::from_secs(1));
    publish(&from, 0..200).await;
    passed(&from, &b).await;
    b.flush().await.unwrap();
    mesh.kill(&a);
    down(&from).await;
    let mut had = Vec::new();
    while had.len() < 200 {
        had.push(message(&mut of_b).await.payload);
    }
    had.sort_unstable();
    assert_eq!(had, Vec::from_iter(0..200));
    drop(lost);
}

#[tokio::test(start_paused = true)]
async fn all_that_waits_goes_to_the_first_that_comes() {
    let mesh = Mesh::new();
    let (from, a) = (mesh.join("from"), mesh.join("a"));
    let few = workers().messages(8);
    let mut of_a = a.typed::<u32>().subscribe_with("jobs/*", few.clone()).unwrap();
    from.subscribed_on("jobs/1", 1).await.unwrap();
    publish(&from, 0..1_000).await;
    for _ in 0..50 {
        message(&mut of_a).await;
    }
    a.flush().await.unwrap();
    mesh.kill(&a);
    down(&from).await;
    let b = mesh.join("b");
    let mut of_b = b.typed::<u32>().subscribe_with("jobs/*", few).unwrap();
    let mut had = Vec::new();
    while had.len() < 951 {
        had.push(message(&mut of_b).await.payload);
    }
    had.sort_unstable();
    had.dedup();
    assert_eq!(had.len(), 951, "each once");
    of_b.acknowledge();
    soon(from.settled()).await.unwrap();
}

/// The numbers of all messages to come, once each is read and acknowledged.
async fn numbers(jobs: &mut Subscription, count: usize) -> Vec<u8> {
    let mut all = Vec::new();
    for _ in 0..count {
        let Some(Delivery::Message(job)) = soon(jobs.next()).await else {
            panic!("a gap or the end after {all:?}")
        };
        all.push(*job.payload.first().unwrap());
    }
    jobs.acknowledge();
    all
}

#[tokio::test(start_paused = true)]
async fn what_needs_more_than_half_of_the_room_waits_for_it() {
    let mesh = Mesh::new();
    let (publisher, other) = (mesh.join("publisher"), mesh.join("other"));
    for member in [&publisher, &other] {
        let mut jobs = member.subscribe_with("jobs/*", workers().bytes(1_000)).unwrap();
        soon(publisher.subscribed_on("jobs/1", usize::from(member.node().id() == other.node().id())))
            .await
            .unwrap();
        for (n, bytes) in [1_000, 1_000, 400, 700, 1_000].into_iter().enumerate() {
            publisher.publish("jobs/1", vec![n as u8; bytes]).await.unwrap();
        }
        let mut all = numbers(&mut jobs, 5).await;
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3, 4]);
        soon(publisher.settled()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn headers_need_room_too() {
    let mesh = Mesh::new();
    let (publisher, worker) = (mesh.join("publisher"), mesh.join("worker"));
    let mut jobs = worker.subscribe_with("jobs/*", workers().bytes(2_100)).unwrap();
    soon(publisher.subscribed_on("jobs/1", 1)).await.unwrap();
    for n in 0..10 {
        let options = PublishOptions::new().header("trace", vec![1; 290]);
        publisher.publish_with("jobs/1", vec![n; 300], options).await.unwrap();
    }
    assert_eq!(numbers(&mut jobs, 10).await, (0..10).collect::<Vec<u8>>());
    soon(publisher.settled()).await.unwrap();
}
