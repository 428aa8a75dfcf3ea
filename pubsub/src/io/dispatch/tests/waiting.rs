use super::*;
use crate::audience::SubscriptionId;
use crate::error::Closed;
use crate::options::WhenFull;

#[tokio::test]
async fn waiting_for_subscribers_is_woken_by_each_change() {
    let node = Arc::new(Node::new());
    let waiting = tokio::task::spawn({
        let node = node.clone();
        async move { node.registry.subscribed_on(&node.bus, &"a".parse().unwrap(), 2).await }
    });
    let (one, two) = (fake(1), fake(2));
    for peer in [&one, &two] {
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        node.link(peer);
        node.wants(peer, "a");
    }
    assert_eq!(waiting.await.unwrap(), Ok(()));
    let waiting = tokio::task::spawn({
        let node = node.clone();
        async move { node.registry.subscribed_on(&node.bus, &"a".parse().unwrap(), 3).await }
    });
    tokio::task::yield_now().await;
    assert!(node.registry.close());
    assert_eq!(waiting.await.unwrap(), Err(Closed));
    assert!(!node.registry.close());
    assert_eq!(node.registry.check_open(), Err(Closed));
}

#[test]
fn a_full_queue_that_is_waited_for_holds_up_a_publish_before_it_is_numbered() {
    let node = Node::new();
    let patience = Duration::from_secs(1);
    let options = SubscribeOptions::new().messages(1).when_full(WhenFull::Wait(patience));
    let (seat, queue) = node.subscribe_with("a", options);
    let attempt = |waited| node.bus.attempt(publication("a").lent(), waited);
    assert!(matches!(attempt(Duration::ZERO), Attempt::Done(receipt) if receipt.seq == 1));
    assert!(matches!(attempt(Duration::ZERO), Attempt::WaitHere(full) if Arc::ptr_eq(&full, &queue)));
    let number = seat.born;
    let but = Audience::AllBut(SubscriptionId { node: NodeId::from_bytes([0; 16]), number });
    let own = Own { audience: but, ..publication("a") };
    assert!(
        matches!(node.bus.attempt(own.lent(), Duration::ZERO), Attempt::Done(receipt) if receipt.seq == 2)
    );
    assert!(matches!(attempt(patience), Attempt::Done(receipt) if receipt.seq == 3), "it waited long enough");
    assert_eq!(queue.pop(), gap(0, 1, true));
    assert_eq!(seqs(&queue), [3]);
    assert!(matches!(attempt(Duration::ZERO), Attempt::Done(receipt) if receipt.seq == 4));
    node.registry.unsubscribe(&node.bus, seat.interest, &queue);
    assert!(matches!(attempt(Duration::ZERO), Attempt::Done(receipt) if receipt.local == 0));
}

#[tokio::test]
async fn ready_waits_for_each_node_that_is_there() {
    let node = Arc::new(Node::new());
    let (one, two, late) = (fake(1), fake(2), fake(3));
    let up = Arc::new(Mutex::new(vec![one.0.id, two.0.id]));
    node.link(&one);
    node.link(&two);
    let (id, _queue) = node.subscribe("a");
    let waiting = tokio::task::spawn({
        let (node, up) = (node.clone(), up.clone());
        async move { node.registry.ready(id, || lock(&up).clone()).await }
    });
    tokio::task::yield_now().await;
    node.settle(&one);
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished(), "the other has not confirmed it");
    // Told up before its link is told here.
    lock(&up).push(late.0.id);
    node.settle(&two);
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished(), "one more is up");
    // It has a link, and is lost before it said anything.
    late.0.up.store(true, Ordering::Relaxed);
    lock(&late.0.replica).handle_linked(&());
    node.registry.handle(&late, Inbound::Linked);
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    lock(&up).pop();
    node.registry.handle(&late, Inbound::Down);
    assert_eq!(waiting.await.unwrap(), Ok(()));
    let none = Vec::new;
    let (id, _queue) = node.subscribe("b");
    let waiting = tokio::task::spawn({
        let node = node.clone();
        async move { node.registry.ready(id, none).await }
    });
    tokio::task::yield_now().await;
    node.registry.close();
    assert_eq!(waiting.await.unwrap(), Err(Closed));
}
