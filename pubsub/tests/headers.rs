//! Headers beside payloads, over real links between nodes of one process, on loopback alone, and within one node.

#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

use std::sync::mpsc::channel;
use std::time::Duration;

use talkie_pubsub::{
    Answer, Audience, DeliveryRef, Headers, HeadersError, MAX_HEADERS_BYTES, PublishError, PublishOptions,
    QueueLimits, RequestError, RequestOptions,
};

mod common;

use common::{Mesh, message, soon};

/// Far more than anything here takes.
const LONG: Duration = Duration::from_secs(15);

fn headers<const N: usize>(pairs: [(&str, &str); N]) -> Headers {
    pairs.try_into().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_go_along_here_and_elsewhere() {
    let mesh = Mesh::new();
    let (from, to) = (mesh.join("from").await, mesh.join("to").await);
    let mut all = [from.subscribe("room/*").unwrap(), to.subscribe("room/*").unwrap()];
    let (send, handled) = channel();
    let _handler = to
        .handle("room/*", move |delivery| {
            let DeliveryRef::Message(lent) = delivery else { panic!("{delivery:?}") };
            assert_eq!(lent.headers, &lent.to_message().headers);
            send.send(lent.headers.clone()).unwrap();
        })
        .unwrap();
    soon(from.subscribed_on("room/7", 1)).await.unwrap();

    let some = headers([("language", "en"), ("empty", "")]);
    let mut most = Headers::new();
    most.insert("most", vec![0xff; MAX_HEADERS_BYTES - 7]).unwrap();
    assert_eq!(most.size(), MAX_HEADERS_BYTES);
    from.publish("room/7", "none").await.unwrap();
    let options = PublishOptions::new().header("language", "de").header("empty", "").header("language", "en");
    from.publish_with("room/7", "some", options).await.unwrap();
    from.try_publish_with("room/7", "most", most.clone()).unwrap();
    from.publisher("room/7").unwrap().with(some.clone()).publish("again").await.unwrap();
    from.typed().publish_with("room/7", &7_u8, some.clone()).await.unwrap();
    // What is sealed small, in one frame, and in pieces.
    for len in [10_000, 100_000, from.node().max_message()] {
        from.publish_with("room/7", vec![b'x'; len], most.clone()).await.unwrap();
    }
    let expected = [&Headers::new(), &some, &most, &some, &some, &most, &most, &most];
    for subscription in &mut all {
        for expected in expected {
            assert_eq!(message(subscription).await.headers, *expected);
        }
    }
    assert!(handled.iter().take(8).eq(expected.into_iter().cloned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_and_replies_have_them_too() {
    let mesh = Mesh::new();
    let (desk, device) = (mesh.join("desk").await, mesh.join("device").await);
    let mut here = desk.respond("here").unwrap();
    let mut there = device.respond("there").unwrap();
    let mut typed = device.typed::<u8>().respond("typed").unwrap();
    tokio::spawn(async move {
        loop {
            let request = tokio::select! {
                Some(request) = here.next() => request,
                Some(request) = there.next() => request,
                Some(request) = typed.next() => {
                    let mut headers = request.headers.clone();
                    headers.insert("typed", "yes").unwrap();
                    let answer = request.payload + 1;
                    request.reply_typed_with(&answer, headers).unwrap();
                    continue;
                }
                else => return,
            };
            if request.headers.is_empty() {
                request.reply("none").unwrap();
                continue;
            }
            let mut headers = request.headers.clone();
            headers.insert("answer", "42").unwrap();
            request.reply_with("some", headers).unwrap();
        }
    });
    soon(desk.answered_on("typed", 1)).await.unwrap();
    let options = RequestOptions::within(LONG).header("user", "ann");
    for topic in ["here", "there"] {
        let reply = desk.request(topic, "", LONG).await.unwrap();
        assert_eq!((&reply.payload[..], reply.headers), (&b"none"[..], Headers::new()));
        let reply = desk.request_with(topic, "", options.clone()).await.unwrap();
        assert_eq!(
            (&reply.payload[..], reply.headers),
            (&b"some"[..], headers([("user", "ann"), ("answer", "42")]))
        );
        let mut answers = desk.request_all_with(topic, "", options.clone()).await.unwrap();
        let Some(Answer::Reply(reply)) = soon(answers.next()).await else { panic!("no answer") };
        assert_eq!(reply.headers.text("answer"), Some("42"));
    }
    let reply = desk.typed::<u8>().request_with::<u8>("typed", &7, options).await.unwrap();
    assert_eq!((reply.payload, reply.headers), (8, headers([("user", "ann"), ("typed", "yes")])));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_header_is_told_and_nothing_is_sent() {
    let mesh = Mesh::new();
    let bus = mesh.join("alone").await;
    let mut room = bus.subscribe("room").unwrap();
    let _requests = bus.respond("room").unwrap();
    let blank = HeadersError::Key { given: "two words".into() };
    // The first that is wrong is told, whatever follows.
    let options = PublishOptions::from(Audience::Here).header("two words", "").header("fine", "");
    let error = bus.publish_with("room", "", options.clone()).await.unwrap_err();
    assert_eq!(error, PublishError::Headers(blank.clone()));
    assert_eq!(
        error.to_string(),
        r#"header key "two words" is not 1 to 64 printable ASCII characters without blanks"#
    );
    assert_eq!(bus.try_publish_with("room", "", options), Err(error));
    let options = RequestOptions::within(LONG).header("two words", "");
    assert_eq!(
        bus.request_with("room", "", options.clone()).await,
        Err(RequestError::Headers(blank.clone()))
    );
    let error = bus.request_all_with("room", "", options).await.unwrap_err();
    assert_eq!(error, RequestError::Headers(blank));
    bus.publish_with("room", "", PublishOptions::new().header("fine", "")).await.unwrap();
    let message = message(&mut room).await;
    assert_eq!((message.seq, message.headers.get("fine")), (1, Some(&b""[..])));
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_count_against_what_may_wait() {
    let mesh = Mesh::new();
    let bus = mesh.join("alone").await;
    let limits = QueueLimits { bytes: 10_000, ..QueueLimits::default() };
    let mut room = bus.subscribe_with("room", limits).unwrap();
    let mut most = Headers::new();
    most.insert("most", vec![0; MAX_HEADERS_BYTES - 7]).unwrap();
    for _ in 0..3 {
        bus.publish_with("room", "", most.clone()).await.unwrap();
    }
    assert_eq!(bus.metrics().subscriptions[0].waiting, 3, "a gap and two messages");
    assert!(matches!(room.now(), Some(talkie_pubsub::Delivery::Gap { missed: 1, .. })));
}
