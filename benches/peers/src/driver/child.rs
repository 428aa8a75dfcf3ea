//! A process of a measurement and its JSON lines. It ends with its driver, and when it is dropped.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use talkie_instrument::{Usage, now_ns};

use crate::failure::Failure;

/// Longest wait for any line, over what the workload itself takes.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// A process that this one started.
pub struct Role {
    child: Child,
    words: Option<ChildStdin>,
    lines: Receiver<Value>,
    /// When it was started, nanoseconds.
    pub began: u64,
    what: String,
}

impl Role {
    /// Starts the program `peers-NAME` beside this one, with these variables and no others.
    pub fn start(program: &str, args: &[&str], variables: &[(String, String)]) -> Result<Self, Failure> {
        let path = env::current_exe()?.with_file_name(program);
        let what = format!("{program} {}", args.first().copied().unwrap_or_default());
        let began = now_ns();
        let mut child = Command::new(&path)
            .args(args)
            .env_clear()
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|why| Failure::new(format!("{}: {why}", path.display())))?;
        let words = child.stdin.take();
        let stdout = child.stdout.take();
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in stdout.into_iter().flat_map(|out| BufReader::new(out).lines()) {
                let Some(value) = line.ok().and_then(|line| serde_json::from_str(&line).ok()) else { return };
                if sender.send(value).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, words, lines, began, what })
    }

    /// Waits for a line of this event, [`PATIENCE`] and `more` at most.
    pub fn wait(&self, event: &str, more: Duration) -> Result<Value, Failure> {
        let until = Instant::now() + PATIENCE + more;
        loop {
            let line = match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => {
                    return Err(Failure::new(format!("{}: no `{event}` came", self.what)));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Failure::new(format!("{}: it ended before `{event}`", self.what)));
                }
            };
            match line.get("event").and_then(Value::as_str) {
                Some(found) if found == event => return Ok(line),
                Some("failed") => {
                    let why = line.get("why").and_then(Value::as_str).unwrap_or_default();
                    return Err(Failure::new(format!("{}: {why}", self.what)));
                }
                _ => {}
            }
        }
    }

    /// Tells it to go on.
    pub fn go(&mut self) -> Result<(), Failure> {
        let words = self.words.as_mut().ok_or_else(|| Failure::new("it hears nothing"))?;
        Ok(words.write_all(b"go\n").and_then(|()| words.flush())?)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        // Killed and not asked: nobody waits for what is still under way.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that stands between the roles; killed on drop.
pub struct Server {
    child: Child,
    /// Where clients reach it.
    pub endpoint: String,
}

impl Server {
    /// Starts the server that this system needs; `None` where it needs none.
    pub fn start(system: &str, folder: &Path) -> Result<Option<Self>, Failure> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let number = port.to_string();
        let (mut command, endpoint) = match system {
            "nats" => {
                let mut command = Command::new("nats-server");
                command.args(["-a", "127.0.0.1", "-p", &number]);
                (command, format!("nats://127.0.0.1:{port}"))
            }
            "redis" => {
                let mut command = Command::new("redis-server");
                // No files, and no subscriber is cut off because it lags: it is asked how fast it is, not how strict.
                command.args(["--bind", "127.0.0.1", "--port", &number, "--save", "", "--appendonly", "no"]);
                command.args(["--client-output-buffer-limit", "pubsub 0 0 0"]);
                (command, format!("redis://127.0.0.1:{port}/"))
            }
            _ => return Ok(None),
        };
        let child = command
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|why| Failure::new(format!("the server of {system}: {why}")))?;
        let server = Self { child, endpoint };
        let until = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > until {
                return Err(Failure::new(format!("the server of {system} does not listen")));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(Some(server))
    }

    /// Processor time that it used so far, nanoseconds.
    pub fn cpu_ns(&self) -> u64 {
        Usage::of(self.child.id()).map_or(0, |usage| usage.cpu_ns)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
