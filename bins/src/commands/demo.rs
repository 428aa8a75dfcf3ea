//! `talkie demo`: three real nodes as processes of this machine, and what each of them does as it happens.
//!
//! The nodes are this program again (see [`node`]). They share a secret that nobody else has, so they meet no
//! other mesh, and use the loopback interface only, so nothing leaves the machine.

pub(super) mod node;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};

use talkie_pubsub::Secret;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;

use self::node::{Line, TOPIC, Told};
use crate::exit::Failure;
use crate::output::{Event, Output};
use crate::stop::Stop;

/// The three, and what each publishes.
const CAST: [(&str, &str); 3] = [("alice", "hello"), ("bob", "hi there"), ("carol", "good morning")];

/// How long one step may take. The whole promises to end within 10 s.
const STEP_WITHIN: Duration = Duration::from_secs(4);
const ALL_WITHIN: Duration = Duration::from_secs(9);

pub(super) async fn run(mut output: Output, log: Option<String>) -> Result<(), Failure> {
    let mut stop = Stop::listen(&output)?;
    stop.watch_output();
    stop.unfinished(true);
    tokio::select! {
        ended = tokio::time::timeout(ALL_WITHIN, play(&mut output, log)) => {
            ended.unwrap_or_else(|_| Err(Failure::Failed("the demo took too long; this machine is very busy".to_owned())))
        }
        why = stop.stopped() => Err(stop.ended(why)),
    }
}

async fn play(output: &mut Output, log: Option<String>) -> Result<(), Failure> {
    let start = Instant::now();
    loopback().await?;
    let mut stage = Stage::open(output, log)?;
    stage.meet().await?;
    for (index, (_, payload)) in CAST.iter().enumerate() {
        stage.publish(index, payload).await?;
    }
    stage.part().await?;
    let took_ms = start.elapsed().as_secs_f64() * 1000.0;
    output.print_now(&Event::Done { took_ms })?;
    Ok(output.remark(&next_steps())?)
}

/// Tries what the demo needs, so that a host without it is told so in one line and not by three nodes.
async fn loopback() -> Result<(), Failure> {
    let tried = async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        TcpStream::connect(listener.local_addr()?).await
    };
    let silent = |_| Err(std::io::ErrorKind::TimedOut.into());
    match tokio::time::timeout(STEP_WITHIN, tried).await.unwrap_or_else(silent) {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::Failed(format!(
            "the demo stays on the loopback interface, and that is down here or has no address 127.0.0.1 ({error}); \
             as root, `ip link set lo up` brings it up"
        ))),
    }
}

/// The lines that a reader would type next.
fn next_steps() -> String {
    let program =
        std::env::args().next().filter(|name| name.contains('/')).unwrap_or_else(|| "talkie".to_owned());
    let secret = Secret::generate().to_text();
    format!(
        "\nNow you. In two terminals, on this machine or on two of your network, the same secret:\n  \
         export TALKIE_SECRET={}\nThen in one of them:\n  {program} sub 'orders/*'\nand in the other:\n  \
         {program} pub orders/42 hello",
        *secret
    )
}

/// The nodes and what they tell.
struct Stage<'a> {
    output: &'a mut Output,
    actors: Vec<Actor>,
    told: mpsc::UnboundedReceiver<(usize, Option<Line>)>,
}

/// One node's process, killed when this is dropped.
struct Actor {
    name: &'static str,
    /// In µs since the epoch, before its process began.
    started: u64,
    orders: ChildStdin,
    process: Child,
}

