//! Who may connect before having proven anything: few at once, and not too often.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Instant;

use talkie_discovery::proto::bucket::{Bucket, Limit};

/// Connections from elsewhere that have not proven the secret, in all and from one address. Each lives two seconds
/// at most and holds a socket and a kibibyte.
const MAX_STRANGERS: usize = 64;
const MAX_PER_ADDRESS: usize = 32;
/// The same from this host, where a whole mesh may live and start at once: half of the usual limit of open files.
const MAX_LOCAL: usize = 512;
/// Handshakes a second from elsewhere, in all and from one address, and how many at once: each costs up to 0.2 ms. 255
/// nodes that start together pass.
const HANDSHAKES: Limit = Limit { rate: 200.0, burst: 400.0 };
const HANDSHAKES_PER_ADDRESS: Limit = Limit { rate: 100.0, burst: 200.0 };
/// Addresses that are counted apart.
const MAX_ADDRESSES: usize = 1_024;

/// The connections that have proven nothing. At most 1,024 addresses are remembered.
#[derive(Debug)]
pub struct Strangers {
    max_local: usize,
    /// How many are open, by address.
    open: HashMap<IpAddr, usize>,
    /// How many came of late.
    all: Bucket,
    by_address: HashMap<IpAddr, Bucket>,
}

impl Default for Strangers {
    fn default() -> Self {
        Self::with_local(MAX_LOCAL)
    }
}

impl Strangers {
    /// With at most so many from all loopback addresses.
    pub fn with_local(max_local: usize) -> Self {
        Self { max_local, open: HashMap::new(), all: Bucket::default(), by_address: HashMap::new() }
    }

    /// Counts one more from `ip`, unless there are too many.
    pub fn enter(&mut self, now: Instant, ip: IpAddr) -> bool {
        let may = if ip.is_loopback() {
            // Loopback has many addresses, and whoever is here can come from all of them.
            self.count(IpAddr::is_loopback) < self.max_local
        } else {
            self.open.get(&ip).copied().unwrap_or_default() < MAX_PER_ADDRESS
                && self.count(|ip| !ip.is_loopback()) < MAX_STRANGERS
                && self.may_shake_hands(now, ip)
        };
        if may {
            *self.open.entry(ip).or_default() += 1;
        }
        may
    }

    /// One that entered from `ip` has closed, or proven the secret.
    pub fn leave(&mut self, ip: IpAddr) {
        if let Some(count) = self.open.get_mut(&ip) {
            *count -= 1;
            if *count == 0 {
                self.open.remove(&ip);
            }
        }
    }

    fn count(&self, of: impl Fn(&IpAddr) -> bool) -> usize {
        self.open.iter().filter(|(ip, _)| of(ip)).map(|(_, count)| count).sum()
    }

    fn may_shake_hands(&mut self, now: Instant, ip: IpAddr) -> bool {
        if self.by_address.len() >= MAX_ADDRESSES {
            self.by_address.retain(|_, bucket| !bucket.is_full(now, HANDSHAKES_PER_ADDRESS));
        }
        // More addresses than that at once: only the bucket of all counts.
        let known = self.by_address.len() < MAX_ADDRESSES || self.by_address.contains_key(&ip);
        let own = !known || self.by_address.entry(ip).or_default().take(now, HANDSHAKES_PER_ADDRESS);
        own && self.all.take(now, HANDSHAKES)
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test says when its time begins")]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn strangers_are_bounded_in_number_and_rate_and_this_host_is_apart() {
        let (start, mut strangers) = (Instant::now(), Strangers::default());
        let ip = |n: u8| IpAddr::from([10, 0, 0, n]);
        let here = (0..100).filter(|_| strangers.enter(start, ip(1))).count();
        assert_eq!(here, MAX_PER_ADDRESS);
        let more: Vec<_> = (2..100).filter(|n| strangers.enter(start, ip(*n))).collect();
        assert_eq!(here + more.len(), MAX_STRANGERS);
        let local = |n: u16| IpAddr::from([127, 0, 0, 1 + (n % 3) as u8]);
        assert_eq!((0..2_000).filter(|n| strangers.enter(start, local(*n))).count(), MAX_LOCAL);
        let mut few = Strangers::with_local(3);
        assert_eq!((0..9).filter(|n| few.enter(start, local(*n))).count(), 3);
        (0..here).for_each(|_| strangers.leave(ip(1)));
        more.into_iter().for_each(|n| strangers.leave(ip(n)));
        assert_eq!(strangers.open.len(), 3);
        // Each leaves at once, so only the rate bounds them.
        let mut flood = 0;
        for n in 0..100_000u64 {
            if strangers.enter(start + Duration::from_micros(n * 100), ip(7)) {
                strangers.leave(ip(7));
                flood += 1;
            }
        }
        assert!((1_000..=1_000 + 200 + 10).contains(&flood), "{flood} handshakes in ten seconds");
        assert!(strangers.enter(start + Duration::from_secs(10), ip(8)), "another address is not touched");
    }
}
