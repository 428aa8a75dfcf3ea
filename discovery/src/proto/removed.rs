//! Which interfaces are gone, by the kernel's notices (rtnetlink).

use std::collections::HashSet;

/// `struct nlmsghdr` is 16 bytes: its length with all that follows, its type, flags, sequence, sender.
const HEADER: usize = 16;

/// The type of a notice that an interface is gone; `RTM_DELLINK` of linux/rtnetlink.h.
const DELLINK: u16 = 17;

/// Where the interface's index stands in the `struct ifinfomsg` behind the header.
const INDEX_AT: usize = HEADER + 4;

/// The family of a notice of a bridge, which tells by "gone" that an interface left it; `AF_BRIDGE`.
const BRIDGE: u8 = 7;

/// Interfaces that were removed. One that is made again can have the same index, and then only the notice tells
/// that all memberships of it are lost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    indexes: HashSet<u32>,
    unknown: bool,
}

impl Removed {
    /// Reads one datagram of notices. What is not understood is passed over.
    pub fn handle_notices(&mut self, mut datagram: &[u8]) {
        while let Some(header) = datagram.first_chunk::<HEADER>() {
            let [a, b, c, d, e, f, ..] = *header;
            let (len, kind) = (u32::from_ne_bytes([a, b, c, d]) as usize, u16::from_ne_bytes([e, f]));
            if len < HEADER {
                return;
            }
            let family = datagram.get(HEADER).copied();
            let index = datagram.get(INDEX_AT..).and_then(|rest| rest.first_chunk());
            if let Some(index) = index.filter(|_| kind == DELLINK && family != Some(BRIDGE)) {
                self.indexes.insert(u32::from_ne_bytes(*index));
            }
            // Each message begins at a multiple of four.
            datagram = datagram.get(len.next_multiple_of(4)..).unwrap_or_default();
        }
    }

    /// Notices were lost: any interface may have been removed.
    pub fn handle_overrun(&mut self) {
        self.unknown = true;
    }

    /// Whether the interface of that index was removed, as far as can be told.
    #[must_use]
    pub fn has(&self, index: u32) -> bool {
        self.unknown || self.indexes.contains(&index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, family: u8, index: u32, extra: usize) -> Vec<u8> {
        let mut bytes = vec![0; HEADER + 16 + extra];
        let len = bytes.len() as u32;
        bytes[..4].copy_from_slice(&len.to_ne_bytes());
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[16] = family;
        bytes[20..24].copy_from_slice(&index.to_ne_bytes());
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn read(datagram: &[u8]) -> Removed {
        let mut removed = Removed::default();
        removed.handle_notices(datagram);
        removed
    }

    #[test]
    fn only_removed_interfaces_are_told() {
        assert!(read(&message(DELLINK, 0, 7, 0)).has(7));
        assert!(!read(&message(DELLINK, 0, 7, 0)).has(8));
        assert!(!read(&message(16, 0, 7, 0)).has(7), "a new one");
        assert!(!read(&message(21, 0, 7, 0)).has(7), "an address");
        assert!(!read(&message(DELLINK, BRIDGE, 7, 0)).has(7), "it only left a bridge");
        let several = [message(16, 0, 5, 3), message(DELLINK, 0, 6, 5), message(DELLINK, 0, 300, 0)].concat();
        let several = read(&several);
        assert_eq!([5, 6, 300].map(|index| several.has(index)), [false, true, true]);
    }

    #[test]
    fn lost_notices_may_have_told_of_any() {
        let mut removed = Removed::default();
        assert!(!removed.has(1));
        removed.handle_overrun();
        assert!(removed.has(1) && removed.has(77));
    }

    #[test]
    fn no_bytes_panic_or_hang() {
        let mut rng = fastrand::Rng::with_seed(1);
        let whole = [message(DELLINK, 0, 6, 5), message(DELLINK, 0, 7, 0)].concat();
        for cut in 0..whole.len() {
            read(&whole[..cut]);
        }
        for _ in 0..20_000 {
            let mut bytes = whole.clone();
            for _ in 0..rng.usize(1..6) {
                let at = rng.usize(..bytes.len());
                bytes[at] = rng.u8(..);
            }
            read(&bytes);
        }
        for len in [0_u32, 1, 15, u32::MAX] {
            let mut bytes = message(DELLINK, 0, 6, 0);
            bytes[..4].copy_from_slice(&len.to_ne_bytes());
            read(&bytes);
        }
    }
}
