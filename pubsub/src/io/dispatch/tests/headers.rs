use super::*;

fn headers() -> Headers {
    [("a", "1"), ("b", "two")].try_into().unwrap()
}

/// A message as it travels.
fn wrapped(headers: &Headers, seq: u64, topic: &str) -> Bytes {
    let mut body = Vec::new();
    headers.put(&mut body);
    body.extend_from_slice(&envelope::encode(seq, &topic.parse().unwrap(), b"payload"));
    body.into()
}

fn arrives(node: &Node, fake: &Fake, interests: &[u64], bodies: Vec<Bytes>) {
    let interests: Interests = interests.iter().map(|&id| Interest { id, epoch: 9 }).collect();
    let mut arrived: Vec<_> =
        bodies.into_iter().map(|body| Arrival { interests: interests.clone(), body }).collect();
    let _ = node.registry.handle(fake, Inbound::Messages(&mut arrived));
}

fn got(queue: &Queue) -> Vec<(u64, Headers)> {
    std::iter::from_fn(|| queue.pop())
        .map(|item| match item {
            Item::Message(Waiting { seq, headers, payload, .. }) => {
                assert_eq!(payload, "payload");
                (seq, headers)
            }
            Item::Gap { .. } => panic!("{item:?}"),
        })
        .collect()
}

#[test]
fn headers_reach_every_interest_and_what_is_malformed_nobody() {
    let (node, peer) = (Node::new(), fake(1));
    let (one, first) = node.subscribe("a/b");
    let (all, second) = node.subscribe("a/*");
    node.link(&peer);
    arrives(&node, &peer, &[one, all], vec![wrapped(&headers(), 1, "a/b")]);
    let mut cut = wrapped(&headers(), 2, "a/b").to_vec();
    cut[2] = 0;
    let nested = [&wrapped(&headers(), 3, "a/b")[..12], &wrapped(&headers(), 3, "a/b")].concat();
    let faulty = [Bytes::from_static(&[6]), Bytes::from_static(&[6, 0xff]), cut.into(), nested.into()];
    let mut bodies: Vec<_> = faulty.to_vec();
    bodies.push(wrapped(&Headers::new(), 4, "a/b"));
    bodies.push(wrapped(&headers(), 5, "a/b"));
    arrives(&node, &peer, &[one], bodies.clone());
    arrives(&node, &peer, &[one, all], bodies);
    let said = |seq| (seq, headers());
    assert_eq!(got(&first), [said(1), (4, Headers::new()), said(5), (4, Headers::new()), said(5)]);
    assert_eq!(got(&second), [said(1), (4, Headers::new()), said(5)]);
    assert_eq!(node.registry.counters.malformed.load(Ordering::Relaxed), 8, "each is counted");
}

#[test]
fn what_is_published_is_wrapped_only_with_headers() {
    let (node, peer) = (Node::new(), fake(1));
    let (_, here) = node.subscribe("a/*");
    node.link(&peer);
    node.wants(&peer, "a/b");
    let mut own = publication("a/b");
    own.payload = Bytes::from_static(b"payload");
    node.bus.publish_now(own.lent()).unwrap();
    own.headers = headers();
    node.bus.publish_now(own.lent()).unwrap();
    let sent: Vec<_> = lock(&peer.0.pushed).iter().map(|(_, body)| body.clone()).collect();
    assert_eq!(sent, [envelope::encode(1, &own.topic, b"payload"), wrapped(&headers(), 2, "a/b")]);
    assert_eq!(got(&here), [(1, Headers::new()), (2, headers())]);
}
