//! What a caller may get wrong: an error of its own type that says what, and what would be right; nothing is lost, nothing panics.

#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

use std::error::Error;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};
use talkie_pubsub::settings::{self, ConfigError};
use talkie_pubsub::{
    Audience, Bus, NodeId, PatternError, PresenceError, PublishError, QueueLimits, ReplyError, RequestError,
    RequestOptions, RespondError, SubscribeError, SubscribedOnError, TopicError, TrackError,
};

mod common;

use common::{Mesh, message, soon};

/// Far more than anything here takes, so that only what is not told at once runs into it.
const LONG: Duration = Duration::from_secs(15);

/// Of a node that takes payloads of 1,000 bytes.
async fn small() -> Bus {
    Mesh::new().config("small").max_message(1_000).join().await.unwrap()
}

#[track_caller]
fn says(error: &impl Error, text: &str) {
    assert_eq!(error.to_string(), text);
}

/// What can be made, and not be written.
#[derive(Debug, Deserialize)]
struct Unwritable;

impl Serialize for Unwritable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("I will not"))
    }
}

#[tokio::test]
async fn a_payload_over_the_limit_is_not_published() {
    let bus = small().await;
    let mut all = bus.subscribe("**").unwrap();
    let publisher = bus.publisher("t").unwrap();
    let large = vec![0; 1_001];
    for refused in [
        bus.publish("t", large.clone()).await,
        bus.try_publish("t", large.clone()),
        bus.publish_with("t", large.clone(), Audience::Here).await,
        publisher.publish(large.clone()).await,
        publisher.try_publish(large.clone()),
    ] {
        let error = refused.unwrap_err();
        assert_eq!(error, PublishError::TooLarge { given: 1_001, limit: 1_000 });
        says(&error, "payload of 1001 bytes is over the limit of 1000");
    }
    // Of a value, with its fingerprint and its length.
    let error = bus.typed().publish("t", &vec![0_u8; 991]).await.unwrap_err();
    assert_eq!(error, PublishError::TooLarge { given: 1_001, limit: 1_000 });
    // None of them has a number.
    assert_eq!(bus.publish("t", vec![0; 1_000]).await.unwrap().seq, 1);
    assert_eq!(message(&mut all).await.payload.len(), 1_000);
}

#[tokio::test]
async fn a_question_or_an_answer_over_the_limit_is_not_sent() {
    let bus = small().await;
    let mut requests = bus.respond("q").unwrap();
    let large = vec![0; 1_001];
    let text = "payload of 1001 bytes is over the limit of 1000";
    let error = bus.request("q", large.clone(), LONG).await.unwrap_err();
    assert_eq!(error, RequestError::TooLarge { given: 1_001, limit: 1_000 });
    says(&error, text);
    let error = bus.request_all("q", large.clone(), LONG).await.unwrap_err();
    assert_eq!(error, RequestError::TooLarge { given: 1_001, limit: 1_000 });
    let (asked, ()) = tokio::join!(bus.request("q", "", LONG), async {
        let error = soon(requests.next()).await.unwrap().reply(large).unwrap_err();
        assert_eq!(error, ReplyError::TooLarge { given: 1_001, limit: 1_000 });
        says(&error, text);
    });
    assert_eq!(asked.unwrap_err(), RequestError::Dropped, "the asker need not wait");
}

#[tokio::test]
async fn what_is_no_topic_is_refused_by_all_that_take_one() {
    let bus = small().await;
    let (long, many) = ("x".repeat(256), ["x"; 17].join("/"));
    let shown = format!("{}…", "x".repeat(64));
    for (given, text) in [
        ("", "a topic must not be empty".to_owned()),
        (
            "/a",
            r#"topic "/a" has an empty segment; write it without a leading, trailing or double '/'"#.into(),
        ),
        (&long, format!("topic {shown:?} has 256 bytes; at most 255 are allowed")),
        (&many, format!("topic {many:?} has 17 segments; at most 16 are allowed")),
    ] {
        let error = given.parse::<talkie_pubsub::Topic>().unwrap_err();
        says(&error, &text);
        refused_as_topic(&bus, given, &error).await;
    }
    assert_eq!(bus.metrics().published.messages, 0);
}

async fn refused_as_topic(bus: &Bus, given: &str, error: &TopicError) {
    let text = error.to_string();
    let publish = PublishError::Topic(error.clone());
    assert_eq!(bus.publish(given, "").await.unwrap_err(), publish);
    assert_eq!(bus.try_publish(given, "").unwrap_err(), publish);
    assert_eq!(bus.typed().publish(given, &1_u8).await.unwrap_err(), publish);
    says(&publish, &text);
    let request = RequestError::Topic(error.clone());
    assert_eq!(bus.request(given, "", LONG).await.unwrap_err(), request);
    assert_eq!(bus.request_all(given, "", LONG).await.unwrap_err(), request);
    says(&request, &text);
    let waiting = SubscribedOnError::Topic(error.clone());
    assert_eq!(bus.subscribed_on(given, 1).await.unwrap_err(), waiting);
    assert_eq!(bus.answered_on(given, 1).await.unwrap_err(), waiting);
    says(&waiting, &text);
    assert_eq!(bus.presence(given).unwrap_err(), PresenceError::Topic(error.clone()));
    assert_eq!(bus.publisher(given).unwrap_err(), *error);
    assert_eq!(bus.subscribers(given).unwrap_err(), *error);
    assert_eq!(bus.responders(given).unwrap_err(), *error);
}

