use std::net::Ipv4Addr;

use data_encoding::HEXLOWER;

use super::*;
use crate::host::HostMark;
use crate::keys::MeshKeys;
use crate::node::NodeId;
use crate::proto::beacon::tests::beacon;
use crate::secret::Secret;

/// The first three bytes of sealed text are as likely as any others: nothing of the body shows.
#[test]
fn nothing_stands_in_clear_but_the_magic() {
    let key = MeshKeys::derive(&Secret::parse("swordfish-77").unwrap()).heartbeat;
    let group = SocketAddr::from((Ipv4Addr::new(239, 255, 82, 55), 8255));
    let beacon = beacon(7, 1);
    let one = seal(&key, group, [1; NONCE_LEN], &beacon);
    let two = seal(&key, group, [2; NONCE_LEN], &beacon);
    assert_eq!(one.len(), 300);
    assert_eq!(one[..4], MAGIC);
    assert_eq!(one[4..28], [1; NONCE_LEN]);
    assert!(!one.windows(3).any(|w| beacon.name.as_str().as_bytes().windows(3).any(|n| n == w)));
    assert!(!one.windows(4).any(|w| w == [7; 4]), "the id");
    let same = one[28..].iter().zip(&two[28..]).filter(|(a, b)| a == b).count();
    assert!(same < 12, "{same} of 272 bytes alike: about one is by chance");
}

/// The generated secret of the vectors: the bytes 0 to 31.
const SECRET: &str = "tk1-aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypxwhhxai";
/// Its heartbeat key, link key, check word and mark.
const SECRET_KEYS: [&str; 4] = [
    "6279bb5c9def2fad389e316be10e56917fdc228e0237da3f695b8f520db3e625",
    "008c79b6437c3f0a5a1c3074cbbfbb3bfa9c705180a98aeb041082dfb9256cac",
    "903a",
    "c992befcf4d8150b",
];
/// The same of a passphrase, which goes through Argon2id first.
const PASSPHRASE: &str = "correct horse battery staple";
const PASSPHRASE_KEYS: [&str; 4] = [
    "b786c1c824397a29bc1410fd439178ad268b8b8b7f5844acfe62902760070cb4",
    "9e6bc9cc681e65918fe8630e83c4c9ce2dbc9b75ae83dd2a26508693a19d55c7",
    "05a4",
    "50ace4c6ab09dad5",
];
/// The id of the node whose public key is the bytes 0x40 to 0x5f.
const NODE_ID: &str = "039571b3e6c3e7c2decd84341b0f2c79";
/// The body of [`vector_beacon`] without the zeros that fill it up to 256 bytes.
const BODY: &str = "\
    039571b3e6c3e7c2decd84341b0f2c79ac020101bf40000100c00002070101fe800000000000000000000000\
    00000700000a77656240686f73742d37";
/// What follows if that node is on the host of the mark `67337b552f724160`.
const HOST: &str = "67337b552f724160";
/// That beacon, without a host, sealed with the generated secret's key under the nonce 0xa0 to 0xb7, for 239.255.82.55:8255.
const SEALED_V4: &str = "\
    544c4b01a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7c29072839f09d37701478ff98498d199\
    39f8349eafd2cdaa9fc2760b09e83828d942cb18b5522273dbca3dabbbe104e32312a86fb7d9e6c0ae33d073\
    2a9e2ebddc01d933d5559e6be0f6b0013dcfea04202b2dcde6b3b13dadfce490437bcd0e49adc09a0f23c93a\
    68565dd2e5d1bfea1822981783df2d5c456d6d7484af1690706b9d7ab720f78a0c4192f3a6633bce41adf7e5\
    d69c743695d6663628a7d44748711a80fd0d394c6a840718337603168acf6cd8373ab87897e4fb1a61859bf2\
    b0a13d5ebdeef5ad8d452b1a935625deee716d75f02f985b0366c8bc99a2434b604909d1267a9908f79d34c1\
    bac5155a8d288402ec3f174ba65afd34a6af1d6f673514ac1d7c4726622a46267e8dca53";
/// The last 16 bytes (the tag) of the same, sealed for \[ff12::8255\]:8255; what stands before is equal.
const TAG_V6: &str = "7adbdbb935166c020fa652012b8cf727";

/// Other implementations check themselves by these vectors, which PROTOCOL.md repeats. They were computed a
/// second time by an independent implementation (Python's `cryptography`, and HChaCha20 by hand).
#[test]
fn the_published_vectors_hold() {
    for (secret, expected) in [(SECRET, SECRET_KEYS), (PASSPHRASE, PASSPHRASE_KEYS)] {
        let keys = MeshKeys::derive(&Secret::parse(secret).unwrap());
        let (heartbeat, link) =
            (HEXLOWER.encode(keys.heartbeat.as_bytes()), HEXLOWER.encode(keys.link.as_bytes()));
        let mark = HEXLOWER.encode(keys.mark.as_bytes());
        assert_eq!([heartbeat, link, keys.check.to_string(), mark], expected);
    }
    let beacon = vector_beacon();
    assert_eq!(beacon.id.to_string(), NODE_ID);
    let body = HEXLOWER.encode(&beacon.encode());
    assert_eq!(body.trim_end_matches('0'), BODY);
    let host = HostMark::of("01234567-89ab-cdef-0123-456789abcdef", 4_026_531_840);
    let on_a_host = HEXLOWER.encode(&Beacon { host, ..vector_beacon() }.encode());
    assert_eq!(on_a_host.trim_end_matches('0'), format!("{BODY}{}", HOST.trim_end_matches('0')));
    let key = MeshKeys::derive(&Secret::parse(SECRET).unwrap()).heartbeat;
    let nonce = std::array::from_fn(|i| 0xa0 + i as u8);
    let v4 = seal(&key, "239.255.82.55:8255".parse().unwrap(), nonce, &beacon);
    assert_eq!(HEXLOWER.encode(&v4), SEALED_V4);
    let v6 = seal(&key, "[ff12::8255]:8255".parse().unwrap(), nonce, &beacon);
    assert_eq!(v6[..284], v4[..284]);
    assert_eq!(HEXLOWER.encode(&v6[284..]), TAG_V6);
}

fn vector_beacon() -> Beacon {
    Beacon {
        id: NodeId::of_key(&std::array::from_fn(|i| 0x40 + i as u8)),
        sequence: 300,
        leaving: false,
        addrs: vec!["192.0.2.7".parse().unwrap(), "fe80::7".parse().unwrap()],
        ..beacon(0, 0)
    }
}