impl<'a> Stage<'a> {
    fn open(output: &'a mut Output, log: Option<String>) -> Result<Self, Failure> {
        let secret = Secret::generate();
        let (tell, told) = mpsc::unbounded_channel();
        let mut actors = Vec::new();
        for (index, (name, _)) in CAST.into_iter().enumerate() {
            let started = now_us();
            let cannot = |error: std::io::Error| Failure::Failed(format!("cannot start {name}: {error}"));
            let mut process =
                command(name, &secret.to_text(), log.as_deref()).map_err(cannot)?.spawn().map_err(cannot)?;
            let (Some(orders), Some(lines)) = (process.stdin.take(), process.stdout.take()) else {
                return Err(Failure::Failed(format!("cannot speak with {name}")));
            };
            let tell = tell.clone();
            tokio::spawn(async move {
                let mut lines = BufReader::new(lines).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    // A line that is not understood was not written by a node of this program.
                    let Ok(line) = serde_json::from_str(&line) else { break };
                    let _ = tell.send((index, Some(line)));
                }
                let _ = tell.send((index, None));
            });
            output.print_now(&Event::Started { name, pid: process.id().unwrap_or_default() })?;
            actors.push(Actor { name, started, orders, process });
        }
        Ok(Self { output, actors, told })
    }

    /// Waits until each has found each.
    async fn meet(&mut self) -> Result<(), Failure> {
        let mut found = BTreeSet::new();
        let all = CAST.len() * (CAST.len() - 1);
        while found.len() < all {
            let missing = || {
                let pairs = CAST.iter().flat_map(|(a, _)| CAST.iter().map(move |(b, _)| (*a, *b)));
                let missing = pairs.filter(|(a, b)| a != b && !found.contains(&(*a, (*b).to_owned())));
                let missing = missing.map(|(a, b)| format!("{a} did not find {b}")).collect::<Vec<_>>();
                format!(
                    "{}. Is UDP multicast over the loopback interface blocked here, or TCP? (group 239.255.82.55, \
                     port 8255)",
                    missing.join(", ")
                )
            };
            let (actor, line) = match next(&mut self.told, &self.actors).await {
                Ok(told) => told,
                Err(Waited::TooLong) => return Err(Failure::Failed(missing())),
                Err(Waited::Ended(failure)) => return Err(failure),
            };
            if let (Some(actor), Told::PeerUp { peer }) = (self.actors.get(actor), line.told) {
                let after_ms = line.at_us.saturating_sub(actor.started) as f64 / 1000.0;
                self.output.print_now(&Event::Found { name: actor.name, peer: &peer, after_ms })?;
                found.insert((actor.name, peer));
            }
        }
        Ok(())
    }

    /// Lets one publish, and waits until the others have it.
    async fn publish(&mut self, publisher: usize, payload: &str) -> Result<(), Failure> {
        let from = self.order(publisher, &format!("publish {payload}")).await?;
        let mut published = None;
        let mut received = Vec::new();
        while published.is_none() || received.len() < CAST.len() - 1 {
            let (actor, line) = self.next(|| format!("{from}'s message did not reach every node")).await?;
            match line.told {
                Told::Published { nodes } if actor == publisher => published = Some((line.at_us, nodes)),
                Told::Message { from: by, payload: got } if by == from && got == payload => {
                    received.push((actor, line.at_us));
                }
                Told::Failed { why } => {
                    return Err(Failure::Failed(format!("{from} could not publish: {why}")));
                }
                _ => {}
            }
        }
        let (at, nodes) = published.unwrap_or_default();
        self.output.print(&Event::Sent { name: from, topic: TOPIC, payload, nodes })?;
        for (actor, received_at) in received {
            let Some(actor) = self.actors.get(actor) else { continue };
            let after_us = received_at.saturating_sub(at);
            self.output.print(&Event::Received {
                name: actor.name,
                from,
                topic: TOPIC,
                payload,
                after_us,
            })?;
        }
        Ok(self.output.flush()?)
    }

    /// Lets the last one leave, waits until the others heard its goodbye, and ends them.
    async fn part(&mut self) -> Result<(), Failure> {
        let last = CAST.len() - 1;
        let leaving = now_us();
        let gone = self.order(last, "leave").await?;
        let mut heard = 0;
        while heard < last {
            let (actor, line) = self.next(|| format!("not every node heard {gone} say goodbye")).await?;
            match (line.told, self.actors.get(actor)) {
                (Told::PeerDown { peer, reason }, Some(actor)) if peer == gone => {
                    if reason != "left" {
                        let name = actor.name;
                        return Err(Failure::Failed(format!(
                            "{name} was told that {gone} is gone: {reason}"
                        )));
                    }
                    let after_ms = line.at_us.saturating_sub(leaving) as f64 / 1000.0;
                    self.output.print_now(&Event::Left { name: actor.name, peer: gone, after_ms })?;
                    heard += 1;
                }
                _ => {}
            }
        }
        for index in 0..last {
            self.order(index, "leave").await?;
        }
        for actor in &mut self.actors {
            let ended = tokio::time::timeout(STEP_WITHIN, actor.process.wait()).await;
            if !matches!(ended, Ok(Ok(status)) if status.success()) {
                return Err(Failure::Failed(format!("{} did not end as it was told to", actor.name)));
            }
        }
        Ok(())
    }

    /// Tells a node what to do; gives its name.
    async fn order(&mut self, index: usize, order: &str) -> Result<&'static str, Failure> {
        let Some(actor) = self.actors.get_mut(index) else {
            return Err(Failure::Failed("there is no such node".to_owned()));
        };
        match actor.orders.write_all(format!("{order}\n").as_bytes()).await {
            Ok(()) => Ok(actor.name),
            Err(_) => Err(died(actor.name)),
        }
    }

    async fn next(&mut self, missing: impl FnOnce() -> String) -> Result<(usize, Line), Failure> {
        next(&mut self.told, &self.actors).await.map_err(|waited| match waited {
            Waited::TooLong => Failure::Failed(missing()),
            Waited::Ended(failure) => failure,
        })
    }
}

/// Why there is no next line.
enum Waited {
    TooLong,
    Ended(Failure),
}

/// The next line of any node.
async fn next(
    told: &mut mpsc::UnboundedReceiver<(usize, Option<Line>)>,
    actors: &[Actor],
) -> Result<(usize, Line), Waited> {
    loop {
        match tokio::time::timeout(STEP_WITHIN, told.recv()).await {
            Err(_) => return Err(Waited::TooLong),
            Ok(Some((index, Some(line)))) => return Ok((index, line)),
            // The one that was told to leave ends in peace.
            Ok(Some((index, None))) if index == CAST.len() - 1 => {}
            Ok(Some((index, None))) => {
                return Err(Waited::Ended(died(actors.get(index).map_or("a node", |actor| actor.name))));
            }
            Ok(None) => return Err(Waited::Ended(died("every node"))),
        }
    }
}

fn died(name: &str) -> Failure {
    Failure::Failed(format!("{name} ended before it was told to; what it said is above"))
}

/// This program again, as one of the nodes: with a clean environment, so that nobody's settings change the demo.
fn command(name: &str, secret: &str, log: Option<&str>) -> std::io::Result<Command> {
    let program: OsString = std::env::current_exe()?.into();
    let mut command = Command::new(Path::new(&program));
    for (variable, _) in std::env::vars_os() {
        if variable.as_encoded_bytes().starts_with(b"TALKIE_") {
            command.env_remove(variable);
        }
    }
    command
        .args(["demo-node", "--name", name, "--interface", "127.0.0.1", "--listen", "127.0.0.1:0"])
        .args(log.map(|level| ["--log", level]).into_iter().flatten())
        // Not as an argument, which the other users of the host could read.
        .env("TALKIE_SECRET", secret)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    Ok(command)
}

/// µs since the epoch: one clock for all processes of a host.
fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
