//! A connection becomes a link: handshake, the hellos, and the arbiter's word.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use talkie_discovery::{HostMark, LinkPsk, NodeId, NodeName, Reach, StatsReader, Via};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::budget::Budget;
use super::input::{Established, Hello, Input};
use super::registry::Registry;
use super::session::lock;
use super::stream::Stream;
use crate::proto::handshake::{
    Authenticated, FIRST_LEN, HandshakeError, Identity, Initiator, MAX_LEN, PREAMBLE, RANGE, Responder,
};
use crate::proto::mesh::{DialNumber, LinkNumber, Offer};
use crate::proto::record::{ControlFrames, Farewell, Kind, Lane, RecordError, put_control, take_varint};
use crate::proto::seal::Seal;
use crate::stats::Counters;

/// From the connection to the end of the hellos: who takes longer is given up, and costs a socket no longer.
pub(crate) const SETUP_WITHIN: Duration = Duration::from_secs(2);
/// Most addresses that a hello tells.
const MAX_LISTEN: usize = 8;

/// How many connections are on their way to a link.
#[derive(Debug, Default)]
pub(crate) struct Setups {
    count: AtomicUsize,
    changed: Notify,
}

impl Setups {
    pub(crate) fn enter(&self) -> SettingUp<'_> {
        self.count.fetch_add(1, Ordering::AcqRel);
        SettingUp(self)
    }

    pub(crate) fn any(&self) -> bool {
        self.count() > 0
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// One came to its end. A single waiter never misses it.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// One of them, until dropped.
pub(crate) struct SettingUp<'a>(&'a Setups);

impl Drop for SettingUp<'_> {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::AcqRel);
        self.0.changed.notify_one();
    }
}

/// What every task that sets links up shares.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) identity: Identity,
    pub(crate) psk: LinkPsk,
    pub(crate) name: NodeName,
    pub(crate) max_message: usize,
    pub(crate) registry: Registry,
    /// Room for large messages on their way in.
    pub(crate) budget: Arc<Budget>,
    pub(crate) links: AtomicU64,
    pub(crate) setups: Setups,
    /// The bound address; a wildcard is expanded over `reach`.
    pub(crate) bound: SocketAddr,
    /// This host, where its Unix sockets are used.
    pub(crate) host: Option<HostMark>,
    pub(crate) reach: watch::Receiver<Arc<Reach>>,
    pub(crate) inputs: mpsc::Sender<Input>,
    /// The last handle was dropped.
    pub(crate) closing: CancellationToken,
    pub(crate) counters: Counters,
    pub(crate) heartbeats: StatsReader,
    /// What the mesh knows of each pair, for the hello: newest link's number and whether it lives.
    pub(crate) pairs: Mutex<HashMap<NodeId, (u64, bool)>>,
}

/// Why a connection did not become a link.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetupError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("its hello is malformed")]
    Hello,
    #[error("it closed the connection at once: it holds another secret, or is no Talkie")]
    Closed,
    #[error("no answer within {} s", SETUP_WITHIN.as_secs())]
    Timeout,
    #[error("another link to it is in use")]
    Redundant(NodeId),
    #[error("it refused the link")]
    Refused,
}

const fn via_code(via: Via) -> u8 {
    match via {
        Via::Partner => 1,
        Via::Member => 2,
        Via::Dns => 3,
        _ => 0,
    }
}

const fn via_of(code: u8) -> Via {
    match code {
        1 => Via::Partner,
        2 => Via::Member,
        3 => Via::Dns,
        _ => Via::Multicast,
    }
}

