//! When a secret file is to be read again: once it has changed and rests.

use std::time::{Duration, Instant};

/// How often it is looked at, as interfaces are where nobody tells of their changes.
const LOOK: Duration = Duration::from_secs(1);
/// A file that changed is read when it is the same after so long: an editor empties it first, then writes.
const SETTLE: Duration = Duration::from_millis(100);

/// What shows that a file is another than before, whatever its name: of type `S`, none where there is no such file.
///
/// The verbs: [`handle_look`](Self::handle_look), [`handle_wish`](Self::handle_wish); [`poll_timeout`](Self::poll_timeout). The
/// answer to a look is whether to read.
#[derive(Debug)]
pub(crate) struct Watch<S> {
    /// As it was when it was read, whatever came of that.
    read: Option<S>,
    /// As it was when it was last looked at, if that was another.
    seen: Option<Option<S>>,
    next: Instant,
    wished: bool,
}

impl<S: PartialEq> Watch<S> {
    /// Of a file that was just read, and looked like this before.
    pub(crate) fn new(now: Instant, read: Option<S>) -> Self {
        Self { read, seen: None, next: now + LOOK, wished: false }
    }

    /// Somebody wants it read now, changed or not.
    pub(crate) fn handle_wish(&mut self, now: Instant) {
        self.wished = true;
        self.next = now;
    }

    /// The file looks like this now; whether to read it.
    pub(crate) fn handle_look(&mut self, now: Instant, found: Option<S>) -> bool {
        let wished = std::mem::take(&mut self.wished);
        let rests = self.seen.as_ref() == Some(&found);
        self.next = now + LOOK;
        if wished || (found != self.read && rests) {
            self.read = found;
            self.seen = None;
            return true;
        }
        if found == self.read {
            self.seen = None;
        } else {
            self.seen = Some(found);
            self.next = now + SETTLE;
        }
        false
    }

    /// When to look again.
    pub(crate) const fn poll_timeout(&self) -> Instant {
        self.next
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test says when its time begins")]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_once_it_has_changed_and_rests() {
        let now = Instant::now();
        let mut watch = Watch::new(now, Some(1));
        assert_eq!(watch.poll_timeout(), now + LOOK);
        assert!(!watch.handle_look(now, Some(1)));
        for being_written in [2, 3, 4] {
            assert!(!watch.handle_look(now, Some(being_written)));
            assert_eq!(watch.poll_timeout(), now + SETTLE, "soon again");
        }
        assert!(watch.handle_look(now, Some(4)));
        assert_eq!(watch.poll_timeout(), now + LOOK);
        assert!(!watch.handle_look(now, Some(4)), "once");
    }

    #[test]
    fn one_that_is_gone_is_found_out_once_and_read_when_it_is_back() {
        let now = Instant::now();
        let mut watch = Watch::new(now, Some(1));
        let gone: Vec<_> = (0..4).map(|_| watch.handle_look(now, None)).collect();
        assert_eq!(gone, [false, true, false, false]);
        let back: Vec<_> = (0..4).map(|_| watch.handle_look(now, Some(1))).collect();
        assert_eq!(back, [false, true, false, false], "it may hold something else");
    }

    #[test]
    fn a_change_that_is_taken_back_is_none() {
        let now = Instant::now();
        let mut watch = Watch::new(now, Some(1));
        let found: Vec<_> = [2, 1, 2, 1, 1].map(|it| watch.handle_look(now, Some(it))).to_vec();
        assert_eq!(found, [false; 5]);
    }

    #[test]
    fn a_wish_is_heeded_at_once_and_counts_as_a_reading() {
        let now = Instant::now();
        let mut watch = Watch::new(now, Some(1));
        let later = now + Duration::from_millis(7);
        watch.handle_wish(later);
        assert_eq!(watch.poll_timeout(), later);
        assert!(watch.handle_look(later, Some(1)), "also unchanged");
        watch.handle_wish(later);
        assert!(watch.handle_look(later, Some(2)));
        assert!(!watch.handle_look(later, Some(2)) && !watch.handle_look(later, Some(2)));
    }
}
