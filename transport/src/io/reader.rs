//! Bytes of one link to records, frames and deliveries, in the task that reads them.

mod control;

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::sync::mpsc;

use self::control::Control;
use super::budget::Budget;
use super::bulk::BulkIn;
use super::input::Input;
use super::session::{Session, lock};
use super::stream::Stream;
use crate::events::DownReason;
use crate::peer::{Arrival, Deliver, Inbound, PeerSender, Pressed};
use crate::proto::inbox::Admit;
use crate::proto::liveness::Liveness;
use crate::proto::mesh::LinkNumber;
use crate::proto::open::{Copies, Open, Reassembly};
use crate::proto::record::{
    DataFrame, FRAME_OVERHEAD, Farewell, Kind, Lane, MAX_FRAME, RecordError, parse_data, put_varint,
};

/// An acknowledgement waits this long for more to acknowledge: 50 a second at most while little flows.
const ACK_AFTER: Duration = Duration::from_millis(20);
/// Under load one is sent for so many records or bytes: an eighth or less of what the other side may hold.
const ACK_RECORDS: u64 = 4_096;
const ACK_BYTES: usize = 256 * 1024;
/// Room for one read at first, and on an idle link: a few small messages.
const READ_SMALL: usize = 4 * 1024;
/// Room for one read while reads come back full: four records.
const READ_LARGE: usize = 256 * 1024;
/// So many small reads in a row make an idle link: pings of some seconds, or a pause in what was a flood.
const FEW: u8 = 16;

/// Messages that are handed over at once: the locks on their way are then taken once for all of them.
const TOGETHER: usize = 128;
/// How long a reader gives way to those who read from full queues, in all of each [`GIVE_WAY_EVERY`]. A slice of the
/// scheduler's is 3 ms, and two of them may pass before they run. Who is slower still must not hold up others by more than
/// a tenth of the time.
const GIVE_WAY: Duration = Duration::from_millis(10);
const GIVE_WAY_EVERY: Duration = Duration::from_millis(100);
/// Less does not count: who reads that fast keeps up, and taking turns with it costs less than running ahead of it.
const SHORT: Duration = Duration::from_millis(1);

/// What of messages has come and is not whole yet, or not handed over.
pub(crate) struct Lanes {
    data: Reassembly,
    bulk: BulkIn,
    copies: Copies,
    arrived: Vec<Arrival>,
}

impl Lanes {
    /// For messages of up to `max_message` bytes.
    pub(crate) fn new(max_message: usize, budget: Arc<Budget>) -> Self {
        Self {
            data: Reassembly::new(MAX_FRAME),
            bulk: BulkIn::new(max_message + FRAME_OVERHEAD, budget),
            copies: Copies::default(),
            arrived: Vec::new(),
        }
    }
}

/// The receiving half of one link.
pub(crate) struct LinkIn {
    pub(crate) session: Arc<Session>,
    pub(crate) number: LinkNumber,
    pub(crate) stream: Arc<Stream>,
    pub(crate) open: Open,
    /// Bytes that were read behind the handshake.
    pub(crate) wire: BytesMut,
    /// Control frames that came with the arbiter's word.
    pub(crate) early: Vec<u8>,
    pub(crate) lanes: Lanes,
    pub(crate) live: Arc<Mutex<Liveness>>,
    pub(crate) deliver: Arc<dyn Deliver>,
    /// Where the link leads to.
    pub(crate) addr: SocketAddr,
    pub(crate) inputs: mpsc::Sender<Input>,
}

/// Why a link ended, for the mesh and for the log.
#[derive(Debug)]
pub(crate) enum End {
    Bye(Farewell),
    Eof,
    Io(io::Error),
    Protocol(RecordError),
    /// A newer link took its place.
    Replaced,
}

impl End {
    pub(crate) const fn reason(&self) -> DownReason {
        match self {
            Self::Bye(Farewell::Leaving) => DownReason::Left,
            Self::Bye(Farewell::Secret) => DownReason::Secret,
            _ => DownReason::Closed,
        }
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bye(Farewell::Leaving) => f.write_str("it left"),
            Self::Bye(Farewell::Redundant) => f.write_str("another link is in use"),
            Self::Bye(Farewell::Refused) => f.write_str("it refused what this node sent"),
            Self::Bye(Farewell::Secret) => f.write_str("it accepts this node's secret no more"),
            Self::Eof => f.write_str("closed without a goodbye"),
            Self::Io(e) => e.fmt(f),
            Self::Protocol(e) => e.fmt(f),
            Self::Replaced => f.write_str("replaced"),
        }
    }
}

/// Acknowledgements that are due.
#[derive(Debug, Default)]
struct Acks {
    records: u64,
    bytes: usize,
    /// The number that the peer waits for.
    wanted: Option<u64>,
    due: Option<Instant>,
}

