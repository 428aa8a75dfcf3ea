//! `talkie bench`: what Talkie does on a user's own machine or network, over real processes.
//!
//! ```text
//! bench.rs            the command: one measurement, its end, its results
//! bench/fanout.rs     ┐
//! bench/throughput.rs │
//! bench/local.rs      ├ the measurements: what is done, and which figures come of it
//! bench/discovery.rs  │
//! bench/detect.rs     ┘
//! bench/stage.rs      a publisher and its subscribers, here or across machines
//! bench/crew.rs       processes of this machine that follow orders
//! bench/across.rs     servers on other machines that follow orders
//! bench/wire.rs       the orders, and what is told back
//! bench/role.rs       a process of this machine: follows orders on standard input
//! bench/serve.rs      a server: follows orders on a bus
//! bench/publisher.rs  publishes at a pace, or as fast as it goes
//! bench/taker.rs      a subscriber that counts
//! bench/echoes.rs     what subscribers send back, for a round trip
//! bench/results.rs    prints and saves
//! bench/progress.rs   the bar on a terminal
//! ```
//!
//! The measuring itself (clock, pacer, counts, histograms, picture) is the crate `talkie-instrument`.

mod across;
mod crew;
mod detect;
mod discovery;
mod echoes;
mod fanout;
mod local;
mod progress;
mod publisher;
mod results;
pub(super) mod role;
mod serve;
mod stage;
mod taker;
mod throughput;
mod wire;

use self::results::Results;
use super::Setup;
use crate::args::{Bench, Keep};
use crate::exit::Failure;
use crate::output::Output;
use crate::stop::Stop;

/// What a measurement needs besides its load.
struct Context {
    /// The settings' flags, for those that join a mesh which is not their own.
    settings: Settings,
    log: Option<String>,
    stop: Stop,
}

type Settings = Vec<(&'static str, Vec<std::ffi::OsString>)>;

/// Measures, prints and saves.
pub(super) async fn run(bench: Bench, rest: Rest, output: Output) -> Result<(), Failure> {
    let Rest { settings, log } = rest;
    if matches!(bench, Bench::Serve) {
        return serve::run(Setup::new(settings, output)?).await;
    }
    super::check_names()?;
    if let Bench::Fanout { load, .. } | Bench::Throughput { load, .. } = &bench
        && !load.across
        && let Some((flag, _)) = settings.iter().find(|(_, given)| !given.is_empty())
    {
        let why = format!("{flag} is for --across; on this machine alone no setting is needed");
        return Err(Failure::Usage(why));
    }
    let mut stop = Stop::listen(&output)?;
    stop.watch_output();
    stop.unfinished(true);
    let context = Context { settings, log, stop: stop.clone() };
    let keep = match &bench {
        Bench::Fanout { keep, .. }
        | Bench::Throughput { keep, .. }
        | Bench::Local { keep, .. }
        | Bench::Discovery { keep, .. }
        | Bench::Detect { keep, .. } => Keep { folder: keep.folder.clone(), form: keep.form },
        Bench::Serve => return Ok(()),
    };
    // Before it measures, so that a folder that cannot be written costs no time.
    results::prepare(&keep)?;
    let measured = async {
        match bench {
            Bench::Fanout { load, rate, .. } => fanout::run(&context, &load, rate).await,
            Bench::Throughput { load, .. } => throughput::run(&context, &load).await,
            Bench::Local { subscribers, bytes, time, .. } => {
                local::run(&context, &subscribers, bytes, time).await
            }
            Bench::Discovery { nodes, rounds, .. } => discovery::run(&context, nodes, rounds).await,
            Bench::Detect { rounds, .. } => detect::run(&context, rounds).await,
            Bench::Serve => Err(Failure::Quiet),
        }
    };
    let results: Results = tokio::select! {
        // First: those who are told to end also end what is measured.
        biased;
        why = stop.stopped() => return Err(stop.ended(why)),
        measured = measured => measured?,
    };
    results.publish(output, &keep)
}

/// What stands on the command line besides the measurement.
pub(super) struct Rest {
    pub(super) settings: Settings,
    pub(super) log: Option<String>,
}
