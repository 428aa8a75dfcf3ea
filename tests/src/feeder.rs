//! Standard input at a steady pace.

use std::{
    io::Write,
    process::ChildStdin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

/// Writes numbered lines into a command's standard input, at a steady pace, until told to stop.
#[derive(Debug)]
pub struct Feeder {
    stop: Arc<AtomicBool>,
    fed: Arc<Mutex<u64>>,
    _wake: Sender<()>,
    done: Receiver<()>,
}

impl Feeder {
    /// Feeds `line(0)`, `line(1)`, … with `per_second` lines a second.
    ///
    /// Lines that are due are written in one go, so a busy machine changes the grain and not the pace.
    pub fn start(
        mut stdin: ChildStdin,
        per_second: u32,
        line: impl Fn(u64) -> String + Send + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let fed = Arc::new(Mutex::new(0));
        let (done_tx, done) = channel();
        let (wake, pace) = channel::<()>();
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&fed));
        thread::spawn(move || {
            let started = Instant::now();
            let mut next = 0;
            while !stopped.load(Ordering::Relaxed) {
                let due = (started.elapsed().as_secs_f64() * f64::from(per_second)) as u64;
                let mut batch = String::new();
                for number in next..=due {
                    batch.push_str(&line(number));
                    batch.push('\n');
                }
                if stdin.write_all(batch.as_bytes()).is_err() {
                    break; // The command has ended: what it says of it is the test's business.
                }
                next = due + 1;
                *count.lock().expect("nobody panics under this lock") = next;
                // The pace itself: until the next line is due, or the feeder was dropped.
                let at = started + Duration::from_secs_f64(next as f64 / f64::from(per_second));
                let wait = at.saturating_duration_since(Instant::now());
                if pace.recv_timeout(wait) == Err(RecvTimeoutError::Disconnected) {
                    break;
                }
            }
            drop(stdin);
            let _ = done_tx.send(());
        });
        Self { stop, fed, _wake: wake, done }
    }

    /// How many lines have been written so far.
    pub fn fed(&self) -> u64 {
        *self.fed.lock().expect("nobody panics under this lock")
    }

    /// Stops, ends the standard input, and tells how many lines were written.
    ///
    /// # Panics
    /// If the command does not take what was written within `within`.
    pub fn finish(self, within: Duration) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.done.recv_timeout(within).expect("the command takes its input in time");
        self.fed()
    }
}
