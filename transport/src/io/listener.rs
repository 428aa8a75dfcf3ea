//! Accepting connections, with a limit on those that have proven nothing yet.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UnixListener};

use super::input::Input;
use super::link::{Context, SetupError, respond};
use super::session::lock;
use super::stream::Stream;
use super::unix::{Door, HERE};
use crate::config::{DEFAULT_PORT, ListenAt};
use crate::error::StartError;
use crate::proto::handshake::HandshakeError;
use crate::proto::strangers::Strangers;

/// Pending connections that the kernel holds for us.
const BACKLOG: i32 = 1_024;
/// After an error of `accept`, for want of file descriptors most likely.
const PAUSE: Duration = Duration::from_millis(100);
/// That nobody can be accepted is told again after this time: where strangers hold all file descriptors, some are free now and then.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// Connections to the Unix socket that have proven nothing, two seconds each. Counted apart, and so few that together with
/// those on loopback they leave a quarter of the usual limit of open files.
const MAX_AT_DOOR: usize = 256;

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

/// One connection that has proven nothing; counted until dropped.
struct Stranger {
    of: Arc<Mutex<Strangers>>,
    ip: IpAddr,
}

impl Stranger {
    fn enter(of: &Arc<Mutex<Strangers>>, ip: IpAddr) -> Option<Self> {
        lock(of).enter(Instant::now(), ip).then(|| Self { of: Arc::clone(of), ip })
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        lock(&self.of).leave(self.ip);
    }
}

/// Accepts until the task is aborted.
pub(crate) async fn accept(context: Arc<Context>, listener: TcpListener, door: Option<Door>) {
    let told = Mutex::new(None);
    let tcp = accept_all(&context, Strangers::default(), Listener::Tcp(listener), &told);
    let Some(Door { listener, .. }) = door else { return tcp.await };
    let strangers = Strangers::with_local(MAX_AT_DOOR);
    let unix = accept_all(&context, strangers, Listener::Unix(listener), &told);
    tokio::join!(tcp, unix);
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    async fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        match self {
            Self::Tcp(listener) => listener.accept().await.map(|(stream, addr)| (Stream::Tcp(stream), addr)),
            Self::Unix(listener) => listener.accept().await.map(|(stream, _)| (Stream::Unix(stream), HERE)),
        }
    }
}

/// `told`: when it was last told that nobody can be accepted.
async fn accept_all(
    context: &Arc<Context>,
    strangers: Strangers,
    listener: Listener,
    told: &Mutex<Option<Instant>>,
) {
    let strangers = Arc::new(Mutex::new(strangers));
    loop {
        match listener.accept().await {
            Ok((stream, addr)) => {
                context.counters.accepted.add(1);
                // Full: closed at once, which costs the least.
                if let Some(stranger) = Stranger::enter(&strangers, addr.ip().to_canonical()) {
                    tokio::spawn(welcome(Arc::clone(context), stream, addr, stranger));
                } else {
                    context.counters.turned_away.add(1);
                }
            }
            Err(e) => {
                context.counters.accept_errors.add(1);
                if is_due(&mut lock(told), Instant::now()) {
                    tracing::warn!(name: "talkie.link.unaccepted", "cannot accept connections: {e}; still trying");
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn is_due(told: &mut Option<Instant>, now: Instant) -> bool {
    let due = told.is_none_or(|at| now.saturating_duration_since(at) >= TELL_EVERY);
    if due {
        *told = Some(now);
    }
    due
}

async fn welcome(context: Arc<Context>, stream: Stream, addr: SocketAddr, stranger: Stranger) {
    let _setup = context.setups.enter();
    match respond(&context, stream).await.inspect_err(|why| context.counters.refused(why)) {
        Ok(established) => {
            drop(stranger);
            context.counters.handshakes.add(1);
            let _ = context.inputs.send(Input::Established(Box::new(established))).await;
        }
        Err(SetupError::Redundant(_) | SetupError::Handshake(HandshakeError::Myself)) => {}
        Err(e @ SetupError::Handshake(HandshakeError::Version { .. })) => {
            tracing::warn!(name: "talkie.link.refused", %addr, "refused a link: {e}");
        }
        // A stranger's doing: anybody can cause it, so it is not worth a warning.
        Err(e) => tracing::debug!(name: "talkie.link.refused", %addr, "refused a connection: {e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_nobody_can_be_accepted_is_told_once_a_minute() {
        let (mut told, start) = (None, Instant::now());
        let due = (0..1_800u32).filter(|n| is_due(&mut told, start + PAUSE * *n)).collect::<Vec<_>>();
        assert_eq!(due, [0, 600, 1_200]);
    }
}
