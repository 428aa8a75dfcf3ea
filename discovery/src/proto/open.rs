//! Datagram -> beacon: the cheap refusals first, then the cipher, then the form.

mod rate;

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use chacha20poly1305::aead::AeadInPlace;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};

use self::rate::Rates;
use super::beacon::{BODY_LEN, Beacon};
use super::seal::{DATAGRAM_LEN, Datagram, MAGIC, NONCE_LEN, associated};
use crate::config::Groups;
use crate::keyring::Keyring;
use crate::keys::{HeartbeatKey, SecretMark};

/// Why a datagram is refused, in the order of the checks.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// Not of a heartbeat's size.
    Size,
    /// Not a heartbeat, or of another version.
    Magic,
    /// More than its source, or all sources, may send.
    Rate,
    /// Not sealed with this mesh's secret.
    Auth,
    /// Sealed with this mesh's secret for this mesh's other group: carried over by somebody.
    Group,
    /// Sealed with this mesh's secret, but not of a beacon's form.
    Malformed,
}

/// What a datagram held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The heartbeat.
    pub beacon: Beacon,
    /// The secret that it was sealed under.
    pub secret: SecretMark,
}

/// Opens datagrams, of many sources and of anybody.
///
/// One verb, [`handle_datagram`](Self::handle_datagram), which answers at once; beside it
/// [`handle_proven`](Self::handle_proven), by which sources come to be known, and [`handle_rekey`](Self::handle_rekey). It has
/// no timers.
#[derive(Debug)]
pub struct Opener {
    keys: Keyring,
    groups: Groups,
    rates: Rates,
}

impl Opener {
    /// One for the mesh of `keys` on `groups`.
    #[must_use]
    pub fn new(keys: Keyring, groups: Groups) -> Self {
        Self { keys, groups, rates: Rates::default() }
    }

    /// From now on these are accepted, and no others.
    pub fn handle_rekey(&mut self, keys: Keyring) {
        self.keys = keys;
    }

    /// Reads the datagram that came from `source` to `group`.
    ///
    /// # Errors
    /// The first check that it fails. What fails before the cipher costs no more than a look at the first bytes
    /// and a token.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        source: IpAddr,
        group: SocketAddr,
        datagram: &[u8],
    ) -> Result<Opened, Refusal> {
        let datagram: &Datagram = datagram.try_into().map_err(|_| Refusal::Size)?;
        if !datagram.starts_with(&MAGIC) {
            return Err(Refusal::Magic);
        }
        if !self.rates.take(now, source) {
            return Err(Refusal::Rate);
        }
        let Some((secret, body)) = self.unseal(group, datagram) else {
            let other = self.other_group(group).and_then(|other| self.unseal(other, datagram));
            return Err(if other.is_some() { Refusal::Group } else { Refusal::Auth });
        };
        let beacon = Beacon::decode(&body).map_err(|_| Refusal::Malformed)?;
        Ok(Opened { beacon, secret })
    }

    /// Tries each key: nothing in clear may say which it is. A wrong one costs its tag, about a microsecond.
    fn unseal(&self, group: SocketAddr, datagram: &Datagram) -> Option<(SecretMark, [u8; BODY_LEN])> {
        self.keys.iter().find_map(|keys| Some((keys.mark, unseal(&keys.heartbeat, group, datagram)?)))
    }

    /// A fresh heartbeat came from `source`: a share of what is opened is kept for it, which strangers' junk
    /// can not use up.
    pub fn handle_proven(&mut self, now: Instant, source: IpAddr) {
        self.rates.know(now, source);
    }

    fn other_group(&self, group: SocketAddr) -> Option<SocketAddr> {
        if group.is_ipv4() { self.groups.v6.map(Into::into) } else { self.groups.v4.map(Into::into) }
    }
}

fn unseal(key: &HeartbeatKey, group: SocketAddr, datagram: &Datagram) -> Option<[u8; BODY_LEN]> {
    let (_, sealed) = datagram.split_first_chunk::<{ MAGIC.len() }>()?;
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let (body, tag) = sealed.split_first_chunk::<BODY_LEN>()?;
    let tag: &[u8; DATAGRAM_LEN - MAGIC.len() - NONCE_LEN - BODY_LEN] = tag.try_into().ok()?;
    let mut body = *body;
    XChaCha20Poly1305::new(key.as_bytes().into())
        .decrypt_in_place_detached(nonce.into(), &associated(group), &mut body, tag.into())
        .ok()?;
    Some(body)
}

#[cfg(test)]
mod tests;
