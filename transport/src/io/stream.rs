//! A connection: what links need of it, and its options, in one place.

use std::io::{self, Read as _};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::os::fd::AsFd as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BufMut;
use socket2::{SockRef, Socket};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::unix::pipe;
use tokio::net::{TcpStream, UnixStream};

use super::unix;
use crate::events::LinkKind;

/// The kernel gives a connection up when sent data stays unacknowledged for this long: as long as silence is
/// death ([`crate::proto::liveness::DEAD_AFTER`]), instead of TCP's own quarter of an hour.
#[cfg(any(target_os = "linux", target_os = "android"))]
const USER_TIMEOUT: Duration = crate::proto::liveness::DEAD_AFTER;
/// Most bytes that wait unsent in the kernel, so that a ping never waits behind more than this much data: about
/// two records.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT: u32 = 128 * 1024;
/// How TCP is to pace itself within one host, where nothing can be congested: not at all. Every Linux has it, and lets every
/// process choose it; where BBR is the system's choice, its clock costs more than the copying.
#[cfg(target_os = "linux")]
const WITHIN_HOST: &[u8] = b"reno";
/// What a Unix socket is asked to hold on its way to the reader. Linux takes it twice, so that 256 KiB stand before a ping
/// at most: as much as one read of a busy reader takes.
const UNREAD: usize = 128 * 1024;

/// `MSG_NOSIGNAL` of Linux, the only system with such sockets: a peer that has closed is an error and no signal, also in a program
/// that does not ignore `SIGPIPE`.
const NO_SIGNAL: i32 = 0x4000;

/// A connection to a peer, or to who wants to be one.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    /// A Unix socket of a link; see [`Stream::settle`]. The runtime takes it for a pipe's reading end, which differs in nothing
    /// but that only its readability is watched.
    Settled(pipe::Receiver),
}

impl Stream {
    /// Sets what every link wants. A platform that lacks an option goes without it.
    pub(crate) fn tune(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => {
                stream.set_nodelay(true)?;
                #[cfg(any(target_os = "linux", target_os = "android"))]
                {
                    let socket = SockRef::from(stream);
                    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
                    socket.set_tcp_notsent_lowat(UNSENT)?;
                    #[cfg(target_os = "linux")]
                    if self.is_within_host() {
                        // The system's own choice does, too.
                        let _ = socket.set_tcp_congestion(WITHIN_HOST);
                    }
                }
                Ok(())
            }
            Self::Unix(stream) => SockRef::from(stream).set_send_buffer_size(UNREAD),
            Self::Settled(_) => Ok(()),
        }
    }

    /// Whether the other side is on this host.
    pub(crate) fn is_within_host(&self) -> bool {
        match self {
            Self::Tcp(stream) => match (stream.local_addr(), stream.peer_addr()) {
                (Ok(local), Ok(peer)) => local.ip() == peer.ip(),
                _ => false,
            },
            Self::Unix(_) | Self::Settled(_) => true,
        }
    }

    /// Makes it ready for a link. A Unix socket tells its writer of all that is read, which for a watched one is a thread
    /// that wakes for nothing at each message: so it is watched for writing only while it takes no more.
    pub(crate) fn settle(self) -> io::Result<Self> {
        match self {
            Self::Unix(stream) => {
                pipe::Receiver::from_owned_fd_unchecked(stream.into_std()?.into()).map(Self::Settled)
            }
            other => Ok(other),
        }
    }

    /// Lets the system forget what was not delivered, and tell the other side of the end at once: else that word would stand
    /// behind data which is sent again and again to a peer that does not answer.
    pub(crate) fn abandon(&self) {
        if let Self::Tcp(stream) = self {
            // Where it fails, the end is told later.
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
    }

    pub(crate) const fn kind(&self) -> LinkKind {
        match self {
            Self::Tcp(_) => LinkKind::Tcp,
            Self::Unix(_) | Self::Settled(_) => LinkKind::Unix,
        }
    }

    /// Where it leads to; [`unix::HERE`] for a Unix socket.
    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr(),
            Self::Unix(_) | Self::Settled(_) => Ok(unix::HERE),
        }
    }

    /// The address of this node's end of it; none of a Unix socket, which needs none.
    pub(crate) fn local_ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(stream) => stream.local_addr().ok().map(|local| local.ip()),
            Self::Unix(_) | Self::Settled(_) => None,
        }
    }

    /// Waits until something may be read, or the other side has closed. Cancel safe.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.readable().await,
            Self::Unix(stream) => stream.readable().await,
            Self::Settled(stream) => stream.readable().await,
        }
    }

    /// Waits until something may be written. Cancel safe.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.writable().await,
            Self::Unix(stream) => stream.writable().await,
            Self::Settled(stream) => {
                let watched = stream.as_fd().try_clone_to_owned()?;
                pipe::Sender::from_owned_fd_unchecked(watched)?.writable().await
            }
        }
    }

    /// One read of what is there; 0: the other side has closed.
    pub(crate) fn try_read_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_read_buf(buf),
            Self::Unix(stream) => stream.try_read_buf(buf),
            Self::Settled(stream) => stream.try_read_buf(buf),
        }
    }

    /// The same into memory that is there. A read that comes back short took all there was: the next one waits for more,
    /// instead of asking for it in vain.
    pub(crate) fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let mut short = None;
        let mut read = |mut socket: &Socket| match socket.read(buf)? {
            n if 0 < n && n < buf.len() => {
                short = Some(n);
                // What came before this read is no longer news; what comes behind it still is.
                Err(io::ErrorKind::WouldBlock.into())
            }
            n => Ok(n),
        };
        let whole = match self {
            Self::Tcp(stream) => stream.try_io(Interest::READABLE, || read(&SockRef::from(stream))),
            Self::Unix(stream) => stream.try_io(Interest::READABLE, || read(&SockRef::from(stream))),
            Self::Settled(stream) => stream.try_io(|| read(&SockRef::from(stream))),
        };
        short.map_or(whole, Ok)
    }

    /// One write of what the kernel takes.
    pub(crate) fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write(buf),
            Self::Unix(stream) => stream.try_write(buf),
            Self::Settled(stream) => SockRef::from(stream).send_with_flags(buf, NO_SIGNAL),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Settled(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
            // Only a refusal is written so, which is short; what does not fit is not told.
            settled @ Self::Settled(_) => Poll::Ready(settled.try_write(buf)),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Settled(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Settled(stream) => Poll::Ready(SockRef::from(&*stream).shutdown(Shutdown::Write)),
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn within_one_host_tcp_is_not_paced() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
        let addr = listener.local_addr().expect("it is bound");
        let (stream, _) = tokio::try_join!(TcpStream::connect(addr), listener.accept()).expect("it listens");
        let stream = Stream::Tcp(stream);
        stream.tune().expect("every option is there");
        let Stream::Tcp(stream) = stream else { unreachable!("it is TCP") };
        let told = SockRef::from(&stream).tcp_congestion().expect("the system tells");
        // The name is padded with zeros.
        assert_eq!(told.get(..WITHIN_HOST.len() + 1), Some(b"reno\0".as_slice()));
        assert!(stream.nodelay().expect("the system tells"));
    }
}
