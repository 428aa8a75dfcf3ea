//! Out of the outbox onto the wire: what is there in one write, and without waiting for more.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use smallvec::SmallVec;
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

/// Bytes of a buffer that an idle link keeps.
const KEPT: usize = 4 * 1024;
/// So many small batches in a row make an idle link: pings of some seconds, or a pause in what was a flood.
const FEW: u8 = 16;

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

/// The sending half of a session's current link. Sits under the session's lock; never waits. What leaves is put together
/// here, and sealed and written as a [`Batch`] without that lock, so that others can queue meanwhile.
#[derive(Debug)]
pub(crate) struct LinkOut {
    pub(crate) number: LinkNumber,
    pub(crate) stop: CancellationToken,
    /// The writer task of this link has something to do.
    pub(crate) wake: Arc<Notify>,
    /// It was told so, and has not looked yet.
    woken: bool,
    stream: Arc<Stream>,
    /// None while a batch is under way: whoever has it looks for more when it gives it back.
    tools: Option<Tools>,
    /// What of large messages may be under way.
    pub(crate) window: Window,
    /// Whose turn it is where both wait: a piece of a large message, or the data lane.
    bulk_next: bool,
    /// Control frames that wait, and whole records of earlier ones.
    control: Vec<u8>,
    earlier: VecDeque<Vec<u8>>,
    /// Bytes of the batch under way, or of what the socket has not taken of the last one.
    under_way: usize,
    /// Bytes written on this link.
    pub(crate) sent: u64,
    /// Data may flow: the start was sent.
    pub(crate) started: bool,
    /// When data last left; the publisher's own task writes only after a pause.
    pub(crate) touched: Instant,
}

/// What seals, and what it sealed and the socket has not taken yet.
#[derive(Debug)]
struct Tools {
    seal: Seal,
    wire: Vec<u8>,
    written: usize,
    /// Small batches since the last large one.
    small: u8,
}

/// What leaves in one write.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) number: LinkNumber,
    stream: Arc<Stream>,
    tools: Tools,
    /// Where the records begin that are not sealed yet.
    records: SmallVec<[usize; 2]>,
    piece: bool,
    /// Bytes that were written.
    pub(crate) wrote: usize,
}

impl Batch {
    /// Seals it, and writes once what the socket takes.
    pub(crate) fn leave(&mut self) -> io::Result<Step> {
        let Tools { seal, wire, written, .. } = &mut self.tools;
        for (place, begin) in self.records.iter().enumerate() {
            let end = self.records.get(place + 1).copied().unwrap_or(wire.len());
            let record = wire.get_mut(*begin..end).unwrap_or_default();
            if let Err(error) = seal.seal_record(record) {
                // Nothing that is not sealed may ever leave.
                wire.clear();
                *written = 0;
                return Err(io::Error::other(error));
            }
        }
        self.records.clear();
        match self.stream.try_write(wire.get(*written..).unwrap_or_default()) {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => {
                self.wrote = n;
                *written += n;
                Ok(if self.piece { Step::WrotePiece } else { Step::Wrote })
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(Step::Blocked),
            Err(e) => Err(e),
        }
    }
}

impl LinkOut {
    pub(crate) fn new(number: LinkNumber, stream: Arc<Stream>, seal: Seal) -> Self {
        Self {
            number,
            stop: CancellationToken::new(),
            wake: Arc::new(Notify::new()),
            woken: false,
            stream,
            tools: Some(Tools { seal, wire: Vec::new(), written: 0, small: 0 }),
            window: Window::new(MIN_WINDOW),
            bulk_next: false,
            control: Vec::new(),
            earlier: VecDeque::new(),
            under_way: 0,
            sent: 0,
            started: false,
            touched: Instant::now(),
        }
    }

    /// Whether a batch is under way: who has it looks for more.
    pub(crate) const fn is_busy(&self) -> bool {
        self.tools.is_none()
    }

    /// Tells the writer task that there is something to do, once until it looks.
    pub(crate) fn wake_writer(&mut self) {
        if !std::mem::replace(&mut self.woken, true) {
            self.wake.notify_one();
        }
    }

    /// It looks now.
    pub(crate) const fn looked(&mut self) {
        self.woken = false;
    }

    /// See [`Stream::abandon`].
    pub(crate) fn abandon(&self) {
        self.stream.abandon();
    }

    /// Nothing of an earlier message or frame waits, and nothing is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.control.is_empty()
            && self.earlier.is_empty()
            && self.tools.as_ref().is_some_and(|tools| tools.wire.is_empty())
    }

