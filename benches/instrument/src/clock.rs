//! The clock that all processes of one host share.

use std::fs;

use nix::time::{ClockId, clock_gettime};
use sha2::{Digest, Sha256};

/// Nanoseconds of CLOCK_MONOTONIC: never set back, and the same for all processes of a host and time namespace.
///
/// 0 if the system has no such clock, which Linux always has.
pub fn now_ns() -> u64 {
    of(ClockId::CLOCK_MONOTONIC)
}

/// What a clock of the system shows, in nanoseconds; 0 if it cannot be read.
pub(crate) fn of(clock: ClockId) -> u64 {
    let Ok(now) = clock_gettime(clock) else { return 0 };
    let part = |value: i64| u64::try_from(value).unwrap_or_default();
    part(now.tv_sec()) * 1_000_000_000 + part(now.tv_nsec())
}

/// Names the clock behind [`now_ns`]: two processes with the same name may subtract each other's times.
///
/// 16 hexadecimal digits, a hash of the boot's id and the time namespace, so that neither is told to others. `None`
/// where the system does not tell them: then no two clocks count as the same.
pub fn clock_name() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    // Absent before Linux 5.6, where there is only one.
    let namespace = fs::read_link("/proc/self/ns/time").unwrap_or_default();
    let mut hash = Sha256::new();
    hash.update(b"talkie clock\0");
    hash.update(boot.trim());
    hash.update(namespace.as_os_str().as_encoded_bytes());
    let hash = hash.finalize();
    Some(data_encoding::HEXLOWER.encode(hash.get(..8)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_forward_and_has_a_name() {
        let before = now_ns();
        assert!(before > 0 && now_ns() >= before);
        let name = clock_name().unwrap();
        assert_eq!((name.len(), Some(&name)), (16, clock_name().as_ref()));
    }
}
