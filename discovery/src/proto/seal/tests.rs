mod vectors;

use std::net::Ipv4Addr;

use super::*;
use crate::keys::MeshKeys;
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
