//! What two nodes say inside and behind the handshake.

use talkie_discovery::{HostMark, NodeName, SecretMark};
use talkie_transport::fuzzing;
use talkie_transport::proto::handshake::RANGE;

/// What of a hello a later version may append to is bounded by what is known: a name, eight addresses, numbers, sixteen secrets.
const MOST: usize = 2 + NodeName::MAX_LEN + 1 + 8 * (1 + 16 + 3 + 1) + 5 * 10 + 4 + HostMark::LEN + 1 + 16 * SecretMark::LEN;

/// A hello is within its bounds and is read again from what is written of it. Two ranges of versions have the same in common
/// from both sides, and it lies in both.
pub fn run(data: &[u8]) {
    if let Some(again) = fuzzing::hello(data) {
        assert!(again.len() <= MOST, "{} bytes", again.len());
        assert_eq!(fuzzing::hello(&again).as_deref(), Some(&again[..]));
        let later = [&again[..], b"later, and more"].concat();
        assert_eq!(fuzzing::hello(&later), Some(again), "what is appended changes nothing");
    }
    if let Some((range, ciphers)) = fuzzing::greeting(data) {
        let ours = fuzzing::greeting(&data[1..]).map_or(RANGE, |(range, _)| range);
        assert_eq!(range.common(ours), ours.common(range));
        let within = |version| {
            [range, ours].iter().all(|range| (range.min..=range.max).contains(&version))
        };
        assert!(range.common(ours).is_none_or(within));
        assert_eq!(ciphers.common(ciphers), ciphers.common(ciphers));
        assert!(data.len() > 2 || ciphers.0 == 0, "an earlier version has none");
    }
}
