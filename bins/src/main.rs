//! The `talkie` command: the library's verbs for a terminal or a script.
//!
//! ```text
//! main.rs       process: arguments -> one command -> exit code
//! args.rs       the command line, made of the library's table of settings
//! output.rs     what a command prints: words for people, JSON lines for programs
//! exit.rs       how a command ends
//! stop.rs       the signals and the closed pipe that end one early
//! commands/     one file each
//! ```

mod args;
// A command owns its process: it reads the clock, waits and starts tasks. There is no machine in here.
#[allow(clippy::disallowed_methods)]
mod commands;
mod exit;
mod output;
#[allow(clippy::disallowed_methods)]
mod stop;

use std::process::ExitCode;

use exit::Failure;

fn main() -> ExitCode {
    let invocation = match args::parse(std::env::args_os()) {
        Ok(invocation) => invocation,
        Err(early) => return early.end(),
    };
    init_logs(invocation.log.as_deref());
    let ended = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("cannot start: {error}")))
        .and_then(|runtime| {
            let ended = runtime.block_on(commands::run(invocation));
            // A read of standard input may still be under way, and nobody can end that.
            runtime.shutdown_background();
            ended
        });
    exit::code(ended)
}

/// Logs go to standard error: `--log`, else `RUST_LOG`, else warnings only.
fn init_logs(level: Option<&str>) {
    use tracing_subscriber::EnvFilter;
    let from_environment = || std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|text| !text.is_empty());
    let wanted = level.map(str::to_owned).or_else(from_environment).unwrap_or_else(|| "warn".to_owned());
    let (filter, bad) = match EnvFilter::try_new(&wanted) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new("warn"), Some(error)),
    };
    let colour = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        // It would say that standard error is closed on standard error, and panic.
        .log_internal_errors(false)
        .init();
    if let Some(error) = bad {
        tracing::warn!("RUST_LOG={wanted:?} is not a filter ({error}); showing warnings");
    }
}
