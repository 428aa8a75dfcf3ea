//! A running command: lines awaited with a deadline, never a sleep.

mod input;
mod pipes;
mod usage;

use std::{
    collections::HashMap,
    fmt::Write as _,
    os::unix::process::ExitStatusExt,
    process::{ChildStdin, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::{SOON, lines};

/// How many of a process's last lines a failure message shows; of those before, all but messages.
const SHOWN_LINES: usize = 20;

/// A running `talkie`. Dropped, it is killed; and if the test has not failed already, it fails where the
/// process panicked or printed a line that the contract does not know.
#[derive(Debug)]
pub struct Process {
    label: String,
    pid: Pid,
    json: bool,
    stdin: Option<ChildStdin>,
    shared: Arc<Shared>,
}

/// One line of standard output.
#[derive(Clone, Debug)]
pub struct Line {
    /// When the rig read it.
    pub at: Instant,
    /// Its bytes, without the line's end.
    pub raw: Vec<u8>,
    /// Parsed, where it is JSON.
    pub json: Option<Value>,
    taken: bool,
}

impl Line {
    /// Whether it is this event.
    pub fn is(&self, event: &str) -> bool {
        self.json.as_ref().is_some_and(|json| json["event"] == event)
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<Line>,
    /// All lines before this one were taken.
    first_untaken: usize,
    counts: HashMap<String, usize>,
    stderr: Vec<u8>,
    stdout_open: bool,
    stdout_refused: bool,
    stderr_open: bool,
    exit: Option<(ExitStatus, Instant)>,
}

impl Process {
    /// Starts `command` with all of its streams held by the rig.
    ///
    /// # Panics
    /// If it cannot be started.
    pub(crate) fn start(mut command: Command, label: String, json: bool) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command starts");
        let pid = Pid::from_raw(child.id().cast_signed());
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().expect("stdout is piped");
        let stderr = child.stderr.take().expect("stderr is piped");
        let state = State { stdout_open: true, stderr_open: true, ..State::default() };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let reader = Arc::clone(&shared);
        thread::spawn(move || pipes::read_stdout(&reader, stdout));
        let reader = Arc::clone(&shared);
        thread::spawn(move || pipes::read_stderr(&reader, stderr));
        let waiter = Arc::clone(&shared);
        thread::spawn(move || pipes::reap(&waiter, child, pid));
        Self { label, pid, json, stdin, shared }
    }

    /// The process's number.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw().cast_unsigned()
    }

    /// Waits for an event (see [`Process::expect_line`]) and gives its object.
    #[track_caller]
    pub fn expect(&self, event: &str, matches: impl Fn(&Value) -> bool, within: Duration) -> Value {
        self.expect_line(event, matches, within).json.expect("an event is JSON")
    }

    /// Waits for any line of this event, [`SOON`].
    #[track_caller]
    pub fn next(&self, event: &str) -> Value {
        self.expect(event, |_| true, SOON)
    }

    /// Takes the first line not taken yet whose `event` is this and that `matches`; waits for it if it
    /// has not come. Lines passed over stay for later calls.
    ///
    /// # Panics
    /// If no such line comes in time: with all that the process has printed.
    #[track_caller]
    pub fn expect_line(&self, event: &str, matches: impl Fn(&Value) -> bool, within: Duration) -> Line {
        self.find_line(event, matches, within, true)
    }

    /// As [`Process::expect_line`], and leaves the line for later calls.
    #[track_caller]
    pub fn sees_line(&self, event: &str, matches: impl Fn(&Value) -> bool, within: Duration) -> Line {
        self.find_line(event, matches, within, false)
    }

    #[track_caller]
    fn find_line(&self, event: &str, matches: impl Fn(&Value) -> bool, within: Duration, take: bool) -> Line {
        let mut seen = 0;
        let found = self.wait_until(within, |state| {
            let from = seen.max(state.first_untaken);
            seen = state.lines.len();
            let fits =
                |line: &Line| !line.taken && line.is(event) && line.json.as_ref().is_some_and(&matches);
            let at = (from..state.lines.len()).find(|&at| fits(&state.lines[at]))?;
            state.lines[at].taken = take;
            while state.lines.get(state.first_untaken).is_some_and(|line| line.taken) {
                state.first_untaken += 1;
            }
            Some(state.lines[at].clone())
        });
        found.unwrap_or_else(|| panic!("no {event:?} as awaited within {within:?}\n{}", self.story()))
    }

    /// Waits until `n` lines of this event have come in all, taken or not.
    ///
    /// # Panics
    /// If they do not come in time.
    #[track_caller]
    pub fn expect_count(&self, event: &str, n: usize, within: Duration) {
        let done = self.wait_until(within, |state| (state.count(event) >= n).then_some(()));
        assert!(
            done.is_some(),
            "{} of {n} {event:?} lines within {within:?}\n{}",
            self.count(event),
            self.story()
        );
    }

    /// Waits until all lines printed so far fulfil `done`.
    ///
    /// # Panics
    /// If they do not in time.
    #[track_caller]
    pub fn expect_all(&self, what: &str, done: impl Fn(&[Line]) -> bool, within: Duration) {
        let reached = self.wait_until(within, |state| done(&state.lines).then_some(()));
        assert!(reached.is_some(), "not within {within:?}: {what}\n{}", self.story());
    }

    /// Waits until standard error contains `text`.
    ///
    /// # Panics
    /// If it does not in time.
    #[track_caller]
    pub fn expect_log(&self, text: &str, within: Duration) {
        self.expect_logs(text, 1, within);
    }

    /// Waits until standard error contains `text` so often.
    ///
    /// # Panics
    /// If it does not in time.
    #[track_caller]
    pub fn expect_logs(&self, text: &str, times: usize, within: Duration) {
        let logged = self.wait_until(within, |state| {
            (String::from_utf8_lossy(&state.stderr).matches(text).count() >= times).then_some(())
        });
        assert!(
            logged.is_some(),
            "not {times} times {text:?} on standard error within {within:?}\n{}",
            self.story()
        );
    }

    /// The length of a fault: panics if the process prints a line meanwhile.
    #[track_caller]
    pub fn stays_silent(&self, during: Duration) {
        let before = self.shared.lock().lines.len();
        let spoke = self.wait_until(during, |state| (state.lines.len() > before).then_some(()));
        assert!(spoke.is_none(), "it should have stayed silent for {during:?}\n{}", self.story());
    }

    /// How many lines of this event have been printed.
    pub fn count(&self, event: &str) -> usize {
        self.shared.lock().count(event)
    }

    /// All objects printed so far whose event is one of `events`, in order.
    pub fn events(&self, events: &[&str]) -> Vec<Value> {
        let state = self.shared.lock();
        let objects = state.lines.iter().filter_map(|line| line.json.as_ref());
        objects.filter(|json| events.iter().any(|event| json["event"] == **event)).cloned().collect()
    }

    /// All lines printed so far.
    pub fn lines(&self) -> Vec<Line> {
        self.shared.lock().lines.clone()
    }

    /// All of standard output so far, as whole lines.
    pub fn stdout(&self) -> Vec<u8> {
        let state = self.shared.lock();
        state.lines.iter().flat_map(|line| line.raw.iter().copied().chain([b'\n'])).collect()
    }

    /// All of standard error so far.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.shared.lock().stderr).into_owned()
    }

    /// Sends a signal, and tells when. Nothing where the process has ended.
    pub fn signal(&self, signal: Signal) -> Instant {
        let state = self.shared.lock();
        let now = Instant::now();
        // Under the lock: the waiter reaps under it, so the number is still this process's.
        if state.exit.is_none() {
            kill(self.pid, signal).expect("a child can be signalled");
        }
        now
    }

    /// SIGTERM and wait.
    #[track_caller]
    pub fn terminate(&self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.wait(SOON)
    }

    /// SIGTERM, and panics unless the process then ends with exit 0.
    #[track_caller]
    pub fn leaves(&self) {
        self.signal(Signal::SIGTERM);
        self.exits(0, SOON);
    }

    /// SIGKILL and wait.
    #[track_caller]
    pub fn kill(&self) -> Instant {
        let at = self.signal(Signal::SIGKILL);
        self.wait(SOON);
        at
    }

    /// Waits for the process to end, and for all that it has printed.
    ///
    /// # Panics
    /// If it does not end in time.
    #[track_caller]
    pub fn wait(&self, within: Duration) -> ExitStatus {
        self.wait_line(within).0
    }

    /// As [`Process::wait`], and tells when it ended.
    #[track_caller]
    pub fn wait_line(&self, within: Duration) -> (ExitStatus, Instant) {
        let ended = self.wait_until(within, |state| {
            let drained = (!state.stdout_open || state.stdout_refused) && !state.stderr_open;
            state.exit.filter(|_| drained)
        });
        ended.unwrap_or_else(|| panic!("not ended within {within:?}\n{}", self.story()))
    }

    /// Waits for the process to end with this exit code.
    ///
    /// # Panics
    /// If it ends otherwise or not in time.
    #[track_caller]
    pub fn exits(&self, code: i32, within: Duration) {
        let status = self.wait(within);
        assert_eq!(status.code(), Some(code), "exit code ({status})\n{}", self.story());
    }

    /// True while the process has not ended.
    pub fn is_alive(&self) -> bool {
        self.shared.lock().exit.is_none()
    }

    /// What the process printed, for a failure message.
    pub fn story(&self) -> String {
        let state = self.shared.lock();
        let mut story = format!("--- {} (process {}", self.label, self.pid);
        match state.exit {
            Some((status, _)) => drop(write!(story, ", {status})")),
            None => story.push_str(", alive)"),
        }
        let first_shown = state.lines.len().saturating_sub(SHOWN_LINES);
        for (number, line) in state.lines.iter().enumerate() {
            let is_message = line.json.as_ref().is_some_and(|json| json["event"] == "message");
            if number >= first_shown || !is_message {
                let text = String::from_utf8_lossy(&line.raw);
                let _ = write!(story, "\n{number}: {}", text.chars().take(300).collect::<String>());
            }
        }
        let _ = write!(story, "\n--- standard error:\n{}", String::from_utf8_lossy(&state.stderr));
        story
    }

    /// Calls `look` now and after every change until it finds something or the time is over.
    fn wait_until<T>(&self, within: Duration, mut look: impl FnMut(&mut State) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + within;
        let mut state = self.shared.lock();
        loop {
            if let Some(found) = look(&mut state) {
                return Some(found);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            state = self.shared.changed.wait_timeout(state, left).expect("no reader panics").0;
        }
    }

    fn check_lines(&self) {
        let state = self.shared.lock();
        let mut raw = state.lines.iter();
        // A killed process may leave half a line as its last.
        let killed = state.exit.is_some_and(|(status, _)| status.signal().is_some());
        if killed {
            raw.next_back();
        }
        for line in raw {
            let text = String::from_utf8_lossy(&line.raw);
            let Some(json) = &line.json else { panic!("{}: not a JSON object: {text}", self.label) };
            if let Err(error) = lines::check(json) {
                panic!("{}: {error}: {text}", self.label);
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
        // Frozen processes die of SIGKILL too; the waiter thread reaps.
        let ended = self.wait_until(SOON, |state| state.exit);
        if thread::panicking() {
            return;
        }
        assert!(ended.is_some(), "SIGKILL ends a process\n{}", self.story());
        assert!(!self.stderr().contains("panicked at"), "a panic\n{}", self.story());
        if self.json {
            self.check_lines();
        }
    }
}

impl State {
    fn count(&self, event: &str) -> usize {
        self.counts.get(event).copied().unwrap_or(0)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics under this lock")
    }
}

#[cfg(test)]
mod tests;
