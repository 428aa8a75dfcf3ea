//! The heartbeat's fields, limits and bytes.

use std::net::IpAddr;
use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};

use crate::host::HostMark;
use crate::node::{NodeId, NodeName};

/// Bytes of a beacon before it is sealed: 177 at most are used now, the rest is room for later fields.
pub const BODY_LEN: usize = 256;

/// The most addresses in a beacon: two interfaces with both families, or one with all its kinds.
pub const MAX_ADDRS: usize = 4;

/// The flag of a node that is leaving. Other bits are for later versions and ignored.
const LEAVING: u8 = 1;

/// Versions of the links' protocol that a node speaks.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Versions {
    /// The oldest, at least 1.
    pub min: u8,
    /// The newest, not under `min`.
    pub max: u8,
}

impl Versions {
    /// What this build speaks.
    pub const OURS: Self = Self { min: 1, max: 1 };
}

/// What a node says of itself in one heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beacon {
    /// Who it is.
    pub id: NodeId,
    /// Grows by one with each heartbeat; the copies of one heartbeat that go out of several interfaces share it.
    pub sequence: u64,
    /// What it speaks on its links.
    pub versions: Versions,
    /// The TCP port of its listener.
    pub port: NonZeroU16,
    /// Where it listens, those of the interface that this copy left by first; more than [`MAX_ADDRS`] are cut.
    pub addrs: Vec<IpAddr>,
    /// What it is called.
    pub name: NodeName,
    /// Whether it is saying goodbye.
    pub leaving: bool,
    /// Its host, where it also takes links by an abstract Unix socket.
    pub host: Option<HostMark>,
}

/// A sealed body is not a beacon: a member is faulty, or of a version that should have another magic.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a beacon")]
pub struct Malformed;

/// The bytes' form (postcard). Every field is of bounded size and nothing is allocated to read it.
#[derive(Serialize, Deserialize)]
struct Wire<'a> {
    id: NodeId,
    sequence: u64,
    min_version: u8,
    max_version: u8,
    port: u16,
    flags: u8,
    addrs: [Option<IpAddr>; MAX_ADDRS],
    name: &'a str,
    /// Zeros for none, as in what an older node sends.
    host: [u8; HostMark::LEN],
}

impl Beacon {
    /// The body: the fields, and zeros up to [`BODY_LEN`].
    #[must_use]
    #[expect(clippy::expect_used, reason = "the fields are bounded, which a test asserts")]
    pub fn encode(&self) -> [u8; BODY_LEN] {
        let mut addrs = [None; MAX_ADDRS];
        addrs.iter_mut().zip(&self.addrs).for_each(|(to, ip)| *to = Some(*ip));
        let wire = Wire {
            id: self.id,
            sequence: self.sequence,
            min_version: self.versions.min,
            max_version: self.versions.max,
            port: self.port.get(),
            flags: if self.leaving { LEAVING } else { 0 },
            addrs,
            name: self.name.as_str(),
            host: HostMark::to_bytes(self.host),
        };
        let mut body = [0; BODY_LEN];
        postcard::to_slice(&wire, &mut body).expect("a beacon fits its body");
        body
    }