    /// Queues a control frame ahead of all data. `false`: too much waits already.
    pub(crate) fn push_control(&mut self, kind: Kind, body: &[u8]) -> bool {
        let waiting = self.under_way + self.earlier.len() * MAX_CONTENT + self.control.len();
        if body.len() > record::MAX_CONTROL || waiting > MAX_CONTROL_WAITING {
            return false;
        }
        // A record ends where the next frame would not fit: frames are never cut.
        if self.control.len() + body.len() + 4 > MAX_CONTENT {
            self.earlier.push_back(std::mem::take(&mut self.control));
        }
        record::put_control(&mut self.control, kind, body);
        true
    }

    /// Whether something could leave, now or when the batch under way is back.
    pub(crate) fn has_work(&self, outbox: &Outbox) -> bool {
        !self.control.is_empty()
            || !self.earlier.is_empty()
            || self.tools.as_ref().is_some_and(|tools| !tools.wire.is_empty())
            || (self.started && (outbox.has_unsent() || self.has_piece(outbox)))
    }

    /// Whether a piece of a large message could leave.
    pub(crate) fn has_piece(&self, outbox: &Outbox) -> bool {
        outbox.next_piece().is_some_and(|len| len <= self.window.room())
    }

    /// Puts together what is there: control first, then data or, where `bulk` says so, a piece of a large message; these two
    /// take turns. None where there is nothing, or where a batch is under way.
    pub(crate) fn take(&mut self, outbox: &mut Outbox, bulk: bool) -> Option<Batch> {
        let mut tools = self.tools.take()?;
        let (mut records, mut piece) = (SmallVec::new(), false);
        // What the socket did not take goes first.
        if tools.wire.is_empty() {
            for control in self.earlier.drain(..) {
                put_record(&mut tools.wire, &mut records, Lane::Control, |wire| {
                    wire.extend_from_slice(&control)
                });
            }
            if !self.control.is_empty() {
                let control = &mut self.control;
                put_record(&mut tools.wire, &mut records, Lane::Control, |wire| wire.append(control));
            }
            if self.started {
                piece = self.take_data(outbox, bulk, &mut tools.wire, &mut records);
            }
        }
        if tools.wire.is_empty() {
            self.tools = Some(tools);
            return None;
        }
        self.under_way = tools.wire.len();
        let stream = Arc::clone(&self.stream);
        Some(Batch { number: self.number, stream, tools, records, piece, wrote: 0 })
    }

    /// Whether it is a piece of a large message.
    fn take_data(
        &mut self,
        outbox: &mut Outbox,
        bulk: bool,
        wire: &mut Vec<u8>,
        records: &mut SmallVec<[usize; 2]>,
    ) -> bool {
        let (data, piece) = (outbox.has_unsent(), bulk && self.has_piece(outbox));
        let piece = piece && (self.bulk_next || !data);
        if piece {
            let window = &mut self.window;
            put_record(wire, records, Lane::Bulk, |wire| {
                if let Some(piece) = outbox.poll_piece(wire) {
                    window.handle_sent(piece.len, piece.last);
                }
            });
        } else if data {
            self.touched = Instant::now();
            put_record(wire, records, Lane::Data, |wire| {
                outbox.poll_transmit(wire, MAX_CONTENT - 1);
            });
        }
        if piece || data {
            self.bulk_next = !piece;
        }
        piece
    }

    /// Takes back a batch of this link that has left, or some of it.
    pub(crate) fn give_back(&mut self, batch: Batch) {
        let Batch { mut tools, wrote, .. } = batch;
        self.sent += wrote as u64;
        if tools.written == tools.wire.len() {
            tools.small = if tools.wire.len() > KEPT { 0 } else { tools.small.saturating_add(1) };
            tools.written = 0;
            self.under_way = 0;
            tools.wire.clear();
            // Idle links are many: a large buffer is kept only while there is use for it.
            if tools.wire.capacity() > KEPT && tools.small >= FEW {
                tools.wire = Vec::new();
            }
        }
        self.tools = Some(tools);
    }
}

/// Appends a record that is whole, to be sealed later.
fn put_record(
    wire: &mut Vec<u8>,
    records: &mut SmallVec<[usize; 2]>,
    lane: Lane,
    put: impl FnOnce(&mut Vec<u8>),
) {
    records.push(Seal::begin(wire));
    wire.push(lane as u8);
    put(wire);
    Seal::end(wire);
}
