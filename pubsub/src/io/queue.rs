//! One subscription's queue: a bounded backlog between the dispatching tasks and the one that reads.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use talkie_discovery::NodeId;
use talkie_transport::Pressed;
use tokio::sync::Notify;

use super::clock;
use super::registry::lock;
use crate::delivery::QueueLimits;
use crate::metrics::Deliveries;
use crate::options::{SubscribeOptions, WhenFull};
use crate::proto::backlog::{Backlog, Drop, Item, Waiting};

/// What is taken out at once: the lock is then taken once for all of it. A sixteenth of what may wait, so many deliveries and
/// bytes at most.
const TOGETHER: usize = 1_024;
const TOGETHER_BYTES: usize = 256 * 1024;
/// How long a queue asks those who fill it to give way, once until its reader has caught up.
const PATIENCE: Duration = Duration::from_millis(10);

/// Filled by any task, read by one. The lock is held for some pushes or pops, never while waking.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    /// How long publishers here wait for room; none: not at all.
    patience: Option<Duration>,
    /// How many deliveries are taken out at once.
    together: usize,
    /// Told when the reader took something, or nothing more comes in; only where somebody may wait for that.
    freed: Notify,
}

/// What becomes of a message that is offered to a member of a group.
#[derive(Debug)]
pub(super) enum Offered {
    /// It waits for the reader.
    Taken,
    /// There is no room for it.
    Full(Waiting),
    /// Nobody reads any more.
    Ended(Waiting),
}

#[derive(Debug)]
struct State {
    backlog: Backlog,
    /// The reader, while it waits.
    reader: Option<Waker>,
    /// Since when so much waits that the reader should go first.
    full: Option<Instant>,
    /// Told when the reader has.
    eased: Arc<Notify>,
    /// Nothing more comes in; what waits is still read.
    closed: bool,
    /// Somebody waited for room as long as it should, and the reader took nothing.
    stalled: bool,
    /// Nodes whose messages for a group found no room; none: this one.
    turned_away: Vec<Option<NodeId>>,
    /// The greatest charge of them.
    refused: usize,
    /// Losses and misfits are counted here; the backlog counts what it pushes out.
    counted: Deliveries,
}

impl Queue {
    pub(crate) fn new(options: impl Into<SubscribeOptions>, topic: usize) -> Self {
        let SubscribeOptions { limits, when_full, .. } = options.into();
        let (drop, patience) = match when_full {
            WhenFull::DropOldest => (Drop::Oldest, None),
            WhenFull::DropNewest => (Drop::Newest, None),
            WhenFull::Wait(patience) => (Drop::Oldest, Some(patience)),
        };
        Self::with(Backlog::new(limits, drop, topic), patience, TOGETHER)
    }

    /// That of a member of a group: what has no room is refused, and one is taken out at a time, since the others may still go to
    /// somebody else.
    pub(crate) fn of_member(limits: QueueLimits) -> Self {
        Self::with(Backlog::new(limits, Drop::Newest, 0), None, 1)
    }

    fn with(backlog: Backlog, patience: Option<Duration>, together: usize) -> Self {
        let state = Mutex::new(State {
            backlog,
            reader: None,
            full: None,
            eased: Arc::default(),
            closed: false,
            stalled: false,
            turned_away: Vec::new(),
            refused: 0,
            counted: Deliveries::default(),
        });
        Self { state, patience, together, freed: Notify::new() }
    }

    /// Whether publishers here may have to wait for its reader.
    pub(super) const fn is_patient(&self) -> bool {
        self.patience.is_some()
    }

    /// Whether a message of so many bytes has no room, and whoever publishes it is to wait for some; `waited` is how long it did.
    pub(super) fn is_awaited(&self, topic: usize, payload: usize, waited: Duration) -> bool {
        let Some(patience) = self.patience else { return false };
        let state = lock(&self.state);
        if state.closed || state.stalled || state.backlog.has_room(topic, payload) {
            return false;
        }
        waited < patience
    }

    /// Waits for the reader, or until the patience that began `waited` before is over.
    pub(super) async fn freed(&self, topic: usize, payload: usize, waited: Duration) {
        let mut freed = std::pin::pin!(self.freed.notified());
        // Listening before looking, so that no room is missed.
        freed.as_mut().enable();
        if !self.is_awaited(topic, payload, waited) {
            return;
        }
        let left = self.patience.unwrap_or_default().saturating_sub(waited);
        if tokio::time::timeout(left, freed).await.is_err() {
            lock(&self.state).stalled = true;
        }
    }

    /// The word of when there is room again, where so much waits that whoever fills it should give way.
    pub(crate) fn push(&self, message: Waiting) -> Option<Pressed> {
        self.push_all([message])
    }

