//! The vectors of PROTOCOL.md, section 6: both sides make and read all that goes over the wire until a link's first
//! records. `tests/vectors.py` does, too, without our code.

use bytes::BytesMut;
use curve25519_dalek::MontgomeryPoint;
use serde_json::Value;
use talkie_discovery::HostMark;

use super::*;
use crate::io::input::Hello;
use crate::io::link::{frame, parse_hello, put_hello};
use crate::proto::record::{ControlFrames, Kind, Lane};

fn published() -> Value {
    let page = include_str!("../../../../../PROTOCOL.md");
    let block = page.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block");
    serde_json::from_str(block).expect("JSON")
}

/// Bytes as digits, which may stand in several texts.
fn unhex(digits: &Value) -> Vec<u8> {
    let parts = digits.as_array().map_or_else(|| std::slice::from_ref(digits), Vec::as_slice);
    let digits: String = parts.iter().map(text).collect();
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hex")).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

/// A side of the vectors: the same key in every handshake, and no chance in what is ephemeral.
struct Side {
    identity: Identity,
    ephemeral: Vec<u8>,
    hello: Hello,
    host: Option<HostMark>,
}

impl Side {
    fn of(vector: &Value) -> Self {
        let private: [u8; 32] = unhex(&vector["static"]).try_into().expect("a key");
        let id = NodeId::of_key(&MontgomeryPoint::mul_base_clamped(private).to_bytes());
        assert_eq!(id.to_string(), text(&vector["id"]));
        let identity = Identity { private: Zeroizing::new(private.to_vec()), id };
        let hello = &vector["hello"];
        let host = HostMark::from_bytes(unhex(&hello["host_mark"]).try_into().expect("a mark"));
        let pair = |pair: &Vec<Value>| (number(&pair[0]), number(&pair[1]));
        let listen = hello["listen"].as_array().expect("addresses");
        let hello = Hello {
            name: text(&hello["name"]).parse().expect("a name"),
            listen: listen.iter().map(|addr| text(addr).parse().expect("an address")).collect(),
            max_message: number(&hello["max_message"]),
            seen: number(&hello["newest_link"]),
            live: number(&hello["lives"]) == 1,
            received: hello["received"].as_array().map(pair),
            forgotten: number(&hello["forgotten"]) == 1,
            via: number(&hello["found_by"]) as u8,
        };
        Self { identity, ephemeral: unhex(&vector["ephemeral"]), hello, host }
    }

    fn builder<'a>(&'a self, psk: &'a LinkPsk, prologue: &'a [u8]) -> Builder<'a> {
        let builder = builder(&self.identity, psk, prologue).expect("keys");
        builder.fixed_ephemeral_key_for_testing_only(&self.ephemeral)
    }
}

#[test]
fn links_begin_as_in_the_vectors() {
    let published = published();
    let (a, b) = (Side::of(&published["initiator"]), Side::of(&published["responder"]));
    let secret = Secret::parse(text(&published["secrets"][0]["secret"])).expect("a secret");
    let (psk, prologue) = (MeshKeys::derive(&secret).link, prologue());
    let mut ciphers = Vec::new();
    for vector in published["handshakes"].as_array().expect("handshakes") {
        let greeting =
            |at: usize| Greeting { range: RANGE, ciphers: Ciphers(number(&vector["ciphers"][at]) as u8) };
        let messages = vector["messages"].as_array().expect("messages").iter().map(unhex).collect::<Vec<_>>();

        let noise = a.builder(&psk, &prologue).build_initiator().expect("keys");
        let (initiator, first) = Initiator::begin(noise, a.identity.id, greeting(0)).expect("begins");
        assert_eq!(wire(&PREAMBLE, &first), messages[0]);
        let noise = b.builder(&psk, &prologue).build_responder().expect("keys");
        let (responder, second) =
            Responder::begin(noise, b.identity.id, greeting(1), &first).expect("same secret");
        assert_eq!(wire(&[], &second), messages[1]);
        let (third, at_a) = initiator.read_second(&second).expect("same secret");
        assert_eq!(wire(&[], &third), messages[2]);
        let (at_a, at_b) = (at_a.expect("same version"), responder.read_third(&third).expect("same secret"));
        assert_eq!((at_a.id, at_b.id), (b.identity.id, a.identity.id));

        says_hello(&a, &at_a.keys, &at_b.keys, &unhex(&vector["records"][0]));
        says_hello(&b, &at_b.keys, &at_a.keys, &unhex(&vector["records"][1]));
        ciphers.push(at_a.keys.cipher());
    }
    assert_eq!(ciphers, [Cipher::ChaCha20Poly1305, Cipher::Aes256Gcm]);
}

fn wire(before: &[u8], message: &[u8]) -> Vec<u8> {
    let mut wire = before.to_vec();
    frame(&mut wire, message);
    wire
}

/// The first record that a side sends, made and read.
fn says_hello(side: &Side, own: &Keys, others: &Keys, record: &[u8]) {
    let mut made = Vec::new();
    let content = put_hello(&side.hello, side.host, &[]).expect("it is short");
    own.directions().expect("keys").0.seal(&content, &mut made).expect("it is short");
    assert_eq!(made, record, "the record of {}", side.hello.name);
    let mut open = others.directions().expect("keys").1;
    let (lane, content) = open.next(&mut BytesMut::from(record)).expect("same keys").expect("it is whole");
    assert_eq!(lane, Lane::Control);
    let frames: Vec<_> = ControlFrames(&content).collect();
    let [Ok((Kind::Hello, body))] = frames[..] else { panic!("{frames:?}") };
    let (hello, host, _) = parse_hello(body).expect("its form");
    assert_eq!((format!("{hello:?}"), host), (format!("{:?}", side.hello), side.host));
}