/// Makes a link of a connection that this node dialed.
pub(crate) async fn initiate(
    context: &Context,
    stream: Stream,
    dial: DialNumber,
    via: Via,
) -> Result<Established, SetupError> {
    within(async {
        let mut setup = Setup::new(stream)?;
        let (noise, first) = Initiator::new(&context.identity, &context.psk, RANGE)?;
        let mut out = PREAMBLE.to_vec();
        frame(&mut out, &first);
        setup.stream.write_all(&out).await?;
        // Who does not share the secret says nothing at all.
        let second = setup.read_framed(MAX_LEN).await.map_err(|error| match error {
            SetupError::Io(error)
                if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) =>
            {
                SetupError::Closed
            }
            other => other,
        })?;
        let (third, peer) = noise.read_second(&second)?;
        let mut out = Vec::new();
        frame(&mut out, &third);
        match peer {
            Ok(peer) => setup.greet(context, peer, out, Some(dial), via).await,
            // The other side is told too, by the message that it waits for.
            Err(e) => {
                setup.stream.write_all(&out).await?;
                Err(e.into())
            }
        }
    })
    .await
}

/// Makes a link of a connection that was accepted. Who does not hold the secret gets no byte back.
pub(crate) async fn respond(context: &Context, stream: Stream) -> Result<Established, SetupError> {
    within(async {
        let mut setup = Setup::new(stream)?;
        if setup.read_exact(PREAMBLE.len()).await?.as_ref() != PREAMBLE {
            return Err(HandshakeError::NotTalkie.into());
        }
        let first = setup.read_framed(FIRST_LEN).await?;
        let (noise, second) = Responder::read_first(&context.identity, &context.psk, RANGE, &first)?;
        let mut out = Vec::new();
        frame(&mut out, &second);
        setup.stream.write_all(&out).await?;
        let third = setup.read_framed(MAX_LEN).await?;
        let peer = noise.read_third(&third)?;
        setup.greet(context, peer, Vec::new(), None, Via::Multicast).await
    })
    .await
}

/// Tells the peer why its link is not taken up, and closes.
pub(crate) async fn refuse(mut stream: Stream, mut seal: Seal, why: Farewell) {
    let mut content = vec![Lane::Control as u8];
    put_control(&mut content, Kind::Bye, &[why as u8]);
    let mut wire = Vec::new();
    if seal.seal(&content, &mut wire).is_ok() {
        // A peer that does not read it is closed to all the same.
        let _ = tokio::time::timeout(SETUP_WITHIN, async {
            stream.write_all(&wire).await?;
            stream.shutdown().await?;
            tokio::io::copy(&mut stream, &mut tokio::io::sink()).await
        })
        .await;
    }
}

async fn within<T>(setup: impl Future<Output = Result<T, SetupError>>) -> Result<T, SetupError> {
    tokio::time::timeout(SETUP_WITHIN, setup).await.map_err(|_| SetupError::Timeout)?
}

fn frame(out: &mut Vec<u8>, message: &[u8]) {
    out.extend_from_slice(&(message.len() as u16).to_be_bytes());
    out.extend_from_slice(message);
}

/// A connection on its way.
struct Setup {
    stream: Stream,
    addr: SocketAddr,
    wire: BytesMut,
}

impl Setup {
    fn new(stream: Stream) -> Result<Self, SetupError> {
        stream.tune()?;
        let addr = stream.peer_addr()?;
        Ok(Self { stream, addr, wire: BytesMut::new() })
    }

    async fn more(&mut self) -> Result<(), SetupError> {
        if self.stream.read_buf(&mut self.wire).await? == 0 {
            return Err(std::io::Error::from(ErrorKind::UnexpectedEof).into());
        }
        Ok(())
    }

    async fn read_exact(&mut self, len: usize) -> Result<BytesMut, SetupError> {
        while self.wire.len() < len {
            self.more().await?;
        }
        Ok(self.wire.split_to(len))
    }

    async fn read_framed(&mut self, most: usize) -> Result<BytesMut, SetupError> {
        let len = usize::from(self.read_exact(2).await?.get_u16());
        if len > most {
            return Err(HandshakeError::NotTalkie.into());
        }
        self.read_exact(len).await
    }

