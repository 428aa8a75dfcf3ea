//! Runs the command: on loopback, in a mesh of the test's own, with lines that are awaited.

#![allow(dead_code, reason = "each test file uses some of it")]
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test of real processes lives in real time and says so by panicking"
)]

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

pub(crate) const SECRET: &str = "correct horse battery staple";

/// How long what should happen at once may take: only a wait for nothing reaches it.
pub(crate) const SOON: Duration = Duration::from_secs(15);

/// The command with a clean environment, held to the loopback interface whatever a test gets wrong.
pub(crate) fn talkie<I: AsRef<OsStr>>(args: impl IntoIterator<Item = I>) -> Command {
    let mut command = clean(Command::new(env!("CARGO_BIN_EXE_talkie")));
    command.env("TALKIE_INTERFACE", "127.0.0.1");
    command.args(args);
    command
}

/// A command without the variables that Talkie reads.
pub(crate) fn clean(mut command: Command) -> Command {
    for (variable, _) in std::env::vars_os() {
        if variable.as_encoded_bytes().starts_with(b"TALKIE_") {
            command.env_remove(variable);
        }
    }
    for variable in ["RUST_LOG", "NOTIFY_SOCKET", "JOURNAL_STREAM", "CREDENTIALS_DIRECTORY"] {
        command.env_remove(variable);
    }
    command.stdin(Stdio::null());
    command
}

pub(crate) fn run(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// Says what was not tried, past the harness, which keeps to itself what a test that passes prints.
pub(crate) fn skipped(why: &str) {
    let _ = std::io::stdout().write_all(format!("SKIPPED: {why}\n").as_bytes());
}

/// A group that no other test meets in.
pub(crate) struct Mesh(String);

impl Mesh {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_mul(251);
        let process = std::process::id().to_le_bytes();
        let port = 10_000 + u16::from_le_bytes([process[0], process[1]]).wrapping_add(number) % 20_000;
        Self(format!("239.255.82.55:{port}"))
    }

    pub(crate) fn talkie<I: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = I>) -> Command {
        let mut command = talkie(args);
        self.settle(&mut command);
        command
    }

    /// Makes it a member of this mesh.
    pub(crate) fn settle(&self, command: &mut Command) {
        command.env("TALKIE_SECRET", SECRET).env("TALKIE_GROUP", &self.0).env("TALKIE_LISTEN", "127.0.0.1:0");
    }
}

/// A command that runs; killed when dropped.
pub(crate) struct Running {
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (stdout, stderr) = (lines(child.stdout.take().unwrap()), lines(child.stderr.take().unwrap()));
        Self { child, stdout, stderr }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// The next line of standard output that contains this.
    #[track_caller]
    pub(crate) fn says(&self, part: &str) -> String {
        awaited(&self.stdout, part)
    }

    /// The next line of standard error that contains this.
    #[track_caller]
    pub(crate) fn logs(&self, part: &str) -> String {
        awaited(&self.stderr, part)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Waits for the end; gives the exit code and what was said on standard error and not asked for.
    #[track_caller]
    pub(crate) fn ends(&mut self) -> (Option<i32>, String) {
        // Both are read to their end, which comes with that of the process.
        let rest = rest(&self.stderr);
        self::rest(&self.stdout);
        (self.child.wait().unwrap().code(), rest)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let lines = BufReader::new(stream).lines();
        lines.map_while(Result::ok).try_for_each(|line| tell.send(line))
    });
    told
}

#[track_caller]
fn awaited(lines: &Receiver<String>, part: &str) -> String {
    let deadline = Instant::now() + SOON;
    let mut others = Vec::new();
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) if line.contains(part) => return line,
            Ok(line) => others.push(line),
            Err(error) => panic!("no line with {part:?} ({error}); instead: {others:#?}"),
        }
    }
}

#[track_caller]
fn rest(lines: &Receiver<String>) -> String {
    let deadline = Instant::now() + SOON;
    let mut all = String::new();
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => all.extend([&line, "\n"]),
            Err(RecvTimeoutError::Disconnected) => return all,
            Err(RecvTimeoutError::Timeout) => panic!("still running; said: {all}"),
        }
    }
}

/// A folder of the test's own, deleted when dropped.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("talkie-bins-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
