//! Accepting connections, with a limit on those that have proven nothing yet.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

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

/// How many connections that have proven nothing are open, by address.
#[derive(Debug, Default)]
struct Strangers(Mutex<HashMap<IpAddr, usize>>);

impl Strangers {
    /// Counts one more from `ip`, unless there are too many.
    fn enter(self: &Arc<Self>, ip: IpAddr) -> Option<Stranger> {
        let mut open = lock(&self.0);
        let here = open.get(&ip).copied().unwrap_or_default();
        let elsewhere: usize = open.iter().filter(|(ip, _)| !ip.is_loopback()).map(|(_, count)| count).sum();
        let full = if ip.is_loopback() {
            here >= MAX_LOCAL
        } else {
            here >= MAX_PER_ADDRESS || elsewhere >= MAX_STRANGERS
        };
        if full {
            return None;
        }
        *open.entry(ip).or_default() += 1;
        Some(Stranger { of: Arc::clone(self), ip })
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
        if let Some(count) = open.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.ip);
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
                if let Some(stranger) = strangers.enter(addr.ip().to_canonical()) {
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
