//! Processes of this machine that follow orders: this program again, on a mesh of their own over loopback.

use std::net::{Ipv4Addr, UdpSocket};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use talkie_instrument::now_ns;
use talkie_pubsub::Secret;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;

use super::wire::{Order, Word};
use crate::exit::Failure;

/// The processes of one mesh. All of them end when it is dropped, and when this process ends in whatever way: their
/// standard input does.
pub(super) struct Crew {
    secret: Secret,
    group: String,
    log: Option<String>,
    members: Vec<Member>,
    tell: mpsc::UnboundedSender<(usize, Option<Word>)>,
    told: mpsc::UnboundedReceiver<(usize, Option<Word>)>,
}

/// A process, killed when this is dropped.
struct Member {
    orders: ChildStdin,
    process: Child,
    started_ns: u64,
    /// Killed on purpose: its end is no failure.
    dismissed: bool,
}

impl Crew {
    /// A mesh with a fresh secret and a group port of its own, and nobody on it.
    pub(super) fn new(log: Option<&str>) -> Result<Self, Failure> {
        // The system picks a port that is free; the group's socket may share it, so it does not matter who takes it next.
        let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr());
        let port = port.map_err(|error| {
            Failure::Failed(format!(
                "this stays on the loopback interface, and that is down here or has no address 127.0.0.1 ({error}); as \
                 root, `ip link set lo up` brings it up"
            ))
        })?;
        let (tell, told) = mpsc::unbounded_channel();
        let (secret, group) = (Secret::generate(), format!("239.255.82.55:{}", port.port()));
        Ok(Self { secret, group, log: log.map(str::to_owned), members: Vec::new(), tell, told })
    }

    /// Starts another process and gives its number, from 0.
    pub(super) fn start(&mut self) -> Result<usize, Failure> {
        let cannot = |error: std::io::Error| Failure::Failed(format!("cannot start a process: {error}"));
        let index = self.members.len();
        let mut command = self.command(index).map_err(cannot)?;
        let started_ns = now_ns();
        let mut process = command.spawn().map_err(cannot)?;
        let (Some(orders), Some(lines)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(Failure::Failed("cannot speak with a process".to_owned()));
        };
        let tell = self.tell.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(lines).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                // A line that is not understood was not written by this program.
                let Ok(word) = serde_json::from_str(&line) else { break };
                let _ = tell.send((index, Some(word)));
            }
            let _ = tell.send((index, None));
        });
        self.members.push(Member { orders, process, started_ns, dismissed: false });
        Ok(index)
    }

    /// With a clean environment, so that nobody's settings change what is measured; but for `TALKIE_UNIX`, which chooses what
    /// the links go over.
    fn command(&self, index: usize) -> std::io::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        for (variable, _) in std::env::vars_os() {
            if variable.as_encoded_bytes().starts_with(b"TALKIE_") && variable != "TALKIE_UNIX" {
                command.env_remove(variable);
            }
        }
        command
            .args(["bench-role", "--interface", "127.0.0.1", "--listen", "127.0.0.1:0"])
            .args(["--group", &self.group, "--name", &format!("bench-{index}")])
            .args(self.log.iter().flat_map(|level| ["--log", level]))
            // Not as an argument, which the other users of the host could read.
            .env("TALKIE_SECRET", &*self.secret.to_text())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // An interrupt from the terminal is for the one who measures; these end with their orders.
            .process_group(0)
            .kill_on_drop(true);
        Ok(command)
    }

    /// When a process was started, by [`now_ns`].
    pub(super) fn started_ns(&self, index: usize) -> u64 {
        self.members.get(index).map_or(0, |member| member.started_ns)
    }

    /// Tells a process what to do.
    pub(super) async fn order(&mut self, index: usize, order: &Order) -> Result<(), Failure> {
        let line = serde_json::to_string(order).map_err(|error| Failure::Failed(error.to_string()))?;
        let Some(member) = self.members.get_mut(index) else { return Err(died()) };
        member.orders.write_all(format!("{line}\n").as_bytes()).await.map_err(|_| died())
    }

    /// The next word of any process.
    pub(super) async fn next(&mut self, within: Duration, what: &str) -> Result<(usize, Word), Failure> {
        loop {
            match tokio::time::timeout(within, self.told.recv()).await {
                Err(_) => {
                    let within = within.as_secs_f64();
                    return Err(Failure::Failed(format!("{what} took longer than {within} s")));
                }
                Ok(Some((_, Some(Word::Failed { why })))) => return Err(Failure::Failed(why)),
                Ok(Some((index, Some(word)))) => return Ok((index, word)),
                Ok(Some((index, None))) if self.members.get(index).is_some_and(|one| one.dismissed) => {}
                Ok(_) => return Err(died()),
            }
        }
    }

    /// Orders the same of several; what each of them says to it, in their order.
    pub(super) async fn each(
        &mut self,
        indices: std::ops::Range<usize>,
        order: &Order,
        within: Duration,
        what: &str,
    ) -> Result<Vec<Word>, Failure> {
        for index in indices.clone() {
            self.order(index, order).await?;
        }
        let mut words: Vec<(usize, Word)> = Vec::new();
        while words.len() < indices.len() {
            words.push(self.next(within, what).await?);
        }
        words.sort_by_key(|(index, _)| *index);
        Ok(words.into_iter().map(|(_, word)| word).collect())
    }

    /// Sends a process a signal; when, by [`now_ns`]. Its end is expected from now on.
    pub(super) fn signal(&mut self, index: usize, signal: Signal) -> Result<u64, Failure> {
        let Some(member) = self.members.get_mut(index) else { return Err(died()) };
        let pid = member.process.id().and_then(|pid| i32::try_from(pid).ok()).ok_or_else(died)?;
        member.dismissed = true;
        let at = now_ns();
        kill(Pid::from_raw(pid), signal)
            .map_err(|error| Failure::Failed(format!("cannot send {signal}: {error}")))?;
        Ok(at)
    }
}

fn died() -> Failure {
    Failure::Failed("a process ended before it was told to; what it said is above".to_owned())
}
