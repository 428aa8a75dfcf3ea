//! `talkie reply`: answers requests, with what they ask or with what a command makes of it.

use std::process::Stdio;
use std::sync::Arc;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use talkie_pubsub::{PeerEvents, Request, Requests};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::task::JoinSet;

use super::sub::{Linked, print_peer};
use super::{Session, Setup};
use crate::args::{Answering, How};
use crate::exit::Failure;
use crate::output::Event;
use crate::service::Manager;

/// Commands that run at once; further requests wait. Enough for commands that wait for something, and no flood of
/// processes.
const AT_ONCE: usize = 32;

pub(super) async fn run(setup: Setup, answering: Answering) -> Result<(), Failure> {
    setup.stop.watch_output();
    let longest = setup.config.longest_message();
    let mut manager = Manager::find();
    let stop = setup.stop.clone();
    let ended = match setup.join().await {
        Ok(mut session) => {
            let ended = answer_all(&mut session, &mut manager, answering, longest).await;
            manager.stopping();
            session.leave(ended).await
        }
        Err(failure) => Err(failure),
    };
    match ended {
        // A service is no pipe whose reader has had enough: its manager should start it again.
        Err(Failure::Quiet) if manager.is_there() && !stop.signalled() => {
            Err(Failure::Failed("standard output was closed".to_owned()))
        }
        ended => ended,
    }
}

async fn answer_all(
    session: &mut Session,
    manager: &mut Manager,
    answering: Answering,
    longest: usize,
) -> Result<(), Failure> {
    let Answering { pattern, how } = answering;
    let mut peers = session.bus.node().peer_events();
    let mut requests = session.bus.respond(&pattern).map_err(|e| Failure::Failed(e.to_string()))?;
    session.print_joined()?;
    session.output.print_now(&Event::Subscribed { pattern: &pattern })?;
    manager.ready(0);
    let mut running = JoinSet::new();
    let ended = serve(session, manager, &mut peers, &mut requests, &mut running, &how, longest).await;
    // Commands that still run are ended and their askers told, before the node leaves.
    running.shutdown().await;
    ended
}

async fn serve(
    session: &mut Session,
    manager: &mut Manager,
    peers: &mut PeerEvents,
    requests: &mut Requests,
    running: &mut JoinSet<()>,
    how: &How,
    longest: usize,
) -> Result<(), Failure> {
    let mut linked = Linked::default();
    let mut stop = session.stop.clone();
    let gone = || Failure::Failed("the node has stopped".to_owned());
    loop {
        tokio::select! {
            why = stop.stopped() => return session.ended(why),
            event = peers.recv() => {
                let event = event.ok_or_else(gone)?;
                linked.note(&event);
                manager.linked(linked.count());
                print_peer(&mut session.output, event)?;
                session.output.flush()?;
            }
            request = requests.next(), if running.len() < AT_ONCE => {
                let request = request.ok_or_else(gone)?;
                session.output.print_now(&Event::Request {
                    topic: &request.topic,
                    node: request.from,
                    name: &request.name,
                    payload: request.payload.as_ref().into(),
                    beside: (&request.headers).into(),
                })?;
                match how {
                    How::Echo => {
                        let payload = request.payload.clone();
                        reply(request, Ok(payload.into()));
                    }
                    How::Exec(command) => drop(running.spawn(execute(Arc::clone(command), request, longest))),
                }
            }
            Some(_) = running.join_next() => {}
        }
    }
}

async fn execute(command: Arc<str>, request: Request, longest: usize) {
    let deadline = request.deadline.into();
    let output = match tokio::time::timeout_at(deadline, output(&command, &request, longest)).await {
        Ok(output) => output,
        Err(_) => Err("the command took longer than the asker waits".to_owned()),
    };
    reply(request, output);
}

/// Gives the reply, or drops the request and says why.
fn reply(request: Request, with: Result<Vec<u8>, String>) {
    let (topic, asker) = (request.topic.clone(), request.name.clone());
    let given = match with {
        Ok(payload) => request.reply(payload).map_err(|error| error.to_string()),
        Err(why) => {
            drop(request);
            Err(why)
        }
    };
    if let Err(why) = given {
        tracing::warn!(topic = topic.as_str(), %asker, "no reply: {why}");
    }
}

/// What the shell's command prints, if it ends well. Dropped before that, it ends with all that it has started.
async fn output(command: &str, request: &Request, longest: usize) -> Result<Vec<u8>, String> {
    let mut child = Command::new("sh")
        .args(["-c", command, "sh", request.topic.as_str()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // What a terminal's ^C ends is this process, which then ends the group.
        .process_group(0)
        .spawn()
        .map_err(|error| format!("cannot start sh: {error}"))?;
    let mut group = Group(child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw));
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // A command need not read what it is asked.
            let _ = stdin.write_all(&request.payload).await;
        }
    };
    let read = async {
        let mut output = Vec::new();
        if let Some(stdout) = stdout {
            stdout.take(longest as u64 + 1).read_to_end(&mut output).await?;
        }
        Ok::<_, std::io::Error>(output)
    };
    let (output, ()) = tokio::join!(read, write);
    let output = output.map_err(|error| format!("cannot read the command's output: {error}"))?;
    if output.len() > longest {
        return Err(format!(
            "the command's output is longer than the {longest} bytes that --max-message allows"
        ));
    }
    let status = child.wait().await.map_err(|error| format!("cannot wait for the command: {error}"))?;
    // From here on its number may be another's.
    group.0 = None;
    if status.success() { Ok(output) } else { Err(format!("the command failed: {status}")) }
}

/// The processes of one command, killed on drop.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // They may have ended by themselves.
            let _ = killpg(leader, Signal::SIGKILL);
        }
    }
}
