//! Beacon -> datagram.

use std::net::{IpAddr, SocketAddr};

use chacha20poly1305::aead::AeadInPlace;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};

use super::beacon::{BODY_LEN, Beacon};
use crate::keys::HeartbeatKey;

/// What stands in clear before every heartbeat: "TLK", and the version of the datagram's form.
pub const MAGIC: [u8; 4] = *b"TLK\x01";

/// Bytes of the random nonce: 192 bits, so that no two are ever the same without any memory of them.
pub const NONCE_LEN: usize = 24;

/// Bytes of Poly1305's tag.
const TAG_LEN: usize = 16;

/// Bytes of every heartbeat, under the least MTU of both families (576 and 1,280).
pub const DATAGRAM_LEN: usize = MAGIC.len() + NONCE_LEN + BODY_LEN + TAG_LEN;

/// A heartbeat as it goes over the wire: magic ‖ nonce ‖ sealed body ‖ tag.
pub type Datagram = [u8; DATAGRAM_LEN];

/// Seals `beacon` for `group` with XChaCha20-Poly1305. `nonce` must be fresh from the system's random source for
/// each datagram, also where the same beacon goes out of another interface.
///
/// The associated data (the magic, the group's address bytes, its port in network order; no scope) binds the
/// datagram to its version and group.
#[must_use]
#[expect(clippy::expect_used, reason = "the body is far below the cipher's limit of 256 GiB")]
pub fn seal(key: &HeartbeatKey, group: SocketAddr, nonce: [u8; NONCE_LEN], beacon: &Beacon) -> Datagram {
    let mut body = beacon.encode();
    let tag = XChaCha20Poly1305::new(key.as_bytes().into())
        .encrypt_in_place_detached(&nonce.into(), &associated(group), &mut body)
        .expect("a short body");
    let mut datagram = [0; DATAGRAM_LEN];
    let whole = MAGIC.into_iter().chain(nonce).chain(body).chain(tag);
    datagram.iter_mut().zip(whole).for_each(|(to, from)| *to = from);
    datagram
}

pub(super) fn associated(group: SocketAddr) -> Vec<u8> {
    let mut data = Vec::with_capacity(MAGIC.len() + 16 + 2);
    data.extend(MAGIC);
    match group.ip() {
        IpAddr::V4(ip) => data.extend(ip.octets()),
        IpAddr::V6(ip) => data.extend(ip.octets()),
    }
    data.extend(group.port().to_be_bytes());
    data
}

#[cfg(test)]
mod tests;
