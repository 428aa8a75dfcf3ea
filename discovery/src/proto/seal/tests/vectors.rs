//! The vectors of PROTOCOL.md, section 6: this crate makes and opens them. `tests/vectors.py` does, too, without our code.

use std::num::NonZeroU16;
use std::time::Instant;

use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use crate::config::Groups;
use crate::host::HostMark;
use crate::keys::MeshKeys;
use crate::node::NodeId;
use crate::proto::beacon::{Beacon, Versions};
use crate::proto::open::Opener;
use crate::proto::seal::seal;
use crate::secret::Secret;

fn published() -> Value {
    let page = include_str!("../../../../../PROTOCOL.md");
    let block = page.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    serde_json::from_str(block).unwrap()
}

fn unhex<const N: usize>(digits: &Value) -> [u8; N] {
    HEXLOWER.decode(whole(digits).as_bytes()).unwrap().try_into().unwrap()
}

/// A text that may stand in several.
fn whole(text: &Value) -> String {
    let parts = text.as_array().map_or_else(|| std::slice::from_ref(text), Vec::as_slice);
    parts.iter().map(|part| part.as_str().unwrap()).collect()
}

fn keys(secret: &Value) -> MeshKeys {
    MeshKeys::derive(&Secret::parse(secret["secret"].as_str().unwrap()).unwrap())
}

#[test]
fn keys_are_those_of_the_vectors() {
    for secret in published()["secrets"].as_array().unwrap() {
        let keys = keys(secret);
        let made = json!({
            "heartbeat_key": HEXLOWER.encode(keys.heartbeat.as_bytes()),
            "link_key": HEXLOWER.encode(keys.link.as_bytes()),
            "check_word": keys.check.to_string(),
            "mark": HEXLOWER.encode(keys.mark.as_bytes()),
        });
        for (key, value) in made.as_object().unwrap() {
            assert_eq!(value, &secret[key], "{key} of {}", secret["secret"]);
        }
    }
}

#[test]
fn a_node_is_called_as_in_the_vectors() {
    let node = &published()["node"];
    assert_eq!(NodeId::of_key(&unhex(&node["public"])).to_string(), node["id"].as_str().unwrap());
    let namespace = node["network_namespace"].as_u64().unwrap();
    let mark = HostMark::of(node["boot_id"].as_str().unwrap(), namespace);
    assert_eq!(HostMark::to_bytes(mark), unhex(&node["host_mark"]));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "some instant to count from")]
fn heartbeats_are_those_of_the_vectors() {
    let published = published();
    let keys = keys(&published["secrets"][0]);
    let heartbeats = published["heartbeats"].as_array().unwrap();
    assert_eq!(heartbeats.len(), 2, "one of each family");
    for vector in heartbeats {
        let group = vector["group"].as_str().unwrap().parse().unwrap();
        let (beacon, datagram) = (beacon(vector), unhex::<300>(&vector["datagram"]));
        let made = seal(&keys.heartbeat, group, unhex(&vector["nonce"]), &beacon);
        assert_eq!(HEXLOWER.encode(&made), whole(&vector["datagram"]));
        let mut opener = Opener::new(keys.clone().into(), Groups::default());
        let source = "192.0.2.7".parse().unwrap();
        let opened = opener.handle_datagram(Instant::now(), source, group, &datagram);
        assert_eq!(opened.map(|opened| opened.beacon), Ok(beacon));
    }
}

fn beacon(vector: &Value) -> Beacon {
    let number = |of: &Value| of.as_u64().unwrap();
    Beacon {
        id: vector["id"].as_str().unwrap().parse().unwrap(),
        sequence: number(&vector["sequence"]),
        versions: Versions {
            min: number(&vector["protocols"][0]) as u8,
            max: number(&vector["protocols"][1]) as u8,
        },
        port: NonZeroU16::new(number(&vector["port"]) as u16).unwrap(),
        addrs: vector["addresses"].as_array().unwrap().iter().map(|ip| whole(ip).parse().unwrap()).collect(),
        name: vector["name"].as_str().unwrap().parse().unwrap(),
        leaving: number(&vector["flags"]) == 1,
        host: HostMark::from_bytes(unhex(&vector["host_mark"])),
    }
}
