//! Out of the outbox onto the wire: what is there in one write, and without waiting for more.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::stream::Stream;
use crate::proto::bulk::{MIN_WINDOW, Window};
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
    /// The same, and with it a piece of a large message.
    WrotePiece,
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
    stream: Arc<Stream>,
    seal: Seal,
    /// What of large messages may be under way.
    pub(crate) window: Window,
    /// Whose turn it is where both wait: a piece of a large message, or the data lane.
    bulk_next: bool,
    control: Vec<u8>,
    wire: Vec<u8>,
    written: usize,
    /// Bytes written on this link.
    pub(crate) sent: u64,
    /// Data may flow: the start was sent.
    pub(crate) started: bool,
    /// When data last left; the publisher's own task writes only after a pause.
    pub(crate) touched: Instant,
}

impl LinkOut {
    pub(crate) fn new(number: LinkNumber, stream: Arc<Stream>, seal: Seal) -> Self {
        Self {
            number,
            stop: CancellationToken::new(),
            wake: Arc::new(Notify::new()),
            stream,
            seal,
            window: Window::new(MIN_WINDOW),
            bulk_next: false,
            control: Vec::new(),
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
        let begin = Seal::begin(&mut self.wire);
        self.wire.push(Lane::Control as u8);
        self.wire.append(&mut self.control);
        self.seal.finish(&mut self.wire, begin).map_err(io::Error::other)
    }

    /// Whether the writer task has something to do.
    pub(crate) fn has_work(&self, outbox: &Outbox) -> bool {
        !self.is_idle() || (self.started && (outbox.has_unsent() || self.has_piece(outbox)))
    }

    fn has_piece(&self, outbox: &Outbox) -> bool {
        outbox.next_piece().is_some_and(|len| len <= self.window.room())
    }

    /// One non-blocking write of what is there: control first, then data or, where `bulk` says so, a piece of a large
    /// message; these two take turns.
    pub(crate) fn step(&mut self, outbox: &mut Outbox, bulk: bool) -> io::Result<Step> {
        let mut piece = false;
        if self.wire.is_empty() {
            if !self.control.is_empty() {
                self.seal_control()?;
            }
            if self.started {
                piece = self.seal_next(outbox, bulk)?;
            }
            if self.wire.is_empty() {
                return Ok(Step::Drained);
            }
        }
        match self.write(outbox)? {
            Step::Wrote if piece => Ok(Step::WrotePiece),
            step => Ok(step),
        }
    }

    /// Whether what was sealed is a piece of a large message.
    fn seal_next(&mut self, outbox: &mut Outbox, bulk: bool) -> io::Result<bool> {
        let (data, piece) = (outbox.has_unsent(), bulk && self.has_piece(outbox));
        let piece = piece && (self.bulk_next || !data);
        if !piece && !data {
            return Ok(false);
        }
        // What is sealed is put together where it leaves from.
        let begin = Seal::begin(&mut self.wire);
        self.bulk_next = !piece;
        if piece {
            self.wire.push(Lane::Bulk as u8);
            if let Some(piece) = outbox.poll_piece(&mut self.wire) {
                self.window.handle_sent(piece.len, piece.last);
            }
        } else {
            self.touched = Instant::now();
            self.wire.push(Lane::Data as u8);
            outbox.poll_transmit(&mut self.wire, MAX_CONTENT - 1);
        }
        self.seal.finish(&mut self.wire, begin).map_err(io::Error::other)?;
        Ok(piece)
    }

    fn write(&mut self, outbox: &Outbox) -> io::Result<Step> {
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
                    if !self.has_work(outbox) && self.wire.capacity() > 4 * 1024 {
                        self.wire = Vec::new();
                    }
                }
                Ok(Step::Wrote)
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(Step::Blocked),
            Err(e) => Err(e),
        }
    }
}
