//! Requests and replies between nodes of one process over real sockets, on loopback alone, and within one node.

#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

use std::time::{Duration, Instant};

use talkie_pubsub::{
    Answer, Answers, Bus, DecodeError, QueueLimits, ReplyError, Request, RequestError, Requests,
    RespondError, Unanswered,
};

mod common;

use common::{Mesh, message, soon};

/// Far more than anything here takes, so that only what is not told at once runs into it.
const LONG: Duration = Duration::from_secs(15);

async fn request(requests: &mut Requests) -> Request {
    soon(requests.next()).await.expect("a request")
}

/// Answers with a name before the payload until it is dropped.
fn answering(bus: &Bus, pattern: &str, name: &'static str) -> tokio::task::AbortHandle {
    let mut requests = bus.respond(pattern).unwrap();
    let task = tokio::spawn(async move {
        while let Some(request) = requests.next().await {
            let reply = [name.as_bytes(), b" ", &request.payload].concat();
            request.reply(reply).unwrap();
        }
    });
    task.abort_handle()
}

async fn all(mut answers: Answers) -> (Vec<String>, Vec<(String, Unanswered)>) {
    let (mut replies, mut missing) = (Vec::new(), Vec::new());
    while let Some(answer) = soon(answers.next()).await {
        match answer {
            Answer::Reply(reply) => replies.push(String::from_utf8(reply.payload.to_vec()).unwrap()),
            Answer::Missing { name, why, .. } => missing.push((name.to_string(), why)),
            other => panic!("{other:?}"),
        }
    }
    replies.sort();
    missing.sort_by(|a, b| a.0.cmp(&b.0));
    (replies, missing)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_and_its_answer() {
    let mesh = Mesh::new();
    let (desk, device) = (mesh.join("desk").await, mesh.join("device").await);
    assert_eq!(desk.request("devices/7", "up?", LONG).await, Err(RequestError::NoResponders));
    let mut requests = device.respond("devices/*").unwrap();
    soon(desk.answered_on("devices/7", 1)).await.unwrap();
    assert_eq!(desk.responders("devices/7").unwrap(), [device.node().id()]);
    let (reply, ()) = tokio::join!(desk.request("devices/7", "restart", LONG), async {
        let request = request(&mut requests).await;
        assert_eq!((request.topic.as_str(), &request.payload[..]), ("devices/7", &b"restart"[..]));
        assert_eq!((request.from, request.name.as_str()), (desk.node().id(), "desk"));
        assert!(request.deadline > Instant::now() + LONG / 2);
        request.reply("done").unwrap();
    });
    let reply = reply.unwrap();
    assert_eq!(
        (reply.from, reply.name.as_str(), &reply.payload[..]),
        (device.node().id(), "device", &b"done"[..])
    );
    assert_eq!(desk.request("elsewhere", "", LONG).await, Err(RequestError::NoResponders));
    let (asked, answered) = (desk.metrics().requests, device.metrics().requests);
    assert_eq!((asked.asked, asked.replies, asked.open), (1, 1, 0), "{asked:?}");
    assert_eq!((answered.received, answered.replied), (1, 1), "{answered:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_to_oneself_needs_no_other_node() {
    let bus = Mesh::new().join("alone").await;
    let mut requests = bus.respond("a/*").unwrap();
    let (reply, ()) = tokio::join!(bus.request("a/b", "me?", LONG), async {
        let request = request(&mut requests).await;
        assert_eq!(request.from, bus.node().id());
        request.reply("you").unwrap();
    });
    let reply = reply.unwrap();
    assert_eq!((reply.from, &reply.payload[..]), (bus.node().id(), &b"you"[..]));
    let (dropped, ()) = tokio::join!(bus.request("a/b", "", LONG), async {
        drop(request(&mut requests).await);
    });
    assert_eq!(dropped, Err(RequestError::Dropped));
    drop(requests);
    assert_eq!(bus.request("a/b", "", LONG).await, Err(RequestError::NoResponders));
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_get_no_requests_and_responders_no_messages() {
    let mesh = Mesh::new();
    let (from, to) = (mesh.join("from").await, mesh.join("to").await);
    for bus in [&from, &to] {
        let mut subscription = bus.subscribe("t/**").unwrap();
        let mut requests = bus.respond("t/*").unwrap();
        soon(from.answered_on("t/a", 1)).await.unwrap();
        if bus.node().id() == to.node().id() {
            soon(from.subscribed_on("t/a", 1)).await.unwrap();
        }
        from.publish("t/a", "message").await.unwrap();
        let (reply, ()) = tokio::join!(from.request("t/a", "request", LONG), async {
            let request = request(&mut requests).await;
            assert_eq!(request.payload, "request");
            request.reply("").unwrap();
        });
        assert_eq!(reply.unwrap().from, bus.node().id());
        from.publish("t/a", "last").await.unwrap();
        assert_eq!(message(&mut subscription).await.payload, "message");
        assert_eq!(message(&mut subscription).await.payload, "last");
        assert!(tokio::time::timeout(Duration::ZERO, requests.next()).await.is_err(), "nothing waits");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_several_answers_and_its_own_node_before_others() {
    let mesh = Mesh::new();
    let (a, b, c) = (mesh.join("a").await, mesh.join("b").await, mesh.join("c").await);
    let others = [answering(&b, "q", "b"), answering(&c, "**", "c")];
    soon(a.answered_on("q", 2)).await.unwrap();
    for n in 0..20 {
        let reply = a.request("q", n.to_string(), LONG).await.unwrap();
        assert_eq!(reply.payload, format!("{} {n}", reply.name));
    }
    let _own = [answering(&a, "q", "1"), answering(&a, "q", "2"), answering(&a, "*", "3")];
    let mut seen = std::collections::BTreeMap::new();
    for _ in 0..30 {
        let reply = a.request("q", "", LONG).await.unwrap();
        assert_eq!(reply.from, a.node().id(), "its own node is nearest");
        *seen.entry(reply.payload).or_insert(0) += 1;
    }
    assert_eq!(seen.into_values().collect::<Vec<_>>(), [10, 10, 10], "they take turns");
    others.iter().for_each(|task| task.abort());
}

#[tokio::test(flavor = "multi_thread")]
async fn all_answer_and_who_does_not_is_named() {
    let mesh = Mesh::new();
    let (a, b, c, d) =
        (mesh.join("a").await, mesh.join("b").await, mesh.join("c").await, mesh.join("d").await);
    let _tasks = [
        answering(&a, "q", "own"),
        answering(&b, "q", "b1"),
        answering(&b, "q", "b2"),
        answering(&b, "*", "b3"),
        answering(&c, "q", "c"),
    ];
    let mut slow = d.respond("q").unwrap();
    soon(a.answered_on("q", 4)).await.unwrap();
    let answers = a.request_all("q", "?", LONG).await.unwrap();
    request(&mut slow).await.reply("d ?").unwrap();
    let every = ["b1 ?", "b2 ?", "b3 ?", "c ?", "d ?", "own ?"];
    assert_eq!(all(answers).await, (every.map(str::to_owned).to_vec(), vec![]));

    let answers = a.request_all("q", "?", LONG).await.unwrap();
    drop(request(&mut slow).await);
    let (replies, missing) = all(answers).await;
    assert_eq!((replies.len(), missing), (5, vec![("d".to_owned(), Unanswered::Dropped)]));

    let answers = a.request_all("q", "?", LONG).await.unwrap();
    let held = request(&mut slow).await;
    soon(d.node().leave()).await.unwrap();
    let (replies, missing) = all(answers).await;
    // Leaving refuses nothing that is in somebody's hands: the goodbye tells.
    assert_eq!((replies.len(), missing), (5, vec![("d".to_owned(), Unanswered::Gone)]));
    assert!(matches!(held.reply("d ?"), Err(ReplyError::Closed(_))));

    let mut later = c.respond("q").unwrap();
    let answers = a.request_all("q", "?", Duration::from_millis(200)).await.unwrap();
    let held = request(&mut later).await;
    let (replies, missing) = all(answers).await;
    assert_eq!((replies.len(), missing), (5, vec![("c".to_owned(), Unanswered::Timeout)]));
    assert!(matches!(held.reply("too late"), Err(ReplyError::TooLate { .. })));
    assert_eq!(c.metrics().requests.expired, 1);

    // Whoever gives up before is told nothing, and what comes is counted.
    let answers = a.request_all("q", "?", LONG).await.unwrap();
    let held = request(&mut later).await;
    drop(answers);
    held.reply("for nobody").unwrap();
    soon(async {
        while a.metrics().requests.late == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(matches!(a.request_all("no/body", "", LONG).await, Err(RequestError::NoResponders)));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_has_its_own_error() {
    let mesh = Mesh::new();
    let a = mesh.join("a").await;
    let b = mesh.config("b").max_message(1_000).join().await.unwrap();
    let mut requests = b.respond("q").unwrap();
    soon(a.answered_on("q", 1)).await.unwrap();
    assert!(matches!(a.request("q/*", "", LONG).await, Err(RequestError::Topic(_))));
    assert!(matches!(a.respond("q/**b"), Err(RespondError::Pattern(_))));
    let limit = a.node().max_message();
    let over = a.request("q", vec![0; limit + 1], LONG).await;
    assert_eq!(over, Err(RequestError::TooLarge { given: limit + 1, limit }));
    assert_eq!(a.request("q", vec![0; 2_000], LONG).await, Err(RequestError::NoRoom), "b takes 1,000 bytes");

    let (reply, ()) = tokio::join!(a.request("q", "", LONG), async {
        let too_large = request(&mut requests).await.reply(vec![0; 1_001]);
        assert_eq!(too_large, Err(ReplyError::TooLarge { given: 1_001, limit: 1_000 }));
    });
    assert_eq!(reply, Err(RequestError::Dropped));

    let brief = Duration::from_millis(50);
    let (reply, held) = tokio::join!(a.request("q", "", brief), request(&mut requests));
    assert_eq!(reply, Err(RequestError::Timeout(brief)));
    drop(held);

    // What waits in a responder that ends is dropped; the next asker finds none.
    let (reply, ()) = tokio::join!(a.request("q", "", LONG), async {
        soon(async {
            while b.metrics().requests.received < 3 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        drop(requests);
    });
    assert_eq!(reply, Err(RequestError::Dropped));
    soon(async {
        while !a.responders("q").unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;

    let mut requests = b.respond("q").unwrap();
    soon(a.answered_on("q", 1)).await.unwrap();
    let (reply, ()) = tokio::join!(a.request("q", "", LONG), async {
        let _held = request(&mut requests).await;
        soon(a.node().leave()).await.unwrap();
    });
    assert!(matches!(reply, Err(RequestError::Closed(_))), "{reply:?}");
    assert!(matches!(a.request("q", "", LONG).await, Err(RequestError::Closed(_))));
    assert!(matches!(a.respond("q"), Err(RespondError::Closed(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn large_requests_and_replies_are_whole() {
    let mesh = Mesh::new();
    let (a, b) = (mesh.join("a").await, mesh.join("b").await);
    let _task = answering(&b, "q", "b");
    soon(a.answered_on("q", 1)).await.unwrap();
    let question = vec![7; a.node().max_message() - 2];
    let reply = a.request("q", question.clone(), LONG).await.unwrap();
    assert_eq!(reply.payload.len(), question.len() + 2);
    assert!(reply.payload[2..] == question[..]);
}

#[derive(Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Dim {
    percent: u8,
}

#[derive(Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Was {
    percent: u8,
}

#[tokio::test(flavor = "multi_thread")]
async fn values_ask_and_answer_and_misfits_are_told_on_both_sides() {
    let mesh = Mesh::new();
    let (a, b) = (mesh.join("a").await, mesh.join("b").await);
    let mut requests = b.typed::<Dim>().respond("lamps/*").unwrap();
    tokio::spawn(async move {
        while let Some(request) = requests.next().await {
            let percent = 100 - request.payload.percent;
            request.reply_typed(&Was { percent }).unwrap();
        }
    });
    soon(a.answered_on("lamps/7", 1)).await.unwrap();
    let dim = Dim { percent: 30 };
    let reply = a.typed().request::<Was>("lamps/7", &dim, LONG).await.unwrap();
    assert_eq!((reply.from, reply.payload), (b.node().id(), Was { percent: 70 }));
    let other = a.typed().request::<Dim>("lamps/7", &dim, LONG).await;
    assert!(matches!(other, Err(RequestError::Malformed(DecodeError::OtherType { .. }))), "{other:?}");
    let other = a.typed().request::<Was>("lamps/7", &Was { percent: 30 }, LONG).await;
    assert_eq!(other, Err(RequestError::NotUnderstood));
    assert_eq!(a.request("lamps/7", "brighter", LONG).await, Err(RequestError::NotUnderstood));

    let _bytes = answering(&a, "lamps/*", "own");
    let mut answers = a.typed().request_all::<Was>("lamps/7", &dim, LONG).await.unwrap();
    let (mut replied, mut malformed) = (0, 0);
    while let Some(answer) = soon(answers.next()).await {
        match answer {
            Answer::Reply(reply) => {
                assert_eq!(reply.payload, Was { percent: 70 });
                replied += 1;
            }
            Answer::Missing { why: Unanswered::Malformed(_), from, .. } => {
                assert_eq!(from, a.node().id());
                malformed += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((replied, malformed), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_in_a_responder_is_refused_at_once() {
    let mesh = Mesh::new();
    let (a, b) = (mesh.join("a").await, mesh.join("b").await);
    let limits = QueueLimits { messages: 2, ..QueueLimits::default() };
    let mut requests = b.respond_with("q", limits).unwrap();
    soon(a.answered_on("q", 1)).await.unwrap();
    let asked: Vec<_> = (0..5)
        .map(|n| {
            let a = a.clone();
            tokio::spawn(async move { a.request("q", n.to_string(), LONG).await })
        })
        .collect();
    soon(async {
        while b.metrics().requests.refused < 3 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    for _ in 0..2 {
        let request = request(&mut requests).await;
        let payload = request.payload.clone();
        request.reply(payload).unwrap();
    }
    let (mut replies, mut dropped) = (0, 0);
    for (n, asked) in asked.into_iter().enumerate() {
        match asked.await.unwrap() {
            Ok(reply) => {
                assert_eq!(reply.payload, n.to_string());
                replies += 1;
            }
            Err(RequestError::Dropped) => dropped += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((replies, dropped), (2, 3));
}
