//! What leaves on a link: the data lane's bytes, and the pieces of large messages.

use super::Outbox;
use super::entry::{Entry, Record};
use crate::body::Body;
use crate::proto::record::{self, MAX_PIECE};

/// What has left on this link of the record at the cursor.
#[derive(Debug, Default)]
pub(super) struct Cut {
    /// The frame but for the body of a message; of a run nothing.
    head: Vec<u8>,
    /// How many bytes have left; of a run, up to where.
    pub(super) sent: usize,
    /// Of a run: where the frame begins that has not left whole.
    whole: usize,
}

/// What of the large message whose turn it is has left on this link.
#[derive(Debug, Default)]
pub(super) struct Bulk {
    /// Its number, where it has one already: the first large record from the cursor on. Else it is the front of those
    /// that are held.
    number: Option<u64>,
    /// How many bytes of it have left.
    pub(super) sent: usize,
    /// All have left; now its frame must, before another begins.
    pub(super) whole: bool,
}

/// A piece of a large message that leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// How many bytes of the message are in it.
    pub len: usize,
    /// Whether it is the last of its message.
    pub last: bool,
}

impl Outbox {
    /// Pieces leave again from the first one on, also those of messages that have a number already.
    pub(super) fn rewind_bulk(&mut self) {
        self.larges = self.queue.range(self.cursor..).filter(|entry| entry.record.is_large()).count();
        self.next_bulk();
    }

    /// Turns to the next large message.
    fn next_bulk(&mut self) {
        let number = match self.larges {
            0 => None,
            _ => {
                self.queue.range(self.cursor..).find(|entry| entry.record.is_large()).map(|entry| entry.start)
            }
        };
        self.bulk = Bulk { number, ..Bulk::default() };
    }

    /// Appends bytes of the data lane to `buf`, up to `room` of them. `false`: nothing is left to send.
    pub fn poll_transmit(&mut self, buf: &mut Vec<u8>, room: usize) -> bool {
        let begin = buf.len();
        let end = begin + room;
        while buf.len() < end && self.has_unsent() {
            let Some(Entry { start, record }) = self.queue.get(self.cursor) else { break };
            let cut = self.cut.get_or_insert_with(|| match record {
                Record::Run(run) => Cut { head: Vec::new(), sent: run.begin(), whole: run.begin() },
                record => Cut { head: record.head(), ..Cut::default() },
            });
            if let Record::Run(run) = record {
                let rest = run.from(cut.sent);
                if buf.len() > begin && rest.len() > end - buf.len() {
                    // It fits into the next record, where no frame of it needs to be put together.
                    break;
                }
                let take = rest.get(..end - buf.len()).unwrap_or(rest);
                buf.extend_from_slice(take);
                cut.sent += take.len();
                if cut.sent == run.end() {
                    (cut.whole, self.left) = (cut.sent, start + run.count());
                }
                while let Some(len) = run.frame_len(cut.whole)
                    && cut.whole + len <= cut.sent
                {
                    cut.whole += len;
                    self.left += 1;
                }
                self.high = self.high.max(self.left + u64::from(cut.whole < cut.sent));
                if self.left < start + run.count() {
                    continue;
                }
                // The last one stays: others may join it.
                if self.cursor + 1 < self.queue.len() {
                    self.turn();
                }
                continue;
            }
            self.high = self.high.max(start + 1);
            let body = if let Record::Message { body, .. } = record { body.parts() } else { [&[][..]; 2] };
            let (mut from, parts) = (0, [&cut.head, body[0], body[1]]);
            for part in parts {
                let done = cut.sent.saturating_sub(from).min(part.len());
                let rest = part.get(done..).unwrap_or_default();
                let take = rest.get(..rest.len().min(end - buf.len())).unwrap_or_default();
                buf.extend_from_slice(take);
                cut.sent += take.len();
                from += part.len();
            }
            if cut.sent == from {
                self.left = start + 1;
                let large = record.is_large();
                self.turn();
                if large {
                    self.larges -= 1;
                    self.next_bulk();
                }
            }
        }
        buf.len() > begin
    }

    /// On to the next record.
    pub(super) fn turn(&mut self) {
        self.cursor += 1;
        self.cut = None;
    }

    /// How many bytes the next piece of a large message has; none where none may leave now.
    pub fn next_piece(&self) -> Option<usize> {
        let rest = self.bulk_body()?.len() - self.bulk.sent;
        Some(rest.min(MAX_PIECE))
    }

    /// Appends the next piece of a large message, head included, to `buf`.
    pub fn poll_piece(&mut self, buf: &mut Vec<u8>) -> Option<Piece> {
        let len = self.next_piece()?;
        let (body, at) = (self.bulk_body()?, self.bulk.sent);
        record::put_piece_head(buf, body.len(), at);
        body.read(at, len, buf);
        let last = at + len == body.len();
        self.bulk.sent += len;
        self.bulk.whole = last;
        if last && self.bulk.number.is_none() {
            self.bulk.number = Some(self.next);
            self.larges += 1;
            self.freed = true;
            for record in self.held.pop() {
                self.used = self.used.saturating_sub(record.charge());
                self.enqueue(record);
            }
            self.settle();
        }
        Some(Piece { len, last })
    }

    fn bulk_body(&self) -> Option<&Body> {
        let record = match self.bulk.number {
            _ if self.bulk.whole => return None,
            Some(number) => {
                let at = self.queue.partition_point(|entry| entry.end() <= number);
                &self.queue.get(at)?.record
            }
            None => self.held.front()?,
        };
        let Record::Large(large) = record else { return None };
        Some(&large.body)
    }
}
