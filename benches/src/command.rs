//! The `talkie` command as a process, and its JSON lines with the moment at which they came.

use std::env;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::stats::now_ns;

/// Longest wait for any line.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the processes of one mesh share.
#[derive(Clone)]
pub(crate) struct Mesh {
    secret: String,
    group: String,
    unix: &'static str,
}

impl Mesh {
    /// A mesh of its own: the secret, and a group port that no other mesh on this host uses.
    pub(crate) fn new(secret: &str) -> Self {
        let port = 20_000 + (now_ns() / 1_000) % 40_000;
        Self { secret: secret.to_owned(), group: format!("239.255.82.55:{port}"), unix: "on" }
    }

    /// Whether its nodes link by Unix sockets, `on` or `off`.
    pub(crate) fn unix(mut self, unix: &'static str) -> Self {
        self.unix = unix;
        self
    }

    /// Starts `talkie ARGS --json` in this mesh, on loopback.
    pub(crate) fn talkie(&self, args: &[&str]) -> Process {
        self.start(Command::new(beside("talkie")).args(args).arg("--json"))
    }

    /// Starts a role of this program in this mesh, on loopback.
    pub(crate) fn role(&self, args: &[&str]) -> Process {
        self.start(Command::new(beside("numbers")).arg("role").args(args))
    }

    fn start(&self, command: &mut Command) -> Process {
        let began = now_ns();
        let mut child = command
            .env_clear()
            .env("TALKIE_SECRET", &self.secret)
            .env("TALKIE_INTERFACE", "lo")
            .env("TALKIE_LISTEN", "127.0.0.1:0")
            .env("TALKIE_GROUP", &self.group)
            .env("TALKIE_UNIX", self.unix)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program is built");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let at = now_ns();
                let value: Value = serde_json::from_str(&line).expect("each line is JSON");
                if sender.send((at, value)).is_err() {
                    return;
                }
            }
        });
        Process { child, lines, began }
    }
}

/// A program of this build.
pub(crate) fn beside(name: &str) -> PathBuf {
    env::current_exe().expect("it runs").with_file_name(name)
}

pub(crate) struct Process {
    child: Child,
    lines: Receiver<(u64, Value)>,
    /// When it was started, ns.
    pub(crate) began: u64,
}

impl Process {
    /// Waits for a line of this event; when it came (ns), and the line.
    pub(crate) fn wait(&self, event: &str) -> (u64, Value) {
        loop {
            let (at, line) =
                self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no `{event}` came"));
            if line["event"] == event {
                return (at, line);
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal; when (ns).
    pub(crate) fn signal(&self, signal: Signal) -> u64 {
        let at = now_ns();
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("it lives");
        at
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