#[tokio::test]
async fn a_pattern_is_no_topic() {
    let bus = small().await;
    for given in ["orders/*", "**", "a*b"] {
        let error = TopicError::Wildcard { given: given.into() };
        says(
            &error,
            &format!("topic {given:?} contains '*'; only a pattern to subscribe to may have wildcards"),
        );
        refused_as_topic(&bus, given, &error).await;
    }
}

#[tokio::test]
async fn what_is_no_pattern_is_refused_by_all_that_take_one() {
    let bus = small().await;
    let error = PatternError::PartialWildcard { given: "orders/4*".into(), segment: "4*".into() };
    let text =
        r#"pattern "orders/4*" has '*' inside segment "4*"; a wildcard is a whole segment, '*' or '**'"#;
    says(&error, text);
    assert_eq!(bus.subscribe("orders/4*").unwrap_err(), SubscribeError::Pattern(error.clone()));
    assert_eq!(bus.handle("orders/4*", |_| {}).unwrap_err(), SubscribeError::Pattern(error.clone()));
    assert_eq!(bus.typed::<u8>().subscribe("orders/4*").unwrap_err(), SubscribeError::Pattern(error.clone()));
    assert_eq!(bus.respond("orders/4*").unwrap_err(), RespondError::Pattern(error));
    says(&bus.subscribe("").unwrap_err(), "a pattern must not be empty; '**' matches every topic");
    assert_eq!(bus.metrics().subscriptions.len(), 0);
}

#[tokio::test]
async fn a_node_that_is_not_there_is_told() {
    let bus = small().await;
    let stranger: NodeId = "00112233445566778899aabbccddeeff".parse().unwrap();
    let error = bus.publish_with("t", "", Audience::Node(stranger)).await.unwrap_err();
    assert_eq!(error, PublishError::UnknownNode(stranger));
    says(&error, "no node 00112233445566778899aabbccddeeff is here, nor was lost of late");
    // To itself is to those who are here.
    let mut own = bus.subscribe("t").unwrap();
    let receipt = bus.publish_with("t", "me", Audience::Node(bus.node().id())).await.unwrap();
    assert_eq!((receipt.seq, receipt.nodes, receipt.local), (1, 0, 1));
    assert_eq!(message(&mut own).await.payload, "me");
}

#[tokio::test]
async fn a_request_to_oneself_is_answered_or_over_in_time() {
    let bus = small().await;
    let error = bus.request("q", "", LONG).await.unwrap_err();
    assert_eq!(error, RequestError::NoResponders);
    says(&error, "no node answers this topic");
    let mut requests = bus.respond("q").unwrap();
    let (reply, ()) = tokio::join!(bus.request("q", "me?", LONG), async {
        soon(requests.next()).await.unwrap().reply("me").unwrap();
    });
    assert_eq!(reply.unwrap().from, bus.node().id());
    // A responder that asks itself and waits for that is the only one who could answer.
    let brief = Duration::from_millis(30);
    let error = bus.request("q", "", brief).await.unwrap_err();
    assert_eq!(error, RequestError::Timeout(brief));
    says(&error, "no answer within 30ms");
    let error = bus.request("q", "", Duration::ZERO).await.unwrap_err();
    assert_eq!(error, RequestError::Timeout(Duration::ZERO));
    // Neither of the two is asked for any more, and what comes behind them is.
    let (reply, ()) = tokio::join!(bus.request("q", "last", Duration::MAX), async {
        let request = soon(requests.next()).await.unwrap();
        assert_eq!(request.payload, "last");
        request.reply("").unwrap();
    });
    reply.unwrap();
}

#[tokio::test]
async fn a_reply_after_the_deadline_is_told() {
    let mesh = Mesh::new();
    let (desk, device) = (mesh.join("desk").await, mesh.join("device").await);
    let mut requests = device.respond("q").unwrap();
    soon(desk.answered_on("q", 1)).await.unwrap();
    let brief = Duration::from_millis(30);
    let (asked, request) = tokio::join!(desk.request("q", "", brief), soon(requests.next()));
    assert_eq!(asked.unwrap_err(), RequestError::Timeout(brief));
    let request = request.unwrap();
    // Its own deadline is a little later.
    tokio::time::sleep_until(request.deadline.into()).await;
    let error = request.reply("late").unwrap_err();
    let ReplyError::TooLate { ago } = error else { panic!("{error:?}") };
    assert!(!ago.is_zero() && ago < LONG);
    says(
        &error,
        &format!(
            "the asker gave up {ago:?} ago: reply before the request's deadline, or have it ask for longer"
        ),
    );
    let stats = device.metrics().requests;
    assert_eq!((stats.replied, stats.refused, stats.expired), (0, 0, 1));
    let (asked, ()) = tokio::join!(desk.request("q", "", LONG), async {
        soon(requests.next()).await.unwrap().reply("in time").unwrap();
    });
    assert_eq!(asked.unwrap().payload, "in time");
}

