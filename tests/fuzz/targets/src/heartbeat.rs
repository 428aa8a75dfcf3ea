//! Datagrams of anybody, and what a member may seal.

use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;

use talkie_discovery::proto::beacon::{BODY_LEN, Beacon, MAX_ADDRS};
use talkie_discovery::proto::open::{Opener, Refusal};
use talkie_discovery::proto::seal::{DATAGRAM_LEN, MAGIC, NONCE_LEN, seal};
use talkie_discovery::{Groups, MeshKeys, NodeName, Secret};

use crate::feed::begin;

/// PROTOCOL.md's.
const SECRET: &str = "tk1-aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypxwhhxai";

fn keys() -> &'static MeshKeys {
    static KEYS: OnceLock<MeshKeys> = OnceLock::new();
    KEYS.get_or_init(|| MeshKeys::derive(&Secret::parse(SECRET).expect("a secret")))
}

/// What nobody sealed is refused for the first thing wrong with it. What a member seals is refused as a body or read within
/// its bounds and the same again, and with any one bit changed it is refused.
pub fn run(data: &[u8]) {
    let (groups, from) = (Groups::default(), IpAddr::from([192, 0, 2, 9]));
    let group: SocketAddr = groups.v4.expect("the default").into();
    let open = |group: SocketAddr, datagram: &[u8]| {
        let opened = Opener::new(keys().clone().into(), groups).handle_datagram(begin(), from, group, datagram);
        opened.map(|opened| opened.beacon)
    };
    let why = match data {
        data if data.len() != DATAGRAM_LEN => Refusal::Size,
        data if !data.starts_with(&MAGIC) => Refusal::Magic,
        _ => Refusal::Auth,
    };
    assert_eq!(open(group, data), Err(why));

    let mut body = [0; BODY_LEN];
    body.iter_mut().zip(data).for_each(|(to, from)| *to = *from);
    let Ok(beacon) = Beacon::decode(&body) else { return };
    assert!(beacon.addrs.len() <= MAX_ADDRS && (1..=NodeName::MAX_LEN).contains(&beacon.name.as_str().len()));
    assert!(beacon.versions.min >= 1 && beacon.versions.min <= beacon.versions.max);
    let written = beacon.encode();
    assert_eq!(Beacon::decode(&written), Ok(beacon.clone()), "it is read as it was written");

    let nonce: [u8; NONCE_LEN] = std::array::from_fn(|at| body[at]);
    let mut datagram = seal(&keys().heartbeat, group, nonce, &beacon);
    assert_eq!(open(group, &datagram), Ok(beacon));
    let other: SocketAddr = groups.v6.expect("the default").into();
    assert_eq!(open(other, &datagram), Err(Refusal::Group));
    let (at, bit) = (usize::from(u16::from_be_bytes([body[0], body[1]])) % DATAGRAM_LEN, body[2] % 8);
    datagram[at] ^= 1 << bit;
    let why = if at < MAGIC.len() { Refusal::Magic } else { Refusal::Auth };
    assert_eq!(open(group, &datagram), Err(why), "bit {bit} of byte {at}");
}