    /// As [`Self::push`], in their order.
    pub(crate) fn push_all(&self, messages: impl IntoIterator<Item = Waiting>) -> Option<Pressed> {
        self.add(|backlog, counted| {
            for message in messages {
                counted.received += 1;
                backlog.push(message);
            }
        })
    }

    pub(crate) fn push_gap(&self, from: NodeId, missed: u64, exact: bool) {
        let _ = self.add(|backlog, counted| {
            counted.missed = counted.missed.saturating_add(missed);
            counted.uncounted += u64::from(!exact);
            backlog.push_gap(from, missed, exact);
        });
    }

    /// Takes a message for one member of a group, or refuses it.
    pub(super) fn offer(&self, message: Waiting) -> Offered {
        let mut state = lock(&self.state);
        if state.closed {
            return Offered::Ended(message);
        }
        if let Err(charge) = state.backlog.fits(&message) {
            state.refused = state.refused.max(charge);
            return Offered::Full(message);
        }
        state.counted.received += 1;
        state.backlog.push(message);
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
        Offered::Taken
    }

    /// Whether there is room again for one that was refused; else it is told later. Behind the word that there was none.
    pub(super) fn turn_away(&self, who: Option<NodeId>) -> bool {
        let mut state = lock(&self.state);
        if state.closed || state.backlog.is_eased_for(state.refused) {
            return true;
        }
        if !state.turned_away.contains(&who) {
            state.turned_away.push(who);
        }
        false
    }

    /// Those that were turned away, once half of the room is free, and enough for each of them.
    pub(super) fn take_turned_away(&self) -> Vec<Option<NodeId>> {
        let mut state = lock(&self.state);
        if state.turned_away.is_empty() || !state.backlog.is_eased_for(state.refused) {
            return Vec::new();
        }
        state.refused = 0;
        std::mem::take(&mut state.turned_away)
    }

    /// Whether it is a member's.
    pub(crate) const fn is_of_member(&self) -> bool {
        self.together == 1
    }

    /// Nothing more comes in, and nothing out: the messages that waited.
    pub(super) fn end(&self) -> Vec<Waiting> {
        self.close();
        let mut state = lock(&self.state);
        let all = std::iter::from_fn(|| state.backlog.pop());
        all.filter_map(|item| if let Item::Message(message) = item { Some(message) } else { None }).collect()
    }

    /// Ends the stream behind what waits already.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        let reader = state.reader.take();
        drop(state);
        self.freed.notify_waiters();
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// What waits, one after the other.
    #[cfg(test)]
    pub(crate) fn pop(&self) -> Option<Item> {
        lock(&self.state).backlog.pop()
    }

    /// Moves the oldest of what waits into `taken`, without waiting for more.
    pub(crate) fn take(&self, taken: &mut VecDeque<Item>) {
        lock(&self.state).take(self.together, taken);
        self.tell_freed();
    }

