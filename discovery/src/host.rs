//! Noun: which host a node is on, as far as a Unix socket goes.

use std::fmt;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::io::host;

/// What is hashed before the two facts, so that the digest means nothing elsewhere.
const LABEL: &[u8] = b"talkie/1 host";

/// Marks one running kernel and one of its network namespaces: nodes with the same mark reach each other by abstract
/// Unix sockets, which end where both end.
///
/// It is a hash, so that it shows neither; never zeros, which stand for none on the wire. A node tells it only to
/// members, and only while it takes links by such a socket. It is a hint: a wrong one costs a dial that is refused at
/// once.
#[derive(Copy, Clone, PartialEq, Eq, Hash)]
pub struct HostMark([u8; Self::LEN]);

impl HostMark {
    /// Bytes in a mark: two of 2³² hosts may have one in common, which costs them a dial.
    pub const LEN: usize = 8;

    /// That of the calling thread; none where the system does not tell, or has no such sockets (only Linux has).
    #[must_use]
    pub fn look() -> Option<Self> {
        let (boot, namespace) = host::facts()?;
        Self::of(&boot, namespace)
    }

    /// That of a kernel with this boot id (its 36 characters) in the network namespace of this inode: the first 8 bytes
    /// of SHA-256(`"talkie/1 host"` ‖ the characters ‖ the inode as `u64`).
    #[must_use]
    pub fn of(boot: &str, namespace: u64) -> Option<Self> {
        let digest =
            Sha256::new().chain_update(LABEL).chain_update(boot).chain_update(namespace.to_be_bytes());
        let mut mark = [0; Self::LEN];
        mark.iter_mut().zip(digest.finalize()).for_each(|(to, from)| *to = from);
        Self::from_bytes(mark)
    }

    /// A mark from its bytes, as they stand on the wire; none of zeros.
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::LEN]) -> Option<Self> {
        (bytes != [0; Self::LEN]).then_some(Self(bytes))
    }

    /// What stands on the wire for a mark or for none.
    #[must_use]
    pub fn to_bytes(mark: Option<Self>) -> [u8; Self::LEN] {
        mark.map_or([0; Self::LEN], |mark| mark.0)
    }
}

impl fmt::Debug for HostMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: &str = "01234567-89ab-cdef-0123-456789abcdef";

    /// PROTOCOL.md repeats it.
    #[test]
    fn a_mark_is_of_the_boot_and_of_the_namespace() {
        let mark = HostMark::of(BOOT, 4_026_531_840);
        assert_eq!(format!("{:?}", mark.unwrap()), "67337b552f724160");
        assert_ne!(mark, HostMark::of(BOOT, 4_026_531_841));
        assert_ne!(mark, HostMark::of(&BOOT.replace('0', "1"), 4_026_531_840));
        assert_eq!(HostMark::from_bytes(HostMark::to_bytes(mark)), mark);
        assert_eq!(HostMark::from_bytes(HostMark::to_bytes(None)), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_host_has_one_mark() {
        assert!(HostMark::look().is_some());
        let elsewhere = std::thread::spawn(HostMark::look).join().unwrap();
        assert_eq!(HostMark::look(), elsewhere);
    }
}
