//! Accepting connections, with a limit on those that have proven nothing yet.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use super::input::Input;
use super::link::{Context, SetupError, respond};
use super::session::lock;
use crate::config::{DEFAULT_PORT, ListenAt};
use crate::error::StartError;
use crate::proto::handshake::HandshakeError;

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
/// Pending connections that the kernel holds for us.
const BACKLOG: i32 = 1_024;
/// After an error of `accept`, for want of file descriptors most likely.
const PAUSE: Duration = Duration::from_millis(100);

/// Listens as the settings say.
pub(crate) fn listen(at: ListenAt) -> Result<TcpListener, StartError> {
    match at {
        ListenAt::At(addr) => bind(addr).map_err(|source| StartError::Listen { addr, source }),
        ListenAt::Default => {
            // Without IPv6 in the kernel, IPv4 alone.
            let wildcards: [IpAddr; 2] = [Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()];
            let mut last = None;
            for port in [DEFAULT_PORT, 0] {
                for ip in wildcards {
                    let addr = SocketAddr::new(ip, port);
                    match bind(addr) {
                        Ok(listener) => return Ok(listener),
                        // Taken, also if only for one family: one port for both is what peers are told.
                        Err(e) if e.kind() == io::ErrorKind::AddrInUse => {
                            last = Some(StartError::Listen { addr, source: e });
                            break;
                        }
                        Err(source) => last = Some(StartError::Listen { addr, source }),
                    }
                }
            }
            let addr = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
            Err(last.unwrap_or_else(|| StartError::Listen {
                addr,
                source: io::ErrorKind::AddrNotAvailable.into(),
            }))
        }
    }
}

fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(!addr.ip().is_unspecified())?;
    }
    // A port in use stays refused; one whose old connections linger is not.
    socket.set_reuse_address(cfg!(unix))?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// How many handshakes may begin.
#[derive(Clone, Copy)]
struct Limit {
    rate: f64,
    burst: f64,
}

/// A token bucket: what is missing to a full one.
#[derive(Debug, Default)]
struct Bucket {
    used: f64,
    at: Option<Instant>,
}

impl Bucket {
    fn take(&mut self, now: Instant, limit: Limit) -> bool {
        let passed = self.at.map_or(0.0, |at| now.saturating_duration_since(at).as_secs_f64());
        self.used = (self.used - passed * limit.rate).max(0.0);
        self.at = Some(now);
        let free = self.used + 1.0 <= limit.burst;
        self.used += f64::from(u8::from(free));
        free
    }

    fn is_full(&self, now: Instant, limit: Limit) -> bool {
        let passed = self.at.map_or(0.0, |at| now.saturating_duration_since(at).as_secs_f64());
        self.used <= passed * limit.rate
    }
}

/// Connections that have proven nothing.
#[derive(Debug, Default)]
struct Open {
    /// How many are open, by address.
    here: HashMap<IpAddr, usize>,
    /// How many came of late.
    all: Bucket,
    by_address: HashMap<IpAddr, Bucket>,
}

/// Counts them.
#[derive(Debug, Default)]
struct Strangers(Mutex<Open>);

impl Strangers {
    /// Counts one more from `ip`, unless there are too many.
    fn enter(self: &Arc<Self>, ip: IpAddr, now: Instant) -> Option<Stranger> {
        let mut open = lock(&self.0);
        let here = open.here.get(&ip).copied().unwrap_or_default();
        let full = if ip.is_loopback() {
            here >= MAX_LOCAL
        } else {
            let elsewhere: usize =
                open.here.iter().filter(|(ip, _)| !ip.is_loopback()).map(|(_, count)| count).sum();
            here >= MAX_PER_ADDRESS || elsewhere >= MAX_STRANGERS || !open.may_shake_hands(ip, now)
        };
        if full {
            return None;
        }
        *open.here.entry(ip).or_default() += 1;
        Some(Stranger { of: Arc::clone(self), ip })
    }
}

impl Open {
    fn may_shake_hands(&mut self, ip: IpAddr, now: Instant) -> bool {
        if self.by_address.len() >= MAX_ADDRESSES {
            self.by_address.retain(|_, bucket| !bucket.is_full(now, HANDSHAKES_PER_ADDRESS));
        }
        // More addresses than that at once: only the bucket of all counts.
        let known = self.by_address.len() < MAX_ADDRESSES || self.by_address.contains_key(&ip);
        let own = !known || self.by_address.entry(ip).or_default().take(now, HANDSHAKES_PER_ADDRESS);
        own && self.all.take(now, HANDSHAKES)
    }
}

/// One of them; counted until dropped.
struct Stranger {
    of: Arc<Strangers>,
    ip: IpAddr,
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let mut open = lock(&self.of.0);
        if let Some(count) = open.here.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                open.here.remove(&self.ip);
            }
        }
    }
}

/// Accepts until the task is aborted.
pub(crate) async fn accept(context: Arc<Context>, listener: TcpListener) {
    let strangers = Arc::new(Strangers::default());
    let mut complained = false;
    loop {
        match listener.accept().await {
            Ok((stream, addr)) => {
                complained = false;
                // Full: closed at once, which costs the least.
                if let Some(stranger) = strangers.enter(addr.ip().to_canonical(), Instant::now()) {
                    tokio::spawn(welcome(Arc::clone(&context), stream, addr, stranger));
                }
            }
            Err(e) => {
                if !std::mem::replace(&mut complained, true) {
                    tracing::warn!("cannot accept connections: {e}");
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn welcome(context: Arc<Context>, stream: TcpStream, addr: SocketAddr, stranger: Stranger) {
    let _setup = context.setups.enter();
    match respond(&context, stream).await {
        Ok(established) => {
            drop(stranger);
            let _ = context.inputs.send(Input::Established(Box::new(established))).await;
        }
        Err(SetupError::Redundant(_) | SetupError::Handshake(HandshakeError::Myself)) => {}
        Err(e @ SetupError::Handshake(HandshakeError::Version { .. })) => {
            tracing::warn!(%addr, "refused a link: {e}");
        }
        // A stranger's doing: anybody can cause it, so it is not worth a warning.
        Err(e) => tracing::debug!(%addr, "refused a connection: {e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_bounded_in_number_and_rate_and_this_host_is_apart() {
        let (start, strangers) = (Instant::now(), Arc::new(Strangers::default()));
        let ip = |n: u8| IpAddr::from([10, 0, 0, n]);
        let held: Vec<_> = (0..100).filter_map(|_| strangers.enter(ip(1), start)).collect();
        assert_eq!(held.len(), MAX_PER_ADDRESS);
        let more: Vec<_> = (2..100).filter_map(|n| strangers.enter(ip(n), start)).collect();
        assert_eq!(held.len() + more.len(), MAX_STRANGERS);
        let local = IpAddr::from([127, 0, 0, 1]);
        let here: Vec<_> = (0..2_000).filter_map(|_| strangers.enter(local, start)).collect();
        assert_eq!(here.len(), MAX_LOCAL);
        drop((held, more));
        // Each leaves at once, so only the rate bounds them.
        let flood = (0..100_000u64).filter(|n| {
            let now = start + Duration::from_micros(n * 100);
            strangers.enter(ip(7), now).is_some()
        });
        let flood = flood.count();
        assert!((1_000..=1_000 + 200 + 10).contains(&flood), "{flood} handshakes in ten seconds");
        assert!(
            strangers.enter(ip(8), start + Duration::from_secs(10)).is_some(),
            "another address is not touched"
        );
    }
}
