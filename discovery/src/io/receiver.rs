//! Every socket -> datagram.

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::task::{Context, Poll};

use tokio::io::ReadBuf;

use super::socket::Sockets;

/// Room for a datagram: over a heartbeat's size, so that a longer one is seen to be longer.
pub(crate) const ROOM: usize = 512;

/// Takes datagrams from all sockets in turn.
#[derive(Debug)]
pub(crate) struct Receiver {
    buffer: [u8; ROOM],
    turn: usize,
}

/// One datagram: which socket it came by, from where, and its size in the buffer.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Came {
    pub(crate) socket: usize,
    pub(crate) source: IpAddr,
    pub(crate) size: usize,
}

/// The socket at this place failed.
#[derive(Debug)]
pub(crate) struct Failed(pub(crate) usize, pub(crate) io::Error);

impl Receiver {
    pub(crate) fn new() -> Self {
        Self { buffer: [0; ROOM], turn: 0 }
    }

    /// The bytes of what came last.
    pub(crate) fn bytes(&self, came: Came) -> &[u8] {
        self.buffer.get(..came.size).unwrap_or_default()
    }

    /// The next datagram by any socket; waits for ever where there is none. Cancel-safe.
    pub(crate) async fn recv(&mut self, sockets: &Sockets) -> Result<Came, Failed> {
        poll_fn(|context| self.poll(sockets, context)).await
    }

    fn poll(&mut self, sockets: &Sockets, context: &mut Context<'_>) -> Poll<Result<Came, Failed>> {
        let count = sockets.all.len();
        // Begin behind the one that was served last, so that a flooded interface does not silence the others.
        for at in (0..count).map(|offset| (self.turn + offset) % count) {
            let Some(socket) = sockets.all.get(at) else {
                continue;
            };
            let mut buffer = ReadBuf::new(&mut self.buffer);
            match socket.udp.poll_recv_from(context, &mut buffer) {
                Poll::Pending => {}
                Poll::Ready(Ok(source)) => {
                    let size = buffer.filled().len();
                    self.turn = at + 1;
                    return Poll::Ready(Ok(Came { socket: at, source: source.ip(), size }));
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Failed(at, error))),
            }
        }
        Poll::Pending
    }
}