    /// Reads a body. What stands behind the known fields is ignored: it is zeros today, and a later version
    /// may put more fields there that older nodes pass over. (It is sealed, so only a member can fill it.)
    ///
    /// # Errors
    /// A field that is not of its form, or means nothing: port 0, version 0, an empty range, a bad name.
    pub fn decode(body: &[u8; BODY_LEN]) -> Result<Self, Malformed> {
        let (wire, _later) = postcard::take_from_bytes::<Wire<'_>>(body).map_err(|_| Malformed)?;
        let versions = Versions { min: wire.min_version, max: wire.max_version };
        if versions.min == 0 || versions.min > versions.max {
            return Err(Malformed);
        }
        Ok(Self {
            id: wire.id,
            sequence: wire.sequence,
            versions,
            port: NonZeroU16::new(wire.port).ok_or(Malformed)?,
            addrs: wire.addrs.into_iter().flatten().collect(),
            name: wire.name.parse().map_err(|_| Malformed)?,
            leaving: wire.flags & LEAVING != 0,
            host: HostMark::from_bytes(wire.host),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn beacon(id: u8, sequence: u64) -> Beacon {
        Beacon {
            id: NodeId::from_bytes([id; 16]),
            sequence,
            versions: Versions::OURS,
            port: NonZeroU16::new(8255).unwrap(),
            addrs: vec!["192.0.2.7".parse().unwrap(), "fd00::7".parse().unwrap()],
            name: "web@host-7".parse().unwrap(),
            leaving: false,
            host: None,
        }
    }

    #[test]
    fn a_beacon_is_read_as_written() {
        for leaving in [false, true] {
            for addrs in 0..=MAX_ADDRS {
                let host = HostMark::from_bytes([addrs as u8; HostMark::LEN]);
                let addrs = (0..addrs).map(|i| IpAddr::from([10, 0, 0, i as u8])).collect();
                let beacon = Beacon { leaving, host, addrs, ..beacon(3, 77) };
                assert_eq!(Beacon::decode(&beacon.encode()), Ok(beacon));
            }
        }
    }

    #[test]
    fn the_largest_beacon_fits() {
        let largest = Beacon {
            sequence: u64::MAX,
            versions: Versions { min: 1, max: 255 },
            port: NonZeroU16::MAX,
            addrs: vec![IpAddr::from([0xff; 16]); MAX_ADDRS],
            name: "x".repeat(64).parse().unwrap(),
            leaving: true,
            host: HostMark::from_bytes([0xff; HostMark::LEN]),
            ..beacon(255, 0)
        };
        let body = largest.encode();
        assert_eq!(body.iter().rposition(|b| *b != 0), Some(176), "177 bytes at most, as documented");
        assert_eq!(Beacon::decode(&body), Ok(largest.clone()));
        let more = Beacon { addrs: vec![IpAddr::from([0xff; 16]); 9], ..largest.clone() };
        assert_eq!(Beacon::decode(&more.encode()), Ok(largest), "further addresses are cut");
    }

    #[test]
    fn later_fields_are_passed_over() {
        let mut body = beacon(1, 1).encode();
        body[BODY_LEN - 1] = 9;
        assert_eq!(Beacon::decode(&body), Ok(beacon(1, 1)));
    }

    #[test]
    fn what_means_nothing_is_malformed() {
        let bad_versions = Beacon { versions: Versions { min: 2, max: 1 }, ..beacon(1, 1) };
        assert_eq!(Beacon::decode(&bad_versions.encode()), Err(Malformed));
        let no_version = Beacon { versions: Versions { min: 0, max: 1 }, ..beacon(1, 1) };
        assert_eq!(Beacon::decode(&no_version.encode()), Err(Malformed));
        assert_eq!(Beacon::decode(&[0; BODY_LEN]), Err(Malformed));
        assert_eq!(Beacon::decode(&[0xff; BODY_LEN]), Err(Malformed));
    }

    #[test]
    fn no_bytes_panic_and_what_is_read_is_within_bounds() {
        let seed = fastrand::Rng::new().u64(..);
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut read = 0;
        for _ in 0..20_000 {
            let mut body = beacon(rng.u8(..), rng.u64(..)).encode();
            for _ in 0..rng.usize(1..4) {
                body[rng.usize(0..100)] = rng.u8(..);
            }
            if let Ok(beacon) = Beacon::decode(&body) {
                read += 1;
                assert!(beacon.addrs.len() <= MAX_ADDRS && beacon.name.as_str().len() <= 64, "seed {seed}");
                assert_eq!(Beacon::decode(&beacon.encode()), Ok(beacon), "seed {seed}");
            }
        }
        assert!(read > 1_000, "seed {seed}: the test reads something");
    }
}
