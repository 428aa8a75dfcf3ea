//! What a new link, or less room, makes of what is owed.

use super::entry::{Entry, Record};
use super::gap::{Counts, chunks};
use super::{Outbox, run};

impl Outbox {
    /// A new link begins: everything behind `received` leaves again. `None`: the peer does not know what it has
    /// had, so all that ever left is a gap of unknown size. Returns the number that comes first.
    pub fn resume(&mut self, received: Option<u64>) -> u64 {
        // Whatever left on any link may have been had.
        self.left = self.high;
        self.cursor = self.queue.partition_point(|entry| entry.end() <= self.high);
        self.cut = None;
        match received {
            Some(number) => self.acknowledge(number),
            None if self.high > self.first => self.blur(),
            None => {}
        }
        self.rewind();
        self.first
    }

    /// Everything leaves again.
    fn rewind(&mut self) {
        self.cut = None;
        self.cursor = 0;
        self.left = self.first;
        self.rewind_bulk();
    }

    /// Turns what ever left into one gap with no known size.
    fn blur(&mut self) {
        let mut counts = Counts::new();
        let mut vague = |interest, _| {
            counts.insert(interest, 0);
        };
        while let Some(entry) = self.queue.front_mut()
            && entry.start < self.high
        {
            let count = self.high - entry.start;
            if let Record::Run(run) = &mut entry.record
                && count < run.count()
            {
                // The rest of it never left.
                run.frames().take(count as usize).for_each(|(interests, _)| {
                    interests.iter().for_each(|interest| vague(*interest, 0));
                });
                let bytes = run.pop_front(count);
                entry.start += count;
                self.used = self.used.saturating_sub(bytes + run::CHARGE * count as usize);
                self.lost.1 += count;
                break;
            }
            entry.record.lose(&mut vague);
            self.lost.1 += entry.record.messages();
            self.used = self.used.saturating_sub(entry.record.charge());
            self.queue.pop_front();
        }
        let gaps: Vec<_> = chunks(counts).collect();
        // The peer starts afresh, so numbers may be skipped here but never used twice for two things.
        self.first = self.high;
        for missed in gaps.into_iter().rev() {
            let record = Record::Gap { missed, exact: false };
            self.used += record.charge();
            self.queue.push_front(Entry { start: 0, record });
        }
        self.next = self.first;
        for entry in &mut self.queue {
            entry.start = self.next;
            self.next = entry.end();
        }
    }

    /// Changes the room. Where it shrinks (an absent peer's share, while there is no link), what never left is counted as
    /// lost, the newest first. If that is not enough, what has left becomes a gap of unknown size, for the peer may have
    /// it.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
        if self.used > limit {
            self.shrink();
            if self.used > limit {
                self.blur();
            }
            self.rewind();
        }
        self.settle();
    }

    /// Counts what never left as lost, the newest first, until it fits or nothing of that is there.
    fn shrink(&mut self) {
        while self.used > self.limit {
            // What is held is younger than all that is queued of its flow.
            if let Some(record) = self.held.pop_newest() {
                self.lose_unsent(&record);
                continue;
            }
            if self.next <= self.high {
                break;
            }
            let Some(Entry { start, mut record }) = self.queue.pop_back() else { break };
            if let Record::Run(run) = &mut record {
                let kept = self.split(start, run);
                if let Some(record) = kept {
                    self.queue.push_back(Entry { start, record });
                }
            } else if let Record::Gap { exact: false, .. } = record {
                // It must stay told as inexact, and it is small.
                self.queue.push_back(Entry { start, record });
                break;
            } else {
                self.lose_unsent(&record);
            }
            self.next = self.queue.back().map_or(self.first, Entry::end);
        }
    }

    /// Counts the newest of a run as lost that never left, until the rest fits; gives that.
    fn split(&mut self, start: u64, run: &mut run::Run) -> Option<Record> {
        let frames: Vec<_> = run.frames().collect();
        let mut count = run.count();
        for (interests, bytes) in frames.into_iter().rev() {
            if self.used <= self.limit || start + count <= self.high {
                break;
            }
            count -= 1;
            self.used = self.used.saturating_sub(bytes + run::CHARGE);
            self.lost.0 += 1;
            let open = self.open.get_or_insert_default();
            interests.iter().for_each(|interest| open.count(*interest, 1));
        }
        run.truncate(count);
        (count > 0).then(|| Record::Run(std::mem::take(run)))
    }

    fn lose_unsent(&mut self, record: &Record) {
        self.used = self.used.saturating_sub(record.charge());
        self.lost.0 += record.messages();
        let open = self.open.get_or_insert_default();
        record.lose(|interest, missed| open.count(interest, missed));
    }
}