#[tokio::test]
async fn a_meta_or_a_value_that_does_not_serialise_is_told() {
    let bus = small().await;
    let room = bus.presence("room").unwrap();
    let reason =
        "its type refuses it, or leaves a field out (skip_serializing_if), which readers could not know";
    let error = room.track("ann", &Unwritable).unwrap_err();
    says(&error, &format!("the value cannot be encoded: {reason}"));
    let TrackError::Encode(why) = error else { panic!("{error:?}") };
    assert_eq!(why.reason, reason);
    let ann = room.track("ann", &"here".to_owned()).unwrap();
    assert_eq!(ann.update(&Unwritable).unwrap_err(), TrackError::Encode(why.clone()));
    assert_eq!(room.list().len(), 1, "what she was stays");
    assert_eq!(room.list()[0].meta::<String>().unwrap(), "here");
    assert_eq!(bus.typed().publish("t", &Unwritable).await.unwrap_err(), PublishError::Encode(why.clone()));
    let error = bus.typed().request::<u8>("t", &Unwritable, LONG).await.unwrap_err();
    assert_eq!(error, RequestError::Encode(why));
    // What postcard has no form for.
    let error = bus.typed().publish("t", &serde_json::json!({})).await.unwrap_err();
    assert!(
        error.to_string().starts_with("the value cannot be encoded: its type asks what comes"),
        "{error}"
    );
}

#[tokio::test]
async fn a_key_or_a_meta_over_the_limit_is_told() {
    let bus = small().await;
    let room = bus.presence("room").unwrap();
    for (given, len) in [(String::new(), 0), ("k".repeat(256), 256)] {
        let error = room.track(given, &()).unwrap_err();
        assert_eq!(error, TrackError::Key { given: len, limit: 255 });
        says(&error, &format!("a key of {len} bytes is not one of 1 to 255"));
    }
    let error = room.track("ann", &"x".repeat(16_384)).unwrap_err();
    assert!(matches!(error, TrackError::MetaTooLarge { given, limit: 16_384 } if given > 16_384));
    assert!(error.to_string().ends_with("encoded bytes is over the limit of 16384"), "{error}");
    assert_eq!(room.list(), []);
}

#[tokio::test]
async fn limits_that_are_none_are_the_least_that_there_are() {
    let bus = small().await;
    let nothing = QueueLimits { messages: 0, bytes: 0 };
    let mut all = bus.subscribe_with("t", nothing).unwrap();
    bus.publish("t", "one").await.unwrap();
    assert_eq!(message(&mut all).await.payload, "one");
    let mut requests = bus.respond_with("q", nothing).unwrap();
    let options = RequestOptions::within(LONG);
    let (asked, ()) = tokio::join!(bus.request_with("q", "", options), async {
        soon(requests.next()).await.unwrap().reply("").unwrap();
    });
    asked.unwrap();
}

#[test]
fn an_option_that_does_not_exist_is_told_with_those_that_do() {
    let given = |flag| settings::from_flags([(flag, vec!["x".into()])]).unwrap_err();
    let error = given("--max-mesage");
    assert!(matches!(&error, ConfigError::UnknownFlag { flag } if flag == "--max-mesage"));
    let text = error.to_string();
    assert!(text.starts_with("--max-mesage: there is no such setting; there are --secret, "), "{text}");
    assert!(text.contains("--max-message"), "{text}");
    let misspelt = settings::check_names(["TALKIE_MAX_MESAGE".as_ref()]).unwrap_err();
    says(&misspelt, "TALKIE_MAX_MESAGE: there is no such setting; did you mean TALKIE_MAX_MESSAGE?");
}

#[tokio::test]
async fn whoever_has_left_is_told() {
    let bus = small().await;
    let mut requests = bus.respond("q").unwrap();
    let (asked, request) = tokio::join!(
        async {
            let asked = bus.request("q", "", LONG).await;
            asked.unwrap_err()
        },
        async {
            let request = soon(requests.next()).await.unwrap();
            soon(bus.node().leave()).await.unwrap();
            request
        }
    );
    assert!(matches!(asked, RequestError::Closed(_)), "{asked:?}");
    let text = "the node has left the mesh";
    says(&bus.publish("t", "").await.unwrap_err(), text);
    says(&bus.try_publish("t", "").unwrap_err(), text);
    says(&bus.subscribe("t").unwrap_err(), text);
    says(&bus.respond("t").unwrap_err(), text);
    says(&bus.presence("t").unwrap_err(), text);
    says(&bus.request("q", "", LONG).await.unwrap_err(), text);
    says(&request.reply("").unwrap_err(), text);
    says(&bus.flush().await.unwrap_err(), text);
    assert!(soon(requests.next()).await.is_none());
    bus.node().leave().await.unwrap();
}
