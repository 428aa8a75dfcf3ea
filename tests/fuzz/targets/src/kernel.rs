//! What the kernel tells of interfaces.

use std::collections::HashSet;

use talkie_discovery::proto::inet6::unusable;
use talkie_discovery::proto::removed::Removed;

/// The type of a notice that an interface is gone.
const DELLINK: u16 = 17;

/// Only an interface is taken for removed whose index stands in the bytes behind such a type, and a datagram that is cut off
/// tells no other than the whole one. A table of addresses tells at most one a line.
pub fn run(data: &[u8]) {
    let read = |bytes: &[u8]| {
        let mut removed = Removed::default();
        removed.handle_notices(bytes);
        removed
    };
    let whole = read(data);
    let words = data.as_chunks::<4>().0;
    let may = |index: u32| {
        words.iter().zip(words.iter().skip(4)).any(|(kind, it)| {
            u16::from_ne_bytes([kind[0], kind[1]]) == DELLINK && u32::from_ne_bytes(*it) == index
        })
    };
    let told: HashSet<u32> = words.iter().map(|word| u32::from_ne_bytes(*word)).collect();
    for index in told.into_iter().filter(|index| whole.has(*index)) {
        assert!(may(index), "{index} was not told");
    }
    let cut = read(&data[..data.len() / 2]);
    for index in words.iter().map(|word| u32::from_ne_bytes(*word)) {
        assert!(!cut.has(index) || whole.has(index), "what is cut off tells less");
    }
    if let Ok(text) = std::str::from_utf8(data) {
        assert!(unusable(text).count() <= text.lines().count());
    }
}
