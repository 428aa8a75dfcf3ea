//! What each JSON line means, for the manual. A test holds the examples to what is printed.

/// One kind of line.
#[derive(Debug)]
pub(crate) struct LineDoc {
    pub(crate) event: &'static str,
    pub(crate) printed_by: &'static str,
    pub(crate) meaning: &'static str,
    /// With every field that it may have.
    pub(crate) example: &'static str,
}

/// Every kind of line.
pub(crate) const LINES: &[LineDoc] = &[
    LineDoc {
        event: "joined",
        printed_by: "join, sub, reply",
        meaning: "This node is on the mesh, with its id, new at each start, and the addresses to reach it at; metrics where \
                  they are served",
        example: r#"{"event":"joined","node":"000102030405060708090a0b0c0d0e0f","name":"talkie@till","bus":"default","listen":["10.0.0.7:8255"],"metrics":"127.0.0.1:9255"}"#,
    },
    LineDoc {
        event: "peer_up",
        printed_by: "join, sub, reply",
        meaning: "Linked to another node, found by multicast, partner or member; link is tcp, or unix on one host",
        example: r#"{"event":"peer_up","node":"000102030405060708090a0b0c0d0e0f","name":"talkie@till","addr":"10.0.0.7:8255","via":"multicast","link":"tcp"}"#,
    },
    LineDoc {
        event: "peer_down",
        printed_by: "join, sub, reply",
        meaning: "A node is gone: it left, its link closed, it was silent for too long (timeout), or the two share no secret any more \
                  (secret)",
        example: r#"{"event":"peer_down","node":"000102030405060708090a0b0c0d0e0f","name":"talkie@till","reason":"left"}"#,
    },
    LineDoc {
        event: "subscribed",
        printed_by: "sub, reply",
        meaning: "The subscription is in force, or the responder is",
        example: r#"{"event":"subscribed","pattern":"orders/*"}"#,
    },
    LineDoc {
        event: "message",
        printed_by: "sub",
        meaning: "A message; payload_base64 stands for payload where that is not UTF-8; seq counts the sender's \
                  publishes on the bus; headers where it has some, those that are not UTF-8 in headers_base64",
        example: r#"{"event":"message","topic":"orders/42","node":"000102030405060708090a0b0c0d0e0f","name":"talkie@till","seq":17,"payload":"tea","headers":{"language":"en"}}"#,
    },
    LineDoc {
        event: "gap",
        printed_by: "sub",
        meaning: "Messages of that node are missing here, as many or (at_least) that many or more; name where it is \
                  known, pattern where several are listened to",
        example: r#"{"event":"gap","node":"000102030405060708090a0b0c0d0e0f","name":"talkie@till","missed":3,"at_least":true,"pattern":"orders/*"}"#,
    },
    LineDoc {
        event: "request",
        printed_by: "reply",
        meaning: "A request that is being answered; payload_base64 and headers as above",
        example: r#"{"event":"request","topic":"devices/7","node":"000102030405060708090a0b0c0d0e0f","name":"talkie@till","payload":"restart","headers":{"user":"ann"}}"#,
    },
    LineDoc {
        event: "reply",
        printed_by: "request",
        meaning: "An answer, and whose; payload_base64 and headers as above",
        example: r#"{"event":"reply","node":"000102030405060708090a0b0c0d0e0f","name":"talkie@till","payload":"done","headers":{"took":"2s"}}"#,
    },
    LineDoc {
        event: "missing",
        printed_by: "request",
        meaning: "With --all: a responder gave no answer, since it dropped the request (dropped), is gone (gone), was not \
                  there in time (timeout), had just ceased to respond (no_responder), or there was no room on the way (no_room), or \
                  it takes typed requests of another type (not_understood)",
        example: r#"{"event":"missing","node":"000102030405060708090a0b0c0d0e0f","name":"talkie@till","why":"timeout"}"#,
    },
    LineDoc {
        event: "published",
        printed_by: "pub",
        meaning: "All messages are handed over to so many nodes",
        example: r#"{"event":"published","topic":"orders/42","count":1,"nodes":2}"#,
    },
    LineDoc {
        event: "peer",
        printed_by: "peers",
        meaning: "A node of the mesh; rtt_us is null where nothing was measured yet. While the secret changes also, where so: it \
                  sends under another secret than the first of this node's (old_secret), or one that this node does not hold \
                  (unknown_secret); it does not accept these of this node's, 1 for the first (lacks_secrets)",
        example: r#"{"event":"peer","node":"000102030405060708090a0b0c0d0e0f","name":"talkie@till","addr":"10.0.0.7:8255","link":"tcp","rtt_us":123,"since_ms":4567,"old_secret":true,"unknown_secret":true,"lacks_secrets":[2]}"#,
    },
    LineDoc {
        event: "bench",
        printed_by: "bench",
        meaning: "A row of a measurement: the load and each figure, whose name ends with its unit; null where it was \
                  not measured; other figures by workload",
        example: r#"{"event":"bench","workload":"detect","system":"talkie","rounds":3,"how":"killed","told_min_ms":0.9,"told_median_ms":1.2,"told_max_ms":1.6,"warnings":[],"host":{"processor":"…","cores":2,"kernel":"Linux 6.18","governor":null}}"#,
    },
    LineDoc {
        event: "secret",
        printed_by: "keygen",
        meaning: "A new secret",
        example: r#"{"event":"secret","secret":"tk1-…"}"#,
    },
    LineDoc {
        event: "started",
        printed_by: "demo",
        meaning: "A node's process runs",
        example: r#"{"event":"started","name":"alice","pid":6450}"#,
    },
    LineDoc {
        event: "found",
        printed_by: "demo",
        meaning: "A node found another, so long after its own start",
        example: r#"{"event":"found","name":"alice","peer":"bob","after_ms":5.5}"#,
    },
    LineDoc {
        event: "sent",
        printed_by: "demo",
        meaning: "A node published",
        example: r#"{"event":"sent","name":"alice","topic":"orders/42","payload":"hello","nodes":2}"#,
    },
    LineDoc {
        event: "received",
        printed_by: "demo",
        meaning: "A node has the message, so long after the call of publish",
        example: r#"{"event":"received","name":"bob","from":"alice","topic":"orders/42","payload":"hello","after_us":86}"#,
    },
    LineDoc {
        event: "left",
        printed_by: "demo",
        meaning: "A node heard another say goodbye, so long after that was told to leave",
        example: r#"{"event":"left","name":"bob","peer":"carol","after_ms":0.4}"#,
    },
    LineDoc {
        event: "done",
        printed_by: "demo",
        meaning: "All of it worked",
        example: r#"{"event":"done","took_ms":22.0}"#,
    },
];
