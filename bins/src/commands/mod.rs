//! One file a command. Each gets a [`Session`] if it joins, prints through it, and ends with a [`Failure`] or not.

mod bench;
mod completions;
mod demo;
mod join;
mod keygen;
mod man;
mod peers;
mod publish;
mod reply;
mod request;
mod sub;

use std::ffi::OsString;
use std::time::Duration;

use talkie_pubsub::settings::{self, ConfigError};
use talkie_pubsub::{Bus, Config};

use crate::args::{Invocation, Verb};
use crate::exit::Failure;
use crate::output::{Event, Output};
use crate::stop::{Stop, Why};

/// Runs the command to its end.
pub(crate) async fn run(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { verb, settings, json, log } = invocation;
    let output = Output::new(json);
    match verb {
        Verb::Keygen => {
            check_names()?;
            keygen::run(output)
        }
        Verb::Completions(shell) => {
            check_names()?;
            completions::run(shell)
        }
        Verb::Man(dir) => {
            check_names()?;
            man::run(dir.as_deref())
        }
        Verb::Demo => {
            check_names()?;
            demo::run(output, log).await
        }
        Verb::Bench(bench) => bench::run(bench, bench::Rest { settings, log }, output).await,
        Verb::BenchRole => bench::role::run(Setup::new(settings, output)?).await,
        Verb::DemoNode => demo::node::run(Setup::new(settings, output)?).await,
        Verb::Join => join::run(Setup::new(settings, output)?).await,
        Verb::Sub(wanted) => sub::run(Setup::new(settings, output)?, wanted).await,
        Verb::Pub(wanted) => publish::run(Setup::new(settings, output)?, wanted).await,
        Verb::Request(question) => request::run(Setup::new(settings, output)?, question).await,
        Verb::Reply(answering) => reply::run(Setup::new(settings, output)?, answering).await,
        Verb::Peers { wait, count } => peers::run(Setup::new(settings, output)?, wait, count).await,
    }
}

/// A misspelt variable is told by commands that read none, too: who set it expects it to count.
fn check_names() -> Result<(), ConfigError> {
    let names: Vec<_> = std::env::vars_os().map(|(name, _)| name).collect();
    for warning in settings::check_names(names.iter().map(OsString::as_os_str))? {
        tracing::warn!("{warning}");
    }
    Ok(())
}

/// What a command that joins needs before it does.
struct Setup {
    config: Config,
    output: Output,
    stop: Stop,
}

impl Setup {
    fn new(settings: Vec<(&'static str, Vec<OsString>)>, output: Output) -> Result<Self, Failure> {
        let config = settings::from_flags(settings)?;
        let stop = Stop::listen(&output)?;
        Ok(Self { config, output, stop })
    }

    async fn join(self) -> Result<Session, Failure> {
        let Self { config, output, mut stop } = self;
        let bus = tokio::select! {
            joined = config.join() => joined?,
            why = stop.stopped() => return Err(stop.ended(why)),
        };
        stop.guard(&bus);
        Ok(Session { bus, output, stop })
    }
}

/// A joined node, a place to print, and word of when to end.
struct Session {
    bus: Bus,
    output: Output,
    stop: Stop,
}

/// How long leaving may take: the library gives peers 5 s to confirm what they were sent, then says goodbye.
const LEAVE_WITHIN: Duration = Duration::from_secs(6);

impl Session {
    fn print_joined(&mut self) -> Result<(), Failure> {
        let node = self.bus.node();
        let joined = Event::Joined {
            node: node.id(),
            name: node.name().clone(),
            bus: self.bus.name().clone(),
            listen: node.listen(),
            metrics: node.metrics_addr(),
        };
        Ok(self.output.print_now(&joined)?)
    }

    /// Says goodbye, whatever became of the command.
    ///
    /// What could not be handed over is not told here: `pub` asks before, and the others publish nothing.
    async fn leave(self, ended: Result<(), Failure>) -> Result<(), Failure> {
        if tokio::time::timeout(LEAVE_WITHIN, self.bus.node().leave()).await.is_err() {
            tracing::warn!("left without a goodbye: it took too long");
        }
        ended
    }

    fn ended(&self, why: Why) -> Result<(), Failure> {
        Err(self.stop.ended(why))
    }
}
