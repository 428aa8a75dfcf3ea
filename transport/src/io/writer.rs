//! Out of the outbox onto the wire: what is there in one write, and without waiting for more.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::proto::mesh::LinkNumber;
use crate::proto::outbox::Outbox;
use crate::proto::record::{self, Kind, Lane, MAX_CONTENT};
use crate::proto::seal::Seal;

/// Control bytes that may wait on one link. The crate above keeps a window far below it; a link whose peer takes
/// nothing at all ends by silence long before.
const MAX_CONTROL_WAITING: usize = 4 * 1024 * 1024;

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Something was written; there may be more.
    Wrote,
    /// Nothing is left to write.
    Drained,
    /// The socket takes no more now.
    Blocked,
}

/// The sending half of a session's current link. Sits under the session's lock; never waits.
#[derive(Debug)]
pub(crate) struct LinkOut {
    pub(crate) number: LinkNumber,
    pub(crate) stop: CancellationToken,
    /// The writer task of this link has something to do.
    pub(crate) wake: Arc<Notify>,
    stream: Arc<TcpStream>,
    seal: Seal,
    control: Vec<u8>,
    content: Vec<u8>,
    wire: Vec<u8>,
    written: usize,
    /// Bytes written on this link.
    pub(crate) sent: u64,
    /// Data may flow: the start was sent.
    pub(crate) started: bool,
    /// When the link last did something; the publisher's own task writes only after a pause.
    pub(crate) touched: Instant,
}

impl LinkOut {
    pub(crate) fn new(number: LinkNumber, stream: Arc<TcpStream>, seal: Seal) -> Self {
        Self {
            number,
            stop: CancellationToken::new(),
            wake: Arc::new(Notify::new()),
            stream,
            seal,
            control: Vec::new(),
            content: Vec::new(),
            wire: Vec::new(),
            written: 0,
            sent: 0,
            started: false,
            touched: Instant::now(),
        }
    }

    /// Nothing of an earlier message or frame waits.
    pub(crate) fn is_idle(&self) -> bool {
        self.wire.is_empty() && self.control.is_empty()
    }

    /// Queues a control frame ahead of all data. `false`: too much waits already.
    pub(crate) fn push_control(&mut self, kind: Kind, body: &[u8]) -> bool {
        if body.len() > record::MAX_CONTROL || self.wire.len() + self.control.len() > MAX_CONTROL_WAITING {
            return false;
        }
        // A record ends where the next frame would not fit: frames are never cut.
        if self.control.len() + body.len() + 4 > MAX_CONTENT && self.seal_control().is_err() {
            return false;
        }
        record::put_control(&mut self.control, kind, body);
        true
    }

    fn seal_control(&mut self) -> io::Result<()> {
        self.content.clear();
        self.content.push(Lane::Control as u8);
        self.content.append(&mut self.control);
        self.seal.seal(&self.content, &mut self.wire).map_err(io::Error::other)
    }

    /// One non-blocking write of what is there: control first, then data.
    pub(crate) fn step(&mut self, outbox: &mut Outbox) -> io::Result<Step> {
        if self.wire.is_empty() {
            if !self.control.is_empty() {
                self.seal_control()?;
            }
            if self.started && outbox.has_unsent() {
                self.content.clear();
                self.content.push(Lane::Data as u8);
                if outbox.poll_transmit(&mut self.content, MAX_CONTENT - 1) {
                    self.seal.seal(&self.content, &mut self.wire).map_err(io::Error::other)?;
                }
            }
            if self.wire.is_empty() {
                return Ok(Step::Drained);
            }
        }
        let rest = self.wire.get(self.written..).unwrap_or_default();
        match self.stream.try_write(rest) {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => {
                self.written += n;
                self.sent += n as u64;
                if self.written == self.wire.len() {
                    self.written = 0;
                    self.wire.clear();
                    // Idle links are many: a large buffer is kept only while there is use for it.
                    if !outbox.has_unsent() && self.wire.capacity() > 4 * 1024 {
                        self.wire = Vec::new();
                        self.content = Vec::new();
                    }
                }
                Ok(Step::Wrote)
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(Step::Blocked),
            Err(e) => Err(e),
        }
    }
}