impl LinkIn {
    /// Reads until the link ends.
    pub(crate) async fn run(mut self) -> End {
        let from = PeerSender(Arc::clone(&self.session));
        let mut acks = Acks::default();
        let mut next = None;
        let (mut room, mut few) = (READ_SMALL, 0u8);
        let mut patience = Patience::default();
        // Set anew only when it has passed: that costs more than to find nothing due.
        let mut alarm = pin!(tokio::time::sleep(Duration::ZERO));
        let mut set = false;
        let control = self.control(&from);
        match control.handle_all(&self.early, &*self.deliver, &mut next, &mut acks) {
            Ok(None) => self.session.write(self.number),
            Ok(Some(end)) => return end,
            Err(e) => return End::Protocol(e),
        }
        loop {
            match self.handle(&from, &mut next, &mut acks) {
                Ok(Handled::All) => {}
                Ok(Handled::Pressed(pressed)) => {
                    // The peer is told what was had, or it would take this link for one that stands still.
                    self.acknowledge(&mut acks);
                    patience.give_way(pressed).await;
                    continue;
                }
                Ok(Handled::End(end)) => return end,
                Err(e) => return End::Protocol(e),
            }
            self.acknowledge(&mut acks);
            if !set && let Some(due) = acks.due {
                alarm.as_mut().reset(due.into());
                set = true;
            }
            tokio::select! {
                biased;
                changed = self.lanes.bulk.changed() => match changed {
                    Ok(()) => continue,
                    Err(e) => return End::Protocol(e.into()),
                },
                readable = self.stream.readable() => match readable {
                    Ok(()) => {}
                    Err(e) => return End::Io(e),
                },
                () = &mut alarm, if set => {
                    set = false;
                    continue;
                }
            }
            match read(&self.stream, &mut self.wire, room) {
                Ok(0) => return End::Eof,
                Ok(n) => {
                    self.session.received.wire_bytes.add(n as u64);
                    room = if n >= room { READ_LARGE } else { room };
                    few = if n > READ_SMALL { 0 } else { few.saturating_add(1) };
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    // Idle links are many: a large buffer is kept only while there is use for it.
                    if few >= FEW && room > READ_SMALL && self.wire.is_empty() {
                        room = READ_SMALL;
                        self.wire = BytesMut::new();
                        self.lanes.copies.release();
                    }
                }
                Err(e) => return End::Io(e),
            }
        }
    }

    fn control<'a>(&'a self, from: &'a PeerSender) -> Control<'a> {
        let Self { session, number, live, addr, inputs, .. } = self;
        Control { session, number: *number, live, from, addr: *addr, inputs }
    }

    /// Handles every whole record that was read, or those until somebody's queue is full.
    fn handle(
        &mut self,
        from: &PeerSender,
        next: &mut Option<u64>,
        acks: &mut Acks,
    ) -> Result<Handled, RecordError> {
        // What was left when a queue was full.
        match self.deliver_data(from, next, acks)? {
            Handled::All => {}
            other => return Ok(other),
        }
        let mut heard = false;
        while let Some((lane, content)) = self.open.next(&mut self.wire)? {
            // Only what authenticates is a sign of life, whatever else trickles in.
            if !std::mem::replace(&mut heard, true) {
                lock(&self.live).handle_heard(Instant::now());
            }
            match lane {
                Lane::Data => {
                    acks.bytes += content.len();
                    self.lanes.data.push(content);
                    match self.deliver_data(from, next, acks)? {
                        Handled::All => {}
                        other => return Ok(other),
                    }
                }
                Lane::Bulk => {
                    self.lanes.bulk.push(&content)?;
                    // As on the sending side: others that wait for a processor have their turn.
                    std::thread::yield_now();
                }
                Lane::Control => {
                    let control = Control {
                        session: &self.session,
                        number: self.number,
                        live: &self.live,
                        from,
                        addr: self.addr,
                        inputs: &self.inputs,
                    };
                    if let Some(end) = control.handle_all(&content, &*self.deliver, next, acks)? {
                        return Ok(Handled::End(end));
                    }
                    self.session.write(self.number);
                }
            }
        }
        Ok(Handled::All)
    }