    /// Exchanges hellos and, on the side that does not decide, waits for the word of the one that does.
    async fn greet(
        mut self,
        context: &Context,
        peer: Authenticated,
        mut out: Vec<u8>,
        dial: Option<DialNumber>,
        via: Via,
    ) -> Result<Established, SetupError> {
        let Authenticated { id, keys, .. } = peer;
        let (mut seal, mut open) = keys.directions()?;
        let hello = context.hello(id, via, self.addr);
        let mut body = postcard::to_stdvec(&hello).map_err(|_| SetupError::Hello)?;
        body.extend(HostMark::to_bytes(context.host));
        let mut content = vec![Lane::Control as u8];
        put_control(&mut content, Kind::Hello, &body);
        seal.seal(&content, &mut out)?;
        self.stream.write_all(&out).await?;

        let arbiter = context.identity.id() > id;
        let mut theirs = None;
        let mut adopted = None;
        let mut early = Vec::new();
        while theirs.is_none() || (!arbiter && adopted.is_none()) {
            let Some((lane, content)) = open.next(&mut self.wire)? else {
                self.more().await?;
                continue;
            };
            if lane != Lane::Control {
                return Err(RecordError::OutOfOrder.into());
            }
            let mut frames = ControlFrames(&content);
            while let Some(frame) = frames.next() {
                let (kind, mut body) = frame?;
                match kind {
                    Kind::Hello => theirs = Some(parse_hello(body)?),
                    Kind::Adopt => {
                        adopted = Some(take_varint(&mut body)?);
                        // What follows in this record belongs to the link's reader.
                        early = frames.0.to_vec();
                        break;
                    }
                    Kind::Bye if Farewell::of(body) == Farewell::Redundant => {
                        return Err(SetupError::Redundant(id));
                    }
                    Kind::Bye => return Err(SetupError::Refused),
                    _ => return Err(RecordError::OutOfOrder.into()),
                }
            }
        }
        let Some((hello, host)) = theirs else { return Err(SetupError::Hello) };
        let link: LinkNumber = context.links.fetch_add(1, Ordering::Relaxed) + 1;
        let via = if dial.is_some() { via } else { via_of(hello.via) };
        let offer = Offer { id, link, seen: hello.seen, live: hello.live, via };
        let Self { stream, addr, wire } = self;
        let stream = stream.settle()?;
        Ok(Established { offer, hello, host, addr, stream, seal, open, wire, early, adopted, dial })
    }
}

/// The hello, and the host: an older version tells none.
pub(crate) fn parse_hello(body: &[u8]) -> Result<(Hello, Option<HostMark>), SetupError> {
    let (hello, rest) = postcard::take_from_bytes::<Hello>(body).map_err(|_| SetupError::Hello)?;
    // What a later version appends is left alone.
    let host = rest.first_chunk().and_then(|mark| HostMark::from_bytes(*mark));
    if hello.listen.len() > MAX_LISTEN { Err(SetupError::Hello) } else { Ok((hello, host)) }
}

impl Context {
    /// Whether the newest link with `id` is taken to be alive.
    pub(crate) fn set_live(&self, id: NodeId, live: bool) {
        if let Some(pair) = lock(&self.pairs).get_mut(&id) {
            pair.1 = live;
        }
    }

    fn hello(&self, id: NodeId, via: Via, remote: SocketAddr) -> Hello {
        let (seen, live) = lock(&self.pairs).get(&id).copied().unwrap_or_default();
        Hello {
            name: self.name.clone(),
            listen: self.told_to(remote),
            max_message: self.max_message as u64,
            seen,
            live,
            received: self.registry.find(id).and_then(|session| session.received()),
            forgotten: self.registry.has_forgotten(id),
            via: via_code(via),
        }
    }

    /// Where a peer may dial this node: addresses of this host alone are of no use to another.
    fn told_to(&self, remote: SocketAddr) -> Vec<SocketAddr> {
        let local = remote.ip().to_canonical().is_loopback();
        let reach = Arc::clone(&self.reach.borrow());
        let mut addrs = reach.addresses(self.bound);
        addrs.retain(|addr| match addr {
            SocketAddr::V6(addr) if addr.scope_id() != 0 => false,
            addr => local || !addr.ip().is_loopback(),
        });
        addrs.truncate(MAX_LISTEN);
        if addrs.is_empty() {
            // The port alone: the peer knows the host by the connection.
            addrs.push(SocketAddr::new(std::net::Ipv4Addr::UNSPECIFIED.into(), self.bound.port()));
        }
        addrs
    }
}