    /// The next delivery; those that were taken out with it are in `taken` then.
    pub(crate) fn poll_pop(&self, taken: &mut VecDeque<Item>, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        let mut state = lock(&self.state);
        state.take(self.together, taken);
        if self.patience.is_some() {
            // Not under the lock, which whoever is woken takes.
            drop(state);
            self.tell_freed();
            state = lock(&self.state);
            if taken.is_empty() {
                state.take(self.together, taken);
            }
        }
        match taken.pop_front() {
            Some(delivery) => Poll::Ready(Some(delivery)),
            None if state.closed => Poll::Ready(None),
            None => {
                match &mut state.reader {
                    Some(reader) => reader.clone_from(cx.waker()),
                    none => *none = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
        }
    }

    /// The reader could make nothing of a message.
    pub(crate) fn count_malformed(&self) {
        lock(&self.state).counted.malformed += 1;
    }

    /// How many bytes may wait.
    pub(crate) fn limit(&self) -> u64 {
        lock(&self.state).backlog.limit() as u64
    }

    /// How many deliveries wait, with how many bytes, and what came so far.
    pub(crate) fn stats(&self) -> (u64, u64, Deliveries) {
        let state = lock(&self.state);
        let (waiting, bytes) = state.backlog.waiting();
        let dropped = state.backlog.dropped();
        (waiting as u64, bytes as u64, Deliveries { dropped, ..state.counted })
    }

    fn tell_freed(&self) {
        if self.patience.is_some() {
            self.freed.notify_waiters();
        }
    }

    fn add(&self, add: impl FnOnce(&mut Backlog, &mut Deliveries)) -> Option<Pressed> {
        let mut state = lock(&self.state);
        if state.closed {
            return None;
        }
        let State { backlog, counted, .. } = &mut *state;
        add(backlog, counted);
        let pressed = state.press(self.patience);
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
        pressed
    }
}

impl State {
    fn take(&mut self, together: usize, taken: &mut VecDeque<Item>) {
        let before = taken.len();
        self.backlog.take(together, TOGETHER_BYTES, taken);
        self.stalled &= taken.len() == before;
        if self.full.is_some() && self.backlog.is_eased() {
            self.full = None;
            self.eased.notify_waiters();
        }
    }

    /// What whoever fills it waits for. A reader that had its time and is slower still is not waited for.
    fn press(&mut self, patience: Option<Duration>) -> Option<Pressed> {
        // Who asks to be waited for is so also with few.
        let pressed = self.backlog.is_pressed() || patience.is_some() && self.backlog.is_nearly_full();
        if !pressed {
            return None;
        }
        let now = clock::now();
        let since = *self.full.get_or_insert(now);
        let patient = now.saturating_duration_since(since) < patience.unwrap_or(PATIENCE);
        Some(if patient {
            Pressed::Until(Arc::clone(&self.eased).notified_owned())
        } else {
            Pressed::Passing
        })
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;
    use crate::proto::headers::Headers;

    fn messages(count: u64) -> impl Iterator<Item = Waiting> {
        (1..=count).map(|seq| Waiting {
            headers: Headers::new(),
            topic: None,
            from: NodeId::of_key(&[7; 32]),
            name: None,
            seq,
            payload: bytes::Bytes::new(),
            group: None,
            came: None,
        })
    }

    fn limits(messages: usize) -> QueueLimits {
        QueueLimits { messages, ..QueueLimits::default() }
    }

    #[test]
    fn who_fills_a_queue_is_asked_to_give_way_until_it_is_eased() {
        let queue = Queue::new(limits(1_024), 1);
        assert!(queue.push_all(messages(700)).is_none(), "a quarter is left");
        let Some(Pressed::Until(room)) = queue.push_all(messages(200)) else {
            panic!("less than a quarter is left");
        };
        let mut pressed = pin!(room);
        let mut cx = Context::from_waker(Waker::noop());
        let mut taken = VecDeque::new();
        while taken.len() < 900 - 512 {
            assert!(pressed.as_mut().poll(&mut cx).is_pending(), "after {}", taken.len());
            queue.take(&mut taken);
        }
        assert!(pressed.as_mut().poll(&mut cx).is_ready(), "half of it is free");
    }

    #[test]
    fn who_reads_too_slowly_holds_up_nobody_for_long() {
        let queue = Queue::new(limits(1_024), 1);
        assert!(queue.push_all(messages(1_000)).is_some());
        // As if it had been full for long.
        lock(&queue.state).full = Instant::now().checked_sub(PATIENCE);
        assert!(matches!(queue.push_all(messages(100)), Some(Pressed::Passing)), "it had its time");
        let few = Queue::new(limits(16), 1);
        assert!(few.push_all(messages(100)).is_none(), "it is meant to lose");
    }

    #[tokio::test]
    async fn a_publisher_waits_for_the_reader_and_once_per_stall() {
        const PATIENT: Duration = Duration::from_millis(50);
        let options = SubscribeOptions::new().messages(2).when_full(WhenFull::Wait(PATIENT));
        let queue = Queue::new(options, 1);
        assert!(!queue.is_awaited(1, 0, Duration::ZERO), "there is room");
        let _ = queue.push_all(messages(2));
        assert!(queue.is_awaited(1, 0, Duration::ZERO) && !queue.is_awaited(1, 0, PATIENT));
        {
            let mut freed = pin!(queue.freed(1, 0, Duration::ZERO));
            let mut cx = Context::from_waker(Waker::noop());
            assert!(freed.as_mut().poll(&mut cx).is_pending());
            queue.take(&mut VecDeque::new());
            assert!(freed.as_mut().poll(&mut cx).is_ready());
        }
        let _ = queue.push_all(messages(2));
        let begun = Instant::now();
        queue.freed(1, 0, Duration::ZERO).await;
        assert!(begun.elapsed() >= PATIENT);
        assert!(!queue.is_awaited(1, 0, Duration::ZERO), "the reader had its time");
        queue.take(&mut VecDeque::new());
        let _ = queue.push_all(messages(2));
        assert!(queue.is_awaited(1, 0, Duration::ZERO), "it reads again");
        let mut freed = pin!(queue.freed(1, 0, Duration::ZERO));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(freed.as_mut().poll(&mut cx).is_pending());
        queue.close();
        assert!(freed.as_mut().poll(&mut cx).is_ready(), "nobody reads any more");
        assert!(!queue.is_awaited(1, 0, Duration::ZERO));
    }
}
