//! Connections to peers: a target's addresses race, each a little after the one before (RFC 8305). On this host its Unix
//! socket comes before all of them, and they come at once where that refuses.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use talkie_discovery::{NodeId, SecretMark, Via};
use tokio::net::TcpSocket;
use tokio::task::JoinSet;

use super::input::{Established, Input};
use super::link::{Context, SetupError, initiate};
use super::stream::Stream;
use super::unix;
use crate::proto::handshake::HandshakeError;
use crate::proto::mesh::{Dial, DialNumber, Outcome, Target};

/// On a LAN a connection takes a millisecond; the next try comes sooner than TCP would repeat its first packet.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// Head start of each address over the next; RFC 8305 recommends 250 ms for the internet, and allows 100 ms.
const HEAD_START: Duration = Duration::from_millis(100);

/// Dials, and tells the driver of the link or of the failure.
pub(crate) async fn dial(context: Arc<Context>, dial: Dial) {
    let _setup = context.setups.enter();
    context.counters.dials.add(1);
    let mut tries = JoinSet::new();
    let reach = Arc::clone(&context.reach.borrow());
    let mut addrs: Vec<_> = dial.addrs.iter().filter(|addr| reach.may_dial(addr)).copied().collect();
    let (mut last, mut redundant, mut myself) = (None, None, false);
    if addrs.is_empty() {
        last = Some(SetupError::Io(std::io::Error::other(
            "none of its addresses is reached by the chosen interfaces",
        )));
    }
    let number = dial.number;
    let way = Way { number, via: dial.via, secret: dial.secret };
    if let Some(id) = dial.unix {
        match way.try_secrets(&context, At::Unix(id)).await {
            Ok(established) => {
                context.counters.handshakes.add(1);
                let _ = context.inputs.send(Input::Established(Box::new(established))).await;
                return;
            }
            // It was reached, and would say the same by TCP, or nothing.
            Err(SetupError::Redundant(id)) => (redundant, addrs) = (Some(id), Vec::new()),
            Err(SetupError::Timeout) => (last, addrs) = (Some(SetupError::Timeout), Vec::new()),
            Err(e) => tracing::debug!(name: "talkie.dial.failed", %id, "not reached by its Unix socket: {e}"),
        }
    }
    let mut waiting = addrs.into_iter();
    let head_start = tokio::time::sleep(Duration::ZERO);
    tokio::pin!(head_start);
    loop {
        let done = tokio::select! {
            // Who is linked by now needs no further try.
            () = &mut head_start, if redundant.is_none() && !waiting.as_slice().is_empty() => {
                if let Some(addr) = waiting.next() {
                    let context = Arc::clone(&context);
                    tries.spawn(async move { way.try_secrets(&context, At::Tcp(addr)).await });
                }
                let next = head_start.deadline() + HEAD_START;
                head_start.as_mut().reset(next);
                continue;
            }
            Some(done) = tries.join_next() => done,
            else => break,
        };
        match done {
            Ok(Ok(established)) => {
                context.counters.handshakes.add(1);
                let _ = context.inputs.send(Input::Established(Box::new(established))).await;
                return;
            }
            // The link in use may be the one that another address of this very race just made.
            Ok(Err(SetupError::Redundant(id))) => redundant = Some(id),
            // Several hosts may have one address in common, as that of a bridge for containers: the next one counts.
            Ok(Err(SetupError::Handshake(HandshakeError::Myself))) => myself = true,
            Ok(Err(e)) => last = Some(e),
            Err(e) => tracing::error!(name: "talkie.dial.broken", "a dial ended unexpectedly: {e}"),
        }
    }
    if let Some(id) = redundant {
        context.counters.dials_redundant.add(1);
        let _ = context.inputs.send(Input::DialEnded { number, outcome: Outcome::Reached(id) }).await;
        return;
    }
    if myself && last.is_none() {
        let _ = context.inputs.send(Input::DialEnded { number, outcome: Outcome::Myself }).await;
        return;
    }
    context.counters.dials_failed.add(1);
    let outcome = match last {
        Some(SetupError::Timeout) => Outcome::Unanswered,
        _ => Outcome::Failed,
    };
    let why = last.map(|e| e.to_string()).unwrap_or_default();
    tracing::debug!(name: "talkie.dial.failed", target = %Shown(dial.target), "dial failed: {why}");
    let _ = context.inputs.send(Input::DialFailed { number, target: dial.target, outcome, why }).await;
}

/// One place where a target may be.
#[derive(Clone, Copy)]
enum At {
    Unix(NodeId),
    Tcp(SocketAddr),
}

impl At {
    async fn connect(self) -> std::io::Result<Stream> {
        match self {
            Self::Unix(id) => unix::connect(id).await.map(Stream::Unix),
            Self::Tcp(addr) => connect(addr).await,
        }
    }
}

/// What is the same at each of a target's addresses.
#[derive(Clone, Copy)]
struct Way {
    number: DialNumber,
    via: Via,
    /// The secret to begin with.
    secret: Option<SecretMark>,
}

impl Way {
    /// Connects, and again for each further secret: who does not accept one closes without a word.
    async fn try_secrets(self, context: &Context, at: At) -> Result<Established, SetupError> {
        let keys = context.keys.borrow().clone();
        let mut done = Err(SetupError::Closed);
        for keys in keys.beginning_with(self.secret) {
            done = async { initiate(context, keys, at.connect().await?, self.number, self.via).await }.await;
            if !matches!(done, Err(SetupError::Closed)) {
                break;
            }
        }
        done.inspect_err(|why| context.counters.refused(why))
    }
}

async fn connect(addr: SocketAddr) -> std::io::Result<Stream> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    let connected = tokio::time::timeout(CONNECT_WITHIN, socket.connect(addr))
        .await
        .map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))?;
    connected.map(Stream::Tcp)
}

/// A target in words.
pub(crate) struct Shown(pub(crate) Target);

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Target::Node(id) => write!(f, "node {id}"),
            Target::Partner(_, addr) => write!(f, "partner {addr}"),
        }
    }
}