    /// Delivers every whole frame, or those until somebody's queue is full.
    fn deliver_data(
        &mut self,
        from: &PeerSender,
        next: &mut Option<u64>,
        acks: &mut Acks,
    ) -> Result<Handled, RecordError> {
        let Self { session, number, lanes, deliver, .. } = self;
        if lanes.data.is_empty() {
            lanes.data.release();
            return Ok(Handled::All);
        }
        let mut inbox = lock(&session.inbox);
        if session.current() != *number {
            // A newer link is in use, and will bring the same again.
            return Ok(Handled::End(End::Replaced));
        }
        let Lanes { data, bulk, copies, arrived } = lanes;
        let mut pressed = None;
        let mut frames = || -> Result<(), RecordError> {
            while pressed.is_none()
                && let Some(frame) = data.next_frame()?
            {
                let at = next.as_mut().ok_or(RecordError::OutOfOrder)?;
                let admit = inbox.admit(*at);
                *at = at.checked_add(1).ok_or(RecordError::Exhausted)?;
                acks.records += 1;
                let data = parse_data(&frame)?;
                // Also one that was had before came in pieces, which make way for the next.
                let large = matches!(data, DataFrame::Large { .. }).then(|| bulk.take()).transpose()?;
                match admit {
                    Admit::Duplicate => continue,
                    Admit::Hole => return Err(RecordError::OutOfOrder),
                    Admit::Deliver => {}
                }
                match (data, large) {
                    (DataFrame::Message { interests, body }, _) => {
                        let len = body.len();
                        arrived.push(Arrival { interests, body: copies.take(frame, len) });
                        if arrived.len() >= TOGETHER {
                            pressed = hand_over(session, &**deliver, from, arrived);
                        }
                    }
                    (DataFrame::Large { interests }, Some(body)) => {
                        arrived.push(Arrival { interests, body });
                        pressed = hand_over(session, &**deliver, from, arrived);
                    }
                    (DataFrame::Gap { missed, exact }, _) => {
                        pressed = hand_over(session, &**deliver, from, arrived);
                        let gap = deliver.deliver(from, Inbound::Gap { interests: &missed, exact });
                        pressed = pressed.take().or(gap);
                    }
                    (DataFrame::Large { .. } | DataFrame::Unknown, _) => {}
                }
            }
            Ok(())
        };
        let whole = frames();
        // What was admitted before an error counts as had.
        let last = hand_over(session, &**deliver, from, arrived);
        whole?;
        Ok(pressed.or(last).map_or(Handled::All, Handled::Pressed))
    }

    /// Sends an acknowledgement when one is due, or plans it.
    fn acknowledge(&mut self, acks: &mut Acks) {
        if let Some(taken) = self.lanes.bulk.poll_taken() {
            let mut body = Vec::new();
            put_varint(&mut body, taken);
            self.session.control(Some(self.number), Kind::Taken, &body);
        }
        let Some((_, number)) = self.session.received() else { return };
        let wanted = acks.wanted.is_some_and(|wanted| wanted <= number);
        let full = acks.records >= ACK_RECORDS || acks.bytes >= ACK_BYTES;
        let due = acks.due.is_some_and(|at| at <= Instant::now());
        if wanted || full || due {
            let mut body = Vec::new();
            put_varint(&mut body, number);
            self.session.control(Some(self.number), Kind::Ack, &body);
            *acks = Acks { wanted: acks.wanted.filter(|wanted| *wanted > number), ..Acks::default() };
        } else if acks.records > 0 && acks.due.is_none() {
            acks.due = Some(Instant::now() + ACK_AFTER);
        }
    }
}

/// One read of up to `room` bytes, which is [`READ_SMALL`] or more.
fn read(stream: &Stream, wire: &mut BytesMut, room: usize) -> io::Result<usize> {
    wire.reserve(room);
    if room > READ_SMALL {
        return stream.try_read_buf(wire);
    }
    let mut few = [0; READ_SMALL];
    let n = stream.try_read(&mut few)?;
    wire.extend_from_slice(few.get(..n).unwrap_or_default());
    Ok(n)
}

/// Hands over what has arrived.
fn hand_over(
    session: &Session,
    deliver: &dyn Deliver,
    from: &PeerSender,
    arrived: &mut Vec<Arrival>,
) -> Option<Pressed> {
    if arrived.is_empty() {
        return None;
    }
    session.received.messages.add(arrived.len() as u64);
    session.received.bytes.add(arrived.iter().map(|arrival| arrival.body.len() as u64).sum());
    let pressed = deliver.deliver(from, Inbound::Messages(arrived));
    arrived.clear();
    pressed
}

/// How much a reader has given way of late.
#[derive(Default)]
struct Patience {
    since: Option<Instant>,
    spent: Duration,
}

impl Patience {
    async fn give_way(&mut self, pressed: Pressed) {
        let now = Instant::now();
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= GIVE_WAY_EVERY) {
            (self.since, self.spent) = (Some(now), Duration::ZERO);
        }
        let left = GIVE_WAY.saturating_sub(self.spent);
        match pressed {
            Pressed::Until(room) if !left.is_zero() => {
                // Late or not: whoever reads has had its time, and others wait behind it.
                let _ = tokio::time::timeout(left, room).await;
                let waited = now.elapsed();
                if waited >= SHORT {
                    self.spent += waited;
                }
            }
            Pressed::Until(_) | Pressed::Passing => tokio::task::yield_now().await,
        }
    }
}

/// How handling what was read came out.
enum Handled {
    All,
    /// Somebody should read first.
    Pressed(Pressed),
    End(End),
}
