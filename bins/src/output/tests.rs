use super::words::{Paint, words};
use super::*;
use talkie_pubsub::Headers;

fn json(event: &Event<'_>) -> String {
    serde_json::to_string(event).unwrap()
}

fn human(event: &Event<'_>) -> String {
    let mut line = String::new();
    words(&mut line, event, Paint { colour: false }).unwrap();
    line
}

const ID: &str = "000102030405060708090a0b0c0d0e0f";

#[test]
fn the_json_lines_are_those_of_the_contract() {
    let node: NodeId = ID.parse().unwrap();
    let name: NodeName = "shop@till".parse().unwrap();
    let (topic, pattern): (Topic, Pattern) = ("orders/42".parse().unwrap(), "orders/*".parse().unwrap());
    let addr: SocketAddr = "127.0.0.1:40001".parse().unwrap();
    let bus = BusName::default();
    let listen = vec![addr, "[fd00::7]:40001".parse().unwrap()];
    let n = format!(r#""node":"{ID}""#);
    let none = Headers::new();
    let message = |payload: &'static [u8]| Event::Message {
        topic: &topic,
        node,
        name: &name,
        seq: 17,
        payload: payload.into(),
        beside: (&none).into(),
    };
    let some: Headers = [("language", &b"en"[..]), ("raw", b"\xff"), ("empty", b"")].try_into().unwrap();
    let lines = [
        (
            json(&Event::Joined { node, name: name.clone(), bus, listen, metrics: None }),
            format!(
                r#"{{"event":"joined",{n},"name":"shop@till","bus":"default","listen":["127.0.0.1:40001","[fd00::7]:40001"]}}"#
            ),
        ),
        (
            json(&Event::PeerUp {
                node,
                name: name.clone(),
                addr,
                via: Via::Multicast,
                link: LinkKind::Unix,
            }),
            format!(
                r#"{{"event":"peer_up",{n},"name":"shop@till","addr":"127.0.0.1:40001","via":"multicast","link":"unix"}}"#
            ),
        ),
        (
            json(&Event::PeerDown { node, name: name.clone(), reason: DownReason::Left }),
            format!(r#"{{"event":"peer_down",{n},"name":"shop@till","reason":"left"}}"#),
        ),
        (
            json(&Event::Subscribed { pattern: &pattern }),
            r#"{"event":"subscribed","pattern":"orders/*"}"#.to_owned(),
        ),
        (
            json(&message(b"hello")),
            format!(
                r#"{{"event":"message","topic":"orders/42",{n},"name":"shop@till","seq":17,"payload":"hello"}}"#
            ),
        ),
        (
            json(&message(b"\xff\x00")),
            format!(
                r#"{{"event":"message","topic":"orders/42",{n},"name":"shop@till","seq":17,"payload_base64":"/wA="}}"#
            ),
        ),
        (
            json(&Event::Gap { node, name: None, missed: 3, at_least: false, pattern: None }),
            format!(r#"{{"event":"gap",{n},"missed":3}}"#),
        ),
        (
            json(&Event::Gap { node, name: Some(&name), missed: 3, at_least: true, pattern: Some(&pattern) }),
            format!(
                r#"{{"event":"gap",{n},"name":"shop@till","missed":3,"at_least":true,"pattern":"orders/*"}}"#
            ),
        ),
        (
            json(&Event::Reply {
                node,
                name: &name,
                payload: b"done"[..].into(),
                beside: (&none).into(),
                named: true,
            }),
            format!(r#"{{"event":"reply",{n},"name":"shop@till","payload":"done"}}"#),
        ),
        (
            json(&Event::Reply {
                node,
                name: &name,
                payload: b"done"[..].into(),
                beside: (&some).into(),
                named: true,
            }),
            format!(
                r#"{{"event":"reply",{n},"name":"shop@till","payload":"done","headers":{{"empty":"","language":"en"}},"headers_base64":{{"raw":"/w=="}}}}"#
            ),
        ),
        (
            json(&Event::Published { topic: &topic, count: 1, nodes: 2 }),
            r#"{"event":"published","topic":"orders/42","count":1,"nodes":2}"#.to_owned(),
        ),
        (
            json(&Event::Peer(Peer {
                node,
                name,
                addr,
                link: LinkKind::Tcp,
                rtt_us: Some(123),
                since_ms: 4567,
                secrets: Secrets::default(),
            })),
            format!(
                r#"{{"event":"peer",{n},"name":"shop@till","addr":"127.0.0.1:40001","link":"tcp","rtt_us":123,"since_ms":4567}}"#
            ),
        ),
    ];
    for (line, expected) in lines {
        assert_eq!(line, expected);
    }
}

#[test]
fn another_node_cannot_write_to_the_terminal() {
    let (topic, name): (Topic, NodeName) = ("a\u{1b}[2J".parse().unwrap(), "x".parse().unwrap());
    let node: NodeId = ID.parse().unwrap();
    let payload = Payload::from("b\u{1b}]0;title\u{7}\nc\td".as_bytes());
    let headers: Headers = [("h", &b"\x1b[2J"[..]), ("raw", b"\xff")].try_into().unwrap();
    let line = human(&Event::Message {
        topic: &topic,
        node,
        name: &name,
        seq: 1,
        payload,
        beside: (&headers).into(),
    });
    assert_eq!(line, "a\\u{1b}[2J b\\u{1b}]0;title\\u{7}\\nc\td (h=\\u{1b}[2J, raw=base64 /w==)");
}

#[test]
fn an_answer_is_its_payload_and_among_others_also_whose() {
    let (node, name): (NodeId, NodeName) = (ID.parse().unwrap(), "shop@till".parse().unwrap());
    let reply = |payload: &'static [u8], named| {
        human(&Event::Reply {
            node,
            name: &name,
            payload: payload.into(),
            beside: (&Headers::new()).into(),
            named,
        })
    };
    assert_eq!(reply(b"up 3 days\n", false), "up 3 days");
    assert_eq!(reply(b"a\x1b\n\n", false), "a\\u{1b}\\n");
    assert_eq!(reply(b"\xff", true), "shop@till (id 00010203) base64 /w==");
    let missing = human(&Event::Missing { node, name: &name, why: "no_room" });
    assert_eq!(missing, "shop@till (id 00010203) no answer: no room");
}

/// One of each, with every field that it may have.
fn each() -> Vec<String> {
    let node: NodeId = ID.parse().unwrap();
    let name: NodeName = "shop@till".parse().unwrap();
    let (topic, pattern): (Topic, Pattern) = ("orders/42".parse().unwrap(), "orders/*".parse().unwrap());
    let addr: SocketAddr = "127.0.0.1:40001".parse().unwrap();
    let payload = || Payload::Text("tea");
    let headers: Headers = [("language", "en")].try_into().unwrap();
    let beside = || (&headers).into();
    let gap = Event::Gap { node, name: Some(&name), missed: 1, at_least: true, pattern: Some(&pattern) };
    let all = [
        Event::Joined {
            node,
            name: name.clone(),
            bus: BusName::default(),
            listen: vec![addr],
            metrics: Some(addr),
        },
        Event::PeerUp { node, name: name.clone(), addr, via: Via::Multicast, link: LinkKind::Unix },
        Event::PeerDown { node, name: name.clone(), reason: DownReason::Left },
        Event::Subscribed { pattern: &pattern },
        Event::Message { topic: &topic, node, name: &name, seq: 1, payload: payload(), beside: beside() },
        gap,
        Event::Request { topic: &topic, node, name: &name, payload: payload(), beside: beside() },
        Event::Reply { node, name: &name, payload: payload(), beside: beside(), named: true },
        Event::Missing { node, name: &name, why: "gone" },
        Event::Published { topic: &topic, count: 1, nodes: 1 },
        Event::Peer(Peer {
            node,
            name: name.clone(),
            addr,
            link: LinkKind::Tcp,
            rtt_us: Some(1),
            since_ms: 1,
            secrets: Secrets { old_secret: true, unknown_secret: true, lacks_secrets: vec![2] },
        }),
        Event::Secret { secret: "s" },
        Event::Started { name: "a", pid: 1 },
        Event::Found { name: "a", peer: "b", after_ms: 1.0 },
        Event::Sent { name: "a", topic: "t", payload: "p", nodes: 1 },
        Event::Received { name: "a", from: "b", topic: "t", payload: "p", after_us: 1 },
        Event::Left { name: "a", peer: "b", after_ms: 1.0 },
        Event::Done { took_ms: 1.0 },
    ];
    for event in &all {
        // Whoever adds a kind of line is led here, and to the manual.
        match event {
            Event::Joined { .. }
            | Event::PeerUp { .. }
            | Event::PeerDown { .. }
            | Event::Subscribed { .. } => {}
            Event::Request { .. } | Event::Reply { .. } | Event::Missing { .. } => {}
            Event::Message { .. } | Event::Gap { .. } | Event::Published { .. } | Event::Peer(_) => {}
            Event::Secret { .. } | Event::Started { .. } | Event::Found { .. } | Event::Sent { .. } => {}
            Event::Received { .. } | Event::Left { .. } | Event::Done { .. } => {}
        }
    }
    all.iter().map(json).collect()
}

#[test]
fn the_manual_knows_every_line_and_every_field() {
    let shape = |line: &str| -> (String, Vec<String>) {
        let line: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        (line["event"].as_str().unwrap().to_owned(), line.keys().cloned().collect())
    };
    let printed: Vec<_> = each().iter().map(|line| shape(line)).collect();
    let told: Vec<_> = LINES.iter().map(|line| shape(line.example)).collect();
    // The lines of `bench` are made where it measures: tests/bench.rs holds the example to them.
    let of_events: Vec<_> = told.iter().filter(|(event, _)| event != "bench").cloned().collect();
    assert_eq!(of_events, printed);
    assert!(LINES.iter().zip(&told).all(|(line, (event, _))| line.event == event));
}
